//  From a request's bytes to what it claims under Signature Version 2: by which key, when, with which
//  signature.

import Model

extension SignatureV2 {
    /// What a request says of its own signature. Nothing in it is proven.
    public struct Claim: Sendable, Hashable {
        public enum Form: Sendable, Hashable {
            case header(signed: Instant)
            /// Presigned.
            case query(expires: Instant)
        }

        public let form: Form
        /// `AKIA…`: whose secret is to be looked up.
        public let accessKey: String
        /// In Base64, as it was sent.
        public let signature: String
        /// The token of temporary credentials.
        public let securityToken: String?
        /// What the string to sign has for a date.
        let dateLine: String

        /// Reads the claim from the `Authorization` header or from the query.
        ///
        /// - Returns: Nil where the request is not signed in this way.
        public init?(_ request: Request) throws(Refusal) {
            let authorizations = request.values("authorization")
            let parameters = QueryParameter.all(request.rawQuery)
            let space = UInt8(ascii: " ")
            let isHeader = authorizations.contains {
                $0.utf8.drop { $0 == space }.prefix { $0 != space }.elementsEqual(SignatureV2.scheme.utf8)
            }
            let isQuery = parameters.contains { $0.name == "AWSAccessKeyId" || $0.name == "Signature" }
            guard isHeader || isQuery else { return nil }
            let isVersion4 = parameters.contains { $0.name == "X-Amz-Algorithm" || $0.name == "X-Amz-Signature" }
            guard authorizations.count + (isQuery ? 1 : 0) + (isVersion4 ? 1 : 0) == 1 else { throw .severalSignatures }
            self = isQuery ? try Claim(query: parameters) : try Claim(authorization: authorizations[0], request)
        }
    }
}

extension SignatureV2.Claim {
    private static let accessKeyBytesMax = 128
    /// Twelve digits reach far beyond all clocks.
    private static let expiryDigitsMax = 12

    /// `AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=`
    private init(authorization: String, _ request: SignatureV2.Request) throws(SignatureV2.Refusal) {
        let words = authorization.split(separator: " ")
        let parts = words.count == 2 ? words[1].split(separator: ":", omittingEmptySubsequences: false) : []
        guard parts.count == 2, (1...Self.accessKeyBytesMax).contains(parts[0].utf8.count), !parts[1].isEmpty else {
            throw .malformedAuthorization
        }
        let dates = request.values("x-amz-date")
        let text = dates.isEmpty ? request.values("date").first : dates.joined(separator: ",")
        guard let text, let signed = HTTPDate.read(text, mayBeHTTP: true), signed.seconds >= 0 else { throw .missingDate }
        form = .header(signed: signed)
        accessKey = String(parts[0])
        signature = String(parts[1])
        securityToken = request.values("x-amz-security-token").first
        dateLine = dates.isEmpty ? text : ""
    }

    private init(query: [QueryParameter]) throws(SignatureV2.Refusal) {
        func parameter(_ name: String) throws(SignatureV2.Refusal) -> String {
            let values = query.filter { $0.name == name }.map(\.value)
            guard values.count == 1, let value = values[0], !value.isEmpty else { throw .incompleteQuery }
            return value
        }
        accessKey = try parameter("AWSAccessKeyId")
        guard accessKey.utf8.count <= Self.accessKeyBytesMax else { throw .incompleteQuery }
        // Many a client leaves the plus signs of Base64 as they are.
        signature = String(try parameter("Signature").map { $0 == " " ? "+" : $0 })
        dateLine = try parameter("Expires")
        guard dateLine.utf8.count <= Self.expiryDigitsMax, dateLine.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let seconds = Int64(dateLine)
        else { throw .malformedExpiry(dateLine) }
        form = .query(expires: Instant(seconds: seconds))
        securityToken = query.first { $0.name.lowercased() == "x-amz-security-token" }?.value
    }
}

/// One parameter of a query string.
struct QueryParameter: Sendable, Hashable {
    /// Decoded.
    var name: String
    /// Decoded; nil where there is no equals sign.
    var value: String?
    /// As sent.
    var raw: String

    /// The parameters of a presigned request that are headers, unless it has them as headers too.
    ///
    /// - Parameter isHeader: Whether a name, in lower case, is a header's.
    static func headers(
        movedFrom request: SignatureV4.Request, where isHeader: (String) -> Bool
    ) -> [(name: String, value: String)] {
        all(request.rawQuery).compactMap { parameter in
            let name = parameter.name.lowercased()
            return isHeader(name) && request.values(name).isEmpty ? (name, parameter.value ?? "") : nil
        }
    }

    static func all(_ rawQuery: String) -> [QueryParameter] {
        rawQuery.utf8.split(separator: UInt8(ascii: "&")).map { pair in
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let texts = halves.map { String(decoding: PercentEncoding.decoded($0, plusIsSpace: true), as: UTF8.self) }
            return QueryParameter(
                name: texts[0], value: texts.count == 2 ? texts[1] : nil, raw: String(decoding: pair, as: UTF8.self))
        }
    }
}
