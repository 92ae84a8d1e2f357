//  From a request's bytes to what it claims: by which key, for what, when, with which signature.

import Authority
import Model

extension SignatureV4 {
    /// What a request says of its own signature. Nothing in it is proven.
    public struct Claim: Sendable, Hashable {
        public enum Form: Sendable, Hashable {
            case header
            /// Presigned, for so many seconds.
            case query(expiresSeconds: Int64)
        }

        public let form: Form
        /// `AKIA…`: whose secret is to be looked up.
        public let accessKey: String
        public let scope: Scope
        /// In lower case, sorted, each once.
        public let signedHeaders: [String]
        /// 32 bytes.
        public let signature: [UInt8]
        /// The token of temporary credentials.
        public let securityToken: String?
        /// When it was signed, to the second.
        public let signed: Instant

        /// Reads the claim from the `Authorization` header or from the query's `X-Amz-` parameters.
        /// Throws `missingAuthenticationToken` where there is neither, `incompleteSignature`, or
        /// `signatureDoesNotMatch` for a scope that cannot be right.
        public init(_ request: Request) throws(Refusal) {
            let authorizations = request.values("authorization")
            let query = try QueryParameters(request.rawQuery)
            guard let authorization = authorizations.first else {
                guard query.isPresigned else { throw .missingAuthenticationToken }
                self = try Claim(query: query)
                return
            }
            guard authorizations.count == 1, !query.isPresigned else {
                throw .incompleteSignature("Only one auth mechanism allowed")
            }
            self = try Claim(authorization: authorization, request)
        }
    }
}

extension SignatureV4.Claim {
    private static let authorizationBytesMax = 8192
    private static let partBytesMax = 128
    private static let tokenBytesMax = 8192
    private static let signedHeadersMax = 100

    private init(authorization: String, _ request: SignatureV4.Request) throws(SignatureV4.Refusal) {
        guard authorization.utf8.count <= Self.authorizationBytesMax else {
            throw .incompleteSignature("The Authorization header is too long")
        }
        let (word, rest) = split(authorization, at: UInt8(ascii: " "))
        guard word == SignatureV4.algorithm else {
            throw .incompleteSignature("Unsupported AWS 'algorithm': '\(word.prefix(64))'.")
        }
        var fields: [(name: Substring, value: Substring)] = []
        for field in (rest ?? "").utf8.split(separator: UInt8(ascii: ",")) {
            let (name, value) = split(trimmed(Substring(field)), at: UInt8(ascii: "="))
            guard let value, !fields.contains(where: { $0.name == name }) else {
                throw .incompleteSignature(
                    "'\(Substring(field).prefix(64))' not a valid key=value pair (missing equal-sign) in Authorization header.")
            }
            fields.append((name, value))
        }
        func value(_ name: String) -> String? {
            fields.first { $0.name == name && !$0.value.isEmpty }.map { String($0.value) }
        }
        let dates = request.values("x-amz-date")
        let date = dates.count == 1 ? dates[0] : dates.isEmpty ? request.values("date").first : nil
        guard let date, let credential = value("Credential"), let signature = value("Signature"),
            let signedHeaders = value("SignedHeaders")
        else {
            let missing =
                ["Credential", "Signature", "SignedHeaders"].filter { value($0) == nil }
                .map { "Authorization header requires '\($0)' parameter." }
                + (date == nil ? ["Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."] : [])
            throw .incompleteSignature(missing.joined(separator: " "))
        }
        let tokens = request.values("x-amz-security-token")
        guard tokens.count <= 1 else { throw .incompleteSignature("There is more than one X-Amz-Security-Token.") }
        try self.init(
            form: .header, credential: credential, date: date, signedHeaders: signedHeaders, signature: signature,
            token: tokens.first)
    }

    private init(query: QueryParameters) throws(SignatureV4.Refusal) {
        func parameter(_ name: String) throws(SignatureV4.Refusal) -> String {
            guard let value = query.values[name], !value.isEmpty else {
                throw .incompleteSignature("Query-string authentication requires the '\(name)' parameter.")
            }
            return value
        }
        let algorithm = try parameter("X-Amz-Algorithm")
        guard algorithm == SignatureV4.algorithm else {
            throw .incompleteSignature("Unsupported AWS 'algorithm': '\(algorithm.prefix(64))'.")
        }
        let credential = try parameter("X-Amz-Credential")
        let date = try parameter("X-Amz-Date")
        let signedHeaders = try parameter("X-Amz-SignedHeaders")
        let signature = try parameter("X-Amz-Signature")
        // S3 asks for it; the other services give a request without it fifteen minutes.
        let expires = query.values["X-Amz-Expires"] ?? String(SignatureV4.skewMinutesMax * 60)
        guard expires.utf8.count <= 10, expires.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let seconds = Int64(expires) else {
            throw .incompleteSignature("X-Amz-Expires should be a number")
        }
        guard seconds <= SignatureV4.presignedSecondsMax else {
            throw .incompleteSignature(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
                    + "\(SignatureV4.presignedSecondsMax) seconds")
        }
        try self.init(
            form: .query(expiresSeconds: seconds), credential: credential, date: date, signedHeaders: signedHeaders,
            signature: signature, token: query.values["X-Amz-Security-Token"])
    }

    private init(
        form: Form, credential: String, date: String, signedHeaders: String, signature: String, token: String?
    ) throws(SignatureV4.Refusal) {
        let parts = credential.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
        guard parts.count == 5, parts.allSatisfy({ (1...Self.partBytesMax).contains($0.utf8.count) }) else {
            throw .incompleteSignature(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got "
                    + "'\(credential.prefix(256))'")
        }
        guard parts[4] == SigningScope.terminator else {
            throw .signatureDoesNotMatch(
                "Credential should be scoped with a valid terminator: '\(SigningScope.terminator)', not '\(parts[4])'.")
        }
        guard let signed = HTTPDate.read(date, mayBeHTTP: form == .header) else {
            throw .incompleteSignature(
                "Date must be in ISO-8601 'basic format'. Got '\(date.prefix(64))'. See http://en.wikipedia.org/wiki/ISO_8601")
        }
        let day = String(signed.iso8601Basic.prefix(8))
        guard parts[1] == day else {
            throw .signatureDoesNotMatch(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '\(parts[1])' != "
                    + "'\(day)', from '\(signed.iso8601Basic)'.")
        }
        let names = signedHeaders.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
            .map { Substring($0).lowercased() }.sorted()
        guard names.count <= Self.signedHeadersMax, zip(names, names.dropFirst()).allSatisfy({ $0 != $1 }), !names.contains("")
        else {
            throw .incompleteSignature("SignedHeaders must name each header once.")
        }
        guard signature.utf8.count == 64, let signature = bytes(hexDigits: signature) else { throw .signatureDoesNotMatch() }
        guard (token?.utf8.count ?? 0) <= Self.tokenBytesMax else { throw .invalidClientTokenId }
        self.form = form
        accessKey = parts[0]
        scope = SignatureV4.Scope(date: parts[1], region: parts[2], service: parts[3])
        self.signedHeaders = names
        self.signature = signature
        securityToken = token
        self.signed = signed
    }
}

/// The query's parameters that carry a signature.
extension SignatureV4.Claim {
    /// The headers that the maker of a presigned request signed and put into its query, with names in
    /// lower case. One that the request has as a header too is not among them, nor are checksums: SDKs make
    /// these of the body that they have when they presign, which is none.
    public func movedHeaders(of request: SignatureV4.Request) -> [(name: String, value: String)] {
        guard case .query = form else { return [] }
        return QueryParameter.headers(movedFrom: request) { name in
            name.hasPrefix("x-amz-") && !QueryParameters.own.contains(name) && !name.contains("checksum")
        }
    }
}

private struct QueryParameters {
    var values: [String: String] = [:]

    var isPresigned: Bool { values["X-Amz-Algorithm"] != nil || values["X-Amz-Signature"] != nil }

    private static let names: Set<String> = [
        "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
        "X-Amz-Security-Token",
    ]
    /// What says of the signature, or of the client, and nothing of the call.
    static let own = Set(names.map { $0.lowercased() } + ["x-amz-content-sha256", "x-amz-user-agent"])

    /// Throws `incompleteSignature` where one of them comes twice.
    init(_ rawQuery: String) throws(SignatureV4.Refusal) {
        for pair in rawQuery.utf8.split(separator: UInt8(ascii: "&")) {
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(decoding: halves.first.map { PercentEncoding.decoded($0, plusIsSpace: true) } ?? [], as: UTF8.self)
            guard QueryParameters.names.contains(name) else { continue }
            let value = halves.count == 2 ? PercentEncoding.decoded(halves[1], plusIsSpace: true) : []
            guard values.updateValue(String(decoding: value, as: UTF8.self), forKey: name) == nil else {
                throw .incompleteSignature("The parameter '\(name)' is given more than once.")
            }
        }
    }
}

private func split(_ text: some StringProtocol, at separator: UInt8) -> (Substring, Substring?) {
    let text = Substring(text)
    guard let place = text.utf8.firstIndex(of: separator) else { return (text, nil) }
    return (text[..<place], text[text.utf8.index(after: place)...])
}

private func trimmed(_ text: Substring) -> Substring {
    var text = text
    while text.utf8.first == 0x20 || text.utf8.first == 0x09 { text.removeFirst() }
    while text.utf8.last == 0x20 || text.utf8.last == 0x09 { text.removeLast() }
    return text
}
