//  What is read from a shard's tables, and how rows become what they stand for.

import Checksums
import Database
import Model

extension Reading {
    /// Nil for a bucket that takes no keys here.
    func usage(of bucket: ID<Bucket>) throws(Fault) -> BucketUsage? {
        try first("SELECT versions, bytes FROM bucket WHERE id = $1", [bucket.value]) { row throws(Fault) in
            BucketUsage(versions: try row.take(), bytes: try row.take())
        }
    }

    /// A small body, found to be as it was written.
    func inlineBody(_ id: UInt64) throws(Fault) -> [UInt8] {
        let found = try first("SELECT checksum, bytes FROM inline_body WHERE id = $1", [.integer(Int64(id))]) {
            row throws(Fault) -> (Int64, [UInt8]) in (try row.take(), try row.take())
        }
        guard let (checksum, bytes) = found else { throw ObjectFaults.bodyIsGone }
        guard checksum == Int64(CyclicChecksum.crc32c.check(of: bytes)) else { throw ObjectFaults.bodyIsDamaged }
        return bytes
    }

    /// The versions of a slice in order.
    func listed(
        _ slice: ListingSlice<UInt64>, _ versions: ListedVersions, in bucket: ID<Bucket>
    ) throws(Fault) -> [ListedObject] {
        let before: Value? = slice.after.map { .integer(-Int64(bitPattern: $0)) }
        var (conditions, arguments) = bounds(of: slice, in: bucket, place: "rank", before)
        if versions == .current { conditions += " AND shown" }
        let isLatest =
            switch versions {
            case .current: "TRUE"
            case .all: "rank = (SELECT min(rank) FROM listing newest WHERE newest.bucket = $1 AND newest.key = listing.key)"
            }
        return try rows(
            """
            SELECT key, size, entity_tag, modified, version, rank, is_marker, owner, storage_class, checksum, \(isLatest) FROM listing
            WHERE \(conditions) ORDER BY key, rank LIMIT $2
            """, arguments
        ) { row throws(Fault) in try ListedObject(&row) }
    }

    /// The uploads of a slice in order.
    func uploads(_ slice: ListingSlice<UploadID>, in bucket: ID<Bucket>) throws(Fault) -> [PartedUpload] {
        let (conditions, arguments) = bounds(of: slice, in: bucket, place: "id", slice.after.map(\.text.value))
        return try rows(
            "SELECT id, key, begun, headers FROM upload WHERE \(conditions) ORDER BY key, id LIMIT $2", arguments
        ) { row throws(Fault) in try PartedUpload(&row) }
    }

    /// What the rows of a slice fulfil; `$2` is how many there may be.
    ///
    /// - Parameter place: The column that orders the rows of one key, and after which of its values they begin.
    private func bounds<Place>(
        of slice: ListingSlice<Place>, in bucket: ID<Bucket>, place: String, _ after: Value?
    ) -> (conditions: String, arguments: [Value]) {
        var arguments: [Value] = [bucket.value, slice.limit.value, .blob(slice.from.bytes)]
        var conditions = "bucket = $1 AND key >= $3"
        if let after {
            arguments.append(after)
            conditions = "bucket = $1 AND (key, \(place)) > ($3, $4)"
        }
        if let end = slice.upTo {
            arguments.append(.blob(end.bytes))
            conditions += " AND key < $\(arguments.count)"
        }
        return (conditions, arguments)
    }

    func upload(_ id: UploadID, of key: ObjectKey, in bucket: ID<Bucket>) throws(Fault) -> PartedUpload? {
        try first(
            "SELECT id, key, begun, headers FROM upload WHERE bucket = $1 AND key = $2 AND id = $3",
            [bucket.value, .blob(key.bytes), id.text.value]
        ) { row throws(Fault) in try PartedUpload(&row) }
    }

    func version(of key: ObjectKey, _ version: VersionID?, in bucket: ID<Bucket>) throws(Fault) -> ObjectVersion? {
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
            let detail = try row.take(StoredDetail.self).detail
            let body = try StoredBody(&row, withChecksums: true)
            return ObjectVersion(
                id: id, size: size, entityTag: tag, modified: modified, detail: detail, body: body.reference)
        }
    }
}

extension ListedObject {
    init(_ row: inout Row) throws(Fault) {
        self.init(
            key: ObjectKey(bytes: try row.take()), size: try row.take(), entityTag: try row.take(), modified: try row.take(),
            version: VersionID(bits: UInt64(bitPattern: try row.takeInteger())),
            sequence: UInt64(bitPattern: -(try row.takeInteger())), isDeleteMarker: try row.take(), owner: try row.take(),
            storageClass: try row.take(), checksum: try row.take(), isLatest: try row.take())
    }
}

extension PartedUpload {
    init(_ row: inout Row) throws(Fault) {
        self.init(
            id: UploadID(try row.take()), key: ObjectKey(bytes: try row.take()), begun: try row.take(),
            detail: try row.take(StoredDetail.self).detail)
    }
}

extension UploadedPart {
    /// What `init` reads, in order.
    static let columns = "number, size, entity_tag, modified, body_kind, body, checksums, checks"

    init(_ row: inout Row) throws(Fault) {
        let (number, size, tag, modified) = (
            try row.take(Int.self), try row.take(Int64.self), try row.takeText(), try row.take(Instant.self)
        )
        guard let body = try StoredBody(&row, withChecksums: true).reference else {
            throw Fault(.storage, "A part has no body.", kind: .object)
        }
        let checks = try row.take(JSON<[String: String]>.self).document
        self.init(number: number, size: size, entityTag: tag, modified: modified, checksums: checks, body: body)
    }
}
