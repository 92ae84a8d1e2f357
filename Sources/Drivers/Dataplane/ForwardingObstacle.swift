//  Firewalls on the host that drop forwarded packets: Docker, ufw, firewalld, hand-made tables. An
//  accept in Karri's own chain cannot overrule a drop in theirs, so Karri's accept goes into theirs.

import Model

/// A chain that drops what it does not know, and how Karri gets past it.
public struct ForwardingObstacle: Sendable, Hashable, Codable {
    public enum Owner: String, Sendable, Hashable, Codable { case docker, ufw, firewalld, other }

    /// Where the accept is put.
    public enum Way: Sendable, Hashable, Codable {
        /// `iptables` or `iptables-legacy`, and the chain of its filter table.
        case iptables(program: String, chain: String)
        case nftables(family: String, table: String, chain: String)
        /// By `firewall-cmd`: firewalld owns its table.
        case firewalld
    }

    public var owner: Owner
    public var way: Way
    /// Whether Karri's accept is there already.
    public var isOvercome: Bool

    public init(owner: Owner, way: Way, isOvercome: Bool) {
        self.owner = owner
        self.way = way
        self.isOvercome = isOvercome
    }
}

/// Finds obstacles in listings. Pure.
enum ForwardingCheck {
    /// From `iptables -S` (all chains of the filter table).
    static func obstacles(iptables listing: String, program: String, names: DataplaneNames) -> [ForwardingObstacle] {
        let lines = listing.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        let chains = Set(lines.filter { $0.first == "-N" || $0.first == "-P" }.compactMap { $0.dropFirst().first })
        let drops = lines.contains { $0.starts(with: ["-P", "FORWARD", "DROP"]) }
        let accepted = { (chain: String) -> Bool in
            ["-i", "-o"].allSatisfy { side in
                lines.contains { line in
                    line.starts(with: ["-A", chain, side, "\(names.hostLinkPrefix)+"]) && line.suffix(2) == ["-j", "ACCEPT"]
                }
            }
        }
        func found(_ owner: ForwardingObstacle.Owner, _ chain: String) -> ForwardingObstacle {
            ForwardingObstacle(owner: owner, way: .iptables(program: program, chain: chain), isOvercome: accepted(chain))
        }
        var obstacles: [ForwardingObstacle] = []
        // Docker sets the policy, and keeps this chain as the users had it.
        if chains.contains("DOCKER-USER") { obstacles.append(found(.docker, "DOCKER-USER")) }
        if chains.contains("ufw-before-forward") { obstacles.append(found(.ufw, "FORWARD")) }
        if drops, obstacles.isEmpty { obstacles.append(found(.other, "FORWARD")) }
        return drops || !obstacles.filter(\.isOvercome).isEmpty ? obstacles : []
    }

    /// From `nft -json list ruleset`: base chains at the forward hook that end in a drop, other than
    /// those of iptables' own table and of this mark.
    static func obstacles(nftables json: String, names: DataplaneNames) throws(Fault) -> [ForwardingObstacle] {
        let entries = try TableListing.entries(json)
        var obstacles: [ForwardingObstacle] = []
        for (kind, chain) in entries where kind == "chain" && chain["hook"]?.text == "forward" {
            guard let family = chain["family"]?.text, family == "ip" || family == "inet", let table = chain["table"]?.text,
                let name = chain["name"]?.text, table != names.table, !isOfIptables(family: family, table: table, chain: name)
            else { continue }
            let rules = entries.filter { kind, rule in
                kind == "rule" && rule["family"]?.text == family && rule["table"]?.text == table && rule["chain"]?.text == name
            }.map(\.value)
            let last = rules.last?["expr"]?.list ?? []
            let endsInDrop = last.count == 1 && (last[0]["drop"] != nil || last[0]["reject"] != nil)
            guard chain["policy"]?.text == "drop" || endsInDrop else { continue }
            let isFirewalld = table == "firewalld"
            let way: ForwardingObstacle.Way =
                isFirewalld ? .firewalld : .nftables(family: family, table: table, chain: name)
            let accepts = rules.filter { $0["comment"]?.text == names.mark }.count
            let overcome = isFirewalld ? json.contains("\"\(names.hostLinkPrefix)*\"") : accepts >= 2
            let found = ForwardingObstacle(owner: isFirewalld ? .firewalld : .other, way: way, isOvercome: overcome)
            if !obstacles.contains(found) { obstacles.append(found) }
        }
        return obstacles
    }

    /// Tables that iptables-nft keeps; foreign rules in them would make iptables refuse the table.
    static func isOfIptables(family: String, table: String, chain: String) -> Bool {
        family == "ip" && table == "filter" && chain == "FORWARD"
    }

    /// Whether `nft -json list ruleset` shows a filter table of iptables-nft.
    static func hasIptables(_ json: String) throws(Fault) -> Bool {
        try TableListing.entries(json).contains { kind, chain in
            kind == "chain" && chain["hook"]?.text == "forward"
                && isOfIptables(
                    family: chain["family"]?.text ?? "", table: chain["table"]?.text ?? "", chain: chain["name"]?.text ?? "")
        }
    }

    /// Handles of the rules that carry the mark as their comment, for removal.
    static func marked(_ json: String, names: DataplaneNames) throws(Fault) -> [String] {
        try TableListing.entries(json).compactMap { kind, rule in
            guard kind == "rule", rule["comment"]?.text == names.mark, let family = rule["family"]?.text,
                let table = rule["table"]?.text, let chain = rule["chain"]?.text, case .number(let handle)? = rule["handle"],
                let whole = Int(exactly: handle), !isOfIptables(family: family, table: table, chain: chain)
            else { return nil }
            return "delete rule \(family) \(table) \(chain) handle \(whole)"
        }
    }
}
