//  Keeps a log that a process appends to within a size. The writer holds the file open and may
//  outlive the supervisor, so the content is copied away and the file is cut, rather than renamed.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// How much of a log is kept: the file itself and `.1` … `.count`, the newest being `.1`.
public struct LogRotation: Sendable, Hashable {
    public var bytesMax: Int
    public var count: Int

    public init(bytesMax: Int = 16 << 20, count: Int = 3) {
        self.bytesMax = bytesMax
        self.count = count
    }

    /// Rotates when the file has grown beyond `bytesMax`. What is written between the end of the
    /// copy and the cut is lost: some microseconds' worth.
    ///
    /// - Returns: Whether it did.
    /// - Throws: `Fault.storage`. The log is cut even when no copy could be made, so that a full
    ///   disk is not kept full by it.
    @discardableResult
    public func rotate(_ path: String) throws(Fault) -> Bool {
        var facts = stat()
        guard stat(path, &facts) == 0, facts.st_size > bytesMax else { return false }
        for number in stride(from: count - 1, to: 0, by: -1) { rename("\(path).\(number)", "\(path).\(number + 1)") }
        let log = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard log >= 0 else { throw Fault(.storage, "could not open \(path): \(systemError())") }
        defer { close(log) }
        let copied = count == 0 || copy(log, to: "\(path).1", mode: facts.st_mode & 0o777)
        let reason = systemError()
        guard ftruncate(log, 0) == 0 else { throw Fault(.storage, "could not cut \(path): \(systemError())") }
        guard copied else { throw Fault(.storage, "\(path) was cut without a copy: \(reason)") }
        return true
    }

    private func copy(_ log: Int32, to path: String, mode: mode_t) -> Bool {
        let target = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard target >= 0 else { return false }
        defer { close(target) }
        // A runaway writer may outrun the copy; what lies beyond this is cut away with the rest.
        var left = bytesMax * 2
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while left > 0 {
            let count = read(log, &buffer, min(buffer.count, left))
            if count <= 0 { return count == 0 }
            guard write(target, buffer, count) == count else { return false }
            left -= count
        }
        return true
    }
}
