import Model
import Testing

@testable import Edge

/// Requests as three widespread clients shape them.
enum Capture {
    static func request(
        options: [UInt8], flags: UInt16 = 0, client: IPv4Address = IPv4Address(bits: 0), mac: MACAddress = Fixture.macA,
        padTo length: Int = 0
    ) -> [UInt8] {
        var bytes: [UInt8] = [1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 3, UInt8(flags >> 8), UInt8(flags & 255)]
        bytes += client.bytes + [UInt8](repeating: 0, count: 12) + mac.bytes + [UInt8](repeating: 0, count: 10)
        bytes += [UInt8](repeating: 0, count: 192) + [99, 130, 83, 99] + options
        return bytes + [UInt8](repeating: 0, count: max(0, length - bytes.count))
    }

    /// busybox 1.35: client id, maximum size, request list, vendor class; padded to 300 bytes.
    static let udhcpc = request(
        options: [53, 1, 1, 61, 7, 1, 2, 0, 10, 0, 0, 5, 57, 2, 2, 64, 55, 7, 1, 3, 6, 12, 15, 28, 42, 60, 12]
            + Array("udhcp 1.35.0".utf8) + [255], padTo: 300)

    /// systemd-networkd 252: broadcast flag not set, an RFC 4361 client id, classless routes and the MTU asked for.
    static let networkd = request(
        options: [53, 1, 1, 61, 19, 255, 0xb6, 0x22, 0x0f, 0xeb, 0, 2, 0, 0, 0xab, 0x11, 1, 2, 3, 4, 5, 6, 7, 8]
            + [55, 11, 1, 3, 12, 15, 6, 26, 33, 121, 42, 119, 120, 57, 2, 5, 0xc0, 12, 5] + Array("guest".utf8) + [255])

    /// ISC dhclient 4.4: an option of no use to us in between, asks for much, padded with zeros.
    static let dhclient = request(
        options: [53, 1, 3, 50, 4, 10, 0, 0, 5, 12, 5] + Array("guest".utf8)
            + [55, 13, 1, 28, 2, 121, 15, 6, 12, 40, 41, 42, 26, 119, 3, 255], padTo: 300)
}

@Suite struct DHCPMessageTests {
    @Test(arguments: [
        (Capture.udhcpc, DHCPKind.discover, [1, 3, 6, 12, 15, 28, 42] as [UInt8]),
        (Capture.networkd, .discover, [1, 3, 12, 15, 6, 26, 33, 121, 42, 119, 120]),
        (Capture.dhclient, .request, [1, 28, 2, 121, 15, 6, 12, 40, 41, 42, 26, 119, 3]),
    ])
    func readsRealClients(bytes: [UInt8], kind: DHCPKind, wanted: [UInt8]) throws {
        let message = try #require(DHCPMessage(parsing: bytes))
        #expect(message.kind == kind)
        #expect(message.option(.wanted) == wanted)
        #expect(message.hardware == Fixture.macA)
        #expect(message.transaction == 0xdead_beef)
        #expect(message.seconds == 3)
    }

    @Test(
        arguments: [
            ([53, 1, 1], true),  // no end mark
            ([53, 1, 1, 255, 9, 9, 9], true),  // rubbish after the end mark
            ([0, 0, 53, 1, 1, 0, 255], true),  // padding between options
            ([53, 1, 1, 12], false),  // a code without its length
            ([53, 1, 1, 12, 9, 65], false),  // a value over the end
            ([53, 1, 1, 61, 0, 255], true),  // an empty value
        ] as [([UInt8], Bool)])
    func forgivesWhatClientsSend(options: [UInt8], readable: Bool) {
        #expect((DHCPMessage(parsing: Capture.request(options: options))?.kind == .discover) == readable)
    }

    @Test func refusesShortOnesAndForeignCookies() {
        #expect(DHCPMessage(parsing: Array(Capture.udhcpc.prefix(239))) == nil)
        var bootp = Capture.udhcpc
        bootp[236] = 0
        #expect(DHCPMessage(parsing: bootp) == nil)
    }

    @Test func joinsPiecesAndReadsOverloadedFields() throws {
        var bytes = Capture.request(options: [52, 1, 3, 12, 2, 97, 98, 255])
        bytes.replaceSubrange(108..<114, with: [53, 1, 1, 12, 1, 99])
        bytes[114] = 255
        bytes.replaceSubrange(44..<48, with: [12, 1, 100, 255])
        let message = try #require(DHCPMessage(parsing: bytes))
        #expect(message.kind == .discover)
        #expect(message.option(.hostName) == Array("abcd".utf8))
        bytes[44 + 1] = 200  // runs over the name field's end
        #expect(DHCPMessage(parsing: bytes) == nil)
    }

    @Test func writesWhatItReads() throws {
        var message = DHCPMessage(
            operation: 2, transaction: 7, flags: 0x8000, hardware: Fixture.macB,
            options: [DHCPOption(.messageType, [5]), DHCPOption(.searchDomains, [UInt8](repeating: 9, count: 300))])
        message.yourAddress = Fixture.addressB
        let bytes = message.serialized(limit: 1000)
        #expect(DHCPMessage(parsing: bytes) == message)
        #expect(bytes.count >= 300)
    }

    /// What does not fit the options goes to the file and name fields, and the least important is left out.
    @Test func spillsIntoTheOldFields() throws {
        let options =
            [DHCPOption(.messageType, [5])]
            + (0..<6).map { DHCPOption(DHCPOption.Code(rawValue: 200 + $0), [UInt8](repeating: $0, count: 50)) }
        let message = DHCPMessage(operation: 2, transaction: 7, hardware: Fixture.macB, options: options)
        let bytes = message.serialized(limit: 300)
        #expect(bytes.count == 300)
        let back = try #require(DHCPMessage(parsing: bytes))
        #expect(back.kind == .acknowledge)
        #expect(back.option(.overload) == [3])
        let spilled = (0..<6).filter { back.option(DHCPOption.Code(rawValue: 200 + $0)) == [UInt8](repeating: $0, count: 50) }
        #expect(spilled == [0, 1, 2, 3])
    }

    @Test func survivesMutations() {
        var mutator = Mutator(seed: 20_260_001)
        let table = DomainTable(Fixture.domain())
        var answered = 0
        for round in 0..<20_000 {
            let seed = [Capture.udhcpc, Capture.networkd, Capture.dhclient][round % 3]
            guard let message = DHCPMessage(parsing: mutator.mutate(seed)) else { continue }
            guard let reply = DHCPResponder.respond(to: message, interface: round % 5, in: table) else { continue }
            answered += 1
            let bytes = reply.message.serialized(limit: reply.sizeMax)
            guard bytes.count <= max(reply.sizeMax, 300), DHCPMessage(parsing: bytes)?.kind == reply.message.kind else {
                Issue.record("seed 20260001, round \(round): an answer that cannot be read")
                return
            }
        }
        #expect(answered > 2000)
    }
}
