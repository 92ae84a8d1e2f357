//  Limits on memory and tasks of a whole process tree, through the control group `MARK/NAME`.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

extension ControlGroups {
    /// Makes a process's group with these limits, and opens the files through which it joins.
    ///
    /// - Returns: Descriptors for the caller to close, and what could not be held, in words.
    func open(_ name: String, _ limits: ResourceLimits) -> (descriptors: [Int32], unheld: [String]) {
        var folders: [String] = []
        var unheld: [String] = []
        for (file, value) in [(File.memory, limits.memoryBytes), (File.tasks, limits.tasks)] {
            guard let value else { continue }
            guard let (path, _) = path(of: file, in: name) else {
                unheld.append("no control group has \(file.version2.name)")
                continue
            }
            guard ControlGroups.write("\(value)", to: path) else {
                unheld.append("could not write \(value) to \(path): \(systemError())")
                continue
            }
            let folder = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
            if !folders.contains(folder) { folders.append(folder) }
        }
        var descriptors: [Int32] = []
        for folder in folders {
            let file = Glibc.open("\(folder)/cgroup.procs", O_WRONLY | O_CLOEXEC)
            if file >= 0 {
                descriptors.append(file)
            } else {
                unheld.append("could not open \(folder)/cgroup.procs: \(systemError())")
            }
        }
        return (descriptors, unheld)
    }
}
