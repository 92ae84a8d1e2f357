//  One shard: the keys of some buckets in a database with a writer of its own, and the files of their
//  large bodies.

import Checksums
import Database
import FoundationEssentials
import Model
import NIOCore
import Platform
import Synchronization

/// The keys and bodies of some buckets.
final class Shard: Sendable {
    let files: BodyFiles
    private let engine: SQLiteEngine
    private let chance: Chance
    /// The last number that was given to a detail or a body.
    private let lastNumber: Mutex<Int64>

    static func open(_ folder: String, chance: Chance) async throws(Fault) -> Shard {
        try Folder.make(folder)
        let engine = try SQLiteEngine(path: folder + "/index.sqlite")
        try await engine.migrate(Schema.shard)
        let last = try await engine.read { tx throws(Fault) in
            try tx.value(
                "SELECT max((SELECT coalesce(max(id), 0) FROM detail), (SELECT coalesce(max(id), 0) FROM inline_body), "
                    + "(SELECT coalesce(max(id), 0) FROM loose_file), (SELECT coalesce(max(body), 0) FROM detail))",
                as: Int64.self) ?? 0
        }
        let shard = Shard(engine: engine, files: try BodyFiles(folder: folder + "/bodies"), chance: chance, lastNumber: last)
        // Nobody writes yet, so that every loose file is garbage.
        try await shard.collect(whatIsBeingWritten: true)
        return shard
    }

    private init(engine: SQLiteEngine, files: BodyFiles, chance: Chance, lastNumber: Int64) {
        self.engine = engine
        self.files = files
        self.chance = chance
        self.lastNumber = Mutex(lastNumber)
    }

    func close() async { await engine.close() }

    private func number() -> Int64 {
        lastNumber.withLock { last in
            last += 1
            return last
        }
    }

    // MARK: Buckets

    func admit(_ bucket: Bucket) async throws(Fault) {
        try await engine.write { tx throws(Fault) in
            try tx.run("INSERT INTO bucket (id) VALUES ($1) ON CONFLICT DO NOTHING", [bucket.id.value])
        }
    }

    func dismiss(_ bucket: Bucket) async throws(Fault) {
        try await engine.write { tx throws(Fault) in
            if try tx.exists("SELECT 1 FROM listing WHERE bucket = $1 LIMIT 1", [bucket.id.value]) {
                throw ObjectFaults.bucketIsNotEmpty
            }
            try tx.run("DELETE FROM bucket WHERE id = $1", [bucket.id.value])
        }
    }

    // MARK: Keys

    func change<T: Sendable>(
        _ key: ObjectKey, in bucket: Bucket, _ body: @escaping @Sendable (any KeyChange) throws(Fault) -> T
    ) async throws(Fault) -> T {
        let now = chance.now()
        let (result, leavesGarbage) = try await engine.write { [self] tx throws(Fault) in
            guard try tx.exists("SELECT 1 FROM bucket WHERE id = $1", [bucket.id.value]) else { throw ObjectFaults.bucketIsGone }
            let change = LocalChange(tx, bucket.id, key, now: now, number: number)
            return (try body(change), change.leavesGarbage)
        }
        if leavesGarbage { try? await collect() }
        return result
    }

    func find(_ key: ObjectKey, _ version: VersionID?, in bucket: Bucket) async throws(Fault) -> ObjectVersion? {
        try await engine.readNow { tx throws(Fault) in try tx.version(of: key, version, in: bucket.id) }
    }

    func page(_ slice: ListingSlice, of bucket: Bucket) async throws(Fault) -> [ListedObject] {
        try await engine.read { tx throws(Fault) in
            let end = slice.upTo.map { Value.blob($0.bytes) }
            return try tx.rows(
                """
                SELECT key, size, entity_tag, modified FROM listing
                WHERE bucket = $1 AND key >= $2 \(end == nil ? "" : "AND key < $4") AND shown ORDER BY key LIMIT $3
                """, [bucket.id.value, .blob(slice.from.bytes), slice.limit.value] + [end].compactMap(\.self)
            ) { row throws(Fault) in
                ListedObject(
                    key: ObjectKey(bytes: try row.take()), size: try row.take(), entityTag: try row.take(), modified: try row.take()
                )
            }
        }
    }

    // MARK: Bodies

    func read(_ body: BodyReference, _ range: Range<Int64>) async throws(Fault) -> BodySource {
        switch body {
        case .inline(_, let bytes?): return BodySource(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        case .inline(let id, nil):
            let found = try await engine.readNow { tx throws(Fault) in
                try tx.first("SELECT checksum, bytes FROM inline_body WHERE id = $1", [.integer(Int64(id))]) {
                    row throws(Fault) -> (Int64, [UInt8]) in (try row.take(), try row.take())
                }
            }
            guard let (checksum, bytes) = found else { throw ObjectFaults.bodyIsGone }
            guard checksum == Int64(CyclicChecksum.crc32c.check(of: bytes)) else { throw ObjectFaults.bodyIsDamaged }
            return BodySource(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        case .file(let id, let checksums): return try await files.read(id, checksums, range)
        }
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
        try await engine.write { tx throws(Fault) in
            try tx.run("UPDATE loose_file SET is_garbage = TRUE WHERE id = $1", [.integer(Int64(file))])
        }
        try await collect()
    }

    /// Removes garbage: files first, then the rows by which they are found.
    func collect(whatIsBeingWritten: Bool = false) async throws(Fault) {
        let garbage = try await engine.read { tx throws(Fault) in
            try tx.values(
                "SELECT id FROM loose_file \(whatIsBeingWritten ? "" : "WHERE is_garbage") ORDER BY id LIMIT 10000", as: Int64.self)
        }
        guard !garbage.isEmpty else { return }
        for id in garbage { try await files.remove(UInt64(id)) }
        try await engine.write { tx throws(Fault) in
            for id in garbage { try tx.run("DELETE FROM loose_file WHERE id = $1", [.integer(id)]) }
        }
    }
}

extension Reading {
    fileprivate func version(of key: ObjectKey, _ version: VersionID?, in bucket: ID<Bucket>) throws(Fault) -> ObjectVersion? {
        let which = version.map { [Value.integer(Int64(bitPattern: $0.bits))] } ?? []
        return try first(
            """
            SELECT l.version, l.size, l.entity_tag, l.modified, d.headers, d.body_kind, d.body, d.checksums
            FROM listing l JOIN detail d ON d.id = l.detail
            WHERE l.bucket = $1 AND l.key = $2 \(which.isEmpty ? "" : "AND l.version = $3") ORDER BY l.rank LIMIT 1
            """, [bucket.value, .blob(key.bytes)] + which
        ) { row throws(Fault) in
            let id = VersionID(bits: UInt64(bitPattern: try row.takeInteger()))
            let (size, tag, modified) = (try row.take(Int64.self), try row.takeText(), try row.take(Instant.self))
            let detail = try row.take(JSON<ObjectDetail>.self).document
            let kind = try row.takeInteger()
            let body = UInt64(try row.takeInteger())
            let checksums = try row.takeBlob()
            return ObjectVersion(
                id: id, size: size, entityTag: tag, modified: modified, detail: detail,
                body: BodyReference(storedKind: kind, body, checksums))
        }
    }
}

extension BodyReference {
    fileprivate init?(storedKind kind: Int64, _ id: UInt64, _ checksums: [UInt8]) {
        switch kind {
        case 1: self = .inline(id: id, bytes: nil)
        case 2:
            self = .file(
                id: id,
                checksums: stride(from: 0, to: checksums.count, by: 4).map { place in
                    checksums[place..<place + 4].reduce(0) { $0 << 8 | UInt32($1) }
                })
        default: return nil
        }
    }
}

/// A change of one key inside a transaction of its shard.
private final class LocalChange: KeyChange {
    private let tx: Writing
    private let bucket: ID<Bucket>
    private let key: ObjectKey
    private let now: Instant
    private let number: () -> Int64
    private(set) var leavesGarbage = false

    init(_ tx: Writing, _ bucket: ID<Bucket>, _ key: ObjectKey, now: Instant, number: @escaping () -> Int64) {
        self.tx = tx
        self.bucket = bucket
        self.key = key
        self.now = now
        self.number = number
    }

    func current() throws(Fault) -> ObjectVersion? { try tx.version(of: key, nil, in: bucket) }
    func version(_ id: VersionID) throws(Fault) -> ObjectVersion? { try tx.version(of: key, id, in: bucket) }

    func put(_ version: ObjectVersion) throws(Fault) {
        try remove(version.id)
        try tx.run(
            "UPDATE listing SET shown = FALSE WHERE bucket = $1 AND key = $2 AND shown", [bucket.value, .blob(key.bytes)])
        let first = try tx.value(
            "SELECT min(rank) FROM listing WHERE bucket = $1 AND key = $2", [bucket.value, .blob(key.bytes)], as: Int64?.self)
        let detail = number()
        let (kind, body, checksums) = try keep(version.body)
        try tx.run(
            "INSERT INTO detail (id, headers, body_kind, body, checksums) VALUES ($1, $2, $3, $4, $5)",
            [.integer(detail), JSON(version.detail).value, .integer(kind), .integer(body), .blob(checksums)])
        try tx.run(
            """
            INSERT INTO listing (bucket, key, rank, version, shown, size, entity_tag, modified, detail)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            [
                bucket.value, .blob(key.bytes), .integer(((first ?? nil) ?? 0) - 1), .integer(Int64(bitPattern: version.id.bits)),
                .bool(version.body != nil), version.size.value, version.entityTag.value, version.modified.value, .integer(detail),
            ])
    }

    /// Keeps a body with its version: kind, number and checksums.
    private func keep(_ body: BodyReference?) throws(Fault) -> (kind: Int64, body: Int64, checksums: [UInt8]) {
        switch body {
        case nil: return (0, 0, [])
        case .inline(_, let bytes):
            let id = number()
            let bytes = bytes ?? []
            try tx.run(
                "INSERT INTO inline_body (id, checksum, bytes) VALUES ($1, $2, $3)",
                [.integer(id), .integer(Int64(CyclicChecksum.crc32c.check(of: bytes))), .blob(bytes)])
            return (1, id, [])
        case .file(let id, let checksums):
            try tx.run("DELETE FROM loose_file WHERE id = $1", [.integer(Int64(id))])
            let bytes = checksums.flatMap { sum in (0..<4).map { UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * $0)) } }
            return (2, Int64(id), bytes)
        }
    }

    func remove(_ id: VersionID) throws(Fault) {
        let found = try tx.first(
            """
            SELECT l.rank, l.detail, d.body_kind, d.body FROM listing l JOIN detail d ON d.id = l.detail
            WHERE l.bucket = $1 AND l.key = $2 AND l.version = $3
            """, [bucket.value, .blob(key.bytes), .integer(Int64(bitPattern: id.bits))]
        ) { row throws(Fault) -> (rank: Int64, detail: Int64, kind: Int64, body: Int64) in
            (try row.take(), try row.take(), try row.take(), try row.take())
        }
        guard let found else { return }
        try tx.run(
            "DELETE FROM listing WHERE bucket = $1 AND key = $2 AND rank = $3",
            [bucket.value, .blob(key.bytes), .integer(found.rank)])
        try tx.run("DELETE FROM detail WHERE id = $1", [.integer(found.detail)])
        switch found.kind {
        case 1: try tx.run("DELETE FROM inline_body WHERE id = $1", [.integer(found.body)])
        case 2:
            try tx.run(
                "INSERT INTO loose_file (id, is_garbage, since) VALUES ($1, TRUE, $2)", [.integer(found.body), now.value])
            leavesGarbage = true
        default: break
        }
        try tx.run(
            """
            UPDATE listing SET shown = (SELECT body_kind <> 0 FROM detail WHERE id = listing.detail)
            WHERE bucket = $1 AND key = $2 AND rank = (SELECT min(rank) FROM listing WHERE bucket = $1 AND key = $2)
            """, [bucket.value, .blob(key.bytes)])
    }
}
