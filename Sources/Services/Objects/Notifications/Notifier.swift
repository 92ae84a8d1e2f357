//  Tells those who want to know what happens in buckets. A message is on the disk before the call that it is
//  about is answered, and is delivered afterwards, at least once; each target gets its messages in order.

import FoundationEssentials
import Logging
import Model
import ObjectStorage
import Outbound
import Synchronization

/// Delivers messages to webhooks.
public final class Notifier: Sendable {
    private struct State {
        /// Targets for which something may wait.
        var waiting: Set<String> = []
        /// Targets that are being served.
        var served: Set<String> = []
        var sequencer: UInt64 = 0
    }

    /// Messages that no target has taken for so long are dropped.
    private static let age = Duration.seconds(24 * 3600)
    private static let pauseMax = Duration.seconds(60)

    private let queue: MessageQueue
    private let feed: EventFeed
    private let webhooks: Webhooks
    private let region: String
    private let client: OutboundClient
    private let chance: Chance
    private let log: Logger
    private let state = Mutex(State())
    private let news: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    public init(
        queue: MessageQueue, feed: EventFeed, webhooks: Webhooks, region: String, client: OutboundClient = OutboundClient(),
        chance: Chance,
        log: Logger
    ) {
        self.queue = queue
        self.feed = feed
        self.webhooks = webhooks
        self.region = region
        self.client = client
        self.chance = chance
        self.log = log
        (news, bell) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// A number that is greater than those before, also across restarts of a host with a steady clock.
    func sequencer() -> UInt64 {
        let now = UInt64(max(0, chance.now().microseconds))
        return state.withLock { state in
            state.sequencer = max(state.sequencer + 1, now)
            return state.sequencer
        }
    }

    /// Sends a target a message at once.
    ///
    /// - Throws: `notFound` for a target that there is not; `unavailable` and others where it does not take the message.
    func deliver(_ body: String, to target: String) async throws(Fault) {
        let prefix = "arn:karri:sqs:\(region):"
        guard target.hasPrefix(prefix), target.hasSuffix(":webhook"),
            let webhook = try await webhooks.find(String(target.dropFirst(prefix.count).dropLast(":webhook".count))),
            let address = OutboundAddress(webhook.address)
        else { throw Fault(.notFound, "There is no target \(target).") }
        let status = try await client.post(
            Array(body.utf8), contentType: "application/json", to: address, exceptions: Set(webhook.exceptions))
        guard (200...299).contains(status) else { throw Fault(.unavailable, "\(target) answers \(status).") }
    }

    /// Keeps messages. What they are about has happened whether they can be kept or not.
    func keep(_ messages: [(target: String, body: String)]) async {
        if messages.isEmpty { return }
        do throws(Fault) { try await queue.add(messages, now: chance.now()) } catch {
            log.warning("messages were lost", metadata: ["messages": "\(messages.count)", "fault": "\(error)"])
            return
        }
        state.withLock { $0.waiting.formUnion(messages.lazy.map(\.target)) }
        bell.yield()
    }

    /// Keeps an event in the cloud's feed.
    func keepInFeed(_ body: String, of bucket: String) async throws(Fault) { try await feed.add(body, of: bucket) }

    /// Says of an event that it could not be kept: what it is about has happened all the same.
    func noteLost(_ bucket: String, _ fault: Fault) {
        log.warning("an event was lost", metadata: ["bucket": "\(bucket)", "fault": "\(fault)"])
    }

    /// Delivers messages until cancelled.
    public func run() async throws {
        let left = try await queue.targets()
        state.withLock { $0.waiting.formUnion(left) }
        bell.yield()
        try await withThrowingDiscardingTaskGroup { group in
            for await _ in news {
                let begun = state.withLock { state in
                    let begun = state.waiting.subtracting(state.served)
                    state.served.formUnion(begun)
                    return begun
                }
                for target in begun { group.addTask { try await self.serve(target) } }
            }
            // The bell is silent only once the task is cancelled.
            group.cancelAll()
            try Task.checkCancellation()
        }
    }

    /// Delivers what waits for a target until nothing does.
    private func serve(_ target: String) async throws {
        while state.withLock({ state in
            let waits = state.waiting.remove(target) != nil
            if !waits { state.served.remove(target) }
            return waits
        }) {
            do {
                while let message = try await queue.first(for: target) {
                    try await deliver(message, to: target)
                    try await queue.remove(message)
                }
            } catch let fault as Fault {
                log.warning("the queue of messages fails", metadata: ["target": "\(target)", "fault": "\(fault)"])
                state.withLock { _ = $0.waiting.insert(target) }
                try await Task.sleep(for: Notifier.pauseMax)
            }
        }
    }

    /// Tries until the target has the message, or the message is too old.
    private func deliver(_ message: QueuedMessage, to target: String) async throws {
        var pause = Duration.milliseconds(500)
        while true {
            do throws(Fault) {
                try await deliver(message.body, to: target)
                return
            } catch {
                guard chance.now() < message.kept + Notifier.age else {
                    log.warning("a message was dropped that nobody took", metadata: ["target": "\(target)", "fault": "\(error)"])
                    return
                }
                log.debug("a message is not taken yet", metadata: ["target": "\(target)", "fault": "\(error)"])
            }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, Notifier.pauseMax)
        }
    }
}
