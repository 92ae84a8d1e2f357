//  The host's control groups, of version 1, 2 or both side by side: where an installation's groups lie
//  in them, and how they are made, limited and removed.

import Model

#if canImport(Glibc)
    import Glibc
#endif

/// The host's hierarchies, and where in each an installation's groups lie: `BASE/MARK/GROUP`, GROUP
/// being a path such as `machines/NAME`.
///
/// The base is the group that this process was started in, so that limits of a container or a job hold
/// for what it starts too; but where systemd made that group, it is the hierarchy's root, because
/// systemd kills a unit's group with the unit, and machines outlive Karri.
public struct ControlGroups: Sendable, Hashable {
    public struct Hierarchy: Sendable, Hashable {
        public var version: Int
        /// The folder under which Karri's group lies.
        public var base: String
        /// `name=systemd` is among them as it is written.
        public var controllers: Set<String>

        public init(version: Int, base: String, controllers: Set<String>) {
            self.version = version
            self.base = base
            self.controllers = controllers
        }
    }

    public let hierarchies: [Hierarchy]
    public let mark: String

    public init(hierarchies: [Hierarchy], mark: String) {
        self.hierarchies = hierarchies
        self.mark = mark
    }

    /// The hierarchies of the machine that this process runs on; none if they cannot be seen.
    public static func ofThisHost(mark: String) -> ControlGroups {
        var hierarchies = parse(mounts: text("/proc/self/mountinfo"), own: text("/proc/self/cgroup"))
        for index in hierarchies.indices where hierarchies[index].version == 2 {
            let names = text(hierarchies[index].base + "/cgroup.controllers").split { $0 == " " || $0 == "\n" }
            hierarchies[index].controllers = Set(names.map(String.init))
        }
        return ControlGroups(hierarchies: hierarchies, mark: mark)
    }

    /// - Parameters:
    ///   - mounts: /proc/self/mountinfo (proc(5)).
    ///   - own: /proc/self/cgroup (cgroups(7)).
    /// - Returns: Version 2's controllers are not in these files and left empty.
    static func parse(mounts: String, own: String) -> [Hierarchy] {
        var groups: [String: String] = [:]
        for line in own.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            for controller in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
                groups[String(controller)] = String(parts[2])
            }
        }
        return mounts.split(separator: "\n").compactMap { hierarchy(mount: $0, groups: groups) }
    }

    private static func hierarchy(mount line: Substring, groups: [String: String]) -> Hierarchy? {
        let fields = line.split(separator: " ")
        guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count >= dash + 4 else { return nil }
        let (root, point, type) = (fields[3], String(fields[4]), fields[dash + 1])
        switch type {
        case "cgroup2":
            return Hierarchy(version: 2, base: point + base(own: groups[""], root: root), controllers: [])
        case "cgroup":
            // The last option field: "rw,cpu,cpuacct" or "rw,xattr,name=systemd".
            let options = Set(fields[dash + 3].split(separator: ",").map(String.init))
            let controllers = options.intersection(["cpu", "memory", "pids", "blkio", "name=systemd"])
            guard let first = controllers.sorted().first else { return nil }
            return Hierarchy(version: 1, base: point + base(own: groups[first], root: root), controllers: controllers)
        default: return nil
        }
    }

    /// The base below a mount point: "" for its root.
    private static func base(own: String?, root: Substring) -> String {
        guard let own, own != "/" else { return "" }
        let isSystemds = own.split(separator: "/").contains {
            $0.hasSuffix(".service") || $0.hasSuffix(".scope") || $0.hasSuffix(".slice")
        }
        // A path out of the mounted part of the tree cannot be named.
        if isSystemds || own.hasPrefix("/..") { return "" }
        if root == "/" { return own }
        guard own == root || own.hasPrefix(root + "/") else { return "" }
        return String(own.dropFirst(root.count))
    }
}

// MARK: - Groups

extension ControlGroups {
    /// A file that holds a limit, and the controller that reads it, in each version
    /// (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of Linux).
    public struct File: Sendable {
        public typealias Entry = (controller: String, name: String)

        public let version1: Entry
        public let version2: Entry

        public init(version1: Entry, version2: Entry) {
            self.version1 = version1
            self.version2 = version2
        }

        public static let memory = File(version1: ("memory", "memory.limit_in_bytes"), version2: ("memory", "memory.max"))
        public static let tasks = File(version1: ("pids", "pids.max"), version2: ("pids", "pids.max"))
    }

    /// Where a limit of a group is written; the group is made. Nil where no hierarchy that can be
    /// written to has it.
    private func place(of file: File, in group: String) -> (folder: String, file: String, version: Int)? {
        for hierarchy in hierarchies {
            let entry = hierarchy.version == 1 ? file.version1 : file.version2
            let folder = folder(group, hierarchy)
            guard hierarchy.controllers.contains(entry.controller), ControlGroups.make(folder) else { continue }
            if hierarchy.version == 2 { enable(entry.controller, above: group, hierarchy) }
            if access("\(folder)/\(entry.name)", W_OK) == 0 { return (folder, entry.name, hierarchy.version) }
        }
        return nil
    }

    /// Limits a group.
    ///
    /// - Parameter limits: What is limited, by a name of the caller's, and the value as each version writes it.
    /// - Returns: The folders that hold the limits, which processes must join; and the limits that are
    ///   not held, with why.
    public func limit(
        _ group: String, to limits: [(name: String, file: File, version1: String, version2: String)]
    ) -> (folders: [String], unheld: [String: String]) {
        var folders: [String] = []
        var unheld: [String: String] = [:]
        for limit in limits {
            guard let (folder, file, version) = place(of: limit.file, in: group) else {
                unheld[limit.name] = ControlGroups.isMissing(limit.file)
                continue
            }
            let value = version == 1 ? limit.version1 : limit.version2
            if !ControlGroups.write(value, to: "\(folder)/\(file)") {
                unheld[limit.name] = "could not write \(value) to \(folder)/\(file): \(systemError())"
            } else if !folders.contains(folder) {
                folders.append(folder)
            }
        }
        return (folders, unheld)
    }

    /// Why a limit cannot be held in a group; nil: it can.
    public func obstacle(to file: File, in group: String) -> String? {
        place(of: file, in: group) == nil ? ControlGroups.isMissing(file) : nil
    }

    private static func isMissing(_ file: File) -> String {
        "no writable control group has " + Set([file.version1.name, file.version2.name]).sorted().joined(separator: " or ")
    }

    /// The files through which a process joins a group, which is made in each hierarchy where it can be.
    public func joiningFiles(of group: String) -> [String] {
        hierarchies.map { folder(group, $0) }.filter(ControlGroups.make).map { $0 + "/cgroup.procs" }
    }

    /// Sets a control file: the kernel reads its new value from a single write.
    public static func write(_ value: String, to file: String) -> Bool {
        let descriptor = open(file, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array(value.utf8)
        return Glibc.write(descriptor, bytes, bytes.count) == bytes.count
    }

    /// Removes a group, which must be empty.
    public func remove(_ group: String) {
        for hierarchy in hierarchies { rmdir(folder(group, hierarchy)) }
    }

    /// Removes every group of the mark; those that still hold processes stay.
    ///
    /// - Returns: The folders that could not be removed.
    @discardableResult
    public func removeAll() -> [String] { hierarchies.flatMap { ControlGroups.removeTree("\($0.base)/\(mark)") } }

    private func folder(_ group: String, _ hierarchy: Hierarchy) -> String { "\(hierarchy.base)/\(mark)/\(group)" }

    /// Version 2 hands a controller down level by level; a group with processes of its own cannot.
    private func enable(_ controller: String, above group: String, _ hierarchy: Hierarchy) {
        var folder = hierarchy.base
        for part in [mark[...]] + group.split(separator: "/") {
            _ = ControlGroups.write("+" + controller, to: folder + "/cgroup.subtree_control")
            folder += "/" + part
        }
    }

    private static func make(_ folder: String) -> Bool {
        if mkdir(folder, 0o755) == 0 || errno == EEXIST { return access(folder, W_OK) == 0 }
        guard errno == ENOENT, let slash = folder.lastIndex(of: "/"), slash != folder.startIndex else { return false }
        return make(String(folder[..<slash])) && (mkdir(folder, 0o755) == 0 || errno == EEXIST)
    }

    private static func removeTree(_ folder: String) -> [String] {
        let inner = Folder.readableNames(in: folder).map { folder + "/" + $0 }.filter { access($0 + "/cgroup.procs", F_OK) == 0 }
        return inner.flatMap(removeTree) + (rmdir(folder) == 0 || errno == ENOENT ? [] : [folder])
    }

    private static func text(_ path: String) -> String {
        String(decoding: (try? AtomicFile.read(path)).flatMap { $0 } ?? [], as: UTF8.self)
    }
}
