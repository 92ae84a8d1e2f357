//  Is a claim of Signature Version 2 true? Time first, which needs no secret, then the signature.

import Model

extension SignatureV2.Claim {
    /// Checks the claim against the request and the key's secret. The body is covered only where the
    /// request has a Content-MD5.
    ///
    /// - Parameter bucket: The bucket that the Host header names, where the path does not.
    /// - Throws: `timeTooSkewed`, `expired` and `signatureDoesNotMatch`.
    public func verify(
        _ request: SignatureV2.Request, bucket: String? = nil, secret: String, now: Instant
    ) throws(SignatureV2.Refusal) {
        switch form {
        case .header(let signed):
            guard signed <= now + SignatureV2.skew, now <= signed + SignatureV2.skew else { throw .timeTooSkewed }
        case .query(let expires):
            guard now <= expires else { throw .expired }
        }
        let texts = SignatureV2.stringsToSign(request, self, bucket: bucket)
        guard texts.contains(where: { SignatureV2.isValid(signature, of: $0, secret: secret) }) else {
            throw .signatureDoesNotMatch
        }
    }
}
