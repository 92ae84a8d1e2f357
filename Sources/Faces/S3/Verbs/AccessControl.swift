//  GetBucketAcl, PutBucketAcl, GetObjectAcl, PutObjectAcl, and lists in the headers of other calls.

import AWSProtocol
import Hummingbird
import Model
import ObjectStorage
import Objects

extension S3Responder {
    func getBucketAcl(_ bucket: String, _ call: S3Call) async throws -> Response {
        try await written(try await objects.accessControlList(ofBucket: bucket, by: call.caller))
    }

    func putBucketAcl(_ bucket: String, _ call: S3Call) async throws -> Response {
        let asked = try await asked(call, by: .bucket(bucket, .putBucketACL)) { try await call.requestedACL() }
        try await objects.setAccessControlList(asked, ofBucket: bucket, by: call.caller)
        return empty(.ok)
    }

    func getObjectAcl(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        let (found, list) = try await objects.accessControlList(of: name, by: call.caller)
        return about(found, try await written(list))
    }

    func putObjectAcl(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        let action: ObjectAction = name.version == nil ? .putObjectACL : .putVersionACL
        let asked = try await asked(call, by: .object(name, action)) { try await call.requestedACL() }
        let found = try await objects.setAccessControlList(asked, of: name, by: call.caller)
        return about(found, empty(.ok))
    }

    private func written(_ list: AccessControlList) async throws -> Response {
        let named = list.grants.compactMap { if case .account(let account) = $0.grantee { account } else { nil } }
        let shown = try await shown(Set(named + [list.owner]))
        // S3 promises no order; there are clients that look for the groups before the accounts.
        let groupsFirst = list.grants.filter { $0.grantee.isGroup } + list.grants.filter { !$0.grantee.isGroup }
        return document("AccessControlPolicy") { out in
            out.element("Owner", shown[list.owner])
            out.open("AccessControlList")
            for grant in groupsFirst {
                var name: String?
                if case .account(let account) = grant.grantee { name = shown[account]?.displayName }
                out.element(RequestedGrant(grant), displayName: name)
            }
            out.close("AccessControlList")
        }
    }
}

extension S3Call {
    /// The list that a call is about: by its name, by headers, or written out in the body.
    fileprivate func requestedACL() async throws -> RequestedACL {
        if let asked = try request.requestedACL() {
            try await discardBody()
            return asked
        }
        let missing = S3Error(.missingSecurityHeader, "Your request was missing a required header")
        let bytes = try await requiredBody(bytesMax: S3Call.noteBytesMax, orElse: missing)
        guard let document = try? XMLElement(document: bytes, root: "AccessControlPolicy") else { throw malformedACL }
        guard let list = document["AccessControlList"] else { throw malformedACL }
        guard let owner = document["Owner"]?["ID"]?.text else { throw malformedACL }
        guard list.children.count <= grantsMax else { throw malformedACL }
        let grants = try list.all("Grant").map { element in
            guard let grant = RequestedGrant(element) else { throw malformedACL }
            return grant
        }
        return .grants(grants, owner: owner)
    }
}

/// The most entries of a list.
let grantsMax = 100

private let malformedACL = S3Error(.malformedACLError, XMLElement.malformed.message)

extension Grant.Grantee {
    fileprivate var isGroup: Bool {
        if case .account = self { return false }
        return true
    }
}

extension RequestedGrant {
    /// From `<Grant>`; nil where that is not what it is to be.
    init?(_ element: XMLElement) {
        guard let named = element["Grantee"],
            let permission = element["Permission"].flatMap({ Grant.Permission(rawValue: $0.text) })
        else { return nil }
        if let id = named["ID"]?.text {
            self.init(.canonicalID(id), permission)
        } else if let uri = named["URI"]?.text {
            self.init(.group(uri), permission)
        } else if let email = named["EmailAddress"]?.text {
            self.init(.email(email), permission)
        } else {
            return nil
        }
    }
}

extension XMLWriter {
    /// `<Grant>…</Grant>`
    mutating func element(_ grant: RequestedGrant, displayName: String? = nil) {
        let schema = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""
        open("Grant")
        switch grant.grantee {
        case .canonicalID(let id):
            open("Grantee", attributes: "\(schema) xsi:type=\"CanonicalUser\"")
            element("ID", id)
            element("DisplayName", displayName)
        case .group(let uri):
            open("Grantee", attributes: "\(schema) xsi:type=\"Group\"")
            element("URI", uri)
        case .email(let address):
            open("Grantee", attributes: "\(schema) xsi:type=\"AmazonCustomerByEmail\"")
            element("EmailAddress", address)
        }
        close("Grantee")
        element("Permission", grant.permission.rawValue)
        close("Grant")
    }
}

extension Request {
    private static let grantFields: [(String, Grant.Permission)] = [
        ("x-amz-grant-read", .read), ("x-amz-grant-write", .write), ("x-amz-grant-read-acp", .readACL),
        ("x-amz-grant-write-acp", .writeACL), ("x-amz-grant-full-control", .fullControl),
    ]

    /// The list that headers ask for; nil where none does.
    func requestedACL() throws(S3Error) -> RequestedACL? {
        var grants: [RequestedGrant] = []
        for (name, permission) in Request.grantFields {
            guard let text = header(name) else { continue }
            for part in text.split(separator: ",") { grants.append(RequestedGrant(try Request.grantee(trimmed(part)), permission)) }
        }
        guard let name = header("x-amz-acl") else { return grants.isEmpty ? nil : .grants(grants, owner: nil) }
        guard grants.isEmpty else {
            throw S3Error.invalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
        }
        return .canned(try CannedACL(asked: name))
    }

    /// `id="…"`, `uri="…"` or `emailAddress="…"`.
    private static func grantee(_ text: String) throws(S3Error) -> RequestedGrantee {
        let halves = text.split(separator: "=", maxSplits: 1)
        let value = halves.count == 2 ? trimmed(halves[1]).filter { $0 != "\"" } : ""
        switch halves.first.map(trimmed)?.lowercased() {
        case "id": return .canonicalID(value)
        case "uri": return .group(value)
        case "emailaddress": return .email(value)
        default: throw S3Error.invalidArgument("Argument format not recognized")
        }
    }
}

extension CannedACL {
    /// - Throws: `InvalidArgument` for a list that there is not.
    init(asked name: String) throws(S3Error) {
        guard let known = CannedACL(rawValue: name) else { throw S3Error.invalidArgument("Invalid ACL: \(name)") }
        self = known
    }
}
