//  Which names the cloud answers itself, and which go on to a resolver. Pure.

import Model

enum DNSDecision: Sendable, Equatable {
    case answer(DNSAnswer)
    case forward
}

/// EC2's private names, and the names that no resolver outside may ever see.
///
/// `ip-10-0-0-5.ZONE` is answered for any address of the domain's subnets, there or not: the domain's
/// other hosts are not in this host's document, and the name says the address.
enum DNSResponder {
    /// What to do with a query from one of the domain's guests.
    static func decide(_ query: DNSQuery, in domain: DomainTable, settings: EdgeSettings) -> DNSDecision {
        guard query.operation == 0 else { return .answer(DNSAnswer(.notImplemented)) }
        guard let question = query.question else { return .answer(DNSAnswer(.formatError)) }
        if let version = query.ednsExtension?.version, version > 0 { return .answer(DNSAnswer(.badVersion)) }
        guard question.classCode == 1, question.type != .axfr, question.type != .ixfr else { return .answer(DNSAnswer(.refused)) }
        switch local(question.name.text, in: domain, settings: settings) {
        case .addresses(let addresses, let zone): return found(question, addresses.map { .address($0) }, zone: zone)
        case .pointer(let name, let zone): return found(question, DNSName(name).map { [.pointer($0)] } ?? [], zone: zone)
        case .nothing(let zone): return .answer(DNSAnswer(.noSuchName, authoritative: true, authority: start(of: zone)))
        case .outside: break
        }
        // A single label means something to one site only; a resolver outside must not hear of it.
        let aboutZones: Set<DNSType> = [.ns, .soa, .ds, .dnskey]
        if question.name.labels.count < 2, !aboutZones.contains(question.type) {
            return .answer(DNSAnswer(.noSuchName))
        }
        guard query.recursionDesired, !settings.resolvers.isEmpty else { return .answer(DNSAnswer(.refused)) }
        return .forward
    }

    private enum Local {
        case addresses([IPv4Address], zone: String)
        case pointer(String, zone: String)
        case nothing(zone: String)
        case outside
    }

    private static func local(_ name: String, in domain: DomainTable, settings: EdgeSettings) -> Local {
        let zone = settings.privateZone
        if let addresses = domain.records(named: name) { return .addresses(addresses, zone: name) }
        if name == "instance-data" || name == "instance-data.\(zone)" {
            return .addresses([DomainTable.metadataService], zone: name)
        }
        if name.isUnder(zone: "localhost") { return .addresses([IPv4Address(127, 0, 0, 1)], zone: "localhost") }
        if let (label, rest) = split(name), let address = address(inLabel: label), domain.holds(address),
            rest == zone
                || domain.domain.subnets.contains(where: { $0.domainName.lowercased() == rest && $0.prefix.contains(address) })
        {
            return .addresses([address], zone: rest)
        }
        if name.isUnder(zone: "in-addr.arpa") { return reverse(name, in: domain, zone: zone) }
        for kept in [zone] + hiddenZones where name.isUnder(zone: kept) {
            // The zone itself exists, and holds nothing but its start.
            return name == kept ? .addresses([], zone: kept) : .nothing(zone: kept)
        }
        return .outside
    }

    /// EC2's zones of every region, names that mean this link only (RFC 6761, 6762, 7686, 8375), and
    /// the reverse zones of IPv6's private addresses (RFC 6303).
    private static let hiddenZones = [
        "ec2.internal", "compute.internal", "invalid", "local", "onion", "home.arpa", "c.f.ip6.arpa", "d.f.ip6.arpa",
        "8.e.f.ip6.arpa", "9.e.f.ip6.arpa", "a.e.f.ip6.arpa", "b.e.f.ip6.arpa",
    ]

    /// Addresses that mean nothing outside (RFC 6303, RFC 6598).
    private static let hiddenPrefixes = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
        "255.255.255.255/32",
    ].compactMap { IPv4Prefix($0) }

    private static func reverse(_ name: String, in domain: DomainTable, zone: String) -> Local {
        let labels = name.split(separator: ".").dropLast(2)
        guard labels.count == 4, let address = IPv4Address(labels.reversed().joined(separator: ".")) else {
            return hidesReverse(labels.reversed().compactMap { UInt8($0) }) ? .nothing(zone: "in-addr.arpa") : .outside
        }
        if let entry = domain.entry(address: address) {
            let host = address == entry.primaryAddress ? entry.hostName : DomainTable.hostName(of: address)
            return .pointer("\(host).\(entry.subnet.domainName.isEmpty ? zone : entry.subnet.domainName)", zone: name)
        }
        if let subnet = domain.domain.subnets.first(where: { $0.prefix.contains(address) }) {
            return .pointer(
                "\(DomainTable.hostName(of: address)).\(subnet.domainName.isEmpty ? zone : subnet.domainName)", zone: name)
        }
        if address == DomainTable.metadataService { return .pointer("instance-data.\(zone)", zone: name) }
        if address == IPv4Address(127, 0, 0, 1) { return .pointer("localhost", zone: name) }
        return hiddenPrefixes.contains { $0.contains(address) } ? .nothing(zone: name) : .outside
    }

    /// Whether a part of a reverse name (most significant byte first) lies in a hidden range.
    private static func hidesReverse(_ bytes: [UInt8]) -> Bool {
        guard let first = bytes.first else { return false }
        let address = IPv4Address(first, bytes.count > 1 ? bytes[1] : 0, 0, 0)
        return hiddenPrefixes.contains { $0.contains(address) && (bytes.count > 1 || $0.length <= 8) }
    }

    private static func split(_ name: String) -> (label: Substring, rest: String)? {
        guard let dot = name.firstIndex(of: ".") else { return nil }
        return (name[..<dot], String(name[name.index(after: dot)...]))
    }

    private static func address(inLabel label: Substring) -> IPv4Address? {
        guard label.hasPrefix("ip-") else { return nil }
        return IPv4Address(label.dropFirst(3).split(separator: "-", omittingEmptySubsequences: false).joined(separator: "."))
    }

    /// The records of the asked type, or the proof that there are none of that type.
    private static func found(_ question: DNSQuestion, _ contents: [DNSRecord.Content], zone: String) -> DNSDecision {
        let records = contents.map { DNSRecord(name: question.name, content: $0) }
            .filter { question.type == .any || $0.type == question.type }
        return .answer(
            DNSAnswer(.noError, authoritative: true, answers: records, authority: records.isEmpty ? start(of: zone) : []))
    }

    private static func start(of zone: String) -> [DNSRecord] {
        DNSName(zone).map { [DNSRecord(name: $0, content: .authority(zone: $0))] } ?? []
    }
}
