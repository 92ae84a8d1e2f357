//  A log that someone else writes, kept from filling the disk. The writer appends (O_APPEND), so the
//  file may be cut under it; the last part is kept beside it.

import Model

#if canImport(Glibc)
    import Glibc
#endif

/// One log file, whose last part may lie in `PATH.1`.
public struct BoundedLog: Sendable {
    /// A log longer than this is cut.
    static let bytesMax = 1 << 20
    /// What is kept of it then.
    static let keptBytes = 64 << 10

    let path: String
    private var earlier: String { path + ".1" }

    public init(_ path: String) { self.path = path }

    /// The log's last bytes, across a cut; empty if there is no log.
    public func tail(_ limit: Int) throws(Fault) -> [UInt8] {
        let last = try Self.end(of: path, limit)
        if last.count >= limit { return last }
        return try Self.end(of: earlier, limit - last.count) + last
    }

    /// Cuts the log if it is too long. What the writer adds between the copy and the cut is lost.
    ///
    /// - Returns: Whether it was cut.
    @discardableResult
    public func trim() throws(Fault) -> Bool {
        guard let file = try Self.openRegular(path, O_RDWR) else { return false }
        defer { close(file) }
        // Two keepers may watch one folder after the daemon was started anew.
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else { return false }
        guard try Self.size(file, path) > Self.bytesMax else { return false }
        try keep(Self.end(of: file, path, Self.keptBytes))
        guard ftruncate(file, 0) == 0 else { throw GuestFolder.failure("cut", path) }
        return true
    }

    private func keep(_ bytes: [UInt8]) throws(Fault) {
        unlink(earlier)
        let file = open(earlier, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw GuestFolder.failure("make", earlier) }
        defer { close(file) }
        guard bytes.withUnsafeBytes({ write(file, $0.baseAddress, $0.count) }) == bytes.count else {
            throw GuestFolder.failure("write", earlier)
        }
    }

    static func removeFile(_ path: String) { unlink(path) }

    private static func end(of path: String, _ limit: Int) throws(Fault) -> [UInt8] {
        guard let file = try openRegular(path, O_RDONLY) else { return [] }
        defer { close(file) }
        return try end(of: file, path, limit)
    }

    private static func end(of file: Int32, _ path: String, _ limit: Int) throws(Fault) -> [UInt8] {
        let start = max(0, try size(file, path) - limit)
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, start) }
        guard count >= 0 else { throw GuestFolder.failure("read", path) }
        return Array(bytes.prefix(count))
    }

    private static func size(_ file: Int32, _ path: String) throws(Fault) -> Int {
        var status = stat()
        guard fstat(file, &status) == 0 else { throw GuestFolder.failure("look at", path) }
        return Int(status.st_size)
    }

    /// Nil if there is no such file. A link, a pipe, or a file with a second name is refused: root
    /// reads and cuts here what another user wrote.
    private static func openRegular(_ path: String, _ mode: Int32) throws(Fault) -> Int32? {
        let file = open(path, mode | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        if file < 0, errno == ENOENT { return nil }
        guard file >= 0 else { throw GuestFolder.failure("open", path) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 else {
            close(file)
            throw Fault(.storage, "\(path) is not an ordinary file")
        }
        return file
    }
}
