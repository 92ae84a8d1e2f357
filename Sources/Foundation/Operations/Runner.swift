//  Runs the steps of one operation. Each stretch of steps, up to one that waits or ends, is one
//  transaction that raises the operation's attempt, so that of two workers on one only one commits.

import Database
import Logging
import Meters
import Model
import Store
import Synchronization

/// Runs operations by their programs.
public struct Runner: Sendable {
    let engine: any Engine
    let programs: [String: Program]
    let chance: Chance
    let failPoints: FailPoints
    let log: Logger
    /// The operations that this process ended, by their kind and outcome.
    public let ended = Counter(
        MeterFamily("karri_operations_ended_total", "Operations that ended, by outcome.", labels: ["kind", "outcome"]))
    public let refused = Counter(
        MeterFamily("karri_operation_steps_refused_total", "Steps of operations that threw a fault.", labels: ["kind"]))

    /// Steps that throw what may pass (a lost race, a busy store) are tried again this often.
    static let refusalsMax: Int64 = 20

    public init(engine: any Engine, programs: [Program], chance: Chance, failPoints: FailPoints = .none, log: Logger) {
        self.engine = engine
        self.programs = Dictionary(uniqueKeysWithValues: programs.map { ($0.kind, $0) })
        self.chance = chance
        self.failPoints = failPoints
        self.log = log
    }

    /// Runs an operation until it waits or ends.
    ///
    /// - Returns: The rows that it waits for now; none when it has ended or another worker has it.
    /// - Throws: `Killed` where a fail point strikes; what the store throws when it cannot be written.
    @discardableResult
    public func run(_ id: ID<Operation>) async throws -> [AwaitedRow] {
        while true {
            switch try await runStretch(of: id) {
            case .go: continue
            case .wait(let rows, _): return rows
            case .finished, .failed, nil: return []
            }
        }
    }

    /// Runs the current step, and what it goes on to, once; nil when there is nothing to run, or another
    /// worker was faster.
    private func runStretch(of id: ID<Operation>) async throws -> StepOutcome? {
        guard let operation = try await engine.readNow({ tx throws(Fault) in try tx.find(Operation.table, id) }),
            operation.state == .running
        else { return nil }
        guard let program = programs[operation.kind], program.step(named: operation.step) != nil else {
            log.error(
                "no program knows this step",
                metadata: ["operation": "\(id)", "kind": "\(operation.kind)", "step": "\(operation.step)"])
            return nil
        }
        try strike(operation, .before)
        let outcome = try await commit(program, operation)
        switch outcome {
        case .finished: ended.count(operation.kind, "succeeded")
        case .failed: ended.count(operation.kind, "failed")
        case .go, .wait, nil: break
        }
        try strike(operation, .after)
        if failPoints.strikes(FailPoint(kind: operation.kind, step: operation.step, place: .twice)) {
            // The same attempt once more, as by a worker that did not hear of its own commit.
            _ = try await commit(program, operation)
        }
        return outcome
    }

    private func strike(_ operation: Operation, _ place: FailPoint.Place) throws {
        let point = FailPoint(kind: operation.kind, step: operation.step, place: place)
        if failPoints.strikes(point) { throw Killed(point: point) }
    }

    /// One attempt; nil when another worker was faster.
    private func commit(_ program: Program, _ operation: Operation) async throws(Fault) -> StepOutcome? {
        let now = chance.now()
        let seed = chance.bits()
        // Where workers die at steps, each step has its own transaction, so that they die between any two.
        var stepsMax = failPoints.isNone ? program.steps.count : 1
        while true {
            let begun = Mutex(0)
            let most = stepsMax
            do throws(Fault) {
                return try await attempt(operation) { tx throws(Fault) in
                    begun.withLock { $0 = 0 }
                    return try stretch(tx, program, operation, most, now, seed) { begun.withLock { $0 += 1 } }
                }
            } catch {
                // A later step's refusal is that step's own: those before it are committed first.
                guard begun.withLock(\.self) > 1 else {
                    return try await refuse(error, program, operation, now, seed)
                }
                stepsMax = 1
            }
        }
    }

    /// Runs steps until one waits or ends, or so many have run, and writes where the operation stands then.
    private func stretch(
        _ tx: Writing, _ program: Program, _ operation: Operation, _ stepsMax: Int, _ now: Instant, _ seed: UInt64,
        onBegin: () -> Void
    ) throws(Fault) -> StepOutcome {
        var dice = Dice(seed: seed)
        var operation = operation
        let attempt = operation.attempt
        var stepsLeft = stepsMax
        while true {
            guard let step = program.step(named: operation.step) else {
                throw Fault(.internalError, "\(program.kind) has no step \(operation.step).", kind: .operation)
            }
            onBegin()
            var context = StepContext(
                operation: operation, now: now, dice: dice, isOverdue: operation.deadline.map { $0 <= now } ?? false)
            let outcome = try step.run(tx, &context)
            dice = context.dice
            operation.settle(outcome, at: now)
            stepsLeft -= 1
            guard case .go = outcome, stepsLeft > 0 else {
                try write(tx, operation, outcome, from: attempt)
                return outcome
            }
        }
    }

    /// Runs `body` if the operation is still where it was read. Asked before, so that a body never
    /// sees the world as another worker's later step left it.
    private func attempt(
        _ operation: Operation, _ body: @escaping @Sendable (Writing) throws(Fault) -> StepOutcome
    ) async throws(Fault) -> StepOutcome? {
        try await engine.write(contending: ["account/\(operation.account.hex)"]) { tx throws(Fault) in
            guard let current = try tx.find(Operation.table, operation.id), current.attempt == operation.attempt,
                current.state == .running
            else { return nil }
            return try body(tx)
        }
    }

    /// Writes an operation over the attempt that it began from.
    private func write(_ tx: Writing, _ operation: Operation, _ outcome: StepOutcome, from attempt: Int64) throws(Fault) {
        guard try tx.advance(operation, from: attempt) else {
            throw Fault(.conflict, "The operation moved on.", kind: .operation)
        }
        var awaited: [AwaitedRow] = []
        if case .wait(let rows, _) = outcome { awaited = rows }
        try tx.wait(operation.id, for: awaited)
        if operation.ended != nil {
            try tx.letGo(operation.id)
            tx.changed("operation", operation.id.stored, account: operation.account.stored)
        }
    }

    /// A step's fault: what may pass is tried again later, what will not goes to the program.
    private func refuse(
        _ fault: Fault, _ program: Program, _ operation: Operation, _ now: Instant, _ seed: UInt64
    ) async throws(Fault) -> StepOutcome? {
        let mayPass = [Fault.Code.conflict, .unavailable, .timedOut, .storage, .diskIsFull].contains(fault.code)
        refused.count(operation.kind)
        log.warning(
            "a step was refused",
            metadata: [
                "operation": "\(operation.id)", "kind": "\(operation.kind)", "step": "\(operation.step)", "fault": "\(fault)",
            ])
        return try await attempt(operation) { tx throws(Fault) in
            if mayPass, operation.refusals < Runner.refusalsMax {
                var later = operation
                later.attempt += 1
                later.refusals += 1
                // What it waits for and until when stays as it is.
                later.due = now + .milliseconds(100 * later.refusals)
                guard try tx.advance(later, from: operation.attempt) else {
                    throw Fault(.conflict, "The operation moved on.", kind: .operation)
                }
                return .wait(for: [], until: now)
            }
            var context = StepContext(operation: operation, now: now, dice: Dice(seed: seed), isOverdue: false)
            let outcome = try program.refused(tx, &context, fault)
            var settled = operation
            settled.settle(outcome, at: now)
            try write(tx, settled, outcome, from: operation.attempt)
            return outcome
        }
    }
}

extension Operation {
    /// Where it stands after a step.
    fileprivate mutating func settle(_ outcome: StepOutcome, at now: Instant) {
        attempt += 1
        refusals = 0
        due = nil
        deadline = nil
        switch outcome {
        case .go(let name):
            step = name
            due = now
        case .wait(_, let until):
            due = until
            deadline = until
        case .finished:
            state = .succeeded
            ended = now
        case .failed(let reason):
            state = .failed
            fault = reason
            ended = now
        }
    }
}
