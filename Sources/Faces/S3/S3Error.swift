//  The core's faults in S3's codes and words ("Error responses", Amazon S3 API Reference).

import AWSProtocol
import Authority
import Model
import ObjectStorage
import Objects

/// An error as S3's clients read it.
struct S3Error: Error, Sendable, Hashable {
    var code: String
    var message: String
    var status: Int
    /// What the answer says besides, by its fields' names.
    var fields: [String: String] = [:]
    /// Further elements of the body.
    var details: [Detail] = []

    struct Detail: Sendable, Hashable {
        var name: String
        var text: String
    }

    init(_ code: String, _ message: String, _ status: Int = 400) {
        self.code = code
        self.message = message
        self.status = status
    }

    var isInternal: Bool { status == 500 }

    /// The body of the response.
    func body(resource: String, requestID: String) -> [UInt8] {
        var xml = XMLWriter(capacity: 512)
        xml.declaration()
        xml.open("Error")
        xml.element("Code", code)
        xml.element("Message", message)
        for detail in details {
            xml.open(detail.name)
            xml.text(detail.text)
            xml.close(detail.name)
        }
        xml.element("Resource", resource)
        xml.element("RequestId", requestID)
        xml.close("Error")
        return xml.bytes
    }
}

extension S3Error {
    static let notAllowed = S3Error("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
    static let accessDenied = S3Error("AccessDenied", "Access Denied", 403)
    static let incompleteBody = S3Error(
        "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header")
    static let malformedChunks = S3Error("InvalidRequest", "The chunks of the body are malformed")

    static func notImplemented(_ what: String) -> S3Error {
        S3Error("NotImplemented", "A header or parameter you provided implies functionality that is not implemented: \(what)", 501)
    }

    /// What a call was refused for, in S3's words.
    init(of error: any Error) {
        switch error {
        case let error as S3Error: self = error
        case let fault as Fault: self.init(fault)
        default: self.init(Fault(.internalError, "An error of another library.", because: error))
        }
    }

    init(_ fault: Fault) {
        self.init(wording: fault)
        // The fault is about a delete marker.
        if let marker = fault.subject, marker.kind == .version, code != "NoSuchVersion" {
            fields["x-amz-delete-marker"] = "true"
            fields["x-amz-version-id"] = VersionID(bits: marker.bits).spelled
            fields["last-modified"] = fault.facts[Fault.modifiedFact].flatMap { Instant(iso8601: $0) }.map(HTTPDate.text)
            if status == 405 { fields["allow"] = "DELETE" }
        } else if code == "NoSuchKey" {
            fields["x-amz-delete-marker"] = "false"
        }
    }

    private init(wording fault: Fault) {
        self.init(coding: fault)
        if let condition = fault.facts[Fault.conditionFact] {
            details = [Detail(name: "Condition", text: condition)]
        }
    }

    private init(coding fault: Fault) {
        switch (fault.code, fault.kind) {
        case (.notFound, .bucket): self.init("NoSuchBucket", fault.message, 404)
        case (.notFound, .version): self.init("NoSuchVersion", fault.message, 404)
        case (.wrongState, .version): self.init("MethodNotAllowed", fault.message, 405)
        case (.wrongState, .bucket): self.init("InvalidBucketState", fault.message, 409)
        case (.protected, _): self.init("AccessDenied", fault.message, 403)
        case (.noSuchKey, _): self.init("KMS.NotFoundException", fault.message)
        case (.keyIsDisabled, _): self.init("KMS.DisabledException", fault.message)
        case (.quotaExceeded, _): self.init("QuotaExceeded", fault.message, 403)
        case (.notOwner, _): self = .notAllowed
        case (.checksumMismatch, _): self.init("BadDigest", fault.message)
        case (.invalidLogTarget, _): self.init("InvalidTargetBucketForLogging", fault.message)
        case (.listsAreOff, _): self.init("AccessControlListNotSupported", fault.message)
        case (.listsGrantToOthers, _): self.init("InvalidBucketAclWithObjectOwnership", fault.message)
        case (.noSuchEmail, _): self.init("UnresolvableGrantByEmailAddress", fault.message)
        case (.invalidTag, _): self.init("InvalidTag", fault.message)
        case (.malformedPolicy, _): self.init("MalformedPolicy", fault.message)
        case (.limitExceeded, .policy): self.init("PolicyTooLarge", fault.message)
        case (.limitExceeded, .bucket): self.init("TooManyBuckets", fault.message)
        case (.notFound, .upload): self.init("NoSuchUpload", fault.message, 404)
        case (.notFound, .part): self.init("InvalidPart", fault.message)
        case (.invalidRange, _): self.init("InvalidRange", fault.message, 416)
        case (.invalidParameter, .part): self.init("InvalidPartOrder", fault.message)
        case (.wrongState, .part): self.init("EntityTooSmall", fault.message)
        case (.notFound, _), (.bodyIsGone, _): self.init("NoSuchKey", "The specified key does not exist.", 404)
        case (.alreadyExists, .bucket): self.init("BucketAlreadyExists", fault.message, 409)
        case (.inUse, .bucket): self.init("BucketNotEmpty", fault.message, 409)
        case (.invalidParameter, .bucket): self.init("InvalidBucketName", fault.message)
        case (.invalidParameter, _), (.pageToken, _): self.init("InvalidArgument", fault.message)
        case (.preconditionFailed, _): self.init("PreconditionFailed", fault.message, 412)
        case (.malformedId, .object): self.init("KeyTooLongError", fault.message)
        case (.tooLarge, _): self.init("EntityTooLarge", fault.message)
        case (.denied, _), (.expired, _): self.init("AccessDenied", fault.message, 403)
        case (.notSupported, _): self = .notImplemented(fault.message)
        case (.missingParameter, .object): self.init("MissingContentLength", fault.message, 411)
        case (.limitExceeded, .object): self.init("MetadataTooLarge", fault.message)
        case (.malformedRequest, _): self.init("InvalidRequest", fault.message)
        // Not a status that clients try again at once: only somebody can make room.
        case (.diskIsFull, _): self.init("InsufficientCapacity", "There is no room left on the store's disk.", 507)
        case (.conflict, _):
            self.init(
                "OperationAborted",
                "A conflicting conditional operation is currently in progress against this resource. Please try again.", 409)
        case (.unavailable, _), (.timedOut, _), (.rateExceeded, _): self.init("SlowDown", "Please reduce your request rate.", 503)
        default: self.init("InternalError", "We encountered an internal error. Please try again.", 500)
        }
    }

    /// - Parameter isPresigned: Whether the signature is in the address.
    init(_ refusal: SignatureV4.Refusal, isPresigned: Bool = false) {
        switch refusal {
        case .missingAuthenticationToken: self = .accessDenied
        case .incompleteSignature(let message):
            self.init(isPresigned ? "AuthorizationQueryParametersError" : "AuthorizationHeaderMalformed", message)
        case .invalidClientTokenId:
            self.init("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403)
        case .signatureDoesNotMatch:
            self.init(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
                403)
        case .notYetCurrent where !isPresigned:
            self.init(
                "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", 403)
        case .expired where isPresigned: self.init("AccessDenied", "Request has expired", 403)
        case .expired where refusal.explanation.hasPrefix("Signature expired"):
            self.init(
                "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", 403)
        case .expired, .notYetCurrent, .headersNotSigned, .replayed: self.init("AccessDenied", refusal.explanation, 403)
        case .payloadMismatch:
            self.init(
                "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
        }
    }
}
