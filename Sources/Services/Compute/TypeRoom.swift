//  How many machines of each type there is room for, zone by zone: what Eucalyptus told its users.

import Authority
import Database
import Model
import Store

/// Room for machines of one type in a zone.
public struct TypeRoom: Sendable, Hashable {
    public var zone: String
    /// On empty hosts, and now. Of one type alone: machines of another take from it.
    public var most: Int64
    public var free: Int64
}

extension ComputeService {
    /// The room for some types, by type and in order of the zones' names.
    public func rooms(for types: [InstanceType], by call: Call) async throws(Fault) -> [String: [TypeRoom]] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Instance>.describeTypes)
            var rooms: [String: [TypeRoom]] = [:]
            for zone in try tx.zones() {
                let hosts = try tx.hosts(in: zone.id)
                let empty = hosts.map { host in
                    var host = host
                    host.processorsFree = host.processors
                    host.memoryFree = host.memory
                    return host
                }
                for type in types {
                    let need = Need(processors: type.processors, memory: type.memory)
                    rooms[type.name, default: []].append(
                        TypeRoom(
                            zone: zone.name, most: ZoneRoom(zone: zone.id, need: need, hosts: empty).machines,
                            free: ZoneRoom(zone: zone.id, need: need, hosts: hosts).machines))
                }
            }
            return rooms
        }
    }
}
