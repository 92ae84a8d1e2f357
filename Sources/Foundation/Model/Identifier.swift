//  Ids: 64 random bits, unique in their table and typed in Swift. A face spells them in its own
//  way (`i-0` and 16 hex digits on AWS) and decodes them without a look-up.

/// What a thing is. The raw value is the word in the store and in traces.
public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
    case account, user, accessKey, policy
    case zone, host, pool
    case instance, reservation, instanceType, keyPair
    case image, imageCopy, volume, attachment, snapshot
    case router, network, subnet, port, address, group, rule, domain
    case holding, operation
    case bucket, object, version, upload, part
}

/// A marker type for each kind, so that an instance's id cannot be passed for a volume's.
public protocol Identified {
    static var kind: Kind { get }
}

/// A typed id: 64 random bits. Two ids are ordered as the store orders them, as signed integers.
public struct ID<Thing: Identified>: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    public var bits: UInt64

    public init(bits: UInt64) { self.bits = bits }
    public init(stored: Int64) { bits = UInt64(bitPattern: stored) }

    /// The 64 bits as the store's signed BIGINT.
    public var stored: Int64 { Int64(bitPattern: bits) }

    /// Sixteen lower-case hex digits.
    public var hex: String { hexDigits(bits) }

    public var description: String { "\(Thing.kind.rawValue)-\(hex)" }

    public static func < (left: ID, right: ID) -> Bool { left.stored < right.stored }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let id = ID(hex: text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not an id"))
        }
        self = id
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }

    /// Reads exactly sixteen hex digits, of either case.
    public init?(hex: some StringProtocol) {
        guard hex.utf8.count == 16, hex.utf8.allSatisfy({ isHexDigit($0) }), let bits = UInt64(hex, radix: 16) else { return nil }
        self.bits = bits
    }

    /// The id without its type.
    public var erased: AnyID { AnyID(kind: Thing.kind, bits: bits) }
}

/// An id whose kind is a value: what traces, tags, the change feed and operations hold.
public struct AnyID: Sendable, Hashable, Codable, Comparable, CustomStringConvertible {
    public var kind: Kind
    public var bits: UInt64

    public init(kind: Kind, bits: UInt64) {
        self.kind = kind
        self.bits = bits
    }

    public init(kind: Kind, stored: Int64) { self.init(kind: kind, bits: UInt64(bitPattern: stored)) }

    public var stored: Int64 { Int64(bitPattern: bits) }
    public var description: String { "\(kind.rawValue)-\(hexDigits(bits))" }

    /// The typed id, if the kind is right.
    public func typed<Thing>(_: Thing.Type = Thing.self) -> ID<Thing>? {
        kind == Thing.kind ? ID(bits: bits) : nil
    }

    public static func < (left: AnyID, right: AnyID) -> Bool {
        left.kind == right.kind ? left.stored < right.stored : left.kind.rawValue < right.kind.rawValue
    }
}

/// Sixteen lower-case hex digits of `bits`.
public func hexDigits(_ bits: UInt64) -> String {
    String(unsafeUninitializedCapacity: 16) { text in
        for place in 0..<16 { text[place] = hexDigit(UInt8(truncatingIfNeeded: bits >> UInt64(60 - 4 * place)) & 15) }
        return 16
    }
}

/// Lower-case hex of some bytes.
public func hexDigits(_ bytes: some Sequence<UInt8>) -> String {
    let bytes = Array(bytes)
    return String(unsafeUninitializedCapacity: bytes.count * 2) { text in
        for (place, byte) in bytes.enumerated() {
            text[2 * place] = hexDigit(byte >> 4)
            text[2 * place + 1] = hexDigit(byte & 15)
        }
        return bytes.count * 2
    }
}

/// The digit of a number below 16.
private func hexDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10 }

/// The bytes that an even number of hex digits, of either case, spell; nil for anything else.
public func bytes(hexDigits text: some StringProtocol) -> [UInt8]? {
    guard text.utf8.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count / 2)
    var high: UInt8?
    for digit in text.utf8 {
        guard isHexDigit(digit) else { return nil }
        // '0'...'9' are 0x30...0x39; letters have bit 0x40 and count from 0x41 or 0x61.
        let value = digit & 0x0f + (digit & 0x40 == 0 ? 0 : 9)
        if let first = high {
            bytes.append(first << 4 | value)
            high = nil
        } else {
            high = value
        }
    }
    return bytes
}

func isHexDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
    default: false
    }
}
