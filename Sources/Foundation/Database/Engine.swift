//  The store's seam: what the Store layer asks of a database. Two drivers answer it, SQLite and
//  PostgreSQL, and one conformance suite holds them to the same behaviour.

import Model

/// Which driver.
public enum EngineName: String, Sendable, Hashable, CaseIterable {
    case sqlite, postgresql
}

/// A database.
///
/// A transaction is a synchronous closure that may run more than once: no clock, randomness or I/O
/// inside; times, ids and seeded dice come in as values. Say `{ tx throws(Fault) in`, else the
/// compiler infers an untyped error.
public protocol Engine: Sendable {
    var name: EngineName { get }

    var meters: EngineMeters { get }

    /// Reads within one snapshot, on a thread of its own.
    func read<T: Sendable>(_ body: @escaping @Sendable (Reading) throws(Fault) -> T) async throws(Fault) -> T

    /// As `read`, for a few rows by key: where it can, on the caller's thread, which is several
    /// times as cheap. Nothing long: it may hold up the caller's executor.
    func readNow<T: Sendable>(_ body: @escaping @Sendable (Reading) throws(Fault) -> T) async throws(Fault) -> T

    /// One transaction; answers after it is durable, or faults with nothing of it kept.
    ///
    /// - Parameters:
    ///   - contending: Keys (`account/17`) whose writers queue before they begin; at most one of
    ///     this process runs at a time. Nothing on SQLite, where all writers queue.
    ///   - deadline: How long to wait for a turn and to repeat. Then it faults with `.timedOut`.
    ///
    /// The caller's cancellation is heard until the closure begins, never after. A connection that
    /// is lost while it commits faults with `.unavailable`: then the outcome is not known.
    @discardableResult
    func write<T: Sendable>(
        contending: [String], deadline: Duration, _ body: @escaping @Sendable (Writing) throws(Fault) -> T
    ) async throws(Fault) -> T

    /// The change feed, from now on: says that a row changed, not how; at least once, coalesced
    /// and bounded. It begins with `.lost`, and says it again when the reader fell behind.
    func changes() -> AsyncStream<ChangeBatch>

    /// Brings the schema up to the last of `migrations`, each in a transaction of its own. Faults
    /// with `.wrongState`, changing nothing, when the store knows migrations that the program does not.
    func migrate(_ migrations: [Migration]) async throws(Fault)

    /// Prepares each statement without running it, and faults with `.internalError` at the first
    /// that this engine does not understand.
    func prepareAll(_ statements: [String]) async throws(Fault)

    /// Refuses what comes after, waits for what has begun, and lets go of the database.
    func close() async
}

extension Engine {
    /// `write` within ten seconds and without contending keys unless said otherwise.
    @discardableResult
    public func write<T: Sendable>(
        contending: [String] = [], deadline: Duration = .seconds(10),
        _ body: @escaping @Sendable (Writing) throws(Fault) -> T
    ) async throws(Fault) -> T {
        try await write(contending: contending, deadline: deadline, body)
    }
}
