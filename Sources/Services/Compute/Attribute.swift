//  What of a machine may be changed after its launch.

import Authority
import Database
import Model
import Store

/// One change of a machine's attributes.
public enum InstanceChange: Sendable {
    case disableTermination(Bool)
    case disableStop(Bool)
    case terminateOnShutdown(Bool)
    case ebsOptimized(Bool)
    /// Only while stopped.
    case type(InstanceType)
    /// Only while stopped.
    case userData([UInt8])
    case sourceCheck(Bool)
    case groups([ID<Group>])
    case deleteOnTermination(device: String, Bool)
}

extension ComputeService {
    /// Changes one attribute.
    ///
    /// - Throws: `.wrongState` for what can only be changed while the machine is stopped.
    public func modify(_ id: ID<Instance>, _ change: InstanceChange, by call: Call) async throws(Fault) {
        var sealed: [UInt8] = []
        if case .userData(let data) = change {
            sealed = try seal.seal(data, belonging: ComputeService.belonging(id), chance: chance)
        }
        let sealedData = sealed
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var instance = try tx.find(id, for: .modifyAttribute, by: call).row
            guard instance.desired != .absent else { throw Fault(missing: id.erased) }
            try call.endIfDryRun()
            switch change {
            case .disableTermination(let value): instance.options.disableTermination = value
            case .disableStop(let value): instance.options.disableStop = value
            case .terminateOnShutdown(let value): instance.options.terminateOnShutdown = value
            case .ebsOptimized(let value):
                try requireStopped(instance, "ebsOptimized")
                instance.options.ebsOptimized = value
            case .type(let type):
                try requireStopped(instance, "instanceType")
                try tx.discharge("processors", instance.processors, from: instance.account)
                try tx.charge("processors", type.processors, to: instance.account)
                instance.type = type.name
                instance.processors = type.processors
                instance.memory = type.memory
            case .userData:
                try requireStopped(instance, "userData")
                try tx.run(
                    "INSERT INTO user_data (instance, sealed) VALUES ($1, $2) ON CONFLICT (instance) DO UPDATE SET sealed = $2",
                    [id.value, .blob(sealedData)])
            case .sourceCheck(let value):
                guard let port = try tx.ports(of: id).first else { throw Fault(missing: id.erased) }
                try tx.run(
                    "UPDATE port SET source_check = $2, revision = revision + 1 WHERE id = $1", [port.id.value, value.value])
                tx.changed("port", port.id.stored)
            case .groups(let groups):
                try set(tx, groups, of: instance, call)
            case .deleteOnTermination(let device, let value):
                let changed = try tx.run(
                    "UPDATE attachment SET delete_on_termination = $3 WHERE instance = $1 AND device = $2",
                    [id.value, .text(device), value.value])
                guard changed == 1 else {
                    throw Fault(.invalidParameter, "No device is currently mapped at \(device)", kind: .attachment)
                }
            }
            try tx.update(instance)
        }
    }

    private func set(_ tx: Writing, _ groups: [ID<Group>], of instance: Instance, _ call: Call) throws(Fault) {
        guard !groups.isEmpty else {
            throw Fault(.missingParameter, "The request must contain the parameter GroupId", kind: .group)
        }
        var members: [ID<Group>] = []
        for id in groups where !members.contains(id) {
            members.append(id)
            let group = try tx.find(id, for: .describe, by: call).row
            guard group.router == instance.router else {
                throw Fault(.invalidParameter, "The security group and the instance belong to different networks.", kind: .group)
            }
        }
        guard let port = try tx.ports(of: instance.id).first else { throw Fault(missing: instance.id.erased) }
        try tx.set(groups: members, of: port.id)
    }

    private func requireStopped(_ instance: Instance, _ attribute: String) throws(Fault) {
        guard instance.phase == .stopped else {
            throw Fault(
                .wrongState, "must be stopped before modifying the '\(attribute)' attribute.", kind: .instance
            ).about(instance.id.erased)
        }
    }
}
