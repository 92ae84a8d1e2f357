//  One shard: the keys of some buckets in a database with a writer of its own, and the segments and files
//  of their bodies.

import Checksums
import Database
import Model
import Platform
import Synchronization

/// The keys and bodies of some buckets.
final class Shard: Sendable {
    let files: BodyFiles
    let segments: Segments
    let room: DiskRoom
    private let engine: SQLiteEngine
    private let chance: Chance
    private let numbers: Numbers
    private let wakes: ShardWakes
    private let holds: ReadHolds
    let collector: GarbageCollector
    let compactor: SegmentCompactor

    static func open(
        _ folder: String, chance: Chance, wakes: ShardWakes, room: DiskRoom,
        passing: @escaping @Sendable (CompactionStep) throws(Fault) -> Void
    ) async throws(Fault) -> Shard {
        try Folder.make(folder)
        let engine = try SQLiteEngine(
            path: folder + "/index.sqlite", readers: LocalBackend.readers, readerCacheKibibytes: LocalBackend.readerCacheKibibytes)
        do throws(Fault) {
            try await engine.migrate(Schema.shard)
            let opening = try await engine.write { tx throws(Fault) in
                try tx.run("UPDATE opening SET number = number + 1")
                // Nobody writes yet, so that every loose file is garbage.
                try tx.run("UPDATE loose_file SET is_garbage = TRUE")
                return try tx.value("SELECT number FROM opening", as: Int64.self) ?? 0
            }
            let numbers = Numbers(after: opening << 40)
            let files = try BodyFiles(folder: folder + "/bodies")
            let segments = try Segments(folder: folder + "/segments", room: room) { UInt64(numbers.next()) }
            try await removeNameless(segments, engine)
            return Shard(
                engine: engine, files: files, segments: segments, room: room, chance: chance, numbers: numbers, wakes: wakes,
                passing: passing)
        } catch {
            await engine.close()
            throw error
        }
    }

    private init(
        engine: SQLiteEngine, files: BodyFiles, segments: Segments, room: DiskRoom, chance: Chance, numbers: Numbers,
        wakes: ShardWakes,
        passing: @escaping @Sendable (CompactionStep) throws(Fault) -> Void
    ) {
        self.engine = engine
        self.files = files
        self.segments = segments
        self.room = room
        self.chance = chance
        self.numbers = numbers
        self.wakes = wakes
        holds = ReadHolds { wakes.garbage.wake() }
        collector = GarbageCollector(
            engine: engine, files: files, holds: holds, chance: chance, compaction: wakes.compaction)
        compactor = SegmentCompactor(engine: engine, segments: segments, passing: passing)
        // What the last process left.
        wakes.garbage.wake()
        wakes.compaction.wake()
    }

    /// Removes segments in which no body lies: nobody appends yet.
    private static func removeNameless(_ segments: Segments, _ engine: SQLiteEngine) async throws(Fault) {
        let named = try await engine.read { tx throws(Fault) in
            Set(try tx.values("SELECT id FROM segment", as: Int64.self).map { UInt64($0) })
        }
        for id in try segments.all() where !named.contains(id) { try await segments.remove(id) }
    }

    func close() async {
        await segments.settle()
        await engine.close()
    }

    private func number() -> Int64 { numbers.next() }

    // MARK: Buckets

    func admit(_ bucket: Bucket) async throws(Fault) {
        try await engine.write { tx throws(Fault) in
            try tx.run(
                "INSERT INTO bucket (id, account) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET account = $2",
                [bucket.id.value, bucket.account.value])
        }
    }

    /// Its uploads are garbage from then on, however many they are.
    func dismiss(_ bucket: Bucket) async throws(Fault) {
        try await engine.write { tx throws(Fault) in
            if try tx.exists("SELECT 1 FROM listing WHERE bucket = $1 LIMIT 1", [bucket.id.value]) {
                throw ObjectFaults.bucketIsNotEmpty
            }
            try tx.run("DELETE FROM bucket WHERE id = $1", [bucket.id.value])
            try tx.run(
                """
                INSERT INTO gone_bucket (id) SELECT $1 WHERE EXISTS (SELECT 1 FROM upload WHERE bucket = $1)
                ON CONFLICT (id) DO NOTHING
                """, [bucket.id.value])
        }
        wakes.garbage.wake()
    }

    /// The buckets that take keys here.
    func buckets() async throws(Fault) -> Set<ID<Bucket>> {
        try await engine.read { tx throws(Fault) in Set(try tx.values("SELECT id FROM bucket", as: ID<Bucket>.self)) }
    }

    /// Buckets of which it is not known yet whose they are.
    func bucketsOfNobody() async throws(Fault) -> Set<ID<Bucket>> {
        try await engine.read { tx throws(Fault) in
            Set(try tx.values("SELECT id FROM bucket WHERE account = 0", as: ID<Bucket>.self))
        }
    }

    func usage(of account: ID<Account>) async throws(Fault) -> BucketUsage {
        try await engine.readNow { tx throws(Fault) in
            try tx.first(
                "SELECT coalesce(sum(versions), 0), coalesce(sum(bytes), 0) FROM bucket WHERE account = $1", [account.value]
            ) { row throws(Fault) in BucketUsage(versions: try row.take(), bytes: try row.take()) } ?? BucketUsage()
        }
    }

    func usage(of bucket: Bucket) async throws(Fault) -> BucketUsage {
        let found = try await engine.readNow { tx throws(Fault) in try tx.usage(of: bucket.id) }
        guard let found else { throw ObjectFaults.bucketIsGone }
        return found
    }

    // MARK: Keys

    func change<T: Sendable>(
        _ key: ObjectKey, in bucket: Bucket, _ body: @escaping @Sendable (any KeyChange) throws(Fault) -> T
    ) async throws(Fault) -> T {
        room.adjustBallast()
        let now = chance.now()
        let (result, aftermath) = try await engine.write { [self] tx throws(Fault) in
            guard let before = try tx.usage(of: bucket.id) else { throw ObjectFaults.bucketIsGone }
            let change = LocalChange(tx, bucket.id, key, before: before, now: now, room: room, number: number)
            let result = try body(change)
            try change.finish()
            return (result, change.aftermath)
        }
        if aftermath.dropped.leavesGarbage { wakes.garbage.wake() }
        for place in aftermath.kept { letGo(of: place) }
        if aftermath.dropped.leavesSparse { wakes.compaction.wake() }
        return result
    }

    /// Says of a body that was appended that a row names it now, or that none ever will.
    func letGo(of place: SegmentPlace) { segments.letGo(of: place.segment, place.start) }

    func find(
        _ key: ObjectKey, _ version: VersionID?, in bucket: Bucket, forReading: Bool
    ) async throws(Fault) -> ObjectVersion? {
        try await engine.readNow { tx throws(Fault) in
            var found = try tx.version(of: key, version, in: bucket.id)
            guard forReading, case .inline(let id, nil)? = found?.body else { return found }
            found?.body = .inline(id: id, bytes: try tx.inlineBody(id))
            return found
        }
    }

    func list(
        _ request: ListingRequest<ListedObject>, _ versions: ListedVersions, of bucket: Bucket
    ) async throws(Fault) -> ListingPage<ListedObject> {
        try await engine.read { tx throws(Fault) in
            try ListingPage(request) { slice throws(Fault) in try tx.listed(slice, versions, in: bucket.id) }
        }
    }

    // MARK: Uploads in parts

    func upload(_ id: UploadID, of key: ObjectKey, in bucket: Bucket) async throws(Fault) -> PartedUpload? {
        try await engine.readNow { tx throws(Fault) in try tx.upload(id, of: key, in: bucket.id) }
    }

    func uploads(
        _ request: ListingRequest<PartedUpload>, of bucket: Bucket
    ) async throws(Fault) -> ListingPage<PartedUpload> {
        try await engine.read { tx throws(Fault) in
            try ListingPage(request) { slice throws(Fault) in try tx.uploads(slice, in: bucket.id) }
        }
    }

    func unfinished(in bucket: Bucket) async throws(Fault) -> UnfinishedUploads {
        try await engine.read { tx throws(Fault) in
            let count = try tx.value("SELECT count(*) FROM upload WHERE bucket = $1", [bucket.id.value], as: Int64.self)
            let bytes = try tx.value(
                "SELECT coalesce(sum(size), 0) FROM part WHERE upload IN (SELECT id FROM upload WHERE bucket = $1)",
                [bucket.id.value], as: Int64.self)
            return UnfinishedUploads(count: count ?? 0, bytes: bytes ?? 0)
        }
    }

    func parts(of upload: UploadID, after: Int, limit: Int) async throws(Fault) -> [UploadedPart] {
        try await engine.read { tx throws(Fault) in
            try tx.rows(
                "SELECT \(UploadedPart.columns) FROM part WHERE upload = $1 AND number > $2 ORDER BY number LIMIT $3",
                [upload.text.value, after.value, limit.value]
            ) { row throws(Fault) in try UploadedPart(&row) }
        }
    }

    // MARK: Bodies

    func read(_ body: BodyReference, _ range: Range<Int64>) async throws(Fault) -> BodySource {
        switch body {
        case .inline(_, let bytes?): return try BodySource(bytes, range)
        case .inline(let id, nil):
            return try BodySource(try await engine.readNow { tx throws(Fault) in try tx.inlineBody(id) }, range)
        case .file(let id, let checksums): return try await files.read(id, checksums, range)
        case .segment(let id, _): return try await read(inSegment: id, range)
        case .pieces(let detail):
            guard let hold = holds.hold(Int64(detail)) else { throw ObjectFaults.bodyIsGone }
            return PieceReader(self, try await pieces(of: Int64(detail), range), range, hold).source
        case .joined: throw ObjectFaults.bodyIsGone
        }
    }

    /// How often a body is looked for that is moved while it is opened.
    private static let openingsMax = 10

    private func read(inSegment id: UInt64, _ range: Range<Int64>) async throws(Fault) -> BodySource {
        for _ in 0..<Shard.openingsMax {
            let place = try await engine.readNow { tx throws(Fault) in
                try tx.first("SELECT \(SegmentPlace.columns) FROM segment_body WHERE id = $1", [.integer(Int64(id))]) {
                    row throws(Fault) in try SegmentPlace(&row)
                }
            }
            guard let place else { throw ObjectFaults.bodyIsGone }
            if let file = try await segments.file(place.segment) { return StretchReader(file, place, range).source }
        }
        throw ObjectFaults.bodyIsDamaged
    }

    /// The pieces of a body that a range touches, with where each begins.
    private func pieces(of detail: Int64, _ range: Range<Int64>) async throws(Fault) -> [(start: Int64, piece: BodyPiece)] {
        let found = try await engine.read { tx throws(Fault) in
            try tx.rows(
                """
                SELECT start, size, body_kind, body, checksums FROM piece
                WHERE detail = $1 AND start < $3 AND start + size > $2 ORDER BY number
                """, [.integer(detail), range.lowerBound.value, range.upperBound.value]
            ) { row throws(Fault) -> (start: Int64, size: Int64, body: BodyReference?) in
                (
                    try row.take(), try row.take(),
                    try StoredBody(&row, withChecksums: true).reference
                )
            }
        }
        guard !found.isEmpty else { throw ObjectFaults.bodyIsGone }
        return found.compactMap { part in part.body.map { (part.start, BodyPiece(size: part.size, body: $0)) } }
    }

    /// All of them, or none.
    func pieces(of detail: Int64) async throws(Fault) -> [ObjectPart] {
        guard let hold = holds.hold(detail) else { throw ObjectFaults.bodyIsGone }
        defer { withExtendedLifetime(hold) {} }
        let found = try await engine.read { tx throws(Fault) in
            try tx.rows("SELECT number, start, size, checks FROM piece WHERE detail = $1 ORDER BY number", [.integer(detail)]) {
                row throws(Fault) in
                ObjectPart(
                    number: try row.take(Int.self) + 1, start: try row.take(), size: try row.take(),
                    checksums: try row.take(JSON<[String: String]>.self).document)
            }
        }
        guard !found.isEmpty else { throw ObjectFaults.bodyIsGone }
        return found
    }

    /// Room inside the database that small bodies may take where the disk has none.
    private static let reusedBytesMin = 1 << 20

    /// Refuses a body where there is no room for it on the disk, or, of a small one, where others have left it.
    func admitBody(of size: Int64?) async throws(Fault) {
        if room.has(size ?? 0) { return }
        guard let size, size <= LocalBackend.inlineBytesMax else { throw Fault.noRoom }
        try room.admitRow()
        let left = try await engine.readNow { tx throws(Fault) in
            (try tx.value("PRAGMA freelist_count", as: Int.self) ?? 0) * (try tx.value("PRAGMA page_size", as: Int.self) ?? 0)
        }
        guard left >= Shard.reusedBytesMin else { throw Fault.noRoom }
    }

    /// Gives back what room there is to give back at once: what is appended to may be mostly garbage, or have room
    /// that it does not need yet, and the log has been as long as its longest change.
    func giveBack() async throws(Fault) {
        await segments.settle()
        try await engine.emptyLog()
    }

    /// The number of a new file, which is garbage until a version names it.
    func looseFile() async throws(Fault) -> UInt64 {
        let id = number()
        let now = chance.now()
        try await engine.write { tx throws(Fault) in
            try tx.run("INSERT INTO loose_file (id, is_garbage, since) VALUES ($1, FALSE, $2)", [.integer(id), now.value])
        }
        return UInt64(id)
    }

    /// Says that a file will never be named.
    func drop(_ file: UInt64) async throws(Fault) {
        room.adjustBallast()
        try await engine.write { tx throws(Fault) in
            try tx.run("UPDATE loose_file SET is_garbage = TRUE WHERE id = $1", [.integer(Int64(file))])
        }
        wakes.garbage.wake()
    }
}

/// The numbers of a shard's details and bodies: the opening's, and a count since.
private final class Numbers: Sendable {
    private let last: Mutex<Int64>

    init(after last: Int64) { self.last = Mutex(last) }

    func next() -> Int64 {
        last.withLock { last in
            last += 1
            return last
        }
    }
}
