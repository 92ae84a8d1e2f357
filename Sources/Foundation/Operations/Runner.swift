//  Runs the steps of one operation. Each step is one transaction that raises the operation's
//  attempt, so that of two workers on one step only one commits.

import Database
import Logging
import Meters
import Model
import Store

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
            switch try await runStep(of: id) {
            case .go: continue
            case .wait(let rows, _): return rows
            case .finished, .failed, nil: return []
            }
        }
    }

    /// Runs the current step once; nil when there is nothing to run, or another worker was faster.
    func runStep(of id: ID<Operation>) async throws -> StepOutcome? {
        guard let operation = try await engine.readNow({ tx throws(Fault) in try tx.find(Operation.table, id) }),
            operation.state == .running
        else { return nil }
        guard let program = programs[operation.kind], let step = program.step(named: operation.step) else {
            log.error(
                "no program knows this step",
                metadata: ["operation": "\(id)", "kind": "\(operation.kind)", "step": "\(operation.step)"])
            return nil
        }
        try strike(operation, .before)
        let outcome = try await commit(step, of: program, operation)
        switch outcome {
        case .finished: ended.count(operation.kind, "succeeded")
        case .failed: ended.count(operation.kind, "failed")
        case .go, .wait, nil: break
        }
        try strike(operation, .after)
        if failPoints.strikes(FailPoint(kind: operation.kind, step: operation.step, place: .twice)) {
            // The same attempt once more, as by a worker that did not hear of its own commit.
            _ = try await commit(step, of: program, operation)
        }
        return outcome
    }

    private func strike(_ operation: Operation, _ place: FailPoint.Place) throws {
        let point = FailPoint(kind: operation.kind, step: operation.step, place: place)
        if failPoints.strikes(point) { throw Killed(point: point) }
    }

    /// One attempt at a step; nil when another worker was faster.
    private func commit(_ step: Step, of program: Program, _ operation: Operation) async throws(Fault) -> StepOutcome? {
        let now = chance.now()
        let seed = chance.bits()
        do throws(Fault) {
            return try await attempt(operation) { tx throws(Fault) in
                var context = StepContext(
                    operation: operation, now: now, dice: Dice(seed: seed), isOverdue: operation.deadline.map { $0 <= now } ?? false
                )
                return try settle(tx, operation, try step.run(tx, &context), now)
            }
        } catch {
            return try await refuse(error, step, of: program, operation, now, seed)
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

    /// Writes a step's outcome over the attempt that it began from.
    private func settle(_ tx: Writing, _ operation: Operation, _ outcome: StepOutcome, _ now: Instant) throws(Fault) -> StepOutcome
    {
        var next = operation
        next.attempt += 1
        next.refusals = 0
        next.due = nil
        next.deadline = nil
        var awaited: [AwaitedRow] = []
        switch outcome {
        case .go(let name):
            next.step = name
            next.due = now
        case .wait(let rows, let until):
            awaited = rows
            next.due = until
            next.deadline = until
        case .finished:
            next.state = .succeeded
            next.ended = now
        case .failed(let reason):
            next.state = .failed
            next.fault = reason
            next.ended = now
        }
        guard try tx.advance(next, from: operation.attempt) else {
            throw Fault(.conflict, "The operation moved on.", kind: .operation)
        }
        try tx.wait(operation.id, for: awaited)
        if next.ended != nil {
            try tx.letGo(operation.id)
            tx.changed("operation", operation.id.stored, account: operation.account.stored)
        }
        return outcome
    }

    /// A step's fault: what may pass is tried again later, what will not goes to the program.
    private func refuse(
        _ fault: Fault, _ step: Step, of program: Program, _ operation: Operation, _ now: Instant, _ seed: UInt64
    ) async throws(Fault) -> StepOutcome? {
        let mayPass = [Fault.Code.conflict, .unavailable, .timedOut, .storage].contains(fault.code)
        refused.count(operation.kind)
        log.warning(
            "a step was refused",
            metadata: ["operation": "\(operation.id)", "kind": "\(operation.kind)", "step": "\(step.name)", "fault": "\(fault)"])
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
            return try settle(tx, operation, try program.refused(tx, &context, fault), now)
        }
    }
}
