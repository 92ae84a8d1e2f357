//  The twin in memory: the same seam without a kernel, good for tens of thousands of ports, with
//  faults and delays to order. It keeps what was applied, so that tests can ask.

import Model
import Synchronization

/// A dataplane that only remembers. It refuses what the real one refuses.
public final class SimulatedDataplane: DataplaneDriver {
    public struct State: Sendable {
        public var host: HostPlan?
        public var plans: [ID<Domain>: DomainPlan] = [:]
        public var taps: [String: TapPlace] = [:]
        public var owners: [String: UInt32] = [:]
        public var obstacles: [ForwardingObstacle] = []
        public var counters: [String: LinkCounters] = [:]
        /// How often each call was made.
        public var calls: [Call: Int] = [:]
    }

    public enum Call: String, Sendable, CaseIterable {
        case prepareHost, apply, removeDomain, domains, createTap, placeTap, removeTap, taps, counters, inspect, obstacles
        case overcome, removeEverything
    }

    public let names: DataplaneNames
    private let stored = Mutex(State())
    private let trouble: @Sendable (Call) async throws(Fault) -> Void

    /// - Parameter trouble: Run before each call: may throw, wait, or both.
    public init(names: DataplaneNames, trouble: @escaping @Sendable (Call) async throws(Fault) -> Void = { _ throws(Fault) in }) {
        self.names = names
        self.trouble = trouble
    }

    /// What has been applied so far.
    public var state: State { stored.withLock { $0 } }

    /// Changes the world behind the driver's back: a reboot, an obstacle, traffic.
    public func alter(_ change: (inout State) -> Void) { stored.withLock { change(&$0) } }

    public func prepareHost(_ plan: HostPlan) async throws(Fault) {
        try await begin(.prepareHost)
        try PlanCheck.check(plan)
        stored.withLock { $0.host = plan }
    }

    @discardableResult
    public func apply(_ plan: DomainPlan) async throws(Fault) -> AppliedWork {
        try await begin(.apply)
        guard let host = state.host else { throw SimulatedDataplane.unprepared }
        try PlanCheck.check(plan, host: host)
        return try change { state throws(Fault) -> AppliedWork in
            if state.plans[plan.id] == plan { return AppliedWork() }
            if state.plans.values.contains(where: { $0.vni == plan.vni && $0.id != plan.id }) {
                throw Fault(.conflict, "another domain has the network number \(plan.vni) already")
            }
            state.plans[plan.id] = plan
            return AppliedWork(commands: 1, lines: 1)
        }
    }

    public func removeDomain(_ id: ID<Domain>) async throws(Fault) {
        try await begin(.removeDomain)
        stored.withLock { state in
            state.plans[id] = nil
            state.taps = state.taps.filter { $0.value != .domain(id) }
        }
    }

    public func domains() async throws(Fault) -> [ID<Domain>] {
        try await begin(.domains)
        return state.plans.keys.sorted()
    }

    public func namespacePath(_ id: ID<Domain>) -> String { "\(HostShell.namespaceFolder)/\(names.namespace(id))" }

    public func createTap(_ name: String, owner: UInt32) async throws(Fault) {
        try await begin(.createTap)
        try PlanCheck.check(link: name)
        guard state.host != nil else { throw SimulatedDataplane.unprepared }
        stored.withLock { state in
            state.taps[name] = .host
            state.owners[name] = owner
        }
    }

    public func placeTap(_ name: String, in domain: ID<Domain>) async throws(Fault) {
        try await begin(.placeTap)
        try change { state throws(Fault) in
            guard state.plans[domain] != nil else { throw Fault(.wrongState, "\(domain) has not been applied") }
            guard state.taps[name] == .host || state.taps[name] == .domain(domain) else {
                throw Fault(.notFound, "there is no link \(name) to place")
            }
            state.taps[name] = .domain(domain)
        }
    }

    public func removeTap(_ name: String) async throws(Fault) {
        try await begin(.removeTap)
        stored.withLock { state in
            state.taps[name] = nil
            state.owners[name] = nil
        }
    }

    public func taps() async throws(Fault) -> [String: TapPlace] {
        try await begin(.taps)
        return state.taps
    }

    public func counters(_ domain: ID<Domain>) async throws(Fault) -> [String: LinkCounters] {
        try await begin(.counters)
        let state = state
        let here = state.taps.filter { $0.value == .domain(domain) }.keys
        return Dictionary(uniqueKeysWithValues: here.map { ($0, state.counters[$0] ?? LinkCounters()) })
    }

    public func inspect(_ domain: ID<Domain>?) async throws(Fault) -> [Discrepancy] {
        try await begin(.inspect)
        let state = state
        guard let domain else { return state.host == nil ? [Discrepancy(.missing, "the host's part")] : [] }
        guard let plan = state.plans[domain] else { return [Discrepancy(.missing, "namespace \(names.namespace(domain))")] }
        return plan.ports.map(\.link).filter { state.taps[$0] != .domain(domain) }.sorted().map {
            Discrepancy(.missing, "link \($0)")
        }
    }

    public func obstacles() async throws(Fault) -> [ForwardingObstacle] {
        try await begin(.obstacles)
        return state.obstacles
    }

    public func overcome(_ obstacle: ForwardingObstacle) async throws(Fault) {
        try await begin(.overcome)
        stored.withLock { state in
            for index in state.obstacles.indices where state.obstacles[index] == obstacle {
                state.obstacles[index].isOvercome = true
            }
        }
    }

    public func removeEverything() async throws(Fault) {
        try await begin(.removeEverything)
        stored.withLock { state in state = State(calls: state.calls) }
    }

    private func begin(_ call: Call) async throws(Fault) {
        stored.withLock { $0.calls[call, default: 0] += 1 }
        try await trouble(call)
    }

    private func change<Value: Sendable>(_ body: (inout State) throws(Fault) -> Value) throws(Fault) -> Value {
        let result: Result<Value, Fault> = stored.withLock { state in
            do throws(Fault) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private static let unprepared = Fault(.wrongState, "the host's network has not been prepared")
}
