//  Limits on a machine's QEMU by way of cgroups, version 1, 2 or both side by side. libvirt is told to
//  keep its hands off them: without systemd's machined it holds none, and thread limits never.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The host's cgroup hierarchies, and where in each Karri's groups lie: `BASE/MARK/machines/NAME`.
///
/// The base is the group that this process was started in, so that limits of a container or a job hold
/// for its machines too; but where systemd made that group, it is the hierarchy's root, because systemd
/// kills a unit's group with the unit, and machines outlive Karri.
public struct CgroupTree: Sendable, Hashable {
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

    /// The hierarchies of the machine that this process runs on; none if it cannot be seen.
    public static func ofThisHost(installation: Installation) -> CgroupTree {
        let mounts = (try? AtomicFile.read("/proc/self/mountinfo")).flatMap { $0 } ?? []
        let own = (try? AtomicFile.read("/proc/self/cgroup")).flatMap { $0 } ?? []
        var hierarchies = parse(mounts: String(decoding: mounts, as: UTF8.self), own: String(decoding: own, as: UTF8.self))
        for index in hierarchies.indices where hierarchies[index].version == 2 {
            hierarchies[index].controllers = Set(words(of: hierarchies[index].base + "/cgroup.controllers"))
        }
        return CgroupTree(hierarchies: hierarchies, mark: installation.mark)
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

extension CgroupTree {
    private func machines(_ hierarchy: Hierarchy) -> String { "\(hierarchy.base)/\(mark)/machines" }

    /// The cgroup.procs files of Karri's group for what outlives it, made where they can be.
    func keeperGroups() -> [String] {
        hierarchies.compactMap { hierarchy in
            let group = "\(hierarchy.base)/\(mark)/libvirt"
            guard Self.make(group) else { return nil }
            return group + "/cgroup.procs"
        }
    }

    /// The limits that cannot be held here, with why. Empty is good.
    public func unheldLimits() -> [String: String] {
        var unheld: [String: String] = [:]
        for limit in LimitFile.all where path(of: limit, in: "") == nil {
            unheld[limit.name] = "no writable cgroup has \(limit.version1.file) or \(limit.version2.file)"
        }
        return unheld
    }

    /// Puts a process under limits.
    ///
    /// - Returns: Those asked for that are not held, with why.
    func hold(_ process: Int32, in name: String, to limits: Machine.Limits) -> [String: String] {
        var unheld: [String: String] = [:]
        var entered: Set<String> = []
        for limit in LimitFile.all {
            guard let value = limit.value(limits) else { continue }
            guard let (file, version) = path(of: limit, in: "/" + name) else {
                unheld[limit.name] = "no cgroup for it"
                continue
            }
            guard Self.write(version == 1 ? value.version1 : value.version2, to: file) else {
                unheld[limit.name] = "could not write \(file): \(String(cString: strerror(errno)))"
                continue
            }
            let group = String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)])
            guard entered.insert(group).inserted else { continue }
            if !Self.write(String(process), to: group + "/cgroup.procs") {
                unheld[limit.name] = "could not move the process into \(group): \(String(cString: strerror(errno)))"
            }
        }
        return unheld
    }

    /// Removes a machine's groups, which are empty once it has ended.
    func remove(_ name: String) {
        for hierarchy in hierarchies { rmdir(machines(hierarchy) + "/" + name) }
    }

    /// Removes all of Karri's groups that nothing is in: what uninstall does.
    public func removeAll() {
        for hierarchy in hierarchies {
            for name in (try? GuestFolder.names(in: machines(hierarchy))) ?? [] { rmdir(machines(hierarchy) + "/" + name) }
            for part in ["/machines", "/libvirt", ""] { rmdir("\(hierarchy.base)/\(mark)\(part)") }
        }
    }

    /// The file of a limit in a group under `machines`, which is made; nil if there is none.
    private func path(of limit: LimitFile, in group: String) -> (path: String, version: Int)? {
        for hierarchy in hierarchies {
            let entry = hierarchy.version == 1 ? limit.version1 : limit.version2
            guard hierarchy.controllers.contains(entry.controller) else { continue }
            guard Self.make(machines(hierarchy)) else { continue }
            if hierarchy.version == 2 { enable(entry.controller, hierarchy) }
            guard group.isEmpty || Self.make(machines(hierarchy) + group) else { continue }
            let path = machines(hierarchy) + group + "/" + entry.file
            if access(path, W_OK) == 0 { return (path, hierarchy.version) }
        }
        return nil
    }

    /// Version 2 hands a controller down level by level; a group with processes of its own cannot.
    private func enable(_ controller: String, _ hierarchy: Hierarchy) {
        for folder in [hierarchy.base, "\(hierarchy.base)/\(mark)", machines(hierarchy)] {
            _ = Self.write("+" + controller, to: folder + "/cgroup.subtree_control")
        }
    }

    private static func make(_ folder: String) -> Bool {
        if mkdir(folder, 0o755) == 0 || errno == EEXIST { return access(folder, W_OK) == 0 }
        guard errno == ENOENT, let slash = folder.lastIndex(of: "/"), slash != folder.startIndex else { return false }
        return make(String(folder[..<slash])) && (mkdir(folder, 0o755) == 0 || errno == EEXIST)
    }

    /// One write: the kernel reads a control file's new value from a single one.
    private static func write(_ value: String, to file: String) -> Bool {
        let descriptor = open(file, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Array(value.utf8)
        return Glibc.write(descriptor, bytes, bytes.count) == bytes.count
    }

    private static func words(of file: String) -> [String] {
        let bytes = (try? AtomicFile.read(file)).flatMap { $0 } ?? []
        return String(decoding: bytes, as: UTF8.self).split { $0 == " " || $0 == "\n" }.map(String.init)
    }
}

/// Which file holds a limit in each version, and how the limit is written there
/// (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of Linux).
struct LimitFile: Sendable {
    typealias Entry = (controller: String, file: String)

    /// The property of `Machine.Limits`.
    let name: String
    let version1: Entry
    let version2: Entry
    let value: @Sendable (Machine.Limits) -> (version1: String, version2: String)?

    static let cpuPeriodMicroseconds = 100_000

    static let all: [LimitFile] = [shares, quota, memory, threads, block]

    static let shares = LimitFile(name: "cpuShares", version1: ("cpu", "cpu.shares"), version2: ("cpu", "cpu.weight")) { limits in
        guard let shares = limits.cpuShares.map({ min(max($0, 2), 262_144) }) else { return nil }
        return (String(shares), String(1 + (shares - 2) * 9999 / 262_142))
    }

    static let quota = LimitFile(
        name: "cpuPercentMax", version1: ("cpu", "cpu.cfs_quota_us"), version2: ("cpu", "cpu.max")
    ) { limits in
        guard let percent = limits.cpuPercentMax.map({ min(max($0, 1), 1_000_000) }) else { return nil }
        let quota = percent * cpuPeriodMicroseconds / 100
        return (String(quota), "\(quota) \(cpuPeriodMicroseconds)")
    }

    static let memory = LimitFile(
        name: "memoryMax", version1: ("memory", "memory.limit_in_bytes"), version2: ("memory", "memory.max")
    ) { limits in
        limits.memoryMax.map { (String($0.bytes), String($0.bytes)) }
    }

    static let threads = LimitFile(name: "threadsMax", version1: ("pids", "pids.max"), version2: ("pids", "pids.max")) { limits in
        limits.threadsMax.map { (String($0), String($0)) }
    }

    static let block = LimitFile(name: "blockWeight", version1: ("blkio", "blkio.weight"), version2: ("io", "io.weight")) {
        limits in
        guard let weight = limits.blockWeight.map({ min(max($0, 10), 1000) }) else { return nil }
        return (String(weight), "default \(weight * 10)")
    }
}
