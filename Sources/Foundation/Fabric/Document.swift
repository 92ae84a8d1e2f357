//  An owner's document: sections of entries, with a generation that only rises and a digest that
//  proves the whole. Both ends keep one; an update carries the difference.

import Crypto
import Model
import SwiftProtobuf

/// When a document was made: by which holder of the zone's lease, and its count since.
public struct Generation: Sendable, Hashable, Comparable {
    public var epoch: UInt64
    public var counter: UInt64

    public init(epoch: UInt64, counter: UInt64) {
        self.epoch = epoch
        self.counter = counter
    }

    public static func < (left: Generation, right: Generation) -> Bool {
        left.epoch == right.epoch ? left.counter < right.counter : left.epoch < right.epoch
    }
}

/// A digest of a set of entries that is kept up by adding and taking away single entries: the
/// sum, modulo 2^64 in each half, of the first 16 bytes of each entry's SHA-256.
public struct DocumentDigest: Sendable, Hashable {
    private var high: UInt64 = 0
    private var low: UInt64 = 0

    public init() {}

    public var bytes: [UInt8] {
        [high, low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) } }
    }

    mutating func add(_ entry: EntryHash) {
        high &+= entry.high
        low &+= entry.low
    }

    mutating func remove(_ entry: EntryHash) {
        high &-= entry.high
        low &-= entry.low
    }

    /// Adds what another set has and takes away what a third has.
    mutating func exchange(_ before: DocumentDigest, for after: DocumentDigest) {
        high = high &- before.high &+ after.high
        low = low &- before.low &+ after.low
    }
}

/// What stands for one entry in a digest.
public struct EntryHash: Sendable, Hashable {
    var high: UInt64
    var low: UInt64

    init(section: String, key: String, payload: some Sequence<UInt8>) {
        var hash = SHA256()
        // Lengths first, so that no two entries are spelled by the same bytes.
        hash.update(data: Array("\(section.utf8.count) \(key.utf8.count) \(section)\(key)".utf8))
        hash.update(data: Array(payload))
        var halves: [UInt64] = [0, 0]
        for (index, byte) in hash.finalize().prefix(16).enumerated() {
            halves[index / 8] = halves[index / 8] << 8 | UInt64(byte)
        }
        high = halves[0]
        low = halves[1]
    }
}

/// The owner's side: the document as it holds it.
public struct Document: Sendable {
    public private(set) var generation = Generation(epoch: 0, counter: 0)
    private var held: [String: SectionEntries] = [:]
    private var digest = DocumentDigest()
    private let stock: EntryStock?

    /// - Parameter stock: Where documents of this process share their entries.
    public init(sharing stock: EntryStock? = nil) { self.stock = stock }

    public var digestBytes: [UInt8] { digest.bytes }

    public var sectionNames: some Collection<String> { held.keys }
    /// A section's entries, sorted by key; nil when the document does not have the section.
    public func entries(of section: String) -> [DocumentEntry]? { held[section]?.sorted }
    public func payload(_ section: String, _ key: String) -> [UInt8]? { held[section]?[key]?.payload }

    /// Payloads by section and key: a copy of the whole.
    public var sections: [String: [String: [UInt8]]] {
        held.mapValues { Dictionary(uniqueKeysWithValues: $0.sorted.map { ($0.key, $0.payload) }) }
    }

    /// An entry that an update touched.
    public struct Touched: Sendable {
        public var section: String
        public var key: String
        /// As it was before; nil: it is new.
        public var before: DocumentEntry?
    }

    /// Takes an update and says what changed by it.
    ///
    /// - Throws: `Fault.conflict` when the generation does not rise or the digest does not prove
    ///   the result; the document is then as it was.
    public mutating func apply(_ update: DocumentUpdate) throws(Fault) -> [Touched] {
        let next = Generation(epoch: update.epoch, counter: update.counter)
        guard next > generation || (next == generation && update.whole) else {
            throw Fault(
                .conflict, "the document \(next.epoch).\(next.counter) is older than \(generation.epoch).\(generation.counter)")
        }
        // Changed where it lies: a copy of a large document for each small update costs more than the update.
        let before = digest
        var touched: [Touched] = []
        if update.whole {
            var named: [String: Set<String>] = [:]
            for change in update.changes { named[change.section, default: []].insert(change.key) }
            for (section, entries) in held {
                for entry in entries.sorted where named[section]?.contains(entry.key) != true {
                    touched.append(Touched(section: section, key: entry.key, before: entry))
                }
            }
            for entry in touched { set(entry.section, entry.key, nil) }
        }
        for change in update.changes {
            let old = held[change.section]?[change.key]
            let new = entry(change)
            guard old?.hash != new?.hash else { continue }
            touched.append(Touched(section: change.section, key: change.key, before: old))
            set(change.section, change.key, new)
        }
        guard digest.bytes == Array(update.digest) else {
            for entry in touched.reversed() { set(entry.section, entry.key, entry.before) }
            assert(digest == before, "what an update changed is put back")
            throw Fault(.conflict, "the document \(next.epoch).\(next.counter) does not match its digest")
        }
        generation = next
        return touched
    }

    /// What a change brings; nil: the entry is gone.
    private func entry(_ change: Change) -> DocumentEntry? {
        guard !change.payload.isEmpty else { return nil }
        let hash = EntryHash(section: change.section, key: change.key, payload: change.payload)
        let make = { DocumentEntry(key: change.key, payload: Array(change.payload), hash: hash) }
        return stock?.entry(hash, make) ?? make()
    }

    private mutating func set(_ section: String, _ key: String, _ entry: DocumentEntry?) {
        if let old = held[section]?[key] { digest.remove(old.hash) }
        held[section, default: SectionEntries()].set(key, entry)
        if held[section]?.sorted.isEmpty == true { held[section] = nil }
        if let entry { digest.add(entry.hash) }
    }

    /// The document as one update, for keeping on disk.
    public func kept() throws(Fault) -> [UInt8] {
        var update = DocumentUpdate()
        update.epoch = generation.epoch
        update.counter = generation.counter
        update.whole = true
        update.digest = .init(digest.bytes)
        for (section, entries) in held.sorted(by: { $0.key < $1.key }) {
            for entry in entries.sorted {
                update.changes.append(
                    Change.with {
                        $0.section = section
                        $0.key = entry.key
                        $0.payload = .init(entry.payload)
                    })
            }
        }
        do { return try update.serializedBytes() } catch {
            throw Fault(.internalError, "the document could not be written", because: error)
        }
    }

    /// Reads what `kept` wrote.
    ///
    /// - Throws: `Fault.storage` when the bytes are damaged.
    public init(kept bytes: [UInt8], sharing stock: EntryStock? = nil) throws(Fault) {
        let update: DocumentUpdate
        do { update = try DocumentUpdate(serializedBytes: bytes) } catch {
            throw Fault(.storage, "the kept document is damaged", because: error)
        }
        self.init(sharing: stock)
        _ = try apply(update)
    }

    /// One entry's message, or nil when the document does not have it.
    public func entry<Payload: SwiftProtobuf.Message>(_: Payload.Type, _ section: String, _ key: String) throws(Fault) -> Payload? {
        guard let payload = payload(section, key) else { return nil }
        do { return try Payload(serializedBytes: payload) } catch {
            throw Fault(.internalError, "the entry \(section) \(key) is damaged", because: error)
        }
    }
}

/// The sender's side: what the owner was sent, as hashes, and what it is to be sent next.
public struct DocumentSender: Sendable {
    private var generation: Generation
    private var sent: [String: [String: EntryHash]] = [:]
    private var digest = DocumentDigest()
    private var begun = false

    /// - Parameters:
    ///   - epoch: Of the zone's lease.
    ///   - counter: The owner's own counter when its kept document is of the same epoch.
    public init(epoch: UInt64, counter: UInt64) { generation = Generation(epoch: epoch, counter: counter) }

    /// Keys of a section of the owner's own that it was sent.
    public func keys(of section: String) -> Set<String> { Set((sent[section] ?? [:]).keys) }

    /// The update that brings the named entries to the given payloads (nil: no longer there), and
    /// shared sections on, or nil when the owner already has all of that. The first update of a
    /// session is the whole.
    public mutating func update(
        _ entries: [(section: String, key: String, payload: [UInt8]?)], shared: [SectionChanges] = []
    ) -> DocumentUpdate? {
        var update = DocumentUpdate()
        update.whole = !begun
        for (section, key, payload) in entries {
            let old = sent[section]?[key]
            let new = payload.map { EntryHash(section: section, key: key, payload: $0) }
            if old == new { continue }
            if let old { digest.remove(old) }
            if let new { digest.add(new) }
            sent[section, default: [:]][key] = new
            if sent[section]?.isEmpty == true { sent[section] = nil }
            update.changes.append(
                Change.with {
                    $0.section = section
                    $0.key = key
                    $0.payload = .init(payload ?? [])
                })
        }
        for section in shared {
            update.changes += section.changes
            digest.exchange(section.before, for: section.after)
        }
        if begun, update.changes.isEmpty { return nil }
        begun = true
        generation.counter += 1
        update.epoch = generation.epoch
        update.counter = generation.counter
        update.digest = .init(digest.bytes)
        return update
    }
}
