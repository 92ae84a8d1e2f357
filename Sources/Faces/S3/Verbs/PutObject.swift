//  PutObject.

import AWSProtocol
import HTTPTypes
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func putObject(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        try call.checkPut()
        var upload = try await upload(to: name, call)
        upload.size = call.bodyLength
        if upload.detail.retention != nil || upload.detail.isHeld != nil, !call.request.statesDigest {
            throw S3Error.invalidRequest(
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
        }
        let stored = try await objects.put(upload, call.body, by: call.caller)
        var response = made(stored, empty(.ok))
        describe(stored.version.detail.encryption, call.request, in: &response.headers)
        response.headers[.expiration] = expiry(of: name.key, stored)
        response.headers[.eTag] = "\"\(stored.version.entityTag)\""
        if let (name, value) = call.body.checksum {
            response.headers.set(name, value)
            response.headers[.checksumType] = ChecksumType.fullObject.rawValue
        }
        return response
    }
}

extension S3Responder {
    /// What a call says of an object that is to be stored.
    ///
    /// - Throws: What is wrong with it.
    func upload(to name: ObjectName, _ call: S3Call) async throws -> ObjectUpload {
        try await heard(call, by: .key(name, .putObject)) { try call.upload(to: name) }
    }

    /// When lifecycle rules say that an object expires; nil where they say nothing.
    func expiry(of key: ObjectKey, _ stored: StoredObject) -> String? {
        objects.expiry(of: key, stored).map { when, rule in
            "expiry-date=\"\(HTTPDate.text(when))\", rule-id=\"\(PercentEncoding.encoded(Array(rule.utf8)))\""
        }
    }
}

extension S3Call {
    /// Refuses what a body or an object cannot be stored with.
    func checkPut(needsLength: Bool = true) throws(S3Error) {
        if let unbuilt = S3Call.unbuiltPutHeaders.first(where: { header($0) != nil }) {
            throw .notImplemented(unbuilt)
        }
        if let bodyLength, bodyLength > ObjectsService.uploadBytesMax {
            throw S3Error(Fault.uploadTooLarge)
        }
        // HTTP's own chunks tell where a body ends. S3 refuses them, but stores like it do not, and clients send them.
        let isInChunks =
            header("transfer-encoding") != nil && header("x-amz-content-sha256")?.hasPrefix("STREAMING-") != true
        guard bodyLength != nil || isInChunks || form != nil || !needsLength else {
            throw S3Error(.missingContentLength, "You must provide the Content-Length HTTP header.")
        }
    }

    /// Headers that would change what is stored, and that are not heard.
    private static let unbuiltPutHeaders = ["x-amz-write-offset-bytes"]

    /// What the headers say of an object that is to be stored.
    fileprivate func upload(to name: ObjectName) throws -> ObjectUpload {
        var upload = ObjectUpload(bucket: name.bucket, key: name.key)
        upload.event = form == nil ? .put : .post
        upload.detail = try ObjectDetail(of: request)
        upload.acl = try request.requestedACL()
        upload.encryption = try request.requestedEncryption()
        upload.conditions = ObjectConditions(of: request)
        return upload
    }
}

extension ObjectDetail {
    private static let kept = [
        "content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires",
        "x-amz-website-redirect-location",
    ]
    /// Names for one kind of storage: whatever is asked for lies on the same disks and is read at once.
    private static let storageClasses: Set<String> = [
        "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR",
    ]
    /// Of all names and values together.
    private static let metadataBytesMax = 2048

    init(of request: Request) throws {
        self.init()
        if let text = request.header("x-amz-tagging") {
            let given = try TagSet.read(header: text)
            tags = given.isEmpty ? nil : given
        }
        (retention, isHeld) = try request.requestedLock()
        if let asked = request.header("x-amz-storage-class") {
            guard ObjectDetail.storageClasses.contains(asked) else {
                throw S3Error(.invalidStorageClass, "The storage class you specified is not valid")
            }
            storageClass = asked == "STANDARD" ? nil : asked
        }
        for name in ObjectDetail.kept { headers[name] = request.header(name) }
        if let address = headers["x-amz-website-redirect-location"] {
            guard ["/", "http://", "https://"].contains(where: address.hasPrefix) else {
                throw S3Error(
                    .invalidRedirectLocation, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.")
            }
        }
        // The framing is the transfer's and not the object's.
        if let encoding = headers["content-encoding"] {
            let all = encoding.split(separator: ",").map { trimmed($0) }
            let own = all.filter { $0 != "aws-chunked" }
            // Spelled as it came where there is nothing to take out.
            if own.count < all.count { headers["content-encoding"] = own.isEmpty ? nil : own.joined(separator: ",") }
        }
        var bytes = 0
        for field in request.headers where field.name.canonicalName.hasPrefix("x-amz-meta-") {
            let name = String(field.name.canonicalName.dropFirst("x-amz-meta-".utf8.count))
            // What was no UTF-8 has come as replacement characters, and would be kept as these.
            guard !field.value.unicodeScalars.contains("\u{fffd}") else {
                throw S3Error.invalidArgument("The value of \(field.name.canonicalName) is not UTF-8.")
            }
            metadata[name] = metadata[name].map { "\($0),\(field.value)" } ?? field.value
            bytes += name.utf8.count + field.value.utf8.count
        }
        guard bytes <= ObjectDetail.metadataBytesMax else {
            throw S3Error(.metadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size")
        }
    }
}

extension ObjectConditions {
    /// - Parameter prefix: What a copy's conditions on its source begin with.
    init(of request: Request, prefix: String = "") {
        self.init()
        match = request.header(prefix + "if-match").map(ObjectConditions.tags)
        noneMatch = request.header(prefix + "if-none-match").map(ObjectConditions.tags)
        // Dates that cannot be read are as if they were not there (RFC 9110, section 13.1.3).
        modifiedSince = request.header(prefix + "if-modified-since").flatMap(HTTPDate.parse)
        unmodifiedSince = request.header(prefix + "if-unmodified-since").flatMap(HTTPDate.parse)
    }

    private static func tags(_ text: String) -> [String] {
        text.split(separator: ",").map { part in
            // Weakly compared, as If-None-Match is; S3 has no weak tags of its own (RFC 9110, section 8.8.3.2).
            let tag = trimmed(part)
            return (tag.hasPrefix("W/") ? String(tag.dropFirst(2)) : tag).filter { $0 != "\"" }
        }
    }
}
