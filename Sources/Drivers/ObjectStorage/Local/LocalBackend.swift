//  Objects on a host's own disk: databases for keys and small bodies, files for large ones. What is
//  acknowledged is synced; a crash leaves the old object or the new one, and files that no version
//  names are known by their rows.

import Database
import Model
import NIOCore
import NIOPosix
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// A backend in a folder, which it locks for itself.
public final class LocalBackend: ObjectBackend {
    /// Larger bodies lie in files of their own.
    static let inlineBytesMax = 8 << 10
    /// New buckets are spread over so many databases, each with a writer of its own.
    static let shards = 4
    /// How many reads of each database run at once.
    static let readers = 2

    private let lock: FileLock
    private let catalogue: SQLiteEngine
    private let shards: [Shard]

    /// Opens a folder, which is made if it is not there, and removes what a crash left loose.
    ///
    /// - Throws: `conflict` where another process has it; `storage` where it cannot be had.
    public static func open(_ folder: String, chance: Chance) async throws(Fault) -> LocalBackend {
        try Folder.make(folder)
        let lock = try FileLock(folder + "/lock")
        var opened: [Shard] = []
        var catalogue: SQLiteEngine?
        do throws(Fault) {
            let engine = try SQLiteEngine(path: folder + "/catalogue.sqlite", readers: Self.readers)
            catalogue = engine
            try await engine.migrate(Schema.catalogue)
            for number in 0..<Self.shards { opened.append(try await Shard.open(folder + "/shard-\(number)", chance: chance)) }
            try AtomicFile.syncFolder(of: folder + "/.")
            let backend = LocalBackend(lock: lock, catalogue: engine, shards: opened)
            try await backend.finishRemovals()
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
            for bucket in try tx.all(Bucket.table, where: "TRUE") where !present[bucket.place].contains(bucket.id) {
                try tx.run("DELETE FROM bucket WHERE name = $1", [bucket.name.value])
            }
        }
    }

    private init(lock: FileLock, catalogue: SQLiteEngine, shards: [Shard]) {
        self.lock = lock
        self.catalogue = catalogue
        self.shards = shards
    }

    public func close() async {
        for shard in shards { await shard.close() }
        await catalogue.close()
        lock.release()
    }

    // MARK: Buckets

    public func add(_ bucket: Bucket) async throws(Fault) -> Bucket? {
        var added = bucket
        added.place = Int(bucket.id.bits % UInt64(shards.count))
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
        try await catalogue.readNow { tx throws(Fault) in try tx.find(Bucket.table, name) }
    }

    public func buckets(of account: ID<Account>) async throws(Fault) -> [Bucket] {
        try await catalogue.read { tx throws(Fault) in
            try tx.all(Bucket.table, where: "account = $1 ORDER BY name", [account.value])
        }
    }

    public func remove(_ bucket: Bucket) async throws(Fault) {
        // Its shard takes no key from then on.
        try await shard(of: bucket).dismiss(bucket)
        try await catalogue.write { tx throws(Fault) in
            try tx.run("DELETE FROM bucket WHERE name = $1 AND id = $2", [bucket.name.value, bucket.id.value])
        }
    }

    private func shard(of bucket: Bucket) -> Shard { shards[bucket.place] }

    // MARK: Bodies

    public func stage(size: Int64?, in bucket: Bucket) async throws(Fault) -> any BodySink {
        LocalSink(shard: shard(of: bucket), expected: size)
    }

    public func read(_ body: BodyReference, _ range: Range<Int64>, in bucket: Bucket) async throws(Fault) -> BodySource {
        try await shard(of: bucket).read(body, range)
    }

    // MARK: Keys

    public func change<T: Sendable>(
        _ key: ObjectKey, in bucket: Bucket, _ body: @escaping @Sendable (any KeyChange) throws(Fault) -> T
    ) async throws(Fault) -> T {
        try await shard(of: bucket).change(key, in: bucket, body)
    }

    public func find(_ key: ObjectKey, version: VersionID?, in bucket: Bucket) async throws(Fault) -> ObjectVersion? {
        try await shard(of: bucket).find(key, version, in: bucket)
    }

    public func list(_ request: ListingRequest, of bucket: Bucket) async throws(Fault) -> ListingPage {
        try await shard(of: bucket).list(request, of: bucket)
    }

    // MARK: Uploads in parts

    public func upload(_ id: UploadID, of key: ObjectKey, in bucket: Bucket) async throws(Fault) -> PartedUpload? {
        try await shard(of: bucket).upload(id, of: key, in: bucket)
    }

    public func uploads(_ slice: ListingSlice, after: UploadID?, of bucket: Bucket) async throws(Fault) -> [PartedUpload] {
        try await shard(of: bucket).uploads(slice, after: after, of: bucket)
    }

    public func parts(of upload: UploadID, in bucket: Bucket, after: Int, limit: Int) async throws(Fault) -> [UploadedPart] {
        try await shard(of: bucket).parts(of: upload, after: after, limit: limit)
    }
}

extension Bucket {
    fileprivate static let table = Table(
        "bucket", Field("name", \Bucket.name), Field("id", \.id), Field("account", \.account), Field("region", \.region),
        Field("created", \.created), Field("shard", \.place)
    ) { name, id, account, region, created, place in
        Bucket(id: id, name: name, account: account, region: region, created: created, place: place)
    }
}
