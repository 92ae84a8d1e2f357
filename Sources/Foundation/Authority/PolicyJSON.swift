//  A strict JSON reader for policy documents. A general decoder would let one of two equal keys
//  win silently and give numbers back as floating point; in a document that grants rights neither
//  is acceptable, so this one refuses repeated keys, keeps a number's text, and bounds depth.

/// A JSON value (RFC 8259) with the members of objects in their order.
package enum PolicyJSON: Sendable, Hashable {
    case object([Member])
    case array([PolicyJSON])
    case string(String)
    /// The number as it was written.
    case number(String)
    case bool(Bool)
    case null

    package struct Member: Sendable, Hashable {
        package var key: String
        package var value: PolicyJSON
    }

    /// Reads a whole text; nil where it is not JSON, nests deeper than 16 levels, or repeats a key.
    package init?(_ text: [UInt8]) {
        var reader = PolicyJSONReader(bytes: text)
        guard let value = reader.value(depth: 0), reader.isAtEnd() else { return nil }
        self = value
    }
}

private struct PolicyJSONReader {
    static let depthMax = 16

    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
        while let next, next == 0x20 || next == 0x09 || next == 0x0a || next == 0x0d { position += 1 }
    }

    mutating func isAtEnd() -> Bool {
        skipSpace()
        return position == bytes.count
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let next, UInt32(next) == character.value else { return false }
        position += 1
        return true
    }

    mutating func take(word: StaticString) -> Bool {
        let end = position + word.utf8CodeUnitCount
        let word = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard end <= bytes.count, bytes[position..<end].elementsEqual(word) else { return false }
        position = end
        return true
    }

    mutating func value(depth: Int) -> PolicyJSON? {
        guard depth < PolicyJSONReader.depthMax else { return nil }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return object(depth: depth)
        case UInt8(ascii: "["): return array(depth: depth)
        case UInt8(ascii: "\""): return string().map(PolicyJSON.string)
        case UInt8(ascii: "t"): return take(word: "true") ? .bool(true) : nil
        case UInt8(ascii: "f"): return take(word: "false") ? .bool(false) : nil
        case UInt8(ascii: "n"): return take(word: "null") ? .null : nil
        default: return number()
        }
    }

    mutating func object(depth: Int) -> PolicyJSON? {
        guard take("{") else { return nil }
        var members: [PolicyJSON.Member] = []
        var keys: Set<String> = []
        skipSpace()
        if take("}") { return .object([]) }
        while true {
            skipSpace()
            guard let key = string(), keys.insert(key).inserted else { return nil }
            skipSpace()
            guard take(":"), let value = value(depth: depth + 1) else { return nil }
            members.append(.init(key: key, value: value))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { return nil }
        }
    }

    mutating func array(depth: Int) -> PolicyJSON? {
        guard take("[") else { return nil }
        var elements: [PolicyJSON] = []
        skipSpace()
        if take("]") { return .array([]) }
        while true {
            guard let value = value(depth: depth + 1) else { return nil }
            elements.append(value)
            skipSpace()
            if take("]") { return .array(elements) }
            guard take(",") else { return nil }
        }
    }

    mutating func number() -> PolicyJSON? {
        let start = position
        _ = take("-")
        if !take("0") {
            guard digits() else { return nil }
        }
        if take(".") {
            guard digits() else { return nil }
        }
        if take("e") || take("E") {
            _ = take("+") || take("-")
            guard digits() else { return nil }
        }
        return .number(String(decoding: bytes[start..<position], as: UTF8.self))
    }

    mutating func digits() -> Bool {
        let start = position
        while let next, (0x30...0x39).contains(next) { position += 1 }
        return position > start
    }

    mutating func string() -> String? {
        guard take("\"") else { return nil }
        var text: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let scalar = escape() else { return nil }
                text.append(contentsOf: Array(String(scalar).utf8))
            case 0..<0x20: return nil
            default: text.append(byte)
            }
        }
        return nil
    }

    mutating func escape() -> Unicode.Scalar? {
        guard let byte = next else { return nil }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            guard let first = fourHexDigits() else { return nil }
            guard (0xd800..<0xdc00).contains(first) else { return Unicode.Scalar(first) }
            guard take(word: "\\u"), let second = fourHexDigits(), (0xdc00..<0xe000).contains(second) else { return nil }
            return Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        default: return nil
        }
    }

    mutating func fourHexDigits() -> UInt32? {
        guard bytes.count - position >= 4 else { return nil }
        let digits = bytes[position..<position + 4]
        position += 4
        guard !digits.contains(UInt8(ascii: "+")), !digits.contains(UInt8(ascii: "-")) else { return nil }
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
