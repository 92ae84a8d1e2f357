//  One operation's steps: each is committed once, whoever runs it how often, and what a step throws
//  ends in another try or in the program's own clean-up.

import Database
import DatabaseTesting
import Model
import Store
import Synchronization
import Testing

@testable import Operations

@Suite struct RunnerTests {
    private let twoSteps = Program(
        "lab.two",
        steps: [
            Step("first") { tx, context throws(Fault) in
                Lab.count(tx, context.operation.subject)
                return .go(to: "second")
            },
            Step("second") { tx, context throws(Fault) in
                Lab.count(tx, context.operation.subject)
                return .finished
            },
        ])

    @Test(arguments: EngineName.allCases)
    func stepByStep(engine: EngineName) async throws {
        try await Lab.with(engine) { lab in
            let id = try await lab.begin(twoSteps, 5)
            #expect(try await lab.runner([twoSteps]).run(id) == [])
            let done = try #require(try await lab.operation(id))
            #expect(done.state == .succeeded && done.step == "second" && done.ended != nil && done.due == nil)
            #expect(try await lab.counted(5) == 2)
            // What has ended is not run again, and holds nothing.
            try await lab.runner([twoSteps]).run(id)
            #expect(try await lab.counted(5) == 2)
            _ = try await lab.begin(twoSteps, 5)
        }
    }

    /// Steps that do not wait are one transaction; where a worker may die between them, each is its own.
    @Test(arguments: EngineName.allCases, [true, false])
    func oneTransactionUpToAWait(engine: EngineName, mayDie: Bool) async throws {
        let seen = Mutex<[String]>([])
        func step(_ name: String, _ outcome: StepOutcome) -> Step {
            Step(name) { tx, context throws(Fault) in
                // What of the operation is committed, as each step sees it.
                let stored = try tx.find(Operation.table, context.operation.id)
                seen.withLock { $0.append("\(name) after \(stored?.step ?? "")") }
                return outcome
            }
        }
        let later = Instant(seconds: 4_000_000_000)
        let program = Program(
            "lab.four",
            steps: [
                step("one", .go(to: "two")), step("two", .go(to: "three")),
                step("three", .wait(for: [AwaitedRow("holding", 9)], until: later)),
            ])
        try await Lab.with(engine) { lab in
            let id = try await lab.begin(program, 5)
            try await lab.runner([program], mayDie ? FailPoints { _ in false } : .none).run(id)
            let expected =
                mayDie
                ? ["one after one", "two after two", "three after three"] : ["one after one", "two after one", "three after one"]
            #expect(seen.withLock(\.self) == expected)
            #expect(try await lab.operation(id)?.step == "three")
        }
    }

    /// A later step that refuses takes nothing back of those before it, and decides on its own refusal.
    @Test(arguments: EngineName.allCases)
    func whatWentBeforeARefusalStays(engine: EngineName) async throws {
        let program = Program(
            "lab.late",
            steps: [
                Step("first") { tx, context throws(Fault) in
                    Lab.count(tx, context.operation.subject)
                    return .go(to: "second")
                },
                Step("second") { tx, context throws(Fault) in
                    Lab.count(tx, context.operation.subject)
                    throw Fault(.wrongState, "never")
                },
            ],
            refused: { _, context, fault throws(Fault) in .failed("\(context.operation.step): \(fault.message)") })
        try await Lab.with(engine) { lab in
            let id = try await lab.begin(program, 5)
            try await lab.runner([program]).run(id)
            let ended = try await lab.operation(id)
            #expect(ended?.state == .failed && ended?.fault == "second: never")
            #expect(try await lab.counted(5) == 1)
        }
    }

    /// Eight workers at once on one operation: each step is committed by one.
    @Test(arguments: EngineName.allCases)
    func manyWorkersOneCommit(engine: EngineName) async throws {
        try await Lab.with(engine) { lab in
            for number in 1...6 as ClosedRange<UInt64> {
                let id = try await lab.begin(twoSteps, number)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 { group.addTask { try await lab.runner([twoSteps]).run(id) } }
                    try await group.waitForAll()
                }
                #expect(try await lab.operation(id)?.state == .succeeded)
                #expect(try await lab.counted(Int64(number)) == 2)
            }
        }
    }

    /// A worker that read the operation before another moved it on does not even look at the step.
    @Test(arguments: EngineName.allCases)
    func whatIsOvertakenIsNotRun(engine: EngineName) async throws {
        let runs = Mutex(0)
        let program = Program(
            "lab.seen",
            steps: [
                Step("only") { _, _ throws(Fault) in
                    runs.withLock { $0 += 1 }
                    return .finished
                }
            ])
        try await Lab.with(engine) { lab in
            let id = try await lab.begin(program, 5)
            let twice = FailPoints { $0.place == .twice }
            try await lab.runner([program], twice).run(id)
            #expect(runs.withLock(\.self) == 1)
        }
    }

    /// What may pass is tried again twenty times, whatever came before; then the program decides.
    @Test(arguments: EngineName.allCases)
    func refusalsThatMayPass(engine: EngineName) async throws {
        let left = Mutex(5)
        let program = Program(
            "lab.busy",
            steps: [
                Step("busy") { tx, context throws(Fault) in
                    // Undone by what is thrown.
                    Lab.count(tx, context.operation.subject)
                    let throwing = left.withLock { left in
                        left -= 1
                        return left >= 0
                    }
                    if throwing { throw Fault(.conflict, "somebody was faster") }
                    return .finished
                }
            ],
            refused: { _, _, fault throws(Fault) in .failed("given up: \(fault.message)") })
        try await Lab.with(engine) { lab in
            let patient = try await lab.begin(program, 5)
            // An operation that has been woken often has not been refused often.
            try await lab.engine.write { tx throws(Fault) in
                try tx.run("UPDATE operation SET attempt = 1000 WHERE id = $1", [patient.value])
            }
            for number in 1...5 as ClosedRange<Int64> {
                try await lab.runner([program]).run(patient)
                let now = try #require(try await lab.operation(patient))
                #expect(now.state == .running && now.refusals == number && now.due.map { $0 > now.created } == true)
            }
            try await lab.runner([program]).run(patient)
            #expect(try await lab.operation(patient)?.state == .succeeded)
            #expect(try await lab.counted(5) == 1)

            left.withLock { $0 = 1000 }
            let hopeless = try await lab.begin(program, 6)
            for _ in 0...20 { try await lab.runner([program]).run(hopeless) }
            let ended = try await lab.operation(hopeless)
            #expect(ended?.state == .failed && ended?.fault == "given up: somebody was faster")
            #expect(try await lab.counted(6) == 0)
        }
    }

    @Test(arguments: EngineName.allCases)
    func refusalsForGood(engine: EngineName) async throws {
        let program = Program("lab.never", steps: [Step("no") { _, _ throws(Fault) in throw Fault(.wrongState, "never") }])
        try await Lab.with(engine) { lab in
            let id = try await lab.begin(program, 5)
            try await lab.runner([program]).run(id)
            let ended = try await lab.operation(id)
            #expect(ended?.state == .failed && ended?.fault == "never")
        }
    }

    /// A refusal that may pass leaves alone what the operation waits for, and until when.
    @Test(arguments: EngineName.allCases)
    func aWaitOutlivesARefusal(engine: EngineName) async throws {
        let isBusy = Mutex(false)
        let until = Instant(seconds: 4_000_000_000)
        let program = Program(
            "lab.wait",
            steps: [
                Step("wait") { _, _ throws(Fault) in
                    if isBusy.withLock(\.self) { throw Fault(.unavailable, "not now") }
                    return .wait(for: [AwaitedRow("holding", 9)], until: until)
                }
            ])
        try await Lab.with(engine) { lab in
            let id = try await lab.begin(program, 5)
            #expect(try await lab.runner([program]).run(id) == [AwaitedRow("holding", 9)])
            isBusy.withLock { $0 = true }
            try await lab.runner([program]).run(id)
            let now = try #require(try await lab.operation(id))
            #expect(now.deadline == until && now.due.map { $0 < until } == true)
            let waiting = try await lab.engine.read { tx throws(Fault) in try tx.operations(awaiting: AwaitedRow("holding", 9)) }
            #expect(waiting == [id])
        }
    }

    @Test func whatNoProgramKnowsIsLeftAlone() async throws {
        try await Lab.with(.sqlite) { lab in
            let id = try await lab.begin(twoSteps, 5)
            try await lab.runner([]).run(id)
            #expect(try await lab.operation(id)?.state == .running)
        }
    }
}
