//  Whether versions of a bucket are locked, and how new ones are where they say nothing of their own.

import AWSProtocol
import Model
import ObjectStorage
import Objects

enum ObjectLockForm: SettingForm {
    static let root = "ObjectLockConfiguration"
    static let readAction = ObjectAction.getBucketObjectLock
    static let writeAction = ObjectAction.putBucketObjectLock
    static let absence: S3Error? = S3Error(
        .objectLockConfigurationNotFoundError, "Object Lock configuration does not exist for this bucket")

    static func value(in settings: BucketSettings) -> ObjectLock? { settings.lock }

    static func read(_ document: XMLElement) throws -> ObjectLock? {
        guard document["ObjectLockEnabled"]?.text == "Enabled" else { throw XMLElement.malformed }
        guard let rule = document["Rule"] else { return ObjectLock() }
        guard let standard = rule["DefaultRetention"],
            let mode = standard["Mode"].flatMap({ Retention.Mode(rawValue: $0.text) }),
            (standard["Days"] == nil) != (standard["Years"] == nil)
        else { throw XMLElement.malformed }
        let unit: ObjectLock.Default.Unit = standard["Days"] == nil ? .years : .days
        guard let count = try standard.integer(unit == .days ? "Days" : "Years") else { throw XMLElement.malformed }
        return ObjectLock(standard: ObjectLock.Default(mode: mode, count: count, unit: unit))
    }

    static func write(_ value: ObjectLock, to out: inout XMLWriter) {
        out.element("ObjectLockEnabled", "Enabled")
        guard let standard = value.standard else { return }
        out.open("Rule")
        out.open("DefaultRetention")
        out.element("Mode", standard.mode.rawValue)
        out.element(standard.unit == .days ? "Days" : "Years", standard.count)
        out.close("DefaultRetention")
        out.close("Rule")
    }

    static func keep(_ value: ObjectLock?, of bucket: String, by call: S3Call, in objects: ObjectsService) async throws(Fault) {
        if let value { try await objects.setLock(value, of: bucket, by: call.caller) }
    }
}
