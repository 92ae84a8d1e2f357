//  Where one machine's sockets, serial log and our own notes on it lie, and who may touch them.
//
//      guests/            root 0711: every guest's uid passes through, none lists
//      guests/NAME/       root 0711: the guest cannot make or replace a name here
//        serial.log       the guest's 0600: QEMU appends, the keeper cuts it
//        run/             the guest's 0700: QEMU makes its sockets here
//        machine.json     root 0600: what was started
//        ended.json       root 0600: why it ended
//
//  The log lies outside `run`, so that a guest that has broken out of QEMU cannot put a link to some
//  file of the host where root is going to read and cut a log.

import FoundationEssentials
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The folder of one machine. Making the value touches nothing.
public struct GuestFolder: Sendable, Hashable {
    public let name: String
    public let path: String

    /// A Unix socket's path has at most 107 bytes and its end (unix(7)).
    static let socketPathBytesMax = 107

    /// - Throws: `Fault.invalidParameter` for a name that is no machine's, or when the installation's
    ///   root is so long that a socket's path does not fit the kernel's.
    public init(installation: Installation, name: String) throws(Fault) {
        try MachineCheck.check(name: name)
        self.name = name
        path = Self.all(of: installation) + "/" + name
        guard sockets.console.utf8.count <= Self.socketPathBytesMax else {
            throw Fault(.invalidParameter, "the path \(sockets.console) is too long for a socket: a shorter --root")
        }
    }

    /// The folder of all guests' folders.
    public static func all(of installation: Installation) -> String { installation.node + "/guests" }

    public var serialLog: String { path + "/serial.log" }
    public var sockets: MachineSockets {
        MachineSockets(console: path + "/run/console.sock", display: path + "/run/vnc.sock", agent: path + "/run/agent.sock")
    }

    private var machineFile: String { path + "/machine.json" }
    private var endedFile: String { path + "/ended.json" }
    private var run: String { path + "/run" }

    /// Makes the folder for a start: fresh sockets, the old log kept.
    func make(for machine: Machine) throws(Fault) {
        for folder in ancestors() { try Self.makeFolder(folder, mode: 0o711) }
        try Self.makeFolder(path, mode: 0o711)
        try Self.makeFolder(run, mode: 0o700)
        // Whoever owned the folder before may have been another uid; its sockets would be in the way.
        for name in try Folder.names(in: run) { unlink(run + "/" + name) }
        guard lchown(run, machine.uid, machine.gid) == 0 else { throw Self.failure("give away", run) }
        let log = open(serialLog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard log >= 0 else { throw Self.failure("make", serialLog) }
        defer { close(log) }
        guard fchown(log, machine.uid, machine.gid) == 0 else { throw Self.failure("give away", serialLog) }
        unlink(endedFile)
        try write(machine, to: machineFile)
    }

    /// What was started here last; nil if nothing, or if the file is not readable as such.
    func machine() throws(Fault) -> Machine? { try read(Machine.self, from: machineFile) }

    var exists: Bool { access(path, F_OK) == 0 }

    /// When the machine was last started here.
    var startedAt: Instant? {
        var status = stat()
        guard lstat(machineFile, &status) == 0 else { return nil }
        return Instant(microseconds: Int64(status.st_mtim.tv_sec) * 1_000_000 + Int64(status.st_mtim.tv_nsec) / 1000)
    }

    /// Why and when it ended.
    struct Ended: Codable {
        var reason: MachineStatus.Reason
        var at: Instant
    }

    func noteEnd(_ ended: Ended) throws(Fault) { try write(ended, to: endedFile) }
    func ended() throws(Fault) -> Ended? { try read(Ended.self, from: endedFile) }

    /// Removes the folder and all in it.
    func remove() throws(Fault) {
        for folder in [run, path] {
            for name in try Folder.names(in: folder) where folder + "/" + name != run {
                guard unlink(folder + "/" + name) == 0 || errno == ENOENT else { throw Self.failure("remove", folder + "/" + name) }
            }
            guard rmdir(folder) == 0 || errno == ENOENT else { throw Self.failure("remove", folder) }
        }
    }

    /// Removes a folder of the host's own with all that is in it.
    static func removeTree(_ folder: String) throws(Fault) {
        guard access(folder, F_OK) == 0 else { return }
        do { try FileManager.default.removeItem(atPath: folder) } catch {
            throw Fault(.storage, "could not remove \(folder)", because: error)
        }
    }

    static func failure(_ verb: String, _ path: String) -> Fault {
        Fault(.storage, "could not \(verb) \(path): \(systemError())")
    }

    /// `guests` and the folder that holds it: a guest's uid must be able to pass through both.
    private func ancestors() -> [String] {
        let guests = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        let node = guests[..<(guests.lastIndex(of: "/") ?? guests.startIndex)]
        return [String(node), String(guests)]
    }

    static func makeFolder(_ folder: String, mode: mode_t) throws(Fault) {
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw Fault(.storage, "could not make \(folder)", because: error)
        }
        guard chmod(folder, mode) == 0 else { throw Self.failure("set the mode of", folder) }
    }

    private func write(_ value: some Encodable, to file: String) throws(Fault) {
        let bytes: [UInt8]
        do { bytes = Array(try JSONEncoder().encode(value)) } catch {
            throw Fault(.internalError, "could not encode \(file)", because: error)
        }
        try AtomicFile.write(bytes, to: file)
    }

    private func read<Value: Decodable>(_: Value.Type, from file: String) throws(Fault) -> Value? {
        guard let bytes = try AtomicFile.read(file, limit: 1 << 20) else { return nil }
        return try? JSONDecoder().decode(Value.self, from: Data(bytes))
    }
}
