//  Settings that S3 has and this store has not: nothing is set, which is what is answered, and nothing can be.

import AWSProtocol
import Model
import ObjectStorage
import Objects

/// A setting that is never set.
protocol UnbuiltSettingForm: SettingForm where Value == Never {}

extension UnbuiltSettingForm {
    static func value(in settings: BucketSettings) -> Never? { nil }
    static func read(_ document: XMLElement) throws -> Never? { throw S3Error.notImplemented(root) }
    static func write(_ value: Never, to out: inout XMLWriter) {}
    static func keep(_ value: Never?, of bucket: String, by call: S3Call, in objects: ObjectsService) async throws(Fault) {}
}

enum AccelerateForm: UnbuiltSettingForm {
    static let root = "AccelerateConfiguration"
    static let readAction = ObjectAction.getAccelerate
    static let writeAction = ObjectAction.putAccelerate
}

enum ReplicationForm: UnbuiltSettingForm {
    static let root = "ReplicationConfiguration"
    static let readAction = ObjectAction.getReplication
    static let writeAction = ObjectAction.putReplication
    static let absence: S3Error? = S3Error(.replicationConfigurationNotFoundError, "The replication configuration was not found")
}
