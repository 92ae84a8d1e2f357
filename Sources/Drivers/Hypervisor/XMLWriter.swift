//  Just enough XML to write a domain and to read Karri's own element back from libvirt. Every text
//  and attribute goes through one escape; a character that XML cannot carry is refused.

import Model

/// Writes elements, indented, with attributes in the order of their names.
struct XMLWriter {
    private(set) var document = ""
    private var depth = 0

    mutating func element(
        _ name: String, _ attributes: [String: String] = [:], _ body: (inout XMLWriter) throws(Fault) -> Void
    ) throws(Fault) {
        try open(name, attributes, "")
        document += "\n"
        depth += 1
        try body(&self)
        depth -= 1
        document += indentation + "</\(name)>\n"
    }

    mutating func element(_ name: String, _ attributes: [String: String] = [:]) throws(Fault) {
        try open(name, attributes, "/")
        document += "\n"
    }

    mutating func text(_ name: String, _ content: String) throws(Fault) { try text(name, [:], content) }

    mutating func text(_ name: String, _ attributes: [String: String], _ content: String) throws(Fault) {
        try open(name, attributes, "")
        document += try Self.escape(content) + "</\(name)>\n"
    }

    private var indentation: String { String(repeating: "  ", count: depth) }

    private mutating func open(_ name: String, _ attributes: [String: String], _ end: String) throws(Fault) {
        document += indentation + "<" + name
        for (key, value) in attributes.sorted(by: { $0.key < $1.key }) { document += " \(key)='\(try Self.escape(value))'" }
        document += end + ">"
    }

    /// The text as it stands in an element or in an attribute of either quote.
    ///
    /// - Throws: `Fault.invalidParameter` for a character that XML 1.0 has no way to write (section 2.2).
    static func escape(_ text: String) throws(Fault) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "'": escaped += "&apos;"
            case "\"": escaped += "&quot;"
            // A reader turns bare ones in an attribute into spaces (section 3.3.3).
            case "\t", "\n", "\r": escaped += "&#\(scalar.value);"
            case "\u{0}"..<"\u{20}", "\u{fffe}", "\u{ffff}":
                throw Fault(.invalidParameter, "text holds the character \(scalar.value), which XML cannot carry")
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// Reads elements' names and attributes, one start tag after the other, and nothing else.
struct XMLTags: Sequence, IteratorProtocol {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = Substring(text).utf8 }

    /// The next start or empty tag; nil at the end, and at anything that is not well-formed.
    mutating func next() -> (name: String, attributes: [String: String])? {
        while let start = rest.firstIndex(of: UInt8(ascii: "<")) {
            rest = rest[start...].dropFirst()
            guard let first = rest.first else { return nil }
            if first == UInt8(ascii: "/") || first == UInt8(ascii: "!") || first == UInt8(ascii: "?") { continue }
            guard let name = takeName(), let attributes = takeAttributes() else {
                rest = rest[rest.endIndex...]
                return nil
            }
            return (name, attributes)
        }
        return nil
    }

    private mutating func takeName() -> String? {
        let name = rest.prefix { !Self.endsName($0) }
        rest = rest[name.endIndex...]
        return name.isEmpty ? nil : String(Substring(name))
    }

    private mutating func takeAttributes() -> [String: String]? {
        var attributes: [String: String] = [:]
        while true {
            skipSpace()
            guard let byte = rest.first else { return nil }
            if byte == UInt8(ascii: ">") || byte == UInt8(ascii: "/") { return attributes }
            guard let name = takeName() else { return nil }
            skipSpace()
            guard rest.first == UInt8(ascii: "=") else { return nil }
            rest = rest.dropFirst()
            skipSpace()
            guard let quote = rest.first, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { return nil }
            let content = rest.dropFirst()
            guard let end = content.firstIndex(of: quote), let value = Self.unescape(Substring(content[..<end])) else { return nil }
            attributes[name] = value
            rest = content[end...].dropFirst()
        }
    }

    private mutating func skipSpace() {
        rest = rest.drop { $0 == 32 || (9...13).contains($0) }
    }

    private static func endsName(_ byte: UInt8) -> Bool {
        byte <= 32 || byte == UInt8(ascii: "=") || byte == UInt8(ascii: ">") || byte == UInt8(ascii: "/")
            || byte == UInt8(ascii: "<") || byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"")
    }

    /// Nil for an entity that XML does not predefine.
    static func unescape(_ text: Substring) -> String? {
        var plain = ""
        var rest = text
        while let start = rest.firstIndex(of: "&") {
            plain += rest[..<start]
            let entity = rest[start...].dropFirst()
            guard let end = entity.firstIndex(of: ";"), let scalar = scalar(of: entity[..<end]) else { return nil }
            plain.unicodeScalars.append(scalar)
            rest = entity[end...].dropFirst()
        }
        return plain + rest
    }

    private static func scalar(of entity: Substring) -> Unicode.Scalar? {
        switch entity {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "apos": return "'"
        case "quot": return "\""
        default:
            guard entity.first == "#" else { return nil }
            let digits = entity.dropFirst()
            let value = digits.first == "x" ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits, radix: 10)
            return value.flatMap(Unicode.Scalar.init)
        }
    }
}

extension DomainXML {
    /// The metadata in Karri's element, as libvirt gives it back; nil if there is none.
    static func metadata(inElement text: String) -> [String: String]? {
        var entries: [String: String]?
        for (name, attributes) in XMLTags(text) {
            switch name.split(separator: ":").last {
            case "machine": entries = entries ?? [:]
            case "entry":
                guard let key = attributes["name"], let value = attributes["value"] else { return nil }
                entries?[key] = value
            default: return nil
            }
        }
        return entries
    }
}
