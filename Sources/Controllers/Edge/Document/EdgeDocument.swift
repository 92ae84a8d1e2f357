//  What edge serves: one value made by node from the host's document. It names every routing
//  domain of the host, the subnets that its guests lie in, and for each guest what DHCP, DNS and
//  the metadata service say to it. Edge has no other input.

import Model

/// Everything that edge serves on one host.
public struct EdgeDocument: Codable, Sendable, Equatable {
    /// Node's number of this document; edge repeats it when the document is in force.
    public var generation: Int64
    public var settings: EdgeSettings
    public var domains: [EdgeDomain]

    public init(generation: Int64, settings: EdgeSettings, domains: [EdgeDomain]) {
        self.generation = generation
        self.settings = settings
        self.domains = domains
    }
}

/// What holds for all domains.
public struct EdgeSettings: Codable, Sendable, Equatable {
    /// The region's name as clients know it: `us-east-1`.
    public var region: String
    /// The partition in `services/partition`: `aws`.
    public var partition: String
    /// The domain in `services/domain`: `amazonaws.com`.
    public var servicesDomain: String
    /// Where names outside the cloud are asked, in order; none means that such names are refused.
    public var resolvers: [EdgeResolver]
    /// The key of metadata tokens, at least 16 bytes. With the same key, tokens outlive edge.
    /// Without one the link makes one for its own lifetime.
    public var tokenKey: Secret?

    public init(
        region: String, partition: String = "aws", servicesDomain: String = "amazonaws.com", resolvers: [EdgeResolver] = [],
        tokenKey: Secret? = nil
    ) {
        self.region = region
        self.partition = partition
        self.servicesDomain = servicesDomain
        self.resolvers = resolvers
        self.tokenKey = tokenKey
    }

    /// The zone of private names, as EC2 spells it.
    public var privateZone: String { region == "us-east-1" ? "ec2.internal" : "\(region).compute.internal" }
}

/// A name server that edge forwards to, reached from the host's own network.
public struct EdgeResolver: Codable, Sendable, Hashable {
    public var address: IPv4Address
    public var port: UInt16

    public init(_ address: IPv4Address, port: UInt16 = 53) {
        self.address = address
        self.port = port
    }
}

/// One routing domain on this host.
public struct EdgeDomain: Codable, Sendable, Equatable {
    /// The domain's id as node spells it; unique in the document.
    public var id: String
    /// The MTU of the guests' links, in bytes.
    public var mtu: Int
    public var subnets: [EdgeSubnet]
    /// The guests on this host.
    public var guests: [EdgeGuest]
    /// Further names that this domain's guests resolve, public names of its own guests for one.
    public var records: [EdgeRecord]

    public init(id: String, mtu: Int, subnets: [EdgeSubnet], guests: [EdgeGuest], records: [EdgeRecord] = []) {
        self.id = id
        self.mtu = mtu
        self.subnets = subnets
        self.guests = guests
        self.records = records
    }
}

/// A name with one address.
public struct EdgeRecord: Codable, Sendable, Hashable {
    /// Fully qualified, without the last dot.
    public var name: String
    public var address: IPv4Address

    public init(name: String, address: IPv4Address) {
        self.name = name
        self.address = address
    }
}

/// A subnet and what DHCP says of it.
public struct EdgeSubnet: Codable, Sendable, Hashable {
    /// As shown in the metadata: `subnet-0…`.
    public var id: String
    public var prefix: IPv4Prefix
    /// The default router; nil for a network without one.
    public var gateway: IPv4Address?
    /// The DHCP server's own address in the namespace: the gateway's where there is one.
    public var server: IPv4Address
    /// The name servers told to guests. Those among them that edge itself answers on are in `served`.
    public var nameServers: [IPv4Address]
    /// The addresses on which edge serves DNS in this domain (AWS: the base of the range plus two).
    public var served: [IPv4Address]
    /// Option 15, and the zone of the guests' host names.
    public var domainName: String
    /// Option 119; none is sent if empty.
    public var searchDomains: [String]
    public var timeServers: [IPv4Address]
    /// Routes besides the default one (option 121, RFC 3442).
    public var routes: [EdgeRoute]
    public var leaseSeconds: UInt32

    public init(
        id: String, prefix: IPv4Prefix, gateway: IPv4Address?, server: IPv4Address, nameServers: [IPv4Address],
        served: [IPv4Address], domainName: String, searchDomains: [String] = [], timeServers: [IPv4Address] = [],
        routes: [EdgeRoute] = [], leaseSeconds: UInt32 = 3600
    ) {
        self.id = id
        self.prefix = prefix
        self.gateway = gateway
        self.server = server
        self.nameServers = nameServers
        self.served = served
        self.domainName = domainName
        self.searchDomains = searchDomains
        self.timeServers = timeServers
        self.routes = routes
        self.leaseSeconds = leaseSeconds
    }
}

/// A static route for guests.
public struct EdgeRoute: Codable, Sendable, Hashable {
    public var destination: IPv4Prefix
    public var via: IPv4Address

    public init(destination: IPv4Prefix, via: IPv4Address) {
        self.destination = destination
        self.via = via
    }
}

/// Bytes that no log may show: user data, keys, credentials. Base64 in JSON.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: String) { bytes = Array(text.utf8) }

    public var description: String { "secret of \(bytes.count) bytes" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
