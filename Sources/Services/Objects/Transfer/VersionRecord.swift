//  A version as an export's index tells it, in one line of JSON that needs no Karri to be read: accounts by
//  their numbers, times in ISO 8601, and where its body lies among the plain files beside it.

import FoundationEssentials
import Model
import ObjectStorage

/// One version of a key.
public struct VersionRecord: Sendable, Hashable, Codable {
    /// One part of a body that came in parts.
    public struct Part: Sendable, Hashable, Codable {
        public var size: Int64
        public var checksums: [String: String]?
    }

    /// An entry of its access control list.
    public struct Permission: Sendable, Hashable, Codable {
        /// An account's number, `everyone`, `anyAccount` or `logDelivery`.
        public var grantee: String
        public var permission: String
    }

    public struct Lock: Sendable, Hashable, Codable {
        public var mode: String
        public var until: String
    }

    /// How its body lies in the store; an export has it in the clear.
    public struct Encryption: Sendable, Hashable, Codable {
        /// `AES256`, `aws:kms`, or `customer` where only the client has the key.
        public var method: String
        public var key: String?
        public var usesBucketKey: Bool?
    }

    public var key: String?
    /// In place of the key, where that is no UTF-8.
    public var keyBase64: String?
    /// `null` or sixteen hex digits; nil of a plain file.
    public var version: String?
    /// Where it stands among its key's versions, in hex: later ones have greater.
    public var sequence: String?
    public var isLatest: Bool?
    public var isDeleteMarker: Bool?
    /// Nil: when it is brought in.
    public var modified: String?
    public var size: Int64
    /// Nil: the MD5 of its bytes.
    public var etag: String?
    public var headers: [String: String]?
    public var metadata: [String: String]?
    public var tags: [String: String]?
    public var checksums: [String: String]?
    public var checksumType: String?
    public var parts: [Part]?
    public var storageClass: String?
    /// The number of the account; nil: the bucket's owner.
    public var owner: String?
    public var grants: [Permission]?
    public var retention: Lock?
    public var isHeld: Bool?
    public var encryption: Encryption?

    /// Where in the export's folder its body lies, and that body's SHA-256 in hex.
    public var file: String?
    public var sha256: String?
    /// Why there is no body.
    public var leftOut: String?

    private enum CodingKeys: String, CodingKey {
        case key, keyBase64, version, sequence
        case isLatest = "latest"
        case isDeleteMarker = "deleteMarker"
        case modified, size, etag, headers, metadata, tags, checksums, checksumType, parts, storageClass, owner, grants, retention
        case isHeld = "legalHold"
        case encryption, file, sha256, leftOut
    }

    /// A plain file, of which nothing else is known.
    public init(key: ObjectKey, size: Int64) {
        self.size = size
        (self.key, keyBase64) = VersionRecord.spelled(key)
    }

    /// Has a body come in parts that came whole.
    public mutating func cutIntoParts(of bytes: Int64) {
        parts = stride(from: 0, to: size, by: Int64.Stride(bytes)).map { Part(size: min(bytes, size - $0)) }
    }

    // MARK: JSON

    /// - Throws: `malformedRequest` with what is wrong.
    public init(json: [UInt8]) throws(Fault) {
        do { self = try JSONDecoder().decode(VersionRecord.self, from: Data(json)) } catch let error as DecodingError {
            throw VersionRecord.damaged(error.reason)
        } catch { throw VersionRecord.damaged("it is no JSON") }
        _ = try objectKey
        if let number = parts?.count, number > ObjectsService.partNumberMax {
            throw VersionRecord.damaged("it has \(number) parts")
        }
        if let parts, parts.isEmpty { throw VersionRecord.damaged("it has no parts") }
        var partBytes: Int64 = 0
        for (place, part) in (parts ?? []).enumerated() {
            // Only of an empty body is a part empty, and then it is the last.
            let least: Int64 = place + 1 == parts?.count ? 0 : 1
            guard part.size >= least, part.size <= ObjectsService.objectBytesMax else {
                throw VersionRecord.damaged("a part's size")
            }
            partBytes += part.size
        }
        guard size >= 0, size <= ObjectsService.objectBytesMax, parts == nil || partBytes == size else {
            throw VersionRecord.damaged("its size is not that of an object")
        }
        _ = try versionID
        if sequence != nil, try place == nil { throw VersionRecord.damaged("its sequence") }
        if modified != nil, modifiedAt == nil { throw VersionRecord.damaged("its time \(modified ?? "")") }
    }

    /// One line.
    public var json: [UInt8] {
        get throws(Fault) {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            do { return Array(try encoder.encode(self)) } catch {
                throw Fault(.malformedRequest, "it cannot be written as JSON", because: error)
            }
        }
    }

    /// What answers can say of it without becoming others (RFC 9110, sections 5.1 and 5.5).
    static func isHeaderName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: ":") }
    }

    static func isHeaderValue(_ text: String) -> Bool {
        !text.utf8.contains { $0 == 0 || $0 == 0x0a || $0 == 0x0d }
    }

    static func damaged(_ what: String) -> Fault { Fault(.malformedRequest, "it cannot be read: \(what)", kind: .object) }

    // MARK: What it names

    public var objectKey: ObjectKey {
        get throws(Fault) {
            let bytes = key.map { Array($0.utf8) } ?? keyBase64.flatMap { Data(base64Encoded: $0) }.map(Array.init) ?? []
            guard !bytes.isEmpty, bytes.count <= ObjectKey.bytesMax else { throw VersionRecord.damaged("its key") }
            return ObjectKey(bytes: bytes)
        }
    }

    static func spelled(_ key: ObjectKey) -> (text: String?, base64: String?) {
        if let text = String(validating: key.bytes, as: UTF8.self) { return (text, nil) }
        return (nil, Data(key.bytes).base64EncodedString())
    }

    /// Nil of a plain file.
    public var versionID: VersionID? {
        get throws(Fault) {
            guard let version else { return nil }
            guard let id = VersionID(spelled: version) else { throw VersionRecord.damaged("its version") }
            return id
        }
    }

    /// Where it stands among its key's versions.
    var place: UInt64? {
        get throws(Fault) {
            if let id = try versionID, id != .null { return id.bits }
            return sequence.flatMap { UInt64($0, radix: 16) }
        }
    }

    /// To the microsecond.
    public var modifiedAt: Instant? {
        modified.flatMap { Instant(iso8601: $0) }.flatMap { $0.microseconds >= 0 ? $0 : nil }
    }

    public var isMarker: Bool { isDeleteMarker == true }
}

extension DecodingError {
    /// Of which field, in short.
    fileprivate var reason: String {
        switch self {
        case .keyNotFound(let key, _): "it has no \(key.stringValue)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            context.codingPath.last.map { "its \($0.stringValue)" } ?? "it is no JSON object"
        @unknown default: "it is no JSON"
        }
    }
}

extension Instant {
    /// ISO 8601 with six decimals.
    var iso8601Precise: String {
        let fraction = String(1_000_000 + (microseconds % 1_000_000 + 1_000_000) % 1_000_000).dropFirst()
        return "\(iso8601.dropLast()).\(fraction)Z"
    }
}
