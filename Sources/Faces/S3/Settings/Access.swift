//  What blocks public access to a bucket, who owns what is put into it, and who pays.

import AWSProtocol
import Model
import ObjectStorage
import Objects

enum PublicAccessForm: PlainSettingForm {
    static let root = "PublicAccessBlockConfiguration"
    static let readAction = ObjectAction.getPublicAccessBlock
    static let writeAction = ObjectAction.putPublicAccessBlock
    static let part: any WritableKeyPath<BucketSettings, PublicAccessBlock?> & Sendable = \BucketSettings.publicAccess
    static let absence: S3Error? = S3Error(
        .noSuchPublicAccessBlockConfiguration, "The public access block configuration was not found")

    static func read(_ document: XMLElement) throws -> PublicAccessBlock? {
        var block = PublicAccessBlock()
        block.blocksACLs = try document.flag("BlockPublicAcls") ?? false
        block.ignoresACLs = try document.flag("IgnorePublicAcls") ?? false
        block.blocksPolicy = try document.flag("BlockPublicPolicy") ?? false
        block.restrictsBuckets = try document.flag("RestrictPublicBuckets") ?? false
        return block
    }

    static func write(_ value: PublicAccessBlock, to out: inout XMLWriter) {
        out.element("BlockPublicAcls", value.blocksACLs)
        out.element("IgnorePublicAcls", value.ignoresACLs)
        out.element("BlockPublicPolicy", value.blocksPolicy)
        out.element("RestrictPublicBuckets", value.restrictsBuckets)
    }
}

enum OwnershipForm: SettingForm {
    static let root = "OwnershipControls"
    static let readAction = ObjectAction.getOwnershipControls
    static let writeAction = ObjectAction.putOwnershipControls
    static let absence: S3Error? = S3Error(.ownershipControlsNotFoundError, "The bucket ownership controls were not found")

    static func value(in settings: BucketSettings) -> ObjectOwnership? { settings.ownership }

    static func read(_ document: XMLElement) throws -> ObjectOwnership? {
        let rules = document.all("Rule")
        guard rules.count == 1, let ownership = rules[0]["ObjectOwnership"].flatMap({ ObjectOwnership(rawValue: $0.text) })
        else { throw XMLElement.malformed }
        return ownership
    }

    static func write(_ value: ObjectOwnership, to out: inout XMLWriter) {
        out.open("Rule")
        out.element("ObjectOwnership", value.rawValue)
        out.close("Rule")
    }

    static func keep(_ value: ObjectOwnership?, of bucket: String, by call: S3Call, in objects: ObjectsService) async throws(Fault)
    {
        try await objects.setOwnership(value, of: bucket, by: call.caller)
    }
}

/// Answered with `BucketOwner` where nothing is set.
enum RequestPaymentForm: SettingForm {
    static let root = "RequestPaymentConfiguration"
    static let readAction = ObjectAction.getRequestPayment
    static let writeAction = ObjectAction.putRequestPayment

    static func value(in settings: BucketSettings) -> Bool? { settings.requesterPays ?? false }

    static func read(_ document: XMLElement) throws -> Bool? {
        switch document["Payer"]?.text {
        case "Requester": return true
        case "BucketOwner": return false
        default: throw XMLElement.malformed
        }
    }

    static func write(_ value: Bool, to out: inout XMLWriter) { out.element("Payer", value ? "Requester" : "BucketOwner") }

    static func keep(_ value: Bool?, of bucket: String, by call: S3Call, in objects: ObjectsService) async throws(Fault) {
        try await objects.update(bucket, for: writeAction, by: call.caller) { settings throws(Fault) in
            settings.requesterPays = value
        }
    }
}
