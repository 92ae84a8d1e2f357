//  Plans to texts and back: tables, no kernel.

import Model
import Testing

@testable import Dataplane

@Suite struct RulesetTests {
    static func table(_ change: (inout Ruleset) -> Void = { _ in }) -> Ruleset {
        var table = Ruleset(family: "inet", name: "t")
        table.collections["s"] = .init(isMap: false, type: "ipv4_addr", elements: ["1.1.1.1": nil, "1.1.1.2": nil])
        table.collections["m"] = .init(isMap: true, type: "ifname : verdict", elements: ["\"a\"": "jump c"])
        table.chains["base"] = .init(hook: "type filter hook forward priority filter; policy drop;", rules: ["iifname vmap @m"])
        table.chains["c"] = .init(rules: ["ip saddr @s accept", "drop"])
        change(&table)
        return table
    }

    /// A change to the table, and the text that carries it out.
    struct Row: Sendable {
        var note: String
        var change: @Sendable (inout Ruleset) -> Void
        var text: String

        init(_ note: String, _ change: @escaping @Sendable (inout Ruleset) -> Void, _ text: String) {
            self.note = note
            self.change = change
            self.text = text
        }
    }

    static var rows: [Row] {
        [
            Row("nothing", { _ in }, ""),
            Row(
                "an element more", { _ = $0.collections["s"]?.elements.updateValue(nil, forKey: "1.1.1.3") },
                "add element inet t s { 1.1.1.3 }\n"
            ),
            Row(
                "an element less", { _ = $0.collections["s"]?.elements.removeValue(forKey: "1.1.1.1") },
                "delete element inet t s { 1.1.1.1 }\n"
            ),
            Row(
                "another value: nft refuses to add over an old one", { $0.collections["m"]?.elements["\"a\""] = "jump base2" },
                "delete element inet t m { \"a\" }\nadd element inet t m { \"a\" : jump base2 }\n"
            ),
            Row(
                "other rules", { $0.chains["c"]?.rules = ["drop"] },
                "flush chain inet t c\nadd rule inet t c drop\n"
            ),
            Row(
                "a chain and a set more: declared first",
                {
                    $0.collections["z"] = .init(isMap: false, type: "ipv4_addr", isInterval: true, elements: ["1.0.0.0/8": nil])
                    $0.chains["d"] = .init(rules: ["ip saddr @z drop"])
                    $0.collections["m"]?.elements["\"b\""] = "jump d"
                },
                """
                add set inet t z { type ipv4_addr; flags interval; }
                add chain inet t d
                add element inet t m { "b" : jump d }
                add element inet t z { 1.0.0.0/8 }
                add rule inet t d ip saddr @z drop

                """
            ),
            Row(
                "a chain and its set less: removed last",
                {
                    $0.collections["m"]?.elements = [:]
                    $0.chains["c"] = nil
                    $0.collections["s"] = nil
                },
                """
                delete element inet t m { "a" }
                flush chain inet t c
                delete chain inet t c
                delete set inet t s

                """
            ),
        ]
    }

    @Test(arguments: rows)
    func differences(_ row: Row) {
        #expect(Self.table(row.change).difference(from: Self.table()) == row.text, "\(row.note)")
    }

    @Test func anotherShapeIsMadeAnew() {
        let changed = Self.table { $0.chains["base"]?.hook = "type filter hook input priority filter; policy drop;" }
        #expect(changed.difference(from: Self.table()) == changed.whole)
        #expect(changed.whole.hasPrefix("add table inet t\ndelete table inet t\nadd table inet t\n"))
    }

    @Test(arguments: [
        (PlannedRule(.everything, .prefix(.everything)), "accept"),
        (PlannedRule(.everything, .prefix(prefix("10.0.0.0/8"))), "ip saddr 10.0.0.0/8 accept"),
        (PlannedRule(.tcp(PortRange(22)), .prefix(.everything)), "tcp dport 22 accept"),
        (PlannedRule(.tcp(.all), .prefix(.everything)), "ip protocol tcp accept"),
        (PlannedRule(.udp(PortRange(0, 9)), .group(groupID(7))), "udp dport 0-9 ip saddr @members_0000000000000007 accept"),
        (PlannedRule(.icmp(type: nil, code: 3), .prefix(.everything)), "ip protocol icmp accept"),
        (PlannedRule(.icmp(type: 8, code: nil), .prefix(.everything)), "icmp type 8 accept"),
        (PlannedRule(.icmp(type: 3, code: 4), .prefix(.everything)), "icmp type 3 icmp code 4 accept"),
        (PlannedRule(.internetProtocol(50), .prefix(.everything)), "ip protocol 50 accept"),
    ])
    func rules(_ rule: PlannedRule, _ text: String) {
        #expect(GroupRules.lines([rule, rule], verdict: "accept", side: "saddr") == [text, "drop"])
    }

    /// A further port in known groups costs elements, no chain.
    @Test func aFurtherPortIsFewLines() throws {
        let names = try DataplaneNames(mark: "t")
        var plan = ConvergenceTests.plan()
        let before = DomainRules.packets(plan, names: names)
        plan.ports.append(port(9, "pz", "10.0.0.9", groups: [2, 1]))
        let text = DomainRules.packets(plan, names: names).difference(from: before)
        #expect(!text.contains("chain") && !text.contains("rule"))
        #expect(text.split(separator: "\n").count == 4, "egress, hardware, ingress, sources: \(text)")
    }

    @Test func combinationsDoNotDependOnOrderOrOthers() throws {
        let names = [[1], [2], [1, 2], [1, 3], [1, 2, 3], []].map { GroupRules.combinationName($0.map { groupID($0) }) }
        #expect(Set(names).count == names.count)
        var plan = ConvergenceTests.plan()
        let marked = try DataplaneNames.test
        let table = DomainRules.packets(plan, names: marked)
        plan.ports[1].groups.reverse()
        plan.ports.reverse()
        #expect(DomainRules.packets(plan, names: marked) == table)
    }

    @Test func aPortOfUnknownOrNoGroupsIsShut() throws {
        var plan = ConvergenceTests.plan()
        plan.ports[0].groups = []
        plan.ports[1].groups = [groupID(99)]
        let table = try DomainRules.packets(plan, names: .test)
        #expect(table.chains["ingress_none"]?.rules == ["drop"])
        #expect(table.chains["egress_none"]?.rules == ["drop"])
        #expect(table.chains["ingress_0000000000000063"]?.rules == ["drop"])
        #expect(table.collections["egress"]?.elements["\"pa\""] == "jump egress_none")
    }

    @Test func nestedPrefixesBecomeDisjoint() {
        let prefixes = ["10.1.0.0/16", "10.0.0.0/8", "11.0.0.0/8", "10.0.0.0/8", "10.255.255.255/32"].map { prefix($0) }
        #expect(HostRules.disjoint(prefixes).map(\.description) == ["10.0.0.0/8", "11.0.0.0/8"])
    }
}

extension DataplaneNames {
    /// Names of a mark that is known to be good.
    static var test: DataplaneNames { get throws { try DataplaneNames(mark: "t") } }
}
