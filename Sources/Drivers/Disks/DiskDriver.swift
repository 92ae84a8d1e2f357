//  The seam between a node (or a storage controller) and a pool of disks. A pool keeps image
//  copies, which nobody ever writes again, and disks, each of which one guest writes.
//
//  Every call is idempotent and survives a kill at any instant: what is half made is finished or
//  swept by the next `open`. Nothing is destroyed that a call does not name.

import Model

/// A pool of disks and image copies. Errors: `storage` for the host's own trouble, `noCapacity`
/// when space is short, `badImage` for a tenant's file that is refused, `notFound`,
/// `alreadyExists`, `inUse` and `wrongState` as their names say.
public protocol DiskDriver: Sendable {
    /// Makes the pool's folders, finishes or sweeps what a crash left, and learns what is there.
    /// Called once, before anything else.
    func open() async throws(Fault)

    /// Space of the pool as a whole.
    func capacity() async throws(Fault) -> PoolCapacity

    /// Everything in the pool, what Karri has no record of included.
    func list() async throws(Fault) -> PoolContents

    /// What a file's first bytes say that it is. Reads a bounded header and never follows what it names.
    ///
    /// - Throws: `badImage` with the reason if no pool would take it.
    func inspect(_ path: String) async throws(Fault) -> ImageHeader

    /// Takes a file in as an image copy: checked, converted to plain content, named by its digest.
    /// Taking in the same content again returns the copy that is there.
    ///
    /// - Parameter progress: Called with rising values from 0 to 1, from any thread.
    /// - Throws: `cancelled` when the calling task is cancelled, `timedOut`, and as above.
    func importImage(
        _ request: ImageImport, progress: @escaping @Sendable (Double) -> Void
    ) async throws(Fault) -> ImageCopy

    /// Reads a copy again and compares it with its digest.
    ///
    /// - Throws: `storage` if the content has changed.
    func verify(_ image: ImageCopy) async throws(Fault)

    /// Forgets an image copy; one that is not there is forgotten already.
    ///
    /// - Throws: `inUse` while a disk lies on it.
    func removeImage(_ digest: ImageDigest, kind: ImageKind) async throws(Fault)

    /// Makes a disk. Once it is there, the same call does nothing.
    ///
    /// - Throws: `notFound` if the pool lacks the image, `invalidParameter` if the disk is smaller
    ///   than it, `alreadyExists` if the disk is there with another size or source.
    func create(_ disk: DiskSpecification) async throws(Fault)

    /// Makes a disk larger. At its size or above, nothing is done; a disk never shrinks.
    ///
    /// - Parameter writer: Whether a guest has the disk open; its hypervisor has then grown it
    ///   already, and only the record follows.
    func grow(_ disk: ID<Volume>, to size: ByteCount, writer: DiskWriter) async throws(Fault)

    /// Lets one user id, a guest's, and nobody else open the disk for reading and writing.
    func give(_ disk: ID<Volume>, to user: UInt32) async throws(Fault)

    /// Removes a disk for good; one that is not there is gone already.
    func remove(_ disk: ID<Volume>) async throws(Fault)

    /// The files that a hypervisor opens for the disk, the writable one first, each with its
    /// format: all that may be opened, whatever the headers say.
    func chain(of disk: ID<Volume>) async throws(Fault) -> [DiskLayer]

    /// The file of an image copy: a kernel's or a ramdisk's, for a direct boot.
    func path(of digest: ImageDigest, kind: ImageKind) async throws(Fault) -> String
}

/// Whether a guest has a disk open while it is changed.
public enum DiskWriter: String, Sendable, Hashable, Codable {
    case none
    case running
}

/// A disk as the document wants it.
public struct DiskSpecification: Sendable, Hashable, Codable {
    public var id: ID<Volume>
    /// A multiple of 512 bytes, at least the image's.
    public var size: ByteCount
    public var source: DiskSource

    public init(id: ID<Volume>, size: ByteCount, source: DiskSource) {
        self.id = id
        self.size = size
        self.source = source
    }
}

/// What a new disk holds.
public enum DiskSource: Sendable, Hashable, Codable {
    case empty
    case image(ImageDigest)
}

/// What an image is to a machine.
public enum ImageKind: String, Sendable, Hashable, Codable, CaseIterable {
    case disk, kernel, ramdisk
}

/// SHA-256 of an image's plain content: of a disk's bytes as a guest sees them, holes as zeros
/// (what `sha256sum` says of the raw image), of a kernel's or a ramdisk's file as it was given.
public struct ImageDigest: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    /// 64 lower-case hex digits.
    public let hex: String

    /// Reads exactly 64 lower-case hex digits, so that a digest is safe as a file's name.
    public init?(hex: some StringProtocol) {
        let digits = Array(hex.utf8)
        let isHex = { (byte: UInt8) in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
        }
        guard digits.count == 64, digits.allSatisfy(isHex) else { return nil }
        self.hex = String(hex)
    }

    public var description: String { hex }

    public static func < (left: ImageDigest, right: ImageDigest) -> Bool { left.hex < right.hex }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let digest = ImageDigest(hex: text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a digest"))
        }
        self = digest
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }
}

/// A file to take in.
public struct ImageImport: Sendable, Hashable, Codable {
    /// Where the file lies on this host. It is read, never changed.
    public var path: String
    public var kind: ImageKind
    /// If known: a copy of it in the pool makes the import a no-op, another content a `badImage`.
    public var expected: ImageDigest?

    public init(path: String, kind: ImageKind, expected: ImageDigest? = nil) {
        self.path = path
        self.kind = kind
        self.expected = expected
    }
}

/// An image in a pool.
public struct ImageCopy: Sendable, Hashable, Codable {
    public var digest: ImageDigest
    public var kind: ImageKind
    /// A disk's size as a guest sees it; a kernel's or a ramdisk's length.
    public var virtualSize: ByteCount
    /// What it occupies.
    public var actualSize: ByteCount

    public init(digest: ImageDigest, kind: ImageKind, virtualSize: ByteCount, actualSize: ByteCount) {
        self.digest = digest
        self.kind = kind
        self.virtualSize = virtualSize
        self.actualSize = actualSize
    }
}

/// One file that a hypervisor opens, and how.
public struct DiskLayer: Sendable, Hashable, Codable {
    public enum Format: String, Sendable, Hashable, Codable { case raw, qcow2 }
    public var path: String
    public var format: Format

    public init(path: String, format: Format) {
        self.path = path
        self.format = format
    }
}

/// A disk as the pool reports it. Its size is what Karri wrote down, never what the guest's file says.
public struct DiskReport: Sendable, Hashable, Codable {
    public var specification: DiskSpecification
    /// What it occupies beyond its image.
    public var actualSize: ByteCount
    /// Who may open it; 0 until it is given.
    public var user: UInt32
    /// The record is there and the file is not: somebody else removed it. It is never made anew by itself.
    public var isLost: Bool

    public init(specification: DiskSpecification, actualSize: ByteCount, user: UInt32, isLost: Bool) {
        self.specification = specification
        self.actualSize = actualSize
        self.user = user
        self.isLost = isLost
    }
}

/// All that lies in a pool.
public struct PoolContents: Sendable, Hashable, Codable {
    /// Sorted by id.
    public var disks: [DiskReport]
    /// Sorted by digest.
    public var images: [ImageCopy]
    /// Names in the pool's folders that Karri has no record of, sorted; left alone. At most 1,000 are named.
    public var unknown: [String]

    public init(disks: [DiskReport] = [], images: [ImageCopy] = [], unknown: [String] = []) {
        self.disks = disks
        self.images = images
        self.unknown = unknown
    }
}

/// Space of a pool. Disks are thin: `promised` may exceed `total`, and what to allow of it is the
/// caller's choice.
public struct PoolCapacity: Sendable, Hashable, Codable {
    public var total: ByteCount
    /// What may still be written, less the pool's reserve.
    public var free: ByteCount
    /// What images occupy.
    public var images: ByteCount
    /// The sum of the disks' sizes.
    public var promised: ByteCount
    /// What disks occupy beyond their images.
    public var written: ByteCount

    /// What the pool has for itself: the rest of the file system is other people's files.
    public var room: ByteCount { free + images + written }

    public init(total: ByteCount, free: ByteCount, images: ByteCount, promised: ByteCount, written: ByteCount) {
        self.total = total
        self.free = free
        self.images = images
        self.promised = promised
        self.written = written
    }
}
