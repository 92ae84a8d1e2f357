//  How calls queue, repeat, share commits and end, on both engines.

import Database
import DatabaseTesting
import Model
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct EngineTests {
    /// Twenty at once of which eight fail, in the closure or at the commit: the others stay.
    @Test(arguments: EngineName.allCases)
    func failuresDoNotTouchTheOthersOfTheirBatch(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.write { tx throws(Fault) in try tx.run("INSERT INTO parents VALUES (1, 'p', 0)") }
            let outcomes = await withTaskGroup(of: (Int, Bool).self) { group in
                for number in 0..<20 {
                    group.addTask {
                        do throws(Fault) {
                            try await engine.write { tx throws(Fault) in
                                // Every fifth: a deferred foreign key that only COMMIT refuses. Some more: a refusal.
                                let later: Value = number % 5 == 0 ? 77 : nil
                                try tx.run("INSERT INTO children VALUES ($1, 1, $2, NULL)", [.integer(Int64(number)), later])
                                if number % 5 == 1 { throw Fixtures.refusal }
                            }
                            return (number, true)
                        } catch {
                            return (number, false)
                        }
                    }
                }
                return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            let stored = try await engine.read { tx throws(Fault) in
                try tx.values("SELECT id FROM children ORDER BY id", as: Int.self)
            }
            #expect(outcomes.filter(\.value).keys.sorted() == stored)
            #expect(stored == (0..<20).filter { $0 % 5 > 1 })
        }
    }

    @Test(arguments: EngineName.allCases)
    func oneOfManyClaimsWins(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            for round in 0..<5 {
                let id = Value.integer(Int64(round))
                let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for claimant in 0..<16 {
                        group.addTask {
                            try await engine.write { tx throws(Fault) in
                                try tx.run(
                                    "INSERT INTO numbers (id, amount) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                                    [id, .integer(Int64(claimant))]) == 1
                            }
                        }
                    }
                    return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                #expect(winners == 1)
            }
        }
    }

    /// What each reads and then writes: on PostgreSQL all but one of each round are repeated.
    @Test(arguments: EngineName.allCases)
    func lostUpdatesDoNotHappen(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.put(1, 0)
            let runs = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<12 {
                    group.addTask {
                        try await engine.write(deadline: .seconds(60)) { tx throws(Fault) in
                            runs.next()
                            let amount: Int64 = try tx.value("SELECT amount FROM numbers WHERE id = 1") ?? 0
                            try tx.run("UPDATE numbers SET amount = $1 WHERE id = 1", [.integer(amount + 1)])
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await engine.amount(1) == 12)
            #expect(name == .sqlite ? runs.count == 12 : runs.count >= 12)
        }
    }

    /// Two transactions that each read what the other writes: one is repeated, and sees the other.
    @Test func aSerializationFailureIsRepeated() async throws {
        try await Fixtures.with(.postgresql) { engine in
            try await engine.put(1, 0)
            try await engine.put(2, 0)
            let runs = Counter()
            let gates = [Gate(), Gate()]
            @Sendable func shift(from: Int64, to: Int64, _ mine: Gate, _ other: Gate) async throws {
                try await engine.write(deadline: .seconds(60)) { tx throws(Fault) in
                    runs.next()
                    let seen: Int64 = try tx.value("SELECT amount FROM numbers WHERE id = $1", [.integer(from)]) ?? 0
                    mine.open()
                    other.wait()
                    try tx.run("UPDATE numbers SET amount = $1 WHERE id = $2", [.integer(seen + 1), .integer(to)])
                }
            }
            async let left: Void = shift(from: 1, to: 2, gates[0], gates[1])
            async let right: Void = shift(from: 2, to: 1, gates[1], gates[0])
            _ = try await (left, right)
            #expect(runs.count == 3)
            let amounts = try await [engine.amount(1), engine.amount(2)].compactMap { $0 }.sorted()
            #expect(amounts == [1, 2], "as if one had run after the other")
        }
    }

    /// A savepoint does not hide that the whole transaction has to be repeated.
    @Test func aRepeatIsNotStoppedByASavepoint() async throws {
        try await Fixtures.with(.postgresql) { engine in
            try await engine.put(1, 0)
            let runs = Counter()
            let hasRead = Gate()
            let hasWritten = Gate()
            async let slow: Void = engine.write(deadline: .seconds(60)) { tx throws(Fault) in
                runs.next()
                _ = try tx.count("SELECT amount FROM numbers WHERE id = 1")
                hasRead.open()
                hasWritten.wait()
                do throws(Fault) {
                    try tx.savepoint { () throws(Fault) in try tx.run("UPDATE numbers SET amount = amount + 1 WHERE id = 1") }
                } catch {}
            }
            await hasRead.opened()
            try await engine.write { tx throws(Fault) in try tx.run("UPDATE numbers SET amount = amount + 10 WHERE id = 1") }
            hasWritten.open()
            try await slow
            #expect(runs.count == 2)
            #expect(try await engine.amount(1) == 11)
        }
    }

    @Test func repeatsEndAtTheDeadline() async throws {
        try await Fixtures.with(.postgresql) { engine in
            try await engine.put(1, 0)
            let runs = Counter()
            let fault = await Fixtures.fault {
                try await engine.write(deadline: .seconds(2)) { tx throws(Fault) in
                    runs.next()
                    throw tx.serializationFailure()
                }
            }
            #expect(fault?.code == .timedOut)
            #expect(runs.count > 1)
            try await engine.put(2)
        }
    }

    /// Same key: never two at once, so that none is repeated. Other keys: side by side.
    @Test func contendingWritersQueueBeforeTheyBegin() async throws {
        try await Fixtures.with(.postgresql) { engine in
            try await engine.put(1, 0)
            let runs = Counter()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<24 {
                    group.addTask {
                        // In either order, which could make two wait for each other.
                        let keys = number.isMultiple(of: 2) ? ["account/1", "network/1"] : ["network/1", "account/1", "account/1"]
                        try await engine.write(contending: keys, deadline: .seconds(60)) { tx throws(Fault) in
                            runs.next()
                            let amount: Int64 = try tx.value("SELECT amount FROM numbers WHERE id = 1") ?? 0
                            try tx.run("UPDATE numbers SET amount = $1 WHERE id = 1", [.integer(amount + 1)])
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(runs.count == 24)
            #expect(try await engine.amount(1) == 24)
            let isInside = Gate()
            let isDone = Gate()
            async let first: Void = engine.write(contending: ["a"]) { _ throws(Fault) in
                isInside.open()
                isDone.wait()
            }
            await isInside.opened()
            try await engine.write(contending: ["b"]) { tx throws(Fault) in try tx.run("DELETE FROM numbers") }
            let late = await Fixtures.fault {
                try await engine.write(contending: ["b", "a"], deadline: .milliseconds(100)) { _ throws(Fault) in }
            }
            #expect(late?.code == .timedOut)
            // Who gave up holds nothing.
            try await engine.write(contending: ["b"]) { _ throws(Fault) in }
            isDone.open()
            try await first
            try await engine.write(contending: ["a"]) { _ throws(Fault) in }
        }
    }

    @Test(arguments: EngineName.allCases)
    func cancellationIsHeardUntilTheClosureBegins(_ name: EngineName) async throws {
        let store = try TestStore(name)
        defer { store.remove() }
        let engine = try await store.open(readers: 1, writers: 1)
        try await engine.migrate(Fixtures.migrations)
        let hasBegun = Gate()
        let mayEnd = Gate()
        let running = Task {
            try await engine.write { tx throws(Fault) in
                hasBegun.open()
                mayEnd.wait()
                try tx.run("INSERT INTO numbers (id, amount) VALUES (1, 0)")
            }
        }
        await hasBegun.opened()
        let queued = Task { try await engine.put(2) }
        // The only writer is busy, so the second waits; it is cancelled while it does.
        try await Task.sleep(for: .milliseconds(50))
        queued.cancel()
        let early = await Fixtures.fault { try await queued.value }
        #expect(early?.code == .cancelled)
        running.cancel()
        mayEnd.open()
        try await running.value
        #expect(try await engine.ids == [1])
        let cancelled = Task {
            // Cancelled before it asks.
            while !Task.isCancelled { await Task.yield() }
            try await engine.put(3)
        }
        cancelled.cancel()
        #expect(await Fixtures.fault { try await cancelled.value }?.code == .cancelled)
        #expect(try await engine.ids == [1])
        await engine.close()
    }

    @Test(arguments: EngineName.allCases)
    func queuesAreBoundedAndWaitsHaveDeadlines(_ name: EngineName) async throws {
        let store = try TestStore(name)
        defer { store.remove() }
        let engine = try await store.open(readers: 1, writers: 1, waitingMax: 3)
        try await engine.migrate(Fixtures.migrations)
        let hasBegun = Gate()
        let mayEnd = Gate()
        async let running: Void = engine.write { _ throws(Fault) in
            hasBegun.open()
            mayEnd.wait()
        }
        await hasBegun.opened()
        let codes = await withTaskGroup(of: Fault.Code?.self) { group in
            for number in 0..<10 {
                group.addTask {
                    do throws(Fault) {
                        try await engine.write(deadline: .milliseconds(200)) { tx throws(Fault) in
                            try tx.run("INSERT INTO numbers (id, amount) VALUES ($1, 0)", [.integer(Int64(number))])
                        }
                        return nil
                    } catch { return error.code }
                }
            }
            group.addTask {
                try? await Task.sleep(for: .milliseconds(500))
                mayEnd.open()
                return nil
            }
            return await group.reduce(into: [Fault.Code?]()) { $0.append($1) }
        }
        try await running
        #expect(codes.filter { $0 == .unavailable }.count == 7)
        #expect(codes.filter { $0 == .timedOut }.count == 3)
        let ids = try await engine.ids
        #expect(ids.isEmpty)
        await engine.close()
    }

    @Test(arguments: EngineName.allCases)
    func aClosedEngineRefuses(_ name: EngineName) async throws {
        let store = try TestStore(name)
        defer { store.remove() }
        let engine = try await store.open()
        try await engine.migrate(Fixtures.migrations)
        try await engine.put(1)
        await engine.close()
        #expect(await Fixtures.fault { try await engine.put(2) }?.code == .unavailable)
        #expect(await Fixtures.fault { try await engine.ids }?.code == .unavailable)
        var batches = 0
        for await _ in engine.changes() { batches += 1 }
        #expect(batches == 1)
        let again = try await store.open()
        #expect(try await again.ids == [1])
        await again.close()
    }

    @Test(arguments: EngineName.allCases)
    func readersAndWritersAtOnce(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.put(1, 0)
            try await engine.put(2, 0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    group.addTask {
                        if number.isMultiple(of: 2) {
                            try await engine.write(contending: ["n"], deadline: .seconds(60)) { tx throws(Fault) in
                                tx.post("UPDATE numbers SET amount = amount + 1 WHERE id = 1")
                                tx.post("UPDATE numbers SET amount = amount - 1 WHERE id = 2")
                            }
                        } else {
                            let sum = try await engine.readNow { tx throws(Fault) in
                                let left: Int64 = try tx.value("SELECT amount FROM numbers WHERE id = 1") ?? 0
                                let right: Int64 = try tx.value("SELECT amount FROM numbers WHERE id = 2") ?? 0
                                return left + right
                            }
                            #expect(sum == 0)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await engine.amount(1) == 20)
        }
    }

    /// A text that could not be prepared, or whose preparation was skipped after a failure, is
    /// prepared again when it is used again.
    @Test(arguments: EngineName.allCases)
    func aStatementMayFailToPrepareAndWorkLater(_ name: EngineName) async throws {
        let store = try TestStore(name)
        defer { store.remove() }
        let engine = try await store.open(readers: 1, writers: 1)
        try await engine.migrate(Fixtures.migrations)
        let insert = "INSERT INTO later (id) VALUES ($1)"
        let skipped = "INSERT INTO numbers (id, amount, label) VALUES ($1, 0, 'skipped')"
        for _ in 0..<2 {
            #expect(await Fixtures.fault { try await engine.write { tx throws(Fault) in try tx.run(insert, [1]) } } != nil)
        }
        _ = await Fixtures.fault {
            try await engine.write { tx throws(Fault) in
                tx.post("INSERT INTO numbers (id, amount) VALUES (1, NULL)")
                tx.post(skipped, [2])
            }
        }
        try await engine.migrate(Fixtures.migrations + [Migration("later", ["CREATE TABLE later (id {int} PRIMARY KEY) {strict}"])])
        try await engine.write { tx throws(Fault) in
            try tx.run(insert, [1])
            try tx.run(skipped, [2])
        }
        #expect(try await engine.ids == [2])
        await engine.close()
    }

    /// The log is moved into the file while writes go on, and does not grow without bound.
    @Test func theWriteAheadLogIsBounded() async throws {
        let store = try TestStore(.sqlite)
        defer { store.remove() }
        let engine = try await store.open()
        try await engine.migrate(Fixtures.migrations)
        for _ in 0..<40 {
            try await engine.write { tx throws(Fault) in
                tx.post("DELETE FROM numbers")
                try tx.run("INSERT INTO numbers VALUES (1, 0, NULL, $1)", [.blob([UInt8](repeating: 7, count: 4 << 20))])
            }
        }
        var file = stat()
        #expect(stat(store.location + "-wal", &file) == 0)
        #expect(file.st_size < 80 << 20, "160 MiB were written")
        await engine.close()
        #expect(stat(store.location + "-wal", &file) != 0 || file.st_size == 0)
    }

    @Test(arguments: EngineName.allCases)
    func statementsArePreparedWithoutBeingRun(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.prepareAll([
                "SELECT id FROM numbers WHERE id = $1", "DELETE FROM numbers", "INSERT INTO numbers (id, amount) VALUES ($1, $2)",
                Sample.table.selectByKey, Sample.table.insertion, Sample.table.claim, "SELECT 1 WHERE $1 IS NULL",
            ])
            for wrong in ["SELECT nothing FROM numbers", "SELEC", "SELECT id FROM numbers; SELECT 1"] {
                #expect(await Fixtures.fault { try await engine.prepareAll(["SELECT 1", wrong]) }?.code == .internalError)
            }
            try await engine.put(1)
        }
    }
}

extension Writing {
    /// What PostgreSQL says when another transaction was in the way.
    fileprivate func serializationFailure() -> Fault {
        do throws(Fault) {
            try run("DO $x$ BEGIN RAISE EXCEPTION 'as the test wants' USING ERRCODE = '40001'; END $x$")
            return Fault(.internalError, "nothing was raised")
        } catch { return error }
    }
}
