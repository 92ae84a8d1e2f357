//  Objects on a host's own disk: databases for keys and small bodies, files for large ones. What is
//  acknowledged is synced; a crash leaves the old object or the new one, and files that no version
//  names are known by their rows.

import Database
import Model
import Platform
import Synchronization

/// A backend in a folder, which it locks for itself.
public final class LocalBackend: ObjectBackend {
    /// Larger bodies lie in segments.
    static let inlineBytesMax = 8 << 10
    /// Larger bodies lie in files of their own.
    static let segmentBytesMax: Int64 = 1 << 20
    /// New buckets are spread over so many databases, each with a writer of its own.
    static let shards = 4
    /// How many reads of each database run at once.
    static let readers = 2
    /// For the inner pages of the index of some ten million keys.
    static let readerCacheKibibytes = 16 << 10

    private let lock: FileLock
    private let catalogue: SQLiteEngine
    private let shards: [Shard]
    private let wakes: ShardWakes
    private let room: DiskRoom
    private let known = KnownBuckets()
    private let quotas = Mutex<[ID<Account>: Int64]>([:])

    /// Opens a folder, which is made if it is not there, and removes what a crash left loose.
    ///
    /// - Throws: `conflict` where another process has it; `storage` where it cannot be had.
    public static func open(_ folder: String, chance: Chance) async throws(Fault) -> LocalBackend {
        try await open(folder, chance: chance) { _ in }
    }

    /// - Parameter passing: Hears how far compactions are, and can cut them off.
    static func open(
        _ folder: String, chance: Chance, passing: @escaping @Sendable (CompactionStep) throws(Fault) -> Void
    ) async throws(Fault) -> LocalBackend {
        try Folder.make(folder)
        let lock = try FileLock(folder + "/lock")
        var opened: [Shard] = []
        var catalogue: SQLiteEngine?
        let wakes = ShardWakes()
        // Before the first write: the disk may be full.
        let room = DiskRoom(folder: folder) { wakes.compaction.wake() }
        do throws(Fault) {
            try room.admitStart()
            let engine = try SQLiteEngine(path: folder + "/catalogue.sqlite", readers: Self.readers)
            catalogue = engine
            try await engine.migrate(Schema.catalogue)
            for number in 0..<Self.shards {
                opened.append(
                    try await Shard.open(
                        folder + "/shard-\(number)", chance: chance, wakes: wakes, room: room, passing: passing))
            }
            try AtomicFile.syncFolder(of: folder + "/.")
            let backend = LocalBackend(lock: lock, catalogue: engine, shards: opened, wakes: wakes, room: room)
            try await backend.finishRemovals()
            try await backend.nameAccounts()
            try await backend.readQuotas()
            return backend
        } catch {
            for shard in opened { await shard.close() }
            await catalogue?.close()
            lock.release()
            throw error
        }
    }

    /// Takes the names of buckets out of the catalogue that their shards have let go.
    private func finishRemovals() async throws(Fault) {
        var there: [Set<ID<Bucket>>] = []
        for shard in shards { there.append(try await shard.buckets()) }
        let present = there
        try await catalogue.write { tx throws(Fault) in
            for bucket in try tx.all(Bucket.table, where: "TRUE") {
                guard present.indices.contains(bucket.shard) else {
                    throw Fault(
                        .storage, "The bucket \(bucket.name) lies in shard \(bucket.shard), which is not there.", kind: .bucket)
                }
                guard !present[bucket.shard].contains(bucket.id) else { continue }
                try tx.run("DELETE FROM bucket WHERE name = $1", [bucket.name.value])
            }
        }
    }

    /// Tells the shards whose their buckets are, where they were made before a shard knew.
    private func nameAccounts() async throws(Fault) {
        for (place, shard) in shards.enumerated() {
            let nameless = try await shard.bucketsOfNobody()
            guard !nameless.isEmpty else { continue }
            let all = try await catalogue.read { tx throws(Fault) in try tx.all(Bucket.table, where: "shard = $1", [place.value]) }
            for bucket in all where nameless.contains(bucket.id) { try await shard.admit(bucket) }
        }
    }

    private init(lock: FileLock, catalogue: SQLiteEngine, shards: [Shard], wakes: ShardWakes, room: DiskRoom) {
        self.lock = lock
        self.catalogue = catalogue
        self.shards = shards
        self.wakes = wakes
        self.room = room
    }

    public var work: [any BackgroundWork] {
        [
            GarbageWork(shards: shards, room: room, wakes: wakes.garbage.stream),
            CompactionWork(shards: shards, room: room, wakes: wakes.compaction.stream),
        ]
    }

    public func close() async {
        for shard in shards { await shard.close() }
        await catalogue.close()
        lock.release()
    }

    // MARK: Buckets

    public func add(_ bucket: Bucket) async throws(Fault) -> Bucket? {
        try room.admit(0)
        var added = bucket
        added.shard = Int(bucket.id.bits % UInt64(shards.count))
        let row = added
        // Known to its shard first: one that is in the catalogue takes keys.
        try await shard(of: row).admit(row)
        guard try await catalogue.write({ tx throws(Fault) in try tx.claim(row, in: Bucket.table) }) else {
            try await shard(of: row).dismiss(row)
            return nil
        }
        return row
    }

    public func bucket(named name: String) async throws(Fault) -> Bucket? {
        let (found, generation) = known.find(name)
        if let found { return found }
        let read = try await catalogue.readNow { tx throws(Fault) in try tx.find(Bucket.table, name) }
        if let read { known.keep(read, readAt: generation) }
        return read
    }

    public func buckets(of account: ID<Account>) async throws(Fault) -> [Bucket] {
        try await catalogue.read { tx throws(Fault) in
            try tx.all(Bucket.table, where: "account = $1 ORDER BY name", [account.value])
        }
    }

    public func buckets(after name: String, limit: Int) async throws(Fault) -> [Bucket] {
        try await catalogue.read { tx throws(Fault) in
            try tx.all(Bucket.table, where: "name > $1 ORDER BY name LIMIT $2", [name.value, limit.value])
        }
    }

    public func bucketCount(of account: ID<Account>) async throws(Fault) -> Int {
        try await catalogue.read { tx throws(Fault) in
            try tx.count("SELECT count(*) FROM bucket WHERE account = $1", [account.value])
        }
    }

    public func usage(of account: ID<Account>) async throws(Fault) -> BucketUsage {
        var usage = BucketUsage()
        for shard in shards { usage = usage + (try await shard.usage(of: account)) }
        return usage
    }

    public func usage(of bucket: Bucket) async throws(Fault) -> BucketUsage { try await shard(of: bucket).usage(of: bucket) }

    public func unfinished(in bucket: Bucket) async throws(Fault) -> UnfinishedUploads {
        try await shard(of: bucket).unfinished(in: bucket)
    }

    public func bytesMax(of account: ID<Account>) -> Int64? { quotas.withLock { $0[account] } }

    public func setBytesMax(_ bytes: Int64?, of account: ID<Account>) async throws(Fault) {
        try await catalogue.write { tx throws(Fault) in
            try tx.run("DELETE FROM account_quota WHERE account = $1", [account.value])
            guard let bytes else { return }
            try tx.run("INSERT INTO account_quota (account, bytes) VALUES ($1, $2)", [account.value, bytes.value])
        }
        try await readQuotas()
    }

    private func readQuotas() async throws(Fault) {
        let read = try await catalogue.read { tx throws(Fault) in
            try tx.rows("SELECT account, bytes FROM account_quota", []) { row throws(Fault) -> (ID<Account>, Int64) in
                (try row.take(), try row.take())
            }
        }
        quotas.withLock { $0 = Dictionary(read) { first, _ in first } }
    }

    public func update<T: Sendable>(
        _ bucket: Bucket, _ body: @escaping @Sendable (inout BucketSettings) throws(Fault) -> T
    ) async throws(Fault) -> T {
        try room.admitRow()
        let result = try await catalogue.write { tx throws(Fault) in
            guard var found = try tx.find(Bucket.table, bucket.name), found.id == bucket.id else { throw ObjectFaults.bucketIsGone }
            let result = try body(&found.settings)
            try tx.run("UPDATE bucket SET settings = $2 WHERE name = $1", [found.name.value, found.settings.value])
            return result
        }
        known.forget(bucket.name)
        return result
    }

    public func remove(_ bucket: Bucket) async throws(Fault) {
        room.adjustBallast()
        // Its shard takes no key from then on.
        try await shard(of: bucket).dismiss(bucket)
        try await catalogue.write { tx throws(Fault) in
            try tx.run("DELETE FROM bucket WHERE name = $1 AND id = $2", [bucket.name.value, bucket.id.value])
        }
        known.forget(bucket.name)
    }

    private func shard(of bucket: Bucket) -> Shard { shards[bucket.shard] }

    // MARK: Bodies

    public func stage(size: Int64?, in bucket: Bucket) async throws(Fault) -> any BodySink {
        try await shard(of: bucket).admitBody(of: size)
        return LocalSink(shard: shard(of: bucket), expected: size)
    }

    public func read(_ body: BodyReference, _ range: Range<Int64>, in bucket: Bucket) async throws(Fault) -> BodySource {
        try await shard(of: bucket).read(body, range)
    }

    public func pieces(of body: BodyReference, in bucket: Bucket) async throws(Fault) -> [ObjectPart] {
        guard case .pieces(let detail) = body else { return [] }
        return try await shard(of: bucket).pieces(of: Int64(detail))
    }

    // MARK: Keys

    public func change<T: Sendable>(
        _ key: ObjectKey, in bucket: Bucket, _ body: @escaping @Sendable (any KeyChange) throws(Fault) -> T
    ) async throws(Fault) -> T {
        try await shard(of: bucket).change(key, in: bucket, body)
    }

    public func find(
        _ key: ObjectKey, version: VersionID?, in bucket: Bucket, forReading: Bool
    ) async throws(Fault) -> ObjectVersion? {
        try await shard(of: bucket).find(key, version, in: bucket, forReading: forReading)
    }

    public func list(
        _ request: ListingRequest<ListedObject>, _ versions: ListedVersions, of bucket: Bucket
    ) async throws(Fault) -> ListingPage<ListedObject> {
        try await shard(of: bucket).list(request, versions, of: bucket)
    }

    // MARK: Uploads in parts

    public func upload(_ id: UploadID, of key: ObjectKey, in bucket: Bucket) async throws(Fault) -> PartedUpload? {
        try await shard(of: bucket).upload(id, of: key, in: bucket)
    }

    public func uploads(
        _ request: ListingRequest<PartedUpload>, of bucket: Bucket
    ) async throws(Fault) -> ListingPage<PartedUpload> {
        try await shard(of: bucket).uploads(request, of: bucket)
    }

    public func parts(of upload: UploadID, in bucket: Bucket, after: Int, limit: Int) async throws(Fault) -> [UploadedPart] {
        try await shard(of: bucket).parts(of: upload, after: after, limit: limit)
    }
}

/// Buckets that were looked up, so that a call on a key reads nothing for its bucket.
private final class KnownBuckets: Sendable {
    private static let countMax = 10_000
    private let state = Mutex((buckets: [String: Bucket](), generation: 0))

    func find(_ name: String) -> (bucket: Bucket?, generation: Int) { state.withLock { ($0.buckets[name], $0.generation) } }

    /// Keeps what was read, unless something was forgotten since `generation`.
    func keep(_ bucket: Bucket, readAt generation: Int) {
        state.withLock { state in
            guard state.generation == generation else { return }
            if state.buckets.count >= KnownBuckets.countMax { state.buckets = [:] }
            state.buckets[bucket.name] = bucket
        }
    }

    func forget(_ name: String) {
        state.withLock { state in
            state.buckets[name] = nil
            state.generation += 1
        }
    }
}

extension BucketSettings: Column {
    public static var type: ValueType { .text }
    public var value: Value { JSON(self).value }
    public static func take(_ row: inout Row) throws(Fault) -> BucketSettings { try JSON<BucketSettings>.take(&row).document }
}

extension Bucket {
    fileprivate static let table = Table(
        "bucket", Field("name", \Bucket.name), Field("id", \.id), Field("account", \.account), Field("region", \.region),
        Field("created", \.created), Field("settings", \.settings), Field("shard", \.shard)
    ) { name, id, account, region, created, settings, shard in
        Bucket(id: id, name: name, account: account, region: region, created: created, settings: settings, shard: shard)
    }
}
