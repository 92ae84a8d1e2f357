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

/// A body as it comes. What it throws keeps nothing of it: a checksum that is wrong, a client that has gone.
public protocol ObjectBody: AsyncSequence, Sendable where Element == ByteBuffer {
    /// The header of the checksum to be kept with the object, once all of it has come.
    var checksum: (name: String, value: String)? { get }
}

/// What is stored already.
struct StoredObjectBody: ObjectBody {
    let source: BodySource
    let checksum: (name: String, value: String)?

    func makeAsyncIterator() -> BodySource.Iterator { source.makeAsyncIterator() }
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
    public func put(_ upload: ObjectUpload, _ body: some ObjectBody, by session: Session) async throws(Fault) -> ObjectVersion {
        try ObjectsService.check(upload.key)
        let bucket = try await bucket(upload.bucket, key: upload.key, for: .putObject, by: session)
        return try await take(body, size: upload.size, in: bucket) { taken throws(Fault) in
            var detail = upload.detail
            if let (name, value) = body.checksum { detail.checksums[name] = value }
            let version = ObjectVersion(
                id: .null, size: taken.size, entityTag: taken.entityTag, modified: chance.now(), detail: detail, body: taken.body)
            let conditions = upload.conditions
            return try await backend.change(upload.key, in: bucket) { change throws(Fault) in
                try conditions.check(replacing: try change.current())
                try change.put(version)
                return version
            }
        }
    }

    /// Takes a body to its end and keeps it with what `keep` does; nothing of it is left where either fails.
    func take<Kept>(
        _ body: some ObjectBody, size: Int64?, in bucket: Bucket,
        keep: (_ taken: (size: Int64, entityTag: String, body: BodyReference)) async throws(Fault) -> Kept
    ) async throws(Fault) -> Kept {
        let sink = try await backend.stage(size: size, in: bucket)
        do {
            var hash = Insecure.MD5()
            var taken: Int64 = 0
            for try await piece in body {
                taken += Int64(piece.readableBytes)
                guard taken <= ObjectsService.uploadBytesMax else {
                    throw Fault(.tooLarge, "Your proposed upload exceeds the maximum allowed size", kind: .object)
                }
                piece.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
                try await sink.append(piece)
            }
            return try await keep((taken, hexDigits(Array(hash.finalize())), try await sink.finish()))
        } catch {
            await sink.abandon()
            throw error as? Fault ?? Fault(.malformedRequest, "The request's body could not be read.", because: error)
        }
    }

    /// Finds an object.
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

    /// How often a version is looked for anew whose body went while it was opened.
    private static let readingsMax = 10

    /// Opens an object's bytes. A version that is replaced at that moment is no refusal: the next one is read.
    ///
    /// - Parameter range: Which of a version's bytes.
    /// - Throws: As `object`, and what `range` throws.
    public func read(
        _ key: ObjectKey, in bucketName: String, conditions: ObjectConditions = ObjectConditions(), by session: Session,
        range: (ObjectVersion) throws(Fault) -> Range<Int64>
    ) async throws(Fault) -> (object: FoundObject, range: Range<Int64>, bytes: BodySource) {
        for _ in 1..<ObjectsService.readingsMax {
            do throws(Fault) { return try await readOnce(key, bucketName, conditions, session, range) } catch {
                guard error == ObjectFaults.bodyIsGone else { throw error }
            }
        }
        return try await readOnce(key, bucketName, conditions, session, range)
    }

    private func readOnce(
        _ key: ObjectKey, _ bucketName: String, _ conditions: ObjectConditions, _ session: Session,
        _ range: (ObjectVersion) throws(Fault) -> Range<Int64>
    ) async throws(Fault) -> (object: FoundObject, range: Range<Int64>, bytes: BodySource) {
        let found = try await object(key, in: bucketName, conditions: conditions, by: session)
        let range = try range(found.version)
        guard let body = found.version.body, !range.isEmpty else { return (found, range, BodySource([])) }
        return (found, range, try await backend.read(body, range, in: found.bucket))
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

    /// Copies an object, on the way through this service.
    ///
    /// - Parameter detail: What the copy is to have instead of its source's; nil to keep that.
    public func copy(
        _ source: ObjectKey, from sourceBucket: String, sourceConditions: ObjectConditions, to upload: ObjectUpload,
        replacing detail: ObjectDetail?, by session: Session
    ) async throws(Fault) -> ObjectVersion {
        if detail == nil, source == upload.key, sourceBucket == upload.bucket {
            throw Fault(
                .malformedRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
                    + "metadata, storage class, website redirect location or encryption attributes.", kind: .object)
        }
        let (found, _, bytes) = try await readSource(source, in: sourceBucket, conditions: sourceConditions, by: session) {
            0..<$0.size
        }
        var upload = upload
        upload.size = found.version.size
        upload.detail = detail ?? found.version.detail
        upload.detail.upload = nil
        upload.detail.parts = nil
        upload.detail.checksums = found.version.detail.checksums
        return try await put(upload, StoredObjectBody(source: bytes, checksum: nil), by: session)
    }

    /// Reads what is to be copied: a condition that does not hold is a refusal, whichever it is.
    func readSource(
        _ key: ObjectKey, in bucketName: String, conditions: ObjectConditions, by session: Session,
        range: (ObjectVersion) throws(Fault) -> Range<Int64>
    ) async throws(Fault) -> (object: FoundObject, range: Range<Int64>, bytes: BodySource) {
        do throws(Fault) {
            return try await read(key, in: bucketName, conditions: conditions, by: session, range: range)
        } catch {
            throw error.code == .notModified ? Fault.precondition : error
        }
    }

    public func list(_ request: ListingRequest, in bucketName: String, by session: Session) async throws(Fault) -> ListingPage {
        try await backend.list(request, of: try await bucket(bucketName, for: .listBucket, by: session))
    }

    static func check(_ key: ObjectKey) throws(Fault) {
        guard key.bytes.count <= ObjectKey.bytesMax else { throw Fault(.malformedId, "Your key is too long", kind: .object) }
    }
}
