//  Says before anything is changed what would keep the cloud from working on this host, and what to
//  do about it. The first hour with a cloud fails on these.

import Model

/// One thing about the host that the person should know.
public struct Finding: Sendable, Hashable {
    public enum Severity: Int, Sendable, Hashable, Comparable {
        case tells, warns, stops

        public static func < (left: Severity, right: Severity) -> Bool { left.rawValue < right.rawValue }
    }

    /// What was looked at; names the finding for scripts and tests.
    public enum Subject: String, Sendable, Hashable {
        case processors, memory, disk, kernel, virtualization, programs, ports, uplink, guestRange, publicRange, firewall, clock
        case controlGroups, service, container, machine, users, installation
    }

    public var severity: Severity
    public var subject: Subject
    /// What is the case: one sentence.
    public var sentence: String
    /// What to do: one sentence, or empty where nothing need be done.
    public var remedy: String

    init(_ severity: Severity, _ subject: Subject, _ sentence: String, _ remedy: String = "") {
        self.severity = severity
        self.subject = subject
        self.sentence = sentence
        self.remedy = remedy
    }
}

public enum Preflight {
    /// Judges a host. Pure: the same facts and wishes give the same findings, the gravest first.
    public static func judge(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        let findings =
            installation(facts, wishes) + size(facts, wishes) + kernel(facts, wishes) + ports(facts, wishes) + uplink(facts, wishes)
            + guestRanges(facts, wishes) + publicRange(facts, wishes) + firewalls(facts) + surroundings(facts, wishes)
        return Finding.Severity.descending.flatMap { severity in findings.filter { $0.severity == severity } }
    }

    private static func installation(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        var findings: [Finding] = []
        if let mark = facts.installedMark, mark != wishes.mark {
            findings.append(
                Finding(
                    .stops, .installation, "The state folder belongs to the installation marked \(mark).",
                    "Use another root, or uninstall that one."))
        }
        if let layout = facts.installedLayout, layout > wishes.layout {
            findings.append(
                Finding(
                    .stops, .installation,
                    "The files here were written by a newer Karri (layout \(layout); this one knows \(wishes.layout)).",
                    "Use the newer program."))
        } else if let layout = facts.installedLayout, layout < wishes.layout {
            findings.append(
                Finding(
                    .tells, .installation, "The files here were written by an older Karri and will be brought up to date.",
                    "An older program will refuse them afterwards: keep a copy if you may want to go back."))
        }
        if let supervisor = facts.supervisor {
            findings.append(Finding(.tells, .installation, "Karri already runs here, supervised by process \(supervisor)."))
        }
        return findings
    }

    private static func size(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        var findings: [Finding] = []
        if facts.memory < wishes.memoryNeeded {
            findings.append(
                Finding(
                    .stops, .memory,
                    "The host has \(facts.memory) of memory; Karri and one small machine need \(wishes.memoryNeeded).",
                    "Use a larger host."))
        } else if facts.memory < wishes.memoryComfortable {
            findings.append(
                Finding(
                    .warns, .memory, "The host has \(facts.memory) of memory: room for a few small machines only.",
                    "\(wishes.memoryComfortable) or more is comfortable."))
        }
        if facts.processors < 2 {
            findings.append(
                Finding(
                    .warns, .processors, "The host has one processor, which machines and Karri share.",
                    "Two or more are comfortable."))
        }
        switch facts.diskFree {
        case nil:
            findings.append(Finding(.warns, .disk, "The free space for the state folder could not be found out."))
        case let free? where free < wishes.diskNeeded:
            findings.append(
                Finding(
                    .stops, .disk, "The file system of the state folder has \(free) free; \(wishes.diskNeeded) are needed.",
                    "Free some space, or mount a larger disk there."))
        case let free? where free < wishes.diskComfortable:
            findings.append(
                Finding(
                    .warns, .disk, "The file system of the state folder has \(free) free: room for a few images and disks only.",
                    "\(wishes.diskComfortable) or more is comfortable."))
        default: break
        }
        return findings
    }

    private static func kernel(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        var findings: [Finding] = []
        let missing = wishes.programs.filter { facts.missingPrograms.contains($0.name) }
        if !missing.isEmpty {
            let packages = Set(missing.map(\.package)).sorted().joined(separator: " ")
            findings.append(
                Finding(
                    .stops, .programs, "Missing: \(missing.map(\.name).joined(separator: ", ")).", "apt-get install \(packages)"))
        }
        let unable = HostFacts.KernelFeature.allCases.filter { facts.kernelFeatures[$0] == false }
        if !unable.isEmpty {
            let remedy =
                facts.container == nil
                ? "Boot a kernel with these, such as Debian's linux-image-amd64; after an upgrade of the kernel, reboot."
                : "Give the container its privileges (CAP_NET_ADMIN, CAP_SYS_ADMIN, /dev/net/tun), or load the modules outside."
            findings.append(
                Finding(
                    .stops, .kernel, "The kernel \(facts.kernel) gives no \(unable.map(\.rawValue).joined(separator: ", no ")).",
                    remedy))
        }
        if !facts.hasVirtualization {
            findings.append(
                Finding(
                    .tells, .virtualization, "There is no /dev/kvm: machines run by emulation, several times slower.",
                    "Turn on virtualization in the firmware, or nested virtualization in the machine that this one runs in."))
        }
        return findings
    }

    private static func ports(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        // Its own supervisor holds them.
        guard facts.supervisor == nil else { return [] }
        return wishes.ports.compactMap { port in
            let isTaken = facts.listeners.contains { listener in
                listener.transport == port.transport && listener.port == port.number
                    && (listener.address == nil || port.address == nil || listener.address == port.address)
            }
            guard isTaken else { return nil }
            return Finding(
                .stops, .ports, "Port \(port.number)/\(port.transport.rawValue), wanted for \(port.purpose), is taken.",
                "Stop what listens there (ss -l\(port.transport == .tcp ? "t" : "u")np 'sport = \(port.number)'), or choose another with \(port.option)."
            )
        }
    }

    private static func uplink(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        let routes = facts.defaultRoutes
        guard let first = routes.first else {
            return [
                Finding(
                    .warns, .uplink, "There is no default route: machines will reach this host and each other, and nothing else.",
                    "Connect the host, and start again.")
            ]
        }
        var findings: [Finding] = []
        let equals = routes.filter { $0.metric == first.metric && $0.device != first.device }
        if !equals.isEmpty {
            let names = ([first] + equals).map(\.device).joined(separator: ", ")
            findings.append(
                Finding(
                    .warns, .uplink,
                    "There are several default routes of one metric (\(names)); \(first.device) is taken as the uplink.",
                    "Give the better one a smaller metric, or name it with --uplink."))
        }
        guard wishes.publicRangeIsOnUplink else { return findings }
        if facts.uplink?.isWireless == true {
            findings.append(
                Finding(
                    .warns, .uplink,
                    "The uplink \(first.device) is Wi-Fi, which carries no other machine's address: proxy ARP cannot work.",
                    "Machines are reached from this host; for others, forward ports of it, or use a cable."))
        }
        if facts.machineMaker.map(clouds.contains) == true {
            findings.append(
                Finding(
                    .warns, .uplink,
                    "This is a machine of \(facts.machineMaker ?? ""), which delivers only the addresses that it gave.",
                    "Machines are reached from this host; for others, forward ports of it, or assign addresses in that cloud."))
        }
        return findings
    }

    /// Guests live in namespaces of their own, so an overlap breaks nothing of the host's; it only
    /// hides the host's network from them.
    private static func guestRanges(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        wishes.guestRanges.flatMap { range -> [Finding] in
            let proposal = freePrefix(length: range.length, avoiding: used(facts, wishes) + wishes.guestRanges)
            let remedy = proposal.map { "Choose another range for the default VPC: \($0) is free." } ?? "Choose another range."
            var findings = overlaps(range, facts, wishes).map { other in
                Finding(
                    .warns, .guestRange,
                    "Machines in \(range) cannot reach \(other.destination), which this host has on \(other.device).",
                    remedy)
            }
            for resolver in facts.resolvers where range.contains(resolver) {
                findings.append(
                    Finding(
                        .tells, .guestRange, "The host's name server \(resolver) lies in the machines' range \(range).",
                        "Names still work, because the host asks in their place."))
            }
            return findings
        }
    }

    private static func publicRange(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        guard let range = wishes.publicRange else { return [] }
        if wishes.publicRangeIsOnUplink { return publicRangeOnUplink(range, facts) }
        let proposal = freePrefix(length: range.length, avoiding: used(facts, wishes) + wishes.guestRanges)
        let remedy = proposal.map { "--public-range \($0) is free." } ?? "Choose another with --public-range."
        var findings = overlaps(range, facts, wishes).map { other in
            Finding(
                .stops, .publicRange, "The public range \(range) collides with \(other.destination) on \(other.device).", remedy)
        }
        for guests in wishes.guestRanges where guests.overlaps(range) {
            findings.append(
                Finding(.stops, .publicRange, "The public range \(range) overlaps the machines' own range \(guests).", remedy))
        }
        return findings
    }

    private static func publicRangeOnUplink(_ range: IPv4Prefix, _ facts: HostFacts) -> [Finding] {
        guard let uplink = facts.uplink else {
            return [
                Finding(.stops, .publicRange, "There is no uplink whose network could hold \(range).", "Leave out --public-range.")
            ]
        }
        guard let network = uplink.networks.first(where: { $0.contains(range) }) else {
            let networks = uplink.networks.map(\.description).joined(separator: ", ")
            return [
                Finding(
                    .stops, .publicRange, "The public range \(range) is not part of \(uplink.name)'s network (\(networks)).",
                    "Give a part of it that nobody uses.")
            ]
        }
        var taken = uplink.addresses.map { ($0, "this host's address") }
        taken += facts.routes.compactMap { $0.device == uplink.name ? $0.gateway : nil }.map { ($0, "the gateway") }
        taken += facts.resolvers.map { ($0, "the name server") }
        return taken.filter { range.contains($0.0) }.map { address, name in
            Finding(
                .stops, .publicRange, "The public range \(range) holds \(name), \(address).",
                "Give a part of \(network) that nobody uses and DHCP does not hand out.")
        }
    }

    private static func overlaps(_ range: IPv4Prefix, _ facts: HostFacts, _ wishes: PreflightWishes) -> [HostFacts.Route] {
        facts.routes.filter { $0.destination.length > 0 && !isOwn($0, wishes) && $0.destination.overlaps(range) }
    }

    /// A link of Karri's own, from an earlier start.
    private static func isOwn(_ route: HostFacts.Route, _ wishes: PreflightWishes) -> Bool { route.device.hasPrefix(wishes.mark) }

    private static func used(_ facts: HostFacts, _ wishes: PreflightWishes) -> [IPv4Prefix] {
        let routed = facts.routes.filter { $0.destination.length > 0 && !isOwn($0, wishes) }.map(\.destination)
        let named = facts.resolvers + facts.routes.compactMap(\.gateway)
        return routed + facts.interfaces.flatMap(\.networks) + named.map(IPv4Prefix.init(host:))
    }

    /// A range of this size for private use (RFC 1918), or for benchmarks (RFC 2544) when those are
    /// all taken, that overlaps none of the others; nil if there is none.
    public static func freePrefix(length: Int, avoiding used: [IPv4Prefix]) -> IPv4Prefix? {
        for text in ["172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16", "198.18.0.0/15"] {
            guard let whole = IPv4Prefix(text), (whole.length...32).contains(length) else { continue }
            // From the top, away from where home routers and Docker begin. The step skips the whole
            // of what is in the way, so that the search is short whatever the length.
            var address = whole.last
            while let candidate = IPv4Prefix(containing: address, length: length), whole.contains(candidate) {
                guard let obstacle = used.first(where: { $0.overlaps(candidate) }) else { return candidate }
                guard let next = min(obstacle.first, candidate.first).advanced(by: -1) else { break }
                address = next
            }
        }
        return nil
    }

    private static func firewalls(_ facts: HostFacts) -> [Finding] {
        facts.firewalls.map { firewall in
            let (name, remedy): (String, String) =
                switch firewall {
                case .docker: ("Docker", "Karri adds its own accept to DOCKER-USER.")
                case .ufw: ("ufw", "Karri adds its own accept before ufw's chains.")
                case .firewalld: ("firewalld", "Karri adds its networks to the trusted ones.")
                case .chain(let table, let name):
                    ("The chain \(name) of the table \(table)", "Karri adds its own accept at its beginning.")
                case .legacy:
                    ("The FORWARD chain of iptables-legacy", "Karri adds its own accept at its beginning.")
                }
            return Finding(.warns, .firewall, "\(name) drops packets that the host forwards.", remedy)
        }
    }

    private static func surroundings(_ facts: HostFacts, _ wishes: PreflightWishes) -> [Finding] {
        var findings: [Finding] = []
        if facts.clockIsAdrift == true {
            findings.append(
                Finding(
                    .warns, .clock,
                    "No time source keeps the clock: signed calls from other machines fail when it is 5 minutes off.",
                    "apt-get install chrony (or turn on systemd-timesyncd)."))
        }
        if !facts.hasControlGroups {
            findings.append(
                Finding(
                    .warns, .controlGroups, "There are no control groups: a machine's limits on memory and tasks are not held.",
                    "Mount them at /sys/fs/cgroup, if this is yours to do."))
        }
        if !facts.hasSystemd {
            findings.append(
                Finding(
                    .tells, .service, "There is no systemd: nothing starts Karri after a reboot.",
                    "Run ./karri up from whatever does."))
        }
        if let container = facts.container {
            findings.append(
                Finding(
                    .tells, .container,
                    "This is a container (\(container)): it needs its privileges, and shares its kernel's limits."))
        }
        if let maker = facts.machineMaker {
            findings.append(Finding(.tells, .machine, "This machine is virtual (\(maker))."))
        }
        let wanted = wishes.guestUsers
        if !facts.userIds.contains(where: { $0.contains(wanted.lowerBound) && $0.contains(wanted.upperBound) }) {
            findings.append(
                Finding(
                    .stops, .users,
                    "The user ids \(wanted.lowerBound) to \(wanted.upperBound), which machines run as, do not exist here.",
                    "Run outside of this user namespace, or map them into it."))
        }
        return findings
    }

    /// Makers of machines whose networks deliver no foreign addresses.
    static let clouds: Set<String> = [
        "Amazon EC2", "Google Compute Engine", "Microsoft Azure", "DigitalOcean", "Hetzner", "OpenStack", "Oracle Cloud",
        "Scaleway",
        "Linode", "Vultr", "Alibaba Cloud",
    ]
}

extension Finding.Severity {
    static let descending: [Finding.Severity] = [.stops, .warns, .tells]
}
