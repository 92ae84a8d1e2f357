//  Readers of what `ip`, `nft` and `iptables` say: examples as the programs print them, and noise.

import Model
import Testing

@testable import Dataplane

@Suite struct ListingTests {
    static let links = """
        [{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"],"mtu":65536,"address":"00:00:00:00:00:00"},{},
        {"ifname":"pa","flags":["UP"],"mtu":1450,"address":"02:00:00:00:00:01","group":"77",
         "linkinfo":{"info_kind":"tun","info_data":{"type":"tap","user":1234}}},
        {"ifname":"pb","flags":[],"mtu":1450,"address":"02:00:00:00:00:01"},
        {"ifname":"vx","flags":["UP"],"mtu":1450,"address":"02:01:0a:c8:00:01","linkinfo":{"info_kind":"vxlan",
         "info_data":{"id":78,"local":"10.200.0.1","port":4789}}}]
        """
    static let addresses = """
        [{"ifname":"lo","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host"},
         {"family":"inet","local":"10.0.0.1","prefixlen":32,"scope":"global"},{"family":"inet6","local":"::1","prefixlen":128}]},{}]
        """
    static let routes = """
        [{"dst":"default","gateway":"169.254.65.1","dev":"out","flags":["onlink"]},{"type":"blackhole","dst":"10.0.0.0/16","flags":[]},
         {"dst":"10.0.0.5","dev":"pa","scope":"link","flags":[]},{"dst":"10.9.0.0/24","dev":"x","protocol":"kernel","flags":[]},
         {"dst":"10.0.1.5","gateway":"10.200.0.2","dev":"vx","flags":["onlink"]},{"dst":"10.0.0.300","dev":"pa"},{"dst":"fe80::/64","dev":"pa"}]
        """
    static let neighbours = """
        [{"dst":"10.0.0.5","dev":"pa","lladdr":"02:00:00:00:00:05","state":["PERMANENT"]},{"dst":"fe80::1","dev":"pa","lladdr":"02:00:00:00:00:05"},
         {"dst":"10.0.0.6","dev":"pb"}]
        """
    static let proxies = #"[{"dst":"192.0.2.133","dev":"up","flags":["proxy"]}]"#
    static let entries = """
        [{"mac":"02:01:0a:c8:00:02","dst":"10.200.0.2","flags":["self"],"state":"permanent"},{"mac":"33:33:00:00:00:01","flags":["self"]}]
        """
    static let rules =
        #"[{"priority":0,"src":"all","table":"local"},{"priority":5300,"src":"all","table":"1234"},{"priority":5300,"src":"all","table":"main"}]"#
    static let tables = """
        {"nftables":[{"metainfo":{"version":"1.0.6"}},{"table":{"family":"arp","name":"t","handle":1}},{"table":{"family":"inet","name":"t","handle":2}},
        {"set":{"family":"arp","name":"senders","table":"t","type":["ifname","ether_addr","ipv4_addr"],"handle":1,
          "elem":[{"concat":["pa","02:00:00:00:00:01","10.0.0.5"]},{"concat":["pa","02:00:00:00:00:01","10.0.0.15"]},{"concat":["pb","x"]}]}},
        {"map":{"family":"inet","name":"public_in","table":"t","type":"ipv4_addr","map":"ipv4_addr","elem":[["192.0.2.133","10.0.0.5"]]}},
        {"map":{"family":"inet","name":"outbound","table":"t","type":"ipv4_addr","map":"ipv4_addr",
          "elem":[[{"prefix":{"addr":"10.0.0.0","len":24}},"192.0.2.140"],["10.1.1.1","192.0.2.141"]]}},
        {"chain":{"family":"inet","table":"t","name":"forward","handle":1,"type":"filter","hook":"forward","prio":0,"policy":"drop"}},
        {"rule":{"family":"inet","table":"t","chain":"forward","handle":3,"expr":[{"drop":null}]}}]}
        """

    @Test func examples() throws {
        let links = try KernelListing.links(Self.links)
        #expect(links.map(\.ifname) == ["lo", "pa", "pb", "vx"])
        #expect(links.last?.linkinfo?.info_data?.id == 78)
        #expect(KernelListing.ports(links).contains(.port(link: "pa")) && !KernelListing.ports(links).contains(.port(link: "pb")))
        #expect(try KernelListing.addresses(Self.addresses).map { "\($0.link) \($0.prefix)" } == ["lo 10.0.0.1/32"])
        #expect(
            try KernelListing.routes(Self.routes, table: nil) == [
                .route(.everything, .hop(ip("169.254.65.1"), link: "out"), table: nil),
                .route(prefix("10.0.0.0/16"), .blackhole, table: nil), .route(prefix("10.0.0.5/32"), .link("pa"), table: nil),
                .route(prefix("10.0.1.5/32"), .hop(ip("10.200.0.2"), link: "vx"), table: nil),
            ])
        #expect(try KernelListing.neighbours(Self.neighbours) == [.neighbour(ip("10.0.0.5"), MACAddress(local: 5), link: "pa")])
        #expect(try KernelListing.proxies(Self.proxies) == [.proxy(ip("192.0.2.133"), link: "up")])
        #expect(try KernelListing.forwarding(Self.entries, link: "vx").count == 1)
        #expect(try KernelListing.rules(Self.rules) == [.rule(table: 1234)])
        #expect(try KernelListing.routes("", table: nil) == [], "ip prints nothing for an empty list")
        #expect(throws: Fault.self) { try KernelListing.links("[{") }
    }

    @Test func aFormerPlanIsReadFromItsRules() throws {
        let plan = try TableListing.plan(Self.tables, id: domainID(1), table: "t")
        #expect(plan.ports.map(\.addresses) == [[ip("10.0.0.5"), ip("10.0.0.15")]])
        #expect(plan.ports.first?.publicAddresses == [PublicAddress(ip("192.0.2.133"), for: ip("10.0.0.5"))])
        #expect(
            plan.outbound == [
                OutboundTranslation(sources: prefix("10.0.0.0/24"), address: ip("192.0.2.140")),
                OutboundTranslation(sources: prefix("10.1.1.1/32"), address: ip("192.0.2.141")),
            ])
        #expect(try TableListing.plan(Self.tables, id: domainID(1), table: "other").ports == [])
    }

    @Test func failuresOfABatch() {
        let text = "RTNETLINK answers: No such process\nCommand failed -:3\nCannot find device \"x\"\nCommand failed -:12\nnoise"
        #expect(BatchFailure.parse(text).map(\.line) == [3, 12])
        #expect(BatchFailure.parse(text).map(\.isAbsence) == [true, true])
        #expect(BatchFailure.parse("RTNETLINK answers: File exists\nCommand failed -:1\n").map(\.isAbsence) == [false])
        #expect(BatchFailure.parse("Command failed -:x\nCommand failed ").isEmpty)
    }

    @Test(arguments: [
        ("-P FORWARD ACCEPT", [], "nothing drops"),
        ("-P FORWARD DROP", ["other FORWARD false"], "a bare policy"),
        ("-P FORWARD DROP\n-N DOCKER\n-N DOCKER-USER\n-A DOCKER-USER -j RETURN", ["docker DOCKER-USER false"], "Docker"),
        ("-P FORWARD DROP\n-N ufw-before-forward", ["ufw FORWARD false"], "ufw"),
        ("-P FORWARD DROP\n-N DOCKER-USER\n-N ufw-before-forward", ["docker DOCKER-USER false", "ufw FORWARD false"], "both"),
        (
            "-P FORWARD DROP\n-N DOCKER-USER\n-A DOCKER-USER -o td+ -m comment --comment t -j ACCEPT\n-A DOCKER-USER -i td+ -m comment --comment t -j ACCEPT",
            ["docker DOCKER-USER true"], "overcome"
        ),
        ("-P FORWARD DROP\n-N DOCKER-USER\n-A DOCKER-USER -i td+ -j ACCEPT", ["docker DOCKER-USER false"], "one way only"),
        ("-P FORWARD DROP\n-A FORWARD -i td+ -j DROP\n-A FORWARD -o td+ -j ACCEPT", ["other FORWARD false"], "not an accept"),
    ])
    func obstaclesOfIptables(_ listing: String, _ expected: [String], _ note: String) throws {
        let found = try ForwardingCheck.obstacles(iptables: listing, program: "iptables-nft", names: .test).map { obstacle in
            guard case .iptables(_, let chain) = obstacle.way else { return "?" }
            return "\(obstacle.owner.rawValue) \(chain) \(obstacle.isOvercome)"
        }
        #expect(found == expected, "\(note)")
    }

    /// Mutations of valid listings: a fault or a reading, never a trap.
    @Test func noiseIsNoTrap() throws {
        let texts = [Self.links, Self.addresses, Self.routes, Self.neighbours, Self.proxies, Self.entries, Self.rules, Self.tables]
        for seed in UInt64(0)..<1500 {
            var dice = Dice(seed: seed)
            var bytes = Array((texts.randomElement(using: &dice) ?? "").utf8)
            for _ in 0..<Int.random(in: 1...6, using: &dice) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                switch Int.random(in: 0...3, using: &dice) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &dice)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(contentsOf: Array("9999999999999999999".utf8), at: place)
                default: bytes = Array(bytes[..<max(1, place)])
                }
            }
            let marked = try DataplaneNames.test
            let text = String(decoding: bytes, as: UTF8.self)
            _ = try? KernelListing.links(text)
            _ = try? KernelListing.addresses(text)
            _ = try? KernelListing.routes(text, table: 1)
            _ = try? KernelListing.neighbours(text)
            _ = try? KernelListing.forwarding(text, link: "vx")
            _ = try? KernelListing.rules(text)
            _ = try? TableListing.plan(text, id: domainID(1), table: "t")
            _ = try? TableListing.compare(text, with: Ruleset(family: "inet", name: "t"))
            _ = try? ForwardingCheck.obstacles(nftables: text, names: marked)
            _ = try? ForwardingCheck.marked(text, names: marked)
            _ = ForwardingCheck.obstacles(iptables: text, program: "iptables", names: marked)
            _ = BatchFailure.parse(text)
        }
    }
}
