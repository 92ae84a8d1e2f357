//  Domain names as bytes (RFC 1035 sections 3.1 and 4.1.4): read with compression, written without.

import Model

/// A domain name. Two names are equal whatever the case of their letters (RFC 4343).
struct DNSName: Sendable, Hashable {
    /// The labels as they were sent, without the empty one of the root.
    let labels: [[UInt8]]

    static let lengthMax = 255
    static let labelLengthMax = 63

    private init(labels: [[UInt8]]) { self.labels = labels }

    static let root = DNSName(labels: [])

    /// Reads dotted text, with or without the last dot. No escapes: it is for our own names.
    init?(_ text: String) {
        let trimmed = text.hasSuffix(".") ? text.dropLast() : text[...]
        let labels = trimmed.isEmpty ? [] : trimmed.split(separator: ".", omittingEmptySubsequences: false).map { Array($0.utf8) }
        guard labels.allSatisfy({ (1...DNSName.labelLengthMax).contains($0.count) }),
            labels.reduce(1, { $0 + $1.count + 1 }) <= DNSName.lengthMax
        else { return nil }
        self.labels = labels
    }

    /// Reads a name in a message, following pointers.
    ///
    /// - Parameter position: Where it begins; on return, the first byte after it.
    /// - Returns: Nil when it leaves the message, is longer than a name may be, or a pointer does not
    ///   point further back than the last one, which is what ends every loop.
    init?(reading message: [UInt8], at position: inout Int) {
        var labels: [[UInt8]] = []
        var length = 1
        var cursor = position
        var end: Int?
        var earliest = position
        while true {
            guard message.indices.contains(cursor) else { return nil }
            let first = message[cursor]
            switch first >> 6 {
            case 0:
                if first == 0 {
                    position = end ?? cursor + 1
                    self.labels = labels
                    return
                }
                let next = cursor + 1 + Int(first)
                length += 1 + Int(first)
                guard next <= message.count, length <= DNSName.lengthMax else { return nil }
                labels.append(Array(message[cursor + 1..<next]))
                cursor = next
            case 3:
                guard message.indices.contains(cursor + 1) else { return nil }
                let target = Int(first & 0x3f) << 8 | Int(message[cursor + 1])
                guard target < earliest else { return nil }
                end = end ?? cursor + 2
                earliest = target
                cursor = target
            default: return nil
            }
        }
    }

    /// The uncompressed wire form.
    var bytes: [UInt8] { labels.flatMap { [UInt8(truncatingIfNeeded: $0.count)] + $0 } + [0] }

    /// Dotted lower-case text without the last dot; what is not a letter, digit, hyphen or underscore
    /// is shown as `\DDD`, so that no two names share a text.
    var text: String {
        labels.map { label in
            label.map { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"): String(UnicodeScalar(byte | 0x20))
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                    UInt8(ascii: "_"):
                    String(UnicodeScalar(byte))
                default: "\\" + String(1000 + Int(byte)).dropFirst()
                }
            }.joined()
        }.joined(separator: ".")
    }

    static func == (left: DNSName, right: DNSName) -> Bool { left.folded == right.folded }
    func hash(into hasher: inout Hasher) { hasher.combine(folded) }

    private var folded: [[UInt8]] {
        labels.map { $0.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 } }
    }
}

extension String {
    /// Whether this name, as `DNSName.text` spells it, is `zone` or lies under it.
    func isUnder(zone: String) -> Bool { self == zone || hasSuffix("." + zone) }
}
