//  Addresses of Ethernet and of IPv4, with their texts as the RFCs spell them.

/// An IPv4 address (RFC 791), in host byte order.
public struct IPv4Address: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    public var bits: UInt32

    public init(bits: UInt32) { self.bits = bits }
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        bits = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    /// Reads dotted decimal with exactly four parts and no leading zeros.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard let byte = decimal(part, below: 256) else { return nil }
            bits = bits << 8 | UInt32(byte)
        }
        self.bits = bits
    }

    /// The four bytes in network order.
    public var bytes: [UInt8] { [UInt8(bits >> 24), UInt8(bits >> 16 & 255), UInt8(bits >> 8 & 255), UInt8(bits & 255)] }

    /// Whether it is of the range that never leaves a host (RFC 1122, section 3.2.1.3).
    public var isLoopback: Bool { bits >> 24 == 127 }

    public var description: String { bytes.map(String.init).joined(separator: ".") }

    public static func < (left: IPv4Address, right: IPv4Address) -> Bool { left.bits < right.bits }

    /// The address `offset` places on, or nil beyond the end of the address space.
    public func advanced(by offset: Int64) -> IPv4Address? {
        UInt32(exactly: Int64(bits) + offset).map(IPv4Address.init(bits:))
    }

    public init(from decoder: any Decoder) throws { self = try decodeText(from: decoder) { IPv4Address($0) } }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, to: encoder) }
}

/// A range of IPv4 addresses in CIDR notation (RFC 4632). The host bits are zero.
public struct IPv4Prefix: Sendable, Hashable, Codable, Comparable, CustomStringConvertible {
    public let address: IPv4Address
    public let length: Int

    /// The prefix that holds `address`; bits beyond the length are cleared. The length is 0...32.
    public init?(containing address: IPv4Address, length: Int) {
        guard (0...32).contains(length) else { return nil }
        self.address = IPv4Address(bits: address.bits & IPv4Prefix.mask(length))
        self.length = length
    }

    /// Reads `a.b.c.d/n`. Host bits that are set are refused unless `lenient`, which clears them.
    public init?(_ text: some StringProtocol, lenient: Bool = false) {
        let parts = text.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPv4Address(parts[0]), let length = decimal(parts[1], below: 33),
            let prefix = IPv4Prefix(containing: address, length: length), lenient || prefix.address == address
        else { return nil }
        self = prefix
    }

    /// A prefix of one address.
    public init(host address: IPv4Address) {
        self.address = address
        length = 32
    }

    public static let everything = IPv4Prefix(containing: IPv4Address(bits: 0), length: 0) ?? IPv4Prefix(host: IPv4Address(bits: 0))

    static func mask(_ length: Int) -> UInt32 { length == 0 ? 0 : UInt32.max << UInt32(32 - length) }

    public var netmask: IPv4Address { IPv4Address(bits: IPv4Prefix.mask(length)) }
    public var first: IPv4Address { address }
    public var last: IPv4Address { IPv4Address(bits: address.bits | ~IPv4Prefix.mask(length)) }
    public var size: Int64 { Int64(1) << Int64(32 - length) }

    public func contains(_ other: IPv4Address) -> Bool { other.bits & IPv4Prefix.mask(length) == address.bits }
    public func contains(_ other: IPv4Prefix) -> Bool { other.length >= length && contains(other.address) }
    public func overlaps(_ other: IPv4Prefix) -> Bool { contains(other) || other.contains(self) }

    public var description: String { "\(address)/\(length)" }

    public static func < (left: IPv4Prefix, right: IPv4Prefix) -> Bool {
        left.address == right.address ? left.length < right.length : left.address < right.address
    }

    public init(from decoder: any Decoder) throws { self = try decodeText(from: decoder) { IPv4Prefix($0) } }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, to: encoder) }
}

/// An Ethernet address (IEEE 802, EUI-48).
public struct MACAddress: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    /// The six bytes in the lower 48 bits.
    public var bits: UInt64

    public init(bits: UInt64) { self.bits = bits & 0xffff_ffff_ffff }

    /// A locally administered unicast address made of 40 bits (the first byte is 02).
    public init(local bits: UInt64) { self.bits = 0x0200_0000_0000 | bits & 0x00ff_ffff_ffff }

    /// Reads six hex bytes with colons.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", maxSplits: 6, omittingEmptySubsequences: false)
        guard parts.count == 6 else { return nil }
        var bits: UInt64 = 0
        for part in parts {
            guard part.utf8.count == 2, part.utf8.allSatisfy({ isHexDigit($0) }), let byte = UInt64(part, radix: 16) else {
                return nil
            }
            bits = bits << 8 | byte
        }
        self.bits = bits
    }

    /// The six bytes in network order.
    public var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: bits >> UInt64(40 - 8 * $0)) } }

    public var description: String { bytes.map { hexDigits(CollectionOfOne($0)) }.joined(separator: ":") }

    public static func < (left: MACAddress, right: MACAddress) -> Bool { left.bits < right.bits }

    public init(from decoder: any Decoder) throws { self = try decodeText(from: decoder) { MACAddress($0) } }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, to: encoder) }
}

/// A decimal number without sign or leading zeros, below `limit`.
private func decimal(_ text: some StringProtocol, below limit: Int) -> Int? {
    guard (1...3).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        text.utf8.count == 1 || text.utf8.first != 0x30, let number = Int(text), number < limit
    else { return nil }
    return number
}

private func decodeText<Value>(from decoder: any Decoder, _ parse: (String) -> Value?) throws -> Value {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let value = parse(text) else {
        throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a \(Value.self): \(text)"))
    }
    return value
}

private func encodeText(_ text: String, to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
}
