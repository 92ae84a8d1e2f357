//  A lock that one process at a time holds on a file, and that the kernel takes back however the
//  process ends.

import Model

#if canImport(Glibc)
    import Glibc
#endif

/// An exclusive lock (flock(2)), held until `release`, the object's or the process's end.
public final class FileLock: Sendable {
    /// The open file, for what its holder writes into it.
    public let descriptor: Int32

    /// Takes the lock; the file is made if there is none.
    ///
    /// - Parameter mode: The permissions of a file that is made.
    /// - Throws: `Fault.inUse` if it is held; `Fault.storage` if the file cannot be opened.
    public init(_ path: String, mode: UInt32 = 0o600) throws(Fault) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode_t(mode))
        guard descriptor >= 0 else { throw Fault(.storage, "could not open \(path): \(systemError())") }
        // `deinit` closes the file, after a throw as well: closing it here too would close whatever
        // got its number in between.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw Fault(.inUse, "\(path) is locked by another owner") }
    }

    /// The file stays: removing it would let two processes lock two files of one name.
    public func release() { flock(descriptor, LOCK_UN) }

    deinit { if descriptor >= 0 { close(descriptor) } }
}
