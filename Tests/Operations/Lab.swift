//  A store with one account, in which operations of made-up programs run.

import Database
import DatabaseTesting
import Logging
import Model
import Operations
import Store

/// What a test of operations needs.
struct Lab: Sendable {
    let engine: any Engine
    let account: ID<Account>
    let chance: Chance

    static func with(_ name: EngineName, _ body: (Lab) async throws -> Void) async throws {
        try await TestStore.with(name, Migration.all) { engine in
            let account = Account(
                id: ID(bits: 1), number: "123456789012", name: "lab", state: .active, created: Instant(seconds: 1), revision: 1)
            try await engine.write { tx throws(Fault) in tx.insert(account, into: Account.table) }
            try await body(Lab(engine: engine, account: account.id, chance: .system))
        }
    }

    static var log: Logger {
        var log = Logger(label: "lab")
        log.logLevel = .critical
        return log
    }

    func runner(_ programs: [Program], _ failPoints: FailPoints = .none) -> Runner {
        Runner(engine: engine, programs: programs, chance: chance, failPoints: failPoints, log: Lab.log)
    }

    func worker(_ programs: [Program]) -> Worker {
        Worker(engine: engine, runner: runner(programs), chance: chance, log: Lab.log)
    }

    /// Begins an operation about the machine with this number.
    func begin(_ program: Program, _ number: UInt64) async throws -> ID<Operation> {
        let operation = try program.operation(
            id: chance.id(), account: account, zone: nil, subject: AnyID(kind: .instance, bits: number), inputs: ["a": "b"],
            request: "request", principal: "principal", now: chance.now())
        try await engine.write { tx throws(Fault) in
            try tx.begin(operation, holding: [AnyID(kind: .instance, bits: number)])
        }
        return operation.id
    }

    func operation(_ id: ID<Operation>) async throws -> Operation? {
        try await engine.read { tx throws(Fault) in try tx.find(Operation.table, id) }
    }

    /// Adds a line to a story that counts how often something was committed.
    static func count(_ tx: Writing, _ thing: Int64) {
        tx.tell(.instance, thing, at: Instant(seconds: 1), source: "lab", "once more")
    }

    func counted(_ thing: Int64) async throws -> Int {
        try await engine.read { tx throws(Fault) in try tx.story(of: .instance, thing).count }
    }
}
