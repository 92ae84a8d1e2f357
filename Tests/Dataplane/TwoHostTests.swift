//  Real packets between two hosts, and between tenants who use the same addresses.

import Model
import Testing

@testable import Dataplane

@Suite struct TwoHostTests {
    static func hostPlan(_ number: Int) -> HostPlan {
        HostPlan(
            underlay: Underlay(link: "und", address: ip("10.200.0.\(number)"), members: [ip("10.200.0.\(3 - number)")]),
            underlayPrefixes: [prefix("10.200.0.0/24")],
            // A slice of the uplink's network for each host.
            publicRanges: [prefix(number == 1 ? "192.0.2.128/26" : "192.0.2.192/26")], uplink: "up", publicMode: .proxyARP)
    }

    /// A tenant's domain as one of two hosts sees it: one guest on each, which may talk as a group.
    static func plan(_ tenant: UInt64, host number: Int) -> DomainPlan {
        let here = "10.0.0.\(number)0"
        let there = "10.0.0.\(3 - number)0"
        let publicAddress = tenant == 1 ? (number == 1 ? "192.0.2.131" : "192.0.2.195") : nil
        return DomainPlan(
            id: domainID(tenant), vni: Int64(100 + tenant), ranges: [prefix("10.0.0.0/16")],
            subnets: [subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.2")],
            ports: [port(tenant * 10 + UInt64(number), "p\(tenant)", here, public: publicAddress)],
            groups: [
                group(
                    1,
                    ingress: [
                        PlannedRule(.everything, .group(groupID(1))), PlannedRule(.tcp(PortRange(2222)), .prefix(.everything)),
                    ])
            ],
            members: [GroupMembers(group: groupID(1), addresses: [ip("10.0.0.10"), ip("10.0.0.20")])],
            peers: [PeerHost(underlay: ip("10.200.0.\(3 - number)"), ports: [RemotePort(ip(there))])])
    }

    @Test func tenantsAcrossHosts() async throws {
        try await Lab.with(hosts: 2) { lab in
            for number in 1...2 {
                let driver = try lab.driver(number)
                try await driver.prepareHost(Self.hostPlan(number))
                for tenant in [UInt64(1), 2] {
                    let plan = Self.plan(tenant, host: number)
                    try await driver.apply(plan)
                    try await lab.addGuest("\(tenant)\(number)", plan.ports[0], host: number, gateway: "10.0.0.1")
                    try await driver.placeTap("p\(tenant)", in: plan.id)
                }
                try await expectSound(driver, domainID(1))
            }
            let guest = { (tenant: Int, host: Int) in lab.guest("\(tenant)\(host)") }
            try await Probe.check(
                [
                    .tcp(guest(1, 1), guest(1, 2), "10.0.0.20", 9000, "10.0.0.10", "across hosts, by group"),
                    .tcp(guest(1, 2), guest(1, 1), "10.0.0.10", 9001, "10.0.0.20", "and back"),
                    .tcp(guest(2, 1), guest(2, 2), "10.0.0.20", 9002, "10.0.0.10", "another tenant, same addresses"),
                    .udp(guest(2, 2), guest(2, 1), "10.0.0.10", 9003, "10.0.0.20", "and back by UDP"),
                    .tcp(guest(1, 1), guest(2, 2), "10.0.0.20", 9004, "", "never the other tenant's"),
                    .tcp(guest(1, 1), guest(1, 2), "192.0.2.195", 2222, "192.0.2.131", "public addresses on two hosts"),
                    .tcp(guest(1, 1), guest(1, 2), "192.0.2.195", 2223, "", "a public source is no member of the group"),
                    .tcp(guest(1, 1), lab.host(2), "10.200.0.2", 2224, "", "the other host by its underlay address"),
                    .udp(guest(1, 1), lab.host(2), "192.0.2.12", 2225, "192.0.2.131", "what another host lets the outside reach"),
                ], timeoutSeconds: 1.5)
            try await Self.forgeTunnel(lab)
        }
    }

    /// A frame as host 1 would send it to tenant 2's domain on host 2.
    static func forgeTunnel(_ lab: Lab) async throws {
        let inner = frame(source: "10.0.0.10", to: "10.0.0.20", port: 9100, mac: DataplaneNames.tunnelMAC(ip("10.200.0.2")))
        let vxlan = "0800000000006600" + inner
        let guest = lab.guest("11")
        let mac = "\(plan(1, host: 1).ports[0].mac)"
        try await Probe.check(
            [
                .frame(
                    guest, mac: mac, source: "10.0.0.10", to: nil, "10.200.0.2", 4789, payload: vxlan, "", "sent into the underlay"),
                .frame(
                    guest, mac: mac, source: "10.0.0.10", to: nil, "192.0.2.12", 4789, payload: vxlan, "",
                    "sent to the host's uplink"),
                .listen(lab.guest("22"), 9100, "", "forged by a guest"),
            ], timeoutSeconds: 1.5)
        // From the outside, and from a machine on the underlay that is no member.
        try await Probe.check([
            .vxlan(lab.outside, "192.0.2.12", vxlan, "from outside"), .listen(lab.guest("22"), 9100, "", "forged from outside"),
        ])
        try await lab.batch(lab.outside, ["address add 10.200.0.99/24 dev bru"])
        try await Probe.check([
            .vxlan(lab.outside, "10.200.0.2", vxlan, "from the underlay"), .listen(lab.guest("22"), 9100, "", "not a member"),
        ])
        // The same frame from a member arrives: the frame is right, and the rules are what stops it.
        try await Probe.check([
            .vxlan(lab.host(1), "10.200.0.2", vxlan, "from a member"), .listen(lab.guest("22"), 9100, "10.0.0.10", "a member"),
        ])
    }

    /// An Ethernet frame with a UDP datagram, in hex.
    static func frame(source: String, to: String, port: UInt16, mac: MACAddress) -> String {
        let udp: [UInt8] = [0x0d, 5, UInt8(port >> 8), UInt8(port & 255), 0, 12, 0, 0] + Array("evil".utf8)
        var head: [UInt8] = [0x45, 0, 0, UInt8(20 + udp.count), 0, 1, 0, 0, 64, 17, 0, 0] + ip(source).bytes + ip(to).bytes
        var sum = stride(from: 0, to: 20, by: 2).reduce(UInt32(0)) { $0 + UInt32(head[$1]) << 8 + UInt32(head[$1 + 1]) }
        sum = sum & 0xffff + sum >> 16
        head[10] = UInt8(~sum >> 8 & 255)
        head[11] = UInt8(~sum & 255)
        return hexDigits(mac.bytes + [2, 0, 0, 0, 0, 0x77, 8, 0] + head + udp)
    }

    @Test func theSameNumberTwiceIsRefused() async throws {
        try await Lab.with { lab in
            let driver = try lab.driver()
            try await driver.prepareHost(Self.hostPlan(1))
            try await driver.apply(DomainPlan(id: domainID(1), vni: 5))
            let fault = await #expect(throws: Fault.self) { try await driver.apply(DomainPlan(id: domainID(2), vni: 5)) }
            #expect(fault?.code == .conflict)
        }
    }
}
