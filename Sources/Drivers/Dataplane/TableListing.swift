//  Reads `nft -json list ruleset`: to see whether a table is as applied, and to learn from a
//  former process's rules who held which address.

import FoundationEssentials
import Model

/// Any JSON, for nft's listings, whose shapes vary from entry to entry.
enum JSONValue: Decodable, Sendable, Hashable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([String: JSONValue].self) {
            self = .object(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else {
            self = .number(try container.decode(Double.self))
        }
    }

    subscript(_ key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members[key]
    }

    var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    var list: [JSONValue] {
        guard case .array(let list) = self else { return [] }
        return list
    }
}

/// Parsers of nft's listings. Pure.
enum TableListing {
    /// The entries (tables, chains, sets, rules) of a listing: kind and content.
    ///
    /// - Throws: `Fault.driver` if the text is not nft's JSON.
    static func entries(_ json: String) throws(Fault) -> [(kind: String, value: JSONValue)] {
        let whole: JSONValue
        do {
            whole = try JSONDecoder().decode(JSONValue.self, from: Data(json.utf8))
        } catch {
            throw Fault(.driver, "nft's listing could not be read", because: error)
        }
        guard case .array(let list)? = whole["nftables"] else { throw Fault(.driver, "nft's listing has another shape") }
        return list.flatMap { entry -> [(kind: String, value: JSONValue)] in
            guard case .object(let members) = entry else { return [] }
            return members.map { (kind: $0.key, value: $0.value) }
        }
    }

    /// Compares names and numbers: chains with their rules, sets and maps with their elements.
    static func compare(_ json: String, with ruleset: Ruleset) throws(Fault) -> [Discrepancy] {
        let mine = try entries(json).filter { _, value in
            value["family"]?.text == ruleset.family && (value["table"] ?? value["name"])?.text == ruleset.name
        }
        var chains: [String: Int] = [:]
        var elements: [String: Int] = [:]
        for (kind, value) in mine {
            switch kind {
            case "chain": if let name = value["name"]?.text { chains[name, default: 0] += 0 }
            case "rule": if let name = value["chain"]?.text { chains[name, default: 0] += 1 }
            case "set", "map": if let name = value["name"]?.text { elements[name] = value["elem"]?.list.count ?? 0 }
            default: break
            }
        }
        let wantedChains = ruleset.chains.mapValues(\.rules.count)
        let wantedElements = ruleset.collections.mapValues(\.elements.count)
        let what = "table \(ruleset.family) \(ruleset.name)"
        guard mine.contains(where: { $0.kind == "table" }) else { return [Discrepancy(.missing, what)] }
        return differences(chains, wantedChains, "\(what) chain", "rules")
            + differences(elements, wantedElements, "\(what) set", "elements")
    }

    private static func differences(_ have: [String: Int], _ want: [String: Int], _ what: String, _ unit: String) -> [Discrepancy] {
        Set(have.keys).union(want.keys).sorted().compactMap { name in
            guard have[name] != want[name] else { return nil }
            let sense: Discrepancy.Sense = (have[name] ?? -1) < (want[name] ?? -1) ? .missing : .unexpected
            return Discrepancy(sense, "\(what) \(name): \(have[name] ?? 0) of \(want[name] ?? 0) \(unit)")
        }
    }

    /// What a domain's tables tell of the plan that they were made from: ports with addresses,
    /// public addresses, shared addresses.
    static func plan(_ json: String, id: ID<Domain>, table: String) throws(Fault) -> DomainPlan {
        var plan = DomainPlan(id: id, vni: 1)
        var ports: [String: PlannedPort] = [:]
        var mappings: [PublicAddress] = []
        for (_, value) in try entries(json) where value["table"]?.text == table {
            for element in value["elem"]?.list ?? [] {
                switch value["name"]?.text {
                case "senders":
                    let parts = (element["concat"]?.list ?? []).compactMap(\.text)
                    guard parts.count == 3, let mac = MACAddress(parts[1]), let address = IPv4Address(parts[2]) else { continue }
                    let port = PlannedPort(id: ID(bits: 0), link: parts[0], mac: mac, addresses: [])
                    ports["\(parts[0]) \(parts[1])", default: port].addresses.append(address)
                case "public_in":
                    let pair = element.list.compactMap { $0.text.flatMap { IPv4Address($0) } }
                    if pair.count == 2 { mappings.append(PublicAddress(pair[0], for: pair[1])) }
                case "outbound":
                    guard let key = element.list.first, let sources = prefix(key),
                        let address = element.list.last?.text.flatMap({ IPv4Address($0) })
                    else { continue }
                    plan.outbound.append(OutboundTranslation(sources: sources, address: address))
                default: break
                }
            }
        }
        plan.ports = ports.sorted { $0.key < $1.key }.map { _, port in
            var port = port
            port.publicAddresses = mappings.filter { port.addresses.contains($0.stands) }
            return port
        }
        return plan
    }

    private static func prefix(_ value: JSONValue) -> IPv4Prefix? {
        if let text = value.text { return KernelListing.prefix(text) }
        guard let prefix = value["prefix"], let address = prefix["addr"]?.text.flatMap({ IPv4Address($0) }),
            case .number(let length)? = prefix["len"], let whole = Int(exactly: length)
        else { return nil }
        return IPv4Prefix(containing: address, length: whole)
    }
}
