//  The schema that the conformance tests share, and small helpers.

import Database
import DatabaseTesting
import Model
import Synchronization
import Testing

/// Counts from inside closures that may run more than once, which a captured variable cannot.
final class Counter: Sendable {
    private let state = Mutex(0)
    var count: Int { state.withLock { $0 } }
    @discardableResult func next() -> Int {
        state.withLock {
            $0 += 1
            return $0
        }
    }
}

enum Fixtures {
    static let migrations = [
        Migration(
            "things",
            [
                """
                CREATE TABLE parents (id {int} PRIMARY KEY, name TEXT NOT NULL,
                    size {int} NOT NULL DEFAULT 0 CONSTRAINT parents_size CHECK (size >= 0)) {strict}
                """,
                "CREATE UNIQUE INDEX parents_name ON parents (name, size)",
                """
                CREATE TABLE children (id {int} PRIMARY KEY, parent {int} NOT NULL REFERENCES parents (id),
                    later {int} REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED, flag {bool}) {strict}
                """,
                "CREATE TABLE numbers (id {int} PRIMARY KEY, amount {int} NOT NULL, label TEXT, bytes {blob}) {strict}",
                "CREATE TABLE rows (serial {serial}, label TEXT NOT NULL) {strict}",
            ]), Sample.migration,
    ]

    static func with<T>(_ name: EngineName, _ body: (any Engine) async throws -> T) async throws -> T {
        try await TestStore.with(name, migrations, body)
    }

    static let refusal = Fault(.limitExceeded, "as the test wants")

    /// The fault of an expression that should fail.
    static func fault<T>(of body: () async throws -> T, _ location: SourceLocation = #_sourceLocation) async -> Fault? {
        do {
            _ = try await body()
            Issue.record("nothing was thrown", sourceLocation: location)
            return nil
        } catch {
            return error as? Fault
        }
    }
}

extension Engine {
    /// Inserts (id, amount) into the table of numbers.
    func put(_ id: Int64, _ amount: Int64 = 0) async throws(Fault) {
        try await write { tx throws(Fault) in
            try tx.run("INSERT INTO numbers (id, amount) VALUES ($1, $2)", [.integer(id), .integer(amount)])
        }
    }

    func amount(_ id: Int64) async throws(Fault) -> Int? {
        try await read { tx throws(Fault) in try tx.value("SELECT amount FROM numbers WHERE id = $1", [.integer(id)]) }
    }

    var ids: [Int] {
        get async throws {
            try await read { tx throws(Fault) in try tx.values("SELECT id FROM numbers ORDER BY id") }
        }
    }
}
