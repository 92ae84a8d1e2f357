//  GetObjectAttributes.

import AWSProtocol
import HTTPTypes
import Hummingbird
import Listening
import Model
import ObjectStorage
import Objects

extension S3Responder {
    private static let attributes: Set<String> = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]

    func getObjectAttributes(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        let asked = Set((call.header("x-amz-object-attributes") ?? "").split(separator: ",").map(trimmed))
        guard !asked.isEmpty, asked.isSubset(of: S3Responder.attributes) else {
            throw S3Error.invalidArgument("Invalid attribute name specified.")
        }
        let found = try await objects.attributes(name, customer: try call.request.customerKey(), by: call.caller)
        let version = found.version
        let showsParts = asked.contains("ObjectParts") && version.detail.parts != nil
        let parts = showsParts ? try await objects.parts(of: found) : nil
        let answer = try document("GetObjectAttributesResponse") { out in
            if asked.contains("ETag") { out.element("ETag", version.entityTag) }
            if asked.contains("Checksum"), !version.detail.checksums.isEmpty {
                out.open("Checksum")
                out.elements(version.detail.checksums)
                out.element("ChecksumType", version.detail.shownChecksumType)
                out.close("Checksum")
            }
            if let parts { try write(parts, call, to: &out) }
            if asked.contains("StorageClass") { out.element("StorageClass", version.detail.storageClass ?? "STANDARD") }
            if asked.contains("ObjectSize") { out.element("ObjectSize", Int(version.size)) }
        }
        var response = about(found, answer)
        response.headers[.lastModified] = HTTPDate.text(version.modified)
        return response
    }

    private func write(_ parts: [ObjectPart], _ call: S3Call, to out: inout XMLWriter) throws {
        let limit = min(try S3Query.number("max-parts", call.header("x-amz-max-parts")) ?? 1000, 1000)
        let after = try S3Query.number("part-number-marker", call.header("x-amz-part-number-marker")) ?? 0
        let shown = parts.filter { $0.number > after }.prefix(limit)
        out.open("ObjectParts")
        out.element("PartsCount", parts.count)
        out.element("PartNumberMarker", after)
        out.element("NextPartNumberMarker", shown.last?.number ?? 0)
        out.element("MaxParts", limit)
        out.element("IsTruncated", shown.last.map { $0.number < parts.last?.number ?? 0 } ?? false)
        // Without checksums S3 says only how many there are.
        for part in shown where !part.checksums.isEmpty {
            out.open("Part")
            out.element("PartNumber", part.number)
            out.element("Size", Int(part.size))
            out.elements(part.checksums)
            out.close("Part")
        }
        out.close("ObjectParts")
    }
}

extension ObjectDetail {
    /// What came whole has a checksum of the whole.
    var shownChecksumType: String { checksumType ?? ChecksumType.fullObject.rawValue }
}
