//  One routing domain as its entries tell it, kept up entry by entry, and this host's plan of it.

import Dataplane
import Fabric
import Model
import SwiftProtobuf

/// What is known of a domain.
struct DomainView: Sendable {
    private var domain: DomainEntry?
    private var subnets: [String: SubnetEntry] = [:]
    /// The ports that are on this host. Of the others only what a plan needs is kept: a large domain
    /// is held by every host that has a machine in it.
    private var ports: [String: PortEntry] = [:]
    private var groups: [String: GroupEntry] = [:]
    /// Addresses by group, over all hosts, each list sorted: a plan takes it as it is.
    private var members: [UInt64: [IPv4Address]] = [:]
    private let host: UInt64

    init(host: ID<Host>) { self.host = host.bits }

    /// Takes an entry; nil: it is gone.
    ///
    /// - Parameter before: What was taken under this key until now.
    mutating func set(_ key: String, _ payload: [UInt8]?, before: [UInt8]?) throws(Fault) {
        do {
            if key == "domain" {
                domain = try payload.map { try DomainEntry(serializedBytes: $0) }
            } else if key.hasPrefix("subnet/") {
                subnets[key] = try payload.map { try SubnetEntry(serializedBytes: $0) }
            } else if key.hasPrefix("group/") {
                groups[key] = try payload.map { try GroupEntry(serializedBytes: $0) }
            } else if key.hasPrefix("port/") {
                setPort(
                    key, try payload.map { try PortEntry(serializedBytes: $0) },
                    before: try before.map { try PortEntry(serializedBytes: $0) })
            }
        } catch {
            throw Fault(.internalError, "The entry \(key) of a domain is damaged.", because: error)
        }
    }

    private mutating func setPort(_ key: String, _ port: PortEntry?, before: PortEntry?) {
        if let before { for group in before.groups { forget(before.address, in: group) } }
        ports[key] = port.flatMap { $0.host == host ? $0 : nil }
        if let port { for group in port.groups { add(port.address, to: group) } }
    }

    private mutating func add(_ address: UInt32, to group: UInt64) {
        let member = IPv4Address(bits: address)
        let place = DomainView.place(of: member, in: members[group] ?? [])
        members[group, default: []].insert(member, at: place)
    }

    private mutating func forget(_ address: UInt32, in group: UInt64) {
        let member = IPv4Address(bits: address)
        let place = DomainView.place(of: member, in: members[group] ?? [])
        if let list = members[group], list.indices.contains(place), list[place] == member { members[group]?.remove(at: place) }
    }

    /// Where an address stands in a sorted list, or would.
    private static func place(of address: IPv4Address, in list: [IPv4Address]) -> Int {
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle].bits < address.bits { low = middle + 1 } else { high = middle }
        }
        return low
    }

    var isEmpty: Bool { domain == nil }
    var mtu: Int { Int(domain?.mtu ?? 1450) }

    /// The subnets' ranges by their ids.
    var subnetPrefixes: [(id: ID<Subnet>, prefix: IPv4Prefix)] {
        subnets.values.compactMap { entry in IPv4Prefix(entry.prefix).map { (ID(bits: entry.subnet), $0) } }.sorted {
            $0.id < $1.id
        }
    }

    /// What the dataplane should make of it here.
    func plan(_ names: DataplaneNames) -> DomainPlan? {
        guard let domain else { return nil }
        let here = ports.sorted { $0.key < $1.key }.map(\.value)
        let used = Set(here.flatMap(\.groups)).sorted()
        let planned = used.compactMap { group in groups["group/\(hexDigits(group))"].map(Self.plannedGroup) }
        let peers = Set(
            planned.flatMap { $0.ingress + $0.egress }.compactMap { rule -> ID<Group>? in
                if case .group(let peer) = rule.peer { peer } else { nil }
            })
        return DomainPlan(
            id: ID(bits: domain.domain), vni: Int64(domain.vni), mtu: domain.mtu,
            ranges: [IPv4Prefix(domain.prefix)].compactMap(\.self),
            subnets: subnetPrefixes.map {
                PlannedSubnet(prefix: $0.prefix, gateway: $0.prefix.gateway, nameServer: $0.prefix.nameServer)
            },
            ports: here.map { port in
                let address = IPv4Address(bits: port.address)
                return PlannedPort(
                    id: ID(bits: port.port), link: names.tap(ID(bits: port.port)), mac: MACAddress(bits: port.mac),
                    addresses: [address],
                    publicAddresses: port.publicAddress == 0
                        ? [] : [PublicAddress(IPv4Address(bits: port.publicAddress), for: address)],
                    groups: port.groups.map { ID(bits: $0) }, sourceCheck: port.sourceCheck)
            },
            groups: planned,
            members: peers.sorted().map { group in
                GroupMembers(group: group, addresses: members[group.bits] ?? [])
            })
    }

    private static func plannedGroup(_ entry: GroupEntry) -> PlannedGroup {
        var group = PlannedGroup(id: ID(bits: entry.group))
        for rule in entry.rules {
            let peer: RulePeer
            if rule.peer != 0 {
                peer = .group(ID(bits: rule.peer))
            } else if let prefix = IPv4Prefix(rule.prefix) {
                peer = .prefix(prefix)
            } else {
                continue
            }
            guard let traffic = traffic(rule) else { continue }
            if rule.egress {
                group.egress.append(PlannedRule(traffic, peer))
            } else {
                group.ingress.append(PlannedRule(traffic, peer))
            }
        }
        return group
    }

    private static func traffic(_ rule: RuleEntry) -> Traffic? {
        switch rule.protocol {
        case -1: return .everything
        case 6, 17:
            guard let first = UInt16(exactly: max(0, rule.from)), let last = UInt16(exactly: rule.to < 0 ? 65535 : rule.to) else {
                return nil
            }
            return rule.protocol == 6 ? .tcp(PortRange(first, last)) : .udp(PortRange(first, last))
        case 1: return .icmp(type: UInt8(exactly: rule.from), code: UInt8(exactly: rule.to))
        default: return UInt8(exactly: rule.protocol).map { .internetProtocol($0) }
        }
    }
}

extension IPv4Prefix {
    /// The router of a range: its first address after the network's own.
    var gateway: IPv4Address { IPv4Address(bits: first.bits &+ 1) }
    /// The name server of a range, as on EC2: the second.
    var nameServer: IPv4Address { IPv4Address(bits: first.bits &+ 2) }
}
