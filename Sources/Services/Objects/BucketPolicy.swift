//  Policies of buckets: set, read and taken away. What they allow is decided in `Access.swift`.

import Authority
import Model
import ObjectStorage

extension ObjectsService {
    /// The longest bucket policy, white space not counted (Amazon S3 User Guide, "Policies and permissions in Amazon S3").
    public static let policyBytesMax = 20 * 1024

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
        // "NotPrincipal" of the IAM User Guide: it is not for letting everybody else do something.
        guard !policy.allowsAllBut else {
            throw Fault(.malformedPolicy, "Allow with NotPrincipal is not allowed.", kind: .policy)
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
}
