//  Which bucket the records of another one's calls may be put into, and putting them there (Amazon S3 User
//  Guide, "Logging requests with server access logging").

import Authority
import Model
import ObjectStorage

/// Where a client wants records put.
public struct RequestedLogging: Sendable, Hashable {
    /// Its grants are of no account.
    public var logging: AccessLogging
    public var grants: [RequestedGrant]

    public init(_ logging: AccessLogging, grants: [RequestedGrant] = []) {
        self.logging = logging
        self.grants = grants
    }
}

extension ObjectsService {
    /// Who delivers records, as buckets' policies name it.
    private static let logDelivery = "logging.s3.amazonaws.com"

    /// - Throws: `invalidLogTarget` where records may not be put where the owner wants them; `listsAreOff` where they
    ///   cannot be had by whom the owner names.
    public func setLogging(_ asked: RequestedLogging?, of name: String, by caller: Caller) async throws(Fault) {
        let bucket = try await bucket(name, for: .putBucketLogging, by: caller)
        let logging: AccessLogging? = if let asked { try await logging(asked, of: bucket) } else { nil }
        try await backend.update(bucket) { settings throws(Fault) in settings.logging = logging }
    }

    private func logging(_ asked: RequestedLogging, of bucket: Bucket) async throws(Fault) -> AccessLogging {
        let target = try await logTarget(asked.logging, of: bucket)
        var logging = asked.logging
        logging.grants = nil
        guard !asked.grants.isEmpty else { return logging }
        guard target.settings.ownership != .bucketOwnerEnforced else {
            throw Fault(.listsAreOff, "Target grants not allowed for bucket owner enforced buckets", kind: .bucket)
        }
        logging.grants = try await grants(
            .grants(asked.grants, owner: nil), owner: target.account, bucketOwner: target.account, target.settings)
        return logging
    }

    /// Where records of a bucket's calls are wanted; nil where they are not, or where the bucket is not there.
    public func accessLogging(of name: String) async -> (bucket: Bucket, logging: AccessLogging)? {
        guard let bucket = try? await backend.bucket(named: name), let logging = bucket.settings.logging else { return nil }
        return (bucket, logging)
    }

    /// Puts records of a bucket's calls where its owner wants them.
    ///
    /// - Parameter day: When the day began that all of them are of, where that is to be seen.
    func deliver(_ records: [UInt8], of bucket: Bucket, _ logging: AccessLogging, day: Instant? = nil) async throws(Fault) {
        let target = try await logTarget(logging, of: bucket)
        let now = chance.now()
        var upload = ObjectUpload(
            bucket: target.name, key: try await logKey(logging, of: bucket, at: day ?? now, chance.bits()))
        upload.size = Int64(records.count)
        upload.detail.headers["content-type"] = "text/plain"
        upload.acl = try await logList(logging, in: target)
        let session = Session(
            unrestrictedSystemWorkFor: "access logs", onBehalfOf: try await accounts.account(target.account), now: now)
        _ = try await put(upload, StoredObjectBody(source: BodySource(records[...])), by: Caller(session))
    }

    /// `prefix2024-01-31-12-34-56-0123456789ABCDEF`, or
    /// `prefix111122223333/region/bucket/2024/01/31/2024-01-31-12-34-56-0123456789ABCDEF`.
    private func logKey(
        _ logging: AccessLogging, of bucket: Bucket, at time: Instant, _ bits: UInt64
    ) async throws(Fault) -> ObjectKey {
        let stamp = String(time.iso8601.dropLast().map { "T:".contains($0) ? "-" : $0 })
        var place = logging.prefix
        if logging.partition != nil {
            guard let account = try await accounts.account(bucket.account) else { throw Fault.accessDenied }
            let day = String(stamp.prefix(10).map { $0 == "-" ? "/" : $0 })
            place += "\(account.number)/\(bucket.region)/\(bucket.name)/\(day)/"
        }
        return ObjectKey("\(place)\(stamp)-\(hexDigits(bits).uppercased())")
    }

    /// The list that records get: what the owner has granted, as far as the bucket that keeps them admits it by now.
    private func logList(_ logging: AccessLogging, in target: Bucket) async throws(Fault) -> RequestedACL? {
        guard let grants = logging.grants, target.settings.ownership != .bucketOwnerEnforced else { return nil }
        var entries: [RequestedGrant] = []
        for grant in [Grant(.account(target.account), .fullControl)] + grants {
            if grant.isPublic, target.settings.publicAccess?.blocksACLs == true { continue }
            if case .account(let account) = grant.grantee, try await accounts.account(account) == nil { continue }
            entries.append(RequestedGrant(grant))
        }
        return .grants(entries, owner: nil)
    }

    /// The bucket that records are wanted in, once it is found that they may be put there.
    private func logTarget(_ logging: AccessLogging, of bucket: Bucket) async throws(Fault) -> Bucket {
        guard let target = try await backend.bucket(named: logging.bucket) else {
            throw Fault.invalidLogTarget("The target bucket for logging does not exist")
        }
        guard target.account == bucket.account else {
            throw Fault.invalidLogTarget("The owner for the bucket to be logged and the target bucket must be the same.")
        }
        guard target.settings.requesterPays != true else {
            throw Fault.invalidLogTarget("The target bucket for logging must not be a Requester Pays bucket")
        }
        guard target.settings.lock?.standard == nil else {
            throw Fault.invalidLogTarget("The target bucket for logging must not have a default retention period")
        }
        let key = try await logKey(logging, of: bucket, at: chance.now(), 0)
        guard key.bytes.count <= ObjectKey.bytesMax else { throw Fault.invalidLogTarget("The target prefix is too long") }
        guard try await admitsRecords(target, key, of: bucket) else {
            throw Fault.invalidLogTarget(
                "You must give the log-delivery group WRITE and READ_ACP permissions to the target bucket")
        }
        return target
    }

    /// Whether a bucket's list or its policy lets records of another's calls in.
    private func admitsRecords(_ target: Bucket, _ key: ObjectKey, of bucket: Bucket) async throws(Fault) -> Bool {
        let facts: [String: ConditionValue] = [
            "aws:sourcearn": .name(ObjectsService.name(of: bucket.name)),
            "aws:sourceaccount": .texts(try await accounts.account(bucket.account).map { [$0.number] } ?? []),
        ]
        let request = PolicyRequest(
            action: ObjectAction.putObject.name, resource: ObjectsService.name(of: target.name, key).description,
            context: PolicyContext(facts, circumstances: Circumstances(now: chance.now(), secureTransport: true, region: region)))
        switch try policies.compiled(for: target)?.stance(towardService: ObjectsService.logDelivery, request) {
        case .denies: return false
        case .allows, .allowsAccount: return true
        case .silent, nil: break
        }
        guard target.settings.ownership != .bucketOwnerEnforced else { return false }
        let granted = Set((target.settings.grants ?? []).lazy.filter { $0.grantee == .logDelivery }.map(\.permission))
        return granted.contains(.fullControl) || granted.isSuperset(of: [.write, .readACL])
    }
}

extension Fault.Code {
    /// A bucket that records of calls may not be put into.
    public static let invalidLogTarget = Fault.Code(rawValue: "invalidLogTarget")
}

extension Fault {
    fileprivate static func invalidLogTarget(_ reason: String) -> Fault { Fault(.invalidLogTarget, reason, kind: .bucket) }
}
