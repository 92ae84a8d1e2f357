//  The signature over a form's policy ("Authenticating requests: browser-based uploads using POST",
//  Amazon S3 API Reference): the policy's Base64 text is the string to sign.

import Authority
import Crypto
import Model

extension SignatureV4 {
    /// What a form says of its policy's signature. Nothing in it is proven.
    public struct PolicyClaim: Sendable, Hashable {
        public let accessKey: String
        public let scope: Scope
        /// 32 bytes.
        let signature: [UInt8]

        /// - Parameters:
        ///   - credential: `AKIA…/20151229/us-east-1/s3/aws4_request`
        ///   - date: `20151229T000000Z`
        ///   - signature: In hex.
        /// - Throws: `incompleteSignature`, whose sentence says what is misshapen, and `signatureDoesNotMatch`.
        public init(algorithm: String, credential: String, date: String, signature: String) throws(Refusal) {
            guard algorithm == SignatureV4.algorithm else {
                throw .incompleteSignature("X-Amz-Algorithm only supports \"\(SignatureV4.algorithm)\"")
            }
            let parts = credential.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 5, parts.allSatisfy({ (1...128).contains($0.utf8.count) }), parts[4] == SigningScope.terminator
            else {
                throw .incompleteSignature(
                    "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
            }
            guard let signed = HTTPDate.read(date, mayBeHTTP: false) else {
                throw .incompleteSignature("X-Amz-Date must be formated via ISO8601 Long format")
            }
            guard parts[1] == signed.iso8601Basic.prefix(8) else {
                throw .incompleteSignature("the date of the Credential is not that of X-Amz-Date")
            }
            guard signature.utf8.count == 64, let signature = bytes(hexDigits: signature) else { throw .signatureDoesNotMatch() }
            accessKey = parts[0]
            scope = Scope(date: parts[1], region: parts[2], service: parts[3])
            self.signature = signature
        }

        /// - Parameter policy: In Base64, as it was sent.
        public func verify(_ policy: String, secret: SigningSecret) throws(Refusal) {
            let key = secret.key(in: scope)
            guard HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: Array(policy.utf8), using: key) else {
                throw .signatureDoesNotMatch()
            }
        }
    }
}
