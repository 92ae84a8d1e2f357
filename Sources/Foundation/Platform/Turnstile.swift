//  Lets the work on one thing pass one by one while work on others goes on.

import Model
import Synchronization

/// A lock for each key, taken in order of asking. Work under a key must not ask for the same key.
public final class Turnstile: Sendable {
    /// The most that may wait for one key.
    public static let waitersMax = 4096

    private let waiting = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

    public init() {}

    /// Runs `work`, where the caller runs, when nobody else works under `key`.
    ///
    /// - Throws: `Fault.unavailable` if too many wait, or what `work` throws.
    public func pass<Result>(
        _ key: String, isolation: isolated (any Actor)? = #isolation, _ work: () async throws(Fault) -> Result
    ) async throws(Fault) -> Result {
        try await enter(key)
        defer { leave(key) }
        return try await work()
    }

    private func enter(_ key: String) async throws(Fault) {
        enum Turn { case now, refused, later }
        let refused = Mutex(false)
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let turn = waiting.withLock { waiting -> Turn in
                guard let queue = waiting[key] else {
                    waiting[key] = []
                    return .now
                }
                guard queue.count < Turnstile.waitersMax else { return .refused }
                waiting[key, default: []].append(continuation)
                return .later
            }
            if turn == .refused { refused.withLock { $0 = true } }
            if turn != .later { continuation.resume() }
        }
        if refused.withLock({ $0 }) { throw Fault(.unavailable, "too much work waits for \(key)") }
    }

    private func leave(_ key: String) {
        let next = waiting.withLock { waiting -> CheckedContinuation<Void, Never>? in
            guard var queue = waiting[key], !queue.isEmpty else {
                waiting[key] = nil
                return nil
            }
            let first = queue.removeFirst()
            waiting[key] = queue
            return first
        }
        next?.resume()
    }
}
