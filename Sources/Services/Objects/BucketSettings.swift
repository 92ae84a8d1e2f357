//  What an owner sets for a bucket: the rules that span more than one of its settings. What one setting
//  may say by itself is checked where it is read.

import Authority
import Model
import ObjectStorage

extension ObjectsService {
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
