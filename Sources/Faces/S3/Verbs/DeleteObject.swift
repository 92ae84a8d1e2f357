//  DeleteObject and DeleteObjects.

import AWSProtocol
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func deleteObject(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        let deletion = try await objects.delete(
            name, conditions: ObjectConditions(of: call.request), bypassing: call.bypassesGovernance, by: call.caller)
        var response = empty(.noContent)
        response.headers[.versionID] = deletion.version?.spelled
        if deletion.isMarker { response.headers[.deleteMarker] = "true" }
        return response
    }

    /// The most keys of one call.
    private static let deletionsMax = 1000

    func deleteObjects(_ bucket: String, _ call: S3Call) async throws -> Response {
        guard call.request.statesDigest else {
            throw S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
        }
        let document = try await call.document("Delete")
        let asked = document.all("Object")
        guard !asked.isEmpty, asked.count <= S3Responder.deletionsMax, asked.allSatisfy({ $0["Key"]?.text.isEmpty == false }) else {
            throw XMLElement.malformed
        }
        let isQuiet = document["Quiet"]?.text == "true"
        var out = XMLWriter()
        out.declaration()
        out.open("DeleteResult", namespace: s3Namespace)
        for object in asked {
            let key = object["Key"]?.text ?? ""
            let version = object["VersionId"].flatMap { $0.text.isEmpty ? nil : $0.text }
            do {
                var name = ObjectName(bucket: bucket, key: ObjectKey(key))
                if let version { name.version = try VersionID(spelled: version) }
                var conditions = ObjectConditions()
                if let tag = object["ETag"] { conditions.match = [tag.text.filter { $0 != "\"" }] }
                let deletion = try await objects.delete(
                    name, conditions: conditions, bypassing: call.bypassesGovernance, by: call.caller)
                if isQuiet { continue }
                out.open("Deleted")
                out.element("Key", key)
                out.element("VersionId", version)
                if deletion.isMarker {
                    out.element("DeleteMarker", true)
                    out.element("DeleteMarkerVersionId", deletion.version?.spelled)
                }
                out.close("Deleted")
            } catch {
                // What is wrong with the bucket is wrong with the call.
                if let fault = error as? Fault, fault.kind == .bucket, fault.code == .notFound { throw error }
                let refusal = S3Error(of: error)
                out.open("Error")
                out.element("Key", key)
                out.element("VersionId", version)
                out.element("Code", refusal.code)
                out.element("Message", refusal.message)
                out.close("Error")
            }
        }
        out.close("DeleteResult")
        return xml(out.bytes)
    }
}

extension Request {
    /// Whether the client says what its body's digest is.
    var statesDigest: Bool {
        header("content-md5") != nil || header("x-amz-trailer") != nil
            || ChecksumAlgorithm.allCases.contains { header($0.header) != nil }
    }
}
