//  A section that many owners are sent: kept once for all of them, with its changes in order, so that
//  each owner is told what changed since it was told last and nothing is kept for each but a number.

import Model

/// What an owner was sent of a shared section.
public struct SectionMark: Sendable, Hashable {
    var version: UInt64
    var digest: DocumentDigest
}

/// What brings an owner from one mark of a section to another.
public struct SectionChanges: Sendable {
    var changes: [Change]
    var before: DocumentDigest
    var after: DocumentDigest
}

public struct SharedSection: Sendable {
    private struct Entry {
        var change: Change
        var hash: EntryHash
    }

    public let name: String
    private var entries: [String: Entry] = [:]
    private var digest = DocumentDigest()
    /// The keys that changed, in order; the first is the change from version `forgotten` to the next.
    private var log: [String] = []
    private var forgotten: UInt64 = 0

    public init(name: String) { self.name = name }

    public var keys: some Collection<String> { entries.keys }
    public func has(_ key: String) -> Bool { entries[key] != nil }
    private var version: UInt64 { forgotten + UInt64(log.count) }
    /// How many changes it remembers.
    public var changeCount: Int { log.count }

    /// Takes an entry; nil: it is gone.
    public mutating func set(_ key: String, _ payload: [UInt8]?) {
        let old = entries[key]
        let hash = payload.map { EntryHash(section: name, key: key, payload: $0) }
        guard old?.hash != hash else { return }
        if let old { digest.remove(old.hash) }
        if let payload, let hash {
            digest.add(hash)
            entries[key] = Entry(change: change(key, payload), hash: hash)
        } else {
            entries[key] = nil
        }
        log.append(key)
    }

    /// Takes all entries anew.
    public mutating func replace(with whole: [String: [UInt8]]) {
        for key in entries.keys.filter({ whole[$0] == nil }) { set(key, nil) }
        for (key, payload) in whole { set(key, payload) }
    }

    /// Where an owner stands that is sent all until now.
    public var mark: SectionMark { SectionMark(version: version, digest: digest) }

    /// What an owner is to be sent that stands at a mark (nil: that has nothing of it).
    ///
    /// - Throws: `.conflict` when what changed since then is forgotten: the owner begins anew.
    public func changes(since mark: SectionMark?) throws(Fault) -> SectionChanges {
        guard let mark else {
            // In the order of their keys an owner appends them.
            return SectionChanges(
                changes: entries.sorted { $0.key < $1.key }.map(\.value.change), before: DocumentDigest(), after: digest)
        }
        return SectionChanges(
            changes: try changed(since: mark).map { entries[$0]?.change ?? change($0, []) }, before: mark.digest, after: digest)
    }

    /// What takes the section from an owner that stands at a mark.
    public func removal(since mark: SectionMark) throws(Fault) -> SectionChanges {
        // An owner that never had one of them takes its going for no change.
        let all = Set(entries.keys).union(try changed(since: mark))
        return SectionChanges(changes: all.map { change($0, []) }, before: mark.digest, after: DocumentDigest())
    }

    /// Forgets changes that every one of some marks has seen, and the older ones past a number.
    public mutating func forget(seenBy marks: some Sequence<SectionMark>, keeping changesMax: Int) {
        let seen = marks.map(\.version).min() ?? version
        let old = version - min(version, UInt64(changesMax))
        let count = Int(max(seen, old, forgotten) - forgotten)
        log.removeFirst(count)
        forgotten += UInt64(count)
    }

    private func changed(since mark: SectionMark) throws(Fault) -> Set<String> {
        guard mark.version >= forgotten else {
            throw Fault(.conflict, "an owner is too far behind the changes of \(name)")
        }
        return Set(log.suffix(Int(version - mark.version)))
    }

    private func change(_ key: String, _ payload: [UInt8]) -> Change {
        Change.with {
            $0.section = name
            $0.key = key
            $0.payload = .init(payload)
        }
    }
}
