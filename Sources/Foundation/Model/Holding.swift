//  What an owner holds. Owners are hosts and pools; services write what is wanted, the zone's
//  cluster controller alone writes what is observed.

/// A thing on an owner: a machine on a host, a disk or an image copy in a pool.
public struct Holding: Identified, Sendable, Hashable {
    public static let kind = Kind.holding

    public var id: ID<Holding>
    public var kind: Thing
    /// The id of the instance, volume or image.
    public var thing: Int64
    public var account: ID<Account>
    public var zone: ID<Zone>
    /// The owner, when it is a host.
    public var host: ID<Host>?
    /// The owner, when it is a pool.
    public var pool: ID<Pool>?
    public var epoch: Int64
    public var wanted: Wanted
    public var granted: Bool
    public var observed: Observed
    /// The owner's last words on a failure.
    public var fault: String?
    public var startsDone: Int64
    public var rebootsDone: Int64
    /// The claim on the host.
    public var processors: Int64
    public var memory: ByteCount
    /// The claim on the pool.
    public var bytes: ByteCount
    public var created: Instant

    public init(
        id: ID<Holding>, kind: Thing, thing: Int64, account: ID<Account>, zone: ID<Zone>, host: ID<Host>?, pool: ID<Pool>?,
        epoch: Int64, wanted: Wanted, granted: Bool, observed: Observed, fault: String?, startsDone: Int64, rebootsDone: Int64,
        processors: Int64, memory: ByteCount, bytes: ByteCount, created: Instant
    ) {
        self.id = id
        self.kind = kind
        self.thing = thing
        self.account = account
        self.zone = zone
        self.host = host
        self.pool = pool
        self.epoch = epoch
        self.wanted = wanted
        self.granted = granted
        self.observed = observed
        self.fault = fault
        self.startsDone = startsDone
        self.rebootsDone = rebootsDone
        self.processors = processors
        self.memory = memory
        self.bytes = bytes
        self.created = created
    }
}

extension Holding {
    public enum Thing: String, Sendable, Hashable, Codable { case machine, disk, image }
    public enum Wanted: String, Sendable, Hashable, Codable { case present, running, stopped, absent }
    /// `unknown` until the owner's first word; `ready` for disks and copies; the rest for machines.
    public enum Observed: String, Sendable, Hashable, Codable { case unknown, working, ready, running, paused, off, failed, absent }
}
