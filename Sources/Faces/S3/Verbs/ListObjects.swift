//  ListObjects and ListObjectsV2.

import AWSProtocol
import FoundationEssentials
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func listObjects(_ bucket: String, _ call: S3Call) async throws(Fault) -> Response {
        var request = try ListingRequest(call.query)
        request.after = call.query.bytes("marker") ?? []
        let page = try await objects.list(request, in: bucket, by: call.session)
        var out = ListingXML(call.query, bucket)
        out.text("Marker", request.after)
        // Only where keys are rolled up may the next marker not be the last key.
        if !request.delimiter.isEmpty, let next = page.next { out.text("NextMarker", next) }
        out.contents(page, request, owner: call.session.account?.id, showsOwner: true)
        return xml(out.finish())
    }

    func listObjectsV2(_ bucket: String, _ call: S3Call) async throws(Fault) -> Response {
        var request = try ListingRequest(call.query)
        let token = call.query["continuation-token"]
        if let token {
            guard let bytes = Data(base64Encoded: token), !bytes.isEmpty else {
                throw Fault(.pageToken, "The continuation token provided is incorrect")
            }
            request.after = Array(bytes)
        } else {
            request.after = call.query.bytes("start-after") ?? []
        }
        let page = try await objects.list(request, in: bucket, by: call.session)
        var out = ListingXML(call.query, bucket)
        if let token { out.text("ContinuationToken", Array(token.utf8), isKey: false) }
        if let next = page.next { out.text("NextContinuationToken", Array(Data(next).base64EncodedString().utf8), isKey: false) }
        if let start = call.query.bytes("start-after") { out.text("StartAfter", start) }
        out.number("KeyCount", page.objects.count + page.commonPrefixes.count)
        out.contents(page, request, owner: call.session.account?.id, showsOwner: call.query["fetch-owner"] == "true")
        return xml(out.finish())
    }
}

extension ListingRequest {
    /// The most keys of a page, whatever is asked for.
    static let limitMax = 1000

    fileprivate init(_ query: S3Query) throws(Fault) {
        self.init()
        prefix = query.bytes("prefix") ?? []
        delimiter = query.bytes("delimiter") ?? []
        guard let text = query["max-keys"], !text.isEmpty else { return }
        guard let number = Int(text) else {
            throw Fault(.invalidParameter, "Provided max-keys not an integer or within integer range")
        }
        guard number >= 0 else { throw Fault(.invalidParameter, "Argument maxKeys must be an integer between 0 and 2147483647") }
        limit = min(number, ListingRequest.limitMax)
    }
}

/// Writes a listing, its keys encoded where the client asks for it: XML 1.0 cannot carry every character.
private struct ListingXML: ~Copyable {
    private var out = XMLWriter(capacity: 64 << 10)
    private let keys: KeySpelling

    init(_ query: S3Query, _ bucket: String) {
        keys = KeySpelling(query)
        out.declaration()
        out.open("ListBucketResult", namespace: s3Namespace)
        out.element("Name", bucket)
    }

    mutating func text(_ name: StaticString, _ bytes: [UInt8], isKey: Bool = true) {
        out.element(name, isKey ? keys.spelled(bytes) : String(decoding: bytes, as: UTF8.self))
    }

    mutating func number(_ name: StaticString, _ number: Int) { out.element(name, number) }

    mutating func contents(_ page: ListingPage, _ request: ListingRequest, owner: ID<Account>?, showsOwner: Bool) {
        text("Prefix", request.prefix)
        if !request.delimiter.isEmpty { text("Delimiter", request.delimiter) }
        out.element("MaxKeys", request.limit)
        if keys.areEncoded { out.element("EncodingType", "url") }
        out.element("IsTruncated", page.next != nil)
        let owner = showsOwner ? owner.map(ObjectsService.canonicalID) : nil
        for object in page.objects {
            out.open("Contents")
            text("Key", object.key.bytes)
            out.element("LastModified", object.modified)
            out.element("ETag", "\"\(object.entityTag)\"")
            out.element("Size", Int(object.size))
            if let owner {
                out.open("Owner")
                out.element("ID", owner)
                out.close("Owner")
            }
            out.element("StorageClass", "STANDARD")
            out.close("Contents")
        }
        for prefix in page.commonPrefixes {
            out.open("CommonPrefixes")
            text("Prefix", prefix)
            out.close("CommonPrefixes")
        }
    }

    mutating func finish() -> [UInt8] {
        out.close("ListBucketResult")
        return out.bytes
    }
}
