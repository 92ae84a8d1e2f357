//  GetObjectTagging, PutObjectTagging, DeleteObjectTagging.

import AWSProtocol
import Hummingbird
import Objects

extension S3Responder {
    func getObjectTagging(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        let (found, tags) = try await objects.tags(of: name, by: call.caller)
        return about(found, document("Tagging") { out in TagSet.write(tags, to: &out) })
    }

    func putObjectTagging(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        let action: ObjectAction = name.version == nil ? .putObjectTagging : .putVersionTagging
        // Policies may ask for the tags.
        let tags = try await heard(call, by: .object(name, action)) {
            try TagSet.read(try await call.document("Tagging", bytesMax: S3Call.noteBytesMax))
        }
        return about(try await objects.setTags(tags, of: name, by: call.caller), empty(.ok))
    }

    func deleteObjectTagging(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        about(try await objects.setTags(nil, of: name, by: call.caller), empty(.noContent))
    }
}
