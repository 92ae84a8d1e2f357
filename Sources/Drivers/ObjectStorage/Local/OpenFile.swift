//  Files as the kernel opens them.

import CLinux
import Model
import NIOCore
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// A descriptor that is closed with its last user.
final class OpenFile: Sendable {
    private let descriptor: Int32

    private init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }

    /// Nil where there is no such file.
    convenience init?(reading path: String) throws(Fault) {
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        guard opened >= 0 else {
            if errno == ENOENT { return nil }
            throw Fault(.storage, "could not open \(path): \(systemError())")
        }
        self.init(opened)
    }

    /// Makes a file, with room for so many bytes where the file system can reserve it.
    convenience init(making path: String, room: Int64) throws(Fault) {
        let made = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard made >= 0 else { throw OpenFile.fault("could not make \(path)", errno) }
        self.init(made)
        if room > 0, karri_reserve(made, off_t(room)) != 0, errno == ENOSPC || errno == EDQUOT {
            throw OpenFile.fault("a body could not be written", errno)
        }
    }

    /// One that is gone is no fault.
    static func remove(_ path: String) throws(Fault) {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw Fault(.storage, "could not remove \(path): \(systemError())")
        }
    }

    func length() throws(Fault) -> Int64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw OpenFile.fault("a body's length could not be read", errno) }
        return Int64(status.st_size)
    }

    func cut(to length: Int64) throws(Fault) {
        guard ftruncate(descriptor, off_t(length)) == 0 else { throw OpenFile.fault("a body could not be cut", errno) }
    }

    /// Has what is written go past the page cache, where the file system can do so, or through it. What goes past it
    /// lies at multiples of `WriteBlocks.alignment`, in memory too, and is as long as one.
    func goPastCache(_ goes: Bool) { _ = karri_set_past_cache(descriptor, goes ? 1 : 0) }

    /// Writes all of some bytes at a place.
    func write(_ bytes: ByteBuffer, at place: Int64) throws(Fault) {
        let outcome = bytes.withUnsafeReadableBytes { bytes in
            Result { () throws(Fault) in try write(bytes, at: place) }
        }
        try outcome.get()
    }

    /// Writes all of some bytes at a place.
    func write(_ bytes: UnsafeRawBufferPointer, at place: Int64) throws(Fault) {
        var left = bytes[...]
        while !left.isEmpty {
            let rest = UnsafeRawBufferPointer(rebasing: left)
            let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(place) + off_t(bytes.count - rest.count))
            if count < 0, errno == EINTR { continue }
            // Where only larger pieces go past the page cache, or the rest of one that was cut short.
            if count < 0, errno == EINVAL, karri_set_past_cache(descriptor, 0) == 1 { continue }
            guard count >= 0 else { throw OpenFile.fault("a body could not be written", errno) }
            left = left.dropFirst(count)
        }
    }

    func sync() throws(Fault) {
        guard fdatasync(descriptor) == 0 else { throw OpenFile.fault("a body could not be synced", errno) }
    }

    /// Reads so many bytes from a place on into an empty buffer; fewer where the file ends, or, unless it may
    /// block, where the rest is not in memory.
    func read(_ count: Int, at place: Int64, into buffer: inout ByteBuffer, mayBlock: Bool) throws(Fault) {
        var failure: Int32 = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            var filled = 0
            while filled < count {
                let (rest, offset) = (room.baseAddress.map { $0 + filled }, off_t(place) + off_t(filled))
                let read =
                    mayBlock
                    ? pread(descriptor, rest, count - filled, offset)
                    : karri_read_cached(descriptor, rest, count - filled, offset)
                if read < 0, errno == EINTR { continue }
                if read < 0, mayBlock { failure = errno }
                guard read > 0 else { break }
                filled += read
            }
            return filled
        }
        // A sector that the disk has lost, not a disk that could not be asked.
        guard failure != EIO else { throw ObjectFaults.bodyIsDamaged }
        guard failure == 0 else { throw OpenFile.fault("a body could not be read", failure) }
    }

    private static func fault(_ what: String, _ error: Int32) -> Fault {
        Fault(error == ENOSPC || error == EDQUOT ? .diskIsFull : .storage, "\(what): \(systemError(error))", kind: .object)
    }
}
