//  The small parsers of what databases say and of statements: whatever they are given, they do not trap.

import Model
import Testing

@testable import Database

@Suite struct FuzzTests {
    static let seeds = [
        "UNIQUE constraint failed: t.a, t.b", "UNIQUE constraint failed: index 'x'", "CHECK constraint failed: a > 0",
        "FOREIGN KEY constraint failed", "Key (a, b)=(1, 2) already exists.", "Key (lower(a))=(x) already exists.",
        "unique t(a, b) name", "check ?() ?", "SELECT $1, '$2', $3 FROM t", "$99999999999999999999", "a {int} '{}' {strict}",
    ]

    @Test func whatDatabasesSay() {
        #expect(
            SQLiteFault.violation(2067, "UNIQUE constraint failed: t.a, t.b") == .init(.unique, table: "t", columns: ["a", "b"]))
        #expect(SQLiteFault.violation(2067, "UNIQUE constraint failed: index 'x'") == .init(.unique, name: "x"))
        #expect(SQLiteFault.violation(275, "CHECK constraint failed: a > 0") == .init(.check, name: "a > 0"))
        #expect(SQLiteFault.violation(787, "FOREIGN KEY constraint failed") == .init(.foreignKey))
        #expect(SQLiteFault.violation(3091, "cannot store TEXT value in INTEGER column t.a") == nil)
        #expect(PostgreSQLFault.keyColumns("Key (a, b)=(1, 2) already exists.") == ["a", "b"])
        #expect(PostgreSQLFault.keyColumns("Schlüssel »(lower(a))=(x)« existiert bereits.") == ["lower(a)"])
        #expect(PostgreSQLFault.keyColumns("(") == [])
    }

    @Test func parameters() {
        let cases = [
            ("SELECT 1", 0), ("SELECT $1", 1), ("SELECT $2 - $1", 2), ("SELECT '$7', $1", 1), ("SELECT 'it''s $7' || $2", 2),
            ("$10", 10), ("$", 0), ("$0", 0), ("a$1b$3", 3),
        ]
        for (text, count) in cases { #expect(parameterCount(of: text) == count, "\(text)") }
        // More than any statement may have, without overflow.
        #expect(parameterCount(of: "$99999999999999999999") > 65_535)
    }

    @Test func mutationsDoNotTrap() {
        let seed: UInt64 = 0x6b61_7272_6931
        var dice = Dice(seed: seed)
        for _ in 0..<5000 {
            var bytes = Array(Self.seeds[Int(dice.next() % UInt64(Self.seeds.count))].utf8)
            for _ in 0..<(dice.next() % 6) {
                let place = Int(dice.next() % UInt64(bytes.count + 1))
                switch dice.next() % 3 {
                case 0: bytes.insert(UInt8(truncatingIfNeeded: dice.next()), at: place)
                case 1: if place < bytes.count { bytes.remove(at: place) }
                default: bytes = Array(bytes.prefix(place)) + Array(Self.seeds[0].utf8.suffix(place))
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            for code: Int32 in [2067, 1299, 275, 787, 19] { _ = SQLiteFault.violation(code, text) }
            _ = PostgreSQLFault.keyColumns(text)
            _ = parameterCount(of: text)
            _ = try? EngineName.postgresql.definition(text)
            // What can be read back is read back alike.
            if let violation = ConstraintViolation(text) {
                #expect(ConstraintViolation(violation.description) == violation, "seed \(seed): \(text)")
            }
        }
    }
}
