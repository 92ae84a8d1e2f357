//  DNS messages as bytes (RFC 1035 section 4, EDNS0 of RFC 6891). Pure: no socket, no zone.

import Model

/// A record's type (IANA, DNS parameters).
struct DNSType: RawRepresentable, Sendable, Hashable {
    var rawValue: UInt16

    static let a = DNSType(rawValue: 1)
    static let ns = DNSType(rawValue: 2)
    static let soa = DNSType(rawValue: 6)
    static let ptr = DNSType(rawValue: 12)
    static let aaaa = DNSType(rawValue: 28)
    static let opt = DNSType(rawValue: 41)
    static let ds = DNSType(rawValue: 43)
    static let dnskey = DNSType(rawValue: 48)
    static let ixfr = DNSType(rawValue: 251)
    static let axfr = DNSType(rawValue: 252)
    static let any = DNSType(rawValue: 255)
}

/// A response code; from 16 on it needs EDNS.
enum DNSCode: UInt16, Sendable {
    case noError = 0
    case formatError, serverFailure, noSuchName, notImplemented, refused
    case badVersion = 16
}

struct DNSQuestion: Sendable, Hashable {
    var name: DNSName
    var type: DNSType
    /// 1 is the Internet.
    var classCode: UInt16

    init(name: DNSName, type: DNSType, classCode: UInt16 = 1) {
        self.name = name
        self.type = type
        self.classCode = classCode
    }

    init?(reading message: [UInt8], at position: inout Int) {
        guard let name = DNSName(reading: message, at: &position), position + 4 <= message.count else { return nil }
        self.name = name
        type = DNSType(rawValue: UInt16(truncatingIfNeeded: bigEndian(message[position..<position + 2])))
        classCode = UInt16(truncatingIfNeeded: bigEndian(message[position + 2..<position + 4]))
        position += 4
    }

    var bytes: [UInt8] { name.bytes + bigEndianBytes(type.rawValue) + bigEndianBytes(classCode) }
}

/// What EDNS says in a query.
struct DNSExtension: Sendable, Equatable {
    /// The longest datagram that the asker takes, in bytes, at least 512.
    var payloadMax: Int
    var version: UInt8
    var dnssec: Bool
}

/// A query, or as much of one as an error answer needs.
struct DNSQuery: Sendable, Equatable {
    var id: UInt16
    /// 0 is a plain query.
    var operation: UInt8
    var recursionDesired: Bool
    var checkingDisabled: Bool
    var authenticData: Bool
    /// Nil if the message could not be read beyond its header: it deserves a format error.
    var question: DNSQuestion?
    var ednsExtension: DNSExtension?

    static let headerLength = 12

    init(id: UInt16, question: DNSQuestion, ednsExtension: DNSExtension? = nil) {
        self.id = id
        self.question = question
        self.ednsExtension = ednsExtension
        operation = 0
        recursionDesired = true
        checkingDisabled = false
        authenticData = false
    }

    /// Reads a message from a guest.
    ///
    /// - Returns: Nil for what deserves no answer at all: less than a header, or itself an answer.
    init?(parsing bytes: [UInt8]) {
        guard bytes.count >= DNSQuery.headerLength, bytes[2] & 0x80 == 0 else { return nil }
        id = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        operation = bytes[2] >> 3 & 15
        recursionDesired = bytes[2] & 1 != 0
        authenticData = bytes[3] & 0x20 != 0
        checkingDisabled = bytes[3] & 0x10 != 0
        guard operation == 0, bytes[4...5].elementsEqual([0, 1]), bytes[6...9].allSatisfy({ $0 == 0 }), bytes[10] == 0,
            bytes[11] <= 4
        else { return }
        var position = DNSQuery.headerLength
        guard let question = DNSQuestion(reading: bytes, at: &position) else { return }
        for _ in 0..<bytes[11] {
            guard let record = DNSQuery.record(reading: bytes, at: &position) else { return }
            guard record.type == .opt else { continue }
            guard ednsExtension == nil, record.atRoot else { return }
            ednsExtension = DNSExtension(
                payloadMax: max(512, Int(record.classCode)), version: UInt8(truncatingIfNeeded: record.timeToLive >> 16),
                dnssec: record.timeToLive & 0x8000 != 0)
        }
        self.question = question
    }

    private struct RawRecord {
        var atRoot: Bool
        var type: DNSType
        var classCode: UInt16
        var timeToLive: UInt32
    }

    private static func record(reading bytes: [UInt8], at position: inout Int) -> RawRecord? {
        guard let name = DNSName(reading: bytes, at: &position), position + 10 <= bytes.count else { return nil }
        let record = RawRecord(
            atRoot: name.labels.isEmpty,
            type: DNSType(rawValue: UInt16(truncatingIfNeeded: bigEndian(bytes[position..<position + 2]))),
            classCode: UInt16(truncatingIfNeeded: bigEndian(bytes[position + 2..<position + 4])),
            timeToLive: bigEndian(bytes[position + 4..<position + 8]))
        position += 10 + Int(bigEndian(bytes[position + 8..<position + 10]))
        return position <= bytes.count ? record : nil
    }

    /// A fresh query of our own that asks the same with another id: nothing else of a guest's bytes
    /// goes on to a resolver.
    func forwarded(id: UInt16) -> [UInt8] {
        guard let question else { return [] }
        var bytes = bigEndianBytes(id)
        bytes += [1, (authenticData ? 0x20 : 0) | (checkingDisabled ? 0x10 : 0), 0, 1, 0, 0, 0, 0, 0, ednsExtension == nil ? 0 : 1]
        bytes += question.bytes
        if let ednsExtension {
            bytes += optRecord(payloadMax: min(ednsExtension.payloadMax, 1232), extendedCode: 0, dnssec: ednsExtension.dnssec)
        }
        return bytes
    }

    /// The longest answer by datagram, in bytes.
    var datagramMax: Int { min(ednsExtension?.payloadMax ?? 512, 1232) }
}

/// A record of an answer.
struct DNSRecord: Sendable, Equatable {
    enum Content: Sendable, Equatable {
        case address(IPv4Address)
        case pointer(DNSName)
        /// The start of a zone that is ours, so that a missing name is remembered as missing.
        case authority(zone: DNSName)
    }

    var name: DNSName
    var content: Content

    /// Short, since an address may move to another guest.
    static let timeToLiveSeconds: UInt32 = 60

    var type: DNSType {
        switch content {
        case .address: .a
        case .pointer: .ptr
        case .authority: .soa
        }
    }

    func bytes(after question: DNSQuestion) -> [UInt8] {
        let data: [UInt8]
        switch content {
        case .address(let address): data = address.bytes
        case .pointer(let name): data = name.bytes
        case .authority(let zone):
            let numbers: [UInt32] = [1, 3600, 600, 86400, DNSRecord.timeToLiveSeconds]
            data = zone.bytes + zone.bytes + numbers.flatMap { bigEndianBytes($0) }
        }
        // The question's name always stands right after the header: a pointer to it is 0xC00C.
        let owner = name == question.name ? [0xc0, 0x0c] : name.bytes
        return owner + bigEndianBytes(type.rawValue) + [0, 1] + bigEndianBytes(DNSRecord.timeToLiveSeconds)
            + bigEndianBytes(UInt16(truncatingIfNeeded: data.count)) + data
    }
}

/// An answer of our own.
struct DNSAnswer: Sendable, Equatable {
    var code: DNSCode
    var authoritative = false
    var answers: [DNSRecord] = []
    var authority: [DNSRecord] = []

    init(_ code: DNSCode, authoritative: Bool = false, answers: [DNSRecord] = [], authority: [DNSRecord] = []) {
        self.code = code
        self.authoritative = authoritative
        self.answers = answers
        self.authority = authority
    }

    /// The message that answers `query`. What is longer than `limit` bytes is cut to an empty,
    /// truncated answer, after which the asker comes again by TCP.
    func serialized(for query: DNSQuery, limit: Int) -> [UInt8] {
        let question = query.question
        var body: [UInt8] = question?.bytes ?? []
        let records = question.map { question in (answers + authority).flatMap { $0.bytes(after: question) } } ?? []
        let extra =
            query.ednsExtension == nil
            ? [] : optRecord(payloadMax: 1232, extendedCode: UInt8(truncatingIfNeeded: code.rawValue >> 4), dnssec: false)
        let fits = DNSQuery.headerLength + body.count + records.count + extra.count <= limit
        if fits { body += records }
        var bytes = bigEndianBytes(query.id)
        bytes.append(
            0x80 | query.operation << 3 | (authoritative ? 4 : 0) | (fits ? 0 : 2) | (query.recursionDesired ? 1 : 0))
        bytes.append(0x80 | (query.checkingDisabled ? 0x10 : 0) | UInt8(truncatingIfNeeded: code.rawValue & 15))
        bytes += bigEndianBytes(UInt16(question == nil ? 0 : 1))
        bytes += bigEndianBytes(UInt16(truncatingIfNeeded: fits && question != nil ? answers.count : 0))
        bytes += bigEndianBytes(UInt16(truncatingIfNeeded: fits && question != nil ? authority.count : 0))
        bytes += bigEndianBytes(UInt16(extra.isEmpty ? 0 : 1))
        return bytes + body + extra
    }
}

/// A resolver's answer to a query that was forwarded.
enum DNSForwardedAnswer {
    /// The answer with the guest's id, if it answers that question.
    ///
    /// - Returns: Nil for what somebody else made: another id, another question, not an answer.
    static func accept(_ bytes: [UInt8], forwardedId: UInt16, query: DNSQuery) -> [UInt8]? {
        guard bytes.count >= DNSQuery.headerLength, bytes[2] & 0xf8 == 0x80, bytes[0...1].elementsEqual(bigEndianBytes(forwardedId))
        else { return nil }
        // An error may come without its question.
        let hasQuestion = bytes[4...5].elementsEqual([0, 1])
        var position = DNSQuery.headerLength
        if hasQuestion {
            guard DNSQuestion(reading: bytes, at: &position) == query.question else { return nil }
        } else {
            guard bytes[4...7].allSatisfy({ $0 == 0 }), bytes[3] & 15 != 0 else { return nil }
        }
        return bigEndianBytes(query.id) + bytes.dropFirst(2)
    }

    /// An empty answer that tells the guest to ask again by stream.
    static func truncated(for query: DNSQuery) -> [UInt8] {
        var bytes = DNSAnswer(.noError).serialized(for: query, limit: query.datagramMax)
        if bytes.count > 2 { bytes[2] |= 2 }
        return bytes
    }

    /// Whether a resolver cut its answer.
    static func isTruncated(_ bytes: [UInt8]) -> Bool { bytes.count > 2 && bytes[2] & 2 != 0 }
}

private func optRecord(payloadMax: Int, extendedCode: UInt8, dnssec: Bool) -> [UInt8] {
    [0] + bigEndianBytes(DNSType.opt.rawValue) + bigEndianBytes(UInt16(truncatingIfNeeded: payloadMax))
        + [extendedCode, 0, dnssec ? 0x80 : 0, 0, 0, 0]
}

/// Two bytes in network order.
func bigEndianBytes(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }
