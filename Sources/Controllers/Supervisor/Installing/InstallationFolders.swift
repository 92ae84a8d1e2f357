//  Makes and removes the folders of an installation, each with the owner and mode that keep the
//  three processes and the guests apart. A file in the state folder says whose they are; without
//  it nothing is removed.

import Model
import Platform

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#endif

public enum InstallationFolders {
    /// The layout of the files that this program reads and writes.
    public static let layout = 1

    /// Written into the state folder.
    public struct Mark: Sendable, Hashable, Codable {
        public var mark: String
        public var layout: Int
    }

    static func markFile(_ installation: Installation) -> String { installation.state + "/installation.json" }

    /// Makes what is missing and mends owners and modes. Safe to run again.
    ///
    /// - Returns: The users that the processes run as.
    /// - Throws: `Fault.inUse` for files of another mark or a newer program; `Fault.storage` for a
    ///   path that is not a folder (a link is not).
    public static func prepare(_ installation: Installation) async throws(Fault) -> SystemUsers {
        if let found = try mark(of: installation) {
            guard found.mark == installation.mark else {
                throw Fault(.inUse, "\(installation.state) belongs to the installation marked \(found.mark)")
            }
            guard found.layout <= layout else {
                throw Fault(
                    .inUse, "\(installation.state) was written by a newer Karri (layout \(found.layout); this one knows \(layout))")
            }
        }
        let users = try await SystemUsers.prepare(installation)
        try makeParents(installation.root)
        for folder in folders(installation, users) { try make(folder) }
        try write(Mark(mark: installation.mark, layout: layout), to: markFile(installation))
        return users
    }

    /// What the state folder's mark says; nil where there is none.
    public static func mark(of installation: Installation) throws(Fault) -> Mark? {
        guard let bytes = try AtomicFile.read(markFile(installation), limit: 1 << 16) else { return nil }
        do {
            return try JSONDecoder().decode(Mark.self, from: Data(bytes))
        } catch {
            throw Fault(.storage, "\(markFile(installation)) is not a mark of Karri's", because: error)
        }
    }

    /// Removes the users, control groups and folders of an installation whose supervisor has
    /// stopped, after unmounting what is mounted below. Run again, it goes on.
    ///
    /// - Throws: `Fault.inUse` while the supervisor runs; `Fault.denied` for folders without the
    ///   installation's mark.
    public static func uninstall(_ installation: Installation) async throws(Fault) {
        if let supervisor = Supervisor.running(installation) {
            throw Fault(.inUse, "the supervisor still runs, as process \(supervisor.pid)")
        }
        let removed = [installation.run, installation.logs, installation.configuration, installation.state]
        guard let found = try mark(of: installation) else {
            if removed.allSatisfy({ access($0, F_OK) != 0 }) { return try await SystemUsers.remove(installation) }
            throw Fault(.denied, "\(installation.state) does not carry Karri's mark; nothing is removed")
        }
        guard found.mark == installation.mark else {
            throw Fault(.denied, "\(installation.state) belongs to the installation marked \(found.mark)")
        }
        for point in mounts(below: removed, in: readText("/proc/self/mountinfo") ?? "") {
            guard umount2(point, Int32(MNT_DETACH)) == 0 else {
                throw Fault(.storage, "could not unmount \(point): \(systemError())")
            }
        }
        ControlGroups.ofThisHost(mark: installation.mark).removeAll()
        // The state folder goes last, because the mark in it is what allows to go on.
        for folder in removed { try await Command.run("rm", ["-rf", "--one-file-system", "--", folder]) }
        // Under a root of its own the folders above were made for it, and the root was; one that holds
        // another's files stays.
        if !installation.root.isEmpty { for folder in parents.reversed() + [""] { rmdir(installation.root + folder) } }
        try await SystemUsers.remove(installation)
    }

    /// Mount points at or below some folders, the deepest first (proc(5), mountinfo).
    static func mounts(below folders: [String], in table: String) -> [String] {
        table.split(separator: "\n").compactMap { line -> String? in
            let fields = line.split(separator: " ")
            guard fields.count > 4 else { return nil }
            let point = unescaped(fields[4])
            return folders.contains { point == $0 || point.hasPrefix($0 + "/") } ? point : nil
        }.reversed()
    }

    /// The kernel writes space, tab, newline and backslash as three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    struct Folder {
        var path: String
        var owner = RunAs(user: 0, group: 0)
        var mode: UInt32
    }

    /// In the order in which they are made. Guests' users pass through the folders of mode 0711 to
    /// their own disks and sockets and can list none.
    static func folders(_ installation: Installation, _ users: SystemUsers) -> [Folder] {
        [
            Folder(path: installation.configuration, owner: RunAs(user: 0, group: users.control.group), mode: 0o750),
            Folder(path: installation.state, mode: 0o711),
            Folder(path: installation.store, owner: users.control, mode: 0o700),
            Folder(path: installation.objects, owner: users.control, mode: 0o700),
            Folder(path: installation.pool, mode: 0o711),
            Folder(path: installation.node, mode: 0o711),
            Folder(path: installation.run, mode: 0o755),
            Folder(path: parent(installation.fabricSocket), owner: users.control, mode: 0o700),
            Folder(path: parent(installation.adminSocket), owner: users.control, mode: 0o700),
            Folder(path: installation.logs, mode: 0o750),
        ]
    }

    private static func parent(_ path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "/" }

    private static func makeParents(_ root: String) throws(Fault) {
        var path = ""
        for part in root.split(separator: "/") {
            path += "/\(part)"
            try makeIfMissing(path)
        }
        for below in parents { try makeIfMissing(root + below) }
    }

    /// The folders below a root that an installation's own lie in, the outer ones first.
    private static let parents = ["/etc", "/var", "/var/lib", "/var/log", "/run"]

    private static func makeIfMissing(_ path: String) throws(Fault) {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
            throw Fault(.storage, "could not make \(path): \(systemError())")
        }
    }

    private static func make(_ folder: Folder) throws(Fault) {
        guard mkdir(folder.path, 0o700) == 0 || errno == EEXIST else {
            throw Fault(.storage, "could not make \(folder.path): \(systemError())")
        }
        // By descriptor and through no link: the folders of *control* are another user's to rename.
        let descriptor = open(folder.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw Fault(.storage, "\(folder.path) is not a folder: \(systemError())") }
        defer { close(descriptor) }
        guard fchown(descriptor, folder.owner.user, folder.owner.group) == 0, fchmod(descriptor, mode_t(folder.mode)) == 0 else {
            throw Fault(.storage, "could not give \(folder.path) its owner: \(systemError())")
        }
    }

    private static func write(_ mark: Mark, to path: String) throws(Fault) {
        let data: Data
        do { data = try JSONEncoder().encode(mark) } catch {
            throw Fault(.internalError, "the mark cannot be encoded", because: error)
        }
        try AtomicFile.write(Array(data), to: path, mode: 0o644)
    }
}
