//  ListObjects, ListObjectsV2, ListObjectVersions.

import AWSProtocol
import FoundationEssentials
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func listObjects(_ bucket: String, _ call: S3Call) async throws -> Response {
        var request = try ListingRequest<ListedObject>(call.query)
        request.after = call.query.bytes("marker") ?? []
        let (inside, page) = try await objects.list(request, in: bucket, by: call.caller)
        var out = try ListingXML(call.query, bucket)
        out.text("Marker", request.after)
        // Only where keys are rolled up may the next marker not be the last key.
        if !request.delimiter.isEmpty, let next = page.next { out.text("NextMarker", next) }
        out.head(page, request)
        out.contents(page, owners: try await owners(of: page, in: inside))
        return xml(out.finish())
    }

    func listObjectsV2(_ bucket: String, _ call: S3Call) async throws -> Response {
        var request = try ListingRequest<ListedObject>(call.query)
        let token = call.query["continuation-token"]
        if let token, !token.isEmpty {
            guard let bytes = Data(base64Encoded: token), !bytes.isEmpty else {
                throw S3Error.unknownPage
            }
            request.after = Array(bytes)
        } else {
            request.after = call.query.bytes("start-after") ?? []
        }
        let (inside, page) = try await objects.list(request, in: bucket, by: call.caller)
        var out = try ListingXML(call.query, bucket)
        if let token { out.text("ContinuationToken", Array(token.utf8), isKey: false) }
        if let next = page.next { out.text("NextContinuationToken", Array(Data(next).base64EncodedString().utf8), isKey: false) }
        if let start = call.query.bytes("start-after") { out.text("StartAfter", start) }
        out.number("KeyCount", page.entries.count + page.commonPrefixes.count)
        out.head(page, request)
        let showsOwner = call.query["fetch-owner"] == "true"
        out.contents(page, owners: showsOwner ? try await owners(of: page, in: inside) : nil)
        return xml(out.finish())
    }

    func listObjectVersions(_ bucket: String, _ call: S3Call) async throws -> Response {
        var request = try ListingRequest<ListedObject>(call.query)
        request.after = call.query.bytes("key-marker") ?? []
        let marker = call.query["version-id-marker"].flatMap { $0.isEmpty ? nil : $0 }
        if let marker {
            guard !request.after.isEmpty else {
                throw S3Error.invalidArgument("A version-id marker cannot be specified without a key marker.")
            }
            let name = ObjectName(bucket: bucket, key: ObjectKey(bytes: request.after), version: try VersionID(asked: marker))
            request.afterPlace = try await objects.sequence(of: name, by: call.caller)
        }
        let (inside, page) = try await objects.list(request, .all, in: bucket, by: call.caller)
        let owners = try await owners(of: page, in: inside)
        var out = try ListingXML(call.query, bucket, root: "ListVersionsResult")
        out.text("KeyMarker", request.after)
        out.text("VersionIdMarker", Array((marker ?? "").utf8), isKey: false)
        if let next = page.next {
            out.text("NextKeyMarker", next)
            if let sequence = page.nextPlace {
                out.text("NextVersionIdMarker", Array(VersionID(bits: sequence).spelled.utf8), isKey: false)
            }
        }
        out.head(page, request)
        out.versions(page, owners: owners)
        return xml(out.finish())
    }

    /// Who owns what a page shows.
    private func owners(of page: ListingPage<ListedObject>, in bucket: Bucket) async throws -> PageOwners {
        PageOwners(bucket: bucket, shown: try await shown(Set(page.entries.map { $0.owner ?? bucket.account })))
    }
}

extension ListingRequest<ListedObject> {
    /// The most keys of a page, whatever is asked for.
    static var limitMax: Int { 1000 }

    fileprivate init(_ query: S3Query) throws(S3Error) {
        self.init()
        prefix = query.bytes("prefix") ?? []
        delimiter = query.bytes("delimiter") ?? []
        guard let text = query["max-keys"], !text.isEmpty else { return }
        guard let number = Int(text), number <= Int(Int32.max) else {
            throw S3Error.invalidArgument("Provided max-keys not an integer or within integer range")
        }
        guard number >= 0 else { throw S3Error.invalidArgument("Argument maxKeys must be an integer between 0 and 2147483647") }
        limit = min(number, Self.limitMax)
    }
}

/// The owners of a page's objects.
private struct PageOwners {
    let bucket: Bucket
    let shown: [ID<Account>: ShownAccount]

    func of(_ object: ListedObject) -> ShownAccount? { shown[object.owner ?? bucket.account] }
}

/// Writes a listing, its keys encoded where the client asks for it: XML 1.0 cannot carry every character.
private struct ListingXML: ~Copyable {
    private var out = XMLWriter(capacity: 64 << 10)
    private let keys: KeySpelling

    private let root: String
    /// What the last checksum said, as most of a page say the same.
    private var checksum: (text: String, algorithm: String, type: String)?

    init(_ query: S3Query, _ bucket: String, root: String = "ListBucketResult") throws(S3Error) {
        keys = try KeySpelling(query)
        self.root = root
        out.declaration()
        out.open(root, namespace: s3Namespace)
        out.element("Name", bucket)
    }

    mutating func text(_ name: StaticString, _ bytes: [UInt8], isKey: Bool = true) {
        out.element(name, isKey ? keys.spelled(bytes) : String(decoding: bytes, as: UTF8.self))
    }

    mutating func number(_ name: StaticString, _ number: Int) { out.element(name, number) }

    /// What stands before the objects.
    mutating func head(_ page: ListingPage<ListedObject>, _ request: ListingRequest<ListedObject>) {
        text("Prefix", request.prefix)
        if !request.delimiter.isEmpty { text("Delimiter", request.delimiter) }
        out.element("MaxKeys", request.limit)
        if keys.areEncoded { out.element("EncodingType", "url") }
        out.element("IsTruncated", page.next != nil)
    }

    mutating func contents(_ page: ListingPage<ListedObject>, owners: PageOwners?) {
        for object in page.entries {
            out.open("Contents")
            write(object, owners)
            out.close("Contents")
        }
        commonPrefixes(page)
    }

    mutating func versions(_ page: ListingPage<ListedObject>, owners: PageOwners) {
        for object in page.entries {
            let name: StaticString = object.isDeleteMarker ? "DeleteMarker" : "Version"
            out.open(name)
            out.element("VersionId", object.version.spelled)
            out.element("IsLatest", object.isLatest)
            write(object, owners)
            out.close(name)
        }
        commonPrefixes(page)
    }

    private mutating func write(_ object: ListedObject, _ owners: PageOwners?) {
        // What is stored is valid UTF-8; what a request asks for need not be.
        if keys.areEncoded { text("Key", object.key.bytes) } else { out.element("Key", utf8: object.key.bytes) }
        out.element("LastModified", object.modified)
        if !object.isDeleteMarker {
            out.element("ETag", "\"\(object.entityTag)\"")
            if let checksum = object.checksum { write(checksum) }
            out.element("Size", Int(object.size))
        }
        out.element("Owner", owners?.of(object))
        if !object.isDeleteMarker { out.element("StorageClass", object.storageClass ?? "STANDARD") }
    }

    /// - Parameter checksum: A header, and the type where it is not of the whole by itself.
    private mutating func write(_ checksum: String) {
        if self.checksum?.text != checksum {
            let parts = checksum.split(separator: " ")
            self.checksum = parts.first.flatMap { ChecksumAlgorithm(header: String($0)) }.map { algorithm in
                let type = parts.count > 1 ? String(parts[1]) : ChecksumType.fullObject.rawValue
                return (checksum, algorithm.rawValue.uppercased(), type)
            }
        }
        out.element("ChecksumAlgorithm", self.checksum?.algorithm)
        out.element("ChecksumType", self.checksum?.type)
    }

    private mutating func commonPrefixes(_ page: ListingPage<ListedObject>) {
        for prefix in page.commonPrefixes {
            out.open("CommonPrefixes")
            text("Prefix", prefix)
            out.close("CommonPrefixes")
        }
    }

    mutating func finish() -> [UInt8] {
        out.close(root)
        return out.bytes
    }
}
