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
    /// Payloads by section and key.
    public private(set) var sections: [String: [String: [UInt8]]] = [:]
    private var digest = DocumentDigest()

    public init() {}

    public var digestBytes: [UInt8] { digest.bytes }

    /// Which entries an update touched.
    public struct Touched: Sendable, Hashable {
        public var section: String
        public var key: String

        public init(section: String, key: String) {
            self.section = section
            self.key = key
        }
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
        var replaced: [(section: String, key: String, payload: [UInt8]?)] = []
        if update.whole {
            let named = Set(update.changes.map { Touched(section: $0.section, key: $0.key) })
            for (section, entries) in sections {
                for (key, payload) in entries where !named.contains(Touched(section: section, key: key)) {
                    replaced.append((section, key, payload))
                    touched.append(Touched(section: section, key: key))
                }
            }
            for entry in replaced { set(entry.section, entry.key, nil) }
        }
        for change in update.changes {
            let payload = change.payload.isEmpty ? nil : Array(change.payload)
            let old = sections[change.section]?[change.key]
            guard old != payload else { continue }
            touched.append(Touched(section: change.section, key: change.key))
            replaced.append((change.section, change.key, old))
            set(change.section, change.key, payload)
        }
        guard digest.bytes == Array(update.digest) else {
            for entry in replaced.reversed() { set(entry.section, entry.key, entry.payload) }
            assert(digest == before, "what an update changed is put back")
            throw Fault(.conflict, "the document \(next.epoch).\(next.counter) does not match its digest")
        }
        generation = next
        return touched
    }

    private mutating func set(_ section: String, _ key: String, _ payload: [UInt8]?) {
        if let old = sections[section]?[key] { digest.remove(EntryHash(section: section, key: key, payload: old)) }
        sections[section, default: [:]][key] = payload
        if sections[section]?.isEmpty == true { sections[section] = nil }
        if let payload { digest.add(EntryHash(section: section, key: key, payload: payload)) }
    }

    /// The document as one update, for keeping on disk.
    public func kept() throws(Fault) -> [UInt8] {
        var update = DocumentUpdate()
        update.epoch = generation.epoch
        update.counter = generation.counter
        update.whole = true
        update.digest = .init(digest.bytes)
        for (section, entries) in sections.sorted(by: { $0.key < $1.key }) {
            for (key, payload) in entries.sorted(by: { $0.key < $1.key }) {
                update.changes.append(
                    Change.with {
                        $0.section = section
                        $0.key = key
                        $0.payload = .init(payload)
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
    public init(kept bytes: [UInt8]) throws(Fault) {
        let update: DocumentUpdate
        do { update = try DocumentUpdate(serializedBytes: bytes) } catch {
            throw Fault(.storage, "the kept document is damaged", because: error)
        }
        self.init()
        _ = try apply(update)
    }

    /// One entry's message, or nil when the document does not have it.
    public func entry<Payload: SwiftProtobuf.Message>(_: Payload.Type, _ section: String, _ key: String) throws(Fault) -> Payload? {
        guard let payload = sections[section]?[key] else { return nil }
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

    /// Keys of a section that the owner was sent.
    public func keys(of section: String) -> Set<String> { Set((sent[section] ?? [:]).keys) }
    public var sectionNames: Set<String> { Set(sent.keys) }

    /// The update that brings the named entries to the given payloads (nil: no longer there), or
    /// nil when the owner already has all of that. The first update of a session is the whole.
    public mutating func update(_ entries: [(section: String, key: String, payload: [UInt8]?)]) -> DocumentUpdate? {
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
        if begun, update.changes.isEmpty { return nil }
        begun = true
        generation.counter += 1
        update.epoch = generation.epoch
        update.counter = generation.counter
        update.digest = .init(digest.bytes)
        return update
    }
}
