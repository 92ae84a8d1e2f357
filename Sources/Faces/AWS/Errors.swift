//  The core's faults in AWS's codes and words: one table for EC2, one for the older query services.
//  Sources: "Error codes for the Amazon EC2 API" and the services' common errors.

import AWSProtocol
import Model

extension AWSError {
    /// What a caller reads of a fault. Causes beneath stay in the log.
    init(_ fault: Fault, _ dialect: Dialect) {
        switch dialect {
        case .ec2: self = AWSError(ec2: fault)
        case .query: self = AWSError(query: fault)
        }
    }

    /// Whether the cloud, and not the caller, has something to mend.
    var isInternal: Bool { status >= 500 && code != "InsufficientInstanceCapacity" && code != "RequestLimitExceeded" }

    private init(ec2 fault: Fault) {
        let message = Words.sentence(fault)
        switch (fault.code, fault.kind) {
        case (.notFound, let kind): self.init(Words.notFoundCode(kind), message)
        case (.malformedId, let kind): self.init(Words.malformedCode(kind), message)
        case (.alreadyExists, .keyPair): self.init("InvalidKeyPair.Duplicate", message)
        case (.alreadyExists, .group): self.init("InvalidGroup.Duplicate", message)
        case (.alreadyExists, .rule): self.init("InvalidPermission.Duplicate", message)
        case (.alreadyExists, .image): self.init("InvalidAMIName.Duplicate", message)
        case (.alreadyExists, _): self.init("ResourceAlreadyExists", message)

        case (.inUse, .address): self.init("InvalidIPAddress.InUse", message)
        case (.inUse, .volume): self.init("VolumeInUse", message)
        case (.inUse, _): self.init("DependencyViolation", message)
        case (.wrongState, .instance): self.init("IncorrectInstanceState", message)
        case (.wrongState, .image), (.badImage, _): self.init("InvalidAMIID.Unavailable", message)
        case (.wrongState, _): self.init("IncorrectState", message)
        case (.protected, .group): self.init("CannotDelete", message)
        case (.protected, _): self.init("OperationNotPermitted", message)

        case (.noCapacity, _): self.init("InsufficientInstanceCapacity", message, status: 500)
        case (.noAddress, .subnet): self.init("InsufficientFreeAddressesInSubnet", message)
        case (.noAddress, _): self.init("InsufficientAddressCapacity", message)
        case (.limitExceeded, .instance): self.init("InstanceLimitExceeded", message)
        case (.limitExceeded, .group): self.init("SecurityGroupLimitExceeded", message)
        case (.limitExceeded, .rule): self.init("RulesPerSecurityGroupLimitExceeded", message)
        case (.limitExceeded, _): self.init("ResourceLimitExceeded", message)
        case (.tooManyTags, _): self.init("TagLimitExceeded", message)

        case (.invalidParameter, .keyPair): self.init("InvalidKey.Format", message)
        case (.invalidParameter, .volume): self.init("InvalidBlockDeviceMapping", message)
        case (.invalidParameter, .attachment): self.init("InvalidInstanceAttributeValue", message)
        case (.invalidParameter, .group): self.init("InvalidParameter", message)
        case (.invalidParameter, _), (.pageToken, _): self.init("InvalidParameterValue", message)
        case (.missingParameter, .router): self.init("VPCIdNotSpecified", message)
        case (.missingParameter, .subnet): self.init("MissingInput", message)
        case (.missingParameter, _): self.init("MissingParameter", message)
        case (.conflictingParameters, _): self.init("InvalidParameterCombination", message)
        case (.unknownParameter, _): self.init("UnknownParameter", message)
        case (.unknownAction, _): self.init("InvalidAction", message)
        case (.malformedRequest, _): self.init("MalformedQueryString", message)
        case (.notSupported, _): self.init("UnsupportedOperation", message)
        case (.tooLarge, _): self.init("RequestEntityTooLarge", message, status: 413)
        case (.tokenMismatch, _): self.init("IdempotentParameterMismatch", message)
        case (.dryRun, _): self.init("DryRunOperation", message, status: 412)
        case (.rateExceeded, _): self.init("RequestLimitExceeded", "Request limit exceeded.", status: 503)

        case (.denied, _):
            self.init("UnauthorizedOperation", "You are not authorized to perform this operation. \(message)", status: 403)
        case (.notOwner, _): self.init("AuthFailure", message, status: 403)
        case (.notAuthenticated, _), (.signatureMismatch, _):
            self.init("AuthFailure", "AWS was not able to validate the provided access credentials", status: 401)
        case (.expired, _): self.init("RequestExpired", message)
        case (.conflict, _), (.unavailable, _), (.timedOut, _), (.cancelled, _): self.init("Unavailable", Words.busy, status: 503)
        default: self.init("InternalError", Words.internalError, status: 500)
        }
    }

    private init(query fault: Fault) {
        let message = Words.sentence(fault)
        switch fault.code {
        case .denied, .notOwner: self.init("AccessDenied", message, status: 403)
        case .notAuthenticated:
            self.init("InvalidClientTokenId", "The security token included in the request is invalid.", status: 403)
        case .signatureMismatch: self.init("SignatureDoesNotMatch", message, status: 403)
        case .expired: self.init("ExpiredToken", message, status: 403)
        case .invalidParameter, .missingParameter, .malformedId, .unknownParameter: self.init("ValidationError", message)
        case .conflictingParameters: self.init("InvalidParameterCombination", message)
        case .unknownAction: self.init("InvalidAction", message)
        case .malformedRequest: self.init("MalformedQueryString", message)
        case .notSupported: self.init("UnsupportedOperation", message)
        case .tooLarge: self.init("RequestEntityTooLarge", message, status: 413)
        case .rateExceeded: self.init("Throttling", "Rate exceeded")
        case .notFound: self.init("NoSuchEntity", message, status: 404)
        case .alreadyExists: self.init("EntityAlreadyExists", message, status: 409)
        case .limitExceeded, .tooManyTags: self.init("LimitExceeded", message, status: 409)
        case .conflict, .unavailable, .timedOut, .cancelled: self.init("ServiceUnavailable", Words.busy, status: 503)
        default: self.init("InternalFailure", Words.internalError, status: 500)
        }
    }
}

/// EC2's sentences.
enum Words {
    static let busy = "The service is unavailable. Please try again shortly."
    static let internalError = "An internal error has occurred"

    /// A fault's message, with the ids of what it is about in the face's spelling.
    static func sentence(_ fault: Fault) -> String {
        guard let subject = fault.subject else { return fault.message }
        let shown = AWSID.shown(subject)
        switch (fault.code, fault.kind) {
        case (.notFound, let kind?): return missing(kind, ([subject] + fault.others).map(AWSID.shown))
        case (.wrongState, .instance), (.protected, .instance): return "The instance '\(shown)' \(fault.message)"
        case (.wrongState, .image): return "The image id '[\(shown)]' is not available. \(fault.message)"
        case (.inUse, _): return "resource \(shown) \(fault.message)"
        default: return fault.message
        }
    }

    /// That things do not exist. AWS words it differently for each kind.
    static func missing(_ kind: Kind, _ names: [String]) -> String {
        let all = names.joined(separator: ", ")
        let isOne = names.count == 1
        switch kind {
        case .instance: return isOne ? "The instance ID '\(all)' does not exist" : "The instance IDs '\(all)' do not exist"
        case .image: return isOne ? "The image id '[\(all)]' does not exist" : "The image ids '[\(all)]' do not exist"
        case .volume: return isOne ? "The volume '\(all)' does not exist." : "The volumes '\(all)' do not exist."
        case .subnet: return isOne ? "The subnet ID '\(all)' does not exist" : "The subnet IDs '\(all)' do not exist"
        case .router: return isOne ? "The vpc ID '\(all)' does not exist" : "The vpc IDs '\(all)' do not exist"
        case .group: return isOne ? "The security group '\(all)' does not exist" : "The security groups '\(all)' do not exist"
        case .rule:
            return isOne
                ? "The security group rule ID '\(all)' does not exist" : "The security group rule IDs '\(all)' do not exist"
        case .port:
            return isOne ? "The networkInterface ID '\(all)' does not exist" : "The networkInterface IDs '\(all)' do not exist"
        case .keyPair: return isOne ? "The key pair '\(all)' does not exist" : "The key pairs '\(all)' do not exist"
        default: return isOne ? "The \(kind.rawValue) '\(all)' does not exist" : "The \(kind.rawValue)s '\(all)' do not exist"
        }
    }

    static func notFoundCode(_ kind: Kind?) -> String {
        switch kind {
        case .instance: "InvalidInstanceID.NotFound"
        case .image: "InvalidAMIID.NotFound"
        case .volume: "InvalidVolume.NotFound"
        case .subnet: "InvalidSubnetID.NotFound"
        case .router: "InvalidVpcID.NotFound"
        case .group: "InvalidGroup.NotFound"
        case .rule: "InvalidSecurityGroupRuleId.NotFound"
        case .port: "InvalidNetworkInterfaceID.NotFound"
        case .keyPair: "InvalidKeyPair.NotFound"
        case .address: "InvalidAddress.NotFound"
        case .zone: "InvalidParameterValue"
        case .instanceType: "InvalidInstanceType"
        default: "InvalidID"
        }
    }

    static func malformedCode(_ kind: Kind?) -> String {
        switch kind {
        case .instance: "InvalidInstanceID.Malformed"
        case .image: "InvalidAMIID.Malformed"
        case .volume: "InvalidVolumeID.Malformed"
        case .subnet: "InvalidSubnetID.Malformed"
        case .router: "InvalidVpcID.Malformed"
        case .group: "InvalidGroupId.Malformed"
        case .rule: "InvalidSecurityGroupRuleId.Malformed"
        case .port: "InvalidNetworkInterfaceID.Malformed"
        case .keyPair: "InvalidKeyPair.Format"
        default: "InvalidID"
        }
    }
}
