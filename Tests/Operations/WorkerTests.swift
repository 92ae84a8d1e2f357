//  The worker: whatever wakes an operation, it runs; and it sleeps otherwise.

import Database
import DatabaseTesting
import Model
import Store
import Synchronization
import Testing

@testable import Operations

@Suite struct WorkerTests {
    private static let awaited = AwaitedRow("thing", 77)

    /// Waits for a row until its story has as many lines as the row was changed.
    private static let waiting = Program(
        "lab.wait",
        steps: [
            Step("wait") { tx, context throws(Fault) in
                guard try tx.story(of: .volume, context.operation.subject).isEmpty else { return .finished }
                return .wait(
                    for: [AwaitedRow("thing", context.operation.subject)], until: context.now + .seconds(3600))
            }
        ])

    private func with(
        _ engine: EngineName, _ program: Program, _ body: @escaping @Sendable (Lab) async throws -> Void
    ) async throws {
        try await Lab.with(engine) { lab in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await lab.worker([program]).run() }
                defer { group.cancelAll() }
                try await body(lab)
            }
        }
    }

    private func until(_ condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(20)
        while try await !condition() {
            guard ContinuousClock.now < end else {
                Issue.record("it did not come about")
                return
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// 150 operations wait for rows that change at about the moment at which they begin to wait; an
    /// hour's deadline would be the next to wake one that missed its change.
    @Test(arguments: EngineName.allCases)
    func noWakeIsLost(engine: EngineName) async throws {
        try await with(engine, WorkerTests.waiting) { lab in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for part in 0..<6 as Range<UInt64> {
                    group.addTask {
                        for number in 1...25 as ClosedRange<UInt64> {
                            let subject = part * 1000 + number
                            _ = try await lab.begin(WorkerTests.waiting, subject)
                            try await lab.engine.write { tx throws(Fault) in
                                tx.tell(.volume, Int64(subject), at: Instant(seconds: 1), source: "lab", "changed")
                                tx.changed("thing", Int64(subject))
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await until { try await lab.engine.read { tx throws(Fault) in try tx.runningOperations() }.isEmpty }
        }
    }

    /// What was begun before the worker was there, and what is due without any change.
    @Test(arguments: EngineName.allCases)
    func whatIsOldAndWhatIsDue(engine: EngineName) async throws {
        let program = Program(
            "lab.due",
            steps: [
                Step("wait") { _, context throws(Fault) in
                    context.isOverdue ? .finished : .wait(for: [], until: context.now + .milliseconds(300))
                }
            ])
        try await Lab.with(engine) { lab in
            let old = try await lab.begin(program, 1)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await lab.worker([program]).run() }
                defer { group.cancelAll() }
                let new = try await lab.begin(program, 2)
                for id in [old, new] { try await until { try await lab.operation(id)?.state == .succeeded } }
            }
        }
    }

    /// A feed that fell behind says so, and every operation looks for itself.
    @Test func aFeedThatFellBehind() async throws {
        let store = try TestStore(.sqlite)
        defer { store.remove() }
        let engine = try await store.open(changesMax: 4)
        try await engine.migrate(Migration.all)
        let account = Account(
            id: ID(bits: 1), number: "123456789012", name: "lab", state: .active, created: Instant(seconds: 1), revision: 1)
        try await engine.write { tx throws(Fault) in tx.insert(account, into: Account.table) }
        let lab = Lab(engine: engine, account: account.id, chance: .system)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await lab.worker([WorkerTests.waiting]).run() }
            defer { group.cancelAll() }
            for number in 1...20 as ClosedRange<UInt64> { _ = try await lab.begin(WorkerTests.waiting, number) }
            try await engine.write { tx throws(Fault) in
                for number in 1...20 as ClosedRange<Int64> {
                    tx.tell(.volume, number, at: Instant(seconds: 1), source: "lab", "changed")
                    tx.changed("thing", number)
                }
            }
            try await until { try await engine.read { tx throws(Fault) in try tx.runningOperations() }.isEmpty }
        }
        await engine.close()
    }

    /// A worker whose store is closed ends by itself.
    @Test(.timeLimit(.minutes(1)))
    func theEnd() async throws {
        let store = try TestStore(.sqlite)
        defer { store.remove() }
        let engine = try await store.open()
        try await engine.migrate(Migration.all)
        let lab = Lab(engine: engine, account: ID(bits: 1), chance: .system)
        async let ended: Void = lab.worker([WorkerTests.waiting]).run()
        try await Task.sleep(for: .milliseconds(50))
        await engine.close()
        try await ended
    }
}

@Suite struct WakeQueueTests {
    private func id(_ number: UInt64) -> ID<Operation> { ID(bits: number) }

    @Test func aChangeThatCameWhileItRan() {
        let row = AwaitedRow("holding", 1)
        var queue = WakeQueue()
        queue.add([id(1), id(2), id(3)])
        while queue.next(runningMax: 3) != nil {}
        queue.changed([row])
        // It waits for that row, for another, and for nothing.
        queue.finished(id(1), waitsFor: [row])
        queue.finished(id(2), waitsFor: [AwaitedRow("holding", 2)])
        queue.finished(id(3), waitsFor: [])
        #expect(queue.next(runningMax: 3) == id(1))
        #expect(queue.next(runningMax: 3) == nil)
        // A change before it ran is one that it has seen.
        queue.finished(id(1), waitsFor: [])
        queue.changed([row])
        queue.add([id(2)])
        #expect(queue.next(runningMax: 3) == id(2))
        queue.finished(id(2), waitsFor: [row])
        #expect(queue.next(runningMax: 3) == nil)
        // Where nobody knows what changed, who waits looks again.
        queue.add([id(2)])
        #expect(queue.next(runningMax: 3) == id(2))
        queue.changed(nil)
        queue.finished(id(2), waitsFor: [row])
        #expect(queue.next(runningMax: 3) == id(2))
    }
}
