//  The installation's own libvirtd: its folders, its configuration, and how it is started. It sees
//  private /etc/libvirt, /var/lib/libvirt, … through a mount namespace, so it shares nothing with a
//  libvirtd of the distribution, and it outlives whoever started it.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

public struct LibvirtDaemon: Sendable {
    static let startSecondsMax = 30

    private let installation: Installation
    private let reaper: [String]
    private let groups: ControlGroups
    private let chance: Chance

    /// - Parameter reaper: The command that is `Reaper.run`: Karri's binary and its subcommand. The
    ///   reaper's arguments are appended.
    public init(installation: Installation, reaper: [String], groups: ControlGroups, chance: Chance = .system) {
        self.installation = installation
        self.reaper = reaper
        self.groups = groups
        self.chance = chance
    }

    /// libvirt's own folders: etc, lib, run, log, cache.
    var state: String { Self.state(of: installation) }
    private static func state(of installation: Installation) -> String { installation.node + "/libvirt" }

    var socket: String { state + "/run/libvirt-sock" }
    var uri: String { "qemu+unix:///system?socket=" + LibvirtDaemon.escapedForURI(socket) }
    private var pidFile: String { state + "/libvirtd.pid" }

    /// The pid of a running machine's QEMU, from libvirt's own pid file.
    static func process(of name: String, installation: Installation) -> Int32? {
        number(in: state(of: installation) + "/run/qemu/\(name).pid")
    }

    /// Starts the daemon if nothing answers on its socket, and waits until it does.
    ///
    /// - Returns: Whether it was started now.
    /// - Throws: `Fault.unavailable` with the log's last lines if it does not come up in time.
    @discardableResult
    public func ensureRunning() async throws(Fault) -> Bool {
        if answers() { return false }
        guard socket.utf8.count <= GuestFolder.socketPathBytesMax else {
            throw Fault(.invalidParameter, "the path \(socket) is too long for a socket", kind: .host)
        }
        try writeFolders()
        // Two starters would fight for libvirt's pid file.
        let lock = open(state + "/start.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw GuestFolder.failure("open", state + "/start.lock") }
        defer { close(lock) }
        let deadline = chance.now() + .seconds(Self.startSecondsMax)
        while flock(lock, LOCK_EX | LOCK_NB) != 0 {
            try await pause(until: deadline)
            if answers() { return false }
        }
        if answers() { return false }
        try writeConfiguration()
        try forgetEarlierBoot()
        try endHalfStarted()
        try await launch()
        while !answers() { try await pause(until: deadline) }
        return true
    }

    /// Ends the daemon, not the machines: what uninstall does after it has ended those.
    public func stop() async throws(Fault) {
        guard let process = Self.number(in: pidFile), isDaemon(process) else { return }
        kill(process, SIGTERM)
        let deadline = chance.now() + .seconds(Self.startSecondsMax)
        while kill(process, 0) == 0, isDaemon(process) { try await pause(until: deadline) }
    }

    /// Whether the pid file still means a libvirtd: pids are used again.
    private func isDaemon(_ process: Int32) -> Bool {
        let name = (try? AtomicFile.read("/proc/\(process)/comm")).flatMap { $0 } ?? []
        return String(decoding: name, as: UTF8.self).hasPrefix("libvirtd")
    }

    private func pause(until deadline: Instant) async throws(Fault) {
        guard chance.now() < deadline else {
            throw Fault(.unavailable, "libvirtd did not answer in time", kind: .host, cause: lastWords())
        }
        do { try await Task.sleep(for: .milliseconds(20)) } catch { throw Fault(.cancelled, "the wait was cancelled") }
    }

    /// Whether someone accepts on the socket.
    private func answers() -> Bool {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(socket.utf8)
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    // MARK: Its files

    private func writeFolders() throws(Fault) {
        // Guests' uids pass through to what QEMU opens under lib.
        for folder in [installation.node, state] + ["etc", "lib", "run", "log", "cache"].map({ state + "/" + $0 }) {
            try GuestFolder.makeFolder(folder, mode: 0o711)
        }
    }

    private func writeConfiguration() throws(Fault) {
        let uuidFile = state + "/host.uuid"
        let uuid: String
        if let known = try AtomicFile.read(uuidFile, limit: 64) {
            uuid = String(decoding: known, as: UTF8.self)
        } else {
            uuid = Machine.uuid(bits: chance.bits())
            try AtomicFile.write(Array(uuid.utf8), to: uuidFile)
        }
        try AtomicFile.write(Array(LibvirtConfiguration.daemon(hostUUID: uuid).utf8), to: state + "/etc/libvirtd.conf")
        try AtomicFile.write(Array(LibvirtConfiguration.qemu.utf8), to: state + "/etc/qemu.conf")
    }

    /// After a reboot libvirt expects its run folder to be empty; ours lies on the disk.
    private func forgetEarlierBoot() throws(Fault) {
        let boot = try AtomicFile.read("/proc/sys/kernel/random/boot_id", limit: 64) ?? []
        let known = try AtomicFile.read(state + "/boot", limit: 64)
        if known == boot { return }
        try GuestFolder.removeTree(state + "/run")
        try GuestFolder.makeFolder(state + "/run", mode: 0o711)
        try AtomicFile.write(boot, to: state + "/boot")
    }

    /// Ends the machines that a killed libvirtd was starting. The next one would take up the start of
    /// one that had no process yet (`pid='0'`), which nobody ends, and refuse every change of it.
    private func endHalfStarted() throws(Fault) {
        // One that is still coming up has read them already.
        if let process = Self.number(in: pidFile), isDaemon(process) { return }
        let folder = state + "/run/qemu"
        for file in try Folder.names(in: folder) where file.hasSuffix(".xml") {
            let name = String(file.dropLast(4))
            guard let status = try AtomicFile.read("\(folder)/\(file)", limit: 4 << 20),
                Self.isHalfStarted(String(decoding: status, as: UTF8.self))
            else { continue }
            if let process = Self.process(of: name, installation: installation) {
                let command = (try? AtomicFile.read("/proc/\(process)/cmdline")).flatMap { $0 } ?? []
                if String(decoding: command, as: UTF8.self).contains("guest=\(name),") { kill(process, SIGKILL) }
            }
            for left in [".xml.new", ".pid", ".xml"] { unlink("\(folder)/\(name)\(left)") }
        }
    }

    /// Whether libvirt's file on a running domain says that its start was not finished.
    static func isHalfStarted(_ status: String) -> Bool {
        guard let start = status.firstRange(of: "<domstatus ") else { return false }
        return status[start.upperBound...].prefix { $0 != ">" }.contains("reason='starting up'")
    }

    // MARK: Its start

    /// Moves itself into the cgroups that are its own arguments up to `--`, and then lets the rest go
    /// on its own, in a session without a terminal. `$1` is where its output goes. Whatever the umask
    /// of the starter, guests' users must pass through the folders that libvirt makes.
    private static let launcher = """
        cd /; umask 022; output=$1; shift
        while [ "$1" != -- ]; do { echo $$ > "$1"; } 2>/dev/null; shift; done
        shift
        exec setsid --fork env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@" </dev/null >>"$output" 2>&1
        """

    /// Covers libvirt's folders with ours, in the mount namespace that it is started in. `$1` is ours.
    private static let mounter = """
        set -e
        cover() { mkdir -p "$2"; mount --bind "$1" "$2"; }
        cover "$1/etc" /etc/libvirt
        cover "$1/lib" /var/lib/libvirt
        cover "$1/run" /run/libvirt
        cover "$1/log" /var/log/libvirt
        cover "$1/cache" /var/cache/libvirt
        exec libvirtd -f /etc/libvirt/libvirtd.conf -p "$1/libvirtd.pid"
        """

    /// What the host mounts or unmounts later is followed (`slave`): a private copy of the mounts would
    /// keep every network namespace of that moment alive for good.
    private func launch() async throws(Fault) {
        let bounded = ["--bound", GuestFolder.all(of: installation), "--bound", state + "/log"]
        let namespace = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", Self.mounter, "libvirt", state]
        try await Command.run(
            "sh",
            ["-c", Self.launcher, "launcher", state + "/log/start.log"] + groups.keeperFiles() + ["--"] + reaper + bounded + ["--"]
                + namespace)
    }

    private func lastWords() -> String {
        let lines = ["/log/start.log", "/log/libvirtd.log"].map { name in
            let bytes = (try? BoundedLog(state + name).tail(1500)) ?? []
            return String(decoding: bytes, as: UTF8.self)
        }
        return lines.joined(separator: "\n")
    }

    private static func number(in file: String) -> Int32? {
        guard let bytes = (try? AtomicFile.read(file, limit: 64)).flatMap({ $0 }) else { return nil }
        return Int32(String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self))
    }

    /// What RFC 3986 leaves unreserved, and `/`; the rest in percent.
    static func escapedForURI(_ path: String) -> String {
        var text = ""
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += "%" + hexDigits([byte])
            }
        }
        return text
    }
}
