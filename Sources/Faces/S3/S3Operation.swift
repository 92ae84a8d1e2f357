//  What S3 can be asked: one case an operation, with what names its subject. The address and the method
//  decide, then the sub-resource in the query (Amazon S3 API Reference, "Operations").

import AWSProtocol
import ObjectStorage

/// One operation.
enum S3Operation: Sendable, Hashable {
    case listBuckets
    case createBucket(String)
    case headBucket(String)
    case deleteBucket(String)
    case getBucketLocation(String)
    case getBucketVersioning(String)
    case listObjects(String)
    case listObjectsV2(String)
    case listMultipartUploads(String)
    case deleteObjects(String)
    case putObject(String, ObjectKey)
    case copyObject(String, ObjectKey)
    case getObject(String, ObjectKey)
    case headObject(String, ObjectKey)
    case deleteObject(String, ObjectKey)
    case createMultipartUpload(String, ObjectKey)
    case uploadPart(String, ObjectKey, S3Part)
    case uploadPartCopy(String, ObjectKey, S3Part)
    case listParts(String, ObjectKey, UploadID)
    case completeMultipartUpload(String, ObjectKey, UploadID)
    case abortMultipartUpload(String, ObjectKey, UploadID)

    /// As the API Reference and the meters name it.
    var name: String {
        let text = String(describing: self)
        let word = text.prefix { $0 != "(" }
        return word.prefix(1).uppercased() + word.dropFirst()
    }

    /// - Throws: `NotImplemented` for a sub-resource of S3 that is not built, and `MethodNotAllowed`.
    init(_ target: S3Target, method: String, query: S3Query, copies: Bool) throws(S3Error) {
        if let unbuilt = query.names.first(where: Self.unbuilt.contains) { throw .notImplemented("?\(unbuilt)") }
        if query.has("versioning"), method != "GET" { throw .notImplemented("?versioning") }
        if query.has("partNumber"), method != "PUT" { throw .notImplemented("?partNumber") }
        switch (target, method) {
        case (.service, "GET"): self = .listBuckets
        case (.bucket(let bucket), "PUT"): self = .createBucket(bucket)
        case (.bucket(let bucket), "HEAD"): self = .headBucket(bucket)
        case (.bucket(let bucket), "DELETE"): self = .deleteBucket(bucket)
        case (.bucket(let bucket), "GET"):
            if query.has("location") {
                self = .getBucketLocation(bucket)
            } else if query.has("versioning") {
                self = .getBucketVersioning(bucket)
            } else if query.has("uploads") {
                self = .listMultipartUploads(bucket)
            } else {
                self = query["list-type"] == "2" ? .listObjectsV2(bucket) : .listObjects(bucket)
            }
        case (.bucket(let bucket), "POST") where query.has("delete"): self = .deleteObjects(bucket)
        case (.bucket, "POST"): throw .notImplemented("POST to a bucket")
        case (.object(let bucket, let key), _): self = try S3Operation(bucket, key, method, query, copies: copies)
        default: throw .notAllowed
        }
    }

    private init(_ bucket: String, _ key: ObjectKey, _ method: String, _ query: S3Query, copies: Bool) throws(S3Error) {
        let upload = query["uploadId"].map(UploadID.init)
        switch (method, upload) {
        case ("PUT", let upload?):
            guard let number = query["partNumber"].flatMap({ Int($0) }) else {
                throw S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
            }
            let part = S3Part(upload: upload, number: number)
            self = copies ? .uploadPartCopy(bucket, key, part) : .uploadPart(bucket, key, part)
        case ("PUT", nil): self = copies ? .copyObject(bucket, key) : .putObject(bucket, key)
        case ("GET", let upload?): self = .listParts(bucket, key, upload)
        case ("GET", nil): self = .getObject(bucket, key)
        case ("HEAD", _): self = .headObject(bucket, key)
        case ("DELETE", let upload?): self = .abortMultipartUpload(bucket, key, upload)
        case ("DELETE", nil): self = .deleteObject(bucket, key)
        case ("POST", let upload?): self = .completeMultipartUpload(bucket, key, upload)
        case ("POST", nil) where query.has("uploads"): self = .createMultipartUpload(bucket, key)
        default: throw .notAllowed
        }
    }

    /// Sub-resources that S3 has and this store has not.
    private static let unbuilt: Set<String> = [
        "accelerate", "acl", "analytics", "attributes", "cors", "encryption", "intelligent-tiering", "inventory",
        "legal-hold", "lifecycle", "logging", "metrics", "notification", "object-lock", "ownershipControls",
        "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "restore", "retention", "select",
        "tagging", "torrent", "versionId", "versions", "website",
    ]
}

/// A part of an upload.
struct S3Part: Sendable, Hashable {
    var upload: UploadID
    var number: Int
}

/// What a request's address names.
enum S3Target: Sendable, Hashable {
    case service
    case bucket(String)
    case object(String, ObjectKey)

    /// - Parameter path: As sent; the key is what its percent-encoding stands for.
    init(path: String) throws(S3Error) {
        guard path.hasPrefix("/") else { throw S3Error("InvalidURI", "Couldn't parse the specified URI.") }
        let parts = path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
        let bucket = S3Query.decoded(parts[0], plusIsSpace: false)
        if bucket.isEmpty {
            self = .service
        } else if parts.count == 2, !parts[1].isEmpty {
            let key = S3Query.decoded(parts[1], plusIsSpace: false)
            guard String(validating: key, as: UTF8.self) != nil else {
                throw S3Error("InvalidURI", "Couldn't parse the specified URI.")
            }
            self = .object(String(decoding: bucket, as: UTF8.self), ObjectKey(bytes: key))
        } else {
            self = .bucket(String(decoding: bucket, as: UTF8.self))
        }
    }
}

/// A query string's parameters, in order.
struct S3Query: Sendable {
    private let pairs: [(name: String, value: [UInt8])]

    init(_ raw: String) {
        pairs = raw.utf8.split(separator: UInt8(ascii: "&")).map { pair in
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(decoding: S3Query.decoded(halves[0], plusIsSpace: true), as: UTF8.self)
            return (name, halves.count == 2 ? S3Query.decoded(halves[1], plusIsSpace: true) : [])
        }
    }

    var names: [String] { pairs.map(\.name) }
    func has(_ name: String) -> Bool { pairs.contains { $0.name == name } }
    func bytes(_ name: String) -> [UInt8]? { pairs.first { $0.name == name }?.value }
    subscript(_ name: String) -> String? { bytes(name).map { String(decoding: $0, as: UTF8.self) } }

    static func decoded(_ text: some Collection<UInt8>, plusIsSpace: Bool) -> [UInt8] {
        PercentEncoding.decoded(text, plusIsSpace: plusIsSpace)
    }
}
