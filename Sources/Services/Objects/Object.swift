//  Objects: put, read, copied and listed. A body is taken as it comes and kept only once all of it has
//  come and been found right.

import Authority
import Crypto
import Model
import NIOCore
import ObjectStorage

/// A body as it comes. What it throws keeps nothing of it: a checksum that is wrong, a client that has gone.
public protocol ObjectBody: AsyncSequence, Sendable where Element == ByteBuffer {
    /// The header of the checksum to be kept with the object, once all of it has come.
    var checksum: (name: String, value: String)? { get }
    /// Makes a checksum of the body, by its header, where the client has given none.
    func makeChecksum(_ name: String)
}

/// An upload.
public struct ObjectUpload: Sendable {
    public var bucket: String
    public var key: ObjectKey
    public var detail = ObjectDetail()
    public var acl: RequestedACL?
    public var encryption: RequestedEncryption?
    /// How long the body is, where the client has said so.
    public var size: Int64?
    public var conditions = ObjectConditions()
    /// As what it is told to those who want to know.
    public var event = ObjectEvent.put

    public init(bucket: String, key: ObjectKey) {
        self.bucket = bucket
        self.key = key
    }
}

extension ObjectsService {
    /// The largest body of one PUT.
    public static let uploadBytesMax: Int64 = 5 << 30

    // MARK: Put

    /// Stores an object; durable when it returns.
    public func put(_ upload: ObjectUpload, _ body: some ObjectBody, by caller: Caller) async throws(Fault) -> StoredObject {
        let (bucket, given) = try await admit(upload, by: caller)
        let encryption = try await encryption(upload.encryption, of: upload.key, in: bucket, by: caller)
        if given.checksums.isEmpty { body.makeChecksum(ChecksumAlgorithm.standard.header) }
        let stored = try await take(body, size: upload.size, sealedWith: encryption?.key, in: bucket) { taken throws(Fault) in
            let bucket = try await asItIs(bucket)
            let now = chance.now()
            var detail = given
            detail.encryption = encryption?.kept
            if let (name, value) = body.checksum { detail.checksums[name] = value }
            detail.retention = detail.retention ?? bucket.standardRetention(from: now)
            let version = ObjectVersion(
                id: .null, size: taken.size, entityTag: taken.entityTag, modified: now, detail: detail, body: taken.body)
            let conditions = upload.conditions
            let stored = try await backend.change(upload.key, in: bucket) { change throws(Fault) in
                try conditions.check(change)
                return try change.add(version, in: bucket)
            }
            return StoredObject(bucket: bucket, version: stored)
        }
        await announce(upload.event, upload.key, stored, by: caller)
        return stored
    }

    /// A bucket with the settings that it has now: others may have come while a body did.
    func asItIs(_ bucket: Bucket) async throws(Fault) -> Bucket {
        guard let now = try await backend.bucket(named: bucket.name), now.id == bucket.id else { throw ObjectFaults.bucketIsGone }
        return now
    }

    /// Finds the bucket that an object is to be put into and decides whether it may be, as it is described.
    ///
    /// - Returns: What the object is to be kept with.
    func admit(_ upload: ObjectUpload, by caller: Caller) async throws(Fault) -> (bucket: Bucket, detail: ObjectDetail) {
        try ObjectsService.check(upload.key)
        let bucket = try await bucket(upload.bucket, key: upload.key, for: .putObject, by: caller)
        try await checkQuota(of: bucket.account, adding: upload.size ?? 0)
        var detail = upload.detail
        if let tags = detail.tags {
            try ObjectTags.check(tags)
            try authorize(.putObjectTagging, on: bucket, key: upload.key, by: caller)
        }
        try bucket.checkLock(retention: detail.retention, isHeld: detail.isHeld, now: chance.now())
        if upload.detail.retention != nil { try authorize(.putRetention, on: bucket, key: upload.key, by: caller) }
        if detail.isHeld != nil { try authorize(.putLegalHold, on: bucket, key: upload.key, by: caller) }
        var owner = caller.account ?? bucket.account
        if bucket.settings.ownership == .bucketOwnerEnforced { owner = bucket.account }
        if bucket.settings.ownership == .bucketOwnerPreferred, upload.acl == .canned(.bucketOwnerFullControl) {
            owner = bucket.account
        }
        detail.owner = owner == bucket.account ? nil : owner
        detail.grants = try await grants(upload.acl, owner: owner, bucketOwner: bucket.account, bucket.settings)
        return (bucket, detail)
    }

    /// Takes a body to its end and keeps it with what `keep` does; nothing of it is left where either fails.
    ///
    /// - Parameter key: Nil for what lies as it came.
    func take<Kept>(
        _ body: some ObjectBody, size: Int64?, sealedWith key: SymmetricKey?, in bucket: Bucket,
        keep: (_ taken: (size: Int64, entityTag: String, body: BodyReference)) async throws(Fault) -> Kept
    ) async throws(Fault) -> Kept {
        let sink = try await backend.stage(size: key == nil ? size : size.map(SealedBytes.sealedLength), in: bucket)
        var sealer = key.map { BodySealer($0, salt: randomBytes(SealedBytes.saltBytes, chance)) }
        do {
            var hash = BodyHash(size: size, by: lanes)
            var taken: Int64 = 0
            for try await piece in JoinedBits(body) {
                taken += Int64(piece.readableBytes)
                guard taken <= ObjectsService.uploadBytesMax else {
                    throw Fault.uploadTooLarge
                }
                let stored = try sealer?.take(piece) ?? piece
                await hash.take(piece)
                try await sink.append(stored)
            }
            if let last = try sealer?.finish() { try await sink.append(last) }
            // Of a body whose length nobody has said, it is known only now.
            if size == nil { try await checkQuota(of: bucket.account, adding: taken) }
            return try await keep((taken, await hash.finish(), try await sink.finish()))
        } catch {
            await sink.abandon()
            throw error as? Fault ?? Fault(.malformedRequest, "The request's body could not be read.", because: error)
        }
    }

    // MARK: Find

    /// Finds a version that the caller may do something with, or several things at once.
    ///
    /// - Parameter forReading: Whether its body is about to be read.
    /// - Throws: `keyTooLong`; `notFound` of a key, of a version, or about the delete marker that is the current version;
    ///   `wrongState` of a version that is a delete marker; `denied`, also where the caller may not know
    ///   whether it is there.
    public func object(
        _ name: ObjectName, for action: ObjectAction, and others: ObjectAction..., forReading: Bool = false, by caller: Caller
    ) async throws(Fault) -> StoredObject {
        let bucket = try await bucket(named: name.bucket)
        try ObjectsService.check(name.key)
        guard let version = try await backend.find(name.key, version: name.version, in: bucket, forReading: forReading) else {
            // Who may not list is not told what there is.
            do throws(Fault) { try authorize(.listBucket, on: bucket, by: caller.listing(name.key)) } catch {
                throw Fault.accessDenied
            }
            guard let asked = name.version else { throw Fault.noObject }
            throw Fault(.notFound, "The specified version does not exist.", kind: .version).about(asked)
        }
        // A delete marker has no list of its own, whoever put it.
        let listed = version.body == nil ? nil : version
        for action in [action] + others { try authorize(action, on: bucket, key: name.key, object: listed, by: caller) }
        guard version.body != nil else {
            throw Fault.isDeleteMarker(version, isNamed: name.version != nil)
        }
        return StoredObject(bucket: bucket, version: version)
    }

    /// Finds an object whose head is to be read.
    ///
    /// - Throws: As `object(_:for:by:)`; `preconditionFailed`.
    public func object(
        _ name: ObjectName, conditions: ObjectConditions = ObjectConditions(), customer: CustomerKey? = nil, by caller: Caller
    ) async throws(Fault) -> StoredObject {
        let found = try await object(name, for: name.version == nil ? .getObject : .getVersion, by: caller)
        return try await check(found, name, conditions, customer).object
    }

    /// Finds an object whose attributes are to be read: both that and the reading itself are asked for.
    ///
    /// - Throws: As `object(_:for:by:)`.
    public func attributes(_ name: ObjectName, customer: CustomerKey?, by caller: Caller) async throws(Fault) -> StoredObject {
        let found =
            name.version == nil
            ? try await object(name, for: .getAttributes, and: .getObject, by: caller)
            : try await object(name, for: .getVersionAttributes, and: .getVersion, by: caller)
        return try await check(found, name, ObjectConditions(), customer).object
    }

    /// Holds what a reader says against what is there.
    ///
    /// - Returns: The object's key too, where it is encrypted.
    private func check(
        _ found: StoredObject, _ name: ObjectName, _ conditions: ObjectConditions, _ customer: CustomerKey?
    ) async throws(Fault) -> (object: StoredObject, key: SymmetricKey?) {
        let key = try await key(of: found.version.detail.encryption, name.key, in: found.bucket, customer: customer)
        switch conditions.verdict(on: found.version) {
        case .failed(let condition): throw Fault.precondition(condition)
        case .notModified: return (StoredObject(bucket: found.bucket, version: found.version, isNotModified: true), key)
        case nil: return (found, key)
        }
    }

    // MARK: Read

    /// How often a version is looked for anew whose body went while it was opened.
    private static let readingsMax = 10

    /// Opens an object's bytes. A version that is replaced at that moment is no refusal: the next one is read.
    ///
    /// - Parameters:
    ///   - customer: The key that the client brings, where it has encrypted the object.
    ///   - range: Which of a version's bytes.
    /// - Throws: As `object`, and what `range` throws.
    public func read(
        _ name: ObjectName, conditions: ObjectConditions = ObjectConditions(), customer: CustomerKey? = nil,
        by caller: Caller, range: (StoredObject) async throws(Fault) -> Range<Int64>
    ) async throws(Fault) -> (object: StoredObject, range: Range<Int64>, bytes: BodySource) {
        for _ in 1..<ObjectsService.readingsMax {
            do throws(Fault) { return try await readOnce(name, conditions, customer, caller, range) } catch {
                guard error.code == .bodyIsGone else { throw error }
            }
        }
        return try await readOnce(name, conditions, customer, caller, range)
    }

    private func readOnce(
        _ name: ObjectName, _ conditions: ObjectConditions, _ customer: CustomerKey?, _ caller: Caller,
        _ range: (StoredObject) async throws(Fault) -> Range<Int64>
    ) async throws(Fault) -> (object: StoredObject, range: Range<Int64>, bytes: BodySource) {
        let named = try await object(
            name, for: name.version == nil ? .getObject : .getVersion, forReading: true, by: caller)
        let (found, key) = try await check(named, name, conditions, customer)
        if found.isNotModified { return (found, 0..<0, BodySource([])) }
        let range = try await range(found)
        guard let body = found.version.body, !range.isEmpty else { return (found, range, BodySource([])) }
        guard let key else { return (found, range, try await backend.read(body, range, in: found.bucket)) }
        return (found, range, try await readSealed(found, body, range, key))
    }

    // MARK: Copy

    /// What a copy takes over from its source.
    public struct CopyDirectives: Sendable {
        public var keepsDetail = true
        public var keepsTags = true
        /// The key that the client brings for the source.
        public var customer: CustomerKey?
        /// What the copy is to have a checksum by; nil: as its source.
        public var checksum: ChecksumAlgorithm?

        public init() {}
    }

    /// Copies an object, on the way through this service.
    public func copy(
        _ source: ObjectName, sourceConditions: ObjectConditions, to upload: ObjectUpload, _ directives: CopyDirectives,
        by caller: Caller
    ) async throws(Fault) -> (source: StoredObject, copy: StoredObject) {
        let isItself = source.key == upload.key && source.bucket == upload.bucket && source.version == nil
        let redirect = "x-amz-website-redirect-location"
        let changes = upload.detail.storageClass != nil || upload.encryption != nil || upload.detail.headers[redirect] != nil
        if isItself, directives.keepsDetail, !changes {
            throw Fault(
                .malformedRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
                    + "metadata, storage class, website redirect location or encryption attributes.", kind: .object)
        }
        let (found, _, bytes) = try await readSource(
            source, conditions: sourceConditions, customer: directives.customer, by: caller
        ) { 0..<$0.version.size }
        let own = found.version.detail
        var upload = upload
        upload.size = found.version.size
        upload.event = .copy
        if directives.keepsDetail {
            // Where a website leads on to is each object's own.
            let given = upload.detail.headers[redirect]
            (upload.detail.headers, upload.detail.metadata) = (own.headers, own.metadata)
            upload.detail.headers[redirect] = given
        }
        if directives.keepsTags { upload.detail.tags = own.tags }
        let body = StoredObjectBody(source: bytes)
        if let wanted = directives.checksum {
            body.makeChecksum(wanted.header)
        } else if own.checksumType != ChecksumType.composite.rawValue {
            upload.detail.checksums = own.checksums
        } else if let kept = own.checksums.keys.first {
            // The copy comes whole, so that its checksum is of the whole.
            body.makeChecksum(kept)
        }
        return (found, try await put(upload, body, by: caller))
    }

    /// Reads what is to be copied: a condition that does not hold is a refusal, whichever it is.
    func readSource(
        _ name: ObjectName, conditions: ObjectConditions, customer: CustomerKey?, by caller: Caller,
        range: (StoredObject) async throws(Fault) -> Range<Int64>
    ) async throws(Fault) -> (object: StoredObject, range: Range<Int64>, bytes: BodySource) {
        do throws(Fault) {
            let found = try await read(name, conditions: conditions, customer: customer, by: caller) { found throws(Fault) in
                let part = try await range(found)
                // Said before it is read to be refused at its end.
                guard part.upperBound - part.lowerBound <= ObjectsService.uploadBytesMax else { throw Fault.sourceIsTooLarge }
                return part
            }
            if !found.object.isNotModified { return found }
        } catch {
            guard error.code == .wrongState, error.kind == .version else { throw error }
            throw Fault(
                .malformedRequest, "The source of a copy request may not specifically refer to a delete marker by version id.",
                kind: .object)
        }
        throw Fault.precondition("If-None-Match")
    }

    // MARK: List

    /// A page of a bucket's keys, or of their versions.
    public func list(
        _ request: ListingRequest<ListedObject>, _ versions: ListedVersions = .current, in bucketName: String, by caller: Caller
    ) async throws(Fault) -> (bucket: Bucket, page: ListingPage<ListedObject>) {
        let bucket = try await bucket(bucketName, for: versions == .all ? .listBucketVersions : .listBucket, by: caller)
        return (bucket, try await backend.list(request, versions, of: bucket))
    }

    /// Where a version stands among its key's: what a listing of versions goes on after.
    public func sequence(of name: ObjectName, by caller: Caller) async throws(Fault) -> UInt64? {
        let bucket = try await bucket(name.bucket, for: .listBucketVersions, by: caller)
        // Ids are sequences, but for the one that has none.
        guard name.version == .null else { return name.version?.bits }
        var first = ListingRequest<ListedObject>()
        first.prefix = name.key.bytes
        var next: ListingRequest<ListedObject>? = first
        while let request = next {
            let page = try await backend.list(request, .all, of: bucket)
            for object in page.entries {
                if object.key != name.key { return nil }
                if object.version == .null { return object.sequence }
            }
            next = request.following(page)
        }
        return nil
    }

    // MARK: Details

    /// The parts that an object was uploaded in; none of one that came whole.
    public func parts(of found: StoredObject) async throws(Fault) -> [ObjectPart] {
        guard let body = found.version.body else { return [] }
        let pieces = try await backend.pieces(of: body, in: found.bucket)
        guard found.version.detail.encryption != nil else { return pieces }
        var start: Int64 = 0
        return pieces.map { piece in
            var part = piece
            part.size = SealedBytes.plainLength(of: piece.size)
            part.start = start
            start += part.size
            return part
        }
    }

    /// Changes what a version is kept with, where it stands.
    ///
    /// - Parameter action: What the caller needs the right to: another version without an id may have taken its place.
    func revise(
        _ found: StoredObject, _ key: ObjectKey, for action: ObjectAction, by caller: Caller,
        _ body: @escaping @Sendable (inout ObjectDetail) throws(Fault) -> Void
    ) async throws(Fault) {
        let (id, bucket) = (found.version.id, found.bucket)
        try await backend.change(key, in: bucket) { change throws(Fault) in
            guard let version = try change.version(id), version.body != nil else { throw Fault.noObject }
            try self.authorize(action, on: bucket, key: key, object: version, by: caller)
            var detail = version.detail
            try body(&detail)
            try change.revise(id, detail)
        }
    }

    static func check(_ key: ObjectKey) throws(Fault) {
        guard key.bytes.count <= ObjectKey.bytesMax else { throw Fault(.keyTooLong, "Your key is too long", kind: .object) }
    }
}

extension KeyChange {
    /// Adds a version as its bucket keeps them: under an id of its own, or as the one without.
    func add(_ version: ObjectVersion, in bucket: Bucket) throws(Fault) -> ObjectVersion {
        var version = version
        version.id = bucket.settings.versioning == .enabled ? try nextID() : .null
        if bucket.settings.lock != nil, version.id == .null {
            try self.version(.null)?.checkRemovable(now: version.modified, bypassing: false)
        }
        try put(version)
        try bucket.checkQuota(usage, adding: version.size)
        return version
    }
}

extension Fault.Code {
    /// Bytes are asked for that an object has not.
    public static let invalidRange = Fault.Code(rawValue: "invalidRange")
    public static let keyTooLong = Fault.Code(rawValue: "keyTooLong")
    /// A body, or a part, is shorter than it may be.
    public static let tooSmall = Fault.Code(rawValue: "tooSmall")
}

extension Fault {
    /// When a delete marker was put, in ISO 8601.
    public static let modifiedFact = "modified"

    static let sourceIsTooLarge = Fault(
        .malformedRequest,
        "The specified copy source is larger than the maximum allowable size for a copy source: \(ObjectsService.uploadBytesMax)",
        kind: .object)
    public static let uploadTooLarge = Fault(
        .tooLarge, "Your proposed upload exceeds the maximum allowed size", kind: .object)
    public static let uploadTooSmall = Fault(
        .tooSmall, "Your proposed upload is smaller than the minimum allowed size", kind: .object)

    static let noObject = Fault(.notFound, "The specified key does not exist.", kind: .object)

    /// What is asked for is a delete marker.
    static func isDeleteMarker(_ marker: ObjectVersion, isNamed: Bool) -> Fault {
        var fault = noObject
        if isNamed { fault = Fault(.wrongState, "The specified method is not allowed against this resource.", kind: .version) }
        fault = fault.about(marker.id)
        fault.facts[modifiedFact] = marker.modified.iso8601
        return fault
    }

    /// The same fault about a version.
    func about(_ version: VersionID) -> Fault {
        var fault = self
        fault.subject = AnyID(kind: .version, bits: version.bits)
        return fault
    }
}
