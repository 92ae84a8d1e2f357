//  DeleteObject and DeleteObjects.

import AWSProtocol
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func deleteObject(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        var conditions = ObjectConditions(of: call.request)
        try conditions.take(
            size: call.header("x-amz-if-match-size"), modified: call.header("x-amz-if-match-last-modified-time"))
        let deletion = try await objects.delete(
            name, conditions: conditions, bypassing: call.bypassesGovernance, by: call.caller)
        var response = empty(.noContent)
        response.headers[.versionID] = deletion.version?.spelled
        if deletion.isMarker { response.headers[.deleteMarker] = "true" }
        return response
    }

    /// The most keys of one call.
    private static let deletionsMax = 1000

    func deleteObjects(_ bucket: String, _ call: S3Call) async throws -> Response {
        _ = try await objects.bucket(named: bucket)
        guard call.request.statesDigest else {
            throw S3Error.invalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
        }
        let document = try await call.document("Delete")
        let asked = document.all("Object")
        guard !asked.isEmpty, asked.count <= S3Responder.deletionsMax, asked.allSatisfy({ $0["Key"]?.text.isEmpty == false }) else {
            throw XMLElement.malformed
        }
        let deletions = asked.map { object in
            Result { try NamedDeletion(object, in: bucket) }.mapError(S3Error.init(of:))
        }
        let named = deletions.compactMap { try? $0.get() }.map { ($0.name, $0.conditions) }
        var outcomes = await objects.delete(named, bypassing: call.bypassesGovernance, by: call.caller).makeIterator()
        var out = DeletionsXML(isQuiet: document["Quiet"]?.text == "true")
        for (object, deletion) in zip(asked, deletions) {
            switch deletion {
            case .failure(let refusal): out.refuse(object, refusal)
            case .success:
                switch outcomes.next() {
                case .success(let deletion): out.confirm(object, deletion)
                // What is wrong with the bucket is wrong with the call.
                case .failure(let fault) where fault.kind == .bucket && fault.code == .notFound: throw fault
                case .failure(let fault): out.refuse(object, S3Error(of: fault))
                case nil: throw Fault(.internalError, "An object was neither removed nor refused.")
                }
            }
        }
        return xml(out.finish())
    }
}

/// What is to be removed, as one element of a request names it.
private struct NamedDeletion {
    var name: ObjectName
    var conditions = ObjectConditions()

    init(_ object: XMLElement, in bucket: String) throws(S3Error) {
        name = ObjectName(bucket: bucket, key: ObjectKey(object["Key"]?.text ?? ""))
        if let version = object.version { name.version = try VersionID(asked: version) }
        if let tag = object["ETag"] { conditions.match = [tag.text.filter { $0 != "\"" }] }
        try conditions.take(size: object["Size"]?.text, modified: object["LastModifiedTime"]?.text)
    }
}

extension ObjectConditions {
    /// What a removal says of the size and the time of what it removes.
    fileprivate mutating func take(size: String?, modified: String?) throws(S3Error) {
        if let size {
            guard let bytes = Int64(size), bytes >= 0 else {
                throw S3Error.invalidArgument("The size of the object that is to be removed must be a number of bytes.")
            }
            self.size = bytes
        }
        if let modified {
            guard let time = HTTPDate.parse(modified) ?? Instant(iso8601: modified) else {
                throw S3Error.invalidArgument("The time of the object that is to be removed must be a date.")
            }
            self.modified = time
        }
    }
}

extension XMLElement {
    fileprivate var version: String? { self["VersionId"].flatMap { $0.text.isEmpty ? nil : $0.text } }
}

private struct DeletionsXML: ~Copyable {
    private var out = XMLWriter()
    /// Whether only refusals are told.
    private let isQuiet: Bool

    init(isQuiet: Bool) {
        self.isQuiet = isQuiet
        out.declaration()
        out.open("DeleteResult", namespace: s3Namespace)
    }

    mutating func confirm(_ object: XMLElement, _ deletion: Deletion) {
        if isQuiet { return }
        out.open("Deleted")
        name(object)
        if deletion.isMarker {
            out.element("DeleteMarker", true)
            out.element("DeleteMarkerVersionId", deletion.version?.spelled)
        }
        out.close("Deleted")
    }

    mutating func refuse(_ object: XMLElement, _ refusal: S3Error) {
        out.open("Error")
        name(object)
        out.element("Code", refusal.code.name)
        out.element("Message", refusal.message)
        out.close("Error")
    }

    private mutating func name(_ object: XMLElement) {
        out.element("Key", object["Key"]?.text ?? "")
        out.element("VersionId", object.version)
    }

    mutating func finish() -> [UInt8] {
        out.close("DeleteResult")
        return out.bytes
    }
}
