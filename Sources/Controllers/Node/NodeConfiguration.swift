//  What a node controller is told by its host's configuration, and its seam to edge.

import Dataplane
import Edge
import Model
import Platform

/// One host's settings.
public struct NodeConfiguration: Sendable {
    public var installation: Installation
    /// Unique in the cloud.
    public var hostName: String
    public var zone: String
    public var region: String
    /// Where the cluster controller listens.
    public var fabricSocket: String
    /// Virtual processors that are promised for each real one.
    public var overcommitment: Int64
    /// What the host keeps for itself.
    public var memoryReserve: ByteCount
    public var host: HostPlan
    public var resolvers: [EdgeResolver]
    /// Whether the host's state lies on disk; false for a simulated host, which has only memory.
    public var isDurable: Bool

    public init(
        installation: Installation, hostName: String, zone: String, region: String, fabricSocket: String,
        overcommitment: Int64 = 16,
        memoryReserve: ByteCount = .mebibytes(1024), host: HostPlan, resolvers: [EdgeResolver] = [], isDurable: Bool = true
    ) {
        self.installation = installation
        self.hostName = hostName
        self.zone = zone
        self.region = region
        self.fabricSocket = fabricSocket
        self.overcommitment = overcommitment
        self.memoryReserve = memoryReserve
        self.host = host
        self.resolvers = resolvers
        self.isDurable = isDurable
    }

    var uploads: String { installation.pool + "/uploads" }
    var keptDocument: String { installation.node + "/document" }
    /// Gone after a reboot, as the machines are.
    var runMarks: String { installation.run + "/node/machines" }
    var slots: String { installation.node + "/slots" }
}

/// DHCP, DNS and metadata for the guests of this host.
public protocol GuestServices: Sendable {
    /// Whether there is anybody to serve; a document that nobody reads is not made.
    var serveGuests: Bool { get }
    /// Makes the services as the document says, and answers once they are.
    func apply(_ document: EdgeDocument) async throws(Fault) -> [EdgeProblem]
}

extension GuestServices {
    public var serveGuests: Bool { true }
}

extension EdgeLink: GuestServices {}

/// Services for guests that do not exist.
public struct SimulatedGuestServices: GuestServices {
    public init() {}
    public var serveGuests: Bool { false }
    public func apply(_ document: EdgeDocument) async throws(Fault) -> [EdgeProblem] { [] }
}
