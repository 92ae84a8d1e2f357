//  GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.

import AWSProtocol
import Hummingbird
import NIOCore
import ObjectStorage
import Objects

private let noPolicy = S3Error(.noSuchBucketPolicy, "The bucket policy does not exist")

extension S3Responder {
    func getBucketPolicy(_ bucket: String, _ call: S3Call) async throws -> Response {
        guard let text = try await objects.policy(of: bucket, by: call.caller) else { throw noPolicy }
        var response = Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        response.headers[.contentType] = "application/json"
        return response
    }

    func putBucketPolicy(_ bucket: String, _ call: S3Call) async throws -> Response {
        let text = try await asked(call, by: .bucket(bucket, .putBucketPolicy)) {
            guard let text = String(validating: try await call.requiredBody(), as: UTF8.self) else {
                throw S3Error(.malformedPolicy, "Policies must be valid JSON and the first byte must be '{'")
            }
            return text
        }
        try await objects.setPolicy(text, of: bucket, by: call.caller)
        return empty(.noContent)
    }

    func deleteBucketPolicy(_ bucket: String, _ call: S3Call) async throws -> Response {
        try await objects.deletePolicy(of: bucket, by: call.caller)
        return empty(.noContent)
    }

    func getBucketPolicyStatus(_ bucket: String, _ call: S3Call) async throws -> Response {
        let isPublic = try await objects.isPublic(bucket, by: call.caller)
        return document("PolicyStatus") { out in out.element("IsPublic", isPublic) }
    }
}
