//  ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation.

import AWSProtocol
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func listBuckets(_ call: S3Call) async throws -> Response {
        let limit = try call.query.number("max-buckets") ?? ObjectsService.bucketsMax
        guard (1...ObjectsService.bucketsMax).contains(limit) else {
            throw S3Error.invalidArgument("Argument max-buckets must be an integer between 1 and \(ObjectsService.bucketsMax).")
        }
        let prefix = call.query["prefix"] ?? ""
        let after = try call.query["continuation-token"].map { token in
            guard let bytes = Data(base64Encoded: token), let name = String(validating: bytes, as: UTF8.self) else {
                throw S3Error.unknownPage
            }
            return name
        }
        let isElsewhere = call.query["bucket-region"].map { $0 != objects.region } ?? false
        let found = isElsewhere ? [] : try await objects.buckets(prefix: prefix, after: after ?? "", limit: limit, by: call.caller)
        let buckets = found.prefix(limit)
        let owner = call.caller.session.account.map {
            ShownAccount(id: ObjectsService.canonicalID(of: $0.id), displayName: $0.number)
        }
        return document("ListAllMyBucketsResult") { out in
            out.element("Owner", owner)
            out.open("Buckets")
            for bucket in buckets {
                out.open("Bucket")
                out.element("Name", bucket.name)
                out.element("CreationDate", bucket.created)
                out.element("BucketRegion", bucket.region)
                out.close("Bucket")
            }
            out.close("Buckets")
            if !prefix.isEmpty { out.element("Prefix", prefix) }
            if found.count > limit, let last = buckets.last { out.element("ContinuationToken", Array(last.name.utf8)) }
        }
    }

    func createBucket(_ name: String, _ call: S3Call) async throws -> Response {
        var new = NewBucket(name: name)
        new.tags = try await call.bucketTags(in: objects.region)
        new.acl = try call.request.requestedACL()
        if let text = call.header("x-amz-object-ownership") {
            guard let ownership = ObjectOwnership(rawValue: text) else {
                throw S3Error.invalidArgument("Invalid x-amz-object-ownership header: \(text)")
            }
            new.ownership = ownership
        }
        new.hasLock = call.header("x-amz-bucket-object-lock-enabled")?.lowercased() == "true"
        let (bucket, wasThere) = try await objects.createBucket(new, by: call.caller)
        // The first region of AWS answers as if it had just been made.
        guard !wasThere || objects.region == ObjectsService.firstRegion else {
            throw S3Error(
                .bucketAlreadyOwnedByYou, "Your previous request to create the named bucket succeeded and you already own it.")
        }
        var response = empty(.ok)
        response.headers[.location] = "/\(bucket.name)"
        return response
    }

    func headBucket(_ name: String, _ call: S3Call) async throws -> Response {
        let bucket: Bucket
        do throws(Fault) { bucket = try await objects.bucket(name, for: .listBucket, by: call.caller) } catch {
            var refusal = S3Error(of: error)
            // Where a bucket is, is told to everybody: clients look there for it.
            if error.code == .denied { refusal.fields["x-amz-bucket-region"] = objects.region }
            throw refusal
        }
        var response = empty(.ok)
        response.headers[.bucketRegion] = bucket.region
        return response
    }

    func deleteBucket(_ name: String, _ call: S3Call) async throws -> Response {
        try await objects.deleteBucket(named: name, by: call.caller)
        return empty(.noContent)
    }

    func getBucketLocation(_ name: String, _ call: S3Call) async throws -> Response {
        let region = try await objects.bucket(name, for: .bucketLocation, by: call.caller).region
        return document("LocationConstraint") { out in
            if region != ObjectsService.firstRegion { out.text(region) }
        }
    }
}

extension S3Call {
    /// Reads where a bucket is wanted, which can only be here, and its tags.
    fileprivate func bucketTags(in region: String) async throws -> [String: String]? {
        let bytes = try await wholeBody(bytesMax: S3Call.noteBytesMax)
        guard !bytes.isEmpty else { return nil }
        let document = try XMLElement(document: bytes, root: "CreateBucketConfiguration")
        if let asked = document["LocationConstraint"]?.text, !asked.isEmpty, asked != region {
            throw S3Error(.invalidLocationConstraint, "The specified location-constraint is not valid")
        }
        let tags = try document["Tags"].map(TagSet.tags)
        return tags?.isEmpty == true ? nil : tags
    }
}
