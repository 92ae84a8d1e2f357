//  A file that one process at a time holds, and that says who: a second supervisor, or a second
//  control on the same store, is refused with the first one's number.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// A lock with its holder's number, start and boot in it.
public final class LockFile: Sendable {
    private let lock: FileLock

    /// Takes the lock and writes this process's identity into the file.
    ///
    /// - Throws: `Fault.inUse` with the holder's number if another process holds it.
    public init(_ path: String) throws(Fault) {
        do throws(Fault) {
            lock = try FileLock(path, mode: 0o644)
        } catch {
            guard error.code == .inUse, let holder = LockFile.holder(of: path) else { throw error }
            throw Fault(.inUse, "\(path) is held by process \(holder.pid)")
        }
        guard let own = ProcessIdentity.own else { throw Fault(.internalError, "/proc is not mounted") }
        let text = Array("\(own.pid) \(own.startTicks) \(own.boot)\n".utf8)
        guard ftruncate(lock.descriptor, 0) == 0, pwrite(lock.descriptor, text, text.count, 0) == text.count else {
            throw Fault(.storage, "could not write \(path): \(systemError())")
        }
    }

    public func release() { lock.release() }

    /// The living process that a lock file names, or nil.
    public static func holder(of path: String) -> ProcessIdentity? {
        guard let words = readText(path)?.split(whereSeparator: \.isWhitespace), let first = words.first, let pid = Int32(first),
            let identity = ProcessIdentity(pid: pid),
            words.elementsEqual(["\(pid)", "\(identity.startTicks)", "\(identity.boot)"])
        else { return nil }
        return identity
    }
}
