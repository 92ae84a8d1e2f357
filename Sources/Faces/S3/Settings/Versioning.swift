//  Whether a bucket keeps versions.

import AWSProtocol
import Model
import ObjectStorage
import Objects

enum VersioningForm: SettingForm {
    static let root = "VersioningConfiguration"
    static let readAction = ObjectAction.getBucketVersioning
    static let writeAction = ObjectAction.putBucketVersioning

    static func value(in settings: BucketSettings) -> Versioning? { settings.versioning }

    static func read(_ document: XMLElement) throws -> Versioning? {
        if document["MfaDelete"]?.text == "Enabled" { throw S3Error.notImplemented("MfaDelete") }
        guard let status = document["Status"] else {
            throw S3Error(.illegalVersioningConfigurationException, "The Versioning element must be specified")
        }
        guard let state = Versioning(rawValue: status.text) else { throw XMLElement.malformed }
        return state
    }

    static func write(_ value: Versioning, to out: inout XMLWriter) { out.element("Status", value.rawValue) }

    static func keep(_ value: Versioning?, of bucket: String, by call: S3Call, in objects: ObjectsService) async throws(Fault) {
        if let value { try await objects.setVersioning(value, of: bucket, by: call.caller) }
    }
}
