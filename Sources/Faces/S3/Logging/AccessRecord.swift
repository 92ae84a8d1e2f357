//  One line of an access log (Amazon S3 User Guide, "Amazon S3 server access log format").

import AWSProtocol
import Model
import ObjectStorage

/// What is recorded of a call. What is nil is unknown, or does not apply.
struct AccessRecord: Sendable, Hashable {
    /// The canonical id of the bucket's owner.
    var owner: String
    var bucket: String
    var time: Instant
    var remoteAddress: String?
    /// The canonical id of an account's root, the name of another principal.
    var requester: String?
    var requestID: String
    /// `REST.GET.OBJECT`
    var operation: String
    /// Percent-encoded.
    var key: String?
    /// `GET /bucket/key HTTP/1.1`
    var requestLine: String
    var status: Int
    var errorCode: String?
    /// Of the answer's body.
    var bytesSent: Int64?
    var objectBytes: Int64?
    /// Until the last byte was sent.
    var totalMilliseconds: Int64
    /// Until the first byte was sent.
    var turnaroundMilliseconds: Int64?
    var referrer: String?
    var userAgent: String?
    var version: String?
    /// `SigV4` or `SigV2`
    var signature: String?
    /// `AuthHeader` or `QueryString`
    var authentication: String?
    var host: String?

    /// The record as its reader gets it, without the line's end.
    var line: String {
        let fields: [String?] = [
            owner, bucket, "[\(AccessRecord.text(of: time))]", remoteAddress, requester, requestID, operation, key,
            AccessRecord.quoted(requestLine), String(status), errorCode, AccessRecord.text(bytesSent),
            objectBytes.map(String.init), String(totalMilliseconds), turnaroundMilliseconds.map(String.init),
            AccessRecord.quoted(referrer ?? "-"), AccessRecord.quoted(userAgent ?? "-"), version.map(AccessRecord.plain),
            // The host's id is S3's own.
            nil, signature,
            // The cipher suite.
            nil, authentication, host.map(AccessRecord.plain),
            // TLS's version, the access point's name, whether a list was needed, and the region of the caller.
            nil, nil, nil, nil,
        ]
        return fields.map { $0.flatMap { $0.isEmpty ? nil : $0 } ?? "-" }.joined(separator: " ")
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `06/Feb/2019:00:00:38 +0000`
    private static func text(of time: Instant) -> String {
        let civil = CivilTime(time)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
        return
            "\(two(civil.day))/\(months[civil.month - 1])/\(civil.year):\(two(civil.hour)):\(two(civil.minute)):\(two(civil.second)) +0000"
    }

    /// Nothing is written as if it were unknown.
    private static func text(_ bytes: Int64?) -> String? { bytes.flatMap { $0 == 0 ? nil : String($0) } }

    /// In quotes. What would end them, or the line, is percent-encoded: clients write these fields.
    private static func quoted(_ text: String) -> String { "\"\(escaped(text, keepsSpaces: true))\"" }

    private static func plain(_ text: String) -> String { escaped(text, keepsSpaces: false) }

    private static func escaped(_ text: String, keepsSpaces: Bool) -> String {
        text.utf8.map { byte in
            let isPlain = (0x21...0x7e).contains(byte) && byte != UInt8(ascii: "\"") || byte == 0x20 && keepsSpaces
            return isPlain ? String(UnicodeScalar(byte)) : PercentEncoding.encoded([byte])
        }.joined()
    }
}

extension S3Operation {
    /// As records name it: `REST.GET.OBJECT`.
    func recorded(method: String) -> String {
        switch self {
        case .visitWebsite: "WEBSITE.\(method).OBJECT"
        case .copyObject: "REST.COPY.OBJECT"
        case .uploadPartCopy: "REST.COPY.PART"
        default: "REST.\(method).\(recordedResource)"
        }
    }

    private var recordedResource: String {
        switch self {
        case .listBuckets: "SERVICE"
        case .createBucket, .headBucket, .deleteBucket, .listObjects, .listObjectsV2, .postObject: "BUCKET"
        case .listObjectVersions: "BUCKETVERSIONS"
        case .getBucketLocation: "LOCATION"
        case .getBucketAcl, .putBucketAcl, .getObjectAcl, .putObjectAcl: "ACL"
        case .getBucketPolicy, .putBucketPolicy, .deleteBucketPolicy: "BUCKETPOLICY"
        case .getBucketPolicyStatus: "POLICY_STATUS"
        case .getBucketSetting(_, let setting), .putBucketSetting(_, let setting), .deleteBucketSetting(_, let setting):
            setting.recorded
        case .listMultipartUploads, .createMultipartUpload: "UPLOADS"
        case .deleteObjects: "MULTI_OBJECT_DELETE"
        case .putObject, .copyObject, .getObject, .headObject, .deleteObject, .visitWebsite: "OBJECT"
        case .getObjectAttributes: "OBJECT_ATTRIBUTES"
        case .getObjectTagging, .putObjectTagging, .deleteObjectTagging: "OBJECT_TAGGING"
        case .getObjectRetention, .putObjectRetention: "OBJECT_LOCK_RETENTION"
        case .getObjectLegalHold, .putObjectLegalHold: "OBJECT_LOCK_LEGALHOLD"
        case .uploadPart, .uploadPartCopy: "PART"
        case .listParts, .completeMultipartUpload, .abortMultipartUpload: "UPLOAD"
        case .preflight: "PREFLIGHT"
        }
    }
}

extension BucketSetting {
    fileprivate var recorded: String {
        switch self {
        case .accelerate: "ACCELERATE"
        case .cors: "CORS"
        case .encryption: "ENCRYPTION"
        case .lifecycle: "LIFECYCLE"
        case .logging: "LOGGING_STATUS"
        case .notification: "NOTIFICATION"
        case .objectLock: "OBJECT_LOCK_CONFIGURATION"
        case .ownershipControls: "OWNERSHIP_CONTROLS"
        case .publicAccessBlock: "PUBLIC_ACCESS_BLOCK"
        case .replication: "REPLICATION"
        case .requestPayment: "REQUEST_PAYMENT"
        case .tagging: "TAGGING"
        case .versioning: "VERSIONING"
        case .website: "WEBSITE"
        }
    }
}
