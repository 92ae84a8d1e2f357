//  Refuses a plan that could not be made, or whose texts would mean something else to `ip` and
//  `nft`, before anything of it is done.

import Model

/// Limits and consistency of plans. Pure.
enum PlanCheck {
    /// The most ports of one domain on one host, and the most entries of any other list.
    static let portsMax = 20_000
    static let entriesMax = 200_000

    /// - Throws: `Fault.invalidParameter` with the first thing that is wrong.
    static func check(_ plan: HostPlan) throws(Fault) {
        for link in [plan.uplink, plan.underlay?.link].compactMap({ $0 }) { try check(link: link) }
        try require(!plan.publicRanges.contains { $0.length == 0 }, "a public range is everything")
        try require(plan.publicRanges.count + plan.underlayPrefixes.count <= entriesMax, "the host's plan is too long")
        try require((plan.underlay?.members.count ?? 0) <= entriesMax, "the host's plan is too long")
        try require(plan.publicMode != .proxyARP || plan.uplink != nil, "proxy ARP needs an uplink")
    }

    /// - Throws: `Fault.invalidParameter` with the first thing that is wrong.
    static func check(_ plan: DomainPlan, host: HostPlan) throws(Fault) {
        try require((1...16_777_215).contains(plan.vni), "the network number \(plan.vni) is not within 1 and 16777215")
        try require((576...65_535).contains(plan.mtu), "the MTU \(plan.mtu) is not within 576 and 65535")
        try require(plan.ports.count <= portsMax, "more than \(portsMax) ports of one domain on one host")
        try require(plan.peers.isEmpty || host.underlay != nil, "other hosts are named, but this one has no underlay")
        let entries =
            plan.ranges.count + plan.subnets.count + plan.groups.reduce(0) { $0 + $1.ingress.count + $1.egress.count }
            + plan.members.reduce(0) { $0 + $1.addresses.count } + plan.peers.reduce(0) { $0 + $1.ports.count }
            + plan.outbound.count + plan.ports.reduce(0) { $0 + $1.addresses.count + $1.groups.count }
        try require(entries <= entriesMax, "the domain's plan is too long")
        try checkPorts(plan, host: host)
        try checkTranslations(plan, host: host)
        for rule in plan.groups.flatMap({ $0.ingress + $0.egress }) {
            guard case .tcp(let ports) = rule.traffic else {
                guard case .udp(let ports) = rule.traffic else { continue }
                try require(ports.first <= ports.last, "the port range \(ports.first)-\(ports.last) is empty")
                continue
            }
            try require(ports.first <= ports.last, "the port range \(ports.first)-\(ports.last) is empty")
        }
    }

    private static func checkPorts(_ plan: DomainPlan, host: HostPlan) throws(Fault) {
        var links: Set<String> = []
        let services = Set(plan.subnets.flatMap { [$0.gateway, $0.nameServer] })
        var addresses = Set(plan.peers.flatMap(\.ports).map(\.address))
        for port in plan.ports {
            try check(link: port.link)
            try require(
                links.insert(port.link).inserted && ![DataplaneNames.wayOut, DataplaneNames.tunnel, "lo"].contains(port.link),
                "the link name \(port.link) is taken")
            try require(port.mac.bits >> 40 & 1 == 0 && port.mac.bits != 0, "\(port.mac) is no unicast MAC")
            for address in port.addresses {
                try require(addresses.insert(address).inserted, "two ports hold the address \(address)")
                try require(isUnicast(address) && !services.contains(address), "no port can hold the address \(address)")
            }
        }
    }

    private static func checkTranslations(_ plan: DomainPlan, host: HostPlan) throws(Fault) {
        var publics: Set<IPv4Address> = []
        var stands: Set<IPv4Address> = []
        for port in plan.ports {
            for mapping in port.publicAddresses {
                try require(
                    publics.insert(mapping.address).inserted && stands.insert(mapping.stands).inserted,
                    "\(mapping.address) or \(mapping.stands) is mapped twice")
                try require(port.addresses.contains(mapping.stands), "\(mapping.stands) is not an address of its port")
                try require(isPublic(mapping.address, host), "\(mapping.address) is in no public range of the host")
            }
        }
        let sources = plan.outbound.map(\.sources).sorted()
        for (first, second) in zip(sources, sources.dropFirst()) {
            try require(!first.overlaps(second), "the outbound ranges \(first) and \(second) overlap")
        }
        for translation in plan.outbound {
            try require(isPublic(translation.address, host), "\(translation.address) is in no public range of the host")
            try require(!publics.contains(translation.address), "\(translation.address) is mapped and shared at once")
        }
    }

    /// A name that the kernel takes and that no text of `ip` or `nft` reads as more than a name.
    static func check(link: String) throws(Fault) {
        let allowed = link.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
        let isName = (1...15).contains(link.utf8.count) && allowed && link.first != "-" && link != "." && link != ".."
        try require(isName, "'\(link)' is not a link's name")
    }

    private static func isPublic(_ address: IPv4Address, _ host: HostPlan) -> Bool {
        host.publicRanges.contains { $0.contains(address) }
    }

    private static func isUnicast(_ address: IPv4Address) -> Bool {
        let first = address.bits >> 24
        return first != 0 && first != 127 && first < 224 && !DataplaneNames.linkLocal.contains(address)
    }

    private static func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(Fault) {
        guard condition else { throw Fault(.invalidParameter, message()) }
    }
}
