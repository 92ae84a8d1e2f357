//  Buckets: made, found, listed, set and removed.

import Authority
import Model
import ObjectStorage

/// A bucket that is to be made.
public struct NewBucket: Sendable {
    public var name: String
    public var acl: RequestedACL?
    public var ownership: ObjectOwnership?
    public var hasLock = false
    /// Nil: it keeps no versions, unless its lock asks for them.
    public var versioning: Versioning?
    public var tags: [String: String]?

    public init(name: String) { self.name = name }

    /// Whether its list is to name others than its owner.
    fileprivate var grantsToOthers: Bool {
        acl != nil && acl != .canned(.private) && acl != .canned(.bucketOwnerFullControl)
    }
}

extension Action<Bucket> {
    static let create = Action("s3:CreateBucket")
    static let list = Action("s3:ListAllMyBuckets")
    static let tag = Action("s3:TagResource")
}

extension ObjectsService {
    /// The region that answers some calls as it did before there were others.
    public static let firstRegion = "us-east-1"

    /// How many buckets an account may have (Amazon S3 User Guide, "Quotas").
    public static let bucketsMax = 10_000

    /// Makes a bucket.
    ///
    /// - Returns: The bucket, and whether it was the caller's own already.
    /// - Throws: `invalidParameter` for a name that buckets cannot have; `alreadyExists` where another
    ///   account has the name; `limitExceeded`.
    public func createBucket(_ new: NewBucket, by caller: Caller) async throws(Fault) -> (bucket: Bucket, wasThere: Bool) {
        guard caller.account != nil else { throw Fault.accessDenied }
        let permit = try caller.session.authorizeAll(
            Action<Bucket>.create, on: ObjectsService.name(of: new.name))
        if new.tags != nil { _ = try caller.session.authorizeAll(Action<Bucket>.tag, on: ObjectsService.name(of: new.name)) }
        try BucketName.check(new.name)
        try ObjectTags.check(new.tags ?? [:], countMax: ObjectTags.bucketCountMax)
        if let there = try await backend.bucket(named: new.name) {
            return (try await again(try ObjectsService.own(there, permit.id), new), true)
        }
        guard try await backend.bucketCount(of: permit.id) < ObjectsService.bucketsMax else {
            throw Fault(.limitExceeded, "You have attempted to create more buckets than allowed", kind: .bucket)
        }
        var settings = BucketSettings()
        settings.ownership = new.ownership
        if new.ownership == .bucketOwnerEnforced, new.grantsToOthers { throw Fault.listsGrantToOthers }
        settings.grants = try await grants(new.acl, owner: permit.id, bucketOwner: permit.id, settings)
        settings.versioning = new.versioning
        settings.tags = new.tags
        if new.hasLock {
            settings.lock = ObjectLock()
            settings.versioning = .enabled
        }
        let bucket = Bucket(
            id: chance.id(), name: new.name, account: permit.id, region: region, created: chance.now(), settings: settings)
        if let made = try await backend.add(bucket) { return (made, false) }
        guard let there = try await backend.bucket(named: new.name) else {
            throw Fault(.conflict, "The bucket is being made or removed by another call.", kind: .bucket)
        }
        return (try ObjectsService.own(there, permit.id), true)
    }

    /// Makes a bucket that is there: in AWS's first region its list is then as the call says
    /// ("CreateBucket", Amazon S3 API Reference).
    private func again(_ bucket: Bucket, _ new: NewBucket) async throws(Fault) -> Bucket {
        guard region == ObjectsService.firstRegion else { return bucket }
        if bucket.settings.ownership == .bucketOwnerEnforced {
            if new.grantsToOthers { throw Fault.listsGrantToOthers }
            return bucket
        }
        let grants = try await grants(new.acl, owner: bucket.account, bucketOwner: bucket.account, bucket.settings)
        try await backend.update(bucket) { settings throws(Fault) in settings.grants = grants }
        return bucket
    }

    private static func own(_ bucket: Bucket, _ account: ID<Account>) throws(Fault) -> Bucket {
        guard bucket.account == account else {
            throw Fault(
                .alreadyExists,
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
                    + "Please select a different name and try again.", kind: .bucket)
        }
        return bucket
    }

    /// The buckets of the caller's account, by name.
    ///
    /// - Parameters:
    ///   - after: Only those whose names come after this one.
    ///   - limit: One more is returned where there is more.
    public func buckets(
        prefix: String = "", after: String = "", limit: Int = bucketsMax, by caller: Caller
    ) async throws(Fault) -> [Bucket] {
        guard caller.account != nil else { throw Fault.accessDenied }
        let permit = try caller.session.authorizeAll(Action<Bucket>.list)
        let all = try await backend.buckets(of: permit.id)
        return Array(all.lazy.filter { $0.name > after && $0.name.hasPrefix(prefix) }.prefix(limit + 1))
    }

    /// Refuses a call that is meant for another owner's bucket.
    ///
    /// - Parameter number: The twelve digits of the account that the caller expects.
    public func checkOwner(_ number: String, of name: String) async throws(Fault) {
        let bucket = try await bucket(named: name)
        guard try await accounts.account(bucket.account)?.number == number else { throw Fault.accessDenied }
    }

    /// - Throws: `inUse` while anything is in it.
    public func deleteBucket(named name: String, by caller: Caller) async throws(Fault) {
        try await backend.remove(try await bucket(name, for: .deleteBucket, by: caller))
    }

    /// Changes what is set for a bucket, durable when this returns.
    public func update<T: Sendable>(
        _ name: String, for action: ObjectAction, by caller: Caller,
        _ body: @escaping @Sendable (inout BucketSettings) throws(Fault) -> T
    ) async throws(Fault) -> T {
        try await backend.update(try await bucket(name, for: action, by: caller), body)
    }
}

/// Which names buckets may have (S3 User Guide, "General purpose bucket naming rules").
enum BucketName {
    static func check(_ name: String) throws(Fault) {
        guard isValid(Array(name.utf8)) else {
            throw Fault(.invalidParameter, "The specified bucket is not valid.", kind: .bucket)
        }
    }

    private static func isValid(_ name: [UInt8]) -> Bool {
        guard (3...63).contains(name.count), name.allSatisfy({ isLetterOrDigit($0) || $0 == dot || $0 == dash }) else {
            return false
        }
        let labels = name.split(separator: dot, omittingEmptySubsequences: false)
        guard labels.allSatisfy({ $0.first.map(isLetterOrDigit) == true && $0.last.map(isLetterOrDigit) == true }) else {
            return false
        }
        // Formatted as an address.
        if labels.count == 4, labels.allSatisfy({ $0.allSatisfy { (0x30...0x39).contains($0) } }) { return false }
        let text = String(decoding: name, as: UTF8.self)
        return !reservedPrefixes.contains(where: text.hasPrefix) && !reservedSuffixes.contains(where: text.hasSuffix)
    }

    private static let dot = UInt8(ascii: ".")
    private static let dash = UInt8(ascii: "-")
    private static let reservedPrefixes = ["xn--", "sthree-", "amzn-s3-demo-"]
    private static let reservedSuffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) }
}
