//  Who may do what to a bucket and to what is in it: the caller's own policies, the bucket's policy,
//  access control lists, and what blocks public access (Amazon S3 User Guide, "How Amazon S3
//  authorizes a request").

import Authority
import Model
import ObjectStorage
import Synchronization

/// Who calls the object store, and what the call says that policies may ask about.
public struct Caller: Sendable {
    public var session: Session
    /// The value of one of S3's condition keys, in lower case.
    public var condition: @Sendable (_ key: String) -> ConditionValue?
    /// By which the call is known to its caller.
    public var requestID: String?

    public init(
        _ session: Session, requestID: String? = nil,
        condition: @escaping @Sendable (_ key: String) -> ConditionValue? = { _ in nil }
    ) {
        self.session = session
        self.requestID = requestID
        self.condition = condition
    }

    public var account: ID<Account>? { session.account?.id }

    /// The same caller, as one who lists what one key begins: of it alone an answer then tells whether it is there.
    func listing(_ key: ObjectKey) -> Caller {
        let condition = condition
        return Caller(session, requestID: requestID) { name in
            name == "s3:prefix" ? .text(String(decoding: key.bytes, as: UTF8.self)) : condition(name)
        }
    }

    /// The same caller, who asks for tags.
    func asking(for tags: [String: String]) -> Caller {
        let condition = condition
        return Caller(session, requestID: requestID) { key in
            if key == "s3:requestobjecttagkeys" { return .texts(Array(tags.keys)) }
            let tag = "s3:requestobjecttag/"
            guard key.hasPrefix(tag) else { return condition(key) }
            // Keys of conditions are compared without regard to case.
            return tags.first { $0.key.lowercased() == key.dropFirst(tag.utf8.count) }.map { .text($0.value) }
        }
    }
}

/// Something that may be done, by the name that policies know it by, and the entry of an access control list
/// that allows it too.
public struct ObjectAction: Sendable, Hashable {
    enum Right: Sendable, Hashable {
        /// Of the bucket's list.
        case bucket(Grant.Permission)
        /// Of the object's.
        case object(Grant.Permission)
        case none
    }

    let name: String
    let right: Right

    init(_ name: StaticString, _ right: Right = .none) {
        self.name = "s3:\(name)"
        self.right = right
    }
}

extension ObjectsService {
    /// Refuses what a caller may not do.
    ///
    /// - Parameters:
    ///   - key: Nil for what is about the bucket.
    ///   - object: The version that is there, where the action is about one.
    /// - Throws: `denied`, `expired`.
    func authorize(
        _ action: ObjectAction, on bucket: Bucket, key: ObjectKey? = nil, object: ObjectVersion? = nil, by caller: Caller
    ) throws(Fault) {
        let session = caller.session
        if session.isSystem { return }
        if let expires = session.expires, session.circumstances.now >= expires {
            throw Fault(.expired, "The provided token has expired.", kind: .bucket)
        }
        guard try isAllowed(action, on: bucket, key: key, object: object, by: caller) else { throw Fault.accessDenied }
        // Who uses what others pay for says that they do not (Amazon S3 User Guide, "Requester Pays buckets").
        if bucket.settings.requesterPays == true, caller.account != bucket.account {
            guard caller.account != nil, caller.condition("s3:x-amz-request-payer")?.texts == ["requester"] else {
                throw Fault.accessDenied
            }
        }
    }

    private func isAllowed(
        _ action: ObjectAction, on bucket: Bucket, key: ObjectKey?, object: ObjectVersion?, by caller: Caller
    ) throws(Fault) -> Bool {
        let session = caller.session
        let tags = object?.detail.tags
        let stated = caller.condition
        let context = PolicyContext(
            stating: { key in
                let existing = "s3:existingobjecttag/"
                guard key.hasPrefix(existing) else { return stated(key) }
                // Keys of conditions are compared without regard to case.
                return tags?.first { $0.key.lowercased() == key.dropFirst(existing.utf8.count) }.map { .text($0.value) }
            }, principal: session.principal, circumstances: session.circumstances)
        let request = PolicyRequest(
            action: action.name, resource: ObjectsService.name(of: bucket.name, key).description, context: context)
        let identity = session.policies.evaluate(request)
        if case .explicitDeny = identity { return false }
        let policy = try policies.compiled(for: bucket)
        let stance = policy?.stance(toward: session.principal, canonicalID: caller.account.map(ObjectsService.canonicalID), request)
        if case .denies = stance {
            // Who may by the owner's account is never shut out of the policy itself: it could not be mended.
            return identity.isAllowed && caller.account == bucket.account && ObjectAction.policyActions.contains(action)
        }
        let owner = action.isOfObject ? bucket.owner(of: object) : bucket.account
        if caller.account == owner {
            return identity.isAllowed || stance == .allows || isGranted(action, on: bucket, object, to: nil)
        }
        // A bucket's policy says nothing of what belongs to others.
        var policyAllows = (stance == .allows || stance == .allowsAccount) && owner == bucket.account
        if bucket.settings.publicAccess?.restrictsBuckets == true, caller.account != bucket.account, policy?.isPublic == true {
            policyAllows = false
        }
        guard let account = caller.account else { return policyAllows || isGranted(action, on: bucket, object, to: nil) }
        return identity.isAllowed && (policyAllows || isGranted(action, on: bucket, object, to: account))
    }

    /// Whether an access control list allows it to an account, or to everyone.
    private func isGranted(
        _ action: ObjectAction, on bucket: Bucket, _ object: ObjectVersion?, to account: ID<Account>?
    ) -> Bool {
        if bucket.settings.ownership == .bucketOwnerEnforced { return false }
        let wanted: Grant.Permission
        let grants: [Grant]
        switch action.right {
        case .bucket(let permission): (wanted, grants) = (permission, bucket.settings.grants ?? [])
        case .object(let permission): (wanted, grants) = (permission, object?.detail.grants ?? [])
        case .none: return false
        }
        let hearsPublic = bucket.settings.publicAccess?.ignoresACLs != true
        return grants.contains { grant in
            guard grant.permission == wanted || grant.permission == .fullControl else { return false }
            switch grant.grantee {
            case .account(let granted): return granted == account
            case .everyone: return hearsPublic
            case .anyAccount: return hearsPublic && account != nil
            case .logDelivery: return false
            }
        }
    }
}

extension Bucket {
    /// Who owns a version that is in it, or would if one were.
    func owner(of object: ObjectVersion?) -> ID<Account> {
        settings.ownership == .bucketOwnerEnforced ? account : object?.detail.owner ?? account
    }
}

extension Fault {
    static let accessDenied = Fault(.denied, "Access Denied", kind: .bucket)
}

/// Bucket policies as they are evaluated, so that none is read for every call.
final class CompiledPolicies: Sendable {
    private static let countMax = 1000
    private let known = Mutex<[ID<Bucket>: (text: String, policy: PolicyDocument)]>([:])

    func compiled(for bucket: Bucket) throws(Fault) -> PolicyDocument? {
        guard let text = bucket.settings.policy else { return nil }
        if let found = known.withLock({ $0[bucket.id] }), found.text == text { return found.policy }
        let policy = try PolicyDocument(parsing: text, for: .resource, charactersMax: ObjectsService.policyBytesMax)
        known.withLock { known in
            if known.count >= CompiledPolicies.countMax { known = [:] }
            known[bucket.id] = (text, policy)
        }
        return policy
    }
}

extension ObjectAction {
    fileprivate var isOfObject: Bool { if case .object = right { true } else { false } }
    fileprivate static let policyActions: Set<ObjectAction> = [.getBucketPolicy, .putBucketPolicy, .deleteBucketPolicy]

    // Of buckets.
    public static let deleteBucket = ObjectAction("DeleteBucket")
    public static let listBucket = ObjectAction("ListBucket", .bucket(.read))
    public static let listBucketVersions = ObjectAction("ListBucketVersions", .bucket(.read))
    public static let listUploads = ObjectAction("ListBucketMultipartUploads", .bucket(.read))
    public static let bucketLocation = ObjectAction("GetBucketLocation")
    public static let getBucketACL = ObjectAction("GetBucketAcl", .bucket(.readACL))
    public static let putBucketACL = ObjectAction("PutBucketAcl", .bucket(.writeACL))
    public static let getBucketPolicy = ObjectAction("GetBucketPolicy")
    public static let putBucketPolicy = ObjectAction("PutBucketPolicy")
    public static let deleteBucketPolicy = ObjectAction("DeleteBucketPolicy")
    public static let getBucketPolicyStatus = ObjectAction("GetBucketPolicyStatus")
    public static let getBucketVersioning = ObjectAction("GetBucketVersioning")
    public static let putBucketVersioning = ObjectAction("PutBucketVersioning")
    public static let getBucketObjectLock = ObjectAction("GetBucketObjectLockConfiguration")
    public static let putBucketObjectLock = ObjectAction("PutBucketObjectLockConfiguration")
    public static let getBucketTagging = ObjectAction("GetBucketTagging")
    public static let putBucketTagging = ObjectAction("PutBucketTagging")
    public static let getBucketCORS = ObjectAction("GetBucketCORS")
    public static let putBucketCORS = ObjectAction("PutBucketCORS")
    public static let getLifecycle = ObjectAction("GetLifecycleConfiguration")
    public static let putLifecycle = ObjectAction("PutLifecycleConfiguration")
    public static let getEncryption = ObjectAction("GetEncryptionConfiguration")
    public static let putEncryption = ObjectAction("PutEncryptionConfiguration")
    public static let getPublicAccessBlock = ObjectAction("GetBucketPublicAccessBlock")
    public static let putPublicAccessBlock = ObjectAction("PutBucketPublicAccessBlock")
    public static let getOwnershipControls = ObjectAction("GetBucketOwnershipControls")
    public static let putOwnershipControls = ObjectAction("PutBucketOwnershipControls")
    public static let getBucketWebsite = ObjectAction("GetBucketWebsite")
    public static let putBucketWebsite = ObjectAction("PutBucketWebsite")
    public static let deleteBucketWebsite = ObjectAction("DeleteBucketWebsite")
    public static let getBucketLogging = ObjectAction("GetBucketLogging")
    public static let putBucketLogging = ObjectAction("PutBucketLogging")
    public static let getAccelerate = ObjectAction("GetAccelerateConfiguration")
    public static let putAccelerate = ObjectAction("PutAccelerateConfiguration")
    public static let getReplication = ObjectAction("GetReplicationConfiguration")
    public static let putReplication = ObjectAction("PutReplicationConfiguration")
    public static let getNotification = ObjectAction("GetBucketNotification")
    public static let putNotification = ObjectAction("PutBucketNotification")
    public static let getRequestPayment = ObjectAction("GetBucketRequestPayment")
    public static let putRequestPayment = ObjectAction("PutBucketRequestPayment")

    // Of objects.
    public static let putObject = ObjectAction("PutObject", .bucket(.write))
    public static let deleteObject = ObjectAction("DeleteObject", .bucket(.write))
    public static let deleteVersion = ObjectAction("DeleteObjectVersion")
    public static let abortUpload = ObjectAction("AbortMultipartUpload", .bucket(.write))
    public static let listParts = ObjectAction("ListMultipartUploadParts", .bucket(.write))
    public static let getObject = ObjectAction("GetObject", .object(.read))
    public static let getVersion = ObjectAction("GetObjectVersion", .object(.read))
    public static let getAttributes = ObjectAction("GetObjectAttributes", .object(.read))
    public static let getVersionAttributes = ObjectAction("GetObjectVersionAttributes", .object(.read))
    public static let getObjectACL = ObjectAction("GetObjectAcl", .object(.readACL))
    public static let getVersionACL = ObjectAction("GetObjectVersionAcl", .object(.readACL))
    public static let putObjectACL = ObjectAction("PutObjectAcl", .object(.writeACL))
    public static let putVersionACL = ObjectAction("PutObjectVersionAcl", .object(.writeACL))
    public static let getObjectTagging = ObjectAction("GetObjectTagging")
    public static let getVersionTagging = ObjectAction("GetObjectVersionTagging")
    public static let putObjectTagging = ObjectAction("PutObjectTagging")
    public static let putVersionTagging = ObjectAction("PutObjectVersionTagging")
    public static let deleteObjectTagging = ObjectAction("DeleteObjectTagging")
    public static let deleteVersionTagging = ObjectAction("DeleteObjectVersionTagging")
    public static let getRetention = ObjectAction("GetObjectRetention")
    public static let putRetention = ObjectAction("PutObjectRetention")
    public static let bypassGovernance = ObjectAction("BypassGovernanceRetention")
    public static let getLegalHold = ObjectAction("GetObjectLegalHold")
    public static let putLegalHold = ObjectAction("PutObjectLegalHold")
}
