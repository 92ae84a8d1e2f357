//  The host's own rules: before anything else, what comes from a guest reaches no address of the
//  host and nothing of the underlay, and VXLAN is taken from member hosts only.

import Model

/// Renders a host's plan to nftables. Pure.
enum HostRules {
    static func ruleset(_ plan: HostPlan, names: DataplaneNames) -> Ruleset {
        let group = names.number
        var table = Ruleset(family: "inet", name: names.table)
        table.collections = [
            "underlay": .init(
                isMap: false, type: "ipv4_addr", isInterval: true,
                elements: DomainRules.plain(disjoint(plan.underlayPrefixes).map { "\($0)" })),
            "public": .init(
                isMap: false, type: "ipv4_addr", isInterval: true,
                elements: DomainRules.plain(disjoint(plan.publicRanges).map { "\($0)" })),
            "uplinks": .init(isMap: false, type: "ifname", elements: DomainRules.plain(plan.uplink.map { ["\"\($0)\""] } ?? [])),
        ]
        table.chains = [
            // After connection tracking, before others' destination NAT (a container's published
            // port is an address of the host too).
            "guests": .init(
                hook: "type filter hook prerouting priority mangle; policy accept;", rules: ["iifgroup \(group) jump from_guest"]),
            "from_guest": .init(rules: fromGuest),
            "to_host": .init(rules: plan.openHostPorts.map { "\($0.transport.rawValue) dport \($0.port) accept" } + ["drop"]),
            "forward": .init(
                hook: "type filter hook forward priority filter - 10; policy accept;",
                rules: [
                    "iifgroup \(group) oifgroup \(group) accept",
                    "iifgroup \(group) oifname @uplinks accept",
                    "iifgroup \(group) ct state established ct direction reply accept",
                    "iifgroup \(group) drop",
                ]),
            // The host hairpins between guests of one domain and would tell them so with its own address.
            "output": .init(
                hook: "type filter hook output priority filter - 10; policy accept;",
                rules: ["oifgroup \(group) icmp type redirect drop"]),
        ]
        if plan.publicMode == .translated {
            table.chains["translate"] = .init(
                hook: "type nat hook postrouting priority srcnat; policy accept;",
                rules: ["ip saddr @public oifname @uplinks masquerade"])
        }
        if let underlay = plan.underlay { addTunnels(underlay, to: &table) }
        return table
    }

    private static let fromGuest = [
        "meta nfproto != ipv4 drop",
        "fib saddr . iif oif missing drop",
        "ct state established ct direction reply accept",
        "ct state related ip protocol icmp accept",
        "fib daddr type local goto to_host",
        "fib daddr type != unicast drop",
        "ip daddr { 127.0.0.0/8, 169.254.0.0/16 } drop",
        "ip daddr @underlay drop",
    ]

    private static func addTunnels(_ underlay: Underlay, to table: inout Ruleset) {
        table.collections["tunnel_members"] = .init(
            isMap: false, type: "ipv4_addr", elements: DomainRules.plain(underlay.members.map { "\($0)" }))
        table.chains["tunnels"] = .init(
            hook: "type filter hook input priority filter - 10; policy accept;",
            rules: [
                "udp dport 4789 iifname \"\(underlay.link)\" ip daddr \(underlay.address) ip saddr @tunnel_members accept",
                "udp dport 4789 drop",
            ])
    }

    /// Prefixes without those that lie in others: an interval set refuses overlaps.
    static func disjoint(_ prefixes: [IPv4Prefix]) -> [IPv4Prefix] {
        var kept: [IPv4Prefix] = []
        for prefix in Set(prefixes).sorted() where kept.last?.contains(prefix) != true { kept.append(prefix) }
        return kept
    }
}
