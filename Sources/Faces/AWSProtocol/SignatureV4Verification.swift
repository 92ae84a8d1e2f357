//  Is the claim true? Time, signed headers, payload and signature, in that order, so that what costs
//  least is refused first and what needs the secret comes last.

import Authority
import Crypto
import Model

extension SignatureV4 {
    /// A claim that held, and what is left to check while the body is read.
    public struct Verified: Sendable, Hashable {
        public let claim: Claim
        public let payload: Payload
        /// From then on the same request is refused for its age: how long a replay must be remembered.
        public let validUntil: Instant

        public enum Payload: Sendable, Hashable {
            /// The body's hash is covered by the signature.
            case checked
            /// The signature covers this hash (lower-case hex); the body is still to be compared with it.
            case declared(String)
            /// The client left the body out of the signature.
            case unsigned
            /// The body comes in chunks of this form (`STREAMING-…`).
            case streaming(String)
        }
    }
}

extension SignatureV4.Claim {
    private static let minute: Duration = .seconds(60)

    /// Checks the claim against the request and the key's secret. `keys` remembers derived keys. A face
    /// of forms gives `.normalized` as its path style whatever the scope says: then no scope that a
    /// client chose leaves the body, which is the call itself, unsigned.
    /// Throws `expired`, `notYetCurrent`, `headersNotSigned`, `payloadMismatch`, `incompleteSignature`
    /// and `signatureDoesNotMatch`.
    public func verify(
        _ request: SignatureV4.Request, secret: SigningSecret, now: Instant, pathStyle: SignatureV4.PathStyle? = nil,
        keys: SignatureV4.SigningKeys? = nil
    ) throws(SignatureV4.Refusal) -> SignatureV4.Verified {
        try checkTime(now)
        try checkSignedHeaders(request)
        let pathStyle = pathStyle ?? SignatureV4.PathStyle(service: scope.service)
        let (payloadHash, payload) = try self.payload(request, pathStyle)
        let candidates = SignatureV4.Canonical.requests(
            request, signedHeaders: signedHeaders, payloadHash: payloadHash, pathStyle: pathStyle)
        let known = keys?.key(for: self, secret: secret)
        let key = known ?? secret.key(in: scope)
        let genuine = candidates.contains { canonical in
            HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: Array(stringToSign(canonical).utf8), using: key)
        }
        guard genuine else { throw .signatureDoesNotMatch() }
        // Kept only now: whoever knows a key's public half must not be able to flush the cache.
        if known == nil { keys?.keep(key, for: self, secret: secret) }
        return SignatureV4.Verified(claim: self, payload: payload, validUntil: validUntil)
    }

    func stringToSign(_ canonicalRequest: String) -> String {
        let hash = hexDigits(SHA256.hash(data: Array(canonicalRequest.utf8)))
        return "\(SignatureV4.algorithm)\n\(signed.iso8601Basic)\n\(scope.text)\n\(hash)"
    }

    private var skew: Duration { Self.minute * Double(SignatureV4.skewMinutesMax) }

    private var validUntil: Instant {
        switch form {
        case .header: signed + skew
        case .query(let seconds): signed + .seconds(seconds)
        }
    }

    private func checkTime(_ now: Instant) throws(SignatureV4.Refusal) {
        let minutes = SignatureV4.skewMinutesMax
        if signed > now + skew {
            throw .notYetCurrent(
                "Signature not yet current: \(signed.iso8601Basic) is still later than \((now + skew).iso8601Basic) "
                    + "(\(now.iso8601Basic) + \(minutes) min.)")
        }
        guard now > validUntil else { return }
        switch form {
        case .header:
            throw .expired(
                "Signature expired: \(signed.iso8601Basic) is now earlier than \((now - skew).iso8601Basic) "
                    + "(\(now.iso8601Basic) - \(minutes) min.)")
        case .query:
            throw .expired("Signature expired: \(validUntil.iso8601Basic) is now earlier than \(now.iso8601Basic)")
        }
    }

    /// Host and every `x-amz-` header must be signed, or a stranger on the way could change them.
    private func checkSignedHeaders(_ request: SignatureV4.Request) throws(SignatureV4.Refusal) {
        guard signedHeaders.contains("host") else { throw .headersNotSigned(["host"]) }
        let unsigned = request.headers.lazy.map(\.name).filter { name in
            !signedHeaders.contains { SignatureV4.Request.isNamed(name, $0) } && name.lowercased().hasPrefix("x-amz-")
        }
        guard unsigned.isEmpty else { throw .headersNotSigned(Set(unsigned.map { $0.lowercased() }).sorted()) }
    }

    /// The last line of the canonical request, and what it means for the body.
    private func payload(
        _ request: SignatureV4.Request, _ pathStyle: SignatureV4.PathStyle
    ) throws(SignatureV4.Refusal) -> (String, SignatureV4.Verified.Payload) {
        let stated = request.values("x-amz-content-sha256")
        guard stated.count <= 1 else { throw .incompleteSignature("There is more than one x-amz-content-sha256.") }
        guard let stated = stated.first ?? SignatureV4.Canonical.parameter("X-Amz-Content-Sha256", of: request.rawQuery) else {
            if form != .header, pathStyle == .asSent { return ("UNSIGNED-PAYLOAD", .unsigned) }
            guard case .hashed(let hash) = request.body else {
                throw .incompleteSignature("Missing required header for this request: x-amz-content-sha256")
            }
            return (hash, .checked)
        }
        if stated == "UNSIGNED-PAYLOAD" || stated.hasPrefix("STREAMING-") {
            // A form that carries the call's parameters must be signed; only objects' bodies need not.
            guard pathStyle == .asSent, stated.utf8.count <= 64 else { throw .payloadMismatch }
            return (stated, stated == "UNSIGNED-PAYLOAD" ? .unsigned : .streaming(stated))
        }
        switch request.body {
        case .hashed(let hash):
            guard hash == stated.lowercased() else { throw .payloadMismatch }
            return (stated, .checked)
        case .unread: return (stated, .declared(stated.lowercased()))
        }
    }
}

extension SignatureV4.Canonical {
    /// The first value of a query parameter.
    static func parameter(_ name: String, of rawQuery: String) -> String? {
        for pair in rawQuery.utf8.split(separator: UInt8(ascii: "&")) {
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = halves.first, PercentEncoding.decoded(first, plusIsSpace: true).elementsEqual(name.utf8) else {
                continue
            }
            let value = halves.count == 2 ? PercentEncoding.decoded(halves[1], plusIsSpace: true) : []
            return String(decoding: value, as: UTF8.self)
        }
        return nil
    }
}
