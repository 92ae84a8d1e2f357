//  DeleteObject.

import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func deleteObject(_ bucket: String, _ key: ObjectKey, _ call: S3Call) async throws(Fault) -> Response {
        try await objects.delete(key, in: bucket, conditions: try ObjectConditions(of: call.request), by: call.session)
        return empty(.noContent)
    }
}
