//  What S3 can be asked: one case an operation, with what names its subject. The address and the method
//  decide, then the sub-resource in the query (Amazon S3 API Reference, "Operations").

import Model
import ObjectStorage
import Objects

/// One operation.
enum S3Operation: Sendable, Hashable {
    // Buckets.
    case listBuckets
    case createBucket(String)
    case headBucket(String)
    case deleteBucket(String)
    case getBucketLocation(String)
    case getBucketAcl(String)
    case putBucketAcl(String)
    case getBucketPolicy(String)
    case putBucketPolicy(String)
    case deleteBucketPolicy(String)
    case getBucketPolicyStatus(String)
    case getBucketSetting(String, BucketSetting)
    case putBucketSetting(String, BucketSetting)
    case deleteBucketSetting(String, BucketSetting)
    case listObjects(String)
    case listObjectsV2(String)
    case listObjectVersions(String)
    case listMultipartUploads(String)
    case deleteObjects(String)

    // Objects.
    case putObject(ObjectName)
    case postObject(String)
    case copyObject(ObjectName)
    case getObject(ObjectName)
    case headObject(ObjectName)
    case getObjectAttributes(ObjectName)
    case deleteObject(ObjectName)
    case getObjectAcl(ObjectName)
    case putObjectAcl(ObjectName)
    case getObjectTagging(ObjectName)
    case putObjectTagging(ObjectName)
    case deleteObjectTagging(ObjectName)
    case getObjectRetention(ObjectName)
    case putObjectRetention(ObjectName)
    case getObjectLegalHold(ObjectName)
    case putObjectLegalHold(ObjectName)

    // Uploads in parts.
    case createMultipartUpload(ObjectName)
    case uploadPart(ObjectName, S3Part)
    case uploadPartCopy(ObjectName, S3Part)
    case listParts(ObjectName, UploadID)
    case completeMultipartUpload(ObjectName, UploadID)
    case abortMultipartUpload(ObjectName, UploadID)

    // Pages of other origins.
    case preflight(String)

    /// Pages of the bucket's own website.
    case visitWebsite(String)

    /// As the API Reference and the meters name it.
    var name: String {
        switch self {
        case .getBucketSetting(_, let setting): "GetBucket\(setting.name)"
        case .putBucketSetting(_, let setting): "PutBucket\(setting.name)"
        case .deleteBucketSetting(_, let setting): "DeleteBucket\(setting.name)"
        case .listBuckets: "ListBuckets"
        case .createBucket: "CreateBucket"
        case .headBucket: "HeadBucket"
        case .deleteBucket: "DeleteBucket"
        case .getBucketLocation: "GetBucketLocation"
        case .getBucketAcl: "GetBucketAcl"
        case .putBucketAcl: "PutBucketAcl"
        case .getBucketPolicy: "GetBucketPolicy"
        case .putBucketPolicy: "PutBucketPolicy"
        case .deleteBucketPolicy: "DeleteBucketPolicy"
        case .getBucketPolicyStatus: "GetBucketPolicyStatus"
        case .listObjects: "ListObjects"
        case .listObjectsV2: "ListObjectsV2"
        case .listObjectVersions: "ListObjectVersions"
        case .listMultipartUploads: "ListMultipartUploads"
        case .deleteObjects: "DeleteObjects"
        case .putObject: "PutObject"
        case .postObject: "PostObject"
        case .copyObject: "CopyObject"
        case .getObject: "GetObject"
        case .headObject: "HeadObject"
        case .getObjectAttributes: "GetObjectAttributes"
        case .deleteObject: "DeleteObject"
        case .getObjectAcl: "GetObjectAcl"
        case .putObjectAcl: "PutObjectAcl"
        case .getObjectTagging: "GetObjectTagging"
        case .putObjectTagging: "PutObjectTagging"
        case .deleteObjectTagging: "DeleteObjectTagging"
        case .getObjectRetention: "GetObjectRetention"
        case .putObjectRetention: "PutObjectRetention"
        case .getObjectLegalHold: "GetObjectLegalHold"
        case .putObjectLegalHold: "PutObjectLegalHold"
        case .createMultipartUpload: "CreateMultipartUpload"
        case .uploadPart: "UploadPart"
        case .uploadPartCopy: "UploadPartCopy"
        case .listParts: "ListParts"
        case .completeMultipartUpload: "CompleteMultipartUpload"
        case .abortMultipartUpload: "AbortMultipartUpload"
        case .preflight: "Preflight"
        case .visitWebsite: "VisitWebsite"
        }
    }

    /// The bucket that it is about.
    var bucket: String? {
        switch subject {
        case .service: nil
        case .bucket(let bucket): bucket
        case .object(let name): name.bucket
        }
    }

    /// The object that it is about.
    var object: ObjectName? {
        guard case .object(let name) = subject else { return nil }
        return name
    }

    private enum Subject {
        case service
        case bucket(String)
        case object(ObjectName)
    }

    /// Every case is written out: what is about no bucket is neither logged nor paid for, and no page may ask for it.
    private var subject: Subject {
        switch self {
        case .listBuckets: .service
        case .createBucket(let bucket), .headBucket(let bucket), .deleteBucket(let bucket), .getBucketLocation(let bucket),
            .getBucketAcl(let bucket), .putBucketAcl(let bucket), .getBucketPolicy(let bucket), .putBucketPolicy(let bucket),
            .deleteBucketPolicy(let bucket), .getBucketPolicyStatus(let bucket), .getBucketSetting(let bucket, _),
            .putBucketSetting(let bucket, _), .deleteBucketSetting(let bucket, _), .listObjects(let bucket),
            .listObjectsV2(let bucket), .listObjectVersions(let bucket), .listMultipartUploads(let bucket),
            .deleteObjects(let bucket), .postObject(let bucket), .preflight(let bucket), .visitWebsite(let bucket):
            .bucket(bucket)
        case .putObject(let name), .copyObject(let name), .getObject(let name), .headObject(let name),
            .getObjectAttributes(let name), .deleteObject(let name), .getObjectAcl(let name), .putObjectAcl(let name),
            .getObjectTagging(let name), .putObjectTagging(let name), .deleteObjectTagging(let name),
            .getObjectRetention(let name), .putObjectRetention(let name), .getObjectLegalHold(let name),
            .putObjectLegalHold(let name), .createMultipartUpload(let name), .uploadPart(let name, _),
            .uploadPartCopy(let name, _), .listParts(let name, _), .completeMultipartUpload(let name, _),
            .abortMultipartUpload(let name, _):
            .object(name)
        }
    }

    /// - Parameter copies: Whether the request names a source to copy.
    /// - Throws: `NotImplemented` for a sub-resource of S3 that is not built, and `MethodNotAllowed`.
    init(_ target: S3Target, method: String, query: S3Query, copies: Bool) throws(S3Error) {
        if let unbuilt = query.names.first(where: Self.unbuilt.contains) { throw .notImplemented("?\(unbuilt)") }
        switch (target, method) {
        case (.service, "GET"): self = .listBuckets
        case (.service, _): throw .notAllowed
        case (.bucket(let bucket), _): self = try S3Operation(bucket, method, query)
        case (.object(let bucket, let key), _): self = try S3Operation(bucket, key, method, query, copies: copies)
        }
    }

    private init(_ bucket: String, _ method: String, _ query: S3Query) throws(S3Error) {
        if let setting = query.names.lazy.compactMap(BucketSetting.init(rawValue:)).first {
            switch method {
            case "GET": self = .getBucketSetting(bucket, setting)
            case "PUT": self = .putBucketSetting(bucket, setting)
            case "DELETE" where setting.canBeDeleted: self = .deleteBucketSetting(bucket, setting)
            default: throw .notAllowed
            }
            return
        }
        switch (method, try S3Operation.subresource(query)) {
        case ("GET", .location): self = .getBucketLocation(bucket)
        case ("GET", .acl): self = .getBucketAcl(bucket)
        case ("GET", .policy): self = .getBucketPolicy(bucket)
        case ("GET", .policyStatus): self = .getBucketPolicyStatus(bucket)
        case ("GET", .versions): self = .listObjectVersions(bucket)
        case ("GET", .uploads): self = .listMultipartUploads(bucket)
        case ("GET", nil) where query.has("list-type"):
            guard query["list-type"] == "2" else { throw S3Error.invalidArgument("Invalid List Type specified in Request") }
            self = .listObjectsV2(bucket)
        case ("GET", nil): self = .listObjects(bucket)
        case ("HEAD", nil): self = .headBucket(bucket)
        case ("PUT", .acl): self = .putBucketAcl(bucket)
        case ("PUT", .policy): self = .putBucketPolicy(bucket)
        case ("PUT", nil): self = .createBucket(bucket)
        case ("DELETE", .policy): self = .deleteBucketPolicy(bucket)
        case ("DELETE", nil): self = .deleteBucket(bucket)
        case ("POST", .delete): self = .deleteObjects(bucket)
        case ("POST", nil): self = .postObject(bucket)
        case ("OPTIONS", _): self = .preflight(bucket)
        default: throw .notAllowed
        }
    }

    private init(_ bucket: String, _ key: ObjectKey, _ method: String, _ query: S3Query, copies: Bool) throws(S3Error) {
        var object = ObjectName(bucket: bucket, key: key)
        if let text = query["versionId"] {
            guard !text.isEmpty else { throw S3Error.invalidArgument("Version id cannot be the empty string") }
            object.version = try VersionID(asked: text)
        }
        let upload = UploadID(query["uploadId"] ?? "")
        switch (method, try S3Operation.subresource(query)) {
        case ("GET", .acl): self = .getObjectAcl(object)
        case ("PUT", .acl): self = .putObjectAcl(object)
        case ("GET", .tagging): self = .getObjectTagging(object)
        case ("PUT", .tagging): self = .putObjectTagging(object)
        case ("DELETE", .tagging): self = .deleteObjectTagging(object)
        case ("GET", .retention): self = .getObjectRetention(object)
        case ("PUT", .retention): self = .putObjectRetention(object)
        case ("GET", .legalHold): self = .getObjectLegalHold(object)
        case ("PUT", .legalHold): self = .putObjectLegalHold(object)
        case ("GET", .attributes): self = .getObjectAttributes(object)
        case ("PUT", .uploadId):
            guard let number = query["partNumber"].flatMap({ Int($0) }) else {
                throw S3Error(Fault.badPartNumber)
            }
            let part = S3Part(upload: upload, number: number)
            self = copies ? .uploadPartCopy(object, part) : .uploadPart(object, part)
        case ("GET", .uploadId): self = .listParts(object, upload)
        case ("DELETE", .uploadId): self = .abortMultipartUpload(object, upload)
        case ("POST", .uploadId): self = .completeMultipartUpload(object, upload)
        case ("POST", .uploads): self = .createMultipartUpload(object)
        case ("PUT", nil): self = copies ? .copyObject(object) : .putObject(object)
        case ("GET", nil): self = .getObject(object)
        case ("HEAD", nil): self = .headObject(object)
        case ("DELETE", nil): self = .deleteObject(object)
        case ("OPTIONS", _): self = .preflight(bucket)
        default: throw .notAllowed
        }
    }

    /// What a query may ask for in the place of the thing itself, settings of buckets aside. What is not among these is
    /// taken for no sub-resource, so that an operation on one cannot be reached without its case.
    private enum Subresource: String {
        case acl, attributes, delete, location, policy, policyStatus, retention, tagging, uploadId, uploads, versions
        case legalHold = "legal-hold"
    }

    /// The sub-resource that a query names; nil where it is about the thing itself.
    private static func subresource(_ query: S3Query) throws(S3Error) -> Subresource? {
        let named = query.names.compactMap(Subresource.init)
        guard named.count <= 1 else {
            let names = named.map(\.rawValue).joined(separator: ", ")
            throw S3Error.invalidArgument("Conflicting query string parameters: \(names)")
        }
        return named.first
    }

    /// Sub-resources that S3 has and this store has not.
    private static let unbuilt: Set<String> = [
        "abac", "analytics", "intelligent-tiering", "inventory", "metadataConfiguration", "metadataInventoryTable",
        "metadataJournalTable", "metadataTable", "metrics", "renameObject", "restore", "select", "session", "torrent",
    ]
}

/// A part of an upload.
struct S3Part: Sendable, Hashable {
    var upload: UploadID
    var number: Int
}
