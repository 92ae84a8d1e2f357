//  Messages that are yet to be delivered, on the host's own disk: what is taken survives a crash.

import Database
import Model
import ObjectStorage
import Synchronization

/// A message on its way.
struct QueuedMessage: Sendable {
    var id: Int64
    var body: String
    var kept: Instant
}

/// Messages in the order in which they came, for each target.
public final class MessageQueue: Sendable {
    /// Of all targets together.
    static let messagesMax = 100_000

    private static let schema = [
        Migration(
            "messages",
            [
                "CREATE TABLE message (id {serial}, target {text} NOT NULL, body {text} NOT NULL, kept {int} NOT NULL) {strict}",
                "CREATE INDEX message_target ON message (target, id)",
            ])
    ]

    private let engine: any Engine
    private let count: Mutex<Int>

    private init(_ engine: any Engine, count: Int) {
        self.engine = engine
        self.count = Mutex(count)
    }

    public static func open(_ path: String) async throws(Fault) -> MessageQueue {
        let engine = try SQLiteEngine(path: path, readers: 1)
        do throws(Fault) {
            try await engine.migrate(schema)
            let count = try await engine.read { tx throws(Fault) in try tx.count("SELECT count(*) FROM message") }
            return MessageQueue(engine, count: count)
        } catch {
            await engine.close()
            throw error
        }
    }

    public func close() async { await engine.close() }

    /// Keeps messages, durable when this returns.
    ///
    /// - Throws: `limitExceeded` where too many wait.
    func add(_ messages: [(target: String, body: String)], now: Instant) async throws(Fault) {
        let hasRoom = count.withLock { count in
            guard count + messages.count <= MessageQueue.messagesMax else { return false }
            count += messages.count
            return true
        }
        guard hasRoom else { throw Fault(.limitExceeded, "Too many messages wait to be delivered.") }
        do throws(Fault) {
            try await engine.write { tx throws(Fault) in
                for message in messages {
                    tx.post(
                        "INSERT INTO message (target, body, kept) VALUES ($1, $2, $3)",
                        [message.target.value, message.body.value, now.microseconds.value])
                }
            }
        } catch {
            count.withLock { $0 -= messages.count }
            throw error
        }
    }

    /// Targets that messages wait for.
    func targets() async throws(Fault) -> [String] {
        try await engine.read { tx throws(Fault) in try tx.values("SELECT DISTINCT target FROM message", as: String.self) }
    }

    /// The message that is to be delivered next to a target.
    func first(for target: String) async throws(Fault) -> QueuedMessage? {
        try await engine.read { tx throws(Fault) in
            try tx.first("SELECT id, body, kept FROM message WHERE target = $1 ORDER BY id LIMIT 1", [target.value]) {
                row throws(Fault) in
                QueuedMessage(
                    id: try Int64.take(&row), body: try String.take(&row), kept: Instant(microseconds: try Int64.take(&row)))
            }
        }
    }

    func remove(_ message: QueuedMessage) async throws(Fault) {
        let id = message.id
        let removed = try await engine.write { tx throws(Fault) in try tx.run("DELETE FROM message WHERE id = $1", [id.value]) }
        count.withLock { $0 -= removed }
    }
}
