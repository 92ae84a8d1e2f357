//  Limits on memory and tasks of a whole process tree, through control groups of either version.
//  Groups lie directly under the root as MARK/NAME, where uninstall finds them.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The control groups of one installation.
public struct ControlGroups: Sendable {
    public enum Version: String, Sendable, Codable { case none, one, two }

    public let mark: String
    private let mount: String
    public let version: Version

    public init(mark: String, mount: String = "/sys/fs/cgroup") {
        self.mark = mark
        self.mount = mount
        version = ControlGroups.version(at: mount)
    }

    static func version(at mount: String) -> Version {
        if access("\(mount)/cgroup.controllers", F_OK) == 0 { return .two }
        return access("\(mount)/memory/cgroup.procs", F_OK) == 0 ? .one : .none
    }

    /// The folders of one group: one in all, or one for each controller.
    private func folders(_ name: String) -> [String] {
        switch version {
        case .none: []
        case .one: ["memory", "pids"].map { "\(mount)/\($0)/\(mark)/\(name)" }
        case .two: ["\(mount)/\(mark)/\(name)"]
        }
    }

    /// Makes a group with these limits, and opens the files through which a process joins it.
    ///
    /// - Returns: Descriptors for the caller to close; none where the host has no control groups.
    /// - Throws: `Fault.driver` if the kernel refuses.
    func open(_ name: String, _ limits: ResourceLimits) throws(Fault) -> [Int32] {
        var descriptors: [Int32] = []
        do throws(Fault) {
            if version == .two { try delegate() }
            for folder in folders(name) {
                try makeFolders(folder, below: mount)
                try set(limits, in: folder)
                let file = Glibc.open("\(folder)/cgroup.procs", O_WRONLY | O_CLOEXEC)
                guard file >= 0 else { throw Fault(.driver, "could not open \(folder)/cgroup.procs: \(systemError())") }
                descriptors.append(file)
            }
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
        return descriptors
    }

    /// Controllers act in a group only if each group above passes them on.
    private func delegate() throws(Fault) {
        try makeFolders("\(mount)/\(mark)", below: mount)
        for folder in [mount, "\(mount)/\(mark)"] { try put("+memory +pids", in: "\(folder)/cgroup.subtree_control") }
    }

    private func set(_ limits: ResourceLimits, in folder: String) throws(Fault) {
        let memory = version == .two ? "memory.max" : "memory.limit_in_bytes"
        for (file, value) in [(memory, limits.memoryBytes), ("pids.max", limits.tasks)] {
            let path = "\(folder)/\(file)"
            guard let value, access(path, F_OK) == 0 else { continue }
            try put("\(value)", in: path)
        }
    }

    /// Removes every group of the mark; those that still hold processes stay.
    ///
    /// - Returns: The folders that could not be removed.
    public func removeAll() -> [String] {
        let roots =
            switch version {
            case .none: [String]()
            case .one: ["memory", "pids"].map { "\(mount)/\($0)/\(mark)" }
            case .two: ["\(mount)/\(mark)"]
            }
        return roots.flatMap { root -> [String] in
            let groups = names(in: root).filter { access("\(root)/\($0)/cgroup.procs", F_OK) == 0 }.map { "\(root)/\($0)" }
            return (groups + [root]).filter { rmdir($0) != 0 && errno != ENOENT }
        }
    }

    private func put(_ text: String, in path: String) throws(Fault) {
        let file = Glibc.open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw Fault(.driver, "could not open \(path): \(systemError())") }
        defer { close(file) }
        guard write(file, text, text.utf8.count) == text.utf8.count else {
            throw Fault(.driver, "could not write \(text) to \(path): \(systemError())")
        }
    }

    private func makeFolders(_ path: String, below root: String) throws(Fault) {
        var folder = root
        for part in path.dropFirst(root.count).split(separator: "/") {
            folder += "/\(part)"
            guard mkdir(folder, 0o755) == 0 || errno == EEXIST else {
                throw Fault(.driver, "could not make \(folder): \(systemError())")
            }
        }
    }
}

/// The names in a folder but for `.` and `..`; none if it cannot be read.
func names(in folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}
