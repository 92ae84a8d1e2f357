//  Writers of the same thing queue by its key before they begin: measured, that is the difference
//  between no failed call and more than half of them.

import Model
import Synchronization

/// Keys that at most one writer of this process holds at a time.
final class KeyQueue: Sendable {
    /// The writers that wait for each held key.
    private let held = Mutex<[String: Fifo<Ticket<Void>>]>([:])
    private let waitingMax: Int

    init(waitingMax: Int) { self.waitingMax = waitingMax }

    /// Takes all keys, in one order for every writer, so that no two wait for each other.
    /// Faults, holding none, with `.timedOut`, `.cancelled`, or `.unavailable` when too many wait.
    func enter(_ keys: [String], until deadline: ContinuousClock.Instant) async throws(Fault) -> [String] {
        var entered: [String] = []
        for key in Set(keys).sorted() {
            do throws(Fault) {
                try await enter(key, until: deadline)
                entered.append(key)
            } catch {
                leave(entered)
                throw error
            }
        }
        return entered
    }

    func leave(_ keys: [String]) {
        for key in keys {
            while true {
                let next: Ticket<Void>? = held.withLock { held in
                    let next = held[key]?.popFirst()
                    if next == nil { held[key] = nil }
                    return next
                }
                // Who gave up in the meantime is passed over.
                guard let next else { break }
                if next.begin() {
                    next.end(.success(()))
                    break
                }
            }
        }
    }

    private func enter(_ key: String, until deadline: ContinuousClock.Instant) async throws(Fault) {
        try await Ticket<Void>.wait { ticket throws(Fault) in
            let isFree: Bool? = held.withLock { held in
                guard var waiting = held[key] else {
                    held[key] = Fifo()
                    return true
                }
                guard waiting.count < waitingMax else { return nil }
                held[key] = nil
                waiting.append(ticket)
                held[key] = waiting
                return false
            }
            guard let isFree else { throw .storeIsBusy }
            if isFree {
                if ticket.begin() { ticket.end(.success(())) } else { leave([key]) }
            } else {
                ticket.expire(at: deadline)
            }
        }
    }
}
