//  Machine images, kernels and ramdisks. The bytes are named by digest and lie in pools.

/// What a machine boots from.
public struct Image: Identified, Sendable, Hashable {
    public static let kind = Kind.image

    public var id: ID<Image>
    public var account: ID<Account>
    public var name: String
    public var description: String
    public var purpose: Purpose
    public var state: State
    /// Why the image failed, in one sentence.
    public var fault: String?
    /// `x86_64`.
    public var architecture: String
    /// SHA-256 of the master, in hex; nil until imported.
    public var digest: String?
    /// The disk's virtual size, or the file's length.
    public var size: ByteCount
    public var kernel: ID<Image>?
    public var ramdisk: ID<Image>?
    public var isPublic: Bool
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Image>, account: ID<Account>, name: String, description: String, purpose: Purpose, state: State, fault: String?,
        architecture: String, digest: String?, size: ByteCount, kernel: ID<Image>?, ramdisk: ID<Image>?, isPublic: Bool,
        created: Instant, revision: Int64
    ) {
        self.id = id
        self.account = account
        self.name = name
        self.description = description
        self.purpose = purpose
        self.state = state
        self.fault = fault
        self.architecture = architecture
        self.digest = digest
        self.size = size
        self.kernel = kernel
        self.ramdisk = ramdisk
        self.isPublic = isPublic
        self.created = created
        self.revision = revision
    }
}

extension Image {
    public enum Purpose: String, Sendable, Hashable, Codable { case machine, kernel, ramdisk }
    public enum State: String, Sendable, Hashable, Codable { case pending, available, failed, absent }
}
