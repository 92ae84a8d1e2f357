//  Where records of a bucket's calls are put.

import AWSProtocol
import Model
import ObjectStorage
import Objects

enum LoggingForm: SettingForm {
    static let root = "BucketLoggingStatus"
    static let readAction = ObjectAction.getBucketLogging
    static let writeAction = ObjectAction.putBucketLogging

    static func value(in settings: BucketSettings) -> AccessLogging? { settings.logging }

    static func read(_ document: XMLElement) throws -> AccessLogging? {
        guard let wanted = document["LoggingEnabled"] else { return nil }
        guard let bucket = wanted["TargetBucket"]?.text, let prefix = wanted["TargetPrefix"]?.text else {
            throw XMLElement.malformed
        }
        if let grants = wanted["TargetGrants"], !grants.children.isEmpty { throw S3Error.notImplemented("TargetGrants") }
        var logging = AccessLogging(bucket: bucket, prefix: prefix)
        if let format = wanted["TargetObjectKeyFormat"] {
            if format["PartitionedPrefix"] != nil { throw S3Error.notImplemented("PartitionedPrefix") }
            guard format["SimplePrefix"] != nil else { throw XMLElement.malformed }
            logging.statesKeyFormat = true
        }
        return logging
    }

    static func write(_ value: AccessLogging, to out: inout XMLWriter) {
        out.open("LoggingEnabled")
        out.element("TargetBucket", value.bucket)
        out.element("TargetPrefix", value.prefix)
        if value.statesKeyFormat == true {
            out.open("TargetObjectKeyFormat")
            out.open("SimplePrefix")
            out.close("SimplePrefix")
            out.close("TargetObjectKeyFormat")
        }
        out.close("LoggingEnabled")
    }

    static func keep(_ value: AccessLogging?, of bucket: String, by call: S3Call, in objects: ObjectsService) async throws(Fault) {
        try await objects.setLogging(value, of: bucket, by: call.caller)
    }
}
