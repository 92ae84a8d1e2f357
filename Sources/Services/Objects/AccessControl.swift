//  Access control lists: the canned ones, those that are written out, and those that buckets and objects
//  have (Amazon S3 User Guide, "Access control list (ACL) overview").

import Authority
import Model
import ObjectStorage

/// A list with a name.
public enum CannedACL: String, Sendable, Hashable, CaseIterable {
    case `private`
    case publicRead = "public-read"
    case publicReadWrite = "public-read-write"
    case authenticatedRead = "authenticated-read"
    case bucketOwnerRead = "bucket-owner-read"
    case bucketOwnerFullControl = "bucket-owner-full-control"
    case logDeliveryWrite = "log-delivery-write"
    case awsExecRead = "aws-exec-read"

    func grants(owner: ID<Account>, bucketOwner: ID<Account>) -> [Grant] {
        let own = [Grant(.account(owner), .fullControl)]
        switch self {
        case .private, .awsExecRead: return own
        case .publicRead: return own + [Grant(.everyone, .read)]
        case .publicReadWrite: return own + [Grant(.everyone, .read), Grant(.everyone, .write)]
        case .authenticatedRead: return own + [Grant(.anyAccount, .read)]
        case .bucketOwnerRead: return own + (owner == bucketOwner ? [] : [Grant(.account(bucketOwner), .read)])
        case .bucketOwnerFullControl: return own + (owner == bucketOwner ? [] : [Grant(.account(bucketOwner), .fullControl)])
        case .logDeliveryWrite: return own + [Grant(.logDelivery, .write), Grant(.logDelivery, .readACL)]
        }
    }
}

/// Whom an entry names, as clients write it.
public enum RequestedGrantee: Sendable, Hashable {
    case canonicalID(String)
    case email(String)
    case group(String)

    /// The groups that there are, by their names.
    public static let groups: [String: Grant.Grantee] = [
        "http://acs.amazonaws.com/groups/global/AllUsers": .everyone,
        "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": .anyAccount,
        "http://acs.amazonaws.com/groups/s3/LogDelivery": .logDelivery,
    ]
}

/// An entry of a list as clients write it.
public struct RequestedGrant: Sendable, Hashable {
    public var grantee: RequestedGrantee
    public var permission: Grant.Permission

    public init(_ grantee: RequestedGrantee, _ permission: Grant.Permission) {
        self.grantee = grantee
        self.permission = permission
    }

    /// An entry as a client would write it.
    public init(_ grant: Grant) {
        let grantee: RequestedGrantee =
            switch grant.grantee {
            case .account(let account): .canonicalID(ObjectsService.canonicalID(of: account))
            case .everyone, .anyAccount, .logDelivery:
                .group(RequestedGrantee.groups.first { $0.value == grant.grantee }?.key ?? "")
            }
        self.init(grantee, grant.permission)
    }
}

/// A list as a client asks for it.
public enum RequestedACL: Sendable, Hashable {
    case canned(CannedACL)
    /// With the canonical id of the owner, where the client names one.
    case grants([RequestedGrant], owner: String?)
}

/// Whose a thing is, and who else may do what with it.
public struct AccessControlList: Sendable {
    public var owner: ID<Account>
    public var grants: [Grant]
}

/// An account as clients see it.
public struct ShownAccount: Sendable, Hashable {
    /// Canonical.
    public var id: String
    /// Twelve digits; nil for an account that there is no more.
    public var displayName: String?

    public init(id: String, displayName: String?) {
        self.id = id
        self.displayName = displayName
    }
}

extension ObjectsService {
    /// The entries that a list asks for; nil for what is the owner's alone.
    ///
    /// - Throws: `invalidParameter` for a grantee that is not there, `denied` where public lists are
    ///   blocked, `listsAreOff`.
    func grants(
        _ asked: RequestedACL?, owner: ID<Account>, bucketOwner: ID<Account>, _ settings: BucketSettings
    ) async throws(Fault) -> [Grant]? {
        guard let asked else { return nil }
        if settings.ownership == .bucketOwnerEnforced {
            if asked == .canned(.bucketOwnerFullControl) { return nil }
            throw Fault(.listsAreOff, "The bucket does not allow ACLs", kind: .bucket)
        }
        var grants: [Grant] = []
        switch asked {
        case .canned(.private): return nil
        case .canned(let name): grants = name.grants(owner: owner, bucketOwner: bucketOwner)
        case .grants(let entries, let stated):
            if let stated, stated != ObjectsService.canonicalID(of: owner) { throw Fault.accessDenied }
            for entry in entries { grants.append(Grant(try await grantee(entry.grantee), entry.permission)) }
        }
        if settings.publicAccess?.blocksACLs == true, grants.contains(where: \.isPublic) { throw Fault.accessDenied }
        return grants
    }

    private func grantee(_ asked: RequestedGrantee) async throws(Fault) -> Grant.Grantee {
        switch asked {
        case .canonicalID(let id):
            guard let account = try await accounts.account(canonicalID: id) else {
                throw Fault(.invalidParameter, "Invalid id", kind: .object)
            }
            return .account(account.id)
        case .group(let uri):
            guard let group = RequestedGrantee.groups[uri] else {
                throw Fault(.invalidParameter, "Invalid group uri", kind: .object)
            }
            return group
        case .email:
            throw Fault(.noSuchEmail, "The email address you provided does not match any account on record.", kind: .account)
        }
    }

    /// An account as lists and owners show it.
    public func shown(_ account: ID<Account>) async throws(Fault) -> ShownAccount {
        ShownAccount(id: ObjectsService.canonicalID(of: account), displayName: try await accounts.account(account)?.number)
    }

    // MARK: Buckets' lists

    public func accessControlList(ofBucket name: String, by caller: Caller) async throws(Fault) -> AccessControlList {
        let bucket = try await bucket(name, for: .getBucketACL, by: caller)
        let own = [Grant(.account(bucket.account), .fullControl)]
        let isOff = bucket.settings.ownership == .bucketOwnerEnforced
        return AccessControlList(owner: bucket.account, grants: isOff ? own : bucket.settings.grants ?? own)
    }

    public func setAccessControlList(_ asked: RequestedACL, ofBucket name: String, by caller: Caller) async throws(Fault) {
        let bucket = try await bucket(name, for: .putBucketACL, by: caller)
        let grants = try await grants(asked, owner: bucket.account, bucketOwner: bucket.account, bucket.settings)
        try await backend.update(bucket) { settings throws(Fault) in settings.grants = grants }
    }

    // MARK: Objects' lists

    public func accessControlList(of name: ObjectName, by caller: Caller) async throws(Fault) -> (StoredObject, AccessControlList) {
        let found = try await object(name, for: name.version == nil ? .getObjectACL : .getVersionACL, by: caller)
        let owner = found.bucket.owner(of: found.version)
        let own = [Grant(.account(owner), .fullControl)]
        let isOff = found.bucket.settings.ownership == .bucketOwnerEnforced
        return (found, AccessControlList(owner: owner, grants: isOff ? own : found.version.detail.grants ?? own))
    }

    public func setAccessControlList(
        _ asked: RequestedACL, of name: ObjectName, by caller: Caller
    ) async throws(Fault) -> StoredObject {
        let action: ObjectAction = name.version == nil ? .putObjectACL : .putVersionACL
        let found = try await object(name, for: action, by: caller)
        let grants = try await grants(
            asked, owner: found.bucket.owner(of: found.version), bucketOwner: found.bucket.account, found.bucket.settings)
        try await revise(found, name.key, for: action, by: caller) { detail throws(Fault) in
            // The entries were made for this owner; another's object has taken the place of what was found.
            guard detail.owner == found.version.detail.owner else { throw Fault.noObject }
            detail.grants = grants
        }
        await announce(.putACL, name.key, found, by: caller)
        return found
    }
}

extension Grant {
    /// Whether it is for everybody or for every account.
    var isPublic: Bool { grantee == .everyone || grantee == .anyAccount }
}

extension Fault.Code {
    /// A bucket whose owner has turned access control lists off.
    public static let listsAreOff = Fault.Code(rawValue: "listsAreOff")
    /// A bucket whose list grants something to others, so that lists cannot be turned off.
    public static let listsGrantToOthers = Fault.Code(rawValue: "listsGrantToOthers")
    public static let noSuchEmail = Fault.Code(rawValue: "noSuchEmail")
    public static let invalidTag = Fault.Code(rawValue: "invalidTag")
}

extension Fault {
    static let listsGrantToOthers = Fault(
        .listsGrantToOthers, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting", kind: .bucket)
}
