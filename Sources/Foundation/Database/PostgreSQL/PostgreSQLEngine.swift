//  The shared engine: writes are SERIALIZABLE and repeated where the server says that another was
//  in the way, reads are one read-only snapshot, and each session has a thread of its own.

import CPostgreSQL
import Dispatch
import Model

/// A store in a PostgreSQL database, for any number of processes.
public final class PostgreSQLEngine: Engine {
    public var name: EngineName { .postgresql }
    public let meters = EngineMeters()

    /// A session that connects when it is needed. Used by one thread at a time.
    private final class Session {
        private let conninfo: String
        private let isWriter: Bool
        private var connection: PostgreSQLConnection?

        init(_ conninfo: String, isWriter: Bool) {
            self.conninfo = conninfo
            self.isWriter = isWriter
        }

        func ready() throws(Fault) -> PostgreSQLConnection {
            if let connection, connection.isAlive { return connection }
            let fresh = try PostgreSQLConnection(conninfo, isWriter: isWriter)
            connection = fresh
            return fresh
        }

        /// Ends whatever transaction is open.
        func reset() { if connection?.reset() != true { connection = nil } }
        func drop() { connection = nil }
    }

    /// What came of one attempt.
    private enum Attempt<T: Sendable>: Sendable {
        case ended(Result<T, Fault>)
        /// Nothing of it is kept, and another attempt may succeed.
        case again(Fault)
    }

    private let writers: Lanes<Session>
    private let readers: Lanes<Session>
    private let keys: KeyQueue
    private let hub: ChangeHub
    private let feed: PostgreSQLFeed
    private let chance: Chance

    /// How long a read goes on trying to reach the server.
    static let readDeadline = Duration.seconds(10)

    /// Connects to a database and checks that it keeps what it is given, in the order that Karri expects.
    ///
    /// - Parameters:
    ///   - conninfo: libpq's connection string (`host=/run/postgresql dbname=karri`).
    ///   - waitingMax: How many reads, and as many writes, and writers of one key, may wait.
    ///   - changesMax: How many changes a reader of the feed may leave untaken.
    ///   - changesKept: How many rows of the feed stay for processes that are late.
    public static func open(
        _ conninfo: String, readers: Int = 4, writers: Int = 8, waitingMax: Int = 4096, changesMax: Int = 10_000,
        changesKept: Int64 = 100_000, chance: Chance = .system
    ) async throws(Fault) -> PostgreSQLEngine {
        let engine = try PostgreSQLEngine(
            conninfo, readers: readers, writers: writers, waitingMax: waitingMax, changesMax: changesMax,
            changesKept: changesKept, chance: chance)
        do throws(Fault) {
            try await engine.checkServer()
        } catch {
            await engine.close()
            throw error
        }
        return engine
    }

    private init(
        _ conninfo: String, readers: Int, writers: Int, waitingMax: Int, changesMax: Int, changesKept: Int64, chance: Chance
    ) throws(Fault) {
        let reading = (0..<max(1, readers)).map { _ in Session(conninfo, isWriter: false) }
        let writing = (0..<max(1, writers)).map { _ in Session(conninfo, isWriter: true) }
        self.readers = Lanes("karri.postgresql.reader", reading, waitingMax: waitingMax)
        self.writers = Lanes("karri.postgresql.writer", writing, waitingMax: waitingMax)
        self.chance = chance
        keys = KeyQueue(waitingMax: waitingMax)
        hub = ChangeHub(pendingMax: changesMax)
        feed = try PostgreSQLFeed(conninfo, hub: hub, windowMax: changesMax, keptMax: changesKept)
        feed.start()
    }

    // MARK: Reads

    public func read<T: Sendable>(_ body: @escaping @Sendable (Reading) throws(Fault) -> T) async throws(Fault) -> T {
        try await repeated(until: .now + PostgreSQLEngine.readDeadline) { isFirst async throws(Fault) in
            try await Ticket<Attempt<T>>.wait(cancellable: isFirst) { ticket throws(Fault) in
                try readers.submit { session in
                    guard ticket.begin() else { return }
                    ticket.end(.success(PostgreSQLEngine.attemptRead(session, body)))
                    // The answer need not wait for the end of a transaction that wrote nothing.
                    session.reset()
                }
            }
        }
    }

    public func readNow<T: Sendable>(_ body: @escaping @Sendable (Reading) throws(Fault) -> T) async throws(Fault) -> T {
        try await read(body)
    }

    private static func attemptRead<T>(_ session: Session, _ body: (Reading) throws(Fault) -> T) -> Attempt<T> {
        let connection: PostgreSQLConnection
        do throws(Fault) { connection = try session.ready() } catch { return .again(error) }
        let reading = Reading(connection)
        do throws(Fault) {
            try reading.attempt { () throws(Failure) in
                try connection.post("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", [])
            }
            let value = try body(reading)
            try reading.check()
            return .ended(.success(value))
        } catch {
            if case .doomed(let failure) = reading.state { return .again(failure.fault) }
            return .ended(.failure(reading.failure ?? error))
        }
    }

    // MARK: Writes

    @discardableResult
    public func write<T: Sendable>(
        contending: [String], deadline: Duration, _ body: @escaping @Sendable (Writing) throws(Fault) -> T
    ) async throws(Fault) -> T {
        let end = ContinuousClock.now + deadline
        let held = try await keys.enter(contending, until: end)
        defer { keys.leave(held) }
        return try await repeated(until: end) { isFirst async throws(Fault) in
            try await Ticket<Attempt<T>>.wait(cancellable: isFirst) { ticket throws(Fault) in
                try writers.submit { [feed, meters] session in
                    guard ContinuousClock.now < end else { return ticket.give(up: .timedOutBeforeItBegan) }
                    guard ticket.begin() else { return }
                    let (attempt, announces) = PostgreSQLEngine.attemptWrite(session, meters, body)
                    ticket.end(.success(attempt))
                    if announces { feed.wake() }
                }
            }
        }
    }

    /// One attempt, and whether it committed something that the feed announces.
    private static func attemptWrite<T>(
        _ session: Session, _ meters: EngineMeters, _ body: (Writing) throws(Fault) -> T
    ) -> (Attempt<T>, announces: Bool) {
        let connection: PostgreSQLConnection
        do throws(Fault) { connection = try session.ready() } catch { return (.again(error), false) }
        let writing = Writing(connection)
        do throws(Fault) {
            writing.post("BEGIN ISOLATION LEVEL SERIALIZABLE")
            let value = try body(writing)
            if !writing.changes.isEmpty {
                writing.post(PostgreSQLFeed.insertion, [.text(try PostgreSQLFeed.document(writing.changes))])
            }
            try writing.check()
            return (try commit(connection, session, meters, value), !writing.changes.isEmpty)
        } catch {
            session.reset()
            if case .doomed(let failure) = writing.state {
                meters.writes.count("lost")
                return (.again(failure.fault), false)
            }
            meters.writes.count("refused")
            return (.ended(.failure(writing.failure ?? error)), false)
        }
    }

    private static func commit<T>(
        _ connection: PostgreSQLConnection, _ session: Session, _ meters: EngineMeters, _ value: T
    ) throws(Fault) -> Attempt<T> {
        do throws(Failure) {
            let beginning = ContinuousClock.now
            try connection.commit()
            meters.commits.record(duration: ContinuousClock.now - beginning)
            meters.writes.count("committed")
            return .ended(.success(value))
        } catch {
            session.reset()
            meters.writes.count("lost")
            switch error.reach {
            case .statement: return .ended(.failure(error.fault))
            case .transaction: return .again(error.fault)
            case .connection:
                let fault = Fault(
                    .unavailable, "The connection to the store was lost during a commit: it is not known whether it happened.",
                    cause: error.fault.cause)
                return .ended(.failure(fault))
            }
        }
    }

    /// Repeats with growing, jittered pauses until an attempt ends or the time is over.
    private func repeated<T: Sendable>(
        until end: ContinuousClock.Instant, _ attempt: (_ isFirst: Bool) async throws(Fault) -> Attempt<T>
    ) async throws(Fault) -> T {
        var pauseMicroseconds: UInt64 = 1000
        var isFirst = true
        while true {
            switch try await attempt(isFirst) {
            case .ended(let result): return try result.get()
            case .again(let fault):
                isFirst = false
                let pause = Duration.microseconds(Int64(chance.bits() % pauseMicroseconds))
                guard ContinuousClock.now + pause < end else { throw fault }
                await rest(pause)
                pauseMicroseconds = min(pauseMicroseconds * 2, 200_000)
            }
        }
    }

    /// A pause that cancellation does not shorten: a repeat is part of a call that has begun.
    private func rest(_ pause: Duration) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().asyncAfter(deadline: .now() + pause.dispatchInterval) { continuation.resume() }
        }
    }

    // MARK: The rest

    public func changes() -> AsyncStream<ChangeBatch> { hub.subscribe() }

    public func migrate(_ migrations: [Migration]) async throws(Fault) {
        try await alone { connection throws(Failure) in
            for text in PostgreSQLFeed.definitions + [History.definition] {
                _ = try connection.run(try PostgreSQLEngine.definition(text), [])
            }
        }
        // Each step looks again at what is there, so that two programs may start at once.
        while try await alone({ connection throws(Failure) in try PostgreSQLEngine.migrateOnce(connection, migrations) }) {}
        feed.wake()
    }

    /// Applies the first missing migration; false if there is none.
    private static func migrateOnce(_ connection: PostgreSQLConnection, _ migrations: [Migration]) throws(Failure) -> Bool {
        let applied: [String]
        do throws(Fault) { applied = try Reading(connection).values(History.selection, as: String.self) } catch {
            throw Failure(error)
        }
        let missing: ArraySlice<Migration>
        do throws(Fault) { missing = try History.missing(of: migrations, in: applied) } catch { throw Failure(error) }
        guard let migration = missing.first else { return false }
        for text in migration.statements { _ = try connection.run(try definition(text), []) }
        _ = try connection.run(History.insertion, [.integer(Int64(missing.startIndex)), .text(migration.name)])
        return true
    }

    private static func definition(_ text: String) throws(Failure) -> String {
        do throws(Fault) { return try EngineName.postgresql.definition(text) } catch { throw Failure(error) }
    }

    public func prepareAll(_ statements: [String]) async throws(Fault) {
        for statement in statements {
            try await onWriter { connection throws(Failure) in try connection.prepareOnly(statement) }
        }
    }

    public func close() async {
        await feed.close()
        await writers.close { $0.drop() }
        await readers.close { $0.drop() }
        hub.close()
    }

    /// Runs `body` in a transaction of a writing session, one such at a time among all programs.
    private func alone<T: Sendable>(
        _ body: @escaping @Sendable (PostgreSQLConnection) throws(Failure) -> T
    ) async throws(Fault) -> T {
        try await onWriter { connection throws(Failure) in
            try connection.post("BEGIN", [])
            try connection.post("SET LOCAL statement_timeout = 0", [])
            // "karri" in ASCII: the lock of those who change the schema.
            try connection.query("SELECT pg_advisory_xact_lock(461196391017)", []) { _ in false }
            let value = try body(connection)
            try connection.commit()
            return value
        }
    }

    /// Runs `body` on a writing session, outside a transaction.
    private func onWriter<T: Sendable>(
        _ body: @escaping @Sendable (PostgreSQLConnection) throws(Failure) -> T
    ) async throws(Fault) -> T {
        try await Ticket<T>.wait { ticket throws(Fault) in
            try writers.submit { session in
                guard ticket.begin() else { return }
                do throws(Fault) {
                    let connection = try session.ready()
                    do throws(Failure) { ticket.end(.success(try body(connection))) } catch { throw error.fault }
                } catch {
                    session.reset()
                    ticket.end(.failure(error))
                }
            }
        }
    }

    private func checkServer() async throws(Fault) {
        try await onWriter { connection throws(Failure) in
            do throws(Fault) {
                guard PQserverVersion(connection.handle) >= 140_000 else {
                    throw Fault(.wrongState, "The store needs PostgreSQL 14 or later.")
                }
                let facts = try Reading(connection).first(
                    """
                    SELECT current_setting('fsync'), pg_encoding_to_char(encoding), CAST(datcollate AS text)
                        FROM pg_database WHERE datname = current_database()
                    """
                ) { row throws(Fault) in (fsync: try row.takeText(), encoding: try row.takeText(), order: try row.takeText()) }
                guard facts?.fsync == "on" else {
                    throw Fault(.wrongState, "PostgreSQL runs with fsync = off and would lose what it acknowledged.")
                }
                guard let facts, facts.encoding == "UTF8", ["C", "POSIX", "C.UTF-8", "C.utf8"].contains(facts.order) else {
                    throw Fault(
                        .wrongState, "The store's database must be UTF8 and sort by code point.",
                        cause: "make it with ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
                }
            } catch { throw Failure(error) }
        }
    }
}
