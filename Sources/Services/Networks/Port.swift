//  Network interfaces: made with a machine, listed, and removed with it.

import Authority
import Database
import Model
import Store

extension Action where Thing == Port {
    public static let describe = Action("ec2:DescribeNetworkInterfaces")
}

/// A port with what a list shows of it.
public struct PortView: Sendable {
    public var port: Port
    public var zone: Zone
    public var groups: [(id: ID<Group>, name: String)]
    public var address: Address?
    public var tags: [Tag]

    public init(port: Port, zone: Zone, groups: [(id: ID<Group>, name: String)], address: Address?, tags: [Tag]) {
        self.port = port
        self.zone = zone
        self.groups = groups
        self.address = address
        self.tags = tags
    }
}

extension NetworksService {
    /// A page of the account's ports in order of id, or the named ones.
    public func ports(_ ids: [ID<Port>], after: Int64, limit: Int, by call: Call) async throws(Fault) -> [PortView] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Port>.describe)
            let ports =
                ids.isEmpty
                ? try tx.ports(ofAccount: call.account(), after: after, limit: limit)
                : try tx.find(ids, for: .describe, by: call)
            let zones = Dictionary(try tx.zones().map { ($0.id, $0) }) { first, _ in first }
            return try ports.map { port throws(Fault) in
                guard let zone = zones[port.zone] else { throw Fault(missing: port.zone.erased) }
                let groups = try tx.groups(of: port.id).map { id throws(Fault) in
                    (id: id, name: try tx.find(Group.table, id)?.name ?? "")
                }
                return PortView(
                    port: port, zone: zone, groups: groups, address: try tx.address(of: port.id),
                    tags: try tx.tags(of: .port, port.id.stored))
            }
        }
    }

    /// What a new port is to be.
    public struct PortRequest: Sendable {
        public var subnet: Subnet
        public var address: IPv4Address?
        public var groups: [ID<Group>]
        public var instance: ID<Instance>
        public var deviceIndex: Int64
        public var deleteOnTermination: Bool
        public var description: String
        public var withPublicAddress: Bool

        public init(
            subnet: Subnet, address: IPv4Address?, groups: [ID<Group>], instance: ID<Instance>, deviceIndex: Int64,
            deleteOnTermination: Bool, description: String, withPublicAddress: Bool
        ) {
            self.subnet = subnet
            self.address = address
            self.groups = groups
            self.instance = instance
            self.deviceIndex = deviceIndex
            self.deleteOnTermination = deleteOnTermination
            self.description = description
            self.withPublicAddress = withPublicAddress
        }
    }

    /// Makes a port, with its claims on addresses.
    ///
    /// - Throws: `.noAddress` when the subnet or the public range is used up, `.inUse` when the
    ///   wanted address is held, `.invalidParameter` when it is not one of the subnet's.
    public func addPort(_ tx: Writing, _ request: PortRequest, now: Instant, dice: inout Dice) throws(Fault) -> Port {
        let subnet = request.subnet
        guard let network = try tx.find(Network.table, subnet.network) else { throw Fault(missing: subnet.network.erased) }
        if let wanted = request.address, !subnet.usable.contains(wanted.bits) {
            throw Fault(.invalidParameter, "Address \(wanted) does not fall within the subnet's address range", kind: .address)
        }
        var port = Port(
            id: dice.id(), account: subnet.account, zone: subnet.zone, network: network.id, subnet: subnet.id,
            router: subnet.router,
            domain: network.domain, mac: MACAddress(local: dice.next()), address: request.address ?? subnet.gateway,
            instance: request.instance, deviceIndex: request.deviceIndex, deleteOnTermination: request.deleteOnTermination,
            sourceCheck: true, description: request.description, created: now, revision: 1)
        while try !tx.claim(port, in: Port.table) { port.mac = MACAddress(local: dice.next()) }
        guard let address = try tx.claimAddress(of: subnet, for: port.id, wanted: request.address, dice: &dice) else {
            if let wanted = request.address { throw Fault(.inUse, "Address \(wanted) is in use.", kind: .address) }
            throw Fault(.noAddress, "There are not enough free addresses in the subnet.", kind: .subnet).about(subnet.id.erased)
        }
        port.address = address
        try tx.run("UPDATE port SET address = $2 WHERE id = $1", [port.id.value, address.value])
        try tx.set(groups: request.groups, of: port.id)
        if request.withPublicAddress {
            let id: ID<Address> = dice.id()
            let made = try tx.claimPublicAddress(
                {
                    Address(
                        id: id, account: subnet.account, address: $0, isAutomatic: true, port: port.id, created: now, revision: 1)
                },
                dice: &dice)
            if made == nil { throw Fault(.noAddress, "No public address is free.", kind: .address) }
        }
        return port
    }

    /// Removes a port; its automatic address goes with it, another one is only parted from it.
    public func removePort(_ tx: Writing, _ port: Port) throws(Fault) {
        if let address = try tx.address(of: port.id) {
            if address.isAutomatic {
                try tx.release(address)
            } else {
                try tx.run("UPDATE address SET port = NULL, revision = revision + 1 WHERE id = $1", [address.id.value])
            }
        }
        try tx.remove(port)
    }
}
