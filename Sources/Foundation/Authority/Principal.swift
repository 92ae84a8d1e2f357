//  Who makes a call.

import Model

/// An account as a session knows it.
public struct AccountScope: Sendable, Hashable {
    public var id: ID<Account>
    /// Twelve decimal digits.
    public var number: String

    public init(id: ID<Account>, number: String) {
        self.id = id
        self.number = number
    }
}

/// Who makes a call. Which initializer was used says what the principal is.
public struct Principal: Sendable, Hashable {
    public let kind: Kind
    /// The name as STS shows it: `arn:aws:iam::…:user/alice`, `arn:aws:sts::…:assumed-role/r/session`.
    public let name: ResourceName
    /// IAM's unique id: `AIDA…` of a user, `AROA…:session` of a role, the account's number of the root.
    public let uniqueId: String
    /// The principal's own account; nil only for the system and for who does not say who it is.
    public let account: AccountScope?
    /// The user's name, where it is a user.
    public let userName: String?
    /// What `aws:PrincipalArn` holds: of an assumed role, the role's own name.
    let policyName: ResourceName

    public enum Kind: String, Sendable, Hashable { case root, user, role, anonymous, system }

    /// The account itself.
    public static func root(of account: AccountScope) -> Principal {
        let name = ResourceName.identity("root", account: account.number)
        return Principal(
            kind: .root, name: name, uniqueId: account.number, account: account, userName: nil, policyName: name)
    }

    /// A user of the account. The path begins and ends with a slash, as IAM's does.
    public static func user(
        _ userName: String, id: ID<User>, path: String = "/", of account: AccountScope
    ) -> Principal {
        user(userName, uniqueId: UniqueIdentity.user(id), path: path, of: account)
    }

    /// A user whose unique id is known already.
    public static func user(
        _ userName: String, uniqueId: String, path: String = "/", of account: AccountScope
    ) -> Principal {
        let name = ResourceName.identity("user\(path)\(userName)", account: account.number)
        return Principal(
            kind: .user, name: name, uniqueId: uniqueId, account: account, userName: userName, policyName: name)
    }

    /// A role that was assumed. `uniqueId` is the role's `AROA…`.
    public static func role(
        _ roleName: String, uniqueId: String, session: String, path: String = "/", of account: AccountScope
    ) -> Principal {
        Principal(
            kind: .role,
            name: ResourceName(
                service: "sts", account: account.number, resource: "assumed-role/\(roleName)/\(session)"),
            uniqueId: "\(uniqueId):\(session)", account: account, userName: nil,
            policyName: .identity("role\(path)\(roleName)", account: account.number))
    }

    /// Somebody who has not signed.
    public static var anonymous: Principal {
        let name = ResourceName.identity("anonymous", account: "")
        return Principal(
            kind: .anonymous, name: name, uniqueId: "anonymous", account: nil, userName: nil, policyName: name)
    }

    /// The cloud itself, doing `purpose`.
    static func system(_ purpose: String) -> Principal {
        let name = ResourceName(service: "karri", resource: "system/\(purpose)")
        return Principal(kind: .system, name: name, uniqueId: "system", account: nil, userName: nil, policyName: name)
    }

    /// `aws:PrincipalType`
    var typeWord: String {
        switch kind {
        case .root: "Account"
        case .user: "User"
        case .role: "AssumedRole"
        case .anonymous: "Anonymous"
        case .system: "Service"
        }
    }
}

/// IAM's unique ids (IAM User Guide, "Unique identifiers"): a prefix that says what it is, and
/// base32 of the id's bits.
public enum UniqueIdentity {
    /// `AIDA` and 17 characters made of the user's id.
    public static func user(_ id: ID<User>) -> String { "AIDA" + base32(id.bits, characters: 17) }

    static func base32(_ bits: UInt64, characters: Int) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
        // A shift beyond the width gives zero.
        let places = (0..<characters).reversed()
        return String(decoding: places.map { alphabet[Int(bits >> UInt64($0 * 5) & 31)] }, as: UTF8.self)
    }
}
