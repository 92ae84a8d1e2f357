//  What happens to objects, as those are told who want to know (Amazon S3 User Guide, "Amazon S3 Event
//  Notifications", "Event message structure").

import Authority
import FoundationEssentials
import Model
import ObjectStorage

/// Something that happened to an object, by its name in messages.
public enum ObjectEvent: String, Sendable, Hashable, CaseIterable {
    case put = "ObjectCreated:Put"
    case post = "ObjectCreated:Post"
    case copy = "ObjectCreated:Copy"
    case completeUpload = "ObjectCreated:CompleteMultipartUpload"
    case delete = "ObjectRemoved:Delete"
    case putMarker = "ObjectRemoved:DeleteMarkerCreated"
    case putTags = "ObjectTagging:Put"
    case deleteTags = "ObjectTagging:Delete"
    case putACL = "ObjectAcl:Put"
    case expire = "LifecycleExpiration:Delete"
    case expireBehindMarker = "LifecycleExpiration:DeleteMarkerCreated"

    /// What rules may name: one event, or all of a kind.
    public static let patterns: Set<String> = Set(
        allCases.flatMap { ["s3:\($0.rawValue)", "s3:\($0.rawValue.prefix { $0 != ":" }):*"] })

    /// Whether what a rule names includes it.
    func isNamed(by pattern: String) -> Bool {
        pattern == "s3:\(rawValue)" || pattern.hasSuffix(":*") && "s3:\(rawValue)".hasPrefix(pattern.dropLast())
    }
}

extension Notification {
    /// Whether the rule is about an event of a key.
    func covers(_ event: ObjectEvent, _ key: ObjectKey) -> Bool {
        events.contains(where: event.isNamed) && key.bytes.starts(with: (prefix ?? "").utf8)
            && key.bytes.reversed().starts(with: (suffix ?? "").utf8.reversed())
    }

    /// Whether some event could be told by both rules, which S3 does not have.
    func overlaps(_ other: Notification) -> Bool {
        let shared = ObjectEvent.allCases.contains { event in
            events.contains(where: event.isNamed) && other.events.contains(where: event.isNamed)
        }
        func nest(_ one: String, _ two: String, _ isPart: (String, String) -> Bool) -> Bool { isPart(one, two) || isPart(two, one) }
        return shared && nest(prefix ?? "", other.prefix ?? "") { $0.hasPrefix($1) }
            && nest(suffix ?? "", other.suffix ?? "") { $0.hasSuffix($1) }
    }
}

/// What a message says of the version that it is about.
struct EventSubject: Sendable {
    var key: ObjectKey
    var size: Int64?
    var entityTag: String?
    /// Nil where no versions are kept.
    var version: VersionID?
}

/// A message with one event.
struct EventMessage: Encodable {
    struct Record: Encodable {
        struct Identity: Encodable { var principalId: String }
        struct Parameters: Encodable { var sourceIPAddress: String }
        struct Elements: Encodable {
            var request: String
            enum CodingKeys: String, CodingKey { case request = "x-amz-request-id" }
        }
        struct BucketPart: Encodable {
            var name: String
            var ownerIdentity: Identity
            var arn: String
        }
        struct ObjectPart: Encodable {
            /// As forms have it: percent-encoded, with a plus for a blank.
            var key: String
            var size: Int64?
            var eTag: String?
            var versionId: String?
            /// Of two events of a key, the later has the greater.
            var sequencer: String
        }
        struct Part: Encodable {
            var s3SchemaVersion = "1.0"
            var configurationId: String
            var bucket: BucketPart
            var object: ObjectPart
        }

        var eventVersion = "2.1"
        var eventSource = "aws:s3"
        var awsRegion: String
        var eventTime: String
        var eventName: String
        var userIdentity: Identity
        var requestParameters: Parameters
        var responseElements: Elements
        var s3: Part
    }

    var Records: [Record]

    /// - Parameter caller: Nil for what the store does by itself.
    init(
        _ event: ObjectEvent, _ subject: EventSubject, in bucket: Bucket, rule: String, region: String, now: Instant,
        sequencer: UInt64, caller: Caller?
    ) {
        let session = caller?.session
        let object = Record.ObjectPart(
            key: EventMessage.spelled(subject.key), size: subject.size, eTag: subject.entityTag,
            versionId: subject.version?.spelled,
            sequencer: hexDigits(sequencer).uppercased())
        let part = Record.Part(
            configurationId: rule,
            bucket: Record.BucketPart(
                name: bucket.name,
                ownerIdentity: Record.Identity(principalId: ObjectsService.canonicalID(of: bucket.account)),
                arn: ObjectsService.name(of: bucket.name).description), object: object)
        Records = [
            Record(
                awsRegion: region, eventTime: now.iso8601(milliseconds: true), eventName: event.rawValue,
                userIdentity: Record.Identity(principalId: session?.principal.uniqueId ?? "s3.amazonaws.com"),
                requestParameters: Record.Parameters(sourceIPAddress: session?.circumstances.sourceAddress ?? "s3.amazonaws.com"),
                responseElements: Record.Elements(request: caller?.requestID ?? ""), s3: part)
        ]
    }

    private static func spelled(_ key: ObjectKey) -> String {
        let plain = Set("-._*/".utf8)
        return key.bytes.map { byte in
            if byte == 0x20 { return "+" }
            let scalar = UnicodeScalar(byte)
            let isPlain = scalar.isASCII && scalar.properties.isAlphabetic || (0x30...0x39).contains(byte) || plain.contains(byte)
            return isPlain ? String(scalar) : "%" + hexDigits(CollectionOfOne(byte)).uppercased()
        }.joined()
    }
}

/// What a target is sent when it is first named.
struct TestMessage: Encodable {
    var Service = "Amazon S3"
    var Event = "s3:TestEvent"
    var Time: String
    var Bucket: String
    var RequestId: String
}
