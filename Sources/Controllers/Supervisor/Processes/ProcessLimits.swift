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
        let asked = [("memory", File.memory, limits.memoryBytes), ("tasks", File.tasks, limits.tasks)].compactMap {
            name, file, value in
            value.map { (name, file, version1: "\($0)", version2: "\($0)") }
        }
        let (folders, refused) = limit(name, to: asked)
        var unheld = refused.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
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
