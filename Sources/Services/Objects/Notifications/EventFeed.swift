//  The cloud's own feed of events: what has happened to objects of the buckets whose owners want it told
//  there, one after the other, on the host's own disk.

import Database
import Model
import ObjectStorage

/// An event of the feed.
public struct FeedEvent: Sendable, Hashable {
    /// Later events have greater numbers; none is given twice.
    public var number: Int64
    /// JSON as EventBridge has it (Amazon EventBridge User Guide, "AWS service event metadata").
    public var body: String
}

/// Events in the order in which they were taken. The oldest go when there are too many.
public final class EventFeed: Sendable {
    /// How many stay.
    public static let eventsMax: Int64 = 1_000_000
    /// Between two removals of the oldest.
    private static let trimming: Int64 = 1000

    private static let schema = [
        Migration(
            "events",
            [
                "CREATE TABLE event (number {serial}, bucket {text} NOT NULL, body {text} NOT NULL) {strict}",
                "CREATE INDEX event_bucket ON event (bucket, number)",
            ])
    ]

    private let engine: any Engine
    private let eventsMax: Int64

    private init(_ engine: any Engine, eventsMax: Int64) {
        self.engine = engine
        self.eventsMax = eventsMax
    }

    public static func open(_ path: String, eventsMax: Int64 = EventFeed.eventsMax) async throws(Fault) -> EventFeed {
        let engine = try SQLiteEngine(path: path, readers: 1)
        do throws(Fault) { try await engine.migrate(schema) } catch {
            await engine.close()
            throw error
        }
        return EventFeed(engine, eventsMax: eventsMax)
    }

    public func close() async { await engine.close() }

    /// Keeps an event, durable when this returns.
    func add(_ body: String, of bucket: String) async throws(Fault) {
        let eventsMax = eventsMax
        try await engine.write { tx throws(Fault) in
            let number = try tx.value(
                "INSERT INTO event (bucket, body) VALUES ($1, $2) RETURNING number", [bucket.value, body.value], as: Int64.self)
            guard let number, number % EventFeed.trimming == 0 else { return }
            try tx.run("DELETE FROM event WHERE number <= $1", [(number - eventsMax).value])
        }
    }

    /// Events after a number, at most so many, in order.
    ///
    /// - Parameter bucket: Nil: of all buckets.
    public func events(after number: Int64, of bucket: String?, limit: Int) async throws(Fault) -> [FeedEvent] {
        try await engine.read { tx throws(Fault) in
            try tx.rows(
                """
                SELECT number, body FROM event WHERE number > $1 \(bucket == nil ? "" : "AND bucket = $3") ORDER BY number LIMIT $2
                """, [number.value, limit.value] + (bucket.map { [$0.value] } ?? [])
            ) { row throws(Fault) in FeedEvent(number: try row.take(), body: try row.takeText()) }
        }
    }
}
