//  A bucket on its way out, for the operator: its description, its versions' records in order, and their
//  bytes in the clear. Nobody's rights are asked for; who keeps the disk has the data anyway, but for what
//  only a client has the key of.

import Model
import ObjectStorage

/// A bucket's versions in the order of their keys, of each key the newest first. What changes meanwhile may
/// be told as before or as after.
public struct VersionRecords {
    private let objects: ObjectsService
    private let bucket: Bucket
    private let versions: ListedVersions
    private var request: ListingRequest<ListedObject>? = ListingRequest()
    private var page: ArraySlice<ListedObject> = []
    /// The key of the last one that was told.
    private var told: ObjectKey?

    fileprivate init(_ objects: ObjectsService, _ bucket: Bucket, _ versions: ListedVersions) {
        self.objects = objects
        self.bucket = bucket
        self.versions = versions
    }

    /// The next one; nil at the end.
    public mutating func next() async throws(Fault) -> VersionRecord? {
        while true {
            if var listed = page.popFirst() {
                // Each page knows the newest versions of its own moment: after a removal between two, a key
                // that has been told has another one.
                if listed.key == told {
                    if versions == .current { continue }
                    listed.isLatest = false
                }
                // One that has gone meanwhile is none.
                guard let version = try await objects.backend.find(listed.key, version: listed.version, in: bucket) else {
                    continue
                }
                told = listed.key
                return try await objects.record(of: version, listed.key, listed, in: bucket)
            }
            guard let asked = request else { return nil }
            let read = try await objects.backend.list(asked, versions, of: bucket)
            page = read.entries[...]
            request = asked.following(read)
        }
    }
}

extension ObjectsService {
    public func description(ofBucket name: String) async throws(Fault) -> BucketDescription {
        let bucket = try await bucket(named: name)
        return BucketDescription(
            bucket, account: try await accounts.account(bucket.account)?.number ?? "",
            grants: try await permissions(bucket.settings.grants))
    }

    /// - Parameter all: Not only those that are current and no delete markers.
    public func records(of name: String, all: Bool) async throws(Fault) -> VersionRecords {
        VersionRecords(self, try await bucket(named: name), all ? .all : .current)
    }

    /// A version as it is now, and its bytes in the clear.
    ///
    /// - Throws: `notFound`; `denied` where only its client has the key.
    public func readRecorded(
        _ key: ObjectKey, _ version: VersionID, in name: String
    ) async throws(Fault) -> (record: VersionRecord, bytes: BodySource) {
        let bucket = try await bucket(named: name)
        for _ in 0..<ObjectsService.recordingsMax {
            guard let found = try await backend.find(key, version: version, in: bucket) else { throw Fault.noObject }
            let record = try await record(of: found, key, nil, in: bucket)
            guard let body = found.body, found.size > 0 else { return (record, BodySource([])) }
            if case .customer? = found.detail.encryption?.method { throw Fault.accessDenied }
            do throws(Fault) { return (record, try await open(StoredObject(bucket: bucket, version: found), key, body)) } catch {
                guard error.code == .bodyIsGone else { throw error }
            }
        }
        throw ObjectFaults.bodyIsGone
    }

    /// How often a version is looked for that is replaced while it is opened.
    private static let recordingsMax = 10

    private func open(_ found: StoredObject, _ key: ObjectKey, _ body: BodyReference) async throws(Fault) -> BodySource {
        let range = 0..<found.version.size
        guard let sealing = try await self.key(of: found.version.detail.encryption, key, in: found.bucket, customer: nil) else {
            return try await backend.read(body, range, in: found.bucket)
        }
        return try await readSealed(found, body, range, sealing)
    }

    // MARK: Records

    /// - Parameter listed: Where it stands, if that is known.
    fileprivate func record(
        of version: ObjectVersion, _ key: ObjectKey, _ listed: ListedObject?, in bucket: Bucket
    ) async throws(Fault) -> VersionRecord {
        let detail = version.detail
        let pieces = detail.parts == nil ? [] : try await parts(of: StoredObject(bucket: bucket, version: version))
        var record = VersionRecord(key: key, size: version.size)
        record.version = version.id.spelled
        record.sequence = listed.map { hexDigits($0.sequence) }
        record.isLatest = listed?.isLatest
        record.isDeleteMarker = version.body == nil ? true : nil
        record.modified = version.modified.iso8601Precise
        record.etag = version.entityTag
        record.headers = detail.headers.isEmpty ? nil : detail.headers
        record.metadata = detail.metadata.isEmpty ? nil : detail.metadata
        record.tags = detail.tags
        record.checksums = detail.checksums.isEmpty ? nil : detail.checksums
        record.checksumType = detail.checksumType
        if !pieces.isEmpty {
            record.parts = pieces.map { VersionRecord.Part(size: $0.size, checksums: $0.checksums.isEmpty ? nil : $0.checksums) }
        }
        record.storageClass = detail.storageClass
        if let owner = detail.owner { record.owner = try await accounts.account(owner)?.number }
        record.grants = try await permissions(detail.grants)
        record.retention = detail.retention.map { VersionRecord.Lock(mode: $0.mode.rawValue, until: $0.until.iso8601Precise) }
        record.isHeld = detail.isHeld
        record.encryption = detail.encryption.map(VersionRecord.Encryption.init)
        if record.encryption?.method == VersionRecord.Encryption.customer {
            record.leftOut = "it is encrypted with a key that only its client has"
        }
        return record
    }

    private func permissions(_ grants: [Grant]?) async throws(Fault) -> [VersionRecord.Permission]? {
        guard let grants else { return nil }
        var permissions: [VersionRecord.Permission] = []
        for grant in grants {
            let grantee: String
            switch grant.grantee {
            case .account(let id): grantee = try await accounts.account(id)?.number ?? ""
            case .everyone: grantee = "everyone"
            case .anyAccount: grantee = "anyAccount"
            case .logDelivery: grantee = "logDelivery"
            }
            permissions.append(VersionRecord.Permission(grantee: grantee, permission: grant.permission.rawValue))
        }
        return permissions
    }

    /// - Returns: Also the grantees that are not known here.
    func grants(_ permissions: [VersionRecord.Permission]?) async throws(Fault) -> (grants: [Grant]?, unknown: [String]) {
        guard let permissions else { return (nil, []) }
        var grants: [Grant] = []
        var unknown: [String] = []
        for entry in permissions {
            guard let permission = Grant.Permission(rawValue: entry.permission) else {
                throw VersionRecord.damaged("the permission \(entry.permission)")
            }
            switch entry.grantee {
            case "everyone": grants.append(Grant(.everyone, permission))
            case "anyAccount": grants.append(Grant(.anyAccount, permission))
            case "logDelivery": grants.append(Grant(.logDelivery, permission))
            default:
                guard let account = try await accounts.account(number: entry.grantee) else {
                    unknown.append(entry.grantee)
                    continue
                }
                grants.append(Grant(.account(account.id), permission))
            }
        }
        return (grants, unknown)
    }
}

extension VersionRecord.Encryption {
    static let store = "AES256"
    static let keyService = "aws:kms"
    static let customer = "customer"

    fileprivate init(_ encryption: ObjectEncryption) {
        switch encryption.method {
        case .store: self.init(method: Self.store)
        case .keyService(let key): self.init(method: Self.keyService, key: key, usesBucketKey: encryption.usesBucketKey)
        case .customer: self.init(method: Self.customer)
        }
    }
}
