//  Ranges of IP addresses as conditions state them, of both versions.

import Model

/// An IPv4 or IPv6 prefix (RFC 4632, RFC 4291).
struct AddressRange: Sendable, Hashable {
    private let bytes: [UInt8]
    private let length: Int

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or a single address. Host bits are ignored.
    init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first, let bytes = AddressRange.addressBytes(address) else { return nil }
        var length = bytes.count * 8
        if parts.count == 2 {
            guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let stated = Int(parts[1]), stated <= length
            else { return nil }
            length = stated
        }
        self.bytes = bytes
        self.length = length
    }

    /// Whether so many addresses lie in the range that it confines nobody (Amazon S3 User Guide, "The meaning of public").
    var isPublic: Bool { length < (bytes.count == 4 ? 8 : 32) }

    /// Whether the address `text` lies in the range. An IPv4 address in IPv6's clothes
    /// (`::ffff:10.0.0.1`) counts as IPv4.
    func contains(_ text: String) -> Bool {
        guard var address = AddressRange.addressBytes(text[...]) else { return false }
        if address.count == 16, address.starts(with: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]), bytes.count == 4 {
            address = Array(address.suffix(4))
        }
        guard address.count == bytes.count else { return false }
        var left = length
        for (byte, wanted) in zip(address, bytes) where left > 0 {
            let mask: UInt8 = left >= 8 ? 255 : ~(255 >> UInt8(left))
            guard byte & mask == wanted & mask else { return false }
            left -= 8
        }
        return true
    }

    /// Four or sixteen bytes in network order.
    static func addressBytes(_ text: Substring) -> [UInt8]? {
        if let address = IPv4Address(text) { return address.bytes }
        guard text.utf8.count <= 45 else { return nil }
        // At most one "::" stands for the zeros that are missing.
        let halves = text.split(separator: "::", maxSplits: 2, omittingEmptySubsequences: false)
        switch halves.count {
        case 1:
            guard let all = groups(halves[0], mayBeEmpty: false, isEnd: true), all.count == 16 else { return nil }
            return all
        case 2:
            guard let front = groups(halves[0], mayBeEmpty: true, isEnd: false),
                let back = groups(halves[1], mayBeEmpty: true, isEnd: true),
                front.count + back.count <= 14
            else { return nil }
            return front + [UInt8](repeating: 0, count: 16 - front.count - back.count) + back
        default: return nil
        }
    }

    /// Groups of four hex digits; the last of an address may be an IPv4 address.
    private static func groups(_ text: Substring, mayBeEmpty: Bool, isEnd: Bool) -> [UInt8]? {
        if text.isEmpty { return mayBeEmpty ? [] : nil }
        var bytes: [UInt8] = []
        let groups = text.split(separator: ":", omittingEmptySubsequences: false)
        for (place, group) in groups.enumerated() {
            if isEnd, place == groups.count - 1, let embedded = IPv4Address(group) {
                bytes.append(contentsOf: embedded.bytes)
            } else {
                guard (1...4).contains(group.utf8.count), group.utf8.first != UInt8(ascii: "+"),
                    group.utf8.first != UInt8(ascii: "-"), let number = UInt16(group, radix: 16)
                else { return nil }
                bytes.append(UInt8(number >> 8))
                bytes.append(UInt8(number & 255))
            }
        }
        return bytes
    }
}
