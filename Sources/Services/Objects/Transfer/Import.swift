//  A bucket on its way in, for the operator: versions that an export has told, with their ids, times and
//  entity tags, or plain files. A version is there whole or not at all, and one that has been brought in
//  already is known by that.

import Authority
import Crypto
import Model
import ObjectStorage
import Platform

/// What is known of a version that is to be brought in.
public enum ImportStanding: Sendable, Hashable {
    case there
    /// With the current version's, if there is one.
    case missing(size: Int64?, entityTag: String)
}

extension ObjectsService {
    /// Finds a bucket that is to be brought into, or makes it.
    ///
    /// - Parameters:
    ///   - account: The number of the account for which it is made, if it is not there.
    ///   - like: The bucket that was exported: how it keeps versions is given to the new one, and the rest
    ///     of its settings at the end, so that no rule works on what is half there.
    /// - Throws: `notFound` where it is not there and no account is named.
    public func prepareImport(
        into name: String, account number: String?, like: BucketDescription?
    ) async throws(Fault) -> (wasMade: Bool, keepsVersions: Bool) {
        if let bucket = try await backend.bucket(named: name) {
            if let number, try await accounts.account(bucket.account)?.number != number {
                throw Fault(.notOwner, "the bucket \(name) is another account's", kind: .bucket)
            }
            return (false, bucket.settings.versioning != nil)
        }
        guard let number else {
            throw Fault(.notFound, "there is no bucket \(name): name the account that it is to be made for", kind: .bucket)
        }
        let account = try await account(number: number)
        var new = NewBucket(name: name)
        new.versioning = like?.settings.versioning
        new.hasLock = like?.settings.lock != nil && new.versioning == .enabled
        let (bucket, wasThere) = try await createBucket(new, by: importer(for: account))
        return (!wasThere, bucket.settings.versioning != nil)
    }

    /// Gives a bucket that was made for an import the settings of the one that was exported. One that has
    /// settings of its own keeps them.
    ///
    /// - Returns: What could not be given.
    public func finishImport(into name: String, like: BucketDescription) async throws(Fault) -> [String] {
        let bucket = try await bucket(named: name)
        let (grants, unknown) = try await grants(like.grants)
        var remarks = unknown.map { "the bucket's list names the account \($0), which is not known here" }
        var given = like.settings
        (given.grants, given.policy) = (grants, nil)
        if given.lock != nil, given.versioning != .enabled {
            given.lock = nil
            remarks.append("the bucket's object lock is left out: it needs versioning that is enabled")
        }
        if given.notifications != nil {
            given.notifications = nil
            remarks.append("the bucket's notifications are left out: their targets are to be set here")
        }
        if given.bytesMax != nil {
            given.bytesMax = nil
            remarks.append("the bucket's quota is left out: it is the operator's to set here")
        }
        let settled = given
        let wereKept = try await backend.update(bucket) { settings throws(Fault) in
            var (wanted, fresh, others) = (settled, BucketSettings(), settings)
            wanted.versioning = wanted.versioning ?? settings.versioning
            wanted.lock = wanted.lock ?? settings.lock
            if wanted.lock != nil { wanted.versioning = .enabled }
            (fresh.versioning, fresh.lock) = (settings.versioning, settings.lock)
            (others.policy, others.notifications, others.bytesMax) = (nil, nil, nil)
            guard settings == fresh else { return others != wanted }
            settings = wanted
            return false
        }
        if wereKept { return ["the bucket has settings of its own, which are left as they are"] }
        guard let policy = like.settings.policy, let account = try await accounts.account(bucket.account) else { return remarks }
        do throws(Fault) { try await setPolicy(policy, of: name, by: importer(for: account)) } catch {
            remarks.append("the bucket's policy is left out: \(error.message)")
        }
        return remarks
    }

    /// Whether a version is there already, with its time, size and entity tag: under its id, or where its key
    /// had newer versions as one of those.
    public func standing(of record: VersionRecord, in name: String) async throws(Fault) -> ImportStanding {
        let bucket = try await bucket(named: name)
        let key = try record.objectKey
        guard let current = try await backend.find(key, version: nil, in: bucket) else { return .missing(size: nil, entityTag: "") }
        let missing = ImportStanding.missing(size: current.body.map { _ in current.size }, entityTag: current.entityTag)
        guard let modified = record.modifiedAt, let id = try record.versionID else { return missing }
        if let found = id == current.id ? current : try await backend.find(key, version: id, in: bucket),
            found.modified == modified, found.size == record.size, (found.body == nil) == record.isMarker,
            record.etag == nil || found.entityTag == record.etag
        {
            return .there
        }
        // It has another id only where that is newer than its own, or where its own is from the future.
        let place = try record.place.flatMap { $0 < ImportedVersion.placeMax(at: chance.now()) ? $0 : nil } ?? 0
        if current.id != .null, current.id.bits < place { return missing }
        var first = ListingRequest<ListedObject>()
        first.prefix = key.bytes
        var next: ListingRequest<ListedObject>? = first
        while let request = next {
            let page = try await backend.list(request, .all, of: bucket)
            for listed in page.entries {
                guard listed.key == key, listed.sequence >= place else { return missing }
                if listed.modified == modified, listed.size == record.size, listed.isDeleteMarker == record.isMarker,
                    record.etag == nil || listed.entityTag == record.etag
                {
                    return .there
                }
            }
            next = request.following(page)
        }
        return missing
    }

    /// Brings a version in; durable when it returns. It becomes its key's current one.
    ///
    /// - Parameter bytes: Of its body; it ends only where all of it has come and is right.
    /// - Returns: What could not be given back as it was.
    public func importVersion(
        _ record: VersionRecord, into name: String, bytes: BodySource
    ) async throws(Fault) -> [String] {
        let bucket = try await bucket(named: name)
        let version = try await ImportedVersion(record, in: bucket, of: self)
        if record.isMarker { return try await version.keepMarker() }
        try await checkQuota(of: bucket.account, adding: record.size)
        let body = BodyCutter(
            bytes, short: Fault(.malformedRequest, "its body is shorter than its record says", kind: .object))
        return record.parts == nil ? try await version.keepWhole(body) : try await version.keepParts(body)
    }

    fileprivate func importer(for account: AccountScope) -> Caller {
        Caller(Session(unrestrictedSystemWorkFor: "import", onBehalfOf: account, now: chance.now()))
    }
}

/// One version on its way in.
private final class ImportedVersion: Sendable {
    private let objects: ObjectsService
    private let bucket: Bucket
    private let record: VersionRecord
    private let key: ObjectKey
    private let detail: ObjectDetail
    private let sealing: SymmetricKey?
    private let remarks: [String]
    private let now: Instant

    /// How far beyond the clock times and ids may lie.
    private static let leeway = Duration.seconds(86_400)

    /// Ids from here on are from the future.
    static func placeMax(at now: Instant) -> UInt64 { UInt64(clamping: (now + leeway).microseconds) }

    init(_ record: VersionRecord, in bucket: Bucket, of objects: ObjectsService) async throws(Fault) {
        self.objects = objects
        self.bucket = bucket
        self.record = record
        key = try record.objectKey
        now = objects.chance.now()
        if let modified = record.modifiedAt, modified > now + Self.leeway { throw VersionRecord.damaged("its time lies ahead") }
        var remarks: [String] = []
        var detail = try await objects.detail(of: record, in: bucket, now: now, &remarks)
        let encryption = try await objects.importEncryption(record, key, in: bucket, &remarks)
        detail.encryption = encryption?.kept
        self.detail = detail
        sealing = encryption?.key
        self.remarks = remarks
    }

    func keepMarker() async throws(Fault) -> [String] {
        guard bucket.settings.versioning != nil else { return ["a delete marker is left out: the bucket keeps no versions"] }
        var marker = ObjectDetail()
        marker.owner = detail.owner
        let version = version(size: 0, entityTag: "", body: nil, marker)
        return try await objects.backend.change(key, in: bucket) { [self] change throws(Fault) in
            try place(version, in: change)
        }
    }

    func keepWhole(_ bytes: BodyCutter) async throws(Fault) -> [String] {
        let body = StoredObjectBody(source: bytes.piece(record.size))
        if record.version == nil { body.makeChecksum(ChecksumAlgorithm.standard.header) }
        return try await objects.take(body, size: record.size, sealedWith: sealing, in: bucket) { taken throws(Fault) in
            try await keep(taken, bytes, body.checksum)
        }
    }

    private func keep(
        _ taken: (size: Int64, entityTag: String, body: BodyReference), _ bytes: BodyCutter,
        _ checksum: (name: String, value: String)?
    ) async throws(Fault) -> [String] {
        try await checkEnd(of: bytes)
        var detail = detail
        if let (name, value) = checksum { detail.checksums = [name: value] }
        let version = version(size: taken.size, entityTag: record.etag ?? taken.entityTag, body: taken.body, detail)
        return try await objects.backend.change(key, in: bucket) { [self] change throws(Fault) in
            try place(version, in: change)
        }
    }

    /// - Throws: What the sender finds wrong with what has come.
    private func checkEnd(of body: BodyCutter) async throws(Fault) {
        guard try await body.isAtEnd() else {
            throw Fault(.malformedRequest, "its body is longer than its record says", kind: .object)
        }
    }

    // MARK: Parts

    /// Uploads it as clients do, so that a body of parts is one again.
    func keepParts(_ body: BodyCutter) async throws(Fault) -> [String] {
        let id = UploadID(bringingIn: key, version: record.version, into: bucket)
        let upload = PartedUpload(id: id, key: key, begun: now, detail: detail)
        try await objects.backend.change(key, in: bucket) { change throws(Fault) in
            // What an import left that was ended.
            if try change.upload(id) != nil { _ = try change.end(id, keeping: []) }
            try change.begin(upload)
        }
        let outcome: Result<[String], Fault>
        do throws(Fault) { outcome = .success(try await takeParts(body, id)) } catch { outcome = .failure(error) }
        if case .failure = outcome { await end(id) }
        return try outcome.get()
    }

    /// Ends an upload of which nothing is kept, also where its caller has gone.
    private func end(_ id: UploadID) async {
        let (backend, key, bucket) = (objects.backend, key, bucket)
        // Where this fails as well, the upload is there for the next import and for everybody to see and to end.
        try? await shielded {
            try await backend.change(key, in: bucket) { change throws(Fault) in _ = try change.end(id, keeping: []) }
        }
    }

    private func takeParts(_ body: BodyCutter, _ id: UploadID) async throws(Fault) -> [String] {
        let parts = record.parts ?? []
        var hash = Insecure.MD5()
        for (place, part) in parts.enumerated() {
            let tag = try await take(part, place + 1, of: id, StoredObjectBody(source: body.piece(part.size)))
            hash.update(data: bytes(hexDigits: tag) ?? [])
        }
        try await checkEnd(of: body)
        var detail = detail
        detail.upload = id
        detail.parts = parts.count
        let tag = record.etag ?? "\(hexDigits(Array(hash.finalize())))-\(parts.count)"
        let version = version(size: record.size, entityTag: tag, body: nil, detail)
        return try await objects.backend.change(key, in: bucket) { [self] change throws(Fault) in
            var whole = version
            whole.body = try change.end(id, keeping: parts.indices.map { $0 + 1 })
            return try place(whole, in: change)
        }
    }

    /// - Returns: The part's entity tag.
    private func take(
        _ part: VersionRecord.Part, _ number: Int, of id: UploadID, _ body: StoredObjectBody
    ) async throws(Fault) -> String {
        try await objects.take(body, size: part.size, sealedWith: sealing, in: bucket) { taken throws(Fault) in
            let stored = UploadedPart(
                number: number, size: sealing == nil ? taken.size : SealedBytes.sealedLength(of: taken.size),
                entityTag: taken.entityTag, modified: now, checksums: part.checksums ?? [:], body: taken.body)
            try await keep(stored, of: id)
            return taken.entityTag
        }
    }

    private func keep(_ part: UploadedPart, of id: UploadID) async throws(Fault) {
        let bucket = bucket
        try await objects.backend.change(key, in: bucket) { change throws(Fault) in
            guard try change.upload(id) != nil else { throw Fault.noUpload }
            try change.put(part, of: id)
            try bucket.checkQuota(change.usage, adding: part.size)
        }
    }

    // MARK: Its place

    private func version(size: Int64, entityTag: String, body: BodyReference?, _ detail: ObjectDetail) -> ObjectVersion {
        ObjectVersion(
            id: .null, size: size, entityTag: entityTag, modified: record.modifiedAt ?? now, detail: detail, body: body)
    }

    /// Adds it under its own id where its key has nothing newer, and otherwise under the next.
    private func place(_ version: ObjectVersion, in change: any KeyChange) throws(Fault) -> [String] {
        guard let id = try record.versionID, let sequence = try record.place, bucket.settings.versioning != nil else {
            _ = try change.add(version, in: bucket)
            return remarks
        }
        var version = version
        let last = Self.placeMax(at: now)
        let newest = try change.newestSequence() ?? 0
        let fits = try change.version(id) == nil && newest < sequence
        if fits, sequence > 0, sequence < last {
            version.id = id
            try change.put(version, at: sequence)
            try bucket.checkQuota(change.usage, adding: version.size)
            return remarks
        }
        version.id = try change.nextID()
        try change.put(version, at: nil)
        try bucket.checkQuota(change.usage, adding: version.size)
        return remarks + ["it has another version id: \(fits ? "its own is from the future" : "its key has newer versions")"]
    }
}

extension ObjectsService {
    /// What a version is kept with.
    fileprivate func detail(
        of record: VersionRecord, in bucket: Bucket, now: Instant, _ remarks: inout [String]
    ) async throws(Fault) -> ObjectDetail {
        var detail = ObjectDetail()
        detail.headers = record.headers ?? [:]
        detail.metadata = record.metadata ?? [:]
        detail.checksums = record.checksums ?? [:]
        let sums = (record.parts ?? []).compactMap(\.checksums)
        for (name, value) in ([detail.headers, detail.metadata, detail.checksums] + sums).joined() {
            guard VersionRecord.isHeaderName(name), VersionRecord.isHeaderValue(value) else {
                throw VersionRecord.damaged("the header \(name)")
            }
        }
        for value in [record.etag, record.storageClass, record.checksumType].compactMap(\.self) {
            guard VersionRecord.isHeaderValue(value) else { throw VersionRecord.damaged("\(value) cannot be told") }
        }
        detail.checksumType = record.checksumType
        if let tags = record.tags { try ObjectTags.check(tags) }
        detail.tags = record.tags
        detail.storageClass = record.storageClass
        if let number = record.owner {
            let owner = try await accounts.account(number: number)?.id
            if owner == nil { remarks.append("its owner \(number) is not known here: it is the bucket's owner's") }
            detail.owner = owner == bucket.account ? nil : owner
        }
        let (grants, unknown) = try await grants(record.grants)
        detail.grants = grants
        remarks += unknown.map { "its list names the account \($0), which is not known here" }
        try keepLock(of: record, in: bucket, now: now, &detail, &remarks)
        return detail
    }

    private func keepLock(
        of record: VersionRecord, in bucket: Bucket, now: Instant, _ detail: inout ObjectDetail, _ remarks: inout [String]
    ) throws(Fault) {
        guard record.version != nil else {
            detail.retention = record.isMarker ? nil : bucket.standardRetention(from: now)
            return
        }
        guard record.retention != nil || record.isHeld != nil else { return }
        guard bucket.settings.lock != nil else {
            remarks.append("its lock is left out: the bucket has no object lock")
            return
        }
        detail.isHeld = record.isHeld
        guard let lock = record.retention else { return }
        guard let mode = Retention.Mode(rawValue: lock.mode), let until = Instant(iso8601: lock.until),
            until < now + .seconds(ObjectsService.retentionDaysMax * 86_400 * 2)
        else { throw VersionRecord.damaged("its retention") }
        detail.retention = Retention(mode: mode, until: until)
    }

    /// How it is encrypted: as it was, with a key of this store's, or as the bucket says.
    fileprivate func importEncryption(
        _ record: VersionRecord, _ key: ObjectKey, in bucket: Bucket, _ remarks: inout [String]
    ) async throws(Fault) -> BodyEncryption? {
        guard !record.isMarker else { return nil }
        guard let owner = try await accounts.account(bucket.account) else {
            throw Fault(.notFound, "the account of the bucket \(bucket.name) is not known", kind: .account)
        }
        let caller = importer(for: owner)
        var asked: RequestedEncryption?
        switch record.encryption?.method {
        case VersionRecord.Encryption.store: asked = .store
        case VersionRecord.Encryption.keyService:
            let uses = record.encryption?.usesBucketKey
            var name = record.encryption?.key
            if let given = name, await !isKey(given, of: owner) {
                name = nil
                remarks.append("its key \(given) cannot be used here: it is encrypted with the account's own")
            }
            asked = .keyService(name, usesBucketKey: uses)
        case VersionRecord.Encryption.customer: throw VersionRecord.damaged("it is encrypted")
        default: break
        }
        return try await encryption(asked, of: key, in: bucket, by: caller)
    }

    private func isKey(_ name: String, of owner: AccountScope) async -> Bool {
        do throws(Fault) {
            _ = try await keys.name(of: name, for: owner)
            return true
        } catch { return false }
    }
}
