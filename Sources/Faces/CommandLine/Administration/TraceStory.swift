//  One thing's story, from all controllers in order: the lines that they told, what was done to it
//  by whom, and what is being waited for now.

import Database
import Fabric
import Model
import Store

/// The story of one thing.
struct TraceStory {
    /// How a person names a thing.
    enum Name: Hashable {
        /// By an id that says its kind: `i-0…`, `vol-0…`, `instance-…`.
        case exactly(AnyID)
        /// By bare hex digits.
        case bits(UInt64)

        private static let prefixes: [(String, Kind)] = [
            ("i", .instance), ("ami", .image), ("aki", .image), ("ari", .image), ("vol", .volume), ("eni", .port), ("sg", .group),
            ("sgr", .rule), ("key", .keyPair), ("vpc", .router), ("subnet", .subnet),
        ]

        /// Nil for what is no id.
        init?(_ text: String) {
            if let id = ID<Instance>(hex: text) {
                self = .bits(id.bits)
                return
            }
            guard let hyphen = text.lastIndex(of: "-") else { return nil }
            let (prefix, digits) = (text[..<hyphen], text[text.index(after: hyphen)...])
            if let kind = Name.prefixes.first(where: { $0.0 == prefix })?.1, digits.count == 17, digits.first == "0",
                let id = ID<Instance>(hex: digits.dropFirst())
            {
                self = .exactly(AnyID(kind: kind, bits: id.bits))
            } else if let kind = Kind(rawValue: String(prefix)), let id = ID<Instance>(hex: digits) {
                self = .exactly(AnyID(kind: kind, bits: id.bits))
            } else {
                return nil
            }
        }
    }

    private(set) var lines: [TraceLine] = []

    /// - Parameter name: An id, or a host's name.
    /// - Throws: `.malformedId`; `.notFound` where nothing is known.
    init(of name: String, _ tx: Reading) throws(Fault) {
        let thing: AnyID
        switch Name(name) {
        case .exactly(let id)?: thing = id
        case .bits(let bits)?:
            guard let found = try tx.thing(withStory: bits) else { throw TraceStory.unknown(name) }
            thing = found
        case nil:
            guard let host = try tx.host(named: name) else {
                throw Fault(
                    .malformedId,
                    "\(name) is neither an id (i-0…, vol-0…, ami-0…, eni-0…, sg-0…, or 16 hex digits) nor a host's name")
            }
            thing = host.id.erased
        }
        try tell(thing, tx, as: nil)
        if let instance = thing.typed(Instance.self) {
            for attachment in try tx.attachments(of: instance) {
                try tell(attachment.volume.erased, tx, as: "\(attachment.device) \(attachment.volume.shown)")
            }
            if let row = try tx.find(Instance.table, instance) { try tellPresent(row, tx) }
        }
        guard !lines.isEmpty else { throw TraceStory.unknown(name) }
        lines = TraceStory.ordered(lines)
    }

    private static func unknown(_ name: String) -> Fault { Fault(.notFound, "nothing is known of \(name)") }

    /// By time; lines of one moment stay as they were told.
    static func ordered(_ lines: [TraceLine]) -> [TraceLine] {
        lines.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
    }

    private mutating func tell(_ thing: AnyID, _ tx: Reading, as part: String?) throws(Fault) {
        let prefix = part.map { "\($0): " } ?? ""
        for line in try tx.story(of: thing.kind, thing.stored) {
            add(line.at, line.source, line.request, prefix + line.text)
        }
        for operation in try tx.operations(of: thing.kind, thing.stored) {
            add(
                operation.created, "operations", operation.request,
                "\(prefix)\(operation.kind) began, asked by \(operation.principal)")
            switch operation.state {
            case .running: try tellWait(operation, prefix, tx)
            case .succeeded:
                add(operation.ended ?? operation.created, "operations", operation.request, "\(prefix)\(operation.kind) succeeded")
            case .failed:
                add(
                    operation.ended ?? operation.created, "operations", operation.request,
                    "\(prefix)\(operation.kind) failed at \(operation.step): \(operation.fault ?? "no reason was given")")
            }
        }
    }

    /// A running operation's last line says what it waits for: that is the answer to "why does it hang".
    private mutating func tellWait(_ operation: Operation, _ prefix: String, _ tx: Reading) throws(Fault) {
        var awaited: [String] = []
        for row in try tx.awaited(by: operation.id) {
            guard row.table == "holding", let holding = try tx.find(Holding.table, row.id) else {
                awaited.append("\(row.table) \(hexDigits(UInt64(bitPattern: row.id)))")
                continue
            }
            let place = try owner(of: holding, tx)
            awaited.append(
                "\(holding.kind.rawValue) on \(place): wanted \(holding.wanted.rawValue), is \(holding.observed.rawValue)\(holding.fault.map { " (\($0))" } ?? "")"
            )
        }
        let what = awaited.isEmpty ? "its turn" : awaited.joined(separator: "; ")
        let until = operation.deadline.map { ", until \($0.iso8601)" } ?? ""
        add(
            max(operation.created, operation.due ?? operation.created), "operations", operation.request,
            "\(prefix)\(operation.kind) is at \(operation.step) (attempt \(operation.attempt)), waiting for \(what)\(until)")
    }

    private func owner(of holding: Holding, _ tx: Reading) throws(Fault) -> String {
        if let host = try holding.host.flatMap({ host throws(Fault) in try tx.find(Host.table, host) }) {
            return "host \(host.name)"
        }
        if let pool = try holding.pool.flatMap({ pool throws(Fault) in try tx.find(Pool.table, pool) }) {
            return "pool \(pool.name)"
        }
        return "nobody"
    }

    private mutating func tellPresent(_ instance: Instance, _ tx: Reading) throws(Fault) {
        let holding = try tx.holding(.machine, instance.id.stored)
        let place = try holding.map { holding throws(Fault) in " on \(try owner(of: holding, tx))" } ?? ""
        let fault = instance.fault.map { ", because: \($0)" } ?? ""
        add(
            max(instance.stateChanged, lines.map { Instant(microseconds: $0.at) }.max() ?? instance.stateChanged), "cloud", nil,
            "is \(instance.phase.rawValue)\(place) (wanted \(instance.desired.rawValue), power \(instance.power.rawValue))\(fault)")
    }

    private mutating func add(_ at: Instant, _ source: String, _ request: String?, _ text: String) {
        lines.append(
            TraceLine.with {
                $0.at = at.microseconds
                $0.source = source
                $0.request = request ?? ""
                $0.text = text
            })
    }
}
