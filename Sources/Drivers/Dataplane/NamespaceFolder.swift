//  The folder in which named network namespaces lie (ip-netns(8)).

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

enum NamespaceFolder {
    /// The names there; none if there is no folder yet.
    static func names() throws(Fault) -> [String] {
        guard let folder = opendir(HostShell.namespaceFolder) else {
            if errno == ENOENT { return [] }
            throw Fault(.driver, "the namespaces could not be listed: \(systemError())")
        }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Whether a name leads to a namespace. A file without one, left by a crash between its making
    /// and its mounting, is removed: `ip netns add` would refuse it.
    static func holds(_ name: String) -> Bool {
        let path = "\(HostShell.namespaceFolder)/\(name)"
        var folder = stat()
        var file = stat()
        guard stat(HostShell.namespaceFolder, &folder) == 0, stat(path, &file) == 0 else { return false }
        // What is mounted there lies on another device than the folder.
        if file.st_dev != folder.st_dev { return true }
        unlink(path)
        return false
    }
}
