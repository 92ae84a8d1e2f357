//  `karri bench network`: what one more machine costs a host whose network holds few, and many, in the
//  kernel's own namespaces; in a namespace that stands for the host, so that the host is untouched.

import Dataplane
import Logging
import Model
import Platform

/// The benchmark of the dataplane.
public struct NetworkBench: Sendable {
    let mark: String
    let runs: Int
    let say: @Sendable (String) -> Void

    /// How many ports the network holds when one more is added.
    static let sizes = [0, 100, 1000]
    static let publicRange = "198.18.0.0/16"

    public init(mark: String, runs: Int, say: @escaping @Sendable (String) -> Void) {
        self.mark = mark
        self.runs = max(1, runs)
        self.say = say
    }

    public func run() async throws(Fault) {
        say(Measured.machine(accelerator: "none"))
        let host = "\(mark)-bench"
        try await Command.run("ip", ["netns", "add", host])
        var fault: Fault?
        do throws(Fault) {
            // A pair, of which the other end stands for the network outside.
            try await Command.run("ip", ["-n", host, "link", "add", "name", "up", "type", "veth", "peer", "name", "outside"])
            for link in ["lo", "outside", "up"] { try await Command.run("ip", ["-n", host, "link", "set", "dev", link, "up"]) }
            try await Command.run("ip", ["-n", host, "address", "add", "192.0.2.11/24", "dev", "up"])
            try await Command.run("ip", ["-n", host, "route", "add", "default", "via", "192.0.2.1"])
            let driver = try LinuxDataplane(
                installation: Installation(mark: mark), log: Logger(label: "karri.bench"), hostNamespace: host)
            do throws(Fault) { try await measure(driver) } catch { fault = error }
            do throws(Fault) { try await driver.removeEverything() } catch { fault = fault ?? error }
        } catch { fault = error }
        do throws(Fault) { try await Command.run("ip", ["netns", "delete", host]) } catch { fault = fault ?? error }
        if let fault { throw fault }
    }

    private func measure(_ driver: LinuxDataplane) async throws(Fault) {
        let hostPlan = HostPlan(publicRanges: [IPv4Prefix(NetworkBench.publicRange)].compactMap(\.self), uplink: "up")
        try await driver.prepareHost(hostPlan)
        let first = try await timed { () async throws(Fault) in try await driver.apply(plan(0)) }
        say("a network's first machine has the host make it in \(milliseconds([first]))")
        var present = 0
        for size in NetworkBench.sizes {
            try await fill(driver, from: present, to: size)
            present = size
            try await one(driver, besides: size)
        }
    }

    private func fill(_ driver: LinuxDataplane, from first: Int, to end: Int) async throws(Fault) {
        for number in first..<max(first, end) { try await driver.createTap(tap(number), owner: 1) }
        try await driver.apply(plan(end))
        for number in first..<max(first, end) { try await driver.placeTap(tap(number), in: NetworkBench.domain) }
    }

    private func one(_ driver: LinuxDataplane, besides size: Int) async throws(Fault) {
        var times: [[Double]] = [[], [], []]
        for _ in 0..<runs {
            let name = tap(size)
            times[0].append(try await timed { () async throws(Fault) in try await driver.createTap(name, owner: 1) })
            times[1].append(try await timed { () async throws(Fault) in try await driver.apply(plan(size + 1)) })
            times[2].append(
                try await timed { () async throws(Fault) in try await driver.placeTap(name, in: NetworkBench.domain) })
            try await driver.apply(plan(size))
            try await driver.removeTap(name)
        }
        say(
            "one more machine besides \(size): tap \(milliseconds(times[0])), rules \(milliseconds(times[1])), placed \(milliseconds(times[2])) (median of \(runs))"
        )
    }

    private func timed(_ body: () async throws(Fault) -> Void) async throws(Fault) -> Double {
        let began = ContinuousClock.now
        try await body()
        return seconds(ContinuousClock.now - began)
    }

    private func milliseconds(_ times: [Double]) -> String { "\(decimal(Samples(times).median * 1000, 1)) ms" }

    // MARK: - The network

    private static let domain = ID<Domain>(bits: 0xbe)
    private static let group = ID<Group>(bits: 1)
    /// 10.0.0.0 and 198.18.0.0.
    private static let privateBase: UInt32 = 10 << 24
    private static let publicBase: UInt32 = 198 << 24 | 18 << 16

    private func tap(_ number: Int) -> String { "\(mark)t\(number)" }

    /// A network of one group whose members reach each other, with an address of the outside for each.
    private func plan(_ count: Int) -> DomainPlan {
        let ranges = [IPv4Prefix("10.0.0.0/16")].compactMap(\.self)
        let ports = (0..<count).map { number in
            let bits = UInt32(truncatingIfNeeded: number + 16)
            let address = IPv4Address(bits: NetworkBench.privateBase + bits)
            return PlannedPort(
                id: ID(bits: UInt64(number) + 1), link: tap(number), mac: MACAddress(bits: 0x0200_0000_0000 + UInt64(number)),
                addresses: [address],
                publicAddresses: [PublicAddress(IPv4Address(bits: NetworkBench.publicBase + bits), for: address)],
                groups: [NetworkBench.group], sourceCheck: true)
        }
        var group = PlannedGroup(id: NetworkBench.group)
        group.ingress = [PlannedRule(.everything, .group(NetworkBench.group))]
        group.egress = ranges.map { PlannedRule(.everything, .prefix($0)) }
        return DomainPlan(
            id: NetworkBench.domain, vni: 4_000_099, mtu: 1450, ranges: ranges,
            subnets: ranges.map {
                PlannedSubnet(
                    prefix: $0, gateway: IPv4Address(bits: $0.first.bits + 1), nameServer: IPv4Address(bits: $0.first.bits + 2))
            }, ports: ports, groups: [group],
            members: [GroupMembers(group: NetworkBench.group, addresses: ports.flatMap(\.addresses))])
    }
}
