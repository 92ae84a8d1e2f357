//  The schema's history, on both engines.

import DatabaseTesting
import Model
import Testing

@testable import Database

@Suite struct MigrationTests {
    static let first = Migration("first", ["CREATE TABLE one (id {int} PRIMARY KEY) {strict}"])
    static let second = Migration("second", ["CREATE TABLE two (id {int} PRIMARY KEY) {strict}", "INSERT INTO two VALUES (2)"])
    static let broken = Migration("second", ["CREATE TABLE two (id {int} PRIMARY KEY) {strict}", "INSERT INTO nowhere VALUES (2)"])

    @Test(arguments: EngineName.allCases)
    func eachRunsOnce(_ name: EngineName) async throws {
        try await TestStore.with(name, [Self.first]) { engine in
            try await engine.migrate([Self.first, Self.second])
            try await engine.migrate([Self.first, Self.second])
            let rows = try await engine.read { tx throws(Fault) in try tx.values("SELECT id FROM two", as: Int.self) }
            #expect(rows == [2])
        }
    }

    @Test(arguments: EngineName.allCases)
    func oneThatFailsHalfWayLeavesNothing(_ name: EngineName) async throws {
        try await TestStore.with(name, [Self.first]) { engine in
            #expect(await Fixtures.fault { try await engine.migrate([Self.first, Self.broken]) }?.code == .internalError)
            try await engine.migrate([Self.first, Self.second])
        }
    }

    @Test(arguments: EngineName.allCases)
    func aStoreThatIsNewerOrAnothersIsRefused(_ name: EngineName) async throws {
        try await TestStore.with(name, [Self.first, Self.second]) { engine in
            let newer = await Fixtures.fault { try await engine.migrate([Self.first]) }
            #expect(newer?.code == .wrongState)
            #expect(newer?.message.contains("second") == true)
            let other = Migration("other", ["CREATE TABLE other (id {int} PRIMARY KEY)"])
            #expect(await Fixtures.fault { try await engine.migrate([Self.first, other]) }?.code == .wrongState)
            #expect(await Fixtures.fault { try await engine.migrate([Self.first, Self.second, Self.first]) } != nil)
            try await engine.migrate([Self.first, Self.second])
        }
    }

    @Test func twoProgramsMayStartAtOnce() async throws {
        let store = try TestStore(.postgresql)
        defer { store.remove() }
        let engines = [try await store.open(), try await store.open()]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for engine in engines { group.addTask { try await engine.migrate(Fixtures.migrations) } }
            try await group.waitForAll()
        }
        for engine in engines { await engine.close() }
    }

    @Test func anSQLiteStoreHasOneOwner() async throws {
        let store = try TestStore(.sqlite)
        defer { store.remove() }
        let engine = try await store.open()
        #expect(await Fixtures.fault { try await store.open() }?.code == .inUse)
        await engine.close()
        await (try store.open()).close()
    }

    @Test func wordsOfDefinitions() throws {
        let cases: [(text: String, sqlite: String, postgresql: String)] = [
            ("a {int}, b {bool}, c {blob}", "a INTEGER, b INTEGER, c BLOB", "a BIGINT, b BOOLEAN, c BYTEA"),
            ("(a {text}) {strict}", "(a TEXT) STRICT", "(a TEXT) "),
            ("DEFAULT '{}'", "DEFAULT '{}'", "DEFAULT '{}'"),
            (#"'{"a":{int}}'"#, #"'{"a":INTEGER}'"#, #"'{"a":BIGINT}'"#),  // Words are replaced wherever they stand.
            ("{ int}", "{ int}", "{ int}"), ("{int", "{int", "{int"), ("}{", "}{", "}{"),
        ]
        for (text, sqlite, postgresql) in cases {
            #expect(try EngineName.sqlite.definition(text) == sqlite)
            #expect(try EngineName.postgresql.definition(text) == postgresql)
        }
        #expect(throws: Fault.self) { try EngineName.sqlite.definition("{float}") }
    }
}
