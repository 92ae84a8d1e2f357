//  The rules of a domain's namespace, rendered from its plan: anti-spoofing, groups, public
//  addresses, and what of the namespace itself a guest may reach.

import Model

/// Renders a domain's plan to nftables. Pure.
enum DomainRules {
    static func rulesets(_ plan: DomainPlan, names: DataplaneNames) -> [Ruleset] {
        [packets(plan, names: names), resolution(plan, names: names)]
    }

    /// The `inet` table.
    static func packets(_ plan: DomainPlan, names: DataplaneNames) -> Ruleset {
        var table = Ruleset(family: "inet", name: names.table)
        table.collections = addressCollections(plan)
        table.chains = [
            "arrive": arrive(plan), "input": input(), "forward": forward(),
            "translate_in": Ruleset.Chain(
                hook: "type nat hook prerouting priority dstnat; policy accept;",
                rules: ["iifname \"\(out)\" dnat ip to ip daddr map @public_in"]),
            "translate_out": Ruleset.Chain(
                hook: "type nat hook postrouting priority srcnat; policy accept;",
                rules: [
                    "oifname \"\(out)\" snat ip to ip saddr map @public_out",
                    "oifname \"\(out)\" snat ip to ip saddr map @outbound",
                ]),
        ]
        GroupRules.add(plan, to: &table)
        return table
    }

    /// The `arp` table: a guest can neither speak for another nor fill the host's neighbour table.
    static func resolution(_ plan: DomainPlan, names: DataplaneNames) -> Ruleset {
        var table = Ruleset(family: "arp", name: names.table)
        table.collections["senders"] = Ruleset.Collection(
            isMap: false, type: "ifname . ether_addr . ipv4_addr", elements: sources(plan, checkedOnly: false))
        table.chains["input"] = Ruleset.Chain(
            hook: "type filter hook input priority filter; policy drop;",
            rules: [
                "iifname . arp saddr ether . arp saddr ip @senders accept",
                // A guest that asks whether its address is free (RFC 5227) names no sender.
                "arp saddr ip 0.0.0.0 accept",
            ])
        return table
    }

    private static let out = DataplaneNames.wayOut
    private static let tunnel = DataplaneNames.tunnel

    /// The sets and maps of addresses.
    private static func addressCollections(_ plan: DomainPlan) -> [String: Ruleset.Collection] {
        var unchecked: [String: String?] = [:]
        var hardware: [String: String?] = [:]
        var publicIn: [String: String?] = [:]
        var publicOut: [String: String?] = [:]
        for port in plan.ports {
            hardware.updateValue(nil, forKey: "\"\(port.link)\" . \(port.mac)")
            if !port.sourceCheck { unchecked.updateValue(nil, forKey: "\"\(port.link)\" . \(port.mac)") }
            for mapping in port.publicAddresses {
                publicIn["\(mapping.address)"] = "\(mapping.stands)"
                publicOut["\(mapping.stands)"] = "\(mapping.address)"
            }
        }
        let outbound = plan.outbound.map { ("\($0.sources)", String?.some("\($0.address)")) }
        let servers = plan.subnets.map(\.nameServer) + [DataplaneNames.fixedNameServer]
        return [
            "sources": .init(isMap: false, type: "ifname . ether_addr . ipv4_addr", elements: sources(plan, checkedOnly: true)),
            "hardware": .init(isMap: false, type: "ifname . ether_addr", elements: hardware),
            "unchecked": .init(isMap: false, type: "ifname . ether_addr", elements: unchecked),
            "name_servers": .init(isMap: false, type: "ipv4_addr", elements: plain(servers.map { "\($0)" })),
            "public_in": .init(isMap: true, type: "ipv4_addr : ipv4_addr", elements: publicIn),
            "public_out": .init(isMap: true, type: "ipv4_addr : ipv4_addr", elements: publicOut),
            "public_sources": .init(isMap: false, type: "ipv4_addr", elements: plain(publicOut.keys)),
            "outbound": .init(
                isMap: true, type: "ipv4_addr : ipv4_addr", isInterval: true,
                elements: Dictionary(outbound) { first, _ in first }),
            "outbound_sources": .init(isMap: false, type: "ipv4_addr", isInterval: true, elements: plain(outbound.map(\.0))),
            "remote_free": .init(isMap: false, type: "ipv4_addr", elements: localAddressesOpenToForgery(plan)),
        ]
    }

    /// With a remote port that may send from any address, the tunnel carries any source but those
    /// of the ports here.
    private static func localAddressesOpenToForgery(_ plan: DomainPlan) -> [String: String?] {
        trustsTunnel(plan) ? plain(plan.ports.flatMap(\.addresses).map { "\($0)" }) : [:]
    }

    private static func trustsTunnel(_ plan: DomainPlan) -> Bool {
        plan.peers.contains { $0.ports.contains { !$0.sourceCheck } }
    }

    /// Link, MAC and address of each port, as they must come together.
    private static func sources(_ plan: DomainPlan, checkedOnly: Bool) -> [String: String?] {
        plain(
            plan.ports.filter { $0.sourceCheck || !checkedOnly }.flatMap { port in
                port.addresses.map { "\"\(port.link)\" . \(port.mac) . \($0)" }
            })
    }

    /// Before connection tracking: only who may speak as it does comes in at all.
    private static func arrive(_ plan: DomainPlan) -> Ruleset.Chain {
        let fromTunnel =
            trustsTunnel(plan)
            ? "iifname \"\(tunnel)\" ip saddr @remote_free drop" : "iifname \"\(tunnel)\" fib saddr . iif oif missing drop"
        return Ruleset.Chain(
            hook: "type filter hook prerouting priority raw; policy drop;",
            rules: [
                "iifname \"lo\" accept",
                "meta nfproto != ipv4 drop",
                // From outside, nobody speaks as a member of the domain: rules go by member address.
                "iifname \"\(out)\" fib saddr . iif oif missing drop",
                fromTunnel,
                "iifname { \"\(out)\", \"\(tunnel)\" } accept",
                "iifname . ether saddr . ip saddr @sources accept",
                "iifname . ether saddr @hardware ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
                "iifname . ether saddr @unchecked accept",
            ])
    }

    /// What *edge* serves, to guests only.
    private static func input() -> Ruleset.Chain {
        Ruleset.Chain(
            hook: "type filter hook input priority filter; policy drop;",
            rules: [
                "iifname \"lo\" accept",
                "iifname { \"\(out)\", \"\(tunnel)\" } drop",
                "ct state related ip protocol icmp accept",
                "ip daddr \(DataplaneNames.metadataAddress) tcp dport 80 accept",
                "ip daddr @name_servers udp dport 53 accept",
                "ip daddr @name_servers tcp dport 53 accept",
                "udp dport 67 accept",
            ])
    }

    /// Between guests, and to and from outside. What passed once passes until its flow ends, as on
    /// EC2, also when its rule is removed.
    private static func forward() -> Ruleset.Chain {
        Ruleset.Chain(
            hook: "type filter hook forward priority filter; policy drop;",
            rules: [
                "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu",
                "ct state vmap { established : accept, related : accept, invalid : drop }",
                // Nothing passes through the domain from outside to outside, nor past its maps.
                "iifname { \"\(out)\", \"\(tunnel)\" } oifname { \"\(out)\", \"\(tunnel)\" } drop",
                "iifname \"\(out)\" ct status & dnat == 0 drop",
                "iifname vmap @egress",
                "oifname \"\(out)\" ip saddr @public_sources accept",
                "oifname \"\(out)\" ip saddr @outbound_sources accept",
                // The other host asks its own port's groups.
                "oifname \"\(tunnel)\" accept",
                "oifname vmap @ingress",
            ])
    }

    /// Elements of a set.
    static func plain(_ keys: some Sequence<String>) -> [String: String?] {
        Dictionary(keys.map { ($0, nil) }) { first, _ in first }
    }
}
