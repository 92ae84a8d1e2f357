//  The driver of a real host: namespaces, links, routes and nftables of Linux. What was applied is
//  remembered, so that a change costs its difference; what is not known (a fresh process, a failed
//  command) is listed from the kernel first.

import Logging
import Model
import Platform

/// One routed network namespace for each routing domain on this host, joined to the host by a veth
/// and to other hosts by VXLAN.
public actor LinuxDataplane: DataplaneDriver {
    /// What a domain looked like when its last plan was made.
    struct DomainState {
        var plan: DomainPlan
        var rules: [Ruleset]
        var inside: Set<KernelFact>
        var outside: Set<KernelFact>
        /// The links in the namespace that may be ports.
        var links: Set<String>
    }

    struct HostState {
        var plan: HostPlan
        var rules: Ruleset
        var facts: Set<KernelFact>
    }

    public nonisolated let names: DataplaneNames
    let shell: HostShell
    let log: Logger
    let turnstile = Turnstile()
    var host: HostState?
    var states: [ID<Domain>: DomainState] = [:]

    /// - Parameters:
    ///   - hostNamespace: The named namespace that stands for the host, for tests; nil is the
    ///     machine itself.
    ///   - failPoint: Asked before each command that changes something.
    /// - Throws: `Fault.invalidParameter` if the installation's mark is not usable in names.
    public init(
        installation: Installation, log: Logger, hostNamespace: String? = nil,
        failPoint: (@Sendable (_ command: String) -> FailPoint)? = nil
    ) throws(Fault) {
        names = try DataplaneNames(installation)
        shell = HostShell(hostNamespace: hostNamespace, failPoint: failPoint)
        self.log = log
    }

    public nonisolated func namespacePath(_ id: ID<Domain>) -> String {
        "\(HostShell.namespaceFolder)/\(names.namespace(id))"
    }

    public func domains() async throws(Fault) -> [ID<Domain>] {
        try NamespaceFolder.names().compactMap { names.domain(ofNamespace: $0) }.sorted()
    }

    @discardableResult
    public func apply(_ plan: DomainPlan) async throws(Fault) -> AppliedWork {
        guard let hostPlan = host?.plan else { throw Fault(.wrongState, "the host's network has not been prepared") }
        try PlanCheck.check(plan, host: hostPlan)
        return try await turnstile.pass(plan.id.hex) { () async throws(Fault) -> AppliedWork in
            try await applyInTurn(plan, hostPlan)
        }
    }

    private func applyInTurn(_ plan: DomainPlan, _ hostPlan: HostPlan) async throws(Fault) -> AppliedWork {
        let before = shell.work
        if let other = states.values.first(where: { $0.plan.vni == plan.vni && $0.plan.id != plan.id }) {
            throw Fault(.conflict, "\(other.plan.id) has the network number \(plan.vni) already")
        }
        if let state = states[plan.id], state.plan.vni == plan.vni {
            if state.plan == plan { return AppliedWork() }
            try await change(state, to: plan, hostPlan)
        } else {
            states[plan.id] = nil
            states[plan.id] = try await establish(plan, hostPlan)
        }
        let after = shell.work
        return AppliedWork(commands: after.commands - before.commands, lines: after.lines - before.lines)
    }

    /// Makes the difference between two plans. A failure forgets the domain, so that the next
    /// `apply` asks the kernel.
    private func change(_ state: DomainState, to plan: DomainPlan, _ hostPlan: HostPlan) async throws(Fault) {
        states[plan.id] = nil
        let place = Place.domain(names.namespace(plan.id))
        var new = state
        new.plan = plan
        new.rules = DomainRules.rulesets(plan, names: names)
        new.inside = PlannedFacts.inside(plan, links: state.links)
        new.outside = PlannedFacts.outside(plan, host: hostPlan, names: names)
        try await shell.nft(place, zip(new.rules, state.rules).map { $0.difference(from: $1) }.joined())
        var lines = KernelFact.difference(from: state.inside, to: new.inside)
        var outer = KernelFact.difference(from: state.outside, to: new.outside)
        if plan.mtu != state.plan.mtu {
            lines = fixedLinks(plan, hostPlan) + lines
            outer.append(BatchLine(text: "link set dev \(names.hostLink(vni: plan.vni)) mtu \(plan.mtu)"))
        }
        try await shell.batch(place, lines)
        try await shell.batch(.host, outer)
        try await shell.conntrack(place, StaleFlows.inside(from: state.plan, to: plan))
        try await shell.conntrack(.host, StaleFlows.outside(from: state.plan, to: plan))
        states[plan.id] = new
    }

    /// The links of the namespace that are no guest's, as they should be.
    func fixedLinks(_ plan: DomainPlan, _ hostPlan: HostPlan) -> [BatchLine] {
        var lines = [
            BatchLine(text: "link set dev lo up"),
            BatchLine(text: "link set dev \(DataplaneNames.wayOut) mtu \(plan.mtu) up"),
        ]
        if hostPlan.underlay != nil { lines.append(BatchLine(text: "link set dev \(DataplaneNames.tunnel) mtu \(plan.mtu) up")) }
        return lines
    }

    public func counters(_ domain: ID<Domain>) async throws(Fault) -> [String: LinkCounters] {
        let json = try await shell.look(.domain(names.namespace(domain)), "ip", ["-json", "-statistics", "link", "show"])
        var counters: [String: LinkCounters] = [:]
        for link in try KernelListing.links(json) where !DomainLinks.fixed.contains(link.ifname) {
            guard let stats = link.stats64 else { continue }
            // What the link receives is what its guest sent.
            counters[link.ifname] = LinkCounters(
                sentBytes: stats.rx.bytes, sentPackets: stats.rx.packets, receivedBytes: stats.tx.bytes,
                receivedPackets: stats.tx.packets)
        }
        return counters
    }
}

/// The links of a domain's namespace that are no guest's.
enum DomainLinks {
    static let fixed: Set<String> = ["lo", DataplaneNames.wayOut, DataplaneNames.tunnel]
}
