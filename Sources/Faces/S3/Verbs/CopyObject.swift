//  CopyObject and UploadPartCopy.

import AWSProtocol
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func copyObject(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        try call.checkPut(needsLength: false)
        let source = try CopySource(call)
        var directives = ObjectsService.CopyDirectives()
        directives.keepsDetail = try keeps(call.header("x-amz-metadata-directive"), "metadata")
        directives.keepsTags = try keeps(call.header("x-amz-tagging-directive"), "tagging")
        directives.customer = try call.request.customerKey(.source)
        directives.checksum = try call.header("x-amz-checksum-algorithm").map(ChecksumAlgorithm.init(asked:))
        let (found, stored) = try await objects.copy(
            source.name, sourceConditions: source.conditions, to: try await upload(to: name, call), directives, by: call.caller)
        var response = made(
            stored,
            copied(
                "CopyObjectResult", stored.version.entityTag, stored.version.modified, stored.version.detail.checksums,
                type: stored.version.detail.shownChecksumType))
        response.headers[.copySourceVersionID] = found.shownVersion?.spelled
        describe(stored.version.detail.encryption, call.request, in: &response.headers)
        return response
    }

    private func keeps(_ directive: String?, _ what: String) throws(S3Error) -> Bool {
        switch directive {
        case "REPLACE": return false
        case "COPY", nil: return true
        default: throw S3Error.invalidArgument("Unknown \(what) directive.")
        }
    }

    func uploadPartCopy(_ name: ObjectName, _ part: S3Part, _ call: S3Call) async throws -> Response {
        let source = try CopySource(call)
        var range: ByteRange?
        if let text = call.header("x-amz-copy-source-range") {
            guard let asked = ByteRange(text), case .from(_, _?) = asked else {
                throw S3Error.invalidArgument(
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                        + "zero-based offsets of the first and last bytes to copy")
            }
            range = asked
        }
        let (found, taken) = try await objects.copyPart(
            part.number, of: part.upload, name.key, in: name.bucket, from: source.name, sourceConditions: source.conditions,
            sourceCustomer: try call.request.customerKey(.source), customer: try call.request.customerKey(),
            range: { size throws(Fault) in
                guard let range else { return 0..<size }
                guard let part = range.within(size), case .from(_, let last?) = range, last < size else {
                    throw Fault(
                        .invalidRange, "Range specified is not valid for source object of size: \(size)", kind: .object)
                }
                return part
            }, by: call.caller)
        var response = copied("CopyPartResult", taken.part.entityTag, taken.part.modified, taken.part.checksums)
        describe(taken.upload.detail.encryption, call.request, in: &response.headers)
        response.headers[.copySourceVersionID] = found.shownVersion?.spelled
        return response
    }

    private func copied(
        _ name: String, _ tag: String, _ modified: Instant, _ checksums: [String: String], type: String? = nil
    ) -> Response {
        document(name) { out in
            out.element("LastModified", modified)
            out.element("ETag", "\"\(tag)\"")
            out.elements(checksums)
            if !checksums.isEmpty { out.element("ChecksumType", type) }
        }
    }
}

extension S3Call {
    /// What is to be copied; nil where nothing is.
    var copySource: ObjectName? {
        get throws { header("x-amz-copy-source") == nil ? nil : try CopySource(self).name }
    }
}

/// Where a copy is from: `/bucket/key?versionId=…`, percent-encoded, the first slash or not.
private struct CopySource {
    let name: ObjectName
    let conditions: ObjectConditions

    init(_ call: S3Call) throws {
        let text = call.header("x-amz-copy-source") ?? ""
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts.first ?? "")
        guard case .object(let bucket, let key)? = try? S3Target(path: path.hasPrefix("/") ? path : "/" + path) else {
            throw S3Error.invalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
        }
        var name = ObjectName(bucket: bucket, key: key)
        if parts.count == 2 {
            guard let version = S3Query(String(parts[1]))["versionId"] else {
                throw S3Error.invalidArgument("Unsupported copy source parameter.")
            }
            name.version = try VersionID(asked: version)
        }
        self.name = name
        conditions = ObjectConditions(of: call.request, prefix: "x-amz-copy-source-")
    }
}
