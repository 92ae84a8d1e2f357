//  Tracked flows that must end when an address changes hands: a translation is decided once for
//  each flow, so a flow would keep a public address that is another's by now.

import Model

/// Which tracked flows a change makes stale. Pure.
enum StaleFlows {
    /// Commands for conntrack(8), one a line, inside the domain. Flows that only lost their rule go
    /// on, as on EC2.
    static func inside(from old: DomainPlan, to new: DomainPlan) -> [String] {
        let held = holders(new)
        var lines: [String] = []
        for (address, port) in holders(old).sorted(by: { $0.key < $1.key }) where held[address] != port {
            lines += ["-D -s \(address)", "-D -d \(address)"]
        }
        let mappings = Set(new.ports.flatMap(\.publicAddresses))
        for mapping in old.ports.flatMap(\.publicAddresses) where !mappings.contains(mapping) {
            lines += ["-D -d \(mapping.address)", "-D -s \(mapping.stands) -n \(mapping.address)"]
        }
        // A port that gets an address of its own leaves the shared one.
        let before = Set(old.ports.flatMap(\.publicAddresses))
        for mapping in new.ports.flatMap(\.publicAddresses) where !before.contains(mapping) {
            for shared in old.outbound where shared.sources.contains(mapping.stands) {
                lines.append("-D -s \(mapping.stands) -n \(shared.address)")
            }
        }
        let outbound = Set(new.outbound)
        for translation in old.outbound where !outbound.contains(translation) {
            lines.append("-D -s \(translation.sources) -n \(translation.address)")
        }
        return lines
    }

    /// On the host: flows of public addresses that lead elsewhere now. Without a new plan, of all.
    static func outside(from old: DomainPlan, to new: DomainPlan?) -> [String] {
        let kept = new.map(translations) ?? [:]
        return translations(old).sorted { $0.key < $1.key }.filter { kept[$0.key] != $0.value }
            .flatMap { ["-D -s \($0.key)", "-D -d \($0.key)"] }
    }

    /// What stands behind each public address.
    private static func translations(_ plan: DomainPlan) -> [IPv4Address: String] {
        var translations: [IPv4Address: String] = [:]
        for mapping in plan.ports.flatMap(\.publicAddresses) { translations[mapping.address] = "\(mapping.stands)" }
        for shared in plan.outbound { translations[shared.address] = "shared" }
        return translations
    }

    private struct Holder: Hashable {
        var link: String
        var mac: MACAddress
    }

    private static func holders(_ plan: DomainPlan) -> [IPv4Address: Holder] {
        var holders: [IPv4Address: Holder] = [:]
        for port in plan.ports {
            for address in port.addresses { holders[address] = Holder(link: port.link, mac: port.mac) }
        }
        return holders
    }
}
