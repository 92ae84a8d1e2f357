//  The machines of the cloud: zones, the hosts in them, and the pools that keep disks.

/// An availability zone: what Eucalyptus calls a cluster.
public struct Zone: Identified, Sendable, Hashable {
    public static let kind = Kind.zone

    public var id: ID<Zone>
    public var name: String
    public var region: String
    public var created: Instant

    public init(
        id: ID<Zone>, name: String, region: String, created: Instant
    ) {
        self.id = id
        self.name = name
        self.region = region
        self.created = created
    }
}

/// A machine that runs guests. Free capacity is what placement may still promise; it is negative
/// where a host came back smaller than what was promised of it.
public struct Host: Identified, Sendable, Hashable {
    public static let kind = Kind.host

    public var id: ID<Host>
    public var zone: ID<Zone>
    public var name: String
    public var state: State
    /// Virtual processors that may be promised: the real ones times the overcommitment.
    public var processors: Int64
    public var memory: ByteCount
    public var processorsFree: Int64
    public var memoryFree: ByteCount
    /// The pool on the host's own disk.
    public var pool: ID<Pool>
    /// `kvm` or `tcg`.
    public var accelerator: String
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Host>, zone: ID<Zone>, name: String, state: State, processors: Int64, memory: ByteCount, processorsFree: Int64,
        memoryFree: ByteCount, pool: ID<Pool>, accelerator: String, created: Instant, revision: Int64
    ) {
        self.id = id
        self.zone = zone
        self.name = name
        self.state = state
        self.processors = processors
        self.memory = memory
        self.processorsFree = processorsFree
        self.memoryFree = memoryFree
        self.pool = pool
        self.accelerator = accelerator
        self.created = created
        self.revision = revision
    }
}

extension Host {
    /// `up`: in session and taking machines; `lost`: its session ended and it was not fenced;
    /// `closed`: takes no new machines.
    public enum State: String, Sendable, Hashable, Codable { case up, lost, closed }
}

/// A place for disks and image copies.
public struct Pool: Identified, Sendable, Hashable {
    public static let kind = Kind.pool

    public var id: ID<Pool>
    public var zone: ID<Zone>
    /// The host on whose own disk the pool lies; nil for a pool on the network.
    public var host: ID<Host>?
    public var name: String
    public var bytes: ByteCount
    public var bytesFree: ByteCount
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Pool>, zone: ID<Zone>, host: ID<Host>?, name: String, bytes: ByteCount, bytesFree: ByteCount, created: Instant,
        revision: Int64
    ) {
        self.id = id
        self.zone = zone
        self.host = host
        self.name = name
        self.bytes = bytes
        self.bytesFree = bytesFree
        self.created = created
        self.revision = revision
    }
}
