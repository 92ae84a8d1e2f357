//  The seam between the node controller and a host's network. Every call states what should be,
//  may be repeated, and may be cut off and called again.

import Model

/// A host's part of every routing domain.
public protocol DataplaneDriver: Sendable {
    /// Makes the host's own rules, routes and settings as planned. To be called first after each
    /// start: the other calls that change something refuse before it. After a changed plan the
    /// domains are to be applied again.
    ///
    /// - Throws: `Fault.conflict` if a public range holds an address of the machine's own network.
    func prepareHost(_ plan: HostPlan) async throws(Fault)

    /// Makes a domain as planned: namespace, rules, addresses, routes, tunnel. A port whose link
    /// has not been placed yet gets its rules now and its routes when it is.
    ///
    /// - Returns: What it cost.
    @discardableResult
    func apply(_ plan: DomainPlan) async throws(Fault) -> AppliedWork

    /// Removes a domain with all its links. One that does not exist is no fault.
    func removeDomain(_ id: ID<Domain>) async throws(Fault)

    /// The domains that exist on this host, whoever made them under this mark.
    func domains() async throws(Fault) -> [ID<Domain>]

    /// Where a domain's namespace can be opened (setns(2)).
    func namespacePath(_ id: ID<Domain>) -> String

    /// Makes a tap in the host's namespace, down, that only `owner` may open.
    func createTap(_ name: String, owner: UInt32) async throws(Fault)

    /// Moves a port's link into its domain and connects it, as the last applied plan says. The
    /// link may be open already. One that is there stays there.
    ///
    /// - Throws: `Fault.notFound` if no such link is in the host's namespace or in the domain's.
    func placeTap(_ name: String, in domain: ID<Domain>) async throws(Fault)

    /// Removes a link wherever it is. One that does not exist is no fault.
    func removeTap(_ name: String) async throws(Fault)

    /// Where every tap and placed link is, after asking the kernel.
    func taps() async throws(Fault) -> [String: TapPlace]

    /// What a domain's links carried, by name, as seen by the guests.
    func counters(_ domain: ID<Domain>) async throws(Fault) -> [String: LinkCounters]

    /// Compares the kernel with what was last applied; nil asks about the host's own part. What is
    /// reported is forgotten, so that the next `apply` or `prepareHost` mends it.
    func inspect(_ domain: ID<Domain>?) async throws(Fault) -> [Discrepancy]

    /// What on this host drops packets that Karri forwards.
    func obstacles() async throws(Fault) -> [ForwardingObstacle]

    /// Adds Karri's accept to the obstacle's own chain.
    func overcome(_ obstacle: ForwardingObstacle) async throws(Fault)

    /// Removes every trace of the mark: domains, taps, routes, tables, accepts in others' chains.
    func removeEverything() async throws(Fault)
}

/// What making a plan real took. A repeated plan takes nothing.
public struct AppliedWork: Sendable, Hashable {
    /// Programs that were run.
    public var commands: Int
    /// Lines of `ip` and `nft` that they carried out.
    public var lines: Int

    public init(commands: Int = 0, lines: Int = 0) {
        self.commands = commands
        self.lines = lines
    }
}

/// Where a link is.
public enum TapPlace: Sendable, Hashable {
    case host
    case domain(ID<Domain>)
}

/// Totals of one link since it was made, as its guest sees them.
public struct LinkCounters: Sendable, Hashable, Codable {
    public var sentBytes: Int64
    public var sentPackets: Int64
    public var receivedBytes: Int64
    public var receivedPackets: Int64

    public init(sentBytes: Int64 = 0, sentPackets: Int64 = 0, receivedBytes: Int64 = 0, receivedPackets: Int64 = 0) {
        self.sentBytes = sentBytes
        self.sentPackets = sentPackets
        self.receivedBytes = receivedBytes
        self.receivedPackets = receivedPackets
    }
}

/// Something of the kernel that is not as it was applied.
public struct Discrepancy: Sendable, Hashable, CustomStringConvertible {
    public enum Sense: String, Sendable { case missing, unexpected }

    public var sense: Sense
    /// What it is, in the words of `ip` or `nft`.
    public var what: String

    public init(_ sense: Sense, _ what: String) {
        self.sense = sense
        self.what = what
    }

    public var description: String { "\(sense.rawValue): \(what)" }
}
