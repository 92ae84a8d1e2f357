//  Who is told of what happens in a bucket (Amazon S3 API Reference, "PutBucketNotificationConfiguration").

import AWSProtocol
import Model
import ObjectStorage
import Objects

enum NotificationForm: SettingForm {
    static let root = "NotificationConfiguration"
    static let readAction = ObjectAction.getNotification
    static let writeAction = ObjectAction.putNotification

    private static let rulesMax = 100
    /// Elements of a rule, those that name its target, and the service in the target's name.
    private static let kinds = [
        ("QueueConfiguration", "Queue", "sqs"), ("TopicConfiguration", "Topic", "sns"),
        ("CloudFunctionConfiguration", "CloudFunction", "lambda"),
    ]

    static func value(in settings: BucketSettings) -> BucketNotifications? {
        BucketNotifications(rules: settings.notifications ?? [], tellsFeed: settings.tellsFeed == true)
    }

    static func read(_ document: XMLElement) throws -> BucketNotifications? {
        var rules: [Notification] = []
        for (element, target, service) in kinds {
            for rule in document.all(element) { rules.append(try self.rule(rule, target, service, number: rules.count + 1)) }
        }
        guard rules.count <= rulesMax else { throw S3Error.invalidArgument("There are more than \(rulesMax) configurations") }
        guard Set(rules.map(\.id)).count == rules.count else {
            throw S3Error.invalidArgument("Same ID used for multiple configurations. IDs must be unique")
        }
        return BucketNotifications(rules: rules, tellsFeed: document["EventBridgeConfiguration"] != nil)
    }

    private static func rule(_ element: XMLElement, _ target: String, _ service: String, number: Int) throws -> Notification {
        guard let name = element[target]?.text else { throw XMLElement.malformed }
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 6, parts[0] == "arn", parts[2] == service else {
            throw S3Error.invalidArgument("The ARN is not well formed")
        }
        let events = element.all("Event").map(\.text)
        guard !events.isEmpty else { throw XMLElement.malformed }
        guard events.allSatisfy(ObjectEvent.patterns.contains) else {
            throw S3Error.invalidArgument("A specified event is not supported for notifications.")
        }
        let id = element["Id"].flatMap { $0.text.isEmpty ? nil : $0.text } ?? "rule-\(number)"
        guard id.utf8.count <= 255 else { throw S3Error.invalidArgument("An ID has at most 255 characters") }
        var rule = Notification(id: id, events: events, target: name)
        for filter in element["Filter"]?["S3Key"]?.all("FilterRule") ?? [] { try add(filter, to: &rule) }
        return rule
    }

    private static func add(_ filter: XMLElement, to rule: inout Notification) throws {
        guard let name = filter["Name"]?.text.lowercased(), let value = filter["Value"]?.text else { throw XMLElement.malformed }
        guard value.utf8.count <= ObjectKey.bytesMax else {
            throw S3Error.invalidArgument("Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation")
        }
        switch name {
        case "prefix" where rule.prefix == nil: rule.prefix = value
        case "suffix" where rule.suffix == nil: rule.suffix = value
        case "prefix", "suffix": throw S3Error.invalidArgument("Cannot specify more than one \(name) rule in a filter.")
        default: throw S3Error.invalidArgument("filter rule name must be either prefix or suffix")
        }
    }

    static func write(_ value: BucketNotifications, to out: inout XMLWriter) {
        for rule in value.rules {
            out.open("QueueConfiguration")
            out.element("Id", rule.id)
            out.element("Queue", rule.target)
            for event in rule.events { out.element("Event", event) }
            if rule.prefix != nil || rule.suffix != nil {
                out.open("Filter")
                out.open("S3Key")
                write("prefix", rule.prefix, to: &out)
                write("suffix", rule.suffix, to: &out)
                out.close("S3Key")
                out.close("Filter")
            }
            out.close("QueueConfiguration")
        }
        if value.tellsFeed { out.element("EventBridgeConfiguration", "") }
    }

    private static func write(_ name: String, _ value: String?, to out: inout XMLWriter) {
        guard let value else { return }
        out.open("FilterRule")
        out.element("Name", name)
        out.element("Value", value)
        out.close("FilterRule")
    }

    static func keep(
        _ value: BucketNotifications?, of bucket: String, by call: S3Call, in objects: ObjectsService
    ) async throws(Fault) {
        try await objects.setNotifications(value ?? BucketNotifications(rules: [], tellsFeed: false), of: bucket, by: call.caller)
    }
}
