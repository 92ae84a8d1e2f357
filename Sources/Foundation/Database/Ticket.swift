//  One caller's wait for its turn and its answer. Cancellation and deadlines are heard until the
//  work begins and never after: what has begun ends, and its answer is delivered.

import Dispatch
import Model
import Synchronization

/// A place in a queue, answered exactly once.
final class Ticket<T: Sendable>: Sendable {
    private enum State {
        case new
        case waiting(CheckedContinuation<Result<T, Fault>, Never>)
        case begun(CheckedContinuation<Result<T, Fault>, Never>)
        case ended(Result<T, Fault>?)
    }

    private let state = Mutex(State.new)

    /// Queues with `enqueue` and waits for the answer. A fault of `enqueue` is the answer.
    ///
    /// - Parameter cancellable: Whether the task's cancellation is heard until the work begins.
    static func wait(
        cancellable: Bool = true, _ enqueue: (Ticket<T>) throws(Fault) -> Void
    ) async throws(Fault) -> T {
        if cancellable, Task.isCancelled { throw .cancelledBeforeItBegan }
        let ticket = Ticket<T>()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard ticket.attach(continuation) else { return }
                do throws(Fault) { try enqueue(ticket) } catch { ticket.give(up: error) }
            }
        } onCancel: {
            if cancellable { ticket.give(up: .cancelledBeforeItBegan) }
        }
        return try result.get()
    }

    /// Whether the work may begin; false if its caller has gone.
    func begin() -> Bool {
        state.withLock { state in
            guard case .waiting(let continuation) = state else { return false }
            state = .begun(continuation)
            return true
        }
    }

    /// Answers work that has begun.
    func end(_ result: Result<T, Fault>) {
        let continuation: CheckedContinuation<Result<T, Fault>, Never>? = state.withLock { state in
            guard case .begun(let continuation) = state else { return nil }
            state = .ended(nil)
            return continuation
        }
        continuation?.resume(returning: result)
    }

    /// Answers with a fault, unless the work has begun.
    func give(up fault: Fault) {
        let continuation: CheckedContinuation<Result<T, Fault>, Never>? = state.withLock { state in
            switch state {
            case .new:
                state = .ended(.failure(fault))
                return nil
            case .waiting(let continuation):
                state = .ended(nil)
                return continuation
            case .begun, .ended: return nil
            }
        }
        continuation?.resume(returning: .failure(fault))
    }

    /// Gives up at `deadline` if the work has not begun by then.
    func expire(at deadline: ContinuousClock.Instant) {
        let left = ContinuousClock.now.duration(to: deadline)
        DispatchQueue.global().asyncAfter(deadline: .now() + left.dispatchInterval) { [weak self] in
            self?.give(up: .timedOutBeforeItBegan)
        }
    }

    /// Whether the caller still waits; otherwise it is answered here.
    private func attach(_ continuation: CheckedContinuation<Result<T, Fault>, Never>) -> Bool {
        let early: Result<T, Fault>? = state.withLock { state in
            if case .ended(let result) = state { return result }
            state = .waiting(continuation)
            return nil
        }
        guard let early else { return true }
        continuation.resume(returning: early)
        return false
    }
}

extension Fault {
    static let cancelledBeforeItBegan = Fault(.cancelled, "The call was cancelled before it began.")
    static let timedOutBeforeItBegan = Fault(.timedOut, "The store was too busy to begin in time.")
    static let storeIsBusy = Fault(.unavailable, "Too many calls wait for the store.")
    static let storeIsClosed = Fault(.unavailable, "The store is closed.")
}

extension Duration {
    var dispatchInterval: DispatchTimeInterval {
        let (seconds, attoseconds) = components
        let nanoseconds = max(0, attoseconds / 1_000_000_000)
        // Longer than a day is as good as a day for a timer, and cannot overflow.
        return .nanoseconds(Int(min(max(0, seconds), 86_400) * 1_000_000_000 + nanoseconds))
    }
}
