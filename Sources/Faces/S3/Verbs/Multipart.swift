//  CreateMultipartUpload, UploadPart, ListParts, CompleteMultipartUpload, AbortMultipartUpload,
//  ListMultipartUploads.

import AWSProtocol
import HTTPTypes
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func createMultipartUpload(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        try call.checkPut(needsLength: false)
        try await call.discardBody()
        var upload = try await upload(to: name, call)
        let checksum = try call.request.partChecksum()
        upload.detail.partChecksum = checksum?.algorithm.header
        upload.detail.checksumType = checksum?.type.rawValue
        let started = try await objects.beginUpload(upload, by: call.caller)
        var out = XMLWriter()
        out.declaration()
        out.open("InitiateMultipartUploadResult", namespace: s3Namespace)
        out.element("Bucket", name.bucket)
        out.element("Key", name.key.description)
        out.element("UploadId", started.upload.id.text)
        out.close("InitiateMultipartUploadResult")
        var response = xml(out.bytes)
        describe(started.upload.detail.encryption, call.request, in: &response.headers)
        describeAbortion(of: started, in: &response.headers)
        if let checksum {
            response.headers[.checksumAlgorithm] = checksum.algorithm.rawValue.uppercased()
            response.headers[.checksumType] = checksum.type.rawValue
        }
        return response
    }

    func uploadPart(_ name: ObjectName, _ part: S3Part, _ call: S3Call) async throws -> Response {
        try call.checkPut()
        let taken = try await objects.putPart(
            part.number, of: part.upload, name.key, in: name.bucket, size: call.bodyLength, call.body,
            customer: try call.request.customerKey(), by: call.caller)
        var response = empty(.ok)
        describe(taken.upload.detail.encryption, call.request, in: &response.headers)
        response.headers[.eTag] = "\"\(taken.part.entityTag)\""
        if let (name, value) = call.body.checksum, let field = HTTPField.Name(name) { response.headers[field] = value }
        return response
    }

    func completeMultipartUpload(_ name: ObjectName, _ upload: UploadID, _ call: S3Call) async throws -> Response {
        let parts = try await asked(call, by: .key(name, .putObject)) { try await call.namedParts() }
        var whole = NamedWhole()
        whole.size = call.header("x-amz-mp-object-size").flatMap { Int64($0) }
        whole.type = call.header("x-amz-checksum-type").flatMap(ChecksumType.init(rawValue:))
        for algorithm in ChecksumAlgorithm.allCases { whole.checksum[algorithm.header] = call.header(algorithm.header) }
        let stored = try await objects.completeUpload(
            upload, of: name.key, in: name.bucket, parts: parts, whole: whole, conditions: ObjectConditions(of: call.request),
            by: call.caller)
        var out = XMLWriter()
        out.declaration()
        out.open("CompleteMultipartUploadResult", namespace: s3Namespace)
        out.element("Location", location(of: name, call))
        out.element("Bucket", name.bucket)
        out.element("Key", name.key.description)
        out.element("ETag", "\"\(stored.version.entityTag)\"")
        write(stored.version.detail.checksums, to: &out)
        out.element("ChecksumType", stored.version.detail.checksumType)
        out.close("CompleteMultipartUploadResult")
        var response = about(stored, xml(out.bytes))
        describe(stored.version.detail.encryption, call.request, in: &response.headers)
        return response
    }

    func abortMultipartUpload(_ name: ObjectName, _ upload: UploadID, _ call: S3Call) async throws -> Response {
        try await objects.abortUpload(upload, of: name.key, in: name.bucket, by: call.caller)
        return empty(.noContent)
    }

    func listParts(_ name: ObjectName, _ upload: UploadID, _ call: S3Call) async throws -> Response {
        let after = try call.query.number("part-number-marker") ?? 0
        let limit = min(try call.query.number("max-parts") ?? 1000, 1000)
        let (started, found) = try await objects.parts(
            of: upload, name.key, in: name.bucket, after: after, limit: limit, by: call.caller)
        let shown = found.prefix(limit)
        var out = XMLWriter()
        out.declaration()
        out.open("ListPartsResult", namespace: s3Namespace)
        out.element("Bucket", name.bucket)
        out.element("Key", name.key.description)
        out.element("UploadId", upload.text)
        out.element("PartNumberMarker", after)
        if let last = shown.last { out.element("NextPartNumberMarker", last.number) }
        out.element("MaxParts", limit)
        // Who asks for none is not to ask on.
        out.element("IsTruncated", limit > 0 && found.count > limit)
        for part in shown {
            out.open("Part")
            out.element("PartNumber", part.number)
            out.element("LastModified", part.modified)
            out.element("ETag", "\"\(part.entityTag)\"")
            out.element("Size", Int(part.size))
            write(part.checksums, to: &out)
            out.close("Part")
        }
        write(try await objects.shown(started.owner), to: &out)
        out.element("StorageClass", started.upload.detail.storageClass ?? "STANDARD")
        let checksum = started.upload.detail.partChecksum.flatMap(ChecksumAlgorithm.init(header:))
        out.element("ChecksumAlgorithm", checksum?.rawValue.uppercased())
        out.element("ChecksumType", started.upload.detail.checksumType)
        out.close("ListPartsResult")
        var response = xml(out.bytes)
        describeAbortion(of: started, in: &response.headers)
        return response
    }

    func listMultipartUploads(_ bucket: String, _ call: S3Call) async throws -> Response {
        var request = ListingRequest<PartedUpload>()
        request.prefix = call.query.bytes("prefix") ?? []
        request.delimiter = call.query.bytes("delimiter") ?? []
        request.limit = min(try call.query.number("max-uploads") ?? 1000, 1000)
        request.after = call.query.bytes("key-marker") ?? []
        if !request.after.isEmpty {
            request.afterPlace = call.query["upload-id-marker"].flatMap { $0.isEmpty ? nil : UploadID($0) }
        }
        let keys = try KeySpelling(call.query)
        let (inside, page) = try await objects.uploads(request, in: bucket, by: call.caller)
        var owners: [ID<Account>: (id: String, displayName: String?)] = [:]
        for account in Set(page.entries.map { $0.detail.owner ?? inside.account }) {
            owners[account] = try await objects.shown(account)
        }
        var out = XMLWriter()
        out.declaration()
        out.open("ListMultipartUploadsResult", namespace: s3Namespace)
        out.element("Bucket", bucket)
        out.element("KeyMarker", keys.spelled(request.after))
        out.element("UploadIdMarker", request.afterPlace?.text ?? "")
        if let next = page.next {
            out.element("NextKeyMarker", keys.spelled(next))
            out.element("NextUploadIdMarker", page.nextPlace?.text ?? "")
        }
        out.element("Prefix", keys.spelled(request.prefix))
        if !request.delimiter.isEmpty { out.element("Delimiter", keys.spelled(request.delimiter)) }
        out.element("MaxUploads", request.limit)
        if keys.areEncoded { out.element("EncodingType", "url") }
        out.element("IsTruncated", page.next != nil)
        for upload in page.entries {
            out.open("Upload")
            out.element("Key", keys.spelled(upload.key.bytes))
            out.element("UploadId", upload.id.text)
            if let owner = owners[upload.detail.owner ?? inside.account] { write(owner, to: &out) }
            out.element("StorageClass", upload.detail.storageClass ?? "STANDARD")
            out.element("Initiated", upload.begun)
            let checksum = upload.detail.partChecksum.flatMap(ChecksumAlgorithm.init(header:))
            out.element("ChecksumAlgorithm", checksum?.rawValue.uppercased())
            out.element("ChecksumType", upload.detail.checksumType)
            out.close("Upload")
        }
        for common in page.commonPrefixes {
            out.open("CommonPrefixes")
            out.element("Prefix", keys.spelled(common))
            out.close("CommonPrefixes")
        }
        out.close("ListMultipartUploadsResult")
        return xml(out.bytes)
    }

    /// Says when an upload is given up.
    private func describeAbortion(of started: StartedUpload, in fields: inout HTTPFields) {
        guard let abortion = objects.abortion(of: started) else { return }
        fields[.abortDate] = HTTPDate.text(abortion.when)
        fields[.abortRule] = abortion.rule
    }

    private func write(_ owner: (id: String, displayName: String?), to out: inout XMLWriter) {
        for name in ["Initiator", "Owner"] as [StaticString] {
            out.open(name)
            out.element("ID", owner.id)
            out.element("DisplayName", owner.displayName)
            out.close(name)
        }
    }
}

extension S3Call {
    /// The parts in the body that an object is to be made of.
    fileprivate func namedParts() async throws -> [NamedPart] {
        let parts = try await document("CompleteMultipartUpload").all("Part").map { part in
            guard let number = try part.integer("PartNumber"), let tag = part["ETag"]?.text else { throw XMLElement.malformed }
            var checksums: [String: String] = [:]
            for algorithm in ChecksumAlgorithm.allCases {
                checksums[algorithm.header] = part[algorithm.element.description]?.text
            }
            return NamedPart(number: number, entityTag: tag.filter { $0 != "\"" }, checksums: checksums)
        }
        guard (1...ObjectsService.partNumberMax).contains(parts.count) else { throw XMLElement.malformed }
        return parts
    }
}

extension Request {
    /// The checksum that the parts of an upload are to have; nil where the client does not say.
    fileprivate func partChecksum() throws(S3Error) -> (algorithm: ChecksumAlgorithm, type: ChecksumType)? {
        let stated = header("x-amz-checksum-type")
        guard let name = header("x-amz-checksum-algorithm") else {
            guard stated == nil else {
                throw S3Error.invalidRequest(
                    "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
            }
            return nil
        }
        let algorithm = try ChecksumAlgorithm(asked: name)
        let type = stated.flatMap { ChecksumType(rawValue: $0.uppercased()) }
        guard stated == nil || type != nil else {
            throw S3Error.invalidRequest("Value for x-amz-checksum-type header is invalid.")
        }
        let wanted = type ?? ChecksumType(defaultFor: algorithm)
        guard wanted.isPossible(with: algorithm) else {
            throw S3Error.invalidRequest(
                "The \(wanted.rawValue) checksum type cannot be used with the \(algorithm.rawValue) checksum algorithm.")
        }
        return (algorithm, wanted)
    }
}

extension S3Query {
    /// A count in the query; nil where there is none.
    func number(_ name: String) throws(S3Error) -> Int? { try S3Query.number(name, self[name]) }

    /// A count as a parameter or a header says it; nil where it says none.
    static func number(_ name: String, _ text: String?) throws(S3Error) -> Int? {
        guard let text, !text.isEmpty else { return nil }
        guard let number = Int(text), (0...Int(Int32.max)).contains(number) else {
            throw S3Error.invalidArgument("Argument \(name) must be an integer between 0 and 2147483647")
        }
        return number
    }
}

/// How keys are written in XML, which in version 1.0 cannot carry every character.
struct KeySpelling {
    let areEncoded: Bool

    init(_ query: S3Query) throws(S3Error) {
        let asked = query["encoding-type"]
        guard asked == nil || asked == "url" else {
            throw S3Error.invalidArgument("Invalid Encoding Method specified in Request")
        }
        areEncoded = asked != nil
    }

    func spelled(_ key: [UInt8]) -> String {
        areEncoded ? PercentEncoding.encoded(key, keepsSlashes: true) : String(decoding: key, as: UTF8.self)
    }
}
