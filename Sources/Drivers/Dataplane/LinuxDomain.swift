//  A domain from nothing, or from whatever the kernel holds of it; and its end.

import Model

extension LinuxDataplane {
    /// Makes a domain whose state is not known: lists what is there and makes the rest. Rules stand
    /// before any link is up.
    func establish(_ plan: DomainPlan, _ hostPlan: HostPlan) async throws(Fault) -> DomainState {
        let namespace = names.namespace(plan.id)
        let place = Place.domain(namespace)
        let isNew = !NamespaceFolder.holds(namespace)
        if isNew { try await shell.run(.host, "ip", ["netns", "add", namespace]) }
        let former = isNew ? nil : try await listRules(plan.id)
        try await shell.set(place, LinuxDataplane.settings)
        let rules = DomainRules.rulesets(plan, names: names)
        try await shell.nft(place, rules.map(\.whole).joined())
        let links = isNew ? [] : try await listLinks(place)
        try await joinToHost(plan, hostPlan, links, isNew: isNew)
        let ports = Set(links.map(\.ifname)).subtracting(DomainLinks.fixed)
        let have = isNew ? [] : try await listInside(place)
        let state = DomainState(
            plan: plan, rules: rules, inside: PlannedFacts.inside(plan, links: ports),
            outside: PlannedFacts.outside(plan, host: hostPlan, names: names), links: ports)
        try await shell.batch(place, fixedLinks(plan, hostPlan) + KernelFact.difference(from: have, to: state.inside))
        let haveOutside = isNew ? [] : try await listOutside(link: names.hostLink(vni: plan.vni))
        try await shell.batch(.host, KernelFact.difference(from: haveOutside, to: state.outside))
        if let former {
            try await shell.conntrack(place, StaleFlows.inside(from: former, to: plan))
            try await shell.conntrack(.host, StaleFlows.outside(from: former, to: plan))
        }
        return state
    }

    /// Settings of a namespace, made before it has any link: links inherit them.
    static let settings: [(path: String, value: String)] = [
        // Sets others back to their defaults, so it comes first.
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv6/conf/all/disable_ipv6", "1"), ("net/ipv6/conf/default/disable_ipv6", "1"),
        // nftables checks sources, by link and MAC.
        ("net/ipv4/conf/all/rp_filter", "0"), ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/default/proxy_arp", "1"),
        ("net/ipv4/conf/all/send_redirects", "0"), ("net/ipv4/conf/default/send_redirects", "0"),
        ("net/ipv4/conf/all/accept_redirects", "0"), ("net/ipv4/conf/default/accept_redirects", "0"),
        ("net/ipv4/conf/all/accept_source_route", "0"), ("net/ipv4/conf/default/accept_source_route", "0"),
    ]

    /// Makes the veth to the host and the tunnel, where they are missing or of another shape.
    private func joinToHost(
        _ plan: DomainPlan, _ hostPlan: HostPlan, _ links: [KernelListing.Link], isNew: Bool
    ) async throws(Fault) {
        let namespace = names.namespace(plan.id)
        let hostLink = names.hostLink(vni: plan.vni)
        let hasOut = links.contains { $0.ifname == DataplaneNames.wayOut }
        let ends = isNew ? [] : try await listHostLinks().map(\.ifname)
        let isJoined = hasOut && ends.contains(hostLink)
        let tunnel = links.first { $0.ifname == DataplaneNames.tunnel }
        let isTunnelRight = tunnel.map { isTunnel($0, of: plan, hostPlan.underlay) } ?? (hostPlan.underlay == nil)
        var inner: [BatchLine] = []
        if hasOut, !isJoined { inner.append(.gone("link delete dev \(DataplaneNames.wayOut)")) }
        if tunnel != nil, !isTunnelRight { inner.append(.gone("link delete dev \(DataplaneNames.tunnel)")) }
        try await shell.batch(.domain(namespace), inner)
        var lines: [BatchLine] = []
        if !isJoined {
            lines += [
                .gone("link delete dev \(hostLink)"),
                BatchLine(
                    text: "link add name \(hostLink) address \(DataplaneNames.hostLinkMAC) mtu \(plan.mtu) group \(names.number) "
                        + "type veth peer name \(DataplaneNames.wayOut) address \(DataplaneNames.wayOutMAC) mtu \(plan.mtu) "
                        + "netns \(namespace)"),
            ]
        }
        // No link-local address of IPv6 on the host's end: nothing of the host listens there.
        lines.append(BatchLine(text: "link set dev \(hostLink) group \(names.number) mtu \(plan.mtu) addrgenmode none up"))
        if let underlay = hostPlan.underlay, !isTunnelRight { lines += tunnelLines(plan, underlay) }
        try await shell.batch(.host, lines)
        try await shell.set(.host, [("net/ipv4/conf/\(hostLink)/forwarding", "1")])
    }

    /// The tunnel is made on the host, where its outer packets stay, and moved.
    private func tunnelLines(_ plan: DomainPlan, _ underlay: Underlay) -> [BatchLine] {
        let link = names.tunnelLink(vni: plan.vni)
        return [
            .gone("link delete dev \(link)"),
            BatchLine(
                text: "link add name \(link) address \(DataplaneNames.tunnelMAC(underlay.address)) mtu \(plan.mtu) "
                    + "group \(names.number) type vxlan id \(plan.vni) local \(underlay.address) dstport 4789 nolearning"),
            BatchLine(text: "link set dev \(link) netns \(names.namespace(plan.id)) name \(DataplaneNames.tunnel)"),
        ]
    }

    private func isTunnel(_ link: KernelListing.Link, of plan: DomainPlan, _ underlay: Underlay?) -> Bool {
        guard let underlay, let data = link.linkinfo?.info_data else { return false }
        return data.id == plan.vni && data.local == "\(underlay.address)"
            && link.address.flatMap { MACAddress($0) } == DataplaneNames.tunnelMAC(underlay.address)
    }

    public func removeDomain(_ id: ID<Domain>) async throws(Fault) {
        try await turnstile.pass(id.hex) { () async throws(Fault) in try await removeInTurn(id) }
    }

    private func removeInTurn(_ id: ID<Domain>) async throws(Fault) {
        let namespace = names.namespace(id)
        let former = states[id]
        states[id] = nil
        guard NamespaceFolder.holds(namespace) else { return }
        let place = Place.domain(namespace)
        let old = if let former { former.plan } else { try await listRules(id) }
        let addresses = PlannedFacts.publicAddresses(old)
        let proxies = try await listProxies().filter { fact in
            guard case .proxy(let address, _) = fact else { return false }
            return addresses.contains(address)
        }
        try await shell.batch(.host, KernelFact.difference(from: proxies, to: []))
        // A process that has sockets open there keeps the namespace alive, so its links go one by
        // one; the host's end goes with its peer, and takes its routes along.
        let links = try await listLinks(place).map(\.ifname).filter { $0 != "lo" }
        try await shell.batch(place, links.sorted().map { .gone("link delete dev \($0)") })
        try await shell.conntrack(.host, StaleFlows.outside(from: old, to: nil))
        try await shell.run(.host, "ip", ["netns", "delete", namespace])
    }
}
