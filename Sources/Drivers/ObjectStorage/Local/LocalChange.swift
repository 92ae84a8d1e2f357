//  A change of one key inside a transaction of its shard.

import Checksums
import Database
import Model

final class LocalChange: KeyChange {
    private let tx: Writing
    private let bucket: ID<Bucket>
    private let key: ObjectKey
    private let now: Instant
    private let room: DiskRoom
    private let number: () -> Int64
    /// What is to be done once the change is durable.
    private(set) var aftermath = Aftermath()

    /// What a change leaves to do.
    struct Aftermath: Sendable {
        var dropped = DroppedBodies()
        /// Where in segments bodies lie that have rows now.
        var kept: [SegmentPlace] = []
    }

    /// What lay in the bucket before, and what has come since.
    private let before: BucketUsage
    private var added = BucketUsage()

    init(
        _ tx: Writing, _ bucket: ID<Bucket>, _ key: ObjectKey, before: BucketUsage, now: Instant, room: DiskRoom,
        number: @escaping () -> Int64
    ) {
        self.tx = tx
        self.bucket = bucket
        self.before = before
        self.key = key
        self.now = now
        self.room = room
        self.number = number
    }

    private var here: [Value] { [bucket.value, .blob(key.bytes)] }

    var usage: BucketUsage { before + added }

    /// To be called when nothing more is changed.
    func finish() throws(Fault) {
        guard added != BucketUsage() else { return }
        try tx.run(
            "UPDATE bucket SET versions = $2, bytes = $3 WHERE id = $1", [bucket.value, usage.versions.value, usage.bytes.value])
    }

    // MARK: Versions

    func current() throws(Fault) -> ObjectVersion? { try tx.version(of: key, nil, in: bucket) }
    func version(_ id: VersionID) throws(Fault) -> ObjectVersion? { try tx.version(of: key, id, in: bucket) }

    func nextID() throws(Fault) -> VersionID { nextID(after: try leastRank()) }

    /// The rank of the newest version, if there is one.
    private func leastRank() throws(Fault) -> Int64? {
        try tx.value("SELECT min(rank) FROM listing WHERE bucket = $1 AND key = $2", here, as: Int64?.self) ?? nil
    }

    private func nextID(after leastRank: Int64?) -> VersionID {
        VersionID(bits: UInt64(max(now.microseconds, 1 - (leastRank ?? 0))))
    }

    func revise(_ id: VersionID, _ detail: ObjectDetail) throws(Fault) {
        try room.admitRow()
        let version = here + [.integer(Int64(bitPattern: id.bits))]
        try tx.run(
            """
            UPDATE detail SET headers = $4
            WHERE id = (SELECT detail FROM listing WHERE bucket = $1 AND key = $2 AND \(id.condition("listing", "$3")))
            """, version + [StoredDetail(detail).value])
    }

    func newestSequence() throws(Fault) -> UInt64? { try leastRank().map { UInt64(-$0) } }

    func put(_ version: ObjectVersion, at sequence: UInt64?) throws(Fault) {
        try room.admitRow()
        try takeOut(version.id)
        let least = try leastRank()
        if let least {
            // What is shown of a key is its newest version.
            try tx.run(
                "UPDATE listing SET shown = FALSE WHERE bucket = $1 AND key = $2 AND rank = $3 AND shown", here + [.integer(least)])
        }
        let next = sequence.map(VersionID.init(bits:)) ?? nextID(after: least)
        let sequence = version.id == .null ? next : version.id
        let body = try keep(version.body)
        let isOfPieces = body.kind == .pieces
        let detail = isOfPieces ? body.number : number()
        try tx.run(
            "INSERT INTO detail (id, headers, body_kind, body, checksums) VALUES ($1, $2, $3, $4, $5)",
            [
                .integer(detail), StoredDetail(version.detail).value, body.kind.value, .integer(body.number),
                .blob(body.checksums),
            ])
        try tx.run(
            """
            INSERT INTO listing
                (bucket, key, rank, version, shown, is_marker, size, entity_tag, modified, detail, owner, storage_class,
                 checksum)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            """,
            here + [
                .integer(-Int64(bitPattern: sequence.bits)), .integer(Int64(bitPattern: version.id.bits)),
                .bool(version.body != nil), .bool(version.body == nil), version.size.value, version.entityTag.value,
                version.modified.value, .integer(detail), version.detail.owner.value, version.detail.storageClass.value,
                version.detail.listedChecksum.value,
            ])
        added = added + BucketUsage(versions: 1, bytes: version.size)
    }

    func remove(_ id: VersionID) throws(Fault) {
        guard try takeOut(id), try leastRank() != nil else { return }
        // The newest of those that are left is the current one.
        try tx.run(
            """
            UPDATE listing SET shown = (SELECT body_kind <> 0 FROM detail WHERE id = listing.detail)
            WHERE bucket = $1 AND key = $2 AND rank = (SELECT min(rank) FROM listing WHERE bucket = $1 AND key = $2)
            """, here)
    }

    /// Removes a version and shows no other in its stead.
    ///
    /// - Returns: Whether it was there.
    @discardableResult
    private func takeOut(_ id: VersionID) throws(Fault) -> Bool {
        let found = try tx.first(
            """
            SELECT l.rank, l.size, l.detail, d.body_kind, d.body FROM listing l JOIN detail d ON d.id = l.detail
            WHERE l.bucket = $1 AND l.key = $2 AND \(id.condition("l", "$3"))
            """, here + [.integer(Int64(bitPattern: id.bits))]
        ) { row throws(Fault) -> (rank: Int64, size: Int64, detail: Int64, body: StoredBody) in
            (try row.take(), try row.take(), try row.take(), try StoredBody(&row))
        }
        guard let found else { return false }
        added = added + BucketUsage(versions: -1, bytes: -found.size)
        try tx.run("DELETE FROM listing WHERE bucket = $1 AND key = $2 AND rank = $3", here + [.integer(found.rank)])
        try tx.run("DELETE FROM detail WHERE id = $1", [.integer(found.detail)])
        try drop(found.body)
        return true
    }

    // MARK: Bodies

    /// Keeps a body from now on.
    private func keep(_ body: BodyReference?) throws(Fault) -> StoredBody {
        switch body {
        case nil: return StoredBody.marker
        case .inline(_, let bytes):
            let id = number()
            let bytes = bytes ?? []
            try tx.run(
                "INSERT INTO inline_body (id, checksum, bytes) VALUES ($1, $2, $3)",
                [.integer(id), .integer(Int64(CyclicChecksum.crc32c.check(of: bytes))), .blob(bytes)])
            return StoredBody(kind: .inline, number: id)
        case .file(let id, let checksums):
            try tx.run("DELETE FROM loose_file WHERE id = $1", [.integer(Int64(id))])
            return StoredBody(
                kind: .file, number: Int64(id), checksums: StretchChecksums.bytes(of: checksums))
        case .segment(_, let place?): return try keep(place)
        case .segment(let id, nil): return StoredBody(kind: .segment, number: Int64(id))
        case .pieces(let detail): return StoredBody(kind: .pieces, number: Int64(detail))
        case .joined: throw Fault(.internalError, "Pieces that were not uploaded here cannot be kept.", kind: .object)
        }
    }

    private func keep(_ place: SegmentPlace) throws(Fault) -> StoredBody {
        let id = number()
        try tx.run(
            "INSERT INTO segment_body (id, segment, start, size, checksums) VALUES ($1, $2, $3, $4, $5)",
            [
                .integer(id), .integer(Int64(place.segment)), place.start.value, place.size.value,
                .blob(StretchChecksums.bytes(of: place.checksums)),
            ])
        try tx.add(place.size, to: place.segment)
        aftermath.kept.append(place)
        return StoredBody(kind: .segment, number: id)
    }

    /// Makes garbage of a body.
    private func drop(_ body: StoredBody) throws(Fault) { try tx.drop(body, now: now, &aftermath.dropped) }

    // MARK: Uploads in parts

    func upload(_ id: UploadID) throws(Fault) -> PartedUpload? { try tx.upload(id, of: key, in: bucket) }

    func begin(_ upload: PartedUpload) throws(Fault) {
        try room.admit(0)
        try tx.run(
            "INSERT INTO upload (bucket, key, id, begun, headers) VALUES ($1, $2, $3, $4, $5)",
            here + [upload.id.text.value, upload.begun.value, StoredDetail(upload.detail).value])
    }

    func parts(of upload: UploadID) throws(Fault) -> [UploadedPart] {
        try tx.rows("SELECT \(UploadedPart.columns) FROM part WHERE upload = $1 ORDER BY number", [upload.text.value]) {
            row throws(Fault) in try UploadedPart(&row)
        }
    }

    func put(_ part: UploadedPart, of upload: UploadID) throws(Fault) {
        if let before = try storedPart(part.number, of: upload) {
            try drop(before.body)
            added.bytes -= before.size
        }
        let body = try keep(part.body)
        added.bytes += part.size
        try tx.run("DELETE FROM part WHERE upload = $1 AND number = $2", [upload.text.value, part.number.value])
        try tx.run(
            """
            INSERT INTO part (upload, number, size, entity_tag, modified, body_kind, body, checksums, checks)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            [
                upload.text.value, part.number.value, part.size.value, part.entityTag.value, part.modified.value,
                body.kind.value, .integer(body.number), .blob(body.checksums), JSON(part.checksums).value,
            ])
    }

    private func storedPart(_ number: Int, of upload: UploadID) throws(Fault) -> (size: Int64, body: StoredBody)? {
        try tx.first(
            "SELECT size, body_kind, body FROM part WHERE upload = $1 AND number = $2", [upload.text.value, number.value]
        ) { row throws(Fault) -> (size: Int64, body: StoredBody) in
            (try row.take(), try StoredBody(&row))
        }
    }

    func end(_ upload: UploadID, keeping parts: [Int]) throws(Fault) -> BodyReference {
        let detail = number()
        let kept: [Value] = [upload.text.value, "[\(parts.map(String.init).joined(separator: ","))]".value]
        let inserted = try tx.run(
            """
            INSERT INTO piece (detail, number, start, size, body_kind, body, checksums, checks)
            SELECT $3, row_number() OVER places - 1, sum(size) OVER places - size, size, body_kind, body, checksums, checks
            FROM part WHERE upload = $1 AND number IN (SELECT value FROM json_each($2)) WINDOW places AS (ORDER BY number)
            """, kept + [.integer(detail)])
        guard inserted == parts.count else {
            throw ObjectFaults.partIsMissing
        }
        // The parts that are kept are counted with their version.
        added.bytes -=
            try tx.value("SELECT coalesce(sum(size), 0) FROM part WHERE upload = $1", [upload.text.value], as: Int64.self) ?? 0
        let others = try tx.rows(
            "SELECT body_kind, body FROM part WHERE upload = $1 AND number NOT IN (SELECT value FROM json_each($2))", kept
        ) { row throws(Fault) in try StoredBody(&row) }
        for other in others { try drop(other) }
        try tx.run("DELETE FROM part WHERE upload = $1", [upload.text.value])
        try tx.run("DELETE FROM upload WHERE bucket = $1 AND key = $2 AND id = $3", here + [upload.text.value])
        return .pieces(of: UInt64(detail))
    }
}
