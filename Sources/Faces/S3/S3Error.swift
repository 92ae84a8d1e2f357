//  The service's faults in S3's codes and words ("Error responses", Amazon S3 API Reference). What only a request can be
//  wrong in stands beside its parser.

import AWSProtocol
import Authority
import Model
import ObjectStorage
import Objects

/// An error as S3's clients read it.
struct S3Error: Error, Sendable, Hashable {
    var code: Code
    var message: String
    /// What the answer says besides, by its fields' names.
    var fields: [String: String] = [:]
    /// Further elements of the body.
    var details: [Detail] = []

    struct Detail: Sendable, Hashable {
        var name: String
        var text: String
    }

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    var status: Int { code.status }

    var isInternal: Bool { status == 500 }

    /// The body of the response.
    func body(resource: String, requestID: String) -> [UInt8] {
        var xml = XMLWriter(capacity: 512)
        xml.declaration()
        xml.open("Error")
        xml.element("Code", code.name)
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
    static let notAllowed = S3Error(.methodNotAllowed, "The specified method is not allowed against this resource.")
    static let accessDenied = S3Error(.accessDenied, "Access Denied")
    static let incompleteBody = S3Error(
        .incompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header")
    static let timeTooSkewed = S3Error(
        .requestTimeTooSkewed, "The difference between the request time and the current time is too large.")
    static let requestExpired = S3Error(.accessDenied, "Request has expired")
    static let malformedAddress = S3Error(.invalidURI, "Couldn't parse the specified URI.")
    static let unknownPage = invalidArgument("The continuation token provided is incorrect")
    static let missingBody = S3Error(.missingRequestBodyError, "Request Body is empty")
    static let malformedChunks = S3Error.invalidRequest("The chunks of the body are malformed")

    static func invalidArgument(_ message: String) -> S3Error { S3Error(.invalidArgument, message) }

    static func invalidRequest(_ message: String) -> S3Error { S3Error(.invalidRequest, message) }

    static func notImplemented(_ what: String) -> S3Error {
        S3Error(.notImplemented, "A header or parameter you provided implies functionality that is not implemented: \(what)")
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
        if let marker = fault.subject, marker.kind == .version, code != .noSuchVersion {
            fields["x-amz-delete-marker"] = "true"
            fields["x-amz-version-id"] = VersionID(bits: marker.bits).spelled
            fields["last-modified"] = fault.facts[Fault.modifiedFact].flatMap { Instant(iso8601: $0) }.map(HTTPDate.text)
            if status == 405 { fields["allow"] = "DELETE" }
        } else if code == .noSuchKey {
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
        case (.notFound, .bucket): self.init(.noSuchBucket, fault.message)
        case (.notFound, .version): self.init(.noSuchVersion, fault.message)
        case (.wrongState, .version), (.notOwner, _): self = .notAllowed
        case (.wrongState, .bucket): self.init(.invalidBucketState, fault.message)
        case (.protected, _): self.init(.accessDenied, fault.message)
        case (.noSuchKey, _): self.init(.kmsNotFound, fault.message)
        case (.keyIsDisabled, _): self.init(.kmsDisabled, fault.message)
        case (.quotaExceeded, _): self.init(.quotaExceeded, fault.message)
        case (.checksumMismatch, _): self.init(.badDigest, fault.message)
        case (.invalidLogTarget, _): self.init(.invalidTargetBucketForLogging, fault.message)
        case (.listsAreOff, _): self.init(.accessControlListNotSupported, fault.message)
        case (.listsGrantToOthers, _): self.init(.invalidBucketAclWithObjectOwnership, fault.message)
        case (.noSuchEmail, _): self.init(.unresolvableGrantByEmailAddress, fault.message)
        case (.invalidTag, _): self.init(.invalidTag, fault.message)
        case (.malformedPolicy, _): self.init(.malformedPolicy, fault.message)
        case (.limitExceeded, .policy): self.init(.policyTooLarge, "Policy exceeds the maximum allowed document size.")
        case (.limitExceeded, .bucket): self.init(.tooManyBuckets, fault.message)
        case (.notFound, .upload): self.init(.noSuchUpload, fault.message)
        case (.notFound, .part): self.init(.invalidPart, fault.message)
        case (.partsOutOfOrder, _): self.init(.invalidPartOrder, fault.message)
        case (.tooSmall, _): self.init(.entityTooSmall, fault.message)
        case (.invalidRetentionPeriod, _): self.init(.invalidRetentionPeriod, fault.message)
        case (.invalidRange, _): self.init(.invalidRange, fault.message)
        case (.notFound, _): self.init(.noSuchKey, "The specified key does not exist.")
        case (.alreadyExists, .bucket): self.init(.bucketAlreadyExists, fault.message)
        case (.inUse, .bucket): self.init(.bucketNotEmpty, fault.message)
        case (.invalidParameter, .bucket): self.init(.invalidBucketName, fault.message)
        case (.invalidParameter, _): self.init(.invalidArgument, fault.message)
        case (.preconditionFailed, _): self.init(.preconditionFailed, fault.message)
        case (.keyTooLong, _): self.init(.keyTooLongError, fault.message)
        case (.tooLarge, _): self.init(.entityTooLarge, fault.message)
        case (.denied, _), (.expired, _): self.init(.accessDenied, fault.message)
        case (.notSupported, _): self = .notImplemented(fault.message)
        case (.malformedRequest, _): self.init(.invalidRequest, fault.message)
        // Not a status that clients try again at once: only somebody can make room.
        case (.diskIsFull, _): self.init(.insufficientCapacity, "There is no room left on the store's disk.")
        case (.conflict, _):
            self.init(
                .operationAborted,
                "A conflicting conditional operation is currently in progress against this resource. Please try again.")
        case (.unavailable, _), (.timedOut, _), (.rateExceeded, _): self.init(.slowDown, "Please reduce your request rate.")
        default: self.init(.internalError, "We encountered an internal error. Please try again.")
        }
    }

    /// - Parameter isPresigned: Whether the signature is in the address.
    init(_ refusal: SignatureV4.Refusal, isPresigned: Bool = false) {
        switch refusal {
        case .missingAuthenticationToken: self = .accessDenied
        case .incompleteSignature(let message):
            self.init(isPresigned ? .authorizationQueryParametersError : .authorizationHeaderMalformed, message)
        case .invalidClientTokenId:
            self.init(.invalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
        case .signatureDoesNotMatch:
            self.init(
                .signatureDoesNotMatch,
                "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
        case .notYetCurrent where !isPresigned:
            self = .timeTooSkewed
        case .expired where isPresigned: self = .requestExpired
        case .expired where refusal.explanation.hasPrefix("Signature expired"):
            self = .timeTooSkewed
        case .expired, .notYetCurrent, .headersNotSigned, .replayed: self.init(.accessDenied, refusal.explanation)
        case .payloadMismatch:
            self.init(.xAmzContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
        }
    }
}

extension S3Error {
    /// The same error, with what it is about.
    func about(_ operation: S3Operation) -> S3Error {
        var error = self
        switch (code, operation) {
        case (.noSuchKey, _), (.noSuchVersion, _):
            if let key = operation.object?.key { error.details.append(Detail(name: "Key", text: key.description)) }
        case (.noSuchUpload, .uploadPart(_, let part)), (.noSuchUpload, .uploadPartCopy(_, let part)):
            error.details.append(Detail(name: "UploadId", text: part.upload.text))
        case (.noSuchUpload, .listParts(_, let upload)), (.noSuchUpload, .completeMultipartUpload(_, let upload)),
            (.noSuchUpload, .abortMultipartUpload(_, let upload)):
            error.details.append(Detail(name: "UploadId", text: upload.text))
        case (let code, _) where status == 404 && code.name.hasPrefix("NoSuch") || code.name.hasPrefix("Bucket"):
            if let bucket = operation.bucket { error.details.append(Detail(name: "BucketName", text: bucket)) }
        default: break
        }
        return error
    }
}
