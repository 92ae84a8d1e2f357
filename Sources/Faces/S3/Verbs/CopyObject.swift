//  CopyObject and UploadPartCopy.

import AWSProtocol
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func copyObject(_ bucket: String, _ key: ObjectKey, _ call: S3Call) async throws(Fault) -> Response {
        try call.checkPut(needsLength: false)
        let source = try CopySource(call)
        var upload = ObjectUpload(bucket: bucket, key: key)
        upload.conditions = ObjectConditions(of: call.request)
        let detail: ObjectDetail?
        switch call.header("x-amz-metadata-directive")?.uppercased() {
        case "REPLACE": detail = try ObjectDetail(of: call.request)
        case "COPY", nil: detail = nil
        default: throw Fault(.invalidParameter, "Unknown metadata directive.", kind: .object)
        }
        let version = try await objects.copy(
            source.key, from: source.bucket, sourceConditions: source.conditions, to: upload, replacing: detail, by: call.session)
        return copied("CopyObjectResult", version.entityTag, version.modified)
    }

    func uploadPartCopy(_ bucket: String, _ key: ObjectKey, _ part: S3Part, _ call: S3Call) async throws(Fault) -> Response {
        let source = try CopySource(call)
        var range: ByteRange?
        if let text = call.header("x-amz-copy-source-range") {
            guard let asked = ByteRange(text), case .from(_, _?) = asked else {
                throw Fault(
                    .invalidParameter,
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                        + "zero-based offsets of the first and last bytes to copy", kind: .object)
            }
            range = asked
        }
        let taken = try await objects.copyPart(
            part.number, of: part.upload, key, in: bucket, from: source.key, source.bucket, sourceConditions: source.conditions,
            range: { size throws(Fault) in
                guard let range else { return 0..<size }
                guard let part = range.within(size) else {
                    throw Fault(.invalidParameter, "Range specified is not valid for source object of size: \(size)", kind: .object)
                }
                return part
            }, by: call.session)
        return copied("CopyPartResult", taken.entityTag, taken.modified)
    }

    private func copied(_ name: String, _ tag: String, _ modified: Instant) -> Response {
        var out = XMLWriter()
        out.declaration()
        out.open(name, namespace: s3Namespace)
        out.element("LastModified", modified)
        out.element("ETag", "\"\(tag)\"")
        out.close(name)
        return xml(out.bytes)
    }
}

/// Where a copy is from: `/bucket/key`, percent-encoded, the first slash or not.
private struct CopySource {
    var bucket: String
    var key: ObjectKey
    var conditions = ObjectConditions()

    init(_ call: S3Call) throws(Fault) {
        let text = call.header("x-amz-copy-source") ?? ""
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count < 2 else { throw Fault(.notSupported, "the version of a copy's source", kind: .object) }
        let target: S3Target
        do throws(S3Error) { target = try S3Target(path: text.hasPrefix("/") ? text : "/" + text) } catch { target = .service }
        guard case .object(let bucket, let key) = target else {
            throw Fault(
                .invalidParameter, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", kind: .object)
        }
        self.bucket = bucket
        self.key = key
        conditions = ObjectConditions(of: call.request, prefix: "x-amz-copy-source-")
    }
}
