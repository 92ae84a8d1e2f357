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
        switch versions {
        case .all:
            let isLatest = "rank = (SELECT min(rank) FROM listing newest WHERE newest.bucket = $1 AND newest.key = listing.key)"
            let (conditions, arguments) = bounds(of: slice, in: bucket)
            return try rows(
                """
                SELECT \(ListedObject.columns), \(isLatest) FROM listing
                WHERE \(conditions) ORDER BY key, rank LIMIT $\(arguments.count + 1)
                """, arguments + [slice.limit.value]
            ) { row throws(Fault) in try ListedObject(&row) }
        case .current:
            var (found, left): ([ListedObject], ListingSlice?) = ([], slice)
            while let next = left { left = try current(next, in: bucket, &found) }
            return found
        }
    }

    /// One in so many of the versions that are not shown is seen by who walks those that are. Prime, so that ids
    /// of any step hit it; of a key with many versions some thirty are passed before it is left.
    private static var hiddenStep: Int { 17 }

    /// Adds the current versions of a slice, until it is at its end or in the midst of a key's older versions.
    ///
    /// SQLite passes over what is not shown at little cost, and a new search costs as much as some dozens of such rows:
    /// so they are walked, and left only once two that were seen are of one key. As the step goes by the rank alone, a
    /// bucket in which nothing is hidden is walked as if there were no such rule.
    ///
    /// - Returns: What is left of the slice, behind that key.
    private func current(
        _ slice: ListingSlice<UInt64>, in bucket: ID<Bucket>, _ found: inout [ListedObject]
    ) throws(Fault) -> ListingSlice<UInt64>? {
        guard found.count < slice.limit else { return nil }
        let (conditions, arguments) = bounds(of: slice, in: bucket)
        var (hidden, left): (ObjectKey?, ListingSlice<UInt64>?) = (nil, nil)
        try walk(
            """
            SELECT \(ListedObject.columns), shown FROM listing
            WHERE \(conditions) AND (shown OR rank % \(Reading.hiddenStep) = 0) ORDER BY key, rank
            """, arguments
        ) { row throws(Fault) in
            let entry = try ListedObject(&row)
            if entry.isLatest {
                found.append(entry)
                return found.count < slice.limit
            }
            if entry.key == hidden {
                var rest = slice
                (rest.from, rest.after) = (ObjectKey(bytes: entry.key.bytes + [0]), nil)
                left = rest
            }
            hidden = entry.key
            return left == nil
        }
        return left
    }

    private func bounds(of slice: ListingSlice<UInt64>, in bucket: ID<Bucket>) -> (conditions: String, arguments: [Value]) {
        bounds(of: slice, in: bucket, place: "rank", slice.after.map { .integer(-Int64(bitPattern: $0)) })
    }

    /// The uploads of a slice in order.
    func uploads(_ slice: ListingSlice<UploadID>, in bucket: ID<Bucket>) throws(Fault) -> [PartedUpload] {
        let (conditions, arguments) = bounds(of: slice, in: bucket, place: "id", slice.after.map(\.text.value))
        return try rows(
            "SELECT id, key, begun, headers FROM upload WHERE \(conditions) ORDER BY key, id LIMIT $\(arguments.count + 1)",
            arguments + [slice.limit.value]
        ) { row throws(Fault) in try PartedUpload(&row) }
    }

    /// What the rows of a slice fulfil, however many there may be.
    ///
    /// - Parameter place: The column that orders the rows of one key, and after which of its values they begin.
    private func bounds<Place>(
        of slice: ListingSlice<Place>, in bucket: ID<Bucket>, place: String, _ after: Value?
    ) -> (conditions: String, arguments: [Value]) {
        var arguments: [Value] = [bucket.value, .blob(slice.from.bytes)]
        var conditions = "bucket = $1 AND key >= $2"
        if let after {
            arguments.append(after)
            conditions = "bucket = $1 AND (key, \(place)) > ($2, $3)"
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
        let condition = version.map { "AND \($0.condition("l", "$3"))" } ?? ""
        return try first(
            """
            SELECT l.version, l.size, l.entity_tag, l.modified, d.headers, d.body_kind, d.body, d.checksums
            FROM listing l JOIN detail d ON d.id = l.detail
            WHERE l.bucket = $1 AND l.key = $2 \(condition) ORDER BY l.rank LIMIT 1
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

extension VersionID {
    /// What the row of this version of a key fulfils: one with an id stands at that very place.
    func condition(_ table: String, _ id: String) -> String {
        self == .null ? "\(table).version = \(id)" : "\(table).rank = -\(id) AND \(table).version = \(id)"
    }
}

extension ListedObject {
    /// What `init` reads, in order, before whether it is the newest.
    static let columns = "key, size, entity_tag, modified, version, rank, is_marker, owner, storage_class, checksum"

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
