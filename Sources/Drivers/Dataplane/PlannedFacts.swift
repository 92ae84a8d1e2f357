//  What a plan wants of addresses, routes and neighbours, in the domain's namespace and on the host.

import Model

/// Renders plans to facts. Pure.
enum PlannedFacts {
    /// Inside the domain. A route needs its link: ports whose link is not in `links` have none yet.
    static func inside(_ plan: DomainPlan, links: Set<String>) -> Set<KernelFact> {
        let out = DataplaneNames.wayOut
        var facts: Set<KernelFact> = [
            .address(DataplaneNames.metadataAddress, link: "lo"), .address(DataplaneNames.fixedNameServer, link: "lo"),
            .neighbour(DataplaneNames.hostLinkHop, DataplaneNames.hostLinkMAC, link: out),
            .route(.everything, .hop(DataplaneNames.hostLinkHop, link: out), table: nil),
            .route(DataplaneNames.linkLocal, .blackhole, table: nil),
        ]
        for subnet in plan.subnets {
            facts.insert(.address(subnet.gateway, link: "lo"))
            facts.insert(.address(subnet.nameServer, link: "lo"))
        }
        // A range of one address would take the place of its port's route.
        for range in plan.ranges + plan.subnets.map(\.prefix) where range.length < 32 {
            facts.insert(.route(range, .blackhole, table: nil))
        }
        for port in plan.ports where links.contains(port.link) {
            facts.insert(.port(link: port.link))
            facts.insert(.mtu(plan.mtu, link: port.link))
            for address in port.addresses {
                facts.insert(.neighbour(address, port.mac, link: port.link))
                facts.insert(.route(IPv4Prefix(host: address), .link(port.link), table: nil))
            }
        }
        for peer in plan.peers { facts.formUnion(remote(peer)) }
        return facts
    }

    /// The host's underlay address is the next hop on the tunnel: it is unique there, and neighbours
    /// of one link have nothing to do with the domain's own addresses.
    private static func remote(_ peer: PeerHost) -> Set<KernelFact> {
        let mac = DataplaneNames.tunnelMAC(peer.underlay)
        let tunnel = DataplaneNames.tunnel
        return Set(peer.ports.map { .route(IPv4Prefix(host: $0.address), .hop(peer.underlay, link: tunnel), table: nil) })
            .union([.neighbour(peer.underlay, mac, link: tunnel), .forwarding(mac, host: peer.underlay, link: tunnel)])
    }

    /// A domain's part in the host's namespace.
    static func outside(_ plan: DomainPlan, host: HostPlan, names: DataplaneNames) -> Set<KernelFact> {
        let link = names.hostLink(vni: plan.vni)
        var facts: Set<KernelFact> = [.neighbour(DataplaneNames.wayOutHop, DataplaneNames.wayOutMAC, link: link)]
        for address in publicAddresses(plan) {
            facts.insert(.route(IPv4Prefix(host: address), .hop(DataplaneNames.wayOutHop, link: link), table: names.number))
            if host.publicMode == .proxyARP, let uplink = host.uplink { facts.insert(.proxy(address, link: uplink)) }
        }
        return facts
    }

    /// The host's own facts.
    static func host(_ plan: HostPlan, names: DataplaneNames) -> Set<KernelFact> {
        Set(plan.publicRanges.filter { $0.length < 32 }.map { .route($0, .blackhole, table: names.number) })
            .union([.rule(table: names.number)])
    }

    /// Addresses of the outside that lead into the domain.
    static func publicAddresses(_ plan: DomainPlan) -> Set<IPv4Address> {
        Set(plan.ports.flatMap(\.publicAddresses).map(\.address)).union(plan.outbound.map(\.address))
    }
}
