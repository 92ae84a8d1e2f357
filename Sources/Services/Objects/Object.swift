//  Objects: put, read, listed and removed. A body is taken as it comes and kept only once all of it has
//  come and been found right.

import Authority
import Crypto
import Model
import NIOCore
import ObjectStorage

/// What must hold of a key's current version (RFC 9110, section 13.1).
public struct ObjectConditions: Sendable, Hashable {
    /// Entity tags without quotes, or `*`.
    public var match: [String]?
    public var noneMatch: [String]?
    /// Whole seconds, as HTTP's dates are.
    public var modifiedSince: Instant?
    public var unmodifiedSince: Instant?

    public init() {}

    /// What a reader is told: nil to go on.
    enum Verdict { case failed, notModified }

    func verdict(on version: ObjectVersion) -> Verdict? {
        let modified = version.modified.seconds
        if let match {
            if !ObjectConditions.names(match, version.entityTag) { return .failed }
        } else if let unmodifiedSince, modified > unmodifiedSince.seconds {
            return .failed
        }
        if let noneMatch {
            if ObjectConditions.names(noneMatch, version.entityTag) { return .notModified }
        } else if let modifiedSince, modified <= modifiedSince.seconds {
            return .notModified
        }
        return nil
    }

    /// Checks what a writer says of what it replaces; nil where there is nothing.
    func check(replacing version: ObjectVersion?) throws(Fault) {
        if let noneMatch, let version, ObjectConditions.names(noneMatch, version.entityTag) { throw Fault.precondition }
        guard let match else { return }
        guard let version else { throw Fault(.notFound, "The specified key does not exist.", kind: .object) }
        if !ObjectConditions.names(match, version.entityTag) { throw Fault.precondition }
    }

    private static func names(_ tags: [String], _ tag: String) -> Bool { tags.contains { $0 == "*" || $0 == tag } }
}

extension Fault {
    static let precondition = Fault(
        .preconditionFailed, "At least one of the pre-conditions you specified did not hold", kind: .object)
}

/// An upload.
public struct ObjectUpload: Sendable {
    public var bucket: String
    public var key: ObjectKey
    public var detail = ObjectDetail()
    /// How long the body is, where the client has said so.
    public var size: Int64?
    public var conditions = ObjectConditions()

    public init(bucket: String, key: ObjectKey) {
        self.bucket = bucket
        self.key = key
    }
}

/// A version that is read.
public struct FoundObject: Sendable {
    public let bucket: Bucket
    public let version: ObjectVersion
}

extension ObjectsService {
    /// The largest body of one PUT.
    public static let uploadBytesMax: Int64 = 5 << 30

    /// Stores an object; durable when it returns.
    ///
    /// - Parameter body: Its bytes. What it throws keeps nothing of them: a checksum that is wrong, a
    ///   client that has gone.
    public func put(
        _ upload: ObjectUpload, _ body: some AsyncSequence<ByteBuffer, any Error> & Sendable, by session: Session
    ) async throws(Fault) -> ObjectVersion {
        try ObjectsService.check(upload.key)
        let bucket = try await bucket(upload.bucket, key: upload.key, for: .putObject, by: session)
        let sink = try await backend.stage(size: upload.size, in: bucket)
        do {
            var hash = Insecure.MD5()
            var size: Int64 = 0
            for try await piece in body {
                size += Int64(piece.readableBytes)
                guard size <= ObjectsService.uploadBytesMax else {
                    throw Fault(.tooLarge, "Your proposed upload exceeds the maximum allowed size", kind: .object)
                }
                piece.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
                try await sink.append(piece)
            }
            let version = ObjectVersion(
                id: .null, size: size, entityTag: hexDigits(Array(hash.finalize())), modified: chance.now(), detail: upload.detail,
                body: try await sink.finish())
            let conditions = upload.conditions
            return try await backend.change(upload.key, in: bucket) { change throws(Fault) in
                try conditions.check(replacing: try change.current())
                try change.put(version)
                return version
            }
        } catch {
            await sink.abandon()
            throw error as? Fault ?? Fault(.malformedRequest, "The request's body could not be read.", because: error)
        }
    }

    /// Finds an object to read; its bytes are read with `bytes`.
    ///
    /// - Throws: `notFound`; `preconditionFailed` or `notModified` where a condition says so.
    public func object(
        _ key: ObjectKey, in bucketName: String, conditions: ObjectConditions = ObjectConditions(), by session: Session
    ) async throws(Fault) -> FoundObject {
        let bucket = try await bucket(bucketName, key: key, for: .getObject, by: session)
        guard let version = try await backend.find(key, version: nil, in: bucket), version.body != nil else {
            throw Fault(.notFound, "The specified key does not exist.", kind: .object)
        }
        switch conditions.verdict(on: version) {
        case .failed: throw Fault.precondition
        case .notModified: throw Fault(.notModified, "Not Modified", kind: .object)
        case nil: return FoundObject(bucket: bucket, version: version)
        }
    }

    /// A part of an object's bytes.
    public func bytes(of object: FoundObject, _ range: Range<Int64>) async throws(Fault) -> BodySource {
        guard let body = object.version.body, !range.isEmpty else { return BodySource([]) }
        return try await backend.read(body, range, in: object.bucket)
    }

    /// Removes an object; one that is not there is no fault.
    public func delete(
        _ key: ObjectKey, in bucketName: String, conditions: ObjectConditions = ObjectConditions(), by session: Session
    ) async throws(Fault) {
        let bucket = try await bucket(bucketName, key: key, for: .deleteObject, by: session)
        try await backend.change(key, in: bucket) { change throws(Fault) in
            try conditions.check(replacing: try change.current())
            try change.remove(.null)
        }
    }

    public func list(_ request: ListingRequest, in bucketName: String, by session: Session) async throws(Fault) -> ListingPage {
        try await backend.list(request, of: try await bucket(bucketName, for: .listBucket, by: session))
    }

    static func check(_ key: ObjectKey) throws(Fault) {
        guard key.bytes.count <= ObjectKey.bytesMax else { throw Fault(.tooLarge, "Your key is too long", kind: .object) }
    }
}
