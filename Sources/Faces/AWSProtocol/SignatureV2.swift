//  Signature Version 2 of the object store ("Signing and Authenticating REST Requests", Amazon S3
//  Developer Guide): the words that its parts share. As with Version 4, a request is read into a Claim,
//  which is then verified with the secret of the key that it names. Nothing here does I/O or reads a clock.

import Crypto
import FoundationEssentials
import Model

/// S3's older request signatures, of header and of query form.
public enum SignatureV2 {
    public typealias Request = SignatureV4.Request

    /// What the `Authorization` header begins with.
    static let scheme = "AWS"
    /// How far a client's clock may be off.
    static let skew = Duration.seconds(SignatureV4.skewMinutesMax * 60)

    /// The parameters of a query that are part of what is signed: those that choose what a request does,
    /// and those that change its answer's headers.
    static let signedParameters: Set<String> = [
        "accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory",
        "legal-hold", "lifecycle", "location", "logging", "metrics", "notification", "object-lock", "ownershipControls",
        "partNumber", "policy", "policyStatus", "publicAccessBlock", "replication", "requestPayment", "restore", "retention",
        "select", "select-type", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
        "response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language",
        "response-content-type", "response-expires",
    ]

    /// Whether a signature in Base64 is the HMAC-SHA1 of a text: a request's string to sign, or a form's policy.
    public static func isValid(_ signature: String, of text: String, secret: String) -> Bool {
        guard let code = Data(base64Encoded: signature) else { return false }
        return HMAC<Insecure.SHA1>.isValidAuthenticationCode(
            code, authenticating: Array(text.utf8), using: SymmetricKey(data: Array(secret.utf8)))
    }

    /// Why a request is not accepted; S3's face chooses code and words.
    public enum Refusal: Error, Sendable, Hashable {
        /// The Authorization header is not `AWS key:signature`.
        case malformedAuthorization
        /// The request is signed in more than one way.
        case severalSignatures
        /// The query lacks one of its three parameters, or has one twice.
        case incompleteQuery
        /// `Expires` is no number of seconds.
        case malformedExpiry(String)
        /// Neither Date nor x-amz-date holds a date.
        case missingDate
        /// Client and server disagree on the time.
        case timeTooSkewed
        /// A presigned request's time is over.
        case expired
        /// The signature is not the one that this request and secret make.
        case signatureDoesNotMatch
    }
}
