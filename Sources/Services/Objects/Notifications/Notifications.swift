//  Which events a bucket's owner wants told, and telling them.

import Authority
import FoundationEssentials
import Model
import ObjectStorage

/// Who is told of what happens in a bucket.
public struct BucketNotifications: Sendable, Hashable {
    public var rules: [Notification]
    /// Whether all of it is told in the cloud's own feed.
    public var tellsFeed: Bool

    public init(rules: [Notification], tellsFeed: Bool) {
        self.rules = rules
        self.tellsFeed = tellsFeed
    }
}

extension ObjectsService {
    /// Sets which events are told to whom; each target that is named is sent a message to see whether it is there.
    ///
    /// - Throws: `invalidParameter` where rules overlap or a target does not take the message.
    public func setNotifications(_ asked: BucketNotifications, of name: String, by caller: Caller) async throws(Fault) {
        let bucket = try await bucket(name, for: .putNotification, by: caller)
        let rules = asked.rules
        for (place, rule) in rules.enumerated() where rules[..<place].contains(where: rule.overlaps) {
            throw Fault(
                .invalidParameter,
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping "
                    + "for the same event type.", kind: .object)
        }
        for target in Set(rules.map(\.target)) { try await greet(target, bucket, caller) }
        try await backend.update(bucket) { settings throws(Fault) in
            settings.notifications = rules.isEmpty ? nil : rules
            settings.tellsFeed = asked.tellsFeed ? true : nil
        }
    }

    private func greet(_ target: String, _ bucket: Bucket, _ caller: Caller) async throws(Fault) {
        let message = TestMessage(
            Time: chance.now().iso8601(milliseconds: true), Bucket: bucket.name, RequestId: caller.requestID ?? "")
        do throws(Fault) {
            guard let notifier else { throw Fault(.notFound, "This store tells nobody.") }
            try await notifier.deliver(try ObjectsService.written(message), to: target)
        } catch {
            throw Fault(
                .invalidParameter, "Unable to validate the following destination configurations", kind: .object,
                cause: "\(target): \(error)")
        }
    }

    /// Tells those who want to know what has happened to an object; the messages are durable when this returns.
    ///
    /// - Parameter caller: Nil for what the store does by itself.
    func announce(_ event: ObjectEvent, _ subject: EventSubject, in bucket: Bucket, by caller: Caller?) async {
        let rules = (bucket.settings.notifications ?? []).filter { $0.covers(event, subject.key) }
        let tellsFeed = bucket.settings.tellsFeed == true
        guard let notifier, tellsFeed || !rules.isEmpty else { return }
        let now = chance.now()
        let sequencer = notifier.sequencer()
        let messages = rules.compactMap { rule in
            let message = EventMessage(
                event, subject, in: bucket, rule: rule.id, region: region, now: now, sequencer: sequencer, caller: caller)
            return (try? ObjectsService.written(message)).map { (target: rule.target, body: $0) }
        }
        await notifier.keep(messages)
        guard tellsFeed else { return }
        do throws(Fault) {
            let account = try await accounts.account(bucket.account)?.number ?? ""
            let message = FeedMessage(
                event, subject, in: bucket, account: account, region: region, now: now, id: chance.uuid(), sequencer: sequencer,
                caller: caller)
            try await notifier.keepInFeed(try ObjectsService.written(message), of: bucket.name)
        } catch { notifier.noteLost(bucket.name, error) }
    }

    /// Tells what has happened to a version that is there.
    func announce(_ event: ObjectEvent, _ key: ObjectKey, _ stored: StoredObject, by caller: Caller?) async {
        let version = stored.version
        let subject = EventSubject(key: key, size: version.size, entityTag: version.entityTag, version: stored.shownVersion)
        await announce(event, subject, in: stored.bucket, by: caller)
    }

    private static func written(_ message: some Encodable) throws(Fault) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        do { return String(decoding: try encoder.encode(message), as: UTF8.self) } catch {
            throw Fault(.internalError, "A message cannot be written.", because: error)
        }
    }
}
