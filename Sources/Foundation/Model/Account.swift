//  Who uses the cloud: accounts, their users, and the keys with which users sign.

/// An AWS account, an OpenStack project, a CloudStack account: what owns things and is billed.
public struct Account: Identified, Sendable, Hashable {
    public static let kind = Kind.account

    public var id: ID<Account>
    /// Twelve decimal digits: how AWS names the account.
    public var number: String
    public var name: String
    public var state: State
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Account>, number: String, name: String, state: State, created: Instant, revision: Int64
    ) {
        self.id = id
        self.number = number
        self.name = name
        self.state = state
        self.created = created
        self.revision = revision
    }
}

extension Account {
    public enum State: String, Sendable, Hashable, Codable { case active, closed }
}

/// A person or program of an account.
public struct User: Identified, Sendable, Hashable {
    public static let kind = Kind.user

    public var id: ID<User>
    public var account: ID<Account>
    public var name: String
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<User>, account: ID<Account>, name: String, created: Instant, revision: Int64
    ) {
        self.id = id
        self.account = account
        self.name = name
        self.created = created
        self.revision = revision
    }
}

/// A key pair for signing requests. The secret is sealed at rest.
public struct AccessKey: Sendable, Hashable {
    /// The public part, as it stands in a signature's credential: `AKIA` and 16 characters.
    public var key: String
    public var account: ID<Account>
    public var user: ID<User>
    public var sealedSecret: [UInt8]
    public var active: Bool
    public var created: Instant

    public init(
        key: String, account: ID<Account>, user: ID<User>, sealedSecret: [UInt8], active: Bool, created: Instant
    ) {
        self.key = key
        self.account = account
        self.user = user
        self.sealedSecret = sealedSecret
        self.active = active
        self.created = created
    }
}
