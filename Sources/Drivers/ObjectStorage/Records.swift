//  What the object store keeps in its buckets: the versions of their keys.

import Model

/// A key: any UTF-8, ordered by its bytes.
public struct ObjectKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    public static let bytesMax = 1024

    public let bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: String) { bytes = Array(text.utf8) }

    public var description: String { String(decoding: bytes, as: UTF8.self) }

    public static func < (left: ObjectKey, right: ObjectKey) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// Which version of a key. Zero is the one that clients know as `null`; of the others, later ones are greater.
public struct VersionID: Sendable, Hashable {
    public var bits: UInt64

    public static let null = VersionID(bits: 0)

    public init(bits: UInt64) { self.bits = bits }
}

extension VersionID {
    /// `null`, or sixteen hex digits.
    public var spelled: String { self == .null ? "null" : hexDigits(bits) }

    /// Nil for what no version can be called.
    public init?(spelled text: String) {
        if text == "null" {
            self = .null
            return
        }
        // Microseconds since 1970, which rows hold with a sign.
        guard text.utf8.count == 16, let bits = Int64(text, radix: 16), bits > 0 else { return nil }
        self.init(bits: UInt64(bits))
    }
}

/// What a client says of an object and gets back as it was.
public struct ObjectDetail: Sendable, Hashable, Codable {
    /// System headers such as `content-type`, in lower case.
    public var headers: [String: String] = [:]
    /// `x-amz-meta-…` without the prefix.
    public var metadata: [String: String] = [:]
    /// `x-amz-checksum-…` headers and their values.
    public var checksums: [String: String] = [:]
    /// How the checksum of an object of parts is made: `COMPOSITE` or `FULL_OBJECT`; nil of one that came whole.
    public var checksumType: String?
    /// The header of the checksum that an upload's parts are to have.
    public var partChecksum: String?
    /// The upload in parts that it came by, and how many they were.
    public var upload: UploadID?
    public var parts: Int?
    /// Nil: the bucket's owner.
    public var owner: ID<Account>?
    /// Nil: all is the owner's alone.
    public var grants: [Grant]?
    public var tags: [String: String]?
    public var retention: Retention?
    public var isHeld: Bool?
    /// Nil: `STANDARD`.
    public var storageClass: String?
    /// Nil: the bytes lie as they came.
    public var encryption: ObjectEncryption?

    /// Its checksum as listings have it.
    var listedChecksum: String? {
        checksums.keys.first.map { header in checksumType.map { "\(header) \($0)" } ?? header }
    }

    public init() {}
}

/// One version of a key.
public struct ObjectVersion: Sendable, Hashable {
    public var id: VersionID
    public var size: Int64
    /// Without the quotes.
    public var entityTag: String
    public var modified: Instant
    public var detail: ObjectDetail
    /// Nil for a delete marker.
    public var body: BodyReference?

    public init(
        id: VersionID, size: Int64, entityTag: String, modified: Instant, detail: ObjectDetail, body: BodyReference?
    ) {
        self.id = id
        self.size = size
        self.entityTag = entityTag
        self.modified = modified
        self.detail = detail
        self.body = body
    }
}

/// Where a backend keeps a body; only the backend looks inside.
public enum BodyReference: Sendable, Hashable {
    /// With its key; the bytes are here until the change that keeps them, and where they were found to be read.
    case inline(id: UInt64, bytes: [UInt8]?)
    /// In a file of its own.
    case file(id: UInt64, checksums: [UInt32])
    /// Among others in a segment; the place is here until the change that keeps it.
    case segment(id: UInt64, SegmentPlace?)
    /// Of parts, one after the other, which the version's row names.
    case pieces(of: UInt64)
    /// Of parts that are at hand.
    case joined([BodyPiece])
}

/// Where in a segment a body lies.
public struct SegmentPlace: Sendable, Hashable {
    var segment: UInt64
    var start: Int64
    var size: Int64
    /// Of its stretches.
    var checksums: [UInt32]
}

/// A part of a body.
public struct BodyPiece: Sendable, Hashable {
    public var size: Int64
    public var body: BodyReference
    /// What came with it as a part.
    public var checksums: [String: String]

    public init(size: Int64, body: BodyReference, checksums: [String: String] = [:]) {
        self.size = size
        self.body = body
        self.checksums = checksums
    }
}

/// Which upload in parts.
public struct UploadID: Sendable, Hashable, Codable, Comparable, CustomStringConvertible {
    public var text: String

    public init(_ text: String) { self.text = text }
    public var description: String { text }
    public static func < (left: UploadID, right: UploadID) -> Bool { left.text.utf8.lexicographicallyPrecedes(right.text.utf8) }
}

/// An upload in parts that has begun.
public struct PartedUpload: ListedEntry {
    public var id: UploadID
    public var key: ObjectKey
    public var begun: Instant
    public var detail: ObjectDetail

    public var place: UploadID { id }

    public init(id: UploadID, key: ObjectKey, begun: Instant, detail: ObjectDetail) {
        self.id = id
        self.key = key
        self.begun = begun
        self.detail = detail
    }
}

/// A part that has been taken.
public struct UploadedPart: Sendable, Hashable {
    /// From 1 on.
    public var number: Int
    public var size: Int64
    public var entityTag: String
    public var modified: Instant
    /// `x-amz-checksum-…` headers and their values.
    public var checksums: [String: String]
    public var body: BodyReference

    public init(
        number: Int, size: Int64, entityTag: String, modified: Instant, checksums: [String: String] = [:], body: BodyReference
    ) {
        self.number = number
        self.size = size
        self.entityTag = entityTag
        self.modified = modified
        self.checksums = checksums
        self.body = body
    }
}

/// A part of an object that was uploaded in parts.
public struct ObjectPart: Sendable, Hashable {
    /// From 1 on, without gaps.
    public var number: Int
    public var start: Int64
    public var size: Int64
    public var checksums: [String: String]

    public init(number: Int, start: Int64, size: Int64, checksums: [String: String] = [:]) {
        self.number = number
        self.start = start
        self.size = size
        self.checksums = checksums
    }

    public var range: Range<Int64> { start..<start + size }
}

/// What a listing shows of a version.
public struct ListedObject: ListedEntry {
    public var key: ObjectKey
    public var size: Int64
    public var entityTag: String
    public var modified: Instant
    public var version: VersionID
    /// Where it stands among its key's versions: later ones have greater.
    public var sequence: UInt64
    /// Whether it is the key's newest version.
    public var isLatest: Bool
    public var isDeleteMarker: Bool
    /// Nil: the bucket's owner.
    public var owner: ID<Account>?
    public var storageClass: String?
    /// The header of its checksum and, of an object of parts, a space and the checksum's type.
    public var checksum: String?

    public var place: UInt64 { sequence }

    init(
        key: ObjectKey, size: Int64, entityTag: String, modified: Instant, version: VersionID, sequence: UInt64,
        isDeleteMarker: Bool, owner: ID<Account>?, storageClass: String?, checksum: String?, isLatest: Bool
    ) {
        self.checksum = checksum
        self.key = key
        self.size = size
        self.entityTag = entityTag
        self.modified = modified
        self.version = version
        self.sequence = sequence
        self.isDeleteMarker = isDeleteMarker
        self.owner = owner
        self.storageClass = storageClass
        self.isLatest = isLatest
    }
}

/// Faults that every backend says in the same words.
public enum ObjectFaults {
    public static let bucketIsGone = Fault(.notFound, "The specified bucket does not exist", kind: .bucket)
    public static let bucketIsNotEmpty = Fault(.inUse, "The bucket you tried to delete is not empty", kind: .bucket)
    /// Another version has taken its place since it was found.
    public static let bodyIsGone = Fault(.bodyIsGone, "The version has been replaced and its body is gone.", kind: .object)
    public static let bodyIsDamaged = Fault(.bodyIsDamaged, "A stored body is not as it was written.", kind: .object)
    /// An upload was to end with a part that it has not.
    public static let partIsMissing = Fault(.internalError, "A part that is to be kept is not there.", kind: .object)
}

extension Fault.Code {
    /// A version's body is not there any more, as when another version has taken its place since it was found.
    public static let bodyIsGone = Fault.Code(rawValue: "bodyIsGone")
    /// What is stored is not what was written. A store that could not be asked says `storage` instead.
    public static let bodyIsDamaged = Fault.Code(rawValue: "bodyIsDamaged")
}
