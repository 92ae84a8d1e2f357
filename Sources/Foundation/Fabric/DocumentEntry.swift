//  One entry as an owner holds it, and the stock from which many documents of one process take it:
//  a hundred simulated hosts hold the same ports of the same networks.

import Model
import Synchronization

/// An entry: made once, never changed.
public final class DocumentEntry: Sendable {
    public let key: String
    public let payload: [UInt8]
    let hash: EntryHash

    init(key: String, payload: [UInt8], hash: EntryHash) {
        self.key = key
        self.payload = payload
        self.hash = hash
    }
}

/// Entries that several documents share. It keeps none that no document holds for long.
public final class EntryStock: Sendable {
    private struct State {
        var known: [EntryHash: DocumentEntry] = [:]
        /// How many make it look for those that nobody holds any more.
        var sweepAt = EntryStock.leastSwept
    }

    private static let leastSwept = 1024
    private let state = Mutex(State())

    public init() {}

    /// The entry of the given content; made by `make` unless one is known.
    func entry(_ hash: EntryHash, _ make: () -> DocumentEntry) -> DocumentEntry {
        state.withLock { state in
            if let known = state.known[hash] { return known }
            if state.known.count >= state.sweepAt { EntryStock.sweep(&state) }
            let made = make()
            state.known[hash] = made
            return made
        }
    }

    /// How many entries it knows.
    public var count: Int { state.withLock(\.known.count) }

    private static func sweep(_ state: inout State) {
        var held: [EntryHash: DocumentEntry] = [:]
        while let (hash, entry) = state.known.popFirst() {
            var entry = entry
            if !isKnownUniquelyReferenced(&entry) { held[hash] = entry }
        }
        state.known = held
        state.sweepAt = max(leastSwept, held.count * 2)
    }
}

/// The entries of one section, sorted by key: a reference each, because a host in a large network
/// holds many.
struct SectionEntries: Sendable {
    private(set) var sorted: [DocumentEntry] = []

    subscript(key: String) -> DocumentEntry? {
        let place = place(of: key)
        guard place < sorted.count, sorted[place].key == key else { return nil }
        return sorted[place]
    }

    mutating func set(_ key: String, _ entry: DocumentEntry?) {
        let place = place(of: key)
        let isThere = place < sorted.count && sorted[place].key == key
        switch (isThere, entry) {
        case (true, let entry?): sorted[place] = entry
        case (true, nil): sorted.remove(at: place)
        case (false, let entry?):
            // Room for an eighth more: an array by itself doubles, and there are many large ones.
            if sorted.count == sorted.capacity { sorted.reserveCapacity(sorted.count + sorted.count / 8 + 4) }
            sorted.insert(entry, at: place)
        case (false, nil): break
        }
    }

    /// Where a key stands, or would.
    private func place(of key: String) -> Int {
        // Entries mostly come in order.
        if let last = sorted.last, last.key < key { return sorted.count }
        var (low, high) = (0, sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
