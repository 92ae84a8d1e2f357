//  Who pays for calls of a bucket.

import AWSProtocol
import Model
import ObjectStorage
import Objects

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
