//  The change feed: everything committed is announced after it is committed, nothing else is.

import DatabaseTesting
import Model
import Synchronization
import Testing

@testable import Database

/// Collects what one reader of a feed is told, on a task that ends with the engine.
private final class Listener: Sendable {
    private struct State {
        var batches: [ChangeBatch] = []
        var isEnded = false
    }

    private let state = Mutex(State())
    private let task: Mutex<Task<Void, Never>?> = Mutex(nil)

    init(_ stream: AsyncStream<ChangeBatch>) {
        let task = Task {
            for await batch in stream { self.state.withLock { $0.batches.append(batch) } }
            self.state.withLock { $0.isEnded = true }
        }
        self.task.withLock { $0 = task }
    }

    var batches: [ChangeBatch] { state.withLock { $0.batches } }
    var isEnded: Bool { state.withLock { $0.isEnded } }
    var changes: [Change] {
        batches.flatMap { batch -> [Change] in
            guard case .changes(let changes) = batch else { return [] }
            return changes
        }
    }

    /// Waits until `condition` holds of the batches; false after ten seconds.
    func sees(_ condition: (Listener) -> Bool) async -> Bool {
        for _ in 0..<2000 {
            if condition(self) { return true }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    func cancel() { task.withLock { $0?.cancel() } }
}

extension Engine {
    /// Makes a listener and waits until the feed has surely begun.
    fileprivate func listener() async throws -> Listener {
        let listener = Listener(changes())
        for probe in Int64.min... {
            try await write { tx throws(Fault) in tx.changed("probes", probe) }
            try await Task.sleep(for: .milliseconds(10))
            if listener.changes.contains(where: { $0.table == "probes" }) { return listener }
        }
        return listener
    }
}

@Suite struct ChangeFeedTests {
    @Test(arguments: EngineName.allCases)
    func tellsWhatWasCommittedAndNothingElse(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let listener = try await engine.listener()
            #expect(listener.batches.first == .lost, "a stream begins with it")
            _ = await Fixtures.fault {
                try await engine.write { tx throws(Fault) in
                    tx.changed("numbers", 99)
                    throw Fixtures.refusal
                }
            }
            try await engine.write { tx throws(Fault) in
                try tx.run("INSERT INTO numbers (id, amount) VALUES (-1, 0)")
                tx.changed("numbers", -1, account: .min, zone: 7)
                do throws(Fault) {
                    try tx.savepoint { () throws(Fault) in
                        tx.changed("numbers", 98)
                        throw Fixtures.refusal
                    }
                } catch {}
                tx.changed("numbers", 2)
            }
            try await engine.write { tx throws(Fault) in tx.changed("numbers", 3) }
            #expect(await listener.sees { $0.changes.contains { $0.id == 3 } })
            let changes = listener.changes.filter { $0.table == "numbers" }
            #expect(Set(changes.map(\.id)) == [-1, 2, 3])
            let first = changes.first { $0.id == -1 }
            #expect(first?.account == .min && first?.zone == 7)
            #expect(changes.first { $0.id == 2 }?.account == nil)
            let sequences = listener.changes.map(\.sequence)
            #expect(sequences == sequences.sorted())
            let stored = try await engine.ids
            #expect(stored == [-1], "who is told may read it")
        }
    }

    @Test(arguments: EngineName.allCases)
    func concurrentWritersAreAllAnnounced(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let listener = try await engine.listener()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<60 {
                    group.addTask {
                        try await engine.write(deadline: .seconds(60)) { tx throws(Fault) in
                            try tx.run("INSERT INTO numbers (id, amount) VALUES ($1, 0)", [.integer(Int64(number))])
                            tx.changed("numbers", Int64(number))
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(await listener.sees { Set($0.changes.filter { $0.table == "numbers" }.map(\.id)).count == 60 })
        }
    }

    @Test(arguments: EngineName.allCases)
    func endsWithTheEngine(_ name: EngineName) async throws {
        let store = try TestStore(name)
        defer { store.remove() }
        let engine = try await store.open()
        try await engine.migrate([])
        let listener = try await engine.listener()
        let cancelled = Listener(engine.changes())
        cancelled.cancel()
        #expect(await cancelled.sees { $0.isEnded })
        await engine.close()
        #expect(await listener.sees { $0.isEnded })
    }

    /// Nobody takes, so the same row is one change, and too many rows are a loss.
    @Test func changesAreCoalescedAndBounded() async {
        let reader = ChangeReader(pendingMax: 3)
        func change(_ id: Int64, _ sequence: Int64) -> Change {
            Change(table: "t", id: id, account: nil, zone: nil, sequence: sequence)
        }
        reader.offer([change(1, 1)])
        #expect(await reader.next() == .lost)
        reader.offer([change(1, 2), change(2, 3), change(1, 4)])
        reader.offer([change(2, 5)])
        #expect(await reader.next() == .changes([change(1, 4), change(2, 5)]))
        reader.offer((1...4).map { change($0, 10 + $0) })
        #expect(await reader.next() == .lost)
        reader.offer([change(9, 20)])
        reader.lose()
        #expect(await reader.next() == .lost)
        reader.offer([change(9, 21)])
        reader.close()
        #expect(await reader.next() == .changes([change(9, 21)]))
        #expect(await reader.next() == nil)
    }

    /// A second process hears what the first commits.
    @Test func anotherProcessHearsOfIt() async throws {
        let store = try TestStore(.postgresql)
        defer { store.remove() }
        let writing = try await store.open()
        try await writing.migrate(Fixtures.migrations)
        let reading = try await store.open()
        let listener = try await reading.listener()
        try await writing.write { tx throws(Fault) in tx.changed("numbers", 5) }
        #expect(await listener.sees { $0.changes.contains { $0.table == "numbers" && $0.id == 5 } })
        await reading.close()
        await writing.close()
    }

    /// A transaction that began earlier and commits later than another is not passed over: the
    /// window ends below it until it has ended.
    @Test func nothingIsPassedOverWhenCommitsComeOutOfOrder() async throws {
        let store = try TestStore(.postgresql)
        defer { store.remove() }
        let engine = try await store.open()
        try await engine.migrate(Fixtures.migrations)
        let slow = try PostgreSQLConnection(store.location, isWriter: true)
        let fast = try PostgreSQLConnection(store.location, isWriter: true)
        let reader = try PostgreSQLConnection(store.location, isWriter: true)
        let start = try PostgreSQLFeed.now(reader)
        func announce(_ id: Int64, on connection: PostgreSQLConnection) throws {
            let change = Change(table: "numbers", id: id, account: nil, zone: nil, sequence: 0)
            _ = try connection.run(PostgreSQLFeed.insertion, [.text(try PostgreSQLFeed.document([change]))])
        }
        _ = try slow.run("BEGIN", [])
        try announce(1, on: slow)
        try announce(2, on: fast)
        let held = try PostgreSQLFeed.window(reader, from: start, limit: 10)
        #expect(!held.changes.contains { $0.id == 2 })
        #expect(held.isHeldBack)
        try slow.commit()
        var end = held.end
        var seen: [Int64] = []
        // Other tests' transactions hold the shared server's horizon back for a while.
        for _ in 0..<2000 where seen.count < 2 {
            let window = try PostgreSQLFeed.window(reader, from: end, limit: 10)
            seen += window.changes.map(\.id)
            end = window.end
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(seen == [1, 2])
        #expect(try PostgreSQLFeed.window(reader, from: start, limit: 1).isLost, "more than the limit")
        try PostgreSQLFeed.trim(reader, keeping: 1)
        #expect(try PostgreSQLFeed.window(reader, from: start, limit: 10).isLost, "behind the trimmed tail")
        #expect(try !PostgreSQLFeed.window(reader, from: end, limit: 10).isLost)
        await engine.close()
    }

    @Test func aChangeOfNoTableIsRefused() throws {
        func document(_ table: String) throws -> String {
            try PostgreSQLFeed.document([Change(table: table, id: .min, account: nil, zone: 2, sequence: 0)])
        }
        #expect(try document("a_1") == #"[{"t":"a_1","i":-9223372036854775808,"a":null,"z":2}]"#)
        #expect(throws: Fault.self) { try document("a\"") }
    }
}
