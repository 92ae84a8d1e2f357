//  What the C library says of folders and of its own failures.

import Model

#if canImport(Glibc)
    import Glibc
#endif

/// What errno means.
public func systemError(_ number: Int32 = errno) -> String { String(cString: strerror(number)) }

public enum Folder {
    /// The names in a folder but for `.` and `..`, sorted; none if there is no such folder.
    ///
    /// - Throws: `Fault.storage` if it cannot be read.
    public static func names(in path: String) throws(Fault) -> [String] {
        guard let folder = opendir(path) else {
            if errno == ENOENT { return [] }
            throw Fault(.storage, "could not list \(path): \(systemError())")
        }
        defer { closedir(folder) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(folder) {
            // In place: an entry is as long as its name, and a copy of the whole array would read beyond it.
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw Fault(.storage, "could not list \(path): \(systemError())") }
        return names.sorted()
    }

    /// Makes a folder and those above it, where they are not there yet.
    ///
    /// - Parameter mode: The permissions of those that are made.
    public static func make(_ path: String, mode: UInt32 = 0o700) throws(Fault) {
        if mkdir(path, mode_t(mode)) == 0 || errno == EEXIST { return }
        if errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try make(String(path[..<slash]), mode: mode)
            if mkdir(path, mode_t(mode)) == 0 || errno == EEXIST { return }
        }
        throw Fault(.storage, "could not make \(path): \(systemError())")
    }

    /// The names in a folder, or none where it cannot be read.
    public static func readableNames(in path: String) -> [String] { (try? names(in: path)) ?? [] }
}
