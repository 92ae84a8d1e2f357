//  Readers of what the kernel and its tools print: sockets, routes, addresses, chains, the user
//  namespace. Pure; a line or an entry that is not understood is left out.

import Model

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

enum KernelTables {
    /// The listeners in /proc/net/tcp, tcp6, udp or udp6 (proc(5)): for TCP those in state LISTEN,
    /// for UDP those that are not connected.
    static func listeners(_ transport: HostFacts.Transport, in table: String) -> [HostFacts.Listener] {
        let state = transport == .tcp ? "0A" : "07"
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 3, fields[3] == state else { return nil }
            let parts = fields[1].split(separator: ":")
            guard parts.count == 2, let port = UInt16(parts[1], radix: 16) else { return nil }
            return HostFacts.Listener(transport, port, on: address(parts[0]))
        }
    }

    /// Four bytes in the machine's order, which is little-endian on all that we run on. An IPv6
    /// address counts as all addresses unless it is the loopback's or a mapped one of IPv4.
    private static func address(_ text: Substring) -> IPv4Address? {
        let isMapped = text.utf8.count == 32 && text.hasPrefix("0000000000000000FFFF0000")
        if text.utf8.count == 32, text == "00000000000000000000000001000000" { return IPv4Address(127, 0, 0, 1) }
        guard text.utf8.count == 8 || isMapped, let bits = UInt32(text.suffix(8), radix: 16), bits != 0 else { return nil }
        return IPv4Address(bits: bits.byteSwapped)
    }

    private struct RouteEntry: Decodable {
        var type: String?
        var dst: String
        var gateway: String?
        var dev: String?
        var metric: Int?
    }

    /// The IPv4 routes that lead somewhere, from `ip -json -4 route show table all`.
    static func routes(_ json: String) -> [HostFacts.Route] {
        entries(of: RouteEntry.self, in: json).compactMap { entry in
            guard entry.type == nil || entry.type == "unicast", let device = entry.dev,
                let destination = prefix(entry.dst)
            else { return nil }
            return HostFacts.Route(
                destination, device: device, gateway: entry.gateway.flatMap { IPv4Address($0) }, metric: entry.metric ?? 0)
        }
    }

    private static func prefix(_ text: String) -> IPv4Prefix? {
        text == "default" ? .everything : IPv4Prefix(text, lenient: true) ?? IPv4Address(text).map(IPv4Prefix.init(host:))
    }

    private struct LinkEntry: Decodable {
        struct Address: Decodable {
            var family: String
            var local: String
            var prefixlen: Int
        }
        enum CodingKeys: String, CodingKey {
            case name = "ifname"
            case addresses = "addr_info"
        }
        var name: String
        var addresses: [Address]
    }

    /// The interfaces with their IPv4 addresses, from `ip -json address`.
    static func interfaces(_ json: String, wireless: Set<String>) -> [HostFacts.Interface] {
        entries(of: LinkEntry.self, in: json).map { entry in
            let pairs = entry.addresses.compactMap { info -> (IPv4Address, IPv4Prefix)? in
                guard info.family == "inet", let address = IPv4Address(info.local),
                    let network = IPv4Prefix(containing: address, length: info.prefixlen)
                else { return nil }
                return (address, network)
            }
            return HostFacts.Interface(
                name: entry.name, addresses: pairs.map(\.0), networks: pairs.map(\.1), isWireless: wireless.contains(entry.name)
            )
        }
    }

    private struct Ruleset: Decodable {
        struct Entry: Decodable { var chain: Chain? }
        struct Chain: Decodable {
            var family: String
            var table: String
            var name: String
            var hook: String?
            var policy: String?
        }
        var nftables: [Entry]
    }

    /// What drops forwarded packets, from `nft -j list chains`. Chains of tables with Karri's mark
    /// are its own. Docker, ufw and firewalld are known by their chains whatever these say now,
    /// since they rewrite them.
    static func firewalls(_ json: String, mark: String) -> [HostFacts.Firewall] {
        guard let ruleset = try? JSONDecoder().decode(Ruleset.self, from: Data(json.utf8)) else { return [] }
        let chains = ruleset.nftables.compactMap(\.chain).filter { !$0.table.hasPrefix(mark) }
        var found: [HostFacts.Firewall] = []
        if chains.contains(where: { $0.name == "DOCKER-USER" }) { found.append(.docker) }
        if chains.contains(where: { $0.name == "ufw-before-forward" }) { found.append(.ufw) }
        if chains.contains(where: { $0.table == "firewalld" }) { found.append(.firewalld) }
        let isExplained = !found.isEmpty
        for chain in chains where chain.hook == "forward" && chain.policy == "drop" {
            // The drop policy of iptables' own chain is Docker's or ufw's doing where they are.
            let isTheirs = isExplained && chain.name == "FORWARD" || chain.table == "firewalld"
            if !isTheirs { found.append(.chain(table: "\(chain.family) \(chain.table)", name: chain.name)) }
        }
        return found
    }

    /// The name servers in resolv.conf(5) that have an IPv4 address.
    static func resolvers(_ text: String) -> [IPv4Address] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return words.count > 1 && words[0] == "nameserver" ? IPv4Address(words[1]) : nil
        }
    }

    /// The user ids that exist, from /proc/self/uid_map (user_namespaces(7)).
    static func userIds(_ table: String) -> [ClosedRange<UInt32>] {
        table.split(separator: "\n").compactMap { line in
            let numbers = line.split(separator: " ").compactMap { UInt64($0) }
            guard numbers.count == 3, numbers[2] > 0, let first = UInt32(exactly: numbers[0]),
                let last = UInt32(exactly: numbers[0] + min(numbers[2], UInt64(UInt32.max)) - 1)
            else { return nil }
            return first...last
        }
    }

    /// `MemTotal` of /proc/meminfo.
    static func memory(_ text: String) -> ByteCount {
        for line in text.split(separator: "\n") where line.hasPrefix("MemTotal:") {
            if let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int64($0) }), kibibytes < 1 << 50 {
                return ByteCount(kibibytes << 10)
            }
        }
        return .zero
    }

    /// Who made a virtual machine, from the firmware's words; nil for one that is not, or by no
    /// maker that we know.
    static func machineMaker(vendor: String, product: String, tag: String) -> String? {
        switch (vendor, product) {
        case ("Amazon EC2", _): "Amazon EC2"
        case ("Xen", _) where tag.lowercased().hasPrefix("amazon"): "Amazon EC2"
        case ("Google", _): "Google Compute Engine"
        // Azure's chassis tag tells it from Hyper-V in an office.
        case ("Microsoft Corporation", "Virtual Machine"): tag == "7783-7084-3265-9085-8269-3286-77" ? "Microsoft Azure" : "Hyper-V"
        case ("DigitalOcean", _), ("Hetzner", _), ("Scaleway", _), ("Linode", _), ("Vultr", _), ("Alibaba Cloud", _): vendor
        case ("OpenStack Foundation", _), ("OpenStack", _), (_, "OpenStack Nova"), (_, "OpenStack Compute"): "OpenStack"
        case _ where tag == "OracleCloud.com": "Oracle Cloud"
        case ("QEMU", _): "QEMU"
        case ("VMware, Inc.", _): "VMware"
        case ("innotek GmbH", _): "VirtualBox"
        case ("Xen", _): "Xen"
        default: nil
        }
    }

    private struct Optionally<Value: Decodable>: Decodable {
        var value: Value?
        init(from decoder: any Decoder) { value = try? Value(from: decoder) }
    }

    /// The entries of a JSON array that have the wanted shape.
    private static func entries<Value: Decodable>(of _: Value.Type, in json: String) -> [Value] {
        let decoded = try? JSONDecoder().decode([Optionally<Value>].self, from: Data(json.utf8))
        return (decoded ?? []).compactMap(\.value)
    }
}
