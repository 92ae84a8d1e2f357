//  What an operation does: named steps, read from top to bottom. A step is part of one transaction
//  over the store and touches nothing else, so it may be killed before, killed after, or run twice.

import Database
import FoundationEssentials
import Model
import Store

/// What one step is given.
public struct StepContext: Sendable {
    /// The operation as this attempt found it.
    public let operation: Operation
    public let now: Instant
    /// Seeded once for the attempt: a transaction that runs again throws the same.
    public var dice: Dice
    /// Whether the deadline of the wait that led here has passed.
    public let isOverdue: Bool

    public init(operation: Operation, now: Instant, dice: Dice, isOverdue: Bool) {
        self.operation = operation
        self.now = now
        self.dice = dice
        self.isOverdue = isOverdue
    }

    /// The operation's inputs, as its service wrote them.
    public func inputs<Inputs: Decodable>(_: Inputs.Type = Inputs.self) throws(Fault) -> Inputs {
        do { return try JSONDecoder().decode(Inputs.self, from: Data(operation.inputs.utf8)) } catch {
            throw Fault(.internalError, "The inputs of \(operation.kind) cannot be read.", because: error)
        }
    }
}

/// How a step ended.
public enum StepOutcome: Sendable, Hashable {
    /// On with another step, at once and mostly in the same transaction.
    case go(to: String)
    /// The same step again when one of the rows changes, or when the time is up.
    case wait(for: [AwaitedRow], until: Instant)
    /// Done: the resources are let go.
    case finished
    /// Ended without success. What is half-made was put right, or handed to another operation, by
    /// the step that says this.
    case failed(String)
}

/// One step: its name, which is what the operation's row says, and what it does in its transaction,
/// which steps that go on to each other share.
public struct Step: Sendable {
    public let name: String
    public let run: @Sendable (Writing, inout StepContext) throws(Fault) -> StepOutcome

    public init(_ name: String, _ run: @escaping @Sendable (Writing, inout StepContext) throws(Fault) -> StepOutcome) {
        self.name = name
        self.run = run
    }
}

/// A kind of operation.
public struct Program: Sendable {
    public let kind: String
    public let steps: [Step]
    /// What to do when a step refuses for good; runs in a transaction of its own. The default
    /// fails the operation with the reason.
    public let refused: @Sendable (Writing, inout StepContext, Fault) throws(Fault) -> StepOutcome

    public init(
        _ kind: String, steps: [Step],
        refused: @escaping @Sendable (Writing, inout StepContext, Fault) throws(Fault) -> StepOutcome = {
            _, _, fault throws(Fault) in
            .failed(fault.message)
        }
    ) {
        precondition(!steps.isEmpty && Set(steps.map(\.name)).count == steps.count, "the steps of \(kind) have names of their own")
        self.kind = kind
        self.steps = steps
        self.refused = refused
    }

    func step(named name: String) -> Step? { steps.first { $0.name == name } }

    /// A new operation of this kind, at its first step and due at once.
    public func operation(
        id: ID<Operation>, account: ID<Account>, zone: ID<Zone>?, subject: AnyID, inputs: some Encodable, request: String,
        principal: String, now: Instant
    ) throws(Fault) -> Operation {
        let text: String
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            text = String(decoding: try encoder.encode(inputs), as: UTF8.self)
        } catch {
            throw Fault(.internalError, "The inputs of \(kind) cannot be written.", because: error)
        }
        return Operation(
            id: id, account: account, zone: zone, kind: kind, subjectKind: subject.kind, subject: subject.stored,
            step: steps[0].name,
            state: .running, attempt: 0, refusals: 0, due: now, deadline: nil, inputs: text, fault: nil, request: request,
            principal: principal,
            created: now, ended: nil)
    }
}
