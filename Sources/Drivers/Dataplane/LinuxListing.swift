//  What the kernel holds, asked for where memory does not reach: after a start, after a failure,
//  and when somebody wants to know.

import FoundationEssentials
import Model

extension LinuxDataplane {
    func listLinks(_ place: Place) async throws(Fault) -> [KernelListing.Link] {
        try KernelListing.links(try await shell.look(place, "ip", ["-json", "-details", "link", "show"]))
    }

    /// The host's links that carry the installation's number.
    func listHostLinks() async throws(Fault) -> [KernelListing.Link] {
        try KernelListing.links(try await shell.look(.host, "ip", ["-json", "link", "show", "group", "\(names.number)"]))
    }

    /// The facts of a domain's namespace.
    func listInside(_ place: Place) async throws(Fault) -> Set<KernelFact> {
        let links = try await listLinks(place)
        var facts = KernelListing.ports(links.filter { !DomainLinks.fixed.contains($0.ifname) })
        let addresses = try KernelListing.addresses(try await shell.look(place, "ip", ["-json", "-4", "address", "show"]))
        facts.formUnion(addresses.filter { $0.prefix.length == 32 }.map { .address($0.address, link: $0.link) })
        facts.formUnion(try KernelListing.routes(try await shell.look(place, "ip", ["-json", "-4", "route", "show"]), table: nil))
        let neighbours = try await shell.look(place, "ip", ["-json", "-4", "neighbour", "show", "nud", "permanent"])
        facts.formUnion(try KernelListing.neighbours(neighbours))
        if links.contains(where: { $0.ifname == DataplaneNames.tunnel }) {
            let entries = try await shell.look(place, "bridge", ["-json", "fdb", "show", "dev", DataplaneNames.tunnel])
            facts.formUnion(try KernelListing.forwarding(entries, link: DataplaneNames.tunnel))
        }
        return facts
    }

    /// A domain's facts in the host's namespace: what leads over its link, and the proxies of the
    /// addresses that do.
    func listOutside(link: String) async throws(Fault) -> Set<KernelFact> {
        let routes = try await listHostRoutes().filter { $0.link == link }
        let neighbours = try await shell.look(.host, "ip", ["-json", "-4", "neighbour", "show", "nud", "permanent"])
        var facts = routes.union(try KernelListing.neighbours(neighbours).filter { $0.link == link })
        let addresses = Set(routes.compactMap { KernelFact.routedAddress($0) })
        for case .proxy(let address, let uplink) in try await listProxies() where addresses.contains(address) {
            facts.insert(.proxy(address, link: uplink))
        }
        return facts
    }

    /// The installation's own table of routes. The kernel knows no table without routes.
    func listHostRoutes() async throws(Fault) -> Set<KernelFact> {
        let (status, json) = try await shell.attempt(.host, "ip", ["-json", "-4", "route", "show", "table", "\(names.number)"])
        return status == 0 ? try KernelListing.routes(json, table: names.number) : []
    }

    func listProxies() async throws(Fault) -> Set<KernelFact> {
        try KernelListing.proxies(try await shell.look(.host, "ip", ["-json", "-4", "neighbour", "show", "proxy"]))
    }

    func listRoutingRules() async throws(Fault) -> Set<KernelFact> {
        try KernelListing.rules(try await shell.look(.host, "ip", ["-json", "-4", "rule", "show"]))
            .filter { $0 == .rule(table: names.number) }
    }

    /// As much of a domain's last plan as its rules tell: who holds which address, and translations.
    func listRules(_ id: ID<Domain>) async throws(Fault) -> DomainPlan {
        let place = Place.domain(names.namespace(id))
        let (status, json) = try await shell.attempt(place, "nft", ["-json", "list", "ruleset"])
        guard status == 0 else { return DomainPlan(id: id, vni: 1) }
        return try TableListing.plan(json, id: id, table: names.table)
    }

    public func inspect(_ domain: ID<Domain>?) async throws(Fault) -> [Discrepancy] {
        guard let domain else {
            return try await turnstile.pass("host") { () async throws(Fault) -> [Discrepancy] in try await inspectHost() }
        }
        return try await turnstile.pass(domain.hex) { () async throws(Fault) -> [Discrepancy] in
            try await inspectInTurn(domain)
        }
    }

    private func inspectInTurn(_ domain: ID<Domain>) async throws(Fault) -> [Discrepancy] {
        guard let state = states[domain] else { throw Fault(.wrongState, "nothing has been applied to \(domain) yet") }
        let namespace = names.namespace(domain)
        let place = Place.domain(namespace)
        var found: [Discrepancy] = []
        if NamespaceFolder.holds(namespace) {
            let links = try await listLinks(place)
            let present = Set(links.map(\.ifname))
            let fixed = host?.plan.underlay == nil ? DomainLinks.fixed.subtracting([DataplaneNames.tunnel]) : DomainLinks.fixed
            found += fixed.union(state.links).subtracting(present).sorted().map { Discrepancy(.missing, "link \($0)") }
            found += links.filter { fixed.contains($0.ifname) && !$0.isUp }.map { Discrepancy(.missing, "link \($0.ifname) up") }
            found += LinuxDataplane.compare(try await listInside(place), state.inside)
            found += try await compareRules(state.rules, place)
            found += LinuxDataplane.compare(try await listOutside(link: names.hostLink(vni: state.plan.vni)), state.outside)
        } else {
            found.append(Discrepancy(.missing, "namespace \(namespace)"))
        }
        if !found.isEmpty { states[domain] = nil }
        return found
    }

    static func compare(_ have: Set<KernelFact>, _ want: Set<KernelFact>) -> [Discrepancy] {
        want.subtracting(have).map { Discrepancy(.missing, $0.text) }.sorted { $0.what < $1.what }
            + have.subtracting(want).filter(isWorthRemoving).map { Discrepancy(.unexpected, $0.text) }.sorted { $0.what < $1.what }
    }

    /// A placed link that no port claims has some MTU, which is nobody's concern.
    private static func isWorthRemoving(_ fact: KernelFact) -> Bool { !fact.removal.isEmpty }

    func compareRules(_ rules: [Ruleset], _ place: Place) async throws(Fault) -> [Discrepancy] {
        let json = try await shell.look(place, "nft", ["-json", "list", "ruleset"])
        var found: [Discrepancy] = []
        for ruleset in rules { found += try TableListing.compare(json, with: ruleset) }
        return found
    }
}

extension KernelFact {
    /// The address of a /32 route with a next hop.
    static func routedAddress(_ fact: KernelFact) -> IPv4Address? {
        guard case .route(let prefix, .hop, _) = fact, prefix.length == 32 else { return nil }
        return prefix.address
    }
}
