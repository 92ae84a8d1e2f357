//  What a transaction promises, on both engines.

import Database
import DatabaseTesting
import Model
import Testing

@Suite struct TransactionTests {
    @Test(arguments: EngineName.allCases)
    func aFaultLeavesNothing(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let fault = await Fixtures.fault {
                try await engine.write { tx throws(Fault) in
                    try tx.run("INSERT INTO numbers (id, amount) VALUES (1, 1)")
                    tx.post("INSERT INTO numbers (id, amount) VALUES (2, 1)")
                    throw Fixtures.refusal
                }
            }
            let ids = try await engine.ids
            #expect(fault == Fixtures.refusal)
            #expect(ids.isEmpty)
        }
    }

    @Test(arguments: EngineName.allCases)
    func aClosureSeesItsOwnWritesAndOthersDoNot(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let seen = try await engine.write { tx throws(Fault) in
                tx.post("INSERT INTO numbers (id, amount) VALUES ($1, $2)", [1, 10])
                let changed = try tx.run("UPDATE numbers SET amount = amount + $1 WHERE id = $2", [5, 1])
                let missed = try tx.run("UPDATE numbers SET amount = 0 WHERE id = 99")
                return [changed, missed, try tx.value("SELECT amount FROM numbers WHERE id = $1", [1])]
            }
            #expect(seen == [1, 0, 15])
            #expect(try await engine.amount(1) == 15)
        }
    }

    @Test(arguments: EngineName.allCases)
    func aReadIsOneSnapshot(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.put(1, 1)
            let hasRead = Gate()
            let hasWritten = Gate()
            async let amounts = engine.read { tx throws(Fault) in
                let before: Int? = try tx.value("SELECT amount FROM numbers WHERE id = 1")
                hasRead.open()
                hasWritten.wait()
                let after: Int? = try tx.value("SELECT amount FROM numbers WHERE id = 1")
                return [before, after]
            }
            await hasRead.opened()
            try await engine.write { tx throws(Fault) in try tx.run("UPDATE numbers SET amount = 2 WHERE id = 1") }
            hasWritten.open()
            #expect(try await amounts == [1, 1])
            #expect(try await engine.amount(1) == 2)
        }
    }

    @Test(arguments: EngineName.allCases)
    func aReadCannotWrite(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let fault = await Fixtures.fault {
                try await engine.read { tx throws(Fault) in
                    try tx.values("INSERT INTO numbers (id, amount) VALUES (1, 1) RETURNING id", as: Int.self)
                }
            }
            #expect(fault != nil)
            // The session that refused is fit for the next call.
            for _ in 0..<8 {
                let ids = try await engine.ids
                #expect(ids.isEmpty)
            }
        }
    }

    @Test(arguments: EngineName.allCases)
    func aFailedStatementClosesTheTransactionEvenWhenItsFaultIsHidden(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.put(1)
            let ran = Counter()
            let fault = await Fixtures.fault {
                try await engine.write { tx throws(Fault) in
                    try tx.run("INSERT INTO numbers (id, amount) VALUES (2, 0)")
                    do throws(Fault) { try tx.run("INSERT INTO numbers (id, amount) VALUES (1, 0)") } catch {}
                    do throws(Fault) {
                        try tx.run("INSERT INTO numbers (id, amount) VALUES (3, 0)")
                        ran.next()
                    } catch { #expect(error.violation?.kind == .unique) }
                }
            }
            #expect(fault?.isDuplicate("numbers", "id") == true)
            #expect(ran.count == 0)
            #expect(try await engine.ids == [1])
        }
    }

    @Test(arguments: EngineName.allCases)
    func savepointsUndoTheirOwnWorkAlone(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let faults = try await engine.write { tx throws(Fault) in
                var faults: [Fault] = []
                tx.post("INSERT INTO numbers (id, amount) VALUES (1, 0)")
                do throws(Fault) {
                    try tx.savepoint { () throws(Fault) in
                        tx.post("INSERT INTO numbers (id, amount) VALUES (2, 0)")
                        // A savepoint within one that is undone goes with it.
                        try tx.savepoint { () throws(Fault) in tx.post("INSERT INTO numbers (id, amount) VALUES (3, 0)") }
                        throw Fixtures.refusal
                    }
                } catch { faults.append(error) }
                do throws(Fault) {
                    // A statement that fails inside leaves the transaction open.
                    try tx.savepoint { () throws(Fault) in
                        tx.post("INSERT INTO numbers (id, amount) VALUES (4, 0)")
                        try tx.run("INSERT INTO numbers (id, amount) VALUES (1, 0)")
                    }
                } catch { faults.append(error) }
                do throws(Fault) {
                    // So does one that was posted and not waited for, and one whose fault was hidden.
                    try tx.savepoint { () throws(Fault) in tx.post("INSERT INTO numbers (id, amount) VALUES (1, 0)") }
                } catch { faults.append(error) }
                do throws(Fault) {
                    try tx.savepoint { () throws(Fault) in
                        do throws(Fault) { try tx.run("INSERT INTO numbers (id, amount) VALUES (1, 0)") } catch {}
                    }
                } catch { faults.append(error) }
                try tx.savepoint { () throws(Fault) in
                    do throws(Fault) {
                        try tx.savepoint { () throws(Fault) in try tx.run("INSERT INTO numbers (id, amount) VALUES (1, 0)") }
                    } catch { faults.append(error) }
                    try tx.run("INSERT INTO numbers (id, amount) VALUES (5, 0)")
                }
                return faults
            }
            #expect(faults.first == Fixtures.refusal)
            #expect(faults.dropFirst().map { $0.violation?.kind } == [.unique, .unique, .unique, .unique])
            #expect(try await engine.ids == [1, 5])
        }
    }

    @Test(arguments: EngineName.allCases)
    func aPostThatFailedBeforeASavepointIsNotUndoneByIt(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.put(1)
            let entered = Counter()
            let fault = await Fixtures.fault {
                try await engine.write { tx throws(Fault) in
                    tx.post("INSERT INTO numbers (id, amount) VALUES (1, 0)")
                    do throws(Fault) { try tx.savepoint { () throws(Fault) in entered.next() } } catch {}
                }
            }
            #expect(fault?.violation?.kind == .unique)
            #expect(entered.count == 0)
        }
    }

    @Test(arguments: EngineName.allCases)
    func aPostFailsAtTheNextWaitAndAtTheLatestAtTheCommit(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.put(1)
            let reached = Counter()
            let late = await Fixtures.fault {
                try await engine.write { tx throws(Fault) in
                    tx.post("INSERT INTO numbers (id, amount) VALUES (2, 0)")
                    tx.post("INSERT INTO numbers (id, amount) VALUES (1, 0)")
                    tx.post("INSERT INTO numbers (id, amount) VALUES (3, 0)")
                }
            }
            let next = await Fixtures.fault {
                try await engine.write { tx throws(Fault) in
                    tx.post("INSERT INTO numbers (id, amount) VALUES (1, 0)")
                    _ = try tx.count("SELECT count(*) FROM numbers")
                    reached.next()
                }
            }
            #expect(late?.isDuplicate("numbers", "id") == true)
            #expect(next?.isDuplicate("numbers", "id") == true)
            #expect(reached.count == 0)
            #expect(try await engine.ids == [1])
        }
    }

    /// More than are sent ahead at once, and more statement texts than are kept prepared.
    @Test(arguments: EngineName.allCases)
    func manyPostsAndManyTexts(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.write { tx throws(Fault) in
                for id in 0..<1000 { tx.post("INSERT INTO numbers (id, amount) VALUES ($1, 0)", [.integer(Int64(id))]) }
            }
            try await engine.write { tx throws(Fault) in
                for id in 0..<1300 { tx.post("UPDATE numbers SET amount = amount + 1, label = 'l\(id)' WHERE id = $1", [7]) }
            }
            #expect(try await engine.ids.count == 1000)
            #expect(try await engine.amount(7) == 1300)
        }
    }

    @Test(arguments: EngineName.allCases)
    func queriesWithinTheRowsOfAQuery(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            for id in 1...3 { try await engine.put(Int64(id), Int64(id) * 10) }
            let sums = try await engine.read { tx throws(Fault) in
                let select = "SELECT id FROM numbers WHERE id >= $1 ORDER BY id"
                return try tx.rows(select, [1]) { row throws(Fault) in
                    let id: Int64 = try row.take()
                    return try tx.rows(select, [.integer(id)]) { row throws(Fault) in try row.take(Int.self) }.count
                }
            }
            #expect(sums == [3, 2, 1])
        }
    }

    @Test(arguments: EngineName.allCases)
    func tooManyRowsOfOneTypeOrAnother(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.put(1)
            for text in ["SELECT label FROM numbers", "SELECT amount FROM numbers"] {
                let fault = await Fixtures.fault {
                    try await engine.read { tx throws(Fault) in try tx.values(text, as: [UInt8].self) }
                }
                #expect(fault?.code == .storage, "NULL and an integer are not bytes")
            }
            let beyond = await Fixtures.fault {
                try await engine.read { tx throws(Fault) in
                    try tx.first("SELECT id FROM numbers") { row throws(Fault) in (try row.take(Int.self), try row.take(Int.self)) }
                        .map { $0.0 }
                }
            }
            #expect(beyond?.code == .storage)
        }
    }

    @Test(arguments: EngineName.allCases)
    func argumentsOfTheWrongNumberAreRefused(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            for arguments: [Value] in [[], [1, 2]] {
                let fault = await Fixtures.fault {
                    try await engine.read { tx throws(Fault) in
                        try tx.values("SELECT id FROM numbers WHERE id = $1", arguments, as: Int.self)
                    }
                }
                #expect(fault?.code == .internalError)
            }
        }
    }
}
