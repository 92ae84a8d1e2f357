//  Who owns what is put into a bucket.

import AWSProtocol
import Model
import ObjectStorage
import Objects

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
