//  Which events are told, to whom, and in which words.

import AWSProtocol
import Authority
import FoundationEssentials
import Model
import ObjectStorage
import Testing

@testable import Objects
@testable import S3

@Suite struct NotificationTests {
    private static let target = "arn:karri:sqs:karri-1:hook:webhook"

    private func rules(_ inside: String) throws -> BucketNotifications? {
        let text = "<NotificationConfiguration>\(inside)</NotificationConfiguration>"
        return try NotificationForm.read(try XMLElement(document: Array(text.utf8), root: NotificationForm.root))
    }

    private static func queue(_ inside: String) -> String {
        "<QueueConfiguration><Id>i</Id><Queue>\(target)</Queue>\(inside)</QueueConfiguration>"
    }

    private static let put = "<Event>s3:ObjectCreated:Put</Event>"

    private static func filter(_ rules: (String, String)...) -> String {
        let inside = rules.map { "<FilterRule><Name>\($0.0)</Name><Value>\($0.1)</Value></FilterRule>" }.joined()
        return "<Filter><S3Key>\(inside)</S3Key></Filter>"
    }

    // MARK: The setting

    @Test(arguments: [
        queue(put), queue("<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:Delete</Event>"),
        queue(put + filter(("prefix", "a/"), ("suffix", ".jpg"))), queue(put + filter(("suffix", ".jpg"))),
        queue(put) + "<EventBridgeConfiguration></EventBridgeConfiguration>",
    ])
    func comesBackAsItWas(inside: String) throws {
        var out = XMLWriter()
        NotificationForm.write(try #require(try rules(inside)), to: &out)
        #expect(String(decoding: out.bytes, as: UTF8.self) == inside)
    }

    @Test func nothingTurnsThemOff() throws { #expect(try rules("") == BucketNotifications(rules: [], tellsFeed: false)) }

    @Test(arguments: [
        (queue(""), "MalformedXML"), ("<QueueConfiguration>\(put)</QueueConfiguration>", "MalformedXML"),
        (queue("<Event>s3:ObjectCreated:Nothing</Event>"), "InvalidArgument"), (queue("<Event>s3:*</Event>"), "InvalidArgument"),
        (queue(put + filter(("infix", "x"))), "InvalidArgument"),
        (queue(put + filter(("prefix", "a"), ("Prefix", "b"))), "InvalidArgument"),
        (queue(put) + queue("<Event>s3:ObjectRemoved:Delete</Event>"), "InvalidArgument"),
        ("<QueueConfiguration><Queue>nonsense</Queue>\(put)</QueueConfiguration>", "InvalidArgument"),
        ("<TopicConfiguration><Topic>\(target)</Topic>\(put)</TopicConfiguration>", "InvalidArgument"),
    ])
    func refusals(inside: String, code: String) {
        let refused = #expect(throws: S3Error.self) { try rules(inside) }
        #expect(refused?.code.name == code)
    }

    // MARK: Rules

    private func rule(_ events: [String], prefix: String? = nil, suffix: String? = nil) -> ObjectStorage.Notification {
        var rule = ObjectStorage.Notification(id: "i", events: events, target: NotificationTests.target)
        rule.prefix = prefix
        rule.suffix = suffix
        return rule
    }

    @Test(arguments: [
        (ObjectEvent.put, "images/a.jpg", true), (.completeUpload, "images/a.jpg", true), (.delete, "images/a.jpg", false),
        (.put, "images/a.png", false), (.put, "image/a.jpg", false), (.put, "images/.jpg", true), (.put, ".jpg", false),
    ])
    func covers(event: ObjectEvent, key: String, isCovered: Bool) {
        let rule = rule(["s3:ObjectCreated:*"], prefix: "images/", suffix: ".jpg")
        #expect(rule.covers(event, ObjectKey(key)) == isCovered)
    }

    @Test(arguments: [
        ("s3:ObjectCreated:*", nil, nil, "s3:ObjectCreated:Put", nil, nil, true),
        ("s3:ObjectCreated:Put", nil, nil, "s3:ObjectCreated:Copy", nil, nil, false),
        ("s3:ObjectCreated:Put", "a/", nil, "s3:ObjectCreated:Put", "b/", nil, false),
        ("s3:ObjectCreated:Put", "a/", nil, "s3:ObjectCreated:Put", "a/b", nil, true),
        ("s3:ObjectCreated:Put", "a/", ".jpg", "s3:ObjectCreated:Put", "a/", ".png", false),
        ("s3:ObjectCreated:Put", "a/", ".jpg", "s3:ObjectCreated:Put", nil, "g", true),
        ("s3:ObjectCreated:Put", nil, ".jpg", "s3:ObjectRemoved:*", nil, ".jpg", false),
    ])
    func overlaps(
        event: String, prefix: String?, suffix: String?, other: String, otherPrefix: String?, otherSuffix: String?, overlap: Bool
    ) {
        let one = rule([event], prefix: prefix, suffix: suffix)
        let two = rule([other], prefix: otherPrefix, suffix: otherSuffix)
        #expect(one.overlaps(two) == overlap && two.overlaps(one) == overlap)
    }

    // MARK: Messages

    @Test func everyFieldOfAMessage() throws {
        let now = try #require(Instant(iso8601: "2024-01-31T12:34:56.789Z"))
        let bucket = Bucket(id: ID(bits: 1), name: "b", account: ID(bits: 2), region: "r", created: now)
        var caller = Caller(Session(anonymousIn: Circumstances(now: now, sourceAddress: "192.0.2.1")))
        caller.requestID = "REQUEST"
        let subject = EventSubject(key: ObjectKey("a b/ü+*"), size: 7, entityTag: "tag", version: VersionID(bits: 255))
        let message = EventMessage(.put, subject, in: bucket, rule: "rule", region: "r", now: now, sequencer: 16, caller: caller)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let owner = ObjectsService.canonicalID(of: bucket.account)
        #expect(
            String(decoding: try encoder.encode(message), as: UTF8.self)
                == #"{"Records":[{"awsRegion":"r","eventName":"ObjectCreated:Put","eventSource":"aws:s3","#
                + #""eventTime":"2024-01-31T12:34:56.789Z","eventVersion":"2.1","requestParameters":{"sourceIPAddress":"192.0.2.1"},"#
                + #""responseElements":{"x-amz-request-id":"REQUEST"},"s3":{"bucket":{"arn":"arn:aws:s3:::b","name":"b","#
                + #""ownerIdentity":{"principalId":"\#(owner)"}},"configurationId":"rule","object":{"eTag":"tag","#
                + #""key":"a+b/%C3%BC%2B*","sequencer":"0000000000000010","size":7,"versionId":"00000000000000ff"},"#
                + #""s3SchemaVersion":"1.0"},"userIdentity":{"principalId":"anonymous"}}]}"#)
    }
}
