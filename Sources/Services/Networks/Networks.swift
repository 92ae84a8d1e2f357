//  Virtual networks: the default network that every account begins with, and lists of them.

import Authority
import Database
import Model
import Store

extension Action where Thing == Router {
    public static let describe = Action("ec2:DescribeVpcs")
    public static let describeAttribute = Action("ec2:DescribeVpcAttribute")
}

extension Action where Thing == Subnet {
    public static let describe = Action("ec2:DescribeSubnets")
}

/// The networks service.
public struct NetworksService: Sendable {
    let engine: any Engine

    /// Octets that guests' packets may have on every link.
    public let mtu: Int64

    public init(engine: any Engine, mtu: Int64) {
        self.engine = engine
        self.mtu = mtu
    }

    /// The default VPC's range, as on AWS.
    static let defaultPrefix = IPv4Prefix("172.31.0.0/16")

    /// A subnet with what a list shows of it.
    public struct SubnetView: Sendable {
        public var subnet: Subnet
        public var zone: Zone
        public var freeAddresses: Int
        public var tags: [Tag]
    }

    /// The account's VPCs with their tags, in order of id.
    public func routers(by call: Call) async throws(Fault) -> [(router: Router, tags: [Tag])] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Router>.describe)
            return try tx.routers(of: call.account()).map { router throws(Fault) in
                (router, try tx.tags(of: .router, router.id.stored))
            }
        }
    }

    /// The VPC that a launch goes to which names none.
    public func defaultRouter(by call: Call) async throws(Fault) -> ID<Router>? {
        try await engine.readNow { tx throws(Fault) in try tx.defaultRouter(of: call.account())?.id }
    }

    /// One VPC, for reading what is set on it.
    public func router(_ id: ID<Router>, for action: Action<Router>, by call: Call) async throws(Fault) -> Router {
        try await engine.readNow { tx throws(Fault) in try tx.find(id, for: action, by: call).row }
    }

    /// The account's subnets, in order of id.
    public func subnets(by call: Call) async throws(Fault) -> [SubnetView] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Subnet>.describe)
            return try tx.subnets(of: call.account()).map { subnet throws(Fault) in
                guard let zone = try tx.find(Zone.table, subnet.zone) else { throw Fault(missing: subnet.zone.erased) }
                let held = try tx.heldAddresses(in: subnet)
                return SubnetView(
                    subnet: subnet, zone: zone, freeAddresses: max(0, subnet.usable.count - held),
                    tags: try tx.tags(of: .subnet, subnet.id.stored))
            }
        }
    }

    /// Makes an account's default network: a router with a routing domain, a subnet in each zone,
    /// and a group whose members reach each other.
    ///
    /// - Parameter ingress: What the group lets in besides, with the rules' descriptions.
    public func addDefaults(
        _ tx: Writing, for account: ID<Account>, ingress: [(permission: Permission, description: String)], now: Instant,
        dice: inout Dice
    ) throws(Fault) {
        guard let prefix = NetworksService.defaultPrefix, try tx.defaultRouter(of: account) == nil else { return }
        let domain = try addDomain(tx, for: account, dice: &dice)
        let router = Router(
            id: dice.id(), account: account, domain: domain, prefix: prefix, isDefault: true, created: now, revision: 1)
        tx.insert(router, into: Router.table)
        let network = Network(
            id: dice.id(), account: account, router: router.id, domain: domain, mtu: mtu, created: now, revision: 1)
        tx.insert(network, into: Network.table)
        try addSubnets(tx, to: router, in: tx.zones(), now: now, dice: &dice)
        let group = addDefaultGroup(tx, of: router, now: now, dice: &dice)
        for (permission, description) in ingress {
            try add(tx, permission, description, isEgress: false, to: group, now: now, dice: &dice)
        }
    }

    /// Gives the default networks of all accounts a subnet in a zone that came after them.
    public func addDefaults(_ tx: Writing, in zone: Zone, now: Instant, dice: inout Dice) throws(Fault) {
        for router in try tx.all(Router.table, where: "is_default ORDER BY id") {
            try addSubnets(tx, to: router, in: [zone], now: now, dice: &dice)
        }
    }

    /// A default subnet in each zone that the default network has none in: the next free sixteenth of its range.
    private func addSubnets(
        _ tx: Writing, to router: Router, in zones: [Zone], now: Instant, dice: inout Dice
    ) throws(Fault) {
        guard let network = try tx.all(Network.table, where: "router = $1 ORDER BY created, id LIMIT 1", [router.id.value]).first
        else { return }
        var subnets = try tx.subnets(in: router.id)
        for zone in zones where !subnets.contains(where: { $0.zone == zone.id && $0.isDefault }) {
            let ranges = (0..<Int64(16)).compactMap { place in
                router.prefix.first.advanced(by: place << 12).flatMap { IPv4Prefix(containing: $0, length: 20) }
            }
            guard let range = ranges.first(where: { range in !subnets.contains { $0.prefix.overlaps(range) } }) else { return }
            let subnet = Subnet(
                id: dice.id(), account: router.account, network: network.id, router: router.id, zone: zone.id, prefix: range,
                isDefault: true, mapPublicAddress: true, created: now, revision: 1)
            tx.insert(subnet, into: Subnet.table)
            subnets.append(subnet)
        }
    }

    /// A routing domain with a VNI that no other has.
    func addDomain(_ tx: Writing, for account: ID<Account>, dice: inout Dice) throws(Fault) -> ID<Domain> {
        for _ in 0..<64 {
            let domain = Domain(id: dice.id(), account: account, vni: Int64.random(in: 4096...16_777_215, using: &dice))
            if try tx.claim(domain, in: Domain.table) { return domain.id }
        }
        throw Fault(.limitExceeded, "No virtual network identifier is free.")
    }

    private func addDefaultGroup(_ tx: Writing, of router: Router, now: Instant, dice: inout Dice) -> Group {
        let group = Group(
            id: dice.id(), account: router.account, router: router.id, name: Group.defaultName,
            description: "default VPC security group", created: now, revision: 1)
        tx.insert(group, into: Group.table)
        tx.insert(
            Rule(
                id: dice.id(), account: router.account, group: group.id, isEgress: false, protocolNumber: -1, fromPort: -1,
                toPort: -1, prefix: nil, peer: group.id, description: "", created: now), into: Rule.table)
        tx.insert(Rule.allowingAllOut(of: group, id: dice.id(), now: now), into: Rule.table)
        return group
    }
}

extension Group {
    public static let defaultName = "default"
}

extension Rule {
    /// What every new group begins with: everything may leave.
    static func allowingAllOut(of group: Group, id: ID<Rule>, now: Instant) -> Rule {
        Rule(
            id: id, account: group.account, group: group.id, isEgress: true, protocolNumber: -1, fromPort: -1, toPort: -1,
            prefix: .everything, peer: nil, description: "", created: now)
    }
}
