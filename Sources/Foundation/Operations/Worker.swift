//  Finds the operations that can go on and runs them: those that a change woke, those whose time
//  has come. It keeps nothing that the store does not have; it may be ended at any time.

import Database
import Logging
import Model
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
        case finished(ID<Operation>)
    }

    /// - Throws: `Killed` where a fail point strikes; else only when the store is closed.
    public func run() async throws {
        // Bounded by what is in the store: an id waits once, whatever wakes it.
        let (events, source) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .unbounded)
        // Subscribed before anything is read, so that no change falls between.
        let changes = engine.changes()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listen(changes) { source.yield(.woken($0)) } }
            group.addTask { try await tick { source.yield(.woken($0)) } }
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
                case .finished(let id): waiting.finished(id)
                }
                while let id = waiting.next(runningMax: Worker.runningMax) {
                    group.addTask {
                        try await runOne(id)
                        source.yield(.finished(id))
                    }
                }
            }
        }
    }

    private func runOne(_ id: ID<Operation>) async throws {
        do {
            try await runner.run(id)
        } catch let killed as Killed {
            throw killed
        } catch {
            log.error("an operation could not be run", metadata: ["operation": "\(id)", "error": "\(error)"])
        }
    }

    private func listen(_ changes: AsyncStream<ChangeBatch>, _ wake: @Sendable ([ID<Operation>]) -> Void) async throws {
        for await batch in changes {
            guard case .changes(let list) = batch else {
                // What woke whom is not known: every operation looks for itself.
                wake(try await engine.read { tx throws(Fault) in try tx.runningOperations() })
                continue
            }
            let begun = list.filter { $0.table == "operation" }.map { ID<Operation>(stored: $0.id) }
            let rows = list.filter { $0.table != "operation" }.map { AwaitedRow($0.table, $0.id) }
            let woken: [ID<Operation>] = try await engine.readNow { tx throws(Fault) in
                var woken: [ID<Operation>] = []
                for row in rows { woken += try tx.operations(awaiting: row) }
                return woken
            }
            wake(begun + woken)
        }
    }

    private func tick(_ wake: @Sendable ([ID<Operation>]) -> Void) async throws {
        while !Task.isCancelled {
            let now = chance.now()
            wake(try await engine.read { tx throws(Fault) in try tx.dueOperations(at: now, limit: Worker.dueMax) })
            try await Task.sleep(for: Worker.pause)
        }
    }
}

/// The operations that wait for their turn, each once.
struct WakeQueue {
    private var waiting: [ID<Operation>] = []
    private var head = 0
    private var queued: Set<ID<Operation>> = []
    private var running: Set<ID<Operation>> = []
    private var again: Set<ID<Operation>> = []

    mutating func add(_ ids: [ID<Operation>]) {
        for id in ids {
            if running.contains(id) {
                again.insert(id)
            } else if queued.insert(id).inserted {
                waiting.append(id)
            }
        }
    }

    mutating func finished(_ id: ID<Operation>) {
        running.remove(id)
        if again.remove(id) != nil { add([id]) }
    }

    /// The next to run, unless enough are running.
    mutating func next(runningMax: Int) -> ID<Operation>? {
        guard running.count < runningMax, head < waiting.count else { return nil }
        let id = waiting[head]
        head += 1
        if head > 1024 {
            waiting.removeFirst(head)
            head = 0
        }
        queued.remove(id)
        running.insert(id)
        return id
    }
}
