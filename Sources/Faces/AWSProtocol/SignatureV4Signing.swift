//  The client's half of Signature Version 4, for our own clients of a cloud: it signs what the
//  other half verifies.

import Authority
import Crypto
import Model

extension SignatureV4 {
    /// The headers that sign a request by header: `x-amz-date` and `authorization`.
    ///
    /// - Parameters:
    ///   - request: With the headers that are to be signed, `Host` among them; its body's hash is signed.
    ///   - now: When it is signed.
    public static func signature(
        of request: Request, bodyHash: String, accessKey: String, secret: String, region: String, service: String, now: Instant
    ) -> [(name: String, value: String)] {
        let time = now.iso8601Basic
        let scope = Scope(date: String(time.prefix(8)), region: region, service: service)
        var signed = request
        signed.headers.append((name: "x-amz-date", value: time))
        let names = signed.headers.map { $0.name.lowercased() }.sorted()
        let canonical = Canonical.requests(
            signed, signedHeaders: names, payloadHash: bodyHash, pathStyle: PathStyle(service: service))[0]
        let text = "\(algorithm)\n\(time)\n\(scope.text)\n\(hexDigits(SHA256.hash(data: Array(canonical.utf8))))"
        let key = SigningSecret.whole(secret).key(in: scope)
        let signature = hexDigits(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key))
        let authorization =
            "\(algorithm) Credential=\(accessKey)/\(scope.text), SignedHeaders=\(names.joined(separator: ";")), Signature=\(signature)"
        return [(name: "x-amz-date", value: time), (name: "authorization", value: authorization)]
    }
}
