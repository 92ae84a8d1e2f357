//  Stop, start, reboot, and a machine that powers itself off.

import Authority
import Database
import Model
import Operations
import Store

extension ComputeService {
    /// Stops machines: each is asked to shut down and is switched off when it does not.
    public func stop(_ ids: [ID<Instance>], by call: Call) async throws(Fault) -> [StateChange] {
        try await change(ids, for: .stop, by: call) { tx, instance, dice throws(Fault) in
            switch instance.phase {
            case .stopped: return .stopped
            case .stopping where instance.task != nil: return .stopping
            case .running, .stopping: break
            default: throw wrongState(instance, for: "stopped")
            }
            if instance.options.disableStop {
                throw Fault(
                    .protected, "may not be stopped. Modify its 'disableApiStop' instance attribute and try again.", kind: .instance
                ).about(instance.id.erased)
            }
            try beginStop(
                tx, instance, reason: "Client.UserInitiatedShutdown: User initiated shutdown", request: call.request,
                principal: call.principal, now: call.now, dice: &dice)
            return .stopping
        }
    }

    /// Starts stopped machines, on the host of their disks.
    ///
    /// - Throws: `.noCapacity` when that host is full.
    public func start(_ ids: [ID<Instance>], by call: Call) async throws(Fault) -> [StateChange] {
        try await change(ids, for: .start, by: call) { tx, instance, dice throws(Fault) in
            switch instance.phase {
            case .running, .starting, .launching: return instance.phase
            case .stopped: break
            default: throw wrongState(instance, for: "started")
            }
            guard let holding = try tx.holding(.machine, instance.id.stored), let host = holding.host else {
                throw Fault(.internalError, "The machine has no host.")
            }
            guard try tx.find(Host.table, host)?.state == .up else {
                throw Fault(.noCapacity, "The host of the machine's disks is not there to start it.", kind: .instance)
            }
            try tx.releaseCapacity(of: holding)
            guard try tx.claim(host: host, processors: instance.processors, memory: instance.memory) else {
                throw Fault(.noCapacity, "The host of the machine's disks has not enough capacity to start it.", kind: .instance)
            }
            try tx.run(
                "UPDATE holding SET processors = $2, memory = $3 WHERE id = $1",
                [holding.id.value, instance.processors.value, instance.memory.value])
            var started = instance
            started.desired = .running
            started.task = .starting
            started.fault = nil
            started.startsWanted += 1
            started.launched = call.now
            started.stateChanged = call.now
            try tx.update(started)
            try tx.want(.running, granted: true, of: holding)
            try tx.grantAnew(holding)
            try begin(tx, starting, instance, call, &dice, "start accepted")
            return .starting
        }
    }

    /// Reboots machines. Those that do not run are left alone, as EC2 does.
    public func reboot(_ ids: [ID<Instance>], by call: Call) async throws(Fault) {
        _ = try await change(ids, for: .reboot, by: call) { tx, instance, _ throws(Fault) in
            guard instance.phase == .running else {
                if [.terminating, .gone].contains(instance.phase) { throw wrongState(instance, for: "rebooted") }
                return instance.phase
            }
            var rebooted = instance
            rebooted.rebootsWanted += 1
            try tx.update(rebooted)
            if let holding = try tx.holding(.machine, instance.id.stored) { try tx.want(.running, granted: true, of: holding) }
            tx.tell(.instance, instance.id.stored, at: call.now, source: "cloud", request: call.request, "reboot accepted")
            return instance.phase
        }
    }

    private func change(
        _ ids: [ID<Instance>], for action: Action<Instance>, by call: Call,
        _ body: @escaping @Sendable (Writing, Instance, inout Dice) throws(Fault) -> Instance.Phase
    ) async throws(Fault) -> [StateChange] {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            let instances = try tx.find(ids, for: action, by: call)
            try call.endIfDryRun()
            return try instances.map { instance throws(Fault) in
                StateChange(id: instance.id, before: instance.phase, after: try body(tx, instance, &dice))
            }
        }
    }

    private func wrongState(_ instance: Instance, for verb: String) -> Fault {
        Fault(.wrongState, "is not in a state from which it can be \(verb).", kind: .instance).about(instance.id.erased)
    }

    private func begin(
        _ tx: Writing, _ program: Program, _ instance: Instance, _ call: Call, _ dice: inout Dice, _ line: String
    ) throws(Fault) {
        let operation = try program.operation(
            id: dice.id(), account: instance.account, zone: instance.zone, subject: instance.id.erased, inputs: [String: String](),
            request: call.request, principal: call.principal, now: call.now)
        try tx.begin(operation, holding: [instance.id.erased])
        tx.tell(.instance, instance.id.stored, at: call.now, source: "cloud", request: call.request, line)
    }

    func beginStop(
        _ tx: Writing, _ instance: Instance, reason: String, request: String, principal: String, now: Instant, dice: inout Dice
    ) throws(Fault) {
        guard let holding = try tx.holding(.machine, instance.id.stored) else {
            throw Fault(.internalError, "The machine has no host.")
        }
        var stopped = instance
        stopped.desired = .stopped
        stopped.task = .stopping
        stopped.fault = reason
        stopped.stateChanged = now
        try tx.update(stopped)
        try tx.want(.stopped, granted: true, of: holding)
        let operation = try stopping.operation(
            id: dice.id(), account: instance.account, zone: instance.zone, subject: instance.id.erased, inputs: [String: String](),
            request: request, principal: principal, now: now)
        try tx.begin(operation, holding: [instance.id.erased])
        tx.tell(.instance, instance.id.stored, at: now, source: "cloud", request: request, "being stopped: \(reason)")
    }

    /// What a machine that its host reports as off, without being asked, becomes: stopped, or
    /// removed if it was launched so. Called in the transaction that writes the report. While a
    /// launch or a start is under way, that operation acts on it.
    public func poweredOff(_ tx: Writing, _ holding: Holding, now: Instant, dice: inout Dice) throws(Fault) {
        let id = ID<Instance>(stored: holding.thing)
        guard let instance = try tx.find(Instance.table, id), instance.desired == .running, instance.task == nil,
            holding.startsDone >= instance.startsWanted
        else { return }
        try actOnPowerOff(tx, instance, holding, request: "", principal: "system", now: now, dice: &dice)
    }

    /// A guest that shut itself down does as its options say; one whose process died is kept.
    func actOnPowerOff(
        _ tx: Writing, _ instance: Instance, _ holding: Holding, request: String, principal: String, now: Instant, dice: inout Dice
    ) throws(Fault) {
        if let fault = holding.fault {
            try beginStop(
                tx, instance, reason: "Server.InternalError: \(fault)", request: request, principal: principal, now: now,
                dice: &dice)
            return
        }
        let reason = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
        if instance.options.terminateOnShutdown {
            try beginTermination(tx, instance, reason: reason, request: request, principal: principal, now: now, dice: &dice)
        } else {
            try beginStop(tx, instance, reason: reason, request: request, principal: principal, now: now, dice: &dice)
        }
    }

    /// How long a host may take to stop a machine; it gives the guest two minutes of this.
    static let stopPatience = Duration.seconds(300)

    var stopping: Program {
        Program(
            "instance.stop",
            steps: [
                Step("off") { tx, context throws(Fault) in
                    var (instance, holding) = try subject(tx, context)
                    guard holding.observed == .off || holding.observed == .failed else {
                        if context.isOverdue {
                            tx.tell(
                                .instance, instance.id.stored, at: context.now, source: "cloud",
                                "the host is late in stopping the machine")
                        }
                        return .wait(for: [.holding(holding)], until: context.now + ComputeService.stopPatience)
                    }
                    try tx.releaseCapacity(of: holding)
                    instance.power = .off
                    instance.task = nil
                    instance.stateChanged = context.now
                    try tx.update(instance)
                    tx.tell(.instance, instance.id.stored, at: context.now, source: "cloud", "stopped")
                    tx.meter(
                        "instance.stopped", .instance, instance.id.stored, account: instance.account, zone: instance.zone,
                        at: context.now,
                        facts: "{}")
                    return .finished
                }
            ],
            refused: { tx, context, fault throws(Fault) in
                // A machine that is being stopped can be neither stopped nor started: it is gone on with.
                tx.tell(
                    .instance, context.operation.subject, at: context.now, source: "cloud",
                    "the stop will be tried again: \(fault.message)")
                return .wait(for: [], until: context.now + .seconds(5))
            })
    }

    var starting: Program {
        Program(
            "instance.start",
            steps: [
                Step("running") { tx, context throws(Fault) in
                    let (_, holding) = try subject(tx, context)
                    if holding.observed == .failed || context.isOverdue {
                        return try backToStopped(tx, context, holding.fault ?? "the host did not start the machine in time")
                    }
                    return try reachedRunning(tx, context)
                }
            ],
            refused: { tx, context, fault throws(Fault) in try backToStopped(tx, context, fault.message) })
    }

    /// A start that failed puts back what was wanted before: the machine is stopped, with a reason.
    private func backToStopped(_ tx: Writing, _ context: StepContext, _ reason: String) throws(Fault) -> StepOutcome {
        var dice = context.dice
        try tx.letGo(context.operation.id)
        let (instance, _) = try subject(tx, context)
        try beginStop(
            tx, instance, reason: "Server.InternalError: \(reason)", request: context.operation.request,
            principal: context.operation.principal, now: context.now, dice: &dice)
        return .failed(reason)
    }
}
