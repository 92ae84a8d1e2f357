//  Finds the operations that can go on and runs them: those that a change woke, those whose time
//  has come. It keeps nothing that the store does not have; it may be ended at any time.

import Database
import Logging
import Model
import Platform
import Store

/// Runs all operations of a store until cancelled.
public struct Worker: Sendable {
    let engine: any Engine
    let runner: Runner
    let chance: Chance
    let log: Logger

    /// How many operations run side by side.
    static let runningMax = 8
    /// How often overdue operations are looked for when nothing happens.
    static let pause = Duration.milliseconds(500)
    /// Overdue operations that one look takes up.
    static let dueMax = 1000

    public init(engine: any Engine, runner: Runner, chance: Chance, log: Logger) {
        self.engine = engine
        self.runner = runner
        self.chance = chance
        self.log = log
    }

    private enum Event: Sendable {
        case woken([ID<Operation>])
        /// Rows that changed; nil when all may have.
        case changed([AwaitedRow]?)
        case finished(ID<Operation>, waitsFor: [AwaitedRow])
    }

    /// - Throws: `Killed` where a fail point strikes. It returns when the store is closed.
    public func run() async throws {
        // Bounded by what is in the store: an id waits once, whatever wakes it.
        let (events, source) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .unbounded)
        // Subscribed before anything is read, so that no change falls between.
        let changes = engine.changes()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await listen(changes, source) }
            group.addTask { await tick(source) }
            group.addTask { try await dispatch(events, source) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Starts what is woken, a few at a time. One that is woken while it runs is run once more.
    private func dispatch(_ events: AsyncStream<Event>, _ source: AsyncStream<Event>.Continuation) async throws {
        var waiting = WakeQueue()
        try await withThrowingDiscardingTaskGroup { group in
            for await event in events {
                switch event {
                case .woken(let ids): waiting.add(ids)
                case .changed(let rows): waiting.changed(rows)
                case .finished(let id, let rows): waiting.finished(id, waitsFor: rows)
                }
                while let id = waiting.next(runningMax: Worker.runningMax) {
                    group.addTask { source.yield(.finished(id, waitsFor: try await runOne(id))) }
                }
            }
        }
    }

    /// Runs one operation, again and again while the store cannot be written: nothing else would
    /// wake it before its deadline.
    private func runOne(_ id: ID<Operation>) async throws -> [AwaitedRow] {
        while true {
            do {
                return try await runner.run(id)
            } catch let killed as Killed {
                throw killed
            } catch {
                log.error("an operation could not be run", metadata: ["operation": "\(id)", "error": "\(error)"])
            }
            do { try await Task.sleep(for: Worker.pause) } catch { return [] }
        }
    }

    private func listen(_ changes: AsyncStream<ChangeBatch>, _ source: AsyncStream<Event>.Continuation) async {
        for await batch in changes {
            guard case .changes(let list) = batch else {
                // What woke whom is not known: every operation looks for itself.
                source.yield(.changed(nil))
                await wake(source) { tx throws(Fault) in try tx.runningOperations() }
                continue
            }
            let begun = list.filter { $0.table == "operation" }.map { ID<Operation>(stored: $0.id) }
            let rows = list.filter { $0.table != "operation" }.map { AwaitedRow($0.table, $0.id) }
            if !begun.isEmpty { source.yield(.woken(begun)) }
            guard !rows.isEmpty else { continue }
            // Told before it is asked who waits: who begins to wait in between is found by this.
            if engine.name == .postgresql { source.yield(.changed(rows)) }
            await wake(source) { tx throws(Fault) in
                var woken: [ID<Operation>] = []
                for row in rows { woken += try tx.operations(awaiting: row) }
                return woken
            }
        }
    }

    /// Wakes what a query names; asks until it is answered.
    private func wake(
        _ source: AsyncStream<Event>.Continuation, _ query: @escaping @Sendable (Reading) throws(Fault) -> [ID<Operation>]
    ) async {
        while !Task.isCancelled {
            do throws(Fault) {
                let woken = try await engine.readNow(query)
                if !woken.isEmpty { source.yield(.woken(woken)) }
                return
            } catch {
                log.error("the operations that a change wakes could not be read", metadata: ["fault": "\(error)"])
            }
            do { try await Task.sleep(for: Worker.pause) } catch { return }
        }
    }

    private func tick(_ source: AsyncStream<Event>.Continuation) async {
        while !Task.isCancelled {
            let now = chance.now()
            await wake(source) { tx throws(Fault) in try tx.dueOperations(at: now, limit: Worker.dueMax) }
            do { try await Task.sleep(for: Worker.pause) } catch { return }
        }
    }
}

/// The operations that wait for their turn, and what those that run may have missed.
struct WakeQueue {
    /// What changed while an operation ran. On PostgreSQL a step may not have seen a change that was
    /// told before the step's own wait was there to be found.
    private enum Missed {
        case rows(Set<AwaitedRow>)
        case everything
    }

    private var queue = KeyQueue<ID<Operation>>()
    private var missed: [ID<Operation>: Missed] = [:]

    mutating func add(_ ids: [ID<Operation>]) { queue.add(ids) }

    /// Notes rows that changed (nil: any) for what is running.
    mutating func changed(_ rows: [AwaitedRow]?) {
        for (id, before) in missed {
            guard let rows else {
                missed[id] = .everything
                continue
            }
            if case .rows(let before) = before { missed[id] = .rows(before.union(rows)) }
        }
    }

    mutating func finished(_ id: ID<Operation>, waitsFor rows: [AwaitedRow]) {
        let isStale =
            switch missed.removeValue(forKey: id) {
            case .rows(let changed): !changed.isDisjoint(with: rows)
            case .everything: !rows.isEmpty
            case nil: false
            }
        // Added while it still counts as running, so that it is run once more.
        if isStale { queue.add(CollectionOfOne(id)) }
        queue.finished(id)
    }

    /// The next to run, unless enough are running.
    mutating func next(runningMax: Int) -> ID<Operation>? {
        guard let id = queue.next(runningMax: runningMax) else { return nil }
        missed[id] = .rows([])
        return id
    }
}
