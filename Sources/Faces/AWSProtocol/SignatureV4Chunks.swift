//  Bodies that are signed chunk by chunk: each signature covers the one before it (Amazon S3 API
//  Reference, "Signature calculations for the authorization header: transferring payload in multiple chunks").

import Authority
import Crypto
import Model

extension SignatureV4 {
    /// The signatures over the chunks of one body, from the request's own on.
    public struct ChunkChain: Sendable {
        private let key: SymmetricKey
        /// Time and scope, as each string to sign has them.
        private let circumstances: String
        private var previous: String

        /// - Parameter claim: The request's, which has been verified with `secret`.
        public init(after claim: Claim, secret: SigningSecret, keys: SigningKeys? = nil) {
            key = keys?.key(for: claim, secret: secret) ?? secret.key(in: claim.scope)
            circumstances = "\(claim.signed.iso8601Basic)\n\(claim.scope.text)"
            previous = hexDigits(claim.signature)
        }

        /// Whether a chunk's signature is right; the next chunk is then to follow it.
        ///
        /// - Parameter hash: The SHA-256 of the chunk's bytes, in lower-case hex.
        public mutating func accepts(_ signature: String, hash: String) -> Bool {
            accepts(signature, "PAYLOAD", "\(ChunkChain.hashOfNothing)\n\(hash)")
        }

        /// Whether the signature of the trailing headers is right.
        ///
        /// - Parameter hash: The SHA-256 of their lines `name:value`, each ended by a line feed.
        public mutating func acceptsTrailer(_ signature: String, hash: String) -> Bool { accepts(signature, "TRAILER", hash) }

        private mutating func accepts(_ signature: String, _ what: String, _ hashes: String) -> Bool {
            let text = "\(SignatureV4.algorithm)-\(what)\n\(circumstances)\n\(previous)\n\(hashes)"
            let expected = hexDigits(Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: key)))
            previous = expected
            return signature == expected
        }

        private static let hashOfNothing = hexDigits(Array(SHA256.hash(data: [UInt8]())))
    }
}
