//  What one host should hold of one routing domain: the whole desired state as a value. The
//  cluster controller makes it, the driver makes the host match it.

import Model

/// A routing domain on one host. Equal plans need equal kernels; order within the lists is of no
/// meaning.
public struct DomainPlan: Sendable, Hashable, Codable {
    public var id: ID<Domain>
    /// 1...16777215, unique in the cloud: names the host's end of the domain and its tunnel.
    public var vni: Int64
    /// The largest packet of a guest, in bytes: told by DHCP, set on each link, clamped for TCP.
    public var mtu: Int64
    /// Ranges that belong to the domain as a whole (a VPC's). An address in them that no port holds
    /// is dropped, never sent outside.
    public var ranges: [IPv4Prefix]
    public var subnets: [PlannedSubnet]
    /// The ports of guests on this host.
    public var ports: [PlannedPort]
    /// The groups that the ports here belong to, with their rules.
    public var groups: [PlannedGroup]
    /// Which addresses belong to a group, over all hosts, for groups that rules name as a peer.
    public var members: [GroupMembers]
    /// Sources without a public address of their own that leave by a shared one on this host.
    public var outbound: [OutboundTranslation]
    /// The other hosts that hold ports of this domain.
    public var peers: [PeerHost]

    public init(
        id: ID<Domain>, vni: Int64, mtu: Int64 = 1450, ranges: [IPv4Prefix] = [], subnets: [PlannedSubnet] = [],
        ports: [PlannedPort] = [], groups: [PlannedGroup] = [], members: [GroupMembers] = [],
        outbound: [OutboundTranslation] = [], peers: [PeerHost] = []
    ) {
        self.id = id
        self.vni = vni
        self.mtu = mtu
        self.ranges = ranges
        self.subnets = subnets
        self.ports = ports
        self.groups = groups
        self.members = members
        self.outbound = outbound
        self.peers = peers
    }
}

/// A range of addresses with what answers in it: both addresses lie on the namespace's loopback,
/// where *edge* listens.
public struct PlannedSubnet: Sendable, Hashable, Codable {
    public var prefix: IPv4Prefix
    public var gateway: IPv4Address
    public var nameServer: IPv4Address

    public init(prefix: IPv4Prefix, gateway: IPv4Address, nameServer: IPv4Address) {
        self.prefix = prefix
        self.gateway = gateway
        self.nameServer = nameServer
    }
}

/// A guest's network interface.
public struct PlannedPort: Sendable, Hashable, Codable {
    public var id: ID<Port>
    /// The name of its tap (`DataplaneNames.tap`), or of any other link that stands for it.
    public var link: String
    public var mac: MACAddress
    /// The private addresses, the primary one first.
    public var addresses: [IPv4Address]
    /// One-to-one translations to addresses of the outside.
    public var publicAddresses: [PublicAddress]
    /// The groups whose rules it obeys. With none it receives and sends nothing but what its own
    /// host's services answer.
    public var groups: [ID<Group>]
    /// Off: it may send from any address (EC2's sourceDestCheck=false). Its MAC is checked always.
    public var sourceCheck: Bool

    public init(
        id: ID<Port>, link: String, mac: MACAddress, addresses: [IPv4Address], publicAddresses: [PublicAddress] = [],
        groups: [ID<Group>] = [], sourceCheck: Bool = true
    ) {
        self.id = id
        self.link = link
        self.mac = mac
        self.addresses = addresses
        self.publicAddresses = publicAddresses
        self.groups = groups
        self.sourceCheck = sourceCheck
    }
}

/// A public address that stands for one private address, both ways.
public struct PublicAddress: Sendable, Hashable, Codable {
    public var address: IPv4Address
    public var stands: IPv4Address

    /// - Parameter stands: The private address behind `address`.
    public init(_ address: IPv4Address, for stands: IPv4Address) {
        self.address = address
        self.stands = stands
    }
}

/// A security group's rules. What no rule lets pass is dropped; answers to what passed do pass.
public struct PlannedGroup: Sendable, Hashable, Codable {
    public var id: ID<Group>
    public var ingress: [PlannedRule]
    public var egress: [PlannedRule]

    public init(id: ID<Group>, ingress: [PlannedRule] = [], egress: [PlannedRule] = []) {
        self.id = id
        self.ingress = ingress
        self.egress = egress
    }
}

/// One permission of a group.
public struct PlannedRule: Sendable, Hashable, Codable {
    public var traffic: Traffic
    public var peer: RulePeer

    public init(_ traffic: Traffic, _ peer: RulePeer) {
        self.traffic = traffic
        self.peer = peer
    }
}

/// Which packets a rule is about.
public enum Traffic: Sendable, Hashable, Codable {
    case everything
    case tcp(PortRange)
    case udp(PortRange)
    /// Nil is any type, or any code of a type.
    case icmp(type: UInt8?, code: UInt8?)
    /// All of an IP protocol, by its number (IANA).
    case internetProtocol(UInt8)
}

/// Destination ports, both ends included.
public struct PortRange: Sendable, Hashable, Codable {
    public var first: UInt16
    public var last: UInt16

    public init(_ first: UInt16, _ last: UInt16) {
        self.first = first
        self.last = last
    }

    public init(_ port: UInt16) { self.init(port, port) }

    public static let all = PortRange(0, 65535)
}

/// The other end of a rule: the source of what comes in, the destination of what goes out.
public enum RulePeer: Sendable, Hashable, Codable {
    case prefix(IPv4Prefix)
    case group(ID<Group>)
}

/// The private addresses of a group's ports on all hosts.
public struct GroupMembers: Sendable, Hashable, Codable {
    public var group: ID<Group>
    public var addresses: [IPv4Address]

    public init(group: ID<Group>, addresses: [IPv4Address]) {
        self.group = group
        self.addresses = addresses
    }
}

/// Sources that share one public address for what they begin (a NAT gateway).
public struct OutboundTranslation: Sendable, Hashable, Codable {
    public var sources: IPv4Prefix
    public var address: IPv4Address

    public init(sources: IPv4Prefix, address: IPv4Address) {
        self.sources = sources
        self.address = address
    }
}

/// Another host that holds ports of the domain.
public struct PeerHost: Sendable, Hashable, Codable {
    /// Its address on the underlay. Its tunnel's MAC follows from it (`DataplaneNames.tunnelMAC`).
    public var underlay: IPv4Address
    public var ports: [RemotePort]

    public init(underlay: IPv4Address, ports: [RemotePort]) {
        self.underlay = underlay
        self.ports = ports
    }
}

/// An address that a port on another host holds.
public struct RemotePort: Sendable, Hashable, Codable {
    public var address: IPv4Address
    public var sourceCheck: Bool

    public init(_ address: IPv4Address, sourceCheck: Bool = true) {
        self.address = address
        self.sourceCheck = sourceCheck
    }
}
