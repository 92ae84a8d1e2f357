//  Uploads in parts: begun, filled in any order by any number of clients, and completed in one step.

import Authority
import Crypto
import Model
import ObjectStorage

/// An upload in parts, with the bucket that it is in.
public struct StartedUpload: Sendable {
    public let bucket: Bucket
    public let upload: PartedUpload

    /// Who will own the object.
    public var owner: ID<Account> { upload.detail.owner ?? bucket.account }
}

/// A part that was taken, and the upload that it is of.
public struct StartedPart: Sendable {
    public let upload: PartedUpload
    public let part: UploadedPart
}

extension UploadID {
    /// One that nobody can guess.
    init(_ chance: Chance) { self.init(hexDigits(chance.bits()) + hexDigits(chance.bits())) }

    /// The one by which a version is brought in: the same each time, so that what a crash left is found.
    init(bringingIn key: ObjectKey, version: String?, into bucket: Bucket) {
        let digest = SHA256.hash(data: Array("\(bucket.id.hex)/\(version ?? "")/".utf8) + key.bytes)
        self.init("import-\(hexDigits(Array(digest.prefix(16))))")
    }
}

extension ObjectsService {
    public static let partNumberMax = 10_000
    /// All parts but the last are at least so long.
    public static let partBytesMin: Int64 = 5 << 20
    /// The largest object of parts.
    public static let objectBytesMax: Int64 = 5 << 40

    /// Begins an upload of an object in parts.
    public func beginUpload(_ upload: ObjectUpload, by caller: Caller) async throws(Fault) -> StartedUpload {
        var (bucket, detail) = try await admit(upload, by: caller)
        detail.encryption = try await encryption(upload.encryption, of: upload.key, in: bucket, by: caller)?.kept
        let id = UploadID(chance)
        let begun = PartedUpload(id: id, key: upload.key, begun: chance.now(), detail: detail)
        try await backend.change(upload.key, in: bucket) { change throws(Fault) in try change.begin(begun) }
        return StartedUpload(bucket: bucket, upload: begun)
    }

    /// Takes a part, in place of one of its number.
    public func putPart(
        _ number: Int, of id: UploadID, _ key: ObjectKey, in bucketName: String, size: Int64?, _ body: some ObjectBody,
        customer: CustomerKey? = nil, by caller: Caller
    ) async throws(Fault) -> StartedPart {
        guard (1...ObjectsService.partNumberMax).contains(number) else {
            throw Fault.badPartNumber
        }
        let bucket = try await bucket(bucketName, key: key, for: .putObject, by: caller)
        // Asked before the bytes come, and again when they have.
        let upload = try await upload(id, of: key, in: bucket)
        try await checkQuota(of: bucket.account, adding: size ?? 0)
        if let name = upload.detail.partChecksum { body.makeChecksum(name) }
        let sealing = try await partKey(of: upload, in: bucket, customer: customer)
        return try await take(body, size: size, sealedWith: sealing, in: bucket) { taken throws(Fault) in
            let checksums = body.checksum.map { [$0.name: $0.value] } ?? [:]
            if let wanted = upload.detail.partChecksum, let made = checksums.keys.first, made != wanted {
                throw Fault(
                    .malformedRequest, "Checksum Type mismatch occurred, expected checksum: \(wanted), actual checksum: \(made)",
                    kind: .object)
            }
            let stored = sealing == nil ? taken.size : SealedBytes.sealedLength(of: taken.size)
            let part = UploadedPart(
                number: number, size: stored, entityTag: taken.entityTag, modified: chance.now(), checksums: checksums,
                body: taken.body)
            return try await backend.change(key, in: bucket) { change throws(Fault) in
                guard try change.upload(id) != nil else { throw Fault.noUpload }
                try change.put(part, of: id)
                try bucket.checkQuota(change.usage, adding: part.size)
                return StartedPart(upload: upload, part: part)
            }
        }
    }

    /// Takes a part of what is stored already.
    ///
    /// - Parameter range: Which of so many bytes.
    public func copyPart(
        _ number: Int, of id: UploadID, _ key: ObjectKey, in bucketName: String, from source: ObjectName,
        sourceConditions: ObjectConditions, sourceCustomer: CustomerKey?, customer: CustomerKey?,
        range: (Int64) throws(Fault) -> Range<Int64>, by caller: Caller
    ) async throws(Fault) -> (source: StoredObject, part: StartedPart) {
        let (found, part, bytes) = try await readSource(
            source, conditions: sourceConditions, customer: sourceCustomer, by: caller
        ) { found throws(Fault) in try range(found.version.size) }
        let taken = try await putPart(
            number, of: id, key, in: bucketName, size: part.upperBound - part.lowerBound,
            StoredObjectBody(source: bytes), customer: customer, by: caller)
        return (found, taken)
    }

    /// What an upload's parts are sealed with.
    private func partKey(
        of upload: PartedUpload, in bucket: Bucket, customer: CustomerKey?
    ) async throws(Fault) -> SymmetricKey? {
        let mismatch = Fault(
            .malformedRequest, "The provided encryption parameters did not match the ones used originally.", kind: .part)
        return try await key(of: upload.detail.encryption, upload.key, in: bucket, customer: customer, mismatch: mismatch)
    }

    private func upload(_ id: UploadID, of key: ObjectKey, in bucket: Bucket) async throws(Fault) -> PartedUpload {
        guard let found = try await backend.upload(id, of: key, in: bucket) else { throw Fault.noUpload }
        return found
    }

    /// Makes an object of parts, in the order that is given. Completing once more what has been completed
    /// gives the same answer.
    ///
    /// - Parameters:
    ///   - parts: Their numbers rise.
    ///   - whole: What the client says of the whole.
    ///   - customer: The key that the client brings: none, or the one that the parts came with.
    public func completeUpload(
        _ id: UploadID, of key: ObjectKey, in bucketName: String, parts: [NamedPart], whole: NamedWhole = NamedWhole(),
        customer: CustomerKey? = nil, conditions: ObjectConditions = ObjectConditions(), by caller: Caller
    ) async throws(Fault) -> StoredObject {
        let bucket = try await bucket(bucketName, key: key, for: .putObject, by: caller)
        if customer != nil, let upload = try await backend.upload(id, of: key, in: bucket) {
            _ = try await partKey(of: upload, in: bucket, customer: customer)
        }
        let now = chance.now()
        guard zip(parts, parts.dropFirst()).allSatisfy({ $0.number < $1.number }) else {
            throw Fault(
                .partsOutOfOrder, "The list of parts was not in ascending order. Parts must be ordered by part number.",
                kind: .part)
        }
        let version = try await backend.change(key, in: bucket) { change throws(Fault) in
            guard let upload = try change.upload(id) else {
                if let current = try change.current(), current.detail.upload == id { return current }
                throw Fault.noUpload
            }
            try conditions.check(change)
            let taken = try ObjectsService.check(parts, of: id, change, areSealed: upload.detail.encryption != nil)
            let size = taken.reduce(0) { $0 + $1.size }
            if let stated = whole.size, stated != size {
                throw Fault(
                    .malformedRequest, "The provided 'x-amz-mp-object-size' header does not match what was computed", kind: .object)
            }
            var hash = Insecure.MD5()
            for part in parts { hash.update(data: bytes(hexDigits: part.entityTag) ?? []) }
            var detail = upload.detail
            detail.upload = id
            detail.parts = parts.count
            detail.retention = detail.retention ?? bucket.standardRetention(from: now)
            try detail.addChecksum(of: taken, whole)
            let version = ObjectVersion(
                id: .null, size: size, entityTag: "\(hexDigits(Array(hash.finalize())))-\(parts.count)", modified: now,
                detail: detail, body: try change.end(id, keeping: parts.map(\.number)))
            return try change.add(version, in: bucket)
        }
        let stored = StoredObject(bucket: bucket, version: version)
        await announce(.completeUpload, key, stored, by: caller)
        return stored
    }

    /// The parts that are named, if an object can be made of them.
    private static func check(
        _ parts: [NamedPart], of id: UploadID, _ change: any KeyChange, areSealed: Bool
    ) throws(Fault) -> [UploadedPart] {
        let present = Dictionary(try change.parts(of: id).map { ($0.number, $0) }) { first, _ in first }
        var taken: [UploadedPart] = []
        for (place, asked) in parts.enumerated() {
            guard var part = present[asked.number], part.entityTag == asked.entityTag,
                asked.checksums.allSatisfy({ part.checksums[$0.key] == $0.value })
            else {
                throw Fault(
                    .notFound,
                    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
                        + "entity tag may not match the part's entity tag.", kind: .part)
            }
            if areSealed { part.size = SealedBytes.plainLength(of: part.size) }
            guard part.size >= partBytesMin || place == parts.count - 1 else {
                throw Fault.uploadTooSmall
            }
            taken.append(part)
        }
        guard taken.reduce(0, { $0 + $1.size }) <= objectBytesMax else {
            throw Fault.uploadTooLarge
        }
        return taken
    }

    /// Ends an upload without an object.
    public func abortUpload(_ id: UploadID, of key: ObjectKey, in bucketName: String, by caller: Caller) async throws(Fault) {
        let bucket = try await bucket(bucketName, key: key, for: .abortUpload, by: caller)
        try await backend.change(key, in: bucket) { change throws(Fault) in
            guard try change.upload(id) != nil else { throw Fault.noUpload }
            _ = try change.end(id, keeping: [])
        }
    }

    /// An upload's parts by number, from after one on; one more than `limit` where there is more.
    public func parts(
        of id: UploadID, _ key: ObjectKey, in bucketName: String, after: Int, limit: Int, by caller: Caller
    ) async throws(Fault) -> (upload: StartedUpload, parts: [UploadedPart]) {
        let bucket = try await bucket(bucketName, key: key, for: .listParts, by: caller)
        let upload = try await upload(id, of: key, in: bucket)
        var parts = try await backend.parts(of: id, in: bucket, after: after, limit: limit + 1)
        if upload.detail.encryption != nil {
            for place in parts.indices { parts[place].size = SealedBytes.plainLength(of: parts[place].size) }
        }
        return (StartedUpload(bucket: bucket, upload: upload), parts)
    }

    /// A page of the uploads that have begun and not ended.
    public func uploads(
        _ request: ListingRequest<PartedUpload>, in bucketName: String, by caller: Caller
    ) async throws(Fault) -> (bucket: Bucket, page: ListingPage<PartedUpload>) {
        let bucket = try await bucket(bucketName, for: .listUploads, by: caller)
        return (bucket, try await backend.uploads(request, of: bucket))
    }
}

/// A part as a client names it that completes an upload.
public struct NamedPart: Sendable, Hashable {
    public var number: Int
    public var entityTag: String
    /// By header; those that are not named are not looked at.
    public var checksums: [String: String]

    public init(number: Int, entityTag: String, checksums: [String: String] = [:]) {
        self.number = number
        self.entityTag = entityTag
        self.checksums = checksums
    }
}

/// What a client that completes an upload says of the whole.
public struct NamedWhole: Sendable, Hashable {
    public var size: Int64?
    public var checksum: [String: String] = [:]
    public var type: ChecksumType?

    public init() {}
}

extension ObjectDetail {
    /// Keeps the checksum of an object of parts, where each of them has one.
    ///
    /// - Throws: `checksumMismatch` where the client says another.
    fileprivate mutating func addChecksum(of parts: [UploadedPart], _ whole: NamedWhole) throws(Fault) {
        let shared = ChecksumAlgorithm.allCases.first { algorithm in parts.allSatisfy { $0.checksums[algorithm.header] != nil } }
        guard let algorithm = partChecksum.flatMap(ChecksumAlgorithm.init(header:)) ?? shared else { return }
        let type = whole.type ?? checksumType.flatMap(ChecksumType.init(rawValue:)) ?? ChecksumType(defaultFor: algorithm)
        if let agreed = checksumType, let asked = whole.type, agreed != asked.rawValue {
            throw Fault(
                .malformedRequest,
                "The upload was created using the \(agreed) checksum mode. The complete request must use the same checksum mode.",
                kind: .object)
        }
        let named = parts.compactMap { part in part.checksums[algorithm.header].map { (checksum: $0, size: part.size) } }
        guard named.count == parts.count, let made = PartChecksums.made(of: named, algorithm, type) else { return }
        if let stated = whole.checksum[algorithm.header], stated != made {
            throw Fault(
                .checksumMismatch, "The \(algorithm.rawValue) you specified did not match what we received.", kind: .object)
        }
        checksums = [algorithm.header: made]
        checksumType = type.rawValue
    }
}

extension Fault.Code {
    /// A body is not what its sender says.
    public static let checksumMismatch = Fault.Code(rawValue: "checksumMismatch")
    /// Parts are named in another order than that of their numbers.
    public static let partsOutOfOrder = Fault.Code(rawValue: "partsOutOfOrder")
}

extension Fault {
    public static let badPartNumber = Fault(
        .invalidParameter, "Part number must be an integer between 1 and \(ObjectsService.partNumberMax), inclusive", kind: .object)

    static let noUpload = Fault(
        .notFound,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
        kind: .upload)
}
