//  Security groups: what may reach a port and what it may reach.

/// A security group of a router.
public struct Group: Identified, Sendable, Hashable {
    public static let kind = Kind.group

    public var id: ID<Group>
    public var account: ID<Account>
    public var router: ID<Router>
    public var name: String
    public var description: String
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Group>, account: ID<Account>, router: ID<Router>, name: String, description: String, created: Instant,
        revision: Int64
    ) {
        self.id = id
        self.account = account
        self.router = router
        self.name = name
        self.description = description
        self.created = created
        self.revision = revision
    }
}

/// One permission of a group. Rules only allow.
public struct Rule: Identified, Sendable, Hashable {
    public static let kind = Kind.rule

    public var id: ID<Rule>
    public var account: ID<Account>
    public var group: ID<Group>
    public var isEgress: Bool
    /// IANA's protocol number, or -1 for all.
    public var protocolNumber: Int64
    /// First port, or ICMP type; -1 for all.
    public var fromPort: Int64
    /// Last port, or ICMP code; -1 for all.
    public var toPort: Int64
    public var prefix: IPv4Prefix?
    /// Members of this group, instead of a prefix.
    public var peer: ID<Group>?
    public var description: String
    public var created: Instant

    public init(
        id: ID<Rule>, account: ID<Account>, group: ID<Group>, isEgress: Bool, protocolNumber: Int64, fromPort: Int64, toPort: Int64,
        prefix: IPv4Prefix?, peer: ID<Group>?, description: String, created: Instant
    ) {
        self.id = id
        self.account = account
        self.group = group
        self.isEgress = isEgress
        self.protocolNumber = protocolNumber
        self.fromPort = fromPort
        self.toPort = toPort
        self.prefix = prefix
        self.peer = peer
        self.description = description
        self.created = created
    }
}
