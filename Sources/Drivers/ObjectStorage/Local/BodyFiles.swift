//  Large bodies, each in a file of its own, checked by stretches of a fixed length.

import Checksums
import Model
import NIOCore
import NIOPosix
import Platform
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The files of a shard's bodies.
struct BodyFiles: Sendable {
    /// What one checksum stands for, and what is read at once.
    static let stretchBytes = 128 << 10

    let folder: String
    private let pool = NIOThreadPool.singleton

    init(folder: String) throws(Fault) {
        self.folder = folder
        // Made once, so that a new file's folder is never itself new.
        for number in 0..<256 { try Folder.make("\(folder)/\(hexDigits([UInt8(number)]))") }
        // Those folders, and the one that they are in.
        for path in [folder + "/.", folder] { try AtomicFile.syncFolder(of: path) }
    }

    func path(_ id: UInt64) -> String { "\(folder)/\(hexDigits([UInt8(truncatingIfNeeded: id)]))/\(hexDigits(id))" }

    /// Runs work that blocks on the disk.
    func blocking<T: Sendable>(_ work: @escaping @Sendable () throws(Fault) -> T) async throws(Fault) -> T {
        let result: Result<T, Fault>
        do {
            result = try await pool.runIfActive {
                do throws(Fault) { return .success(try work()) } catch { return .failure(error) }
            }
        } catch { throw Fault(.unavailable, "The store is being closed.", because: error) }
        return try result.get()
    }

    func read(_ id: UInt64, _ checksums: [UInt32], _ range: Range<Int64>) async throws(Fault) -> BodySource {
        let path = path(id)
        let file = try await blocking { () throws(Fault) in
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            if descriptor >= 0 { return OpenFile(descriptor) }
            throw errno == ENOENT ? ObjectFaults.bodyIsGone : Fault(.storage, "could not open \(path): \(systemError())")
        }
        let place = Mutex(range.lowerBound)
        return BodySource { () throws(Fault) in
            let from = place.withLock(\.self)
            guard from < range.upperBound else { return nil }
            let stretch = from / Int64(BodyFiles.stretchBytes)
            guard stretch < checksums.count else { throw ObjectFaults.bodyIsDamaged }
            var buffer = try await blocking { () throws(Fault) in try file.stretch(stretch, check: checksums[Int(stretch)]) }
            let begin = stretch * Int64(BodyFiles.stretchBytes)
            let end = min(range.upperBound, begin + Int64(buffer.readableBytes))
            guard end > from else { throw ObjectFaults.bodyIsDamaged }
            place.withLock { $0 = end }
            buffer.moveReaderIndex(forwardBy: Int(from - begin))
            return buffer.readSlice(length: Int(end - from))
        }
    }

    /// Removes files; one that is gone is no fault.
    func remove(_ ids: [UInt64]) async throws(Fault) {
        try await blocking { () throws(Fault) in
            for path in ids.map(path) where unlink(path) != 0 && errno != ENOENT {
                throw Fault(.storage, "could not remove \(path): \(systemError())")
            }
        }
    }
}

/// A descriptor that is closed with its last user.
final class OpenFile: Sendable {
    let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }

    /// Reads a stretch and checks it.
    func stretch(_ number: Int64, check: UInt32) throws(Fault) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: BodyFiles.stretchBytes)
        var failure: Int32 = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: BodyFiles.stretchBytes) { room in
            var count = 0
            while count < BodyFiles.stretchBytes {
                let offset = number * Int64(BodyFiles.stretchBytes) + Int64(count)
                let read = pread(descriptor, room.baseAddress.map { $0 + count }, BodyFiles.stretchBytes - count, off_t(offset))
                if read < 0, errno == EINTR { continue }
                if read < 0 { failure = errno }
                guard read > 0 else { break }
                count += read
            }
            return count
        }
        guard failure == 0 else { throw Fault(.storage, "a body could not be read: \(systemError(failure))") }
        let found = buffer.withUnsafeReadableBytes { CyclicChecksum.crc32c.extended(0, by: $0) }
        guard found == check else { throw ObjectFaults.bodyIsDamaged }
        return buffer
    }
}

/// Takes a body: in memory while it is small, then in a file.
actor LocalSink: BodySink {
    private let shard: Shard
    /// What is gathered before it is written: a small body, or the next write of a large one.
    private var gathered = ByteBuffer()
    private var file: (id: UInt64, open: OpenFile)?
    /// What has come of the stretch that is not yet full.
    private var stretchLength = 0
    private var stretchCheck: UInt32 = 0
    private var checksums: [UInt32] = []

    init(shard: Shard, expected: Int64?) {
        self.shard = shard
        let room = min(max(0, expected ?? Int64(LocalBackend.inlineBytesMax)), Int64(LocalSink.writeBytes))
        gathered.reserveCapacity(Int(room))
    }

    /// How much is written at once.
    static let writeBytes = 256 << 10

    func append(_ bytes: ByteBuffer) async throws(Fault) {
        gathered.writeImmutableBuffer(bytes)
        if file == nil, gathered.readableBytes > LocalBackend.inlineBytesMax { try await begin() }
        if gathered.readableBytes >= LocalSink.writeBytes { try await write() }
    }

    /// Goes over to a file, whose row comes first: what is begun is found whatever happens.
    private func begin() async throws(Fault) {
        let id = try await shard.looseFile()
        let path = shard.files.path(id)
        let open = try await shard.files.blocking { () throws(Fault) in
            let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw Fault(.storage, "could not make \(path): \(systemError())") }
            return OpenFile(descriptor)
        }
        file = (id, open)
    }

    /// Writes what is gathered.
    private func write() async throws(Fault) {
        guard let file, gathered.readableBytes > 0 else { return }
        let bytes = gathered
        gathered.clear()
        check(bytes)
        let open = file.open
        try await shard.files.blocking { () throws(Fault) in
            var left = bytes
            while left.readableBytes > 0 {
                let count = left.withUnsafeReadableBytes { Glibc.write(open.descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count >= 0 else {
                    let code: Fault.Code = errno == ENOSPC || errno == EDQUOT ? .noCapacity : .storage
                    throw Fault(code, "a body could not be written: \(systemError())", kind: .object)
                }
                left.moveReaderIndex(forwardBy: count)
            }
        }
    }

    private func check(_ bytes: ByteBuffer) {
        bytes.withUnsafeReadableBytes { all in
            var rest = all[...]
            while !rest.isEmpty {
                let part = rest.prefix(BodyFiles.stretchBytes - stretchLength)
                stretchCheck = CyclicChecksum.crc32c.extended(stretchCheck, by: UnsafeRawBufferPointer(rebasing: part))
                stretchLength += part.count
                rest = rest.dropFirst(part.count)
                if stretchLength == BodyFiles.stretchBytes { endStretch() }
            }
        }
    }

    private func endStretch() {
        checksums.append(stretchCheck)
        stretchCheck = 0
        stretchLength = 0
    }

    func finish() async throws(Fault) -> BodyReference {
        guard let file else { return .inline(id: 0, bytes: Array(gathered.readableBytesView)) }
        try await write()
        if stretchLength > 0 { endStretch() }
        let folder = shard.files.path(file.id)
        let open = file.open
        try await shard.files.blocking { () throws(Fault) in
            guard fdatasync(open.descriptor) == 0 else { throw Fault(.storage, "a body could not be synced: \(systemError())") }
            try AtomicFile.syncFolder(of: folder)
        }
        return .file(id: file.id, checksums: checksums)
    }

    func abandon() async {
        gathered.clear()
        guard let file else { return }
        self.file = nil
        // What cannot be dropped now is at the next start.
        try? await shard.drop(file.id)
    }
}
