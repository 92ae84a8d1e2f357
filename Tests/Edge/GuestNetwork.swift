//  A domain's namespace with guests behind veth pairs, wired as the dataplane wires taps.

import Glibc
import Logging
import Model
import Platform
import Testing

@testable import Edge

/// Namespaces with names of their own, so that tests run side by side.
struct GuestNetwork: Sendable {
    struct Guest: Sendable {
        var namespace: String
        var mac: MACAddress
        var address: IPv4Address
        /// The index of the link on the domain's side.
        var interface: Int
    }

    let name: String
    let guests: [Guest]

    static func path(_ namespace: String) -> String { "/run/netns/\(namespace)" }

    /// Runs `body` with a domain and its guests, and removes both afterwards.
    static func with<Result: Sendable>(
        guests count: Int = 1, _ body: (GuestNetwork) async throws -> Result
    ) async throws -> Result {
        let name = "kedge" + hexDigits(Chance.system.bits()).suffix(8)
        let names = [name] + (0..<count).map { "\(name)g\($0)" }
        let outcome: Swift.Result<Result, any Error>
        do { outcome = .success(try await body(try await make(name, count))) } catch { outcome = .failure(error) }
        for name in names { _ = try? await Command.attempt("ip", ["netns", "del", name]) }
        return try outcome.get()
    }

    private static func make(_ name: String, _ count: Int) async throws -> GuestNetwork {
        func ip(_ line: String) async throws { try await Command.run("ip", line.split(separator: " ").map(String.init)) }
        try await ip("netns add \(name)")
        try await ip("-n \(name) link set lo up")
        for address in ["10.0.0.1", "10.0.0.2", "169.254.169.253", "169.254.169.254"] {
            try await ip("-n \(name) addr add \(address)/32 dev lo")
        }
        var guests: [Guest] = []
        for number in 0..<count {
            let mac = MACAddress(local: UInt64(0x0a00_0005 + number))
            let address = IPv4Address(10, 0, 0, UInt8(5 + number))
            let namespace = "\(name)g\(number)"
            try await ip("netns add \(namespace)")
            try await ip("link add tap\(number) netns \(name) type veth peer name eth0 netns \(namespace)")
            try await ip("-n \(namespace) link set eth0 address \(mac) up")
            try await ip("-n \(namespace) link set lo up")
            try await ip("-n \(name) link set tap\(number) address 02:00:00:00:00:01 up")
            try await ip("-n \(name) route add \(address)/32 dev tap\(number)")
            try await ip("-n \(name) neigh add \(address) lladdr \(mac) dev tap\(number) nud permanent")
            try await Command.run("ip", ["netns", "exec", name, "sysctl", "-qw", "net.ipv4.conf.tap\(number).proxy_arp=1"])
            let index = try await Command.run("ip", ["netns", "exec", name, "cat", "/sys/class/net/tap\(number)/ifindex"])
            guests.append(
                Guest(
                    namespace: namespace, mac: mac, address: address,
                    interface: Int(index.split(separator: "\n").first ?? "") ?? 0))
        }
        return GuestNetwork(name: name, guests: guests)
    }

    /// What the edge's document says of this domain.
    func domain(_ options: EdgeMetadataOptions = EdgeMetadataOptions(), userData: String? = nil) -> EdgeDomain {
        var domain = Fixture.domain(
            guests.enumerated().map { number, guest in
                Fixture.guest(
                    "i-\(name)\(number)", guest.mac, [guest.address], interface: guest.interface, options: options,
                    userData: userData)
            })
        domain.id = name
        return domain
    }

    /// Gives a guest its address by hand, for tests that are not about DHCP.
    func configure(_ guest: Guest) async throws {
        try await Command.run("ip", ["-n", guest.namespace, "addr", "add", "\(guest.address)/24", "dev", "eth0"])
        try await Command.run("ip", ["-n", guest.namespace, "route", "add", "default", "via", "10.0.0.1"])
    }

    /// Runs a program inside a guest; its output, and its status if it failed.
    func run(in guest: Guest, _ program: String, _ arguments: [String]) async throws -> String {
        let all = ["netns", "exec", guest.namespace, "timeout", "30", program] + arguments
        let (status, output, error) = try await Command.attempt("ip", all)
        return status == 0 ? output : "\(output)\(error)status \(status)"
    }

    func python(in guest: Guest, _ script: String) async throws -> String {
        try await run(in: guest, "python3", ["-c", script]).trimmed
    }
}

/// An edge in this process with node's link to it, restarted at will.
final class Bench: Sendable {
    let link: EdgeLink
    private let log = Logger(label: "edge.test") { _ in SwiftLogNoOpLogHandler() }

    init() { link = EdgeLink(namespacePath: { GuestNetwork.path($0) }, log: log) }

    /// Runs `body` while an edge serves; afterwards that edge is gone, as if it had been killed.
    func withEdge<Result: Sendable>(
        limits: EdgeLimits = EdgeLimits(), _ body: (EdgeLink) async throws -> Result
    ) async throws -> Result {
        let (nodeEnd, edgeEnd) = try socketPair()
        let server = EdgeServer(limits: limits, threads: 1, log: log)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await server.run(socket: edgeEnd)
                await server.shutdown()
            }
            try await link.attach(socket: nodeEnd)
            let outcome: Swift.Result<Result, any Error>
            do { outcome = .success(try await body(link)) } catch { outcome = .failure(error) }
            group.cancelAll()
            try await group.waitForAll()
            return try outcome.get()
        }
    }
}

extension String {
    var trimmed: String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text = text.dropLast() }
        return String(text)
    }
}
