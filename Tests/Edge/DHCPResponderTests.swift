import Model
import Testing

@testable import Edge

@Suite struct DHCPResponderTests {
    private let table = DomainTable(
        Fixture.domain([
            Fixture.guest("i-0a", Fixture.macA, [Fixture.addressA, IPv4Address(10, 0, 0, 50)], interface: 7),
            Fixture.guest("i-0b", Fixture.macB, [Fixture.addressB]),
        ]))

    private func message(
        _ kind: DHCPKind, _ options: [DHCPOption] = [], mac: MACAddress = Fixture.macA, client: IPv4Address = IPv4Address(bits: 0),
        flags: UInt16 = 0
    ) -> DHCPMessage {
        DHCPMessage(
            operation: 1, transaction: 99, flags: flags, clientAddress: client, hardware: mac,
            options: [DHCPOption(.messageType, [kind.rawValue])] + options)
    }

    @Test func offersThePortsAddress() throws {
        let reply = try #require(DHCPResponder.respond(to: message(.discover), interface: 7, in: table))
        #expect(reply.message.kind == .offer)
        #expect(reply.message.yourAddress == Fixture.addressA)
        #expect(reply.message.transaction == 99)
        #expect(reply.message.address(.server) == Fixture.gateway)
        #expect(reply.message.address(.subnetMask) == IPv4Address(255, 255, 255, 0))
        #expect(reply.message.address(.router) == Fixture.gateway)
        #expect(reply.message.address(.nameServers) == IPv4Address(10, 0, 0, 2))
        #expect(reply.message.option(.mtu) == [5, 170])
        #expect(reply.message.option(.hostName) == Array("ip-10-0-0-5".utf8))
        #expect(reply.message.option(.domainName) == Array("ec2.internal".utf8))
        #expect(reply.message.option(.leaseSeconds) == [0, 0, 14, 16])
        #expect(reply.message.option(.routes) == nil)
        #expect(reply.destination == .unicast(Fixture.addressA))
        #expect(reply.source == Fixture.gateway)
    }

    struct RequestCase: Sendable, CustomStringConvertible {
        var description: String
        var server: IPv4Address?
        var requested: IPv4Address?
        var client: IPv4Address?
        var answer: DHCPKind?
        var destination: DHCPReply.Destination?
    }

    @Test(arguments: [
        RequestCase(
            description: "selects ours", server: Fixture.gateway, requested: Fixture.addressA, answer: .acknowledge,
            destination: .unicast(Fixture.addressA)),
        RequestCase(description: "selects another server's", server: IPv4Address(10, 0, 0, 9), requested: Fixture.addressA),
        RequestCase(
            description: "selects without naming the address", server: Fixture.gateway, answer: .acknowledge,
            destination: .unicast(Fixture.addressA)),
        RequestCase(
            description: "selects another address", server: Fixture.gateway, requested: Fixture.addressB, answer: .refuse,
            destination: .broadcast),
        RequestCase(
            description: "after a reboot", requested: Fixture.addressA, answer: .acknowledge,
            destination: .unicast(Fixture.addressA)),
        RequestCase(
            description: "after a reboot in another network", requested: IPv4Address(192, 168, 1, 4), answer: .refuse,
            destination: .broadcast),
        RequestCase(description: "renews", client: Fixture.addressA, answer: .acknowledge, destination: .unicast(Fixture.addressA)),
        RequestCase(description: "renews a neighbour's", client: Fixture.addressB, answer: .refuse, destination: .broadcast),
        RequestCase(description: "names nothing at all"),
    ])
    func requests(test: RequestCase) throws {
        var options: [DHCPOption] = []
        if let server = test.server { options.append(DHCPOption(.server, server.bytes)) }
        if let requested = test.requested { options.append(DHCPOption(.requestedAddress, requested.bytes)) }
        let request = message(.request, options, client: test.client ?? IPv4Address(bits: 0))
        let reply = DHCPResponder.respond(to: request, interface: 7, in: table)
        #expect(reply?.message.kind == test.answer)
        #expect(reply?.destination == test.destination)
        if test.answer == .refuse { #expect(reply?.message.yourAddress.bits == 0) }
    }

    @Test func staysSilent() {
        func silent(_ message: DHCPMessage, interface: Int? = 7, _ comment: Comment) {
            #expect(DHCPResponder.respond(to: message, interface: interface, in: table) == nil, comment)
        }
        silent(message(.release, client: Fixture.addressA), "release")
        silent(message(.decline), "decline")
        silent(message(.discover, mac: MACAddress(local: 1)), "an unknown MAC")
        silent(message(.discover), interface: 8, "A's MAC by another link")
        silent(message(.offer), "a server's message")
        silent(message(.inform, client: Fixture.addressB), "inform with a neighbour's address")
        var relayed = message(.discover)
        relayed.relay = IPv4Address(10, 0, 0, 77)
        silent(relayed, "a relay")
        var answer = message(.discover)
        answer.operation = 2
        silent(answer, "an answer")
        var untyped = message(.discover)
        untyped.options = []
        silent(untyped, "BOOTP")
        var token = message(.discover)
        token.hardwareType = 6
        silent(token, "not Ethernet")
    }

    @Test func informGivesNoLease() throws {
        let second = IPv4Address(10, 0, 0, 50)
        let reply = try #require(DHCPResponder.respond(to: message(.inform, client: second), interface: 7, in: table))
        #expect(reply.message.kind == .acknowledge)
        #expect(reply.message.yourAddress.bits == 0)
        #expect(reply.message.option(.leaseSeconds) == nil)
        #expect(reply.message.address(.router) == Fixture.gateway)
        #expect(reply.destination == .unicast(second))
    }

    @Test func broadcastsForThoseWhoAsk() {
        let reply = DHCPResponder.respond(to: message(.discover, flags: 0x8000), interface: 7, in: table)
        #expect(reply?.destination == .broadcast)
        #expect(reply?.message.flags == 0x8000)
    }

    @Test func commitsRapidlyAndRepeatsTheClientsName() {
        let reply = DHCPResponder.respond(
            to: message(.discover, [DHCPOption(.rapidCommit, []), DHCPOption(.client, [1, 2, 3])]), interface: nil, in: table)
        #expect(reply?.message.kind == .acknowledge)
        #expect(reply?.message.option(.rapidCommit) == [])
        #expect(reply?.message.option(.client) == [1, 2, 3])
    }

    /// Only what was asked for, in that order, and the MTU in any case.
    @Test func followsTheRequestList() {
        let reply = DHCPResponder.respond(to: message(.discover, [DHCPOption(.wanted, [6, 3, 1, 99, 6])]), interface: 7, in: table)
        let configuration = reply?.message.options.map(\.code).drop { $0 != .rebindSeconds }.dropFirst()
        #expect(configuration.map(Array.init) == [.subnetMask, .nameServers, .router, .mtu])
    }

    @Test(arguments: [(nil, 548), (0, 548), (576, 548), (1024, 996), (65535, 1422)] as [(UInt16?, Int)])
    func heedsTheClientsSize(told: UInt16?, limit: Int) {
        let options = told.map { [DHCPOption(.messageSizeMax, bigEndianBytes($0))] } ?? []
        #expect(DHCPResponder.respond(to: message(.discover, options), interface: 7, in: table)?.sizeMax == limit)
    }

    struct RouteCase: Sendable, CustomStringConvertible {
        var description: String
        var gateway: IPv4Address?
        var routes: [EdgeRoute] = []
        var bytes: [UInt8]
    }

    @Test(arguments: [
        RouteCase(
            description: "an extra route brings the default along", gateway: Fixture.gateway,
            routes: [EdgeRoute(destination: Fixture.prefix("192.168.128.0/17"), via: IPv4Address(10, 0, 0, 9))],
            bytes: [17, 192, 168, 128, 10, 0, 0, 9, 0, 10, 0, 0, 1]),
        RouteCase(
            description: "no router: the metadata service by the server", gateway: nil,
            bytes: [32, 169, 254, 169, 254, 10, 0, 0, 1]),
        RouteCase(
            description: "a router outside the subnet is on the link", gateway: IPv4Address(10, 9, 9, 9),
            bytes: [32, 10, 9, 9, 9, 0, 0, 0, 0, 0, 10, 9, 9, 9]),
    ])
    func routes(test: RouteCase) {
        var subnet = Fixture.subnet
        subnet.gateway = test.gateway
        subnet.routes = test.routes
        let reply = DHCPResponder.respond(to: message(.discover), interface: 7, in: DomainTable(Fixture.domain(subnet: subnet)))
        #expect(reply?.message.option(.routes) == test.bytes)
        #expect((reply?.message.option(.router) == nil) == (test.gateway == nil))
    }

    @Test func searchListIsInWireForm() {
        var subnet = Fixture.subnet
        subnet.searchDomains = ["ec2.internal", "a.b"]
        let reply = DHCPResponder.respond(to: message(.discover), interface: 7, in: DomainTable(Fixture.domain(subnet: subnet)))
        #expect(
            reply?.message.option(.searchDomains) == [3] + Array("ec2".utf8) + [8] + Array("internal".utf8) + [0, 1, 97, 1, 98, 0])
    }
}
