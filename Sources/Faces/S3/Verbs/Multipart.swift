//  CreateMultipartUpload, UploadPart, ListParts, CompleteMultipartUpload, AbortMultipartUpload,
//  ListMultipartUploads.

import AWSProtocol
import HTTPTypes
import Hummingbird
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
        var response = document("InitiateMultipartUploadResult") { out in
            out.element("Bucket", name.bucket)
            out.element("Key", name.key.description)
            out.element("UploadId", started.upload.id.text)
        }
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
            upload, of: name.key, in: name.bucket, parts: parts, whole: whole, customer: try call.request.customerKey(),
            conditions: ObjectConditions(of: call.request), by: call.caller)
        let answer = document("CompleteMultipartUploadResult") { out in
            out.element("Location", location(of: name, call))
            out.element("Bucket", name.bucket)
            out.element("Key", name.key.description)
            out.element("ETag", "\"\(stored.version.entityTag)\"")
            out.elements(stored.version.detail.checksums)
            out.element("ChecksumType", stored.version.detail.checksumType)
        }
        var response = made(stored, answer)
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
        let owner = try await objects.shown(started.owner)
        var response = document("ListPartsResult") { out in
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
                out.elements(part.checksums)
                out.close("Part")
            }
            describe(started.upload, owner, in: &out)
        }
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
        let owners = try await shown(Set(page.entries.map { $0.detail.owner ?? inside.account }))
        return document("ListMultipartUploadsResult") { out in
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
                out.element("Initiated", upload.begun)
                describe(upload, owners[upload.detail.owner ?? inside.account], in: &out)
                out.close("Upload")
            }
            for common in page.commonPrefixes {
                out.open("CommonPrefixes")
                out.element("Prefix", keys.spelled(common))
                out.close("CommonPrefixes")
            }
        }
    }

    /// Says when an upload is given up.
    private func describeAbortion(of started: StartedUpload, in fields: inout HTTPFields) {
        guard let abortion = objects.abortion(of: started) else { return }
        fields[.abortDate] = HTTPDate.text(abortion.when)
        fields[.abortRule] = abortion.rule
    }

    /// What listings say of an upload and of its parts alike.
    private func describe(_ upload: PartedUpload, _ owner: ShownAccount?, in out: inout XMLWriter) {
        out.element("Initiator", owner)
        out.element("Owner", owner)
        out.element("StorageClass", upload.detail.storageClass ?? "STANDARD")
        let checksum = upload.detail.partChecksum.flatMap(ChecksumAlgorithm.init(header:))
        out.element("ChecksumAlgorithm", checksum?.rawValue.uppercased())
        out.element("ChecksumType", upload.detail.checksumType)
    }
}

extension S3Call {
    /// The parts in the body that an object is to be made of.
    fileprivate func namedParts() async throws -> [NamedPart] {
        let document = try XMLElement(document: try await wholeBody(), root: "CompleteMultipartUpload")
        let parts = try document.all("Part").map { part in
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
