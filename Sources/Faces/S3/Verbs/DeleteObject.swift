//  DeleteObject and DeleteObjects.

import AWSProtocol
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func deleteObject(_ bucket: String, _ key: ObjectKey, _ call: S3Call) async throws(Fault) -> Response {
        try await objects.delete(key, in: bucket, conditions: ObjectConditions(of: call.request), by: call.session)
        return empty(.noContent)
    }

    /// The most keys of one call.
    private static let deletionsMax = 1000

    func deleteObjects(_ bucket: String, _ call: S3Call) async throws(Fault) -> Response {
        let document = try await call.document("Delete")
        let asked = document.all("Object")
        guard !asked.isEmpty, asked.count <= S3Responder.deletionsMax, asked.allSatisfy({ $0["Key"]?.text.isEmpty == false }) else {
            throw call.refuse(XMLElement.malformed)
        }
        let isQuiet = document["Quiet"]?.text == "true"
        var out = XMLWriter()
        out.declaration()
        out.open("DeleteResult", namespace: s3Namespace)
        for object in asked {
            let key = object["Key"]?.text ?? ""
            do throws(Fault) {
                if let version = object["VersionId"], version.text != "null" {
                    throw Fault(.notSupported, "the version of an object", kind: .object)
                }
                var conditions = ObjectConditions()
                if let tag = object["ETag"] { conditions.match = [tag.text.filter { $0 != "\"" }] }
                try await objects.delete(ObjectKey(key), in: bucket, conditions: conditions, by: call.session)
                if isQuiet { continue }
                out.open("Deleted")
                out.element("Key", key)
                out.close("Deleted")
            } catch {
                // What is wrong with the bucket is wrong with the call.
                if error.kind == .bucket, error.code == .notFound { throw error }
                let refusal = S3Error(error)
                out.open("Error")
                out.element("Key", key)
                out.element("Code", refusal.code)
                out.element("Message", refusal.message)
                out.close("Error")
            }
        }
        out.close("DeleteResult")
        return xml(out.bytes)
    }
}
