//  The host's own part: rules that keep guests off it, routes of the public ranges, forwarding;
//  and the removal of everything.

import Model

extension LinuxDataplane {
    public func prepareHost(_ plan: HostPlan) async throws(Fault) {
        try PlanCheck.check(plan)
        try await turnstile.pass("host") { () async throws(Fault) in try await prepareInTurn(plan) }
    }

    private func prepareInTurn(_ plan: HostPlan) async throws(Fault) {
        if host?.plan == plan { return }
        try await refuseCollisions(plan)
        let rules = HostRules.ruleset(plan, names: names)
        let facts = PlannedFacts.host(plan, names: names)
        let former = host
        host = nil
        try await shell.nft(.host, former.map { rules.difference(from: $0.rules) } ?? rules.whole)
        let have = try await listHostRoutes().filter { KernelFact.routedAddress($0) == nil }.union(try await listRoutingRules())
        try await shell.batch(.host, KernelFact.difference(from: have, to: facts))
        if let uplink = plan.uplink { try await shell.set(.host, [("net/ipv4/conf/\(uplink)/forwarding", "1")]) }
        host = HostState(plan: plan, rules: rules, facts: facts)
        // What a domain has on the host follows from the host's plan.
        if former?.plan != nil { states = [:] }
    }

    /// A public range is the cloud's alone: the machine's own address or gateway in it would be cut off.
    private func refuseCollisions(_ plan: HostPlan) async throws(Fault) {
        let addresses = try KernelListing.addresses(try await shell.look(.host, "ip", ["-json", "-4", "address", "show"]))
        let routes = try KernelListing.routes(try await shell.look(.host, "ip", ["-json", "-4", "route", "show"]), table: nil)
        let gateways = routes.compactMap { fact -> IPv4Address? in
            guard case .route(_, .hop(let hop, _), _) = fact else { return nil }
            return hop
        }
        for range in plan.publicRanges {
            if let address = (addresses.map(\.address) + gateways).first(where: { range.contains($0) }) {
                throw Fault(.conflict, "the public range \(range) holds \(address), an address of this host or its gateway")
            }
            let network = addresses.first { range.overlaps($0.prefix) && $0.prefix.length < 32 }
            if plan.publicMode != .proxyARP, let network {
                throw Fault(.conflict, "the public range \(range) overlaps \(network.prefix) on \(network.link)")
            }
        }
    }

    func inspectHost() async throws(Fault) -> [Discrepancy] {
        guard let state = host else { throw Fault(.wrongState, "the host's network has not been prepared") }
        let have = try await listHostRoutes().filter { KernelFact.routedAddress($0) == nil }.union(try await listRoutingRules())
        var found = LinuxDataplane.compare(have, state.facts)
        found += try await compareRules([state.rules], .host)
        if let uplink = state.plan.uplink {
            let (status, value) = try await shell.attempt(.host, "cat", ["/proc/sys/net/ipv4/conf/\(uplink)/forwarding"])
            if status != 0 || !value.hasPrefix("1") { found.append(Discrepancy(.missing, "forwarding on \(uplink)")) }
        }
        if !found.isEmpty { host = nil }
        return found
    }

    public func removeEverything() async throws(Fault) {
        for domain in try await domains() { try await removeDomain(domain) }
        try await turnstile.pass("host") { () async throws(Fault) in try await removeHost() }
    }

    private func removeHost() async throws(Fault) {
        host = nil
        states = [:]
        try await removeAccepts()
        let addresses = Set(try await listHostRoutes().compactMap(KernelFact.routedAddress))
        let proxies = try await listProxies().filter { fact in
            guard case .proxy(let address, _) = fact else { return false }
            return addresses.contains(address)
        }
        let links = try await listHostLinks().map { BatchLine.gone("link delete dev \($0.ifname)") }
        let routes = try await listHostRoutes()
        try await shell.batch(
            .host,
            KernelFact.difference(from: proxies, to: []) + links
                + KernelFact.difference(from: routes.union(try await listRoutingRules()), to: []))
        try await restoreForwarding()
        try await shell.nft(.host, Ruleset(family: "inet", name: names.table).removal)
    }

    /// The rules name the uplink, whoever made them. Where the whole machine forwards, somebody
    /// else wants it to.
    private func restoreForwarding() async throws(Fault) {
        let (status, whole) = try await shell.attempt(.host, "cat", ["/proc/sys/net/ipv4/ip_forward"])
        guard status == 0, whole.hasPrefix("0") else { return }
        let listing = try await shell.look(.host, "nft", ["-json", "list", "ruleset"])
        for (_, value) in try TableListing.entries(listing)
        where value["table"]?.text == names.table && value["name"]?.text == "uplinks" {
            let uplinks = (value["elem"]?.list ?? []).compactMap(\.text)
            let present = try await listLinks(.host).map(\.ifname)
            try await shell.set(.host, uplinks.filter(present.contains).map { ("net/ipv4/conf/\($0)/forwarding", "0") })
        }
    }
}
