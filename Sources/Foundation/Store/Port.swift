//  Ports in the store, and the claims on private addresses.

import Database
import Model

extension Port {
    public static let table = Table(
        "port",
        Field("id", \Port.id),
        Field("account", \Port.account),
        Field("zone", \Port.zone),
        Field("network", \Port.network),
        Field("subnet", \Port.subnet),
        Field("router", \Port.router),
        Field("domain", \Port.domain),
        Field("mac", \Port.mac),
        Field("address", \Port.address),
        Field("instance", \Port.instance),
        Field("device_index", \Port.deviceIndex),
        Field("delete_on_termination", \Port.deleteOnTermination),
        Field("source_check", \Port.sourceCheck),
        Field("description", \Port.description),
        Field("created", \Port.created),
        Field("revision", \Port.revision),
        make: Port.init)
}

extension Reading {
    /// A machine's ports by device index.
    public func ports(of instance: ID<Instance>) throws(Fault) -> [Port] {
        try all(Port.table, where: "instance = $1 ORDER BY device_index", [instance.value])
    }

    public func ports(ofAccount account: ID<Account>, after: Int64, limit: Int) throws(Fault) -> [Port] {
        try all(Port.table, where: "account = $1 AND id > $2 ORDER BY id LIMIT $3", [account.value, after.value, limit.value])
    }

    /// A port's groups in the order in which they were given.
    public func groups(of port: ID<Port>) throws(Fault) -> [ID<Group>] {
        try values("SELECT security_group FROM port_group WHERE port = $1 ORDER BY place", [port.value])
    }
}

extension Writing {
    /// Claims an address for a port: the wanted one, or a free one by random probes and, when the
    /// network is nearly full, the lowest free one.
    ///
    /// - Returns: Nil when the wanted address is held or none is left.
    public func claimAddress(
        of subnet: Subnet, for port: ID<Port>, wanted: IPv4Address?, dice: inout Dice
    ) throws(Fault) -> IPv4Address? {
        if let wanted { return try claim(wanted, of: subnet, for: port) ? wanted : nil }
        let usable = subnet.usable
        guard !usable.isEmpty else { return nil }
        for _ in 0..<24 {
            let address = IPv4Address(bits: UInt32.random(in: usable, using: &dice))
            if try claim(address, of: subnet, for: port) { return address }
        }
        let held = Set(
            try values(
                "SELECT address FROM port_address WHERE network = $1 AND address BETWEEN $2 AND $3",
                [subnet.network.value, subnet.prefix.first.value, subnet.prefix.last.value], as: IPv4Address.self))
        for bits in usable where !held.contains(IPv4Address(bits: bits)) {
            if try claim(IPv4Address(bits: bits), of: subnet, for: port) { return IPv4Address(bits: bits) }
        }
        return nil
    }

    private func claim(_ address: IPv4Address, of subnet: Subnet, for port: ID<Port>) throws(Fault) -> Bool {
        try run(
            "INSERT INTO port_address (network, address, port, is_primary) VALUES ($1, $2, $3, TRUE) ON CONFLICT DO NOTHING",
            [subnet.network.value, address.value, port.value]) == 1
    }

    /// Puts a port into groups, in place of those that it was in.
    public func set(groups: [ID<Group>], of port: ID<Port>) throws(Fault) {
        try run("DELETE FROM port_group WHERE port = $1", [port.value])
        for (place, group) in groups.enumerated() {
            post(
                "INSERT INTO port_group (port, security_group, place) VALUES ($1, $2, $3)", [port.value, group.value, place.value])
        }
        changed("port", port.stored)
    }

    /// Removes a port with its claims. Its address is free from here on.
    public func remove(_ port: Port) throws(Fault) {
        try run("DELETE FROM port_group WHERE port = $1", [port.id.value])
        try run("DELETE FROM port_address WHERE port = $1", [port.id.value])
        try removeTags(of: .port, port.id.stored)
        try run("DELETE FROM port WHERE id = $1", [port.id.value])
        changed("port", port.id.stored)
    }
}

extension Subnet {
    /// The addresses that ports may hold: all but the first four and the last, which EC2 reserves
    /// (network, gateway, DNS, future use, broadcast).
    public var usable: Range<UInt32> {
        let first = UInt64(prefix.first.bits) + 4
        let last = UInt64(prefix.last.bits)
        return first < last ? UInt32(first)..<UInt32(last) : prefix.first.bits..<prefix.first.bits
    }

    /// The gateway: the first address after the network's own.
    public var gateway: IPv4Address { IPv4Address(bits: prefix.first.bits &+ 1) }
}
