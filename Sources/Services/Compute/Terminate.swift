//  The one clean-up: from any state, for any reason.

import Authority
import Database
import Model
import Networks
import Operations
import Store
import Volumes

/// A machine before and after a call that changes its state.
public struct StateChange: Sendable {
    public var id: ID<Instance>
    public var before: Instance.Phase
    public var after: Instance.Phase
}

private struct Termination: Codable, Sendable {
    /// Whether a host was ever told to start the machine.
    var hasRun: Bool
}

extension ComputeService {
    /// Removes machines. Those that are gone already stay so.
    ///
    /// - Throws: `.protected` about a machine whose termination is disabled; then none is removed.
    public func terminate(_ ids: [ID<Instance>], by call: Call) async throws(Fault) -> [StateChange] {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            let instances = try tx.find(ids, for: .terminate, by: call)
            try call.endIfDryRun()
            return try instances.map { instance throws(Fault) in
                guard instance.desired != .absent else {
                    return StateChange(id: instance.id, before: instance.phase, after: instance.phase)
                }
                if instance.options.disableTermination {
                    throw Fault(
                        .protected, "may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
                        kind: .instance
                    ).about(instance.id.erased)
                }
                try beginTermination(
                    tx, instance, reason: "Client.UserInitiatedShutdown: User initiated shutdown", request: call.request,
                    principal: call.principal, now: call.now, dice: &dice)
                return StateChange(id: instance.id, before: instance.phase, after: .terminating)
            }
        }
    }

    /// Sets a machine's removal going: what held it fails, its quota comes back at once, and the
    /// rest comes back with the owners' words.
    func beginTermination(
        _ tx: Writing, _ instance: Instance, reason: String, request: String, principal: String, now: Instant, dice: inout Dice
    ) throws(Fault) {
        if let busy = try tx.operation(holding: .instance, instance.id.stored) {
            try tx.fail(busy, reason: "the machine is being removed", at: now)
        }
        var removed = instance
        removed.desired = .absent
        removed.task = .terminating
        removed.fault = reason
        removed.stateChanged = now
        try tx.update(removed)
        try tx.discharge("instances", 1, from: instance.account)
        try tx.discharge("processors", instance.processors, from: instance.account)
        let holding = try tx.holding(.machine, instance.id.stored)
        if let holding, holding.wanted != .absent { try tx.want(.absent, granted: holding.granted, of: holding) }
        // What was granted may have run before its host said so; what its host could not start has not.
        let hasRun = holding.map { $0.startsDone > 0 || $0.granted && $0.observed != .failed } ?? false
        let operation = try terminating.operation(
            id: dice.id(), account: instance.account, zone: instance.zone, subject: instance.id.erased,
            inputs: Termination(hasRun: hasRun), request: request, principal: principal, now: now)
        try tx.begin(operation, holding: [instance.id.erased])
        tx.tell(.instance, instance.id.stored, at: now, source: "cloud", request: request, "being removed: \(reason)")
    }

    /// How long an owner is quiet before its lateness is told. It never ends the waiting.
    static let cleanUpPatience = Duration.seconds(120)

    /// From a machine that should be gone to one that is.
    var terminating: Program {
        Program(
            "instance.terminate",
            steps: [
                Step("machine") { tx, context throws(Fault) in
                    let id = ID<Instance>(stored: context.operation.subject)
                    guard let holding = try tx.holding(.machine, id.stored) else { return .go(to: "disks") }
                    // A machine that was never granted is known to no host.
                    guard try tx.isGone(holding) else { return late(tx, context, [holding], "the machine") }
                    try tx.release(holding)
                    return .go(to: "disks")
                },
                Step("disks") { tx, context throws(Fault) in
                    let id = ID<Instance>(stored: context.operation.subject)
                    let hasRun = try context.inputs(Termination.self).hasRun
                    for attachment in try tx.attachments(of: id) {
                        // A disk that no machine ever saw holds nothing that its owner could want to keep.
                        if attachment.deleteOnTermination || !hasRun {
                            try volumes.drop(tx, attachment.volume)
                        } else {
                            try tx.run("DELETE FROM attachment WHERE id = $1", [attachment.id.value])
                            tx.changed("volume", attachment.volume.stored)
                        }
                    }
                    for port in try tx.ports(of: id) {
                        if port.deleteOnTermination || !hasRun {
                            try networks.removePort(tx, port)
                        } else {
                            try tx.run("UPDATE port SET instance = NULL, revision = revision + 1 WHERE id = $1", [port.id.value])
                            tx.changed("port", port.id.stored)
                        }
                    }
                    return .go(to: "gone")
                },
                Step("gone") { tx, context throws(Fault) in
                    let id = ID<Instance>(stored: context.operation.subject)
                    let attachments = try tx.attachments(of: id)
                    let holdings = try attachments.map { attachment throws(Fault) in try tx.holding(.disk, attachment.volume.stored)
                    }
                    var open: [Holding] = []
                    for holding in holdings.compactMap(\.self) where try !tx.isGone(holding) { open.append(holding) }
                    guard open.isEmpty else { return late(tx, context, open, "its disks") }
                    for holding in holdings.compactMap(\.self) { try tx.release(holding) }
                    for attachment in attachments { try tx.forget(attachment.volume) }
                    if let instance = try tx.find(Instance.table, id) {
                        for image in [instance.kernel, instance.ramdisk].compactMap(\.self) { try tx.left(image) }
                    }
                    try bury(tx, id, context.now)
                    return .finished
                },
            ],
            refused: { tx, context, fault throws(Fault) in
                // The clean-up is never given up.
                tx.tell(
                    .instance, context.operation.subject, at: context.now, source: "cloud",
                    "the removal will be tried again: \(fault.message)")
                return .wait(for: [], until: context.now + .seconds(5))
            })
    }

    private func late(_ tx: Writing, _ context: StepContext, _ holdings: [Holding], _ what: String) -> StepOutcome {
        if context.isOverdue {
            tx.tell(.instance, context.operation.subject, at: context.now, source: "cloud", "the owner is late in removing \(what)")
        }
        return .wait(for: holdings.map(AwaitedRow.holding), until: context.now + ComputeService.cleanUpPatience)
    }

    /// Keeps the row, which a face still shows for a while, and nothing else.
    private func bury(_ tx: Writing, _ id: ID<Instance>, _ now: Instant) throws(Fault) {
        guard var instance = try tx.find(Instance.table, id), instance.ended == nil else { return }
        instance.power = .absent
        instance.task = nil
        instance.ended = now
        instance.stateChanged = now
        try tx.run("DELETE FROM user_data WHERE instance = $1", [id.value])
        try tx.update(instance)
        tx.tell(.instance, id.stored, at: now, source: "cloud", "gone")
        tx.meter("instance.gone", .instance, id.stored, account: instance.account, zone: instance.zone, at: now, facts: "{}")
    }

    /// Removes what is shown no longer: machines that are gone for an hour, tokens that expired.
    public func forget(before now: Instant) async throws(Fault) {
        try await engine.write { tx throws(Fault) in
            let gone = try tx.values(
                "SELECT id FROM instance WHERE ended < $1 ORDER BY ended LIMIT 500", [(now - ComputeService.memory).value],
                as: ID<Instance>.self)
            for id in gone {
                try tx.removeTags(of: .instance, id.stored)
                try tx.run("DELETE FROM instance WHERE id = $1", [id.value])
            }
            try tx.run("DELETE FROM client_token WHERE expires < $1", [now.value])
            // A bounded number at a time: all other writers wait meanwhile.
            try tx.run(
                "DELETE FROM operation WHERE id IN (SELECT id FROM operation WHERE ended < $1 ORDER BY ended LIMIT 2000)",
                [(now - .seconds(7 * 24 * 3600)).value])
            try tx.run(
                "DELETE FROM story WHERE number IN (SELECT number FROM story WHERE at < $1 ORDER BY at LIMIT 5000)",
                [(now - .seconds(30 * 24 * 3600)).value])
        }
    }
}
