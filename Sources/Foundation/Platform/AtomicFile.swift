//  Files that are either the old or the new one after a power cut, never half.

import Model
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

public enum AtomicFile {
    private static let written = Atomic<UInt64>(0)

    /// Replaces `path` with `bytes`: written beside it, synced, renamed, and the folder synced.
    ///
    /// - Parameter mode: The new file's permissions, regardless of the process's umask.
    /// - Throws: `Fault.storage`; the old file is then untouched.
    public static func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o600) throws(Fault) {
        // Two writers of one file do not write into each other's.
        let number = written.wrappingAdd(1, ordering: .relaxed).newValue
        let temporary = "\(path).new.\(getpid()).\(number)"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_t(mode))
        guard file >= 0 else { throw failure("make", temporary) }
        do throws(Fault) {
            guard fchmod(file, mode_t(mode)) == 0 else { throw failure("set the mode of", temporary) }
            try writeAll(bytes, to: file, path: temporary)
            guard fsync(file) == 0 else { throw failure("sync", temporary) }
        } catch {
            close(file)
            unlink(temporary)
            throw error
        }
        close(file)
        guard rename(temporary, path) == 0 else {
            let fault = failure("put in place", path)
            unlink(temporary)
            throw fault
        }
        try syncFolder(of: path)
    }

    /// The whole of a file.
    ///
    /// - Parameter limit: A longer file is a fault.
    /// - Returns: Nil if there is no such file.
    public static func read(_ path: String, limit: Int = 64 << 20) throws(Fault) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        if file < 0, errno == ENOENT { return nil }
        guard file >= 0 else { throw failure("open", path) }
        defer { close(file) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", path) }
            if count == 0 { return content }
            guard content.count + count <= limit else { throw Fault(.storage, "\(path) is longer than \(limit) bytes") }
            content.append(contentsOf: buffer[..<count])
        }
    }

    /// Makes renames and new names in a file's folder durable.
    public static func syncFolder(of path: String) throws(Fault) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw failure("open", folder) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw failure("sync", folder) }
    }

    private static func writeAll(_ bytes: [UInt8], to file: Int32, path: String) throws(Fault) {
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write", path) }
            written += count
        }
    }

    private static func failure(_ verb: String, _ path: String) -> Fault {
        Fault(.storage, "could not \(verb) \(path): \(systemError())")
    }
}
