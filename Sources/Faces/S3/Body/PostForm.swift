//  What the fields of a form mean ("POST Object", Amazon S3 API Reference): whose signature they carry,
//  which upload they describe, and what the answer is to be.

import AWSProtocol
import Authority
import HTTPTypes
import Hummingbird
import ObjectStorage

/// The fields of a form, with their variables expanded.
struct PostForm: Sendable, Hashable {
    let bucket: String
    let key: ObjectKey
    /// By name in lower case. The values of a name that comes more than once are joined with commas.
    let values: [String: String]

    /// - Parameters:
    ///   - fileName: What the file is called; nil where the form does not say it.
    ///   - bucket: The bucket that the request is sent to, whatever the form says.
    /// - Throws: `InvalidArgument` for a form without a key.
    init(_ fields: [FormField], fileName: String?, bucket: String) throws(S3Error) {
        let expansion = fileName.map(PostForm.lastComponent)
        var values: [String: String] = [:]
        for field in fields {
            let name = field.name.lowercased()
            let isSigned = PostForm.signatureFields.contains(name)
            let value = isSigned ? field.value : expansion.map { field.value.replacing("${filename}", with: $0) } ?? field.value
            values[name] = values[name].map { "\($0),\(value)" } ?? value
        }
        values["bucket"] = bucket
        guard let key = values["key"] else { throw .missingField("key") }
        guard !key.isEmpty else { throw S3Error.invalidArgument("User key must have a length greater than 0.") }
        self.bucket = bucket
        self.key = ObjectKey(key)
        self.values = values
    }

    /// Some browsers send the whole path of a file.
    private static func lastComponent(_ path: String) -> String {
        String(path.split(omittingEmptySubsequences: false) { $0 == "/" || $0 == "\\" }.last ?? "")
    }

    // MARK: Its signature

    enum Signature: Sendable, Hashable {
        case version4(SignatureV4.PolicyClaim)
        case version2(accessKey: String, signature: String)

        var accessKey: String {
            switch self {
            case .version4(let claim): claim.accessKey
            case .version2(let accessKey, _): accessKey
            }
        }

        /// What the key that signed was derived for; nil where the secret itself signed.
        var scope: SigningScope? {
            switch self {
            case .version4(let claim): claim.scope
            case .version2: nil
            }
        }

        /// As policies name it (`s3:signatureversion`).
        var version: String {
            switch self {
            case .version4: "AWS4-HMAC-SHA256"
            case .version2: "AWS"
            }
        }
    }

    private static let version4Fields = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"]
    private static let version2Fields = ["AWSAccessKeyId", "Signature"]
    private static let signatureFields = Set((version4Fields + version2Fields + ["policy"]).map { $0.lowercased() })

    /// The token of temporary credentials.
    var securityToken: String? { values["x-amz-security-token"] }

    /// The policy as it was sent, and the signature over it; nil for the form of a stranger.
    ///
    /// - Throws: `InvalidArgument` where a part of it is missing or misshapen.
    func signature() throws(S3Error) -> (policy: String, signature: Signature)? {
        if let given = try all(of: PostForm.version4Fields) {
            do throws(SignatureV4.Refusal) {
                let claim = try SignatureV4.PolicyClaim(
                    algorithm: given[0], credential: given[1], date: given[2], signature: given[3])
                return (given[4], .version4(claim))
            } catch {
                if case .incompleteSignature(let message) = error { throw S3Error.invalidArgument(message) }
                throw S3Error(error)
            }
        }
        guard let given = try all(of: PostForm.version2Fields) else { return nil }
        return (given[2], .version2(accessKey: given[0], signature: given[1]))
    }

    /// The values of these fields and then the policy; nil where none of the fields is there.
    private func all(of names: [String]) throws(S3Error) -> [String]? {
        guard names.contains(where: { values[$0.lowercased()] != nil }) else { return nil }
        var found: [String] = []
        for name in names + ["policy"] {
            guard let value = values[name.lowercased()] else { throw .missingField(name) }
            found.append(value)
        }
        return found
    }

    // MARK: Its upload

    private static let entityHeaders: Set<String> = [
        "cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
    ]
    /// What is about the form's own signature, or about the framing of other uploads.
    private static let unheardHeaders: Set<String> = [
        "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token", "x-amz-content-sha256",
        "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-copy-source",
    ]
    /// Headers of the request that are about the client and not about the object.
    private static let keptHeaders: [HTTPField.Name] = [.origin, .referer, .userAgent]

    /// The headers of the PutObject that stores the form's file.
    ///
    /// - Throws: `MalformedXML` for tags that cannot be read, `InvalidArgument` for a field whose name no
    ///   header can have.
    func uploadHeaders(of request: HTTPFields) throws(S3Error) -> HTTPFields {
        var headers = HTTPFields()
        for name in PostForm.keptHeaders { headers[name] = request[name] }
        for (name, value) in values {
            switch name {
            case "acl": headers.set("x-amz-acl", value)
            case "tagging": headers.set("x-amz-tagging", try PostForm.tags(value))
            case _ where PostForm.unheardHeaders.contains(name): break
            case _ where PostForm.entityHeaders.contains(name) || name.hasPrefix("x-amz-"):
                guard let field = HTTPField.Name(name) else {
                    throw S3Error.invalidArgument("The field '\(name.prefix(64))' cannot be kept with an object.")
                }
                if !value.isEmpty || name.hasPrefix("x-amz-meta-") { headers[field] = value }
            default: break
            }
        }
        return headers
    }

    /// A set of tags as the header has it: `one=1&two=2`.
    private static func tags(_ document: String) throws(S3Error) -> String {
        let tags = try TagSet.read(try XMLElement(document: Array(document.utf8), root: "Tagging"))
        return tags.sorted { $0.key < $1.key }.map { key, value in
            "\(PercentEncoding.encoded(Array(key.utf8)))=\(PercentEncoding.encoded(Array(value.utf8)))"
        }.joined(separator: "&")
    }

    // MARK: Its answer

    /// 200, 201 or 204, whatever else the form asks for.
    var successStatus: HTTPResponse.Status {
        switch values["success_action_status"] {
        case "200": .ok
        case "201": .created
        default: .noContent
        }
    }

    /// Where the browser is to go then; nil where the form says nothing that is an address.
    ///
    /// - Parameter entityTag: In its quotes.
    func redirect(entityTag: String) -> String? {
        guard let address = values["success_action_redirect"] ?? values["redirect"],
            ["http://", "https://"].contains(where: { address.lowercased().hasPrefix($0) && address.utf8.count > $0.utf8.count }),
            address.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { return nil }
        let parts = address.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let mark = parts[0].contains("?") ? "&" : "?"
        let added = [("bucket", bucket), ("key", key.description), ("etag", entityTag)].map { name, value in
            "\(name)=\(PercentEncoding.encoded(Array(value.utf8)).replacing("%20", with: "+"))"
        }
        return "\(parts[0])\(mark)\(added.joined(separator: "&"))\(parts.count == 2 ? "#\(parts[1])" : "")"
    }
}

extension S3Error {
    static func missingField(_ name: String) -> S3Error {
        S3Error.invalidArgument(
            "Bucket POST must contain a field named '\(name)'.  If it is specified, please check the order of the fields.")
    }
}
