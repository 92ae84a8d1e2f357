//  Percent-encoding as AWS's signatures and paths have it (RFC 3986, section 2.1).

/// Percent-encoding over bytes (RFC 3986).
public enum PercentEncoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// Everything but letters, digits and `-._~` becomes `%XX`.
    ///
    /// - Parameter keepsSlashes: Whether slashes stay as they are, as in a path.
    public static func encoded(_ bytes: [UInt8], keepsSlashes: Bool = false) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count)
        for byte in bytes {
            if isUnreserved(byte) || keepsSlashes && byte == UInt8(ascii: "/") {
                text.append(byte)
            } else {
                text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Whether encoding changes nothing.
    static func isPlain(_ bytes: some Sequence<UInt8>) -> Bool { bytes.allSatisfy(isUnreserved) }

    /// RFC 3986, section 2.3.
    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// A `%` that two hex digits do not follow stands for itself.
    public static func decoded(_ text: some Sequence<UInt8>, plusIsSpace: Bool) -> [UInt8] {
        let text = Array(text)
        guard text.contains(where: { $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "+") }) else { return text }
        var bytes: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "+"), plusIsSpace {
                bytes.append(0x20)
            } else if byte == UInt8(ascii: "%"), let high = rest.first.flatMap(nibble),
                let low = rest.dropFirst().first.flatMap(nibble)
            {
                bytes.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
