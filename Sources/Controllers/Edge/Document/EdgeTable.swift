//  The document arranged for serving: who has this MAC or address, and which names are whose.
//  Made once for each domain when its part of the document changes; requests only read it.

import Model
import Synchronization

/// One domain, with its guests by MAC and by address.
struct DomainTable: Sendable {
    /// A port and the guest and subnet that it belongs to.
    struct Entry: Sendable {
        var guest: EdgeGuest
        var port: EdgePort
        var subnet: EdgeSubnet
        var primaryAddress: IPv4Address
        /// The host name without a zone.
        var hostName: String
    }

    let domain: EdgeDomain
    private let byMAC: [MACAddress: Entry]
    private let byAddress: [IPv4Address: Entry]
    private let records: [String: [IPv4Address]]
    private let served: Set<IPv4Address>

    init(_ domain: EdgeDomain) {
        self.domain = domain
        var byMAC: [MACAddress: Entry] = [:]
        var byAddress: [IPv4Address: Entry] = [:]
        var records: [String: [IPv4Address]] = [:]
        for record in domain.records { records[record.name.lowercased(), default: []].append(record.address) }
        for guest in domain.guests {
            for port in guest.ports {
                guard let subnet = domain.subnets.first(where: { $0.prefix == port.prefix }), let primary = port.addresses.first
                else { continue }
                let entry = Entry(
                    guest: guest, port: port, subnet: subnet, primaryAddress: primary,
                    hostName: port.hostName ?? DomainTable.hostName(of: primary))
                byMAC[port.mac] = entry
                for address in port.addresses { byAddress[address] = entry }
                if !subnet.domainName.isEmpty {
                    let zone = subnet.domainName.lowercased()
                    records["\(entry.hostName.lowercased()).\(zone)"] = [primary]
                    if port.id == guest.ports.first?.id { records["\(guest.id.lowercased()).\(zone)"] = [primary] }
                }
                if let name = port.publicHostName { records[name.lowercased(), default: []].append(primary) }
            }
        }
        self.byMAC = byMAC
        self.byAddress = byAddress
        self.records = records
        served = Set(domain.subnets.flatMap(\.served)).union([DomainTable.resolver])
    }

    func entry(mac: MACAddress) -> Entry? { byMAC[mac] }
    func entry(address: IPv4Address) -> Entry? { byAddress[address] }
    /// The addresses of a name in the document, given in lower case.
    func records(named name: String) -> [IPv4Address]? { records[name] }
    /// Whether an address lies in a subnet of this domain, on this host or another.
    func holds(_ address: IPv4Address) -> Bool { domain.subnets.contains { $0.prefix.contains(address) } }

    /// The sockets that this domain is served on.
    var sockets: Set<EdgeSocket> {
        var sockets: Set<EdgeSocket> = [
            EdgeSocket(.dhcp, IPv4Address(bits: 0)), EdgeSocket(.metadata, DomainTable.metadataService),
        ]
        for address in served {
            sockets.insert(EdgeSocket(.nameDatagram, address))
            sockets.insert(EdgeSocket(.nameStream, address))
        }
        return sockets
    }

    /// The metadata service's address, the same in every domain.
    static let metadataService = IPv4Address(169, 254, 169, 254)
    /// The name server's address that is the same in every domain.
    static let resolver = IPv4Address(169, 254, 169, 253)

    /// EC2's private name of an address, without a zone: `ip-10-0-0-5`.
    static func hostName(of address: IPv4Address) -> String {
        "ip-" + address.bytes.map { String($0) }.joined(separator: "-")
    }
}

/// What edge serves now. Handlers on any event loop read it; only the link writes it.
final class EdgeState: Sendable {
    struct Content: Sendable {
        var settings: EdgeSettings?
        var domains: [String: DomainTable] = [:]
        var generation: Int64?
    }

    private let content = Mutex(Content())

    func domain(_ id: String) -> DomainTable? { content.withLock { $0.domains[id] } }
    var settings: EdgeSettings? { content.withLock { $0.settings } }
    var generation: Int64? { content.withLock { $0.generation } }
    var domainIds: [String] { content.withLock { Array($0.domains.keys) } }

    func update(_ change: (inout Content) -> Void) { content.withLock { change(&$0) } }
}
