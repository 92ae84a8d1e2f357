//  Work that goes on beside what its caller does next, in order and no more than one step ahead.

import Synchronization

/// A stage of a pipeline: a value that steps are made on, one after the other.
///
/// Whoever feeds it waits for the step before, and no longer: so the stage works while the next of what it works on is
/// gathered, and holds no more than that. One at a time may feed it.
public final class PipelineStage<Value: Sendable>: Sendable {
    private enum State {
        case rests(Value)
        case works(next: CheckedContinuation<Value, Never>?)
    }

    private let state: Mutex<State>

    public init(_ value: Value) { state = Mutex(.rests(value)) }

    /// What the steps have come to, once the last of them is done.
    public func value() async -> Value {
        await withCheckedContinuation { continuation in
            let rests = state.withLock { state -> Value? in
                if case .rests(let value) = state { return value }
                state = .works(next: continuation)
                return nil
            }
            if let rests { continuation.resume(returning: rests) }
        }
    }

    /// Begins the next step, after `value` has told what came of the one before.
    ///
    /// - Parameter step: Has the step made elsewhere; it calls what it is given, once, with what came of it.
    public func begin(_ step: (_ done: @escaping @Sendable (Value) -> Void) -> Void) {
        state.withLock { $0 = .works(next: nil) }
        step { [self] value in
            let next = state.withLock { state in
                defer { state = .rests(value) }
                return if case .works(let next) = state { next } else { CheckedContinuation<Value, Never>?.none }
            }
            next?.resume(returning: value)
        }
    }
}
