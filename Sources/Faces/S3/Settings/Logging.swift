//  Where records of a bucket's calls are put.

import AWSProtocol
import Model
import ObjectStorage
import Objects

enum LoggingForm: SettingForm {
    static let root = "BucketLoggingStatus"
    static let readAction = ObjectAction.getBucketLogging
    static let writeAction = ObjectAction.putBucketLogging

    static func value(in settings: BucketSettings) -> RequestedLogging? {
        settings.logging.map { RequestedLogging($0, grants: ($0.grants ?? []).map(RequestedGrant.init)) }
    }

    static func read(_ document: XMLElement) throws -> RequestedLogging? {
        guard let wanted = document["LoggingEnabled"] else { return nil }
        guard let bucket = wanted["TargetBucket"]?.text, let prefix = wanted["TargetPrefix"]?.text else {
            throw XMLElement.malformed
        }
        var logging = AccessLogging(bucket: bucket, prefix: prefix)
        if let format = wanted["TargetObjectKeyFormat"] {
            guard format.children.count == 1 else { throw XMLElement.malformed }
            if let partitioned = format["PartitionedPrefix"] {
                logging.partition = try partition(partitioned)
            } else {
                guard format["SimplePrefix"] != nil else { throw XMLElement.malformed }
                logging.statesKeyFormat = true
            }
        }
        return RequestedLogging(logging, grants: try wanted["TargetGrants"].map(grants) ?? [])
    }

    private static func partition(_ element: XMLElement) throws -> AccessLogging.PartitionDate {
        guard let source = element["PartitionDateSource"] else { return .event }
        guard let date = AccessLogging.PartitionDate(rawValue: source.text) else { throw XMLElement.malformed }
        return date
    }

    /// What may be granted on records.
    private static let permissions: Set<Grant.Permission> = [.fullControl, .read, .write]

    private static func grants(_ element: XMLElement) throws -> [RequestedGrant] {
        guard element.children.count <= grantsMax else { throw XMLElement.malformed }
        return try element.children.map { child in
            guard child.name == "Grant", let grant = RequestedGrant(child), permissions.contains(grant.permission) else {
                throw XMLElement.malformed
            }
            return grant
        }
    }

    static func write(_ value: RequestedLogging, to out: inout XMLWriter) {
        out.open("LoggingEnabled")
        out.element("TargetBucket", value.logging.bucket)
        if !value.grants.isEmpty {
            out.open("TargetGrants")
            for grant in value.grants { out.element(grant) }
            out.close("TargetGrants")
        }
        out.element("TargetPrefix", value.logging.prefix)
        if value.logging.partition != nil || value.logging.statesKeyFormat == true {
            out.open("TargetObjectKeyFormat")
            if let date = value.logging.partition {
                out.open("PartitionedPrefix")
                out.element("PartitionDateSource", date.rawValue)
                out.close("PartitionedPrefix")
            } else {
                out.open("SimplePrefix")
                out.close("SimplePrefix")
            }
            out.close("TargetObjectKeyFormat")
        }
        out.close("LoggingEnabled")
    }

    static func keep(
        _ value: RequestedLogging?, of bucket: String, by call: S3Call, in objects: ObjectsService
    ) async throws(Fault) {
        try await objects.setLogging(value, of: bucket, by: call.caller)
    }
}
