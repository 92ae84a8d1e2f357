//  Gives back the room of segments that are mostly garbage: what rows still name is copied to the end of
//  the newest segment, then the rows are changed, then the file goes. Cut off anywhere, every row names
//  bytes that are on the disk.

import Database
import Model
import NIOCore

/// Where a compaction can be cut off.
enum CompactionStep: Sendable, CaseIterable { case copied, moved, forgotten }

/// What a compaction has done.
struct Compaction: Sendable, CustomStringConvertible {
    var segments = 0
    var bytes: Int64 = 0

    var description: String { "\(bytes) bytes moved, \(segments) segments removed" }
}

/// Compacts a shard's segments.
struct SegmentCompactor: Sendable {
    /// How much is copied between two changes of rows.
    private static let copiedBytes: Int64 = 4 << 20

    let engine: SQLiteEngine
    let segments: Segments
    /// Throws where a test has it cut off.
    let passing: @Sendable (CompactionStep) throws(Fault) -> Void

    /// - Parameter done: Counts it.
    func compactAll(_ progress: any WorkProgress, _ done: inout Compaction) async throws(Fault) {
        let sparse = try await engine.read { tx throws(Fault) in
            try tx.values(
                "SELECT id FROM segment WHERE bytes < $1", [(Segments.segmentBytes / 2).value], as: Int64.self)
        }
        for id in sparse.map({ UInt64($0) }) where segments.isSettled(id) { try await compact(id, progress, &done) }
    }

    private func compact(_ segment: UInt64, _ progress: any WorkProgress, _ done: inout Compaction) async throws(Fault) {
        let left = try await engine.read { tx throws(Fault) in
            try tx.value("SELECT bytes FROM segment WHERE id = $1", [.integer(Int64(segment))], as: Int64.self)
        }
        if let file = try await segments.file(segment), let left {
            guard left * 2 < (try file.length()) else { return }
            guard try await moveAll(of: segment, file, progress, &done) else { return }
        }
        try await engine.write { tx throws(Fault) in try tx.run("DELETE FROM segment WHERE id = $1", [.integer(Int64(segment))]) }
        try passing(.forgotten)
        try await segments.remove(segment)
        done.segments += 1
        try await progress.step("\(done)")
    }

    // MARK: Moving

    private struct Body: Sendable {
        var id: Int64
        var place: SegmentPlace
    }

    /// Moves all bodies of a segment.
    ///
    /// - Returns: Whether none is left: one that is damaged stays where it is.
    private func moveAll(
        of segment: UInt64, _ file: OpenFile, _ progress: any WorkProgress, _ done: inout Compaction
    ) async throws(Fault) -> Bool {
        var after: Int64 = -1
        var isEmptied = true
        while true {
            let bodies = try await bodies(of: segment, after: after)
            guard let last = bodies.last else { return isEmptied }
            after = last.place.start
            var moved: [Body] = []
            var bytes: [ByteBuffer] = []
            for body in bodies {
                do throws(Fault) {
                    bytes += try await read(body.place, file)
                    moved.append(body)
                } catch {
                    guard error.code == .bodyIsDamaged else { throw error }
                    isEmptied = false
                }
            }
            try await move(moved, bytes)
            done.bytes += moved.reduce(0) { $0 + $1.place.size }
            try await progress.step("\(done)")
        }
    }

    /// The next bodies of a segment in the order of their places, of some bytes together.
    private func bodies(of segment: UInt64, after: Int64) async throws(Fault) -> [Body] {
        let found = try await engine.read { tx throws(Fault) in
            try tx.rows(
                "SELECT id, \(SegmentPlace.columns) FROM segment_body WHERE segment = $1 AND start > $2 ORDER BY start LIMIT 256",
                [.integer(Int64(segment)), after.value]
            ) { row throws(Fault) in Body(id: try row.take(), place: try SegmentPlace(&row)) }
        }
        var size: Int64 = 0
        return Array(
            found.prefix { body in
                defer { size += body.place.size }
                return size == 0 || size + body.place.size <= SegmentCompactor.copiedBytes
            })
    }

    private func read(_ place: SegmentPlace, _ file: OpenFile) async throws(Fault) -> [ByteBuffer] {
        let source = StretchReader(file, place, 0..<place.size).source.makeAsyncIterator()
        var bytes: [ByteBuffer] = []
        while let next = try await source.next() { bytes.append(next) }
        return bytes
    }

    /// Appends copies of bodies and has their rows name those; a body that has gone meanwhile stays gone.
    private func move(_ bodies: [Body], _ bytes: [ByteBuffer]) async throws(Fault) {
        guard !bodies.isEmpty else { return }
        let (segment, start) = try await segments.append(bytes, size: bodies.reduce(0) { $0 + $1.place.size })
        defer { segments.letGo(of: segment, start) }
        try passing(.copied)
        try await engine.write { tx throws(Fault) in
            var place = start
            for body in bodies {
                let isThere = try tx.run(
                    "UPDATE segment_body SET segment = $1, start = $2 WHERE id = $3 AND segment = $4",
                    [
                        .integer(Int64(segment)), place.value, .integer(body.id), .integer(Int64(body.place.segment)),
                    ])
                if isThere > 0 {
                    try tx.add(body.place.size, to: segment)
                    try tx.add(-body.place.size, to: body.place.segment)
                }
                place += body.place.size
            }
        }
        try passing(.moved)
    }
}

extension SegmentPlace {
    /// What `init` reads, in order.
    static let columns = "segment, start, size, checksums"

    init(_ row: inout Row) throws(Fault) {
        self.init(
            segment: UInt64(try row.takeInteger()), start: try row.takeInteger(), size: try row.takeInteger(),
            checksums: StretchChecksums.checksums(try row.takeBlob()))
    }
}

extension StretchReader {
    convenience init(_ file: OpenFile, _ place: SegmentPlace, _ range: Range<Int64>) {
        self.init(file, start: place.start, size: place.size, place.checksums, range)
    }
}

extension Writing {
    /// Counts bytes of a segment that a row names.
    ///
    /// - Returns: How many there are now.
    @discardableResult
    func add(_ bytes: Int64, to segment: UInt64) throws(Fault) -> Int64 {
        try value(
            """
            INSERT INTO segment (id, bytes) VALUES ($1, $2)
            ON CONFLICT (id) DO UPDATE SET bytes = bytes + excluded.bytes RETURNING bytes
            """, [.integer(Int64(segment)), bytes.value], as: Int64.self) ?? 0
    }
}
