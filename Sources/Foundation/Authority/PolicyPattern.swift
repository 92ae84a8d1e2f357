//  Patterns of policies, compiled once: `*`, `?` and `${variables}` in actions, resources and
//  condition values. Matching is a single pass with one point to return to, so its cost is bounded
//  by the pattern's length times the text's.

/// A compiled pattern over UTF-8 bytes.
struct PolicyPattern: Sendable, Hashable {
    /// How a pattern's text is to be read.
    struct Reading: Sendable, Hashable {
        /// `*` and `?` are wildcards.
        var wildcards: Bool
        /// `${…}` names a condition key (policies of version 2012-10-17).
        var variables: Bool
        /// Both sides are compared in lower case.
        var ignoringCase = false
    }

    private enum Piece: Sendable, Hashable {
        case literal([UInt8])
        case anyRun
        case anyOne
        /// A condition key in lower case and what stands in for it where it is absent.
        case variable(String, fallback: String?)
    }

    private enum Shape: Sendable, Hashable {
        case everything
        case exactly([UInt8])
        case beginning([UInt8])
        case units([UInt16])
        case pieces([Piece])
    }

    /// Units of a general pattern: bytes, and these two.
    private static let anyRunUnit: UInt16 = 256
    private static let anyOneUnit: UInt16 = 257

    private let shape: Shape
    private let ignoringCase: Bool

    /// Compiles `text`; nil where a variable is not closed or has a bad default.
    init?(_ text: String, _ reading: Reading) {
        guard let pieces = PolicyPattern.pieces(of: reading.ignoringCase ? text.lowercased() : text, reading) else { return nil }
        ignoringCase = reading.ignoringCase
        let isVariable = pieces.contains { if case .variable = $0 { true } else { false } }
        shape = isVariable ? .pieces(pieces) : PolicyPattern.shape(of: pieces)
    }

    /// What every text that matches begins with.
    var beginning: [UInt8] {
        switch shape {
        case .everything: []
        case .exactly(let bytes), .beginning(let bytes): bytes
        case .units(let units): units.prefix { $0 < PolicyPattern.anyRunUnit }.map { UInt8(truncatingIfNeeded: $0) }
        case .pieces(let pieces): if case .literal(let bytes)? = pieces.first { bytes } else { [] }
        }
    }

    /// Whether one text alone matches.
    var isWhole: Bool { if case .exactly = shape { true } else { false } }

    /// Whether `text` (already in lower case where `ignoringCase`) matches; nil where a variable
    /// without default is absent from the context.
    func matches(_ text: [UInt8], _ context: PolicyContext) -> Bool? {
        guard case .pieces(let pieces) = shape else { return PolicyPattern.matches(text, shape) }
        var resolved: [Piece] = []
        for piece in pieces {
            guard case .variable(let key, let fallback) = piece else {
                resolved.append(piece)
                continue
            }
            // A list has no single text to put in the pattern.
            let values = context.value(key)?.texts ?? []
            guard let value = values.count == 1 ? values.first : values.isEmpty ? fallback : nil else { return nil }
            resolved.append(.literal(Array((ignoringCase ? value.lowercased() : value).utf8)))
        }
        return PolicyPattern.matches(text, PolicyPattern.shape(of: resolved))
    }

    private static func matches(_ text: [UInt8], _ shape: Shape) -> Bool {
        switch shape {
        case .everything: true
        case .exactly(let bytes): text == bytes
        case .beginning(let bytes): text.starts(with: bytes)
        case .units(let units): matches(text, units)
        case .pieces: false
        }
    }

    private static func shape(of pieces: [Piece]) -> Shape {
        var units: [UInt16] = []
        for piece in pieces {
            switch piece {
            case .literal(let bytes): units.append(contentsOf: bytes.map(UInt16.init))
            case .anyOne: units.append(anyOneUnit)
            case .anyRun: if units.last != anyRunUnit { units.append(anyRunUnit) }
            case .variable: break
            }
        }
        guard let wildcard = units.firstIndex(where: { $0 > 255 }) else {
            return .exactly(units.map { UInt8(truncatingIfNeeded: $0) })
        }
        guard wildcard == units.count - 1, units[wildcard] == anyRunUnit else { return .units(units) }
        let beginning = units[..<wildcard].map { UInt8(truncatingIfNeeded: $0) }
        return beginning.isEmpty ? .everything : .beginning(beginning)
    }

    /// Two-pointer matching that returns only to the last run.
    private static func matches(_ text: [UInt8], _ units: [UInt16]) -> Bool {
        var position = 0
        var unit = 0
        var returnTo: (unit: Int, position: Int)?
        while position < text.count {
            if unit < units.count, units[unit] == anyRunUnit {
                unit += 1
                returnTo = (unit, position)
            } else if unit < units.count, units[unit] == UInt16(text[position]) {
                unit += 1
                position += 1
            } else if unit < units.count, units[unit] == anyOneUnit, !isContinuation(text[position]) {
                unit += 1
                position += 1
                while position < text.count, isContinuation(text[position]) { position += 1 }
            } else if let last = returnTo {
                unit = last.unit
                position = last.position + 1
                returnTo = (unit, position)
            } else {
                return false
            }
        }
        while unit < units.count, units[unit] == anyRunUnit { unit += 1 }
        return unit == units.count
    }

    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xc0 == 0x80 }

    private static func pieces(of text: String, _ reading: Reading) -> [Piece]? {
        var pieces: [Piece] = []
        var literal: [UInt8] = []
        var rest = Substring(text).utf8
        func flush() {
            if !literal.isEmpty { pieces.append(.literal(literal)) }
            literal = []
        }
        while let byte = rest.popFirst() {
            if reading.wildcards, byte == UInt8(ascii: "*") || byte == UInt8(ascii: "?") {
                flush()
                pieces.append(byte == UInt8(ascii: "*") ? .anyRun : .anyOne)
            } else if reading.variables, byte == UInt8(ascii: "$"), rest.first == UInt8(ascii: "{") {
                guard let end = rest.firstIndex(of: UInt8(ascii: "}")) else { return nil }
                let inside = String(Substring(rest[rest.index(after: rest.startIndex)..<end]))
                rest = rest[rest.index(after: end)...]
                switch inside {
                // How IAM writes the three characters that would otherwise mean something.
                case "*", "?", "$": literal.append(contentsOf: inside.utf8)
                default:
                    guard let variable = variable(inside) else { return nil }
                    flush()
                    pieces.append(variable)
                }
            } else {
                literal.append(byte)
            }
        }
        flush()
        return pieces
    }

    /// Reads `aws:username` or `aws:username, 'default'`.
    private static func variable(_ text: String) -> Piece? {
        let parts = text.split(separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
        guard let key = parts.first.map({ trimmed($0) }), !key.isEmpty, !key.utf8.contains(UInt8(ascii: " ")) else { return nil }
        guard parts.count == 2 else { return .variable(key.lowercased(), fallback: nil) }
        let fallback = trimmed(parts[1])
        guard fallback.utf8.count >= 2, fallback.hasPrefix("'"), fallback.hasSuffix("'") else { return nil }
        return .variable(key.lowercased(), fallback: String(fallback.dropFirst().dropLast()))
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }
}
