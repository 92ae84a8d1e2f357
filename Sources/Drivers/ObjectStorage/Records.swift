//  What the object store keeps: buckets, and the versions of their keys.

import Model

/// A bucket.
public struct Bucket: Identified, Sendable, Hashable {
    public static var kind: Kind { .bucket }

    public var id: ID<Bucket>
    /// Unique in the cloud.
    public var name: String
    public var account: ID<Account>
    public var region: String
    public var created: Instant
    /// Where the backend keeps its keys; only the backend looks at it.
    public var place: Int

    public init(id: ID<Bucket>, name: String, account: ID<Account>, region: String, created: Instant, place: Int = 0) {
        self.id = id
        self.name = name
        self.account = account
        self.region = region
        self.created = created
        self.place = place
    }
}

/// A key: any UTF-8, ordered by its bytes.
public struct ObjectKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    public static let bytesMax = 1024

    public let bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: String) { bytes = Array(text.utf8) }

    public var description: String { String(decoding: bytes, as: UTF8.self) }

    public static func < (left: ObjectKey, right: ObjectKey) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// Which version of a key. Zero is the one that clients know as `null`.
public struct VersionID: Sendable, Hashable {
    public var bits: UInt64

    public static let null = VersionID(bits: 0)

    public init(bits: UInt64) { self.bits = bits }
}

/// What a client says of an object and gets back as it was.
public struct ObjectDetail: Sendable, Hashable, Codable {
    /// System headers such as `content-type`, in lower case.
    public var headers: [String: String] = [:]
    /// `x-amz-meta-…` without the prefix.
    public var metadata: [String: String] = [:]
    /// `x-amz-checksum-…` headers and their values.
    public var checksums: [String: String] = [:]
    /// The upload in parts that it came by, and how many they were.
    public var upload: UploadID?
    public var parts: Int?

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
    /// With its key; the bytes are here until the change that keeps them.
    case inline(id: UInt64, bytes: [UInt8]?)
    /// In a file of its own.
    case file(id: UInt64, checksums: [UInt32])
    /// Of parts, one after the other, which the version's row names.
    case pieces(of: UInt64)
    /// Of parts that are at hand.
    case joined([BodyPiece])
}

/// A part of a body.
public struct BodyPiece: Sendable, Hashable {
    public var size: Int64
    public var body: BodyReference

    public init(size: Int64, body: BodyReference) {
        self.size = size
        self.body = body
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
public struct PartedUpload: Sendable, Hashable {
    public var id: UploadID
    public var key: ObjectKey
    public var begun: Instant
    public var detail: ObjectDetail

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
    public var body: BodyReference

    public init(number: Int, size: Int64, entityTag: String, modified: Instant, body: BodyReference) {
        self.number = number
        self.size = size
        self.entityTag = entityTag
        self.modified = modified
        self.body = body
    }
}

/// What a listing shows of a current version.
public struct ListedObject: Sendable, Hashable {
    public var key: ObjectKey
    public var size: Int64
    public var entityTag: String
    public var modified: Instant

    public init(key: ObjectKey, size: Int64, entityTag: String, modified: Instant) {
        self.key = key
        self.size = size
        self.entityTag = entityTag
        self.modified = modified
    }
}

/// Faults that every backend says in the same words.
public enum ObjectFaults {
    public static let bucketIsGone = Fault(.notFound, "The specified bucket does not exist", kind: .bucket)
    public static let bucketIsNotEmpty = Fault(.inUse, "The bucket you tried to delete is not empty", kind: .bucket)
    /// Another version has taken its place since it was found.
    public static let bodyIsGone = Fault(.notFound, "The version has been replaced and its body is gone.", kind: .object)
    static let bodyIsDamaged = Fault(.storage, "A stored body is not as it was written.", kind: .object)
}
