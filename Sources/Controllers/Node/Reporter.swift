//  What is so on this host, told as it changes: one report an entry, batched, the whole at each
//  new session.

import Fabric
import Model
import Synchronization

/// Collects reports and sends them over whichever session there is.
final class Reporter: Sendable {
    private struct Place: Hashable {
        var section: String
        var key: String
    }

    private struct State {
        var known: [Place: Report] = [:]
        var unsent: Set<Place> = []
        var outgoing: AsyncStream<FromOwner>.Continuation?
        var number: UInt64 = 0
    }

    private let state = Mutex(State())
    let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init() { (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

    func report(_ report: Report) {
        let place = Place(section: report.section, key: report.key)
        let isNew = state.withLock { state in
            guard state.known[place] != report else { return false }
            state.known[place] = report
            state.unsent.insert(place)
            return true
        }
        if isNew { wake.yield() }
    }

    /// Forgets entries that the document no longer has.
    func forget(_ section: String, _ key: String) {
        state.withLock { state in
            state.known[Place(section: section, key: key)] = nil
            state.unsent.remove(Place(section: section, key: key))
        }
    }

    /// A new session: it is told everything.
    func attach(_ outgoing: AsyncStream<FromOwner>.Continuation) {
        state.withLock { state in
            state.outgoing = outgoing
            state.number = 0
            state.unsent = Set(state.known.keys)
        }
        wake.yield()
    }

    func detach() { state.withLock { $0.outgoing = nil } }

    /// Says that the host is there although nothing changed.
    func beat() {
        state.withLock { state in
            guard let outgoing = state.outgoing else { return }
            outgoing.yield(FromOwner.with { $0.reports = .init() })
        }
    }

    /// Sends what is unsent, in batches of a few hundred.
    func flush() {
        state.withLock { state in
            guard let outgoing = state.outgoing else { return }
            while !state.unsent.isEmpty {
                let batch = state.unsent.prefix(Reporter.batchMax)
                var message = Reports()
                state.number += 1
                message.number = state.number
                message.whole = state.number == 1
                message.reports = batch.compactMap { state.known[$0] }
                for place in Array(batch) { state.unsent.remove(place) }
                outgoing.yield(FromOwner.with { $0.reports = message })
            }
        }
    }

    private static let batchMax = 256
}
