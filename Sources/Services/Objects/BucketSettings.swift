//  What an owner sets for a bucket: the rules that span more than one of its settings. What one setting
//  may say by itself is checked where it is read.

import Authority
import Model
import ObjectStorage

extension ObjectsService {
    /// The longest bucket policy, white space not counted (Amazon S3 User Guide, "Policies and permissions in Amazon S3").
    public static let policyBytesMax = 20 * 1024

    /// What is set for a bucket.
    public func settings(of name: String, for action: ObjectAction, by caller: Caller) async throws(Fault) -> BucketSettings {
        try await bucket(name, for: action, by: caller).settings
    }

    /// Whether a call on a bucket is paid by its caller and not by the bucket's owner.
    public func isPaid(byCallerOf name: String, _ caller: Caller) async throws(Fault) -> Bool {
        let bucket = try await bucket(named: name)
        return bucket.settings.requesterPays == true && caller.account != bucket.account
    }

    /// Which pages of other origins may call, as a browser asks whoever it is; nil where nothing is set.
    public func corsRules(of name: String) async throws(Fault) -> [CORSRule]? { try await bucket(named: name).settings.cors }

    /// How a bucket is a website, as its visitors find out whoever they are; nil where it is none.
    public func website(of name: String) async throws(Fault) -> Website? { try await bucket(named: name).settings.website }

    /// - Throws: `wrongState` where a locked bucket is to stop keeping versions.
    public func setVersioning(_ versioning: Versioning, of name: String, by caller: Caller) async throws(Fault) {
        try await update(name, for: .putBucketVersioning, by: caller) { settings throws(Fault) in
            guard settings.lock == nil || versioning == .enabled else {
                throw Fault(
                    .wrongState,
                    "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
                    kind: .bucket)
            }
            settings.versioning = versioning
        }
    }

    /// - Throws: `wrongState` where the bucket does not keep versions.
    public func setLock(_ lock: ObjectLock, of name: String, by caller: Caller) async throws(Fault) {
        try await update(name, for: .putBucketObjectLock, by: caller) { settings throws(Fault) in
            guard settings.versioning == .enabled else {
                throw Fault(
                    .wrongState, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration", kind: .bucket)
            }
            settings.lock = lock
        }
    }

    /// The policy of a bucket, which only its owner's account may see and change, whatever it says itself; nil where there is none.
    public func policy(of name: String, by caller: Caller) async throws(Fault) -> String? {
        try await owned(name, for: .getBucketPolicy, by: caller).settings.policy
    }

    private func owned(_ name: String, for action: ObjectAction, by caller: Caller) async throws(Fault) -> Bucket {
        let bucket = try await bucket(name, for: action, by: caller)
        guard caller.session.isSystem || caller.account == bucket.account else {
            throw Fault(.notOwner, "The specified method is not allowed against this resource.", kind: .bucket)
        }
        return bucket
    }

    /// - Throws: `malformedPolicy`; `limitExceeded` of a `policy`; `denied` where a public policy is blocked.
    public func setPolicy(_ text: String, of name: String, by caller: Caller) async throws(Fault) {
        let bucket = try await owned(name, for: .putBucketPolicy, by: caller)
        let policy = try PolicyDocument(parsing: text, for: .resource, charactersMax: ObjectsService.policyBytesMax)
        guard policy.concernsOnly(resource: ObjectsService.name(of: name).description) else {
            throw Fault(.malformedPolicy, "Policy has invalid resource", kind: .policy)
        }
        guard policy.concernsOnly(service: "s3") else {
            throw Fault(.malformedPolicy, "Policy has invalid action", kind: .policy)
        }
        guard let named = policy.principalAccounts else {
            throw Fault(.malformedPolicy, "Invalid principal in policy", kind: .policy)
        }
        for number in named where try await accounts.account(number: number) == nil {
            throw Fault(.malformedPolicy, "Invalid principal in policy", kind: .policy)
        }
        try await backend.update(bucket) { settings throws(Fault) in
            if settings.publicAccess?.blocksPolicy == true, policy.isPublic { throw Fault.accessDenied }
            settings.policy = text
        }
    }

    public func deletePolicy(of name: String, by caller: Caller) async throws(Fault) {
        try await backend.update(try await owned(name, for: .deleteBucketPolicy, by: caller)) { settings throws(Fault) in
            settings.policy = nil
        }
    }

    /// Whether a bucket's policy, or its list, opens it to everyone.
    public func isPublic(_ name: String, by caller: Caller) async throws(Fault) -> Bool {
        let bucket = try await bucket(name, for: .getBucketPolicyStatus, by: caller)
        if try policies.compiled(for: bucket)?.isPublic == true { return true }
        let settings = bucket.settings
        guard settings.ownership != .bucketOwnerEnforced, settings.publicAccess?.ignoresACLs != true else { return false }
        return settings.grants?.contains(where: \.isPublic) == true
    }

    /// - Throws: `listsGrantToOthers` where lists are to be turned off that grant something to others.
    public func setOwnership(_ ownership: ObjectOwnership?, of name: String, by caller: Caller) async throws(Fault) {
        let bucket = try await bucket(name, for: .putOwnershipControls, by: caller)
        try await backend.update(bucket) { settings throws(Fault) in
            if ownership == .bucketOwnerEnforced,
                settings.grants?.contains(where: { $0.grantee != .account(bucket.account) }) == true
            {
                throw Fault.listsGrantToOthers
            }
            settings.ownership = ownership
        }
    }
}
