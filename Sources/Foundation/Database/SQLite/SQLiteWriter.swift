//  SQLite's one writer: closures queue, each runs in a savepoint, many share one commit and so one
//  sync of the disk, and each is answered after that commit. Where a commit fails (a deferred
//  constraint, a full disk), each closure of the batch runs again, alone.

import CSQLite
import Dispatch
import Model
import Synchronization

/// A write that waits for its turn.
///
/// `@unchecked`: its result is touched on the writer's thread alone, its ticket locks itself.
class SQLiteWrite: @unchecked Sendable {
    let deadline: ContinuousClock.Instant

    init(deadline: ContinuousClock.Instant) { self.deadline = deadline }

    /// Whether it may begin; false if its caller has gone.
    func begin() -> Bool { false }
    /// Runs the closure and keeps its result.
    func perform(_ transaction: Writing) throws(Fault) {}
    /// Answers with the fault or the kept result.
    func end(_ fault: Fault?) {}
    func give(up fault: Fault) {}
}

final class SQLiteWriteOf<T: Sendable>: SQLiteWrite, @unchecked Sendable {
    private let ticket: Ticket<T>
    private let body: @Sendable (Writing) throws(Fault) -> T
    private var result: T?

    init(_ ticket: Ticket<T>, deadline: ContinuousClock.Instant, _ body: @escaping @Sendable (Writing) throws(Fault) -> T) {
        self.ticket = ticket
        self.body = body
        super.init(deadline: deadline)
    }

    override func begin() -> Bool { ticket.begin() }
    override func perform(_ transaction: Writing) throws(Fault) { result = try body(transaction) }
    override func give(up fault: Fault) { ticket.give(up: fault) }

    override func end(_ fault: Fault?) {
        if let fault { return ticket.end(.failure(fault)) }
        guard let result else { return ticket.end(.failure(Fault(.internalError, "A write ended without a result."))) }
        ticket.end(.success(result))
    }
}

/// `@unchecked`: the connection and what belongs to a batch are touched on `thread` alone; the
/// queue is behind a mutex.
final class SQLiteWriter: @unchecked Sendable {
    /// A batch is as slow as its slowest closure, so it ends at whichever comes first.
    static let batchMax = 64
    static let batchSpan = Duration.milliseconds(5)

    /// A closure of a batch that has run, and what it has to say once the batch is committed.
    private struct Outcome {
        var write: SQLiteWrite
        var fault: Fault?
        var changes: [Change] = []
    }

    private struct Queue {
        var waiting = Fifo<SQLiteWrite>()
        var isDraining = false
        var isClosed = false
    }

    private let connection: SQLiteConnection
    private let thread = DispatchQueue(label: "karri.sqlite.writer")
    private let queue = Mutex(Queue())
    private let waitingMax: Int
    private let hub: ChangeHub
    private let checkpoints: SQLiteCheckpoints
    private let meters: EngineMeters
    private var sequence: Int64 = 0
    /// Set once a sync has failed: from then on nothing is written.
    private var broken: Fault?

    init(_ connection: SQLiteConnection, hub: ChangeHub, checkpoints: SQLiteCheckpoints, waitingMax: Int, meters: EngineMeters) {
        self.connection = connection
        self.hub = hub
        self.checkpoints = checkpoints
        self.waitingMax = waitingMax
        self.meters = meters
    }

    func enqueue(_ write: SQLiteWrite) throws(Fault) {
        let (refusal, starts): (Fault?, Bool) = queue.withLock { queue in
            if queue.isClosed { return (.storeIsClosed, false) }
            guard queue.waiting.count < waitingMax else { return (.storeIsBusy, false) }
            queue.waiting.append(write)
            defer { queue.isDraining = true }
            return (nil, !queue.isDraining)
        }
        if let refusal { throw refusal }
        if starts { thread.async { self.drain() } }
    }

    /// Runs `body` on the writer's thread, between batches.
    func between<T: Sendable>(_ body: @escaping @Sendable (SQLiteConnection) throws(Fault) -> T) async throws(Fault) -> T {
        let result: Result<T, Fault> = await withCheckedContinuation { continuation in
            thread.async {
                do throws(Fault) { continuation.resume(returning: .success(try body(self.connection))) } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    /// Refuses what comes and waits until what was queued has ended.
    func close() async {
        queue.withLock { $0.isClosed = true }
        // The draining work is ahead on the same serial thread.
        await withCheckedContinuation { continuation in thread.async { continuation.resume() } }
    }

    private func drain() {
        while let first = next(mayStop: true) {
            if let broken { first.end(broken) } else { runBatch(first) }
        }
    }

    /// The next write whose caller still waits for it, begun.
    private func next(mayStop: Bool) -> SQLiteWrite? {
        while true {
            let write: SQLiteWrite? = queue.withLock { queue in
                let write = queue.waiting.popFirst()
                if write == nil, mayStop { queue.isDraining = false }
                return write
            }
            guard let write else { return nil }
            if write.deadline < .now { write.give(up: .timedOutBeforeItBegan) } else if write.begin() { return write }
        }
    }

    // MARK: Batches

    private func runBatch(_ first: SQLiteWrite) {
        checkpoints.waitIfTooLong(connection)
        var outcomes: [Outcome] = []
        let end = ContinuousClock.now + SQLiteWriter.batchSpan
        var upcoming: SQLiteWrite? = first
        let fault = transaction {
            while let write = upcoming {
                outcomes.append(Outcome(write: write))
                guard let outcome = perform(write) else { return false }
                outcomes[outcomes.count - 1] = outcome
                let isFull = outcomes.count >= SQLiteWriter.batchMax || ContinuousClock.now >= end
                upcoming = isFull ? nil : next(mayStop: false)
            }
            return true
        }
        guard let fault else { return answer(outcomes) }
        if outcomes.isEmpty {
            first.end(fault)
        } else if outcomes.count == 1 || broken != nil {
            meters.writes.count("lost", by: UInt64(outcomes.count))
            for outcome in outcomes { outcome.write.end(outcome.fault ?? broken ?? fault) }
        } else {
            for outcome in outcomes { runAlone(outcome.write) }
        }
    }

    private func runAlone(_ write: SQLiteWrite) {
        if let broken { return write.end(broken) }
        var outcome = Outcome(write: write)
        let fault = transaction {
            guard let performed = perform(write) else { return false }
            outcome = performed
            return true
        }
        guard let fault else { return answer([outcome]) }
        meters.writes.count("lost")
        write.end(outcome.fault ?? fault)
    }

    private func answer(_ outcomes: [Outcome]) {
        var changes: [Change] = []
        for outcome in outcomes where outcome.fault == nil {
            for var change in outcome.changes {
                sequence += 1
                change.sequence = sequence
                changes.append(change)
            }
        }
        hub.publish(changes)
        let refused = outcomes.count { $0.fault != nil }
        meters.writes.count("committed", by: UInt64(outcomes.count - refused))
        if refused > 0 { meters.writes.count("refused", by: UInt64(refused)) }
        for outcome in outcomes { outcome.write.end(outcome.fault) }
        checkpoints.startIfLong(connection)
    }

    /// Runs one closure in a savepoint; nil if SQLite gave the whole transaction up.
    private func perform(_ write: SQLiteWrite) -> Outcome? {
        let transaction = Writing(connection)
        var outcome = Outcome(write: write)
        do throws(Fault) {
            try connection.execute("SAVEPOINT closure")
            do throws(Fault) {
                try write.perform(transaction)
                // A closure that hid a failed statement has failed all the same.
                try transaction.check()
                outcome.changes = transaction.changes
            } catch {
                outcome.fault = transaction.failure ?? error
                if case .doomed = transaction.state { return lost(outcome) }
                try connection.execute("ROLLBACK TO SAVEPOINT closure")
            }
            try connection.execute("RELEASE SAVEPOINT closure")
        } catch {
            outcome.fault = error
            return lost(outcome)
        }
        return outcome
    }

    private var lostFault: Fault?

    private func lost(_ outcome: Outcome) -> Outcome? {
        lostFault = outcome.fault
        return nil
    }

    /// BEGIN, `body`, COMMIT; the fault that kept it from being committed, if any.
    private func transaction(_ body: () -> Bool) -> Fault? {
        lostFault = nil
        do throws(Fault) {
            try connection.execute("BEGIN IMMEDIATE")
        } catch { return error }
        connection.isInTransaction = true
        defer { connection.isInTransaction = false }
        var fault: Fault?
        if body() {
            do throws(Fault) {
                let beginning = ContinuousClock.now
                try connection.execute("COMMIT")
                meters.commits.record(duration: ContinuousClock.now - beginning)
                return nil
            } catch { fault = error }
        } else {
            fault = lostFault ?? Fault(.storage, "The store gave a transaction up.")
        }
        if SQLiteFault.isLostSync(sqlite3_extended_errcode(connection.handle)) { broken = fault }
        if sqlite3_get_autocommit(connection.handle) == 0 {
            do throws(Fault) { try connection.execute("ROLLBACK") } catch { broken = error }
        }
        return fault
    }
}
