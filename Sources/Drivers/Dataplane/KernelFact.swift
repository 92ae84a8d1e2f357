//  Addresses, routes and neighbours as values: what a plan wants, what the kernel lists, and the
//  lines of `ip` and `bridge` that lead from one to the other.

import Model

/// One thing that `ip` or `bridge` sets in a namespace.
enum KernelFact: Hashable, Sendable {
    /// An address on a link, alone (/32).
    case address(IPv4Address, link: String)
    /// A guest's link: up, with the gateway's MAC.
    case port(link: String)
    /// The largest packet on a link, in bytes.
    case mtu(Int64, link: String)
    /// A route in a table; nil is the main one.
    case route(IPv4Prefix, RouteTarget, table: UInt32?)
    /// Where packets for an address on a link go, for ever.
    case neighbour(IPv4Address, MACAddress, link: String)
    /// An address for which the host answers ARP on a link.
    case proxy(IPv4Address, link: String)
    /// Which host a MAC on the tunnel is behind.
    case forwarding(MACAddress, host: IPv4Address, link: String)
    /// Routes of this table go before the machine's own.
    case rule(table: UInt32)
}

enum RouteTarget: Hashable, Sendable {
    case blackhole
    case link(String)
    case hop(IPv4Address, link: String)
}

/// A line of a batch.
struct BatchLine: Hashable, Sendable {
    enum Program: String, Sendable { case ip, bridge }

    var program = Program.ip
    var text: String
    /// Removing what is gone already, with its link or by a crash before, is no failure.
    var mayBeGone = false
}

extension KernelFact {
    /// The order in which facts are added; removal goes backwards.
    private var rank: Int {
        switch self {
        case .rule: 0
        case .address: 1
        case .mtu, .port: 2
        case .neighbour: 3
        case .forwarding: 4
        case .route(_, .blackhole, _): 5
        case .route: 6
        case .proxy: 7
        }
    }

    /// Two facts with one key cannot both be: adding the one replaces the other.
    private enum Key: Hashable {
        case mtu(String)
        case route(IPv4Prefix, UInt32?)
        case neighbour(IPv4Address, String)
        case forwarding(MACAddress, String)
        case itself(KernelFact)
    }

    private var key: Key {
        switch self {
        case .mtu(_, let link): .mtu(link)
        case .route(let prefix, _, let table): .route(prefix, table)
        case .neighbour(let address, _, let link): .neighbour(address, link)
        case .forwarding(let mac, _, let link): .forwarding(mac, link)
        default: .itself(self)
        }
    }

    /// The lines that turn `have` into `want`, removals first.
    static func difference(from have: Set<KernelFact>, to want: Set<KernelFact>) -> [BatchLine] {
        // Setting a link's MAC or bringing it up makes the kernel forget its neighbours, and routes.
        let renewed = Set(want.subtracting(have).compactMap { if case .port(let link) = $0 { link } else { nil } })
        let have = have.filter { $0.link.map { !renewed.contains($0) } ?? true }
        let added = want.subtracting(have).sorted(by: inOrder)
        let replaced = Set(added.map(\.key))
        let removed = have.subtracting(want).filter { !replaced.contains($0.key) }.sorted { inOrder($1, $0) }
        return removed.flatMap(\.removal) + added.flatMap(\.addition)
    }

    private static func inOrder(_ first: KernelFact, _ second: KernelFact) -> Bool {
        let texts = { (fact: KernelFact) in fact.addition.first?.text ?? "" }
        return first.rank == second.rank ? texts(first) < texts(second) : first.rank < second.rank
    }

    /// The fact in the words of `ip`.
    var text: String { addition.first?.text ?? "" }

    var addition: [BatchLine] {
        switch self {
        case .address(let address, let link): [BatchLine(text: "address replace \(address)/32 dev \(link)")]
        case .mtu(let mtu, let link): [BatchLine(text: "link set dev \(link) mtu \(mtu)")]
        case .port(let link):
            [
                BatchLine(text: "link set dev \(link) address \(DataplaneNames.gatewayMAC) up"),
                // Proxied answers are otherwise held back for up to 0.8 s.
                BatchLine(text: "ntable change name arp_cache dev \(link) proxy_delay 0"),
            ]
        case .route(let prefix, let target, let table):
            [BatchLine(text: "route replace \(KernelFact.words(prefix, target, table))")]
        case .neighbour(let address, let mac, let link):
            [BatchLine(text: "neighbour replace \(address) lladdr \(mac) dev \(link) nud permanent")]
        case .proxy(let address, let link): [BatchLine(text: "neighbour replace proxy \(address) dev \(link)")]
        case .forwarding(let mac, let host, let link):
            [BatchLine(program: .bridge, text: "fdb replace \(mac) dev \(link) dst \(host) self permanent")]
        case .rule(let table): [BatchLine(text: "rule add preference \(KernelFact.rulePreference) lookup \(table)")]
        }
    }

    var removal: [BatchLine] {
        switch self {
        case .address(let address, let link): [.gone("address delete \(address)/32 dev \(link)")]
        case .mtu: []
        case .port(let link): [.gone("link set dev \(link) down")]
        case .route(let prefix, let target, let table): [.gone("route delete \(KernelFact.words(prefix, target, table))")]
        case .neighbour(let address, _, let link): [.gone("neighbour delete \(address) dev \(link)")]
        case .proxy(let address, let link): [.gone("neighbour delete proxy \(address) dev \(link)")]
        case .forwarding(let mac, let host, let link):
            [BatchLine(program: .bridge, text: "fdb delete \(mac) dev \(link) dst \(host) self", mayBeGone: true)]
        case .rule(let table): [.gone("rule delete preference \(KernelFact.rulePreference) lookup \(table)")]
        }
    }

    /// The link whose end would end the fact too.
    var link: String? {
        switch self {
        case .address(_, let link), .port(let link), .mtu(_, let link), .neighbour(_, _, let link), .proxy(_, let link),
            .forwarding(_, _, let link), .route(_, .link(let link), _), .route(_, .hop(_, let link), _):
            link
        case .route(_, .blackhole, _), .rule: nil
        }
    }

    /// Before the main table, and behind the machine's own addresses.
    static let rulePreference = 5300

    private static func words(_ prefix: IPv4Prefix, _ target: RouteTarget, _ table: UInt32?) -> String {
        let tail = table.map { " table \($0)" } ?? ""
        return switch target {
        case .blackhole: "blackhole \(prefix)\(tail)"
        case .link(let link): "\(prefix) dev \(link) scope link\(tail)"
        case .hop(let hop, let link): "\(prefix) via \(hop) dev \(link) onlink\(tail)"
        }
    }
}

extension BatchLine {
    static func gone(_ text: String) -> BatchLine { BatchLine(text: text, mayBeGone: true) }
}
