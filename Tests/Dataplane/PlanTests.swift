//  Names, facts, stale flows, and the plans that are refused.

import FoundationEssentials
import Model
import Platform
import Testing

@testable import Dataplane

@Suite struct PlanTests {
    @Test func plansSurviveJSON() throws {
        let plan = ConvergenceTests.changed()
        #expect(try JSONDecoder().decode(DomainPlan.self, from: JSONEncoder().encode(plan)) == plan)
        let host = ConvergenceTests.hostPlan()
        #expect(try JSONDecoder().decode(HostPlan.self, from: JSONEncoder().encode(host)) == host)
    }

    @Test(arguments: ["", "toolong", "Karri", "ka-r", "ka r", "kä"])
    func badMarks(_ mark: String) { #expect(throws: Fault.self) { try DataplaneNames(mark: mark) } }

    @Test func namesFitAndTellTheirMark() throws {
        let names = try DataplaneNames(Installation(mark: "abcdef"))
        #expect(names.hostLink(vni: 0xffffff) == "abcdefdffffff")
        #expect(names.namespace(domainID(10)) == "abcdef-000000000000000a")
        #expect(names.domain(ofNamespace: "abcdef-000000000000000a") == domainID(10))
        for other in ["abcde-000000000000000a", "abcdef-00a", "abcdef-000000000000000ab", "abcdef0000000000000000a", ""] {
            #expect(names.domain(ofNamespace: other) == nil, "\(other)")
        }
        let taps = (0..<5000).map { names.tap(ID(bits: $0)) } + (1..<60).map { names.tap(ID(bits: 1 << $0 + 5000)) }
        #expect(Set(taps).count == taps.count)
        #expect(taps.allSatisfy { $0.utf8.count == 15 })
        #expect(try DataplaneNames(mark: "a").number != DataplaneNames(mark: "b").number)
    }

    @Test(arguments: [
        ("", false), ("a", true), ("eth0.100", true), ("fifteen-letters", true), ("sixteen--letters", false), ("a b", false),
        ("a\"", false), ("a;", false), ("-a", false), (".", false), ("..", false), ("ä", false), ("a/b", false), ("a\n", false),
    ])
    func linkNames(_ name: String, _ isGood: Bool) {
        if isGood {
            #expect(throws: Never.self) { try PlanCheck.check(link: name) }
        } else {
            #expect(throws: Fault.self) { try PlanCheck.check(link: name) }
        }
    }

    /// What spoils a plan, and a word of the message that refuses it.
    struct Row: Sendable {
        var clue: String
        var spoil: @Sendable (inout DomainPlan) -> Void

        init(_ clue: String, _ spoil: @escaping @Sendable (inout DomainPlan) -> Void) {
            self.clue = clue
            self.spoil = spoil
        }
    }

    static var rows: [Row] {
        [
            Row("network number", { $0.vni = 0 }), Row("network number", { $0.vni = 1 << 24 }), Row("MTU", { $0.mtu = 575 }),
            Row("taken", { $0.ports[1].link = "pa" }), Row("taken", { $0.ports[1].link = "vx" }),
            Row("taken", { $0.ports[1].link = "out" }),
            Row("not a link's name", { $0.ports[1].link = "p;drop" }),
            Row("no unicast MAC", { $0.ports[0].mac = MACAddress(bits: 0x0100_0000_0001) }),
            Row("two ports hold", { $0.ports[1].addresses = [ip("10.0.0.5")] }),
            Row("two ports hold", { $0.ports[1].addresses = [ip("10.0.1.5")] }),
            Row("no port can hold", { $0.ports[1].addresses = [ip("10.0.0.1")] }),
            Row("no port can hold", { $0.ports[1].addresses = [ip("169.254.169.254")] }),
            Row("no port can hold", { $0.ports[1].addresses = [ip("224.0.0.1")] }),
            Row("mapped twice", { $0.ports[1].publicAddresses = [PublicAddress(ip("192.0.2.133"), for: ip("10.0.0.6"))] }),
            Row(
                "not an address of its port",
                { $0.ports[1].publicAddresses = [PublicAddress(ip("192.0.2.150"), for: ip("10.0.0.7"))] }
            ),
            Row("in no public range", { $0.ports[1].publicAddresses = [PublicAddress(ip("192.0.2.5"), for: ip("10.0.0.6"))] }),
            Row("in no public range", { $0.outbound[0].address = ip("8.8.8.8") }),
            Row("mapped and shared", { $0.outbound[0].address = ip("192.0.2.133") }),
            Row("overlap", { $0.outbound.append(OutboundTranslation(sources: prefix("10.0.0.0/25"), address: ip("192.0.2.150"))) }),
            Row("is empty", { $0.groups[0].ingress = [PlannedRule(.tcp(PortRange(2, 1)), .prefix(.everything))] }),
            Row("is empty", { $0.groups[0].egress = [PlannedRule(.udp(PortRange(2, 1)), .prefix(.everything))] }),
            Row("too long", { $0.ranges = Array(repeating: prefix("10.0.0.0/8"), count: 200_001) }),
        ]
    }

    @Test(arguments: rows)
    func refusedPlans(_ row: Row) {
        var plan = ConvergenceTests.plan()
        #expect(throws: Never.self) { try PlanCheck.check(plan, host: ConvergenceTests.hostPlan()) }
        row.spoil(&plan)
        let fault = #expect(throws: Fault.self) { try PlanCheck.check(plan, host: ConvergenceTests.hostPlan()) }
        #expect(fault?.code == .invalidParameter)
        #expect(fault?.message.contains(row.clue) == true, "\(fault?.message ?? "")")
    }

    @Test func factsAreReplacedWhereTheyCanBe() {
        let have: Set<KernelFact> = [
            .route(prefix("10.0.0.5/32"), .link("a"), table: nil), .route(prefix("10.0.0.6/32"), .link("a"), table: nil),
            .neighbour(ip("10.0.0.6"), MACAddress(bits: 6), link: "a"), .address(ip("10.0.0.1"), link: "lo"),
        ]
        let want: Set<KernelFact> = [
            .route(prefix("10.0.0.5/32"), .link("b"), table: nil), .address(ip("10.0.0.1"), link: "lo"),
            .route(prefix("10.0.0.0/24"), .blackhole, table: nil), .rule(table: 9),
        ]
        #expect(
            KernelFact.difference(from: have, to: want).map(\.text) == [
                "route delete 10.0.0.6/32 dev a scope link", "neighbour delete 10.0.0.6 dev a", "rule add preference 5300 lookup 9",
                "route replace blackhole 10.0.0.0/24", "route replace 10.0.0.5/32 dev b scope link",
            ])
        #expect(KernelFact.difference(from: want, to: want) == [])
    }

    @Test func aLinkThatComesUpGetsItsNeighboursAgain() {
        let rest: Set<KernelFact> = [
            .neighbour(ip("10.0.0.6"), MACAddress(bits: 6), link: "a"), .route(prefix("10.0.0.6/32"), .link("a"), table: nil),
        ]
        let lines = KernelFact.difference(from: rest, to: rest.union([.port(link: "a")])).map(\.text)
        #expect(lines.count == 4 && lines.last == "route replace 10.0.0.6/32 dev a scope link")
    }

    @Test func flowsEndWithTheirAddress() {
        let plan = ConvergenceTests.plan()
        #expect(StaleFlows.inside(from: plan, to: plan) == [])
        #expect(StaleFlows.outside(from: plan, to: plan) == [])
        var changed = plan
        changed.groups[0].ingress = []
        #expect(StaleFlows.inside(from: plan, to: changed) == [], "a removed rule lets its flows go on")
        changed.ports[0].publicAddresses = []
        #expect(StaleFlows.inside(from: plan, to: changed) == ["-D -d 192.0.2.133", "-D -s 10.0.0.5 -n 192.0.2.133"])
        #expect(StaleFlows.outside(from: plan, to: changed) == ["-D -s 192.0.2.133", "-D -d 192.0.2.133"])
        changed = plan
        changed.ports[1].mac = MACAddress(local: 99)
        #expect(StaleFlows.inside(from: plan, to: changed) == ["-D -s 10.0.0.6", "-D -d 10.0.0.6"], "another holder")
        changed = plan
        changed.ports[1].publicAddresses = [PublicAddress(ip("192.0.2.150"), for: ip("10.0.0.6"))]
        #expect(StaleFlows.inside(from: plan, to: changed) == ["-D -s 10.0.0.6 -n 192.0.2.140"], "leaves the shared address")
        changed = plan
        changed.outbound = []
        #expect(StaleFlows.inside(from: plan, to: changed) == ["-D -s 10.0.0.0/24 -n 192.0.2.140"])
        #expect(StaleFlows.outside(from: plan, to: nil).count == 4)
    }
}
