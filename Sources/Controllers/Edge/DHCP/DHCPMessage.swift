//  DHCP messages as bytes (RFC 2131 section 2, RFC 2132, RFC 3396). Pure: no socket, no guest.

import Model

/// The kind of a DHCP message (option 53).
enum DHCPKind: UInt8, Sendable {
    case discover = 1
    case offer, request, decline, acknowledge, refuse, release, inform
}

/// One message. Addresses that are not set are 0.0.0.0.
struct DHCPMessage: Sendable, Equatable {
    /// 1 from a client, 2 from a server.
    var operation: UInt8
    var hardwareType: UInt8 = 1
    var hardwareLength: UInt8 = 6
    var hops: UInt8 = 0
    var transaction: UInt32
    var seconds: UInt16 = 0
    var flags: UInt16 = 0
    var clientAddress = IPv4Address(bits: 0)
    var yourAddress = IPv4Address(bits: 0)
    var nextServer = IPv4Address(bits: 0)
    var relay = IPv4Address(bits: 0)
    var hardware: MACAddress
    /// In the order sent; a code that came in several pieces is joined (RFC 3396).
    var options: [DHCPOption]

    /// Wants its answer by broadcast, because it cannot take unicast before it has an address.
    var wantsBroadcast: Bool { flags & 0x8000 != 0 }

    func option(_ code: DHCPOption.Code) -> [UInt8]? { options.first { $0.code == code }?.value }

    var kind: DHCPKind? {
        guard let value = option(.messageType), value.count == 1 else { return nil }
        return value.first.flatMap { DHCPKind(rawValue: $0) }
    }

    /// The address in an option; nil if it is absent or not four bytes long.
    func address(_ code: DHCPOption.Code) -> IPv4Address? {
        option(code).flatMap { $0.count == 4 ? IPv4Address(bits: bigEndian($0)) : nil }
    }
}

/// One option; values longer than 255 bytes are split when written.
struct DHCPOption: Sendable, Equatable {
    struct Code: RawRepresentable, Sendable, Hashable {
        var rawValue: UInt8

        static let subnetMask = Code(rawValue: 1)
        static let router = Code(rawValue: 3)
        static let nameServers = Code(rawValue: 6)
        static let hostName = Code(rawValue: 12)
        static let domainName = Code(rawValue: 15)
        static let mtu = Code(rawValue: 26)
        static let broadcast = Code(rawValue: 28)
        static let timeServers = Code(rawValue: 42)
        static let requestedAddress = Code(rawValue: 50)
        static let leaseSeconds = Code(rawValue: 51)
        static let overload = Code(rawValue: 52)
        static let messageType = Code(rawValue: 53)
        static let server = Code(rawValue: 54)
        static let wanted = Code(rawValue: 55)
        static let message = Code(rawValue: 56)
        static let messageSizeMax = Code(rawValue: 57)
        static let renewSeconds = Code(rawValue: 58)
        static let rebindSeconds = Code(rawValue: 59)
        static let client = Code(rawValue: 61)
        static let rapidCommit = Code(rawValue: 80)
        static let searchDomains = Code(rawValue: 119)
        static let routes = Code(rawValue: 121)
        static let pad = Code(rawValue: 0)
        static let end = Code(rawValue: 255)
    }

    var code: Code
    var value: [UInt8]

    init(_ code: Code, _ value: [UInt8]) {
        self.code = code
        self.value = value
    }
}

// MARK: Reading

extension DHCPMessage {
    private static let cookie: [UInt8] = [99, 130, 83, 99]
    private static let fixedLength = 236
    private static let serverNameField = 44..<108
    private static let fileField = 108..<236

    /// Reads a datagram's payload.
    ///
    /// - Returns: Nil if it is too short, lacks the cookie, or an option runs over its field's end.
    ///   A missing end mark is forgiven, as several clients leave it out.
    init?(parsing bytes: [UInt8]) {
        guard bytes.count >= DHCPMessage.fixedLength + 4, Array(bytes[236..<240]) == DHCPMessage.cookie else { return nil }
        func address(_ at: Int) -> IPv4Address { IPv4Address(bits: bigEndian(bytes[at..<at + 4])) }
        self.init(
            operation: bytes[0], hardwareType: bytes[1], hardwareLength: bytes[2], hops: bytes[3],
            transaction: bigEndian(bytes[4..<8]), seconds: UInt16(bytes[8]) << 8 | UInt16(bytes[9]),
            flags: UInt16(bytes[10]) << 8 | UInt16(bytes[11]), clientAddress: address(12), yourAddress: address(16),
            nextServer: address(20), relay: address(24),
            hardware: MACAddress(bits: bytes[28..<34].reduce(0) { $0 << 8 | UInt64($1) }), options: [])
        guard read(bytes[240...]) else { return nil }
        // RFC 2131 section 4.1: first the options field, then the file field, then the name field.
        let overload = option(.overload)?.first ?? 0
        if overload & 1 != 0 { guard read(bytes[DHCPMessage.fileField]) else { return nil } }
        if overload & 2 != 0 { guard read(bytes[DHCPMessage.serverNameField]) else { return nil } }
    }

    private mutating func read(_ field: ArraySlice<UInt8>) -> Bool {
        var rest = field
        while let code = rest.popFirst() {
            if code == DHCPOption.Code.end.rawValue { return true }
            if code == DHCPOption.Code.pad.rawValue { continue }
            guard let length = rest.popFirst(), rest.count >= Int(length) else { return false }
            add(DHCPOption(DHCPOption.Code(rawValue: code), Array(rest.prefix(Int(length)))))
            rest = rest.dropFirst(Int(length))
        }
        return true
    }

    private mutating func add(_ option: DHCPOption) {
        if let known = options.firstIndex(where: { $0.code == option.code }) {
            options[known].value += option.value
        } else {
            options.append(option)
        }
    }
}

// MARK: Writing

extension DHCPMessage {
    /// The payload, at most `limit` bytes and at least the 300 that old clients insist on.
    ///
    /// Options are written in order; those that do not fit go to the file and name fields (option
    /// overload), and what fits nowhere is left out, so the important ones come first.
    ///
    /// - Parameter limit: The payload's greatest length, at least 300.
    func serialized(limit: Int) -> [UInt8] {
        // Three bytes stay free for the overload option, one in each field for the end mark.
        var main = Field(room: max(limit, 300) - DHCPMessage.fixedLength - 4 - 3 - 1)
        var file = Field(room: DHCPMessage.fileField.count - 1)
        var name = Field(room: DHCPMessage.serverNameField.count - 1)
        for option in options where !main.add(option) && !file.add(option) { _ = name.add(option) }

        var overload: UInt8 = 0
        if !file.bytes.isEmpty { overload |= 1 }
        if !name.bytes.isEmpty { overload |= 2 }
        if overload != 0 { main.bytes += [DHCPOption.Code.overload.rawValue, 1, overload] }

        var bytes = [operation, hardwareType, hardwareLength, hops] + bigEndianBytes(transaction)
        bytes += [UInt8(seconds >> 8), UInt8(seconds & 255), UInt8(flags >> 8), UInt8(flags & 255)]
        bytes += clientAddress.bytes + yourAddress.bytes + nextServer.bytes + relay.bytes
        bytes += hardware.bytes + [UInt8](repeating: 0, count: 10)
        bytes += name.padded(to: DHCPMessage.serverNameField.count) + file.padded(to: DHCPMessage.fileField.count)
        bytes += DHCPMessage.cookie + main.bytes + [DHCPOption.Code.end.rawValue]
        return bytes + [UInt8](repeating: 0, count: max(0, 300 - bytes.count))
    }

    /// Options in one of the three places that may hold them.
    private struct Field {
        var room: Int
        var bytes: [UInt8] = []

        mutating func add(_ option: DHCPOption) -> Bool {
            var written: [UInt8] = []
            var rest = option.value[...]
            repeat {
                let piece = rest.prefix(255)
                written += [option.code.rawValue, UInt8(piece.count)] + piece
                rest = rest.dropFirst(255)
            } while !rest.isEmpty
            guard bytes.count + written.count <= room else { return false }
            bytes += written
            return true
        }

        func padded(to length: Int) -> [UInt8] {
            guard !bytes.isEmpty else { return [UInt8](repeating: 0, count: length) }
            return bytes + [DHCPOption.Code.end.rawValue] + [UInt8](repeating: 0, count: length - bytes.count - 1)
        }
    }
}
