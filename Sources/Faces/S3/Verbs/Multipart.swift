//  CreateMultipartUpload, UploadPart, ListParts, CompleteMultipartUpload, AbortMultipartUpload,
//  ListMultipartUploads.

import AWSProtocol
import HTTPTypes
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func createMultipartUpload(_ bucket: String, _ key: ObjectKey, _ call: S3Call) async throws(Fault) -> Response {
        try call.checkPut(needsLength: false)
        try await call.discardBody()
        let detail = try ObjectDetail(of: call.request)
        let upload = try await objects.beginUpload(of: key, in: bucket, detail: detail, by: call.session)
        var out = XMLWriter()
        out.declaration()
        out.open("InitiateMultipartUploadResult", namespace: s3Namespace)
        out.element("Bucket", bucket)
        out.element("Key", key.description)
        out.element("UploadId", upload.id.text)
        out.close("InitiateMultipartUploadResult")
        return xml(out.bytes)
    }

    func uploadPart(_ bucket: String, _ key: ObjectKey, _ part: S3Part, _ call: S3Call) async throws(Fault) -> Response {
        try call.checkPut()
        let taken = try await objects.putPart(
            part.number, of: part.upload, key, in: bucket, size: call.bodyLength, call.body, by: call.session)
        var response = empty(.ok)
        response.headers[.eTag] = "\"\(taken.entityTag)\""
        if let (name, value) = call.body.checksum, let field = HTTPField.Name(name) { response.headers[field] = value }
        return response
    }

    func completeMultipartUpload(
        _ bucket: String, _ key: ObjectKey, _ upload: UploadID, _ call: S3Call
    ) async throws(Fault) -> Response {
        let document = try await call.document("CompleteMultipartUpload")
        var parts: [(number: Int, entityTag: String)] = []
        for part in document.all("Part") {
            guard let number = part["PartNumber"].flatMap({ Int($0.text) }), let tag = part["ETag"]?.text else {
                throw call.refuse(XMLElement.malformed)
            }
            parts.append((number, tag.filter { $0 != "\"" }))
        }
        guard !parts.isEmpty, parts.count <= ObjectsService.partNumberMax else { throw call.refuse(XMLElement.malformed) }
        let version = try await objects.completeUpload(
            upload, of: key, in: bucket, parts: parts, conditions: ObjectConditions(of: call.request), by: call.session)
        var out = XMLWriter()
        out.declaration()
        out.open("CompleteMultipartUploadResult", namespace: s3Namespace)
        out.element("Location", "/\(bucket)/\(key)")
        out.element("Bucket", bucket)
        out.element("Key", key.description)
        out.element("ETag", "\"\(version.entityTag)\"")
        out.close("CompleteMultipartUploadResult")
        return xml(out.bytes)
    }

    func abortMultipartUpload(
        _ bucket: String, _ key: ObjectKey, _ upload: UploadID, _ call: S3Call
    ) async throws(Fault) -> Response {
        try await objects.abortUpload(upload, of: key, in: bucket, by: call.session)
        return empty(.noContent)
    }

    func listParts(_ bucket: String, _ key: ObjectKey, _ upload: UploadID, _ call: S3Call) async throws(Fault) -> Response {
        let after = try call.query.number("part-number-marker") ?? 0
        let limit = min(try call.query.number("max-parts") ?? 1000, 1000)
        let found = try await objects.parts(of: upload, key, in: bucket, after: after, limit: limit, by: call.session)
        let shown = found.prefix(limit)
        var out = XMLWriter()
        out.declaration()
        out.open("ListPartsResult", namespace: s3Namespace)
        out.element("Bucket", bucket)
        out.element("Key", key.description)
        out.element("UploadId", upload.text)
        out.element("PartNumberMarker", after)
        if let last = shown.last { out.element("NextPartNumberMarker", last.number) }
        out.element("MaxParts", limit)
        out.element("IsTruncated", found.count > limit)
        for part in shown {
            out.open("Part")
            out.element("PartNumber", part.number)
            out.element("LastModified", part.modified)
            out.element("ETag", "\"\(part.entityTag)\"")
            out.element("Size", Int(part.size))
            out.close("Part")
        }
        owner(&out, call)
        out.element("StorageClass", "STANDARD")
        out.close("ListPartsResult")
        return xml(out.bytes)
    }

    func listMultipartUploads(_ bucket: String, _ call: S3Call) async throws(Fault) -> Response {
        guard call.query["delimiter"]?.isEmpty ?? true else {
            throw Fault(.notSupported, "a delimiter in a listing of uploads", kind: .object)
        }
        let limit = min(try call.query.number("max-uploads") ?? 1000, 1000)
        let prefix = call.query.bytes("prefix") ?? []
        let marker = call.query.bytes("key-marker").flatMap { $0.isEmpty ? nil : $0 }
        let idMarker = call.query["upload-id-marker"].flatMap { $0.isEmpty ? nil : UploadID($0) }
        let found = try await objects.uploads(
            in: bucket, prefix: prefix, afterKey: marker, afterID: marker == nil ? nil : idMarker, limit: limit, by: call.session)
        let shown = found.prefix(limit)
        let keys = KeySpelling(call.query)
        var out = XMLWriter()
        out.declaration()
        out.open("ListMultipartUploadsResult", namespace: s3Namespace)
        out.element("Bucket", bucket)
        out.element("KeyMarker", keys.spelled(marker ?? []))
        out.element("UploadIdMarker", idMarker?.text ?? "")
        if found.count > limit, let last = shown.last {
            out.element("NextKeyMarker", keys.spelled(last.key.bytes))
            out.element("NextUploadIdMarker", last.id.text)
        }
        out.element("Prefix", keys.spelled(prefix))
        out.element("MaxUploads", limit)
        if keys.areEncoded { out.element("EncodingType", "url") }
        out.element("IsTruncated", found.count > limit)
        for upload in shown {
            out.open("Upload")
            out.element("Key", keys.spelled(upload.key.bytes))
            out.element("UploadId", upload.id.text)
            owner(&out, call)
            out.element("StorageClass", "STANDARD")
            out.element("Initiated", upload.begun)
            out.close("Upload")
        }
        out.close("ListMultipartUploadsResult")
        return xml(out.bytes)
    }

    private func owner(_ out: inout XMLWriter, _ call: S3Call) {
        guard let account = call.session.account else { return }
        for name in ["Initiator", "Owner"] as [StaticString] {
            out.open(name)
            out.element("ID", ObjectsService.canonicalID(of: account.id))
            out.element("DisplayName", account.number)
            out.close(name)
        }
    }
}

extension S3Call {
    /// Notes what is wrong with the body's document, for the answer.
    func refuse(_ error: S3Error) -> Fault {
        body.refuse(error)
        return Fault(.malformedRequest, error.message)
    }
}

extension S3Query {
    /// A count in the query; nil where there is none.
    func number(_ name: String) throws(Fault) -> Int? {
        guard let text = self[name], !text.isEmpty else { return nil }
        guard let number = Int(text), number >= 0 else {
            throw Fault(.invalidParameter, "Argument \(name) must be an integer between 0 and 2147483647")
        }
        return number
    }
}

/// How keys are written in XML, which in version 1.0 cannot carry every character.
struct KeySpelling {
    let areEncoded: Bool

    init(_ query: S3Query) { areEncoded = query["encoding-type"] == "url" }

    func spelled(_ key: [UInt8]) -> String {
        guard areEncoded else { return String(decoding: key, as: UTF8.self) }
        // S3 leaves slashes as they are.
        return key.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { PercentEncoding.encoded(Array($0)) }
            .joined(separator: "/")
    }
}
