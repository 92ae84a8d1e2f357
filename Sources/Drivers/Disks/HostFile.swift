//  An open file of the host, closed when it goes, with the calls that a pool makes on it. All of
//  them block: they run on a pool's own executor or an import's.

import Glibc
import Model
import Platform

/// SEEK_DATA and SEEK_HOLE of lseek(2), which Glibc's module leaves out.
private let seekData: Int32 = 3
private let seekHole: Int32 = 4

struct HostFile: ~Copyable {
    let descriptor: Int32
    let path: String

    /// Opens a regular file, or throws `storage`. A symbolic link as the last name is refused
    /// unless `followsLinks`; a pipe or device never blocks the opening.
    init(_ path: String, _ flags: Int32, mode: mode_t = 0o600, followsLinks: Bool = false) throws(Fault) {
        let nofollow = followsLinks ? 0 : O_NOFOLLOW
        descriptor = open(path, flags | O_CLOEXEC | O_NONBLOCK | nofollow, mode)
        self.path = path
        guard descriptor >= 0 else {
            let code: Fault.Code = errno == ENOENT ? .notFound : .storage
            throw Fault(code, "could not open \(path): \(systemError())")
        }
        guard try status().st_mode & S_IFMT == S_IFREG else { throw Fault(.storage, "\(path) is not a regular file") }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func failure(_ verb: String) -> Fault {
        let code: Fault.Code = errno == ENOSPC || errno == EDQUOT ? .noCapacity : .storage
        return Fault(code, "could not \(verb) \(path): \(systemError())")
    }

    func status() throws(Fault) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("look at") }
        return status
    }

    /// Reads until `buffer` is full or the file ends.
    func read(at offset: Int64, into buffer: inout [UInt8]) throws(Fault) -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = buffer[filled...].withUnsafeMutableBytes {
                pread(descriptor, $0.baseAddress, $0.count, off_t(offset) + off_t(filled))
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read") }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    func read(at offset: Int64, count: Int) throws(Fault) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        let filled = try read(at: offset, into: &buffer)
        return Array(buffer.prefix(filled))
    }

    func write(_ bytes: some Collection<UInt8>, at offset: Int64) throws(Fault) {
        try write(Array(bytes)[...], at: offset)
    }

    func write(_ bytes: ArraySlice<UInt8>, at offset: Int64) throws(Fault) {
        var written = 0
        while written < bytes.count {
            let rest = bytes.dropFirst(written)
            let count = rest.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset) + off_t(written)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write") }
            written += count
        }
    }

    func truncate(to size: Int64) throws(Fault) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw failure("size") }
    }

    func sync() throws(Fault) {
        guard fsync(descriptor) == 0 else { throw failure("sync") }
    }

    func give(to user: UInt32, mode: mode_t) throws(Fault) {
        guard fchown(descriptor, user, user) == 0, fchmod(descriptor, mode) == 0 else { throw failure("give away") }
    }

    /// The next stretch of the file that is not a hole, at or after `offset`; nil when none follows.
    func nextData(from offset: Int64, fileSize: Int64) throws(Fault) -> Range<Int64>? {
        guard offset < fileSize else { return nil }
        let start = lseek(descriptor, off_t(offset), seekData)
        if start < 0, errno == ENXIO { return nil }
        // A file system without holes: all of it is data.
        if start < 0, errno == EINVAL { return offset..<fileSize }
        guard start >= 0 else { throw failure("seek in") }
        let end = lseek(descriptor, start, seekHole)
        guard end > start else { throw failure("seek in") }
        return start < fileSize ? Int64(start)..<min(Int64(end), fileSize) : nil
    }
}

/// Names in folders.
enum HostFolder {
    static func make(_ path: String, mode: mode_t) throws(Fault) {
        guard mkdir(path, mode) == 0 || errno == EEXIST, chmod(path, mode) == 0 else {
            throw Fault(.storage, "could not make \(path): \(systemError())")
        }
    }

    /// What lies at a name, without following it; nil if nothing does.
    static func status(_ path: String) throws(Fault) -> stat? {
        var status = stat()
        if lstat(path, &status) == 0 { return status }
        guard errno == ENOENT else { throw Fault(.storage, "could not look at \(path): \(systemError())") }
        return nil
    }

    /// Moves a name; false if there is nothing by the old one.
    @discardableResult
    static func move(_ from: String, to: String) throws(Fault) -> Bool {
        if rename(from, to) == 0 { return true }
        guard errno == ENOENT, try status(from) == nil else {
            throw Fault(.storage, "could not move \(from) to \(to): \(systemError())")
        }
        return false
    }

    /// Removes a file; one that is not there is removed already.
    static func remove(_ path: String) throws(Fault) {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw Fault(.storage, "could not remove \(path): \(systemError())")
        }
    }

    /// Total and free bytes of the file system that holds `path`.
    static func space(_ path: String) throws(Fault) -> (total: ByteCount, free: ByteCount) {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw Fault(.storage, "could not measure \(path): \(systemError())") }
        let unit = Int64(status.f_frsize)
        return (ByteCount(Int64(status.f_blocks) * unit), ByteCount(Int64(status.f_bavail) * unit))
    }
}

extension stat {
    var allocated: ByteCount { ByteCount(Int64(st_blocks) * 512) }
    var isRegular: Bool { st_mode & S_IFMT == S_IFREG }
}
