//  A small world of namespaces: hosts with an underlay between them, an outside, and guests.
//  Everything in it begins with its own mark and goes when the test ends.

import FoundationEssentials
import Logging
import Model
import Platform
import Testing

@testable import Dataplane

/// One test's world. `w` is the outside (192.0.2.1), each host has `up` (192.0.2.1N) and `und`
/// (10.200.0.N).
struct Lab: Sendable {
    let mark: String
    let folder: String
    var outside: String { "\(mark)w" }
    func host(_ number: Int) -> String { "\(mark)h\(number)" }
    func guest(_ name: String) -> String { "\(mark)g\(name)" }

    /// Makes a world of `hosts` hosts, runs the test, and removes all of it.
    static func with(hosts: Int = 1, _ test: (Lab) async throws -> Void) async throws {
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        let mark = "x" + String((0..<5).map { _ in letters.randomElement() ?? "a" })
        let folder = "/tmp/dataplane-\(mark)"
        try await Command.run("mkdir", [folder])
        let lab = Lab(mark: mark, folder: folder)
        do {
            try await lab.build(hosts)
            try await test(lab)
        } catch {
            await lab.tearDown()
            throw error
        }
        await lab.tearDown()
    }

    func driver(_ number: Int = 1, failPoint: (@Sendable (String) -> FailPoint)? = nil) throws -> LinuxDataplane {
        try LinuxDataplane(
            installation: Installation(mark: driverMark(number)), log: Logger(label: "test"), hostNamespace: host(number),
            failPoint: failPoint)
    }

    /// Namespaces are the machine's: two hosts on it need two marks.
    func driverMark(_ number: Int) -> String { String(mark.prefix(5)) + "\(number)" }
    func namespace(_ domain: ID<Domain>, host number: Int = 1) -> String { "\(driverMark(number))-\(domain.hex)" }

    private func build(_ hosts: Int) async throws {
        var lines = ["netns add \(outside)"]
        for number in 1...hosts {
            lines += [
                "netns add \(host(number))",
                "link add name up netns \(host(number)) type veth peer name up\(number) netns \(outside)",
                "link add name und netns \(host(number)) type veth peer name und\(number) netns \(outside)",
            ]
        }
        try await Command.run("ip", ["-batch", "-"], input: lines.joined(separator: "\n") + "\n")
        var world = [
            "link set dev lo up", "link add name br type bridge", "link add name bru type bridge", "link set dev br up",
            "link set dev bru up",
        ]
        world += ["address add 192.0.2.1/24 dev br"]
        for number in 1...hosts {
            world += ["link set dev up\(number) master br up", "link set dev und\(number) master bru up"]
            try await batch(
                host(number),
                [
                    "link set dev lo up", "link set dev up up", "link set dev und up", "address add 192.0.2.1\(number)/24 dev up",
                    "address add 10.200.0.\(number)/24 dev und", "route add default via 192.0.2.1",
                ])
        }
        try await batch(outside, world)
    }

    func batch(_ namespace: String, _ lines: [String]) async throws {
        try await Command.run("ip", ["-n", namespace, "-batch", "-"], input: lines.joined(separator: "\n") + "\n")
    }

    /// Makes the namespace of a guest, with the other end of its link as `port.link` on the host.
    func addGuest(_ name: String, _ port: PlannedPort, host number: Int = 1, gateway: String) async throws {
        try await Command.run("ip", ["netns", "add", guest(name)])
        try await Command.run(
            "ip",
            [
                "link", "add", "name", "eth0", "netns", guest(name), "address", "\(port.mac)", "type", "veth", "peer", "name",
                port.link, "netns", host(number),
            ])
        try await batch(
            guest(name),
            ["link set dev lo up", "link set dev eth0 mtu 1450 up"] + port.addresses.map { "address add \($0)/24 dev eth0" }
                + ["route add default via \(gateway)"])
    }

    /// What `ip` and `nft` show of a host, apart from counters and changing times.
    func listing(_ number: Int = 1) async throws -> String {
        let script = """
            ip -br link | awk '{print $1}'; ip -4 route show table all | sed 's/ linkdown//'; ip rule; ip neigh show nud permanent; ip neigh show proxy
            nft list ruleset | sed "s/counter packets [0-9]* bytes [0-9]*/counter/"
            cat /proc/sys/net/ipv4/conf/up/forwarding /proc/sys/net/ipv4/conf/up/proxy_arp
            for chain in FORWARD DOCKER-USER; do iptables-nft -S $chain 2>/dev/null; done; true
            """
        let text = try await Command.run("nsenter", ["--net=/run/netns/\(host(number))", "sh", "-c", script])
        let namespaces = try await Command.run("ip", ["netns", "list"])
        return text + namespaces.split(separator: "\n").filter { $0.hasPrefix("\(driverMark(number))-") }.joined(separator: "\n")
    }

    private func tearDown() async {
        let prefix = String(mark.prefix(5))
        let list = (try? await Command.run("ip", ["netns", "list"])) ?? ""
        for line in list.split(separator: "\n") where line.hasPrefix(prefix) {
            let name = line.split(separator: " ").first.map(String.init) ?? ""
            _ = try? await Command.run("ip", ["netns", "delete", name])
        }
        _ = try? await Command.run("rm", ["-r", folder])
    }
}

/// Short spellings for plans in tests.
func ip(_ text: String) -> IPv4Address { IPv4Address(text) ?? IPv4Address(bits: 0) }
func prefix(_ text: String) -> IPv4Prefix { IPv4Prefix(text) ?? .everything }
func domainID(_ bits: UInt64) -> ID<Domain> { ID(bits: bits) }
func groupID(_ bits: UInt64) -> ID<Group> { ID(bits: bits) }

func port(
    _ number: UInt64, _ link: String, _ address: String, public publicAddress: String? = nil, groups: [UInt64] = [1],
    sourceCheck: Bool = true
) -> PlannedPort {
    PlannedPort(
        id: ID(bits: number), link: link, mac: MACAddress(local: number), addresses: [ip(address)],
        publicAddresses: publicAddress.map { [PublicAddress(ip($0), for: ip(address))] } ?? [], groups: groups.map { ID(bits: $0) },
        sourceCheck: sourceCheck)
}

let allowAll = [PlannedRule(.everything, .prefix(.everything))]

/// A group that lets everything out, and in what is listed.
func group(_ bits: UInt64, ingress: [PlannedRule]) -> PlannedGroup {
    PlannedGroup(id: ID(bits: bits), ingress: ingress, egress: allowAll)
}

func subnet(_ text: String, _ gateway: String, _ nameServer: String) -> PlannedSubnet {
    PlannedSubnet(prefix: prefix(text), gateway: ip(gateway), nameServer: ip(nameServer))
}

/// The kernel is as it was applied.
func expectSound(
    _ driver: LinuxDataplane, _ domain: ID<Domain>?, at location: SourceLocation = #_sourceLocation
) async throws(Fault) {
    let found = try await driver.inspect(domain)
    if !found.isEmpty { Issue.record("\(found)", sourceLocation: location) }
}

/// Two listings are the same; else the lines that only one has are recorded.
func expectSame(_ one: String, _ other: String, _ note: String, at location: SourceLocation = #_sourceLocation) {
    // Orders within lists are the kernel's own business.
    let words = { (line: Substring) in line.split(separator: " ").sorted().joined(separator: " ") }
    let lines = one.split(separator: "\n").map(words).sorted()
    let others = other.split(separator: "\n").map(words).sorted()
    guard lines != others else { return }
    let more = lines.filter { !others.contains($0) }
    let less = others.filter { !lines.contains($0) }
    Issue.record("\(note): only now \(more), only before \(less)", sourceLocation: location)
}
