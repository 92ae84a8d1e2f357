//  What node and edge say to each other over their Unix socket. Node asks, edge answers commit and
//  health, in order; nothing else is ever said, so neither side needs a queue.

import Model

/// A socket in a domain's namespace, named by what it serves and the address it is bound to.
struct EdgeSocket: Codable, Sendable, Hashable {
    enum Service: String, Codable, Sendable {
        /// UDP 67.
        case dhcp
        /// UDP 53 and TCP 53.
        case nameDatagram, nameStream
        /// TCP 80.
        case metadata
    }

    var service: Service
    var address: IPv4Address

    init(_ service: Service, _ address: IPv4Address) {
        self.service = service
        self.address = address
    }
}

/// From node to edge.
enum EdgeRequest: Codable, Sendable {
    /// Begins a whole document on a new connection: domains that are not named before the next
    /// commit are no longer served.
    case begin(version: Int)
    case settings(EdgeSettings)
    /// A domain whole. Its sockets travel beside it, in the order of `carried`, and replace those of
    /// the same name.
    case domain(EdgeDomain, carried: [EdgeSocket])
    case remove(domain: String)
    /// What was said since the last commit is now to be in force.
    case commit(generation: Int64)
    case health

    static let version = 1
}

/// From edge to node.
enum EdgeAnswer: Codable, Sendable {
    case applied(generation: Int64, problems: [EdgeProblem])
    case health(EdgeHealth)
}

/// Why a domain is not served, or not wholly.
public struct EdgeProblem: Codable, Sendable, Hashable {
    public var domain: String
    public var reason: String

    public init(domain: String, reason: String) {
        self.domain = domain
        self.reason = reason
    }
}

/// How edge is.
public struct EdgeHealth: Codable, Sendable, Equatable {
    /// The generation in force; nil before the first.
    public var generation: Int64?
    public var domains: Int
    public var counters: EdgeCounters

    public init(generation: Int64?, domains: Int, counters: EdgeCounters) {
        self.generation = generation
        self.domains = domains
        self.counters = counters
    }
}

/// What edge has done since it started.
public struct EdgeCounters: Codable, Sendable, Equatable {
    public var dhcpReceived = 0
    public var dhcpAnswered = 0
    public var namesReceived = 0
    public var namesForwarded = 0
    public var namesFailed = 0
    public var namesLimited = 0
    public var metadataRequests = 0
    public var metadataRefused = 0
    /// What no parser could read, or came from nobody known.
    public var dropped = 0

    public init() {}
}
