//  Takes a body in: a small one in memory, for its row; a middling one in memory, for a segment; a large
//  one into a file as it comes.

import Model
import NIOCore
import Platform

/// Takes one body.
actor LocalSink: BodySink {
    private let shard: Shard
    private let expected: Int64?
    /// What is gathered before it is written: all of a smaller body, or the next write of a large one.
    private var gathered: [ByteBuffer] = []
    private var gatheredBytes = 0
    /// The room that a middling body has in memory.
    private var room: SegmentRoom?
    /// The number of a file that was begun, whether it could be made or not.
    private var loose: UInt64?
    private var file: OpenFile?
    /// How much of a file is written, or is being written.
    private var written: Int64 = 0
    /// Writes to the file while the next is gathered.
    private let writes = PipelineStage<Result<StretchChecksums, Fault>>(.success(StretchChecksums()))
    /// Where the body was appended.
    private var appended: SegmentPlace?

    init(shard: Shard, expected: Int64?) {
        self.shard = shard
        self.expected = expected
        if let expected, expected > LocalBackend.inlineBytesMax, expected <= LocalBackend.segmentBytesMax {
            room = shard.segments.room(Int(expected))
        }
    }

    /// The most that is reserved on the disk for what has not come.
    static let reservedBytesMax: Int64 = 64 << 20

    func append(_ bytes: ByteBuffer) async throws(Fault) {
        gathered.append(bytes)
        gatheredBytes += bytes.readableBytes
        if file == nil, gatheredBytes > room?.bytes ?? LocalBackend.inlineBytesMax { try await begin() }
        if file != nil, gatheredBytes >= WriteBlocks.blockBytes { try await write() }
    }

    /// Goes over to a file, whose row comes first: what is begun is found whatever happens.
    private func begin() async throws(Fault) {
        room = nil
        let id = try await shard.looseFile()
        loose = id
        let path = shard.files.path(id)
        let reserved = reserved
        file = try await BlockingPool.run { () throws(Fault) in
            let file = try OpenFile(making: path, room: reserved)
            file.goPastCache(true)
            return file
        }
    }

    /// How long its file is made at first.
    private var reserved: Int64 { min(expected ?? 0, LocalSink.reservedBytesMax) }

    /// Begins to write what is gathered, once what was before it is written.
    ///
    /// - Parameter isLast: Whether that is all of it; else it is as much as a file can take past the page cache.
    private func write(isLast: Bool = false) async throws(Fault) {
        guard let file, gatheredBytes > 0 else { return }
        if written + Int64(gatheredBytes) > reserved { try shard.room.admit(0) }
        let checksums = try await writes.value().get()
        let (blocks, from, pieces) = (shard.files.blocks, written, taken(isLast: isLast))
        written += pieces.reduce(0) { $0 + Int64($1.readableBytes) }
        writes.begin { done in
            BlockingPool.start(
                { () throws(Fault) in
                    var checksums = checksums
                    try blocks.write(pieces, to: file, at: from) { checksums.take($0) }
                    return checksums
                }, done: done)
        }
    }

    /// What is gathered; what of it is left for the next write stays.
    private func taken(isLast: Bool) -> [ByteBuffer] {
        let all = gathered
        var bytes = isLast ? gatheredBytes : gatheredBytes - gatheredBytes % WriteBlocks.alignment
        clear()
        return all.compactMap { piece in
            var rest = piece
            let head = rest.readSlice(length: min(bytes, rest.readableBytes))
            bytes -= head?.readableBytes ?? 0
            guard rest.readableBytes > 0 else { return head }
            gathered.append(rest)
            gatheredBytes += rest.readableBytes
            return head
        }
    }

    private func clear() {
        gathered = []
        gatheredBytes = 0
    }

    func finish() async throws(Fault) -> BodyReference {
        if file == nil, gatheredBytes <= LocalBackend.inlineBytesMax {
            return .inline(id: 0, bytes: gathered.flatMap { Array($0.readableBytesView) })
        }
        guard let file, let loose else { return try await finishSegment() }
        try await write(isLast: true)
        var checksums = try await writes.value().get()
        let isCut = max(reserved, WriteBlocks.aligned(written)) > written
        let (path, length) = (shard.files.path(loose), written)
        try await BlockingPool.run { () throws(Fault) in
            if isCut { try file.cut(to: length) }
            try file.sync()
            try AtomicFile.syncFolder(of: path)
        }
        return .file(id: loose, checksums: checksums.finish())
    }

    private func finishSegment() async throws(Fault) -> BodyReference {
        var checksums = StretchChecksums()
        for piece in gathered { checksums.take(piece) }
        let size = Int64(gatheredBytes)
        let (segment, start) = try await shard.segments.append(gathered, size: size)
        let place = SegmentPlace(segment: segment, start: start, size: size, checksums: checksums.finish())
        appended = place
        clear()
        room = nil
        return .segment(id: 0, place)
    }

    func abandon() async {
        clear()
        room = nil
        if let appended { shard.letGo(of: appended) }
        appended = nil
        file = nil
        guard let loose else { return }
        self.loose = nil
        // Also where the client has gone, whose task is cancelled. What cannot be dropped now is at the next start.
        try? await shielded { [shard] in try await shard.drop(loose) }
    }
}
