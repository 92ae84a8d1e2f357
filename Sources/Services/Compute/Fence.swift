//  What becomes of a lost host's things when the operator says that it runs nothing any more: its
//  machines are stopped, what should go is gone, what was under way fails, and their addresses and
//  capacity are free again. What the host may still have it is told to remove when it comes back.

import Authority
import Database
import Model
import Operations
import Store

extension ComputeService {
    /// What a fence changed.
    public struct FenceOutcome: Sendable, Hashable {
        /// Machines that ran there and are stopped now.
        public var stopped = 0
        /// Machines whose launch, start, stop or removal ends now.
        public var ending = 0

        public init() {}
    }

    static let fenceReason = "Server.InternalError: the machine's host was lost and fenced"

    /// Fences a lost host. Twice is harmless.
    ///
    /// - Throws: `.notFound`; `.wrongState` for a host that is not lost.
    public func fence(host name: String, request: String) async throws(Fault) -> FenceOutcome {
        let now = chance.now()
        let seed = chance.bits()
        return try await engine.write { tx throws(Fault) in
            var dice = Dice(seed: seed)
            guard let host = try tx.host(named: name) else { throw Fault(.notFound, "there is no host \(name): karri host list") }
            guard try tx.fence(of: host.id) == nil else { return FenceOutcome() }
            guard host.state == .lost else {
                throw Fault(
                    .wrongState,
                    "host \(name) is \(host.state.rawValue), and only a lost one is fenced: end its node, and wait until karri status says lost"
                )
            }
            tx.insert(Fence(host: host.id, at: now), into: Fence.table)
            tx.tell(.host, host.id.stored, at: now, source: "cloud", request: request, "fenced")
            var outcome = FenceOutcome()
            for holding in try tx.holdings(on: host.id, pool: host.pool) {
                switch holding.kind {
                case .machine: try fenceMachine(tx, holding, request, now, &dice, &outcome)
                case .disk, .image: try fenceThing(tx, holding)
                }
            }
            return outcome
        }
    }

    private func fenceMachine(
        _ tx: Writing, _ holding: Holding, _ request: String, _ now: Instant, _ dice: inout Dice, _ outcome: inout FenceOutcome
    ) throws(Fault) {
        guard let instance = try tx.find(Instance.table, ID<Instance>(stored: holding.thing)) else { return }
        if instance.task != nil { outcome.ending += 1 }
        // A machine that no host was told of is given up by what it waits for.
        guard holding.granted else { return }
        switch holding.wanted {
        case .absent:
            // Its removal looks again, and finds the fence.
            try tx.observe(
                holding.observed, fault: holding.fault, startsDone: holding.startsDone, rebootsDone: holding.rebootsDone,
                of: holding
            )
        case .running where instance.task != nil, .present where instance.task != nil:
            _ = try tx.note(fenced(.failed, holding), of: holding)
        case .running, .present, .stopped:
            guard holding.observed != .off || holding.wanted != .stopped else { return }
            _ = try tx.note(fenced(.off, holding), of: holding)
            guard instance.desired == .running, instance.task == nil, let off = try tx.find(Instance.table, instance.id) else {
                return
            }
            outcome.stopped += 1
            try beginStop(
                tx, off, reason: ComputeService.fenceReason, request: request, principal: "system", now: now, dice: &dice)
        }
    }

    /// A disk or a copy that was there stays, for the host's return; one that was on its way failed.
    private func fenceThing(_ tx: Writing, _ holding: Holding) throws(Fault) {
        guard holding.wanted != .absent, holding.observed != .ready else {
            return try tx.observe(
                holding.observed, fault: holding.fault, startsDone: holding.startsDone, rebootsDone: holding.rebootsDone,
                of: holding
            )
        }
        _ = try tx.note(fenced(.failed, holding), of: holding)
    }

    private func fenced(_ observed: Holding.Observed, _ holding: Holding) -> Observation {
        Observation(
            observed, fault: "the host was lost and fenced", startsDone: holding.startsDone, rebootsDone: holding.rebootsDone)
    }

    /// Lets a fenced host come back. It is told to remove what it should no longer have before it is
    /// given anything.
    ///
    /// - Returns: How many things it is told to remove.
    /// - Throws: `.notFound`; `.wrongState` for a host that is not fenced.
    public func accept(host name: String, request: String) async throws(Fault) -> Int {
        let now = chance.now()
        return try await engine.write { tx throws(Fault) in
            guard let host = try tx.host(named: name) else { throw Fault(.notFound, "there is no host \(name): karri host list") }
            guard try tx.run("DELETE FROM fence WHERE host = $1", [host.id.value]) == 1 else {
                throw Fault(.wrongState, "host \(name) is not fenced")
            }
            tx.tell(.host, host.id.stored, at: now, source: "cloud", request: request, "accepted again")
            tx.changed("host", host.id.stored)
            return try tx.count("SELECT count(*) FROM remnant WHERE host = $1", [host.id.value])
        }
    }
}
