//  The files of an export: written beside their place, synced and put there whole, and read back with what
//  is made of their bytes. What blocks runs on an executor of each file's own.

import Crypto
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// What is made of a file's bytes, in hex.
struct FileDigest: Sendable, Hashable {
    var size: Int64
    var sha256: String
    var md5: String
}

/// Makes it.
private struct RunningDigest {
    private var size: Int64 = 0
    private var sha256 = SHA256()
    private var md5 = Insecure.MD5()

    mutating func take(_ bytes: [UInt8]) {
        size += Int64(bytes.count)
        sha256.update(data: bytes)
        md5.update(data: bytes)
    }

    var digest: FileDigest {
        FileDigest(size: size, sha256: hexDigits(Array(sha256.finalize())), md5: hexDigits(Array(md5.finalize())))
    }
}

/// A file that is being written.
actor NewFile {
    /// What the names of files end with that are not yet in place.
    static let suffix = ".karri-part"

    private let temporary: String
    private let descriptor: Int32
    private var running = RunningDigest()
    private var isOpen = true
    private let executor = BlockingExecutor(name: "karri.transfer.file")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// - Parameter temporary: Where it lies until it is put in place.
    init(at temporary: String) throws(Fault) {
        self.temporary = temporary
        let opened = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
        let failure = systemError()
        descriptor = opened
        if opened < 0 {
            isOpen = false
            throw Fault(.storage, "could not make \(temporary): \(failure)")
        }
    }

    deinit { if isOpen { close(descriptor) } }

    func write(_ bytes: [UInt8]) throws(Fault) {
        running.take(bytes)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Fault(.storage, "could not write \(temporary): \(systemError())") }
            rest = rest.dropFirst(count)
        }
    }

    var digest: FileDigest { running.digest }

    /// Syncs it and gives it its place, in the place of what was there.
    ///
    /// - Parameter modified: When its contents are from; nil: now.
    func place(at path: String, modified: Instant? = nil) throws(Fault) {
        if let modified {
            let time = timespec(
                tv_sec: Int(modified.microseconds / 1_000_000), tv_nsec: Int(modified.microseconds % 1_000_000) * 1000)
            guard futimens(descriptor, [time, time]) == 0 else {
                throw Fault(.storage, "could not set the time of \(temporary): \(systemError())")
            }
        }
        guard fsync(descriptor) == 0 else { throw Fault(.storage, "could not sync \(temporary): \(systemError())") }
        guard rename(temporary, path) == 0 else { throw Fault(.storage, "could not put \(path) in place: \(systemError())") }
    }

    /// Removes it, where it has no place.
    func abandon() { unlink(temporary) }
}

/// A file that is read in order.
actor PlainFile {
    private static let readBytes = 256 << 10

    private let path: String
    private let descriptor: Int32
    private var running = RunningDigest()
    private var isOpen = true
    private let executor = BlockingExecutor(name: "karri.transfer.file")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// - Parameter beneath: The folder that the path begins in, and does not leave by links.
    init(_ path: String, beneath folder: String? = nil) throws(Fault) {
        self.path = folder.map { "\($0)/\(path)" } ?? path
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        let opened = folder.map { inFolder(of: path, beneath: $0) { openat($0, $1, flags) } } ?? open(path, flags)
        let failure = systemError()
        descriptor = opened
        if opened < 0 {
            isOpen = false
            throw Fault(.storage, "could not open \(path): \(failure)")
        }
    }

    deinit { if isOpen { close(descriptor) } }

    /// The next bytes; nil at the end.
    func next() throws(Fault) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: PlainFile.readBytes)
        while true {
            let count = read(descriptor, &bytes, bytes.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Fault(.storage, "could not read \(path): \(systemError())") }
            guard count > 0 else { return nil }
            bytes.removeLast(bytes.count - count)
            running.take(bytes)
            return bytes
        }
    }

    /// Of what has been read.
    var digest: FileDigest { running.digest }

    /// Of the whole file.
    static func digest(of path: String, beneath folder: String? = nil) async throws(Fault) -> FileDigest {
        let file = try PlainFile(path, beneath: folder)
        while try await file.next() != nil {}
        return await file.digest
    }
}

/// What lies at a path, links not followed.
struct FileFacts: Sendable, Hashable {
    enum Kind: Sendable, Hashable { case file, folder, other }

    var kind: Kind
    var size: Int64
    /// In microseconds.
    var modified: Int64

    /// Nil where nothing is.
    ///
    /// - Parameter beneath: The folder that the path begins in, and does not leave by links.
    init?(_ path: String, beneath folder: String? = nil) {
        var facts = stat()
        let answer =
            folder.map { inFolder(of: path, beneath: $0) { fstatat($0, $1, &facts, AT_SYMLINK_NOFOLLOW) } } ?? lstat(path, &facts)
        guard answer == 0 else { return nil }
        switch facts.st_mode & S_IFMT {
        case S_IFREG: kind = .file
        case S_IFDIR: kind = .folder
        default: kind = .other
        }
        size = Int64(facts.st_size)
        modified = Int64(facts.st_mtim.tv_sec) * 1_000_000 + Int64(facts.st_mtim.tv_nsec) / 1000
    }
}

/// Calls with the descriptor of the folder that a path ends in, and the last name.
///
/// - Parameter folder: Where the path begins: below it no link is followed.
/// - Returns: What `call` returns, or -1 with errno set where a folder on the way is none, or a link.
private func inFolder(of path: String, beneath folder: String, _ call: (Int32, String) -> Int32) -> Int32 {
    var names = path.split(separator: "/").map(String.init)
    guard let last = names.popLast() else {
        errno = ENOENT
        return -1
    }
    var here = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    for name in names where here >= 0 {
        let next = openat(here, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        let failure = errno
        close(here)
        here = next
        errno = failure
    }
    guard here >= 0 else { return -1 }
    let answer = call(here, last)
    let failure = errno
    close(here)
    errno = failure
    return answer
}

/// The lines of a file, each with its number from 1 on.
struct FileLines {
    /// A longer line is a fault.
    private static let lineBytesMax = 16 << 20

    private let file: PlainFile
    private var waiting: [UInt8] = []
    private var from = 0
    private(set) var number = 0

    init(_ path: String) throws(Fault) { file = try PlainFile(path) }

    /// Without its end; nil after the last. One without an end is a line too.
    mutating func next() async throws(Fault) -> ArraySlice<UInt8>? {
        var searched = from
        while true {
            if let end = waiting[searched...].firstIndex(of: 0x0a) {
                defer { from = end + 1 }
                number += 1
                return waiting[from..<end]
            }
            guard waiting.count - from <= FileLines.lineBytesMax else {
                throw Fault(.malformedRequest, "line \(number + 1) is longer than \(FileLines.lineBytesMax) bytes")
            }
            waiting.removeFirst(from)
            from = 0
            searched = waiting.count
            guard let more = try await file.next() else {
                guard !waiting.isEmpty else { return nil }
                defer { waiting = [] }
                number += 1
                return waiting[...]
            }
            waiting += more
        }
    }
}
