//  Virtual networks in the smallest nouns of the three clouds: an EC2 VPC is a router with a
//  routing domain, an EC2 subnet a network with one subnet, a network interface a port.

/// A routing domain: the networks joined by routers, one VXLAN between hosts.
public struct Domain: Identified, Sendable, Hashable {
    public static let kind = Kind.domain

    public var id: ID<Domain>
    public var account: ID<Account>
    /// 1...16777215, unique in the cloud.
    public var vni: Int64

    public init(
        id: ID<Domain>, account: ID<Account>, vni: Int64
    ) {
        self.id = id
        self.account = account
        self.vni = vni
    }
}

/// Joins networks. With defaults it is a VPC.
public struct Router: Identified, Sendable, Hashable {
    public static let kind = Kind.router

    public var id: ID<Router>
    public var account: ID<Account>
    public var domain: ID<Domain>
    public var prefix: IPv4Prefix
    public var isDefault: Bool
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Router>, account: ID<Account>, domain: ID<Domain>, prefix: IPv4Prefix, isDefault: Bool, created: Instant,
        revision: Int64
    ) {
        self.id = id
        self.account = account
        self.domain = domain
        self.prefix = prefix
        self.isDefault = isDefault
        self.created = created
        self.revision = revision
    }
}

/// An address space in which no address is held twice. Networks have no zone.
public struct Network: Identified, Sendable, Hashable {
    public static let kind = Kind.network

    public var id: ID<Network>
    public var account: ID<Account>
    public var router: ID<Router>
    public var domain: ID<Domain>
    public var mtu: Int64
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Network>, account: ID<Account>, router: ID<Router>, domain: ID<Domain>, mtu: Int64, created: Instant, revision: Int64
    ) {
        self.id = id
        self.account = account
        self.router = router
        self.domain = domain
        self.mtu = mtu
        self.created = created
        self.revision = revision
    }
}

/// A range of a network.
public struct Subnet: Identified, Sendable, Hashable {
    public static let kind = Kind.subnet

    public var id: ID<Subnet>
    public var account: ID<Account>
    public var network: ID<Network>
    public var router: ID<Router>
    public var zone: ID<Zone>
    public var prefix: IPv4Prefix
    public var isDefault: Bool
    /// Whether a machine gets a public address unless its launch says otherwise.
    public var mapPublicAddress: Bool
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Subnet>, account: ID<Account>, network: ID<Network>, router: ID<Router>, zone: ID<Zone>, prefix: IPv4Prefix,
        isDefault: Bool, mapPublicAddress: Bool, created: Instant, revision: Int64
    ) {
        self.id = id
        self.account = account
        self.network = network
        self.router = router
        self.zone = zone
        self.prefix = prefix
        self.isDefault = isDefault
        self.mapPublicAddress = mapPublicAddress
        self.created = created
        self.revision = revision
    }
}

/// A network interface.
public struct Port: Identified, Sendable, Hashable {
    public static let kind = Kind.port

    public var id: ID<Port>
    public var account: ID<Account>
    public var zone: ID<Zone>
    public var network: ID<Network>
    public var subnet: ID<Subnet>
    public var router: ID<Router>
    public var domain: ID<Domain>
    public var mac: MACAddress
    /// The primary private address; a claim in `port_address`.
    public var address: IPv4Address
    public var instance: ID<Instance>?
    public var deviceIndex: Int64
    public var deleteOnTermination: Bool
    public var sourceCheck: Bool
    public var description: String
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Port>, account: ID<Account>, zone: ID<Zone>, network: ID<Network>, subnet: ID<Subnet>, router: ID<Router>,
        domain: ID<Domain>, mac: MACAddress, address: IPv4Address, instance: ID<Instance>?, deviceIndex: Int64,
        deleteOnTermination: Bool, sourceCheck: Bool, description: String, created: Instant, revision: Int64
    ) {
        self.id = id
        self.account = account
        self.zone = zone
        self.network = network
        self.subnet = subnet
        self.router = router
        self.domain = domain
        self.mac = mac
        self.address = address
        self.instance = instance
        self.deviceIndex = deviceIndex
        self.deleteOnTermination = deleteOnTermination
        self.sourceCheck = sourceCheck
        self.description = description
        self.created = created
        self.revision = revision
    }
}

/// An address of the outside, mapped one to one to a port.
public struct Address: Identified, Sendable, Hashable {
    public static let kind = Kind.address

    public var id: ID<Address>
    public var account: ID<Account>
    public var address: IPv4Address
    /// Came with a launch and leaves with it; else it was allocated by name.
    public var isAutomatic: Bool
    public var port: ID<Port>?
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Address>, account: ID<Account>, address: IPv4Address, isAutomatic: Bool, port: ID<Port>?, created: Instant,
        revision: Int64
    ) {
        self.id = id
        self.account = account
        self.address = address
        self.isAutomatic = isAutomatic
        self.port = port
        self.created = created
        self.revision = revision
    }
}

/// A range of outside addresses that the operator gave the cloud.
public struct ExternalRange: Sendable, Hashable {
    public var prefix: IPv4Prefix
    public var first: IPv4Address
    public var last: IPv4Address

    public init(
        prefix: IPv4Prefix, first: IPv4Address, last: IPv4Address
    ) {
        self.prefix = prefix
        self.first = first
        self.last = last
    }
}
