//  Why a signature is refused, and how the services that use the Query protocols say so.

import Model

extension SignatureV4 {
    /// Why a request is not accepted. The face's dialect chooses code and words.
    public enum Refusal: Error, Sendable, Hashable {
        /// Nothing in the request says who sends it.
        case missingAuthenticationToken
        /// Something that the form asks for is missing or misshapen; the sentence says what.
        case incompleteSignature(String)
        /// No such access key, or it is switched off: for the caller, who looks keys up.
        case invalidClientTokenId
        /// The signature is not the one that this request and secret make.
        case signatureDoesNotMatch(String = Refusal.mismatch)
        /// Signed, or presigned, too long ago.
        case expired(String)
        /// Signed in the future.
        case notYetCurrent(String)
        /// These headers must be signed and are not.
        case headersNotSigned([String])
        /// The same signature was used before, for a call that must not be done twice.
        case replayed
        /// The body is not the one whose hash the header states.
        case payloadMismatch

        public static let mismatch =
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and "
            + "signing method. Consult the service documentation for details."
    }
}

extension SignatureV4.Refusal {
    /// The refusal as the services of a dialect word it.
    public func error(_ dialect: Dialect) -> AWSError {
        switch (self, dialect) {
        case (.missingAuthenticationToken, .ec2):
            AWSError(
                "MissingAuthenticationToken", "Request must contain a valid (registered) AWS access key ID or X.509 certificate.",
                status: 403)
        case (.missingAuthenticationToken, .query):
            AWSError("MissingAuthenticationToken", "Request is missing Authentication Token", status: 403)
        case (.incompleteSignature(let message), _): AWSError("IncompleteSignature", message, status: 400)
        case (.invalidClientTokenId, .ec2), (.signatureDoesNotMatch, .ec2), (.headersNotSigned, .ec2), (.payloadMismatch, .ec2):
            AWSError("AuthFailure", "AWS was not able to validate the provided access credentials", status: 401)
        case (.expired, .ec2): AWSError("RequestExpired", "Request has expired.", status: 400)
        case (.replayed, .ec2): AWSError("RequestExpired", "Request has expired. \(explanation)", status: 400)
        case (.replayed, .query): AWSError("SignatureDoesNotMatch", explanation, status: 403)
        case (.notYetCurrent, .ec2): AWSError("RequestExpired", "Request is not yet valid.", status: 400)
        case (.invalidClientTokenId, .query):
            AWSError("InvalidClientTokenId", "The security token included in the request is invalid.", status: 403)
        case (.signatureDoesNotMatch(let message), .query), (.expired(let message), .query), (.notYetCurrent(let message), .query):
            AWSError("SignatureDoesNotMatch", message, status: 403)
        case (.headersNotSigned, .query), (.payloadMismatch, .query): AWSError("SignatureDoesNotMatch", explanation, status: 403)
        }
    }

    /// The whole reason, for the log and for `karri trace`; holds nothing secret.
    public var explanation: String {
        switch self {
        case .missingAuthenticationToken: "The request is not signed"
        case .invalidClientTokenId: "The access key is not known or not active"
        case .incompleteSignature(let message), .signatureDoesNotMatch(let message), .expired(let message),
            .notYetCurrent(let message):
            message
        case .headersNotSigned(let names):
            names == ["host"]
                ? "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
                : "There were headers present in the request which were not signed: \(names.joined(separator: ", "))"
        case .replayed: "Its signature was used before: sign each call anew."
        case .payloadMismatch: "The provided 'x-amz-content-sha256' header does not match what was computed."
        }
    }

    /// The refusal as the core's error.
    public var fault: Fault {
        switch self {
        case .missingAuthenticationToken, .incompleteSignature, .invalidClientTokenId: Fault(.notAuthenticated, explanation)
        case .signatureDoesNotMatch, .headersNotSigned, .payloadMismatch: Fault(.signatureMismatch, explanation)
        case .expired, .notYetCurrent, .replayed: Fault(.expired, explanation)
        }
    }
}
