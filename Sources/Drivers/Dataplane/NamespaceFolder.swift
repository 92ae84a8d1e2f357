//  The folder in which named network namespaces lie (ip-netns(8)).

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

enum NamespaceFolder {
    /// The names there; none if there is no folder yet.
    static func names() throws(Fault) -> [String] { try Folder.names(in: HostShell.namespaceFolder) }

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
