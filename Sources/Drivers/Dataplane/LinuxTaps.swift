//  Taps: made in the host's namespace, where libvirt opens them, then moved into their domain.

import Model

extension LinuxDataplane {
    public func createTap(_ name: String, owner: UInt32) async throws(Fault) {
        try PlanCheck.check(link: name)
        guard host != nil else { throw Fault(.wrongState, "the host's network has not been prepared") }
        let (status, json) = try await shell.attempt(.host, "ip", ["-json", "-details", "link", "show", "dev", name])
        if status == 0, let link = try KernelListing.links(json).first {
            guard link.linkinfo?.info_kind == "tun", link.group == "\(names.number)" || link.group == "default", !link.isUp else {
                throw Fault(.conflict, "the link \(name) exists and is not an unused tap of this cloud")
            }
            // Its owner is fixed when it is made.
            try await shell.batch(.host, [.gone("link delete dev \(name)")])
        }
        try await shell.batch(
            .host,
            [
                BatchLine(text: "tuntap add dev \(name) mode tap user \(owner)"),
                BatchLine(text: "link set dev \(name) group \(names.number) addrgenmode none"),
            ])
    }

    public func placeTap(_ name: String, in domain: ID<Domain>) async throws(Fault) {
        try PlanCheck.check(link: name)
        try await turnstile.pass(domain.hex) { () async throws(Fault) in try await placeInTurn(name, domain) }
    }

    private func placeInTurn(_ name: String, _ domain: ID<Domain>) async throws(Fault) {
        guard var state = states[domain] else { throw Fault(.wrongState, "\(domain) has not been applied") }
        guard !DomainLinks.fixed.contains(name) else { throw Fault(.invalidParameter, "'\(name)' is not a port's link") }
        states[domain] = nil
        let namespace = names.namespace(domain)
        // Gone from the host means here already, or nowhere: the next step tells.
        try await shell.batch(.host, [.gone("link set dev \(name) netns \(namespace)")])
        // What the kernel knew of the link ended with the move.
        let have = state.inside.filter { $0.link != name }
        state.links.insert(name)
        state.inside = PlannedFacts.inside(state.plan, links: state.links)
        var lines = KernelFact.difference(from: have, to: state.inside)
        if lines.isEmpty { lines = [BatchLine(text: "link show dev \(name)")] }
        do throws(Fault) {
            try await shell.batch(.domain(namespace), lines)
        } catch {
            guard error.code == .notFound else { throw error }
            throw Fault(.notFound, "there is no link \(name) to place", cause: error.description)
        }
        states[domain] = state
    }

    public func removeTap(_ name: String) async throws(Fault) {
        try PlanCheck.check(link: name)
        let line = [BatchLine.gone("link delete dev \(name)")]
        // A link that was never moved is the host's; but the machine's own links have no number.
        if try await listHostLinks().contains(where: { $0.ifname == name }) { try await shell.batch(.host, line) }
        for domain in try await domains() where states[domain]?.links.contains(name) ?? true {
            try await turnstile.pass(domain.hex) { () async throws(Fault) in
                guard NamespaceFolder.holds(names.namespace(domain)) else { return }
                try await shell.batch(.domain(names.namespace(domain)), line)
                states[domain]?.links.remove(name)
                if let inside = states[domain]?.inside { states[domain]?.inside = inside.filter { $0.link != name } }
            }
        }
    }

    public func taps() async throws(Fault) -> [String: TapPlace] {
        var places: [String: TapPlace] = [:]
        let ends = { [names] (name: String) in name.hasPrefix(names.hostLinkPrefix) || name.hasPrefix("\(names.mark)v") }
        for link in try await listHostLinks() where !ends(link.ifname) { places[link.ifname] = .host }
        for domain in try await domains() {
            let json = try await shell.look(.domain(names.namespace(domain)), "ip", ["-json", "link", "show"])
            for link in try KernelListing.links(json) where !DomainLinks.fixed.contains(link.ifname) {
                places[link.ifname] = .domain(domain)
            }
        }
        return places
    }

    /// The host's ends of the domains' ways out, by name.
    public func hostEnds() async throws(Fault) -> [String] {
        try await listHostLinks().map(\.ifname).filter { [names] name in name.hasPrefix(names.hostLinkPrefix) }
    }
}
