//  Security groups as chains: one chain for each combination of groups that some port belongs to,
//  so that a further port with known groups is two elements of maps.

import Model

/// Renders groups. Pure.
enum GroupRules {
    /// Adds the maps from link to chain, the chains, and the sets of members that they ask.
    static func add(_ plan: DomainPlan, to table: inout Ruleset) {
        let groups = Dictionary(plan.groups.map { ($0.id, $0) }) { first, _ in first }
        let members = Dictionary(plan.members.map { ($0.group, $0.addresses) }) { first, second in first + second }
        var egress: [String: String?] = [:]
        var ingress: [String: String?] = [:]
        for port in plan.ports {
            let combination = Set(port.groups).sorted()
            let name = combinationName(combination)
            egress["\"\(port.link)\""] = "jump egress_\(name)"
            ingress["\"\(port.link)\""] = "jump ingress_\(name)"
            guard table.chains["egress_\(name)"] == nil else { continue }
            let rules = combination.compactMap { groups[$0] }
            table.chains["egress_\(name)"] = Ruleset.Chain(rules: lines(rules.flatMap(\.egress), verdict: "return", side: "daddr"))
            table.chains["ingress_\(name)"] = Ruleset.Chain(
                rules: lines(rules.flatMap(\.ingress), verdict: "accept", side: "saddr"))
            for case .group(let group) in rules.flatMap({ $0.egress + $0.ingress }).map(\.peer) {
                table.collections[memberSet(group)] = Ruleset.Collection(
                    isMap: false, type: "ipv4_addr", elements: DomainRules.plain((members[group] ?? []).map { "\($0)" }))
            }
        }
        table.collections["egress"] = Ruleset.Collection(isMap: true, type: "ifname : verdict", elements: egress)
        table.collections["ingress"] = Ruleset.Collection(isMap: true, type: "ifname : verdict", elements: ingress)
    }

    static func memberSet(_ group: ID<Group>) -> String { "members_\(group.hex)" }

    /// A short name that is the same for the same groups, whatever else the plan holds.
    static func combinationName(_ groups: [ID<Group>]) -> String {
        switch groups.count {
        case 0: "none"
        case 1: groups[0].hex
        default:
            // Two independent 64-bit hashes: chains of different tenants' choosing never meet.
            [UInt64(14_695_981_039_346_656_037), 7_809_847_782_465_536_322].map { seed in
                hexDigits(groups.reduce(seed) { mix($0 ^ $1.bits) })
            }.joined()
        }
    }

    private static func mix(_ bits: UInt64) -> UInt64 {
        let once = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        let twice = (once ^ once >> 27) &* 0x94d0_49bb_1331_11eb
        return (twice ^ twice >> 31) &* 1_099_511_628_211
    }

    /// - Parameter verdict: `return` goes on to the destination's rules, `accept` ends.
    static func lines(_ rules: [PlannedRule], verdict: String, side: String) -> [String] {
        var seen: Set<String> = []
        var lines: [String] = []
        for rule in rules {
            let words = [match(rule.traffic), match(rule.peer, side: side), verdict].filter { !$0.isEmpty }
            let line = words.joined(separator: " ")
            if seen.insert(line).inserted { lines.append(line) }
        }
        return lines + ["drop"]
    }

    private static func match(_ traffic: Traffic) -> String {
        switch traffic {
        case .everything: ""
        case .tcp(let ports): ports == .all ? "ip protocol tcp" : "tcp dport \(match(ports))"
        case .udp(let ports): ports == .all ? "ip protocol udp" : "udp dport \(match(ports))"
        case .icmp(nil, _): "ip protocol icmp"
        case .icmp(let type?, nil): "icmp type \(type)"
        case .icmp(let type?, let code?): "icmp type \(type) icmp code \(code)"
        case .internetProtocol(let number): "ip protocol \(number)"
        }
    }

    private static func match(_ ports: PortRange) -> String {
        ports.first == ports.last ? "\(ports.first)" : "\(ports.first)-\(ports.last)"
    }

    private static func match(_ peer: RulePeer, side: String) -> String {
        switch peer {
        case .prefix(let prefix): prefix == .everything ? "" : "ip \(side) \(prefix)"
        case .group(let group): "ip \(side) @\(memberSet(group))"
        }
    }
}
