//  What preflight knows about the host, as plain values: gathered once, judged apart, and written
//  down by hand in tests.

import Model
import Platform

/// One host, as it was when looked at. Nil means that it could not be found out.
public struct HostFacts: Sendable, Hashable {
    public struct Interface: Sendable, Hashable {
        public var name: String
        public var addresses: [IPv4Address]
        /// The networks that the addresses lie in.
        public var networks: [IPv4Prefix]
        public var isWireless: Bool

        public init(name: String, addresses: [IPv4Address] = [], networks: [IPv4Prefix] = [], isWireless: Bool = false) {
            self.name = name
            self.addresses = addresses
            self.networks = networks
            self.isWireless = isWireless
        }
    }

    public struct Route: Sendable, Hashable {
        public var destination: IPv4Prefix
        public var device: String
        public var gateway: IPv4Address?
        public var metric: Int

        public init(_ destination: IPv4Prefix, device: String, gateway: IPv4Address? = nil, metric: Int = 0) {
            self.destination = destination
            self.device = device
            self.gateway = gateway
            self.metric = metric
        }
    }

    public enum Transport: String, Sendable, Hashable { case tcp, udp }

    public struct Listener: Sendable, Hashable {
        public var transport: Transport
        public var port: UInt16
        /// Nil for all addresses, and for an address of IPv6.
        public var address: IPv4Address?

        public init(_ transport: Transport, _ port: UInt16, on address: IPv4Address? = nil) {
            self.transport = transport
            self.port = port
            self.address = address
        }
    }

    /// What the kernel must be able to do; each is tried in a network namespace that goes at once.
    public enum KernelFeature: String, Sendable, Hashable, CaseIterable {
        case namespaces = "network namespaces"
        case tap = "tap devices"
        case veth = "veth pairs"
        case vxlan = "VXLAN"
        case nftables = "nftables"
    }

    /// Something that drops packets which the host forwards.
    public enum Firewall: Sendable, Hashable {
        case docker, ufw, firewalld
        /// A chain in the forward hook whose policy is to drop.
        case chain(table: String, name: String)
        /// A FORWARD chain of the old iptables.
        case legacy
    }

    public var processors = 1
    public var memory = ByteCount.zero
    public var diskFree: ByteCount?
    public var kernel = ""
    public var kernelFeatures: [KernelFeature: Bool] = [:]
    public var hasVirtualization = false
    public var missingPrograms: [String] = []
    public var interfaces: [Interface] = []
    public var routes: [Route] = []
    public var resolvers: [IPv4Address] = []
    public var listeners: [Listener] = []
    public var firewalls: [Firewall] = []
    public var clockIsAdrift: Bool?
    public var hasControlGroups = false
    public var hasSystemd = false
    /// The kind of container that this is, as its manager calls it.
    public var container: String?
    /// The cloud or hypervisor that made this machine.
    public var machineMaker: String?
    /// The user ids that exist in this user namespace.
    public var userIds: [ClosedRange<UInt32>] = [0...UInt32.max - 1]
    public var installedLayout: Int?
    public var installedMark: String?
    public var supervisor: Int32?

    public init() {}

    /// Default routes, the one that the kernel takes first.
    public var defaultRoutes: [Route] {
        routes.filter { $0.destination.length == 0 }.sorted { $0.metric < $1.metric }
    }

    /// The interface through which the host reaches the outside.
    public var uplink: Interface? {
        defaultRoutes.first.flatMap { route in interfaces.first { $0.name == route.device } }
    }
}

/// What the installation wants of the host.
public struct PreflightWishes: Sendable, Hashable {
    public struct Port: Sendable, Hashable {
        /// What it is for, and the option that changes it: both are shown.
        public var purpose: String
        public var option: String
        public var transport: HostFacts.Transport
        public var number: UInt16
        /// Nil for all addresses.
        public var address: IPv4Address?

        public init(
            _ purpose: String, option: String, _ transport: HostFacts.Transport, _ number: UInt16, on address: IPv4Address? = nil
        ) {
            self.purpose = purpose
            self.option = option
            self.transport = transport
            self.number = number
            self.address = address
        }
    }

    public struct Program: Sendable, Hashable {
        public var name: String
        /// The Debian package that holds it.
        public var package: String

        public init(_ name: String, package: String) {
            self.name = name
            self.package = package
        }
    }

    public var mark = "karri"
    public var layout = InstallationFolders.layout
    public var ports: [Port] = []
    public var programs: [Program] = []
    /// The ranges that guests get by default.
    public var guestRanges: [IPv4Prefix] = []
    public var publicRange: IPv4Prefix?
    /// Whether the public range is part of the uplink's network, answered for by proxy ARP.
    public var publicRangeIsOnUplink = false
    public var diskNeeded = ByteCount.gibibytes(8)
    public var diskComfortable = ByteCount.gibibytes(25)
    public var memoryNeeded = ByteCount.gibibytes(1)
    public var memoryComfortable = ByteCount.gibibytes(4)
    /// The user ids that guests run as.
    public var guestUsers = GuestUsers.range

    public init() {}
}
