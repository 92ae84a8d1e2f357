//  What goes in comes out, and sorts and compares alike, on both engines.

import Database
import DatabaseTesting
import Model
import Testing

@Suite struct ValueTests {
    @Test(arguments: EngineName.allCases)
    func integersOfAllSixtyFourBits(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let bits: [UInt64] = [0, 1, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0xffff_ffff_ffff_ffff, 0xdead_beef_0000_0001]
            let things = bits.map { ID<Thing>(bits: $0) }
            try await engine.write { tx throws(Fault) in
                for thing in things { tx.post("INSERT INTO numbers (id, amount) VALUES ($1, $1)", [thing.value]) }
            }
            let stored = try await engine.read { tx throws(Fault) in
                try tx.values("SELECT amount FROM numbers ORDER BY id", as: ID<Thing>.self)
            }
            #expect(stored == things.sorted(), "SQL and Swift order ids alike, as signed integers")
        }
    }

    @Test(arguments: EngineName.allCases)
    func textsAndBytes(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let large = [UInt8]((0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            let cases: [(String?, [UInt8]?)] = [
                ("", []),  // Empty is not NULL, for which each driver's C interface has its trap.
                (nil, nil), ("ä€😀\n\"'\\", [0, 0, 255]), (String(repeating: "x", count: 1 << 20), large),
            ]
            for (index, (text, bytes)) in cases.enumerated() {
                let id = Value.integer(Int64(index))
                try await engine.write { tx throws(Fault) in
                    try tx.run("INSERT INTO numbers VALUES ($1, 0, $2, $3)", [id, text.value, bytes.value])
                }
                let found = try await engine.read { tx throws(Fault) in
                    try tx.first("SELECT label, bytes FROM numbers WHERE id = $1", [id]) { row throws(Fault) in
                        (text: try row.take(String?.self), bytes: try row.take([UInt8]?.self))
                    }
                }
                #expect(found?.text == text)
                #expect(found?.bytes == bytes)
            }
        }
    }

    @Test(arguments: EngineName.allCases)
    func aTextWithANulIsRefused(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let fault = await Fixtures.fault {
                try await engine.write { tx throws(Fault) in
                    try tx.run("INSERT INTO numbers VALUES (1, 0, $1, NULL)", ["a\0b"])
                }
            }
            #expect(fault?.code == .invalidParameter)
            try await engine.put(1)
        }
    }

    @Test(arguments: EngineName.allCases)
    func truthValues(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let found = try await engine.write { tx throws(Fault) in
                try tx.run("INSERT INTO parents (id, name) VALUES (1, 'p')")
                try tx.run(
                    "INSERT INTO children VALUES (1, 1, NULL, $1), (2, 1, NULL, $2), (3, 1, NULL, $3)",
                    [true, false, .absent(.bool)])
                return (
                    all: try tx.values("SELECT flag FROM children ORDER BY id", as: Bool?.self),
                    true: try tx.values("SELECT id FROM children WHERE flag ORDER BY id", as: Int.self),
                    false: try tx.values("SELECT id FROM children WHERE flag = $1", [false], as: Int.self),
                    literal: try tx.values("SELECT id FROM children WHERE flag = TRUE", as: Int.self)
                )
            }
            #expect(found.all == [true, false, nil])
            #expect(found.true == [1])
            #expect(found.false == [2])
            #expect(found.literal == [1])
        }
    }

    /// `$2` before `$1`, one number twice, and an absent value that only its Swift type explains.
    @Test(arguments: EngineName.allCases)
    func argumentsAreBoundByTheirNumber(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let found = try await engine.read { tx throws(Fault) in
                [
                    try tx.value("SELECT $2 - $1", [1, 10], as: Int.self),
                    try tx.value("SELECT $1 + $1 + $2", [1, 10], as: Int.self),
                    try tx.value("SELECT 1 WHERE $1 IS NULL", [Int?.none.value], as: Int.self),
                    try tx.value("SELECT 1 WHERE $1 IS NULL", [Int?.some(1).value], as: Int.self),
                    try tx.value("SELECT length('$9') + $1", [1], as: Int.self),
                ]
            }
            #expect(found == [9, 12, 1, nil, 3])
        }
    }

    @Test(arguments: EngineName.allCases)
    func orderAndLikeAreByCodePoint(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let names = ["b", "B", "a", "Ä", "ä", "_", "Z", "aa"]
            try await engine.write { tx throws(Fault) in
                for (index, name) in names.enumerated() {
                    tx.post("INSERT INTO numbers VALUES ($1, 0, $2, NULL)", [.integer(Int64(index)), .text(name)])
                }
                tx.post("INSERT INTO numbers VALUES (99, 0, NULL, NULL)")
            }
            let (sorted, like, withNull) = try await engine.read { tx throws(Fault) in
                (
                    try tx.values("SELECT label FROM numbers WHERE label IS NOT NULL ORDER BY label", as: String.self),
                    try tx.values(
                        "SELECT label FROM numbers WHERE label LIKE $1 ESCAPE '\\' ORDER BY label", ["a%"], as: String.self),
                    try tx.values("SELECT label FROM numbers ORDER BY label IS NULL, label", as: String?.self)
                )
            }
            #expect(sorted == ["B", "Z", "_", "a", "aa", "b", "Ä", "ä"])
            #expect(like == ["a", "aa"])
            // Alone, ORDER BY puts NULL first on one engine and last on the other.
            #expect(withNull.last == .some(nil))
        }
    }

    @Test(arguments: EngineName.allCases)
    func sumsCountsAndReturning(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.put(1, 40)
            try await engine.put(2, 2)
            let found = try await engine.write { tx throws(Fault) in
                [
                    try tx.value("SELECT CAST(sum(amount) AS BIGINT) FROM numbers", as: Int.self),
                    try tx.count("SELECT count(*) FROM numbers"),
                    try tx.value("INSERT INTO rows (label) VALUES ('x') RETURNING serial", as: Int.self),
                    try tx.value("INSERT INTO rows (label) VALUES ('y') RETURNING serial", as: Int.self),
                    try tx.values("DELETE FROM numbers WHERE amount > 0 RETURNING id", as: Int.self).count,
                    // Only the first row is asked for, and yet all are deleted.
                    try tx.value("DELETE FROM rows RETURNING serial", as: Int.self).map { _ in 1 },
                    try tx.count("SELECT count(*) FROM rows"), try tx.exists("SELECT 1 FROM rows") ? 1 : 0,
                ]
            }
            #expect(found == [42, 2, 1, 2, 2, 1, 0, 0])
        }
    }

    /// What one engine alone would accept.
    @Test(arguments: EngineName.allCases)
    func laxStatementsAreRefused(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let wrong = [
                "SELECT \"typo\" FROM numbers", "SELECT id FROM nowhere", "SELEC 1",
                "INSERT INTO numbers (id, amount) VALUES (1, 'x')", "SELECT 1; SELECT 2",
            ]
            for sql in wrong {
                let fault = await Fixtures.fault { try await engine.write { tx throws(Fault) in try tx.run(sql) } }
                #expect(fault?.code == .internalError, "\(sql)")
            }
            try await engine.put(1)
        }
    }
}

@Suite struct ConstraintTests {
    @Test(arguments: EngineName.allCases)
    func eachKindIsToldInTheSameWords(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            try await engine.write { tx throws(Fault) in
                try tx.run("INSERT INTO parents VALUES (1, 'one', 0)")
                try tx.run("INSERT INTO children VALUES (1, 1, NULL, NULL)")
            }
            func violation(_ sql: String) async -> ConstraintViolation? {
                let fault = await Fixtures.fault { try await engine.write { tx throws(Fault) in try tx.run(sql) } }
                #expect(fault?.code == .conflict, "\(sql): \(String(describing: fault))")
                return fault?.violation
            }
            let key = await violation("INSERT INTO parents VALUES (1, 'two', 0)")
            #expect(key?.kind == .unique && key?.table == "parents" && key?.columns == ["id"])
            let unique = await violation("INSERT INTO parents VALUES (2, 'one', 0)")
            #expect(unique?.kind == .unique && unique?.table == "parents" && unique?.columns == ["name", "size"])
            let check = await violation("INSERT INTO parents VALUES (2, 'two', -1)")
            #expect(check?.kind == .check && check?.name == "parents_size")
            let missing = await violation("INSERT INTO parents VALUES (2, NULL, 0)")
            #expect(missing?.kind == .notNull && missing?.columns == ["name"])
            #expect(await violation("INSERT INTO children VALUES (2, 77, NULL, NULL)")?.kind == .foreignKey)
            #expect(await violation("DELETE FROM parents WHERE id = 1")?.kind == .foreignKey)
            // It hands over rows, and yet the constraint is heard.
            let returning = await Fixtures.fault {
                try await engine.write { tx throws(Fault) in
                    try tx.value("DELETE FROM parents WHERE id = 1 RETURNING id", as: Int.self)
                }
            }
            #expect(returning?.violation?.kind == .foreignKey)
            // Only the commit looks at this one.
            #expect(await violation("INSERT INTO children VALUES (2, 1, 77, NULL)")?.kind == .foreignKey)
            try await engine.write { tx throws(Fault) in
                try tx.run("INSERT INTO children VALUES (2, 1, 2, NULL)")
                try tx.run("INSERT INTO parents VALUES (2, 'two', 0)")
            }
        }
    }

    @Test func theDescriptionIsReadBack() {
        let violations: [ConstraintViolation] = [
            .init(.unique, table: "t", columns: ["a", "b"], name: "t_a_b"), .init(.check, name: "a (b) c"), .init(.foreignKey),
            .init(.notNull, table: "t", columns: ["a"]), .init(.unique, table: "t", columns: ["lower(a)"], name: "x"),
        ]
        for violation in violations {
            let fault = Fault(.conflict, "no", cause: violation.description)
            #expect(fault.violation == violation)
        }
        #expect(Fault(.conflict, "no", cause: "because").violation == nil)
        #expect(Fault(.conflict, "no", cause: "unique t(").violation == nil)
        #expect(Fault(.conflict, "no").violation == nil)
        #expect(Fault(.notFound, "no", cause: violations[0].description).violation == nil)
    }
}
