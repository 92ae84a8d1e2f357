//  A file that one process at a time holds, and that says who: a second supervisor, or a second
//  control on the same store, is refused with the first one's number.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// An exclusive lock (flock(2)), held until `release` or the end of the process.
public final class LockFile: Sendable {
    public let path: String
    private let descriptor: Int32

    /// Takes the lock and writes this process's number, start and boot into the file.
    ///
    /// - Throws: `Fault.inUse` with the holder's number if another process holds it.
    public init(_ path: String) throws(Fault) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else { throw Fault(.storage, "could not open \(path): \(systemError())") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            let who = LockFile.holder(of: path).map { " by process \($0.pid)" } ?? ""
            throw Fault(.inUse, "\(path) is held\(who)")
        }
        guard let own = ProcessIdentity.own else { throw Fault(.internalError, "/proc is not mounted") }
        let text = Array("\(own.pid) \(own.startTicks) \(own.boot)\n".utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
            throw Fault(.storage, "could not write \(path): \(systemError())")
        }
    }

    /// The file stays: removing it would let two processes lock two files of one name.
    public func release() { flock(descriptor, LOCK_UN) }

    deinit { close(descriptor) }

    /// The living process that a lock file names, or nil.
    public static func holder(of path: String) -> ProcessIdentity? {
        guard let words = readText(path)?.split(whereSeparator: \.isWhitespace), let first = words.first, let pid = Int32(first),
            let identity = ProcessIdentity(pid: pid),
            words.elementsEqual(["\(pid)", "\(identity.startTicks)", "\(identity.boot)"])
        else { return nil }
        return identity
    }
}
