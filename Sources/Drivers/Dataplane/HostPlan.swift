//  What the dataplane needs to know of the host itself: where its tunnels run, where the outside
//  is, and what of the host a guest may reach.

import Model

/// The host's own part of the dataplane.
public struct HostPlan: Sendable, Hashable, Codable {
    /// Nil on a cloud of one host: no tunnels are made, and VXLAN on the machine is left alone.
    public var underlay: Underlay?
    /// Ranges of the underlay: no packet that a guest began reaches them, except at listed ports of
    /// this host.
    public var underlayPrefixes: [IPv4Prefix]
    /// Ranges whose addresses belong to this cloud alone. What no guest holds is dropped here.
    public var publicRanges: [IPv4Prefix]
    /// The link to the outside. Nil: guests reach nothing but each other and this host's answers.
    public var uplink: String?
    public var publicMode: PublicMode
    /// What guests may reach of this host's own addresses, over their public addresses.
    public var openHostPorts: [HostPort]

    public init(
        underlay: Underlay? = nil, underlayPrefixes: [IPv4Prefix] = [], publicRanges: [IPv4Prefix] = [],
        uplink: String? = nil, publicMode: PublicMode = .translated, openHostPorts: [HostPort] = []
    ) {
        self.underlay = underlay
        self.underlayPrefixes = underlayPrefixes
        self.publicRanges = publicRanges
        self.uplink = uplink
        self.publicMode = publicMode
        self.openHostPorts = openHostPorts
    }
}

/// How this host's tunnels reach the other hosts.
public struct Underlay: Sendable, Hashable, Codable {
    /// The only link on which VXLAN (UDP 4789) is taken.
    public var link: String
    public var address: IPv4Address
    /// The hosts from which VXLAN is taken.
    public var members: [IPv4Address]

    public init(link: String, address: IPv4Address, members: [IPv4Address]) {
        self.link = link
        self.address = address
        self.members = members
    }
}

/// How the public ranges relate to the network that the uplink is on.
public enum PublicMode: String, Sendable, Hashable, Codable {
    /// Only this host knows them: what guests begin leaves with the uplink's address.
    case translated
    /// They are addresses of the uplink's own network: the host answers ARP for those in use.
    case proxyARP
    /// Others route them here.
    case routed
}

/// A port of this host that guests may reach.
public struct HostPort: Sendable, Hashable, Codable {
    public enum Transport: String, Sendable, Hashable, Codable { case tcp, udp }

    public var transport: Transport
    public var port: UInt16

    public init(_ transport: Transport, _ port: UInt16) {
        self.transport = transport
        self.port = port
    }
}
