//  ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation, GetBucketVersioning.

import AWSProtocol
import HTTPTypes
import Hummingbird
import Model
import ObjectStorage
import Objects

let s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

extension S3Responder {
    func listBuckets(_ call: S3Call) async throws(Fault) -> Response {
        let buckets = try await objects.buckets(by: call.session)
        var out = XMLWriter()
        out.declaration()
        out.open("ListAllMyBucketsResult", namespace: s3Namespace)
        if let account = call.session.account {
            out.open("Owner")
            out.element("ID", ObjectsService.canonicalID(of: account.id))
            out.element("DisplayName", account.number)
            out.close("Owner")
        }
        out.open("Buckets")
        for bucket in buckets {
            out.open("Bucket")
            out.element("Name", bucket.name)
            out.element("CreationDate", bucket.created)
            out.element("BucketRegion", bucket.region)
            out.close("Bucket")
        }
        out.close("Buckets")
        out.close("ListAllMyBucketsResult")
        return xml(out.bytes)
    }

    func createBucket(_ name: String, _ call: S3Call) async throws(Fault) -> Response {
        try await call.discardBody()
        let (bucket, wasThere) = try await objects.createBucket(named: name, by: call.session)
        // The first region of AWS answers as if it had just been made.
        guard !wasThere || objects.region == "us-east-1" else {
            let error = S3Error(
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.", 409)
            return xml(error.body(resource: "/\(name)", requestID: call.requestID), status: .conflict)
        }
        var response = empty(.ok)
        response.headers[.location] = "/\(bucket.name)"
        return response
    }

    func headBucket(_ name: String, _ call: S3Call) async throws(Fault) -> Response {
        let bucket = try await objects.bucket(named: name, by: call.session)
        var response = empty(.ok)
        if let field = HTTPField.Name("x-amz-bucket-region") { response.headers[field] = bucket.region }
        return response
    }

    func deleteBucket(_ name: String, _ call: S3Call) async throws(Fault) -> Response {
        try await objects.deleteBucket(named: name, by: call.session)
        return empty(.noContent)
    }

    func getBucketLocation(_ name: String, _ call: S3Call) async throws(Fault) -> Response {
        let region = try await objects.location(of: name, by: call.session)
        var out = XMLWriter()
        out.declaration()
        out.open("LocationConstraint", namespace: s3Namespace)
        if region != "us-east-1" { out.text(region) }
        out.close("LocationConstraint")
        return xml(out.bytes)
    }

    /// Empty: as of a bucket that never had versions, which is all that there are.
    func getBucketVersioning(_ name: String, _ call: S3Call) async throws(Fault) -> Response {
        _ = try await objects.bucket(named: name, by: call.session)
        var out = XMLWriter()
        out.declaration()
        out.open("VersioningConfiguration", namespace: s3Namespace)
        out.close("VersioningConfiguration")
        return xml(out.bytes)
    }
}

extension S3Call {
    /// Reads a body whose content does not matter, so that its checks are made.
    func discardBody() async throws(Fault) {
        do { for try await _ in body {} } catch { throw Fault(.malformedRequest, "The body could not be read.", because: error) }
    }
}
