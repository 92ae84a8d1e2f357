//  Reads what `ip -json`, `bridge -json` and `nft -json` list back into facts.

import FoundationEssentials
import Model

/// Parsers of listings. Pure; unknown entries are skipped, malformed text is a fault.
enum KernelListing {
    struct Link: Decodable, Sendable {
        struct Information: Decodable, Sendable {
            struct Data: Decodable, Sendable {
                var id: Int64?
                var local: String?
            }
            // swift-format-ignore: AlwaysUseLowerCamelCase
            var info_kind: String?
            // swift-format-ignore: AlwaysUseLowerCamelCase
            var info_data: Data?
        }
        struct Counters: Decodable, Sendable {
            struct Direction: Decodable, Sendable {
                var bytes: Int64
                var packets: Int64
            }
            var rx: Direction
            var tx: Direction
        }
        var ifname: String
        var flags: [String]?
        var mtu: Int64?
        var address: String?
        /// The device group, as a number where it has no name.
        var group: String?
        var linkinfo: Information?
        var stats64: Counters?

        var isUp: Bool { flags?.contains("UP") == true }
    }

    static func links(_ json: String) throws(Fault) -> [Link] { try decode([Lenient<Link>].self, json).compactMap(\.value) }

    /// The facts of links that are up with the gateway's MAC, and every link's MTU.
    static func ports(_ links: [Link]) -> Set<KernelFact> {
        var facts: Set<KernelFact> = []
        for link in links {
            if let mtu = link.mtu { facts.insert(.mtu(mtu, link: link.ifname)) }
            guard link.isUp, link.address.flatMap({ MACAddress($0) }) == DataplaneNames.gatewayMAC else { continue }
            facts.insert(.port(link: link.ifname))
        }
        return facts
    }

    /// From `ip -json address show`. The host scope's 127.0.0.1 is left out.
    static func addresses(_ json: String) throws(Fault) -> [(link: String, prefix: IPv4Prefix, address: IPv4Address)] {
        struct Entry: Decodable {
            struct Address: Decodable {
                var family: String
                var local: String
                var prefixlen: Int
                var scope: String?
            }
            var ifname: String
            // swift-format-ignore: AlwaysUseLowerCamelCase
            var addr_info: [Address]
        }
        return try decode([Lenient<Entry>].self, json).compactMap(\.value).flatMap { entry in
            entry.addr_info.compactMap { address in
                guard address.family == "inet", address.scope != "host", let parsed = IPv4Address(address.local),
                    let prefix = IPv4Prefix(containing: parsed, length: address.prefixlen)
                else { return nil }
                return (entry.ifname, prefix, parsed)
            }
        }
    }

    /// From `ip -json route show table TABLE`. Routes of the kernel's own are left out.
    static func routes(_ json: String, table: UInt32?) throws(Fault) -> Set<KernelFact> {
        struct Entry: Decodable {
            var type: String?
            var dst: String
            var gateway: String?
            var dev: String?
            var `protocol`: String?
        }
        return Set(
            try decode([Lenient<Entry>].self, json).compactMap(\.value).compactMap { entry in
                guard entry.protocol != "kernel", let prefix = prefix(entry.dst) else { return nil }
                if entry.type == "blackhole" { return .route(prefix, .blackhole, table: table) }
                guard let link = entry.dev else { return nil }
                guard let gateway = entry.gateway else { return .route(prefix, .link(link), table: table) }
                return IPv4Address(gateway).map { .route(prefix, .hop($0, link: link), table: table) }
            })
    }

    /// From `ip -json neighbour show nud permanent`.
    static func neighbours(_ json: String) throws(Fault) -> Set<KernelFact> {
        struct Entry: Decodable {
            var dst: String
            var dev: String
            var lladdr: String?
        }
        return Set(
            try decode([Lenient<Entry>].self, json).compactMap(\.value).compactMap { entry in
                guard let address = IPv4Address(entry.dst), let mac = entry.lladdr.flatMap({ MACAddress($0) }) else { return nil }
                return .neighbour(address, mac, link: entry.dev)
            })
    }

    /// From `ip -json neighbour show proxy`.
    static func proxies(_ json: String) throws(Fault) -> Set<KernelFact> {
        struct Entry: Decodable {
            var dst: String
            var dev: String
        }
        return Set(
            try decode([Lenient<Entry>].self, json).compactMap(\.value).compactMap { entry in
                IPv4Address(entry.dst).map { .proxy($0, link: entry.dev) }
            })
    }

    /// From `bridge -json fdb show dev LINK`.
    static func forwarding(_ json: String, link: String) throws(Fault) -> Set<KernelFact> {
        struct Entry: Decodable {
            var mac: String
            var dst: String?
        }
        return Set(
            try decode([Lenient<Entry>].self, json).compactMap(\.value).compactMap { entry in
                guard let mac = MACAddress(entry.mac), let host = entry.dst.flatMap({ IPv4Address($0) }) else { return nil }
                return .forwarding(mac, host: host, link: link)
            })
    }

    /// From `ip -json rule show`: the tables that are looked up at our preference.
    static func rules(_ json: String) throws(Fault) -> Set<KernelFact> {
        struct Entry: Decodable {
            var priority: Int
            var table: String?
        }
        return Set(
            try decode([Lenient<Entry>].self, json).compactMap(\.value).compactMap { entry in
                guard entry.priority == KernelFact.rulePreference, let table = entry.table.flatMap({ UInt32($0) }) else {
                    return nil
                }
                return .rule(table: table)
            })
    }

    /// The prefix of a route: an address alone is a /32.
    static func prefix(_ text: String) -> IPv4Prefix? {
        if text == "default" { return .everything }
        return IPv4Address(text).map(IPv4Prefix.init(host:)) ?? IPv4Prefix(text)
    }

    static func decode<Value: Decodable>(_: Value.Type, _ json: String) throws(Fault) -> Value
    where Value: RangeReplaceableCollection {
        // ip prints nothing at all for an empty list in some of its commands.
        guard json.contains(where: { !$0.isWhitespace }) else { return Value() }
        do {
            return try JSONDecoder().decode(Value.self, from: Data(json.utf8))
        } catch {
            throw Fault(.driver, "a listing of the kernel could not be read", because: error)
        }
    }

    /// An entry that is not of the expected shape (`{}` among links) is nil.
    struct Lenient<Value: Decodable>: Decodable {
        var value: Value?
        init(from decoder: any Decoder) throws { value = try? Value(from: decoder) }
    }
}
