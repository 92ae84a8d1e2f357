//  Disks. A root disk is a volume like every other; what ties it to a machine is an attachment.

/// A block device on a pool.
public struct Volume: Identified, Sendable, Hashable {
    public static let kind = Kind.volume

    public var id: ID<Volume>
    public var account: ID<Account>
    public var zone: ID<Zone>
    public var pool: ID<Pool>
    /// The face's word for its speed class, such as `gp3`.
    public var type: String
    public var size: ByteCount
    /// What it was made from.
    public var image: ID<Image>?
    public var desired: Desired
    /// Raised when the writer changes.
    public var epoch: Int64
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Volume>, account: ID<Account>, zone: ID<Zone>, pool: ID<Pool>, type: String, size: ByteCount, image: ID<Image>?,
        desired: Desired, epoch: Int64, created: Instant, revision: Int64
    ) {
        self.id = id
        self.account = account
        self.zone = zone
        self.pool = pool
        self.type = type
        self.size = size
        self.image = image
        self.desired = desired
        self.epoch = epoch
        self.created = created
        self.revision = revision
    }
}

extension Volume {
    public enum Desired: String, Sendable, Hashable, Codable { case present, absent }
}

/// A volume in a machine: a resource of its own, so that two attaches run side by side.
public struct Attachment: Identified, Sendable, Hashable {
    public static let kind = Kind.attachment

    public var id: ID<Attachment>
    public var account: ID<Account>
    public var instance: ID<Instance>
    public var volume: ID<Volume>
    /// As the caller named it, `/dev/sda1`.
    public var device: String
    public var isRoot: Bool
    public var deleteOnTermination: Bool
    public var created: Instant

    public init(
        id: ID<Attachment>, account: ID<Account>, instance: ID<Instance>, volume: ID<Volume>, device: String, isRoot: Bool,
        deleteOnTermination: Bool, created: Instant
    ) {
        self.id = id
        self.account = account
        self.instance = instance
        self.volume = volume
        self.device = device
        self.isRoot = isRoot
        self.deleteOnTermination = deleteOnTermination
        self.created = created
    }
}
