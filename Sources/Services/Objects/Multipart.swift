//  Uploads in parts: begun, filled in any order by any number of clients, and completed in one step.

import Authority
import Crypto
import Model
import NIOCore
import ObjectStorage

extension ObjectsService {
    public static let partNumberMax = 10_000
    /// All parts but the last are at least so long.
    public static let partBytesMin: Int64 = 5 << 20
    /// The largest object of parts.
    public static let objectBytesMax: Int64 = 5 << 40

    /// Begins an upload of an object in parts.
    public func beginUpload(
        of key: ObjectKey, in bucketName: String, detail: ObjectDetail, by session: Session
    ) async throws(Fault) -> PartedUpload {
        try ObjectsService.check(key)
        let bucket = try await bucket(bucketName, key: key, for: .putObject, by: session)
        let id = UploadID(hexDigits(chance.bits()) + hexDigits(chance.bits()))
        let upload = PartedUpload(id: id, key: key, begun: chance.now(), detail: detail)
        try await backend.change(key, in: bucket) { change throws(Fault) in try change.begin(upload) }
        return upload
    }

    /// Takes a part, in place of one of its number.
    public func putPart(
        _ number: Int, of id: UploadID, _ key: ObjectKey, in bucketName: String, size: Int64?, _ body: some ObjectBody,
        by session: Session
    ) async throws(Fault) -> UploadedPart {
        guard (1...ObjectsService.partNumberMax).contains(number) else {
            throw Fault(
                .invalidParameter, "Part number must be an integer between 1 and \(ObjectsService.partNumberMax), inclusive",
                kind: .object)
        }
        let bucket = try await bucket(bucketName, key: key, for: .putObject, by: session)
        // Asked before the bytes come, and again when they have.
        _ = try await upload(id, of: key, in: bucket)
        return try await take(body, size: size, in: bucket) { taken throws(Fault) in
            let part = UploadedPart(
                number: number, size: taken.size, entityTag: taken.entityTag, modified: chance.now(), body: taken.body)
            return try await backend.change(key, in: bucket) { change throws(Fault) in
                guard try change.upload(id) != nil else { throw Fault.noUpload }
                try change.put(part, of: id)
                return part
            }
        }
    }

    /// Takes a part of what is stored already.
    ///
    /// - Parameter range: Which of so many bytes.
    public func copyPart(
        _ number: Int, of id: UploadID, _ key: ObjectKey, in bucketName: String, from source: ObjectKey, _ sourceBucket: String,
        sourceConditions: ObjectConditions, range: (Int64) throws(Fault) -> Range<Int64>, by session: Session
    ) async throws(Fault) -> UploadedPart {
        let (_, part, bytes) = try await readSource(source, in: sourceBucket, conditions: sourceConditions, by: session) {
            version throws(Fault) in try range(version.size)
        }
        return try await putPart(
            number, of: id, key, in: bucketName, size: part.upperBound - part.lowerBound,
            StoredObjectBody(source: bytes, checksum: nil), by: session)
    }

    private func upload(_ id: UploadID, of key: ObjectKey, in bucket: Bucket) async throws(Fault) -> PartedUpload {
        guard let found = try await backend.upload(id, of: key, in: bucket) else { throw Fault.noUpload }
        return found
    }

    /// Makes an object of parts, in the order that is given. Completing once more what has been completed
    /// gives the same answer.
    ///
    /// - Parameter parts: Numbers, which rise, and entity tags.
    public func completeUpload(
        _ id: UploadID, of key: ObjectKey, in bucketName: String, parts: [(number: Int, entityTag: String)],
        conditions: ObjectConditions = ObjectConditions(), by session: Session
    ) async throws(Fault) -> ObjectVersion {
        let bucket = try await bucket(bucketName, key: key, for: .putObject, by: session)
        let now = chance.now()
        guard zip(parts, parts.dropFirst()).allSatisfy({ $0.number < $1.number }) else {
            throw Fault(
                .invalidParameter, "The list of parts was not in ascending order. Parts must be ordered by part number.",
                kind: .part)
        }
        return try await backend.change(key, in: bucket) { change throws(Fault) in
            guard let upload = try change.upload(id) else {
                if let current = try change.current(), current.detail.upload == id { return current }
                throw Fault.noUpload
            }
            try conditions.check(replacing: try change.current())
            let size = try ObjectsService.check(parts, of: id, change)
            var hash = Insecure.MD5()
            for part in parts { hash.update(data: hexBytes(part.entityTag) ?? []) }
            var detail = upload.detail
            detail.upload = id
            detail.parts = parts.count
            let version = ObjectVersion(
                id: .null, size: size, entityTag: "\(hexDigits(Array(hash.finalize())))-\(parts.count)", modified: now,
                detail: detail, body: try change.end(id, keeping: parts.map(\.number)))
            try change.put(version)
            return version
        }
    }

    /// The size of an object of these parts, if it can be made of them.
    private static func check(
        _ parts: [(number: Int, entityTag: String)], of id: UploadID, _ change: any KeyChange
    ) throws(Fault) -> Int64 {
        var size: Int64 = 0
        for (place, asked) in parts.enumerated() {
            guard let part = try change.part(asked.number, of: id), part.entityTag == asked.entityTag else {
                throw Fault(
                    .notFound,
                    "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
                        + "entity tag may not match the part's entity tag.", kind: .part)
            }
            guard part.size >= partBytesMin || place == parts.count - 1 else {
                throw Fault(.wrongState, "Your proposed upload is smaller than the minimum allowed size", kind: .part)
            }
            size += part.size
        }
        guard size <= objectBytesMax else {
            throw Fault(.tooLarge, "Your proposed upload exceeds the maximum allowed size", kind: .object)
        }
        return size
    }

    /// Ends an upload without an object.
    public func abortUpload(_ id: UploadID, of key: ObjectKey, in bucketName: String, by session: Session) async throws(Fault) {
        let bucket = try await bucket(bucketName, key: key, for: .abortUpload, by: session)
        try await backend.change(key, in: bucket) { change throws(Fault) in
            guard try change.upload(id) != nil else { throw Fault.noUpload }
            _ = try change.end(id, keeping: [])
        }
    }

    /// An upload's parts by number, from after one on; one more than `limit` where there is more.
    public func parts(
        of id: UploadID, _ key: ObjectKey, in bucketName: String, after: Int, limit: Int, by session: Session
    ) async throws(Fault) -> [UploadedPart] {
        let bucket = try await bucket(bucketName, key: key, for: .listParts, by: session)
        _ = try await upload(id, of: key, in: bucket)
        return try await backend.parts(of: id, in: bucket, after: after, limit: limit + 1)
    }

    /// Uploads that have begun and not ended, by key; one more than `limit` where there is more.
    public func uploads(
        in bucketName: String, prefix: [UInt8], afterKey: [UInt8]?, afterID: UploadID?, limit: Int, by session: Session
    ) async throws(Fault) -> [PartedUpload] {
        let bucket = try await bucket(bucketName, for: .listUploads, by: session)
        var from = prefix
        if let afterKey, !afterKey.lexicographicallyPrecedes(prefix) { from = afterID == nil ? afterKey + [0] : afterKey }
        let slice = ListingSlice(
            from: ObjectKey(bytes: from), upTo: ListingSlice.end(of: prefix), limit: limit + 1)
        return try await backend.uploads(slice, after: from == afterKey ? afterID : nil, of: bucket)
    }
}

extension Fault {
    static let noUpload = Fault(
        .notFound,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
        kind: .upload)
}

/// The bytes of hex digits; nil for what is none.
private func hexBytes(_ text: String) -> [UInt8]? {
    let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    guard digits.count == text.utf8.count, digits.count % 2 == 0 else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
