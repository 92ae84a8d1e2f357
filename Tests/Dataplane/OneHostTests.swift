//  Real packets on one host: what must pass does, what must not does not.

import Model
import Platform
import Testing

@testable import Dataplane

/// A domain of two subnets and four guests, with a public range that only the host knows.
struct OneHost {
    let lab: Lab
    let driver: LinuxDataplane
    var plan: DomainPlan
    let hostPlan: HostPlan

    static func with(mode: PublicMode = .translated, _ test: (OneHost) async throws -> Void) async throws {
        try await Lab.with { lab in
            let range = mode == .translated ? "198.18.0.0/24" : "192.0.2.128/25"
            let publics = mode == .translated ? ["198.18.0.5", "198.18.0.6"] : ["192.0.2.133", "192.0.2.134"]
            let hostPlan = HostPlan(
                underlay: Underlay(link: "und", address: ip("10.200.0.1"), members: [ip("10.200.0.2")]),
                underlayPrefixes: [prefix("10.200.0.0/24")], publicRanges: [prefix(range)], uplink: "up", publicMode: mode,
                openHostPorts: [HostPort(.tcp, 7777), HostPort(.tcp, 7776)])
            let plan = DomainPlan(
                id: domainID(0xd1), vni: 77, ranges: [prefix("10.0.0.0/16")],
                subnets: [subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.2"), subnet("10.0.1.0/24", "10.0.1.1", "10.0.1.2")],
                ports: [
                    port(1, "pa", "10.0.0.5", public: publics[0]), port(2, "pb", "10.0.0.6", public: publics[1], groups: [2]),
                    port(3, "pc", "10.0.1.5", groups: [1, 3]), port(4, "pd", "10.0.0.7", groups: [3]),
                ],
                groups: [
                    group(
                        1,
                        ingress: [
                            PlannedRule(.tcp(PortRange(20, 29)), .prefix(.everything)),
                            PlannedRule(.everything, .group(groupID(1))),
                        ]),
                    group(
                        2,
                        ingress: [
                            PlannedRule(.icmp(type: 8, code: nil), .prefix(.everything)),
                            PlannedRule(.tcp(PortRange(80, 89)), .group(groupID(1))),
                            PlannedRule(.udp(PortRange(5100)), .group(groupID(1))),
                            PlannedRule(.udp(PortRange(5101)), .prefix(.everything)),
                        ]),
                    PlannedGroup(
                        id: groupID(3), ingress: [PlannedRule(.udp(PortRange(5000, 5001)), .prefix(prefix("10.0.0.6/32")))],
                        egress: []),
                ],
                members: [GroupMembers(group: groupID(1), addresses: [ip("10.0.0.5"), ip("10.0.1.5")])])
            let driver = try lab.driver()
            try await driver.prepareHost(hostPlan)
            try await driver.apply(plan)
            for (name, port) in zip(["a", "b", "c", "d"], plan.ports) {
                try await lab.addGuest(name, port, gateway: name == "c" ? "10.0.1.1" : "10.0.0.1")
                try await driver.placeTap(port.link, in: plan.id)
            }
            try await test(OneHost(lab: lab, driver: driver, plan: plan, hostPlan: hostPlan))
        }
    }

    var a: String { lab.guest("a") }
    var b: String { lab.guest("b") }
    var c: String { lab.guest("c") }
    var d: String { lab.guest("d") }
    var inside: String { lab.namespace(plan.id) }
    var host: String { lab.host(1) }
}

@Suite struct OneHostTests {
    @Test func groupsDecideBetweenGuests() async throws {
        try await OneHost.with { world in
            try await Probe.check([
                .tcp(world.a, world.c, "10.0.1.5", 9000, "10.0.0.5", "across subnets, by group"),
                .tcp(world.c, world.a, "10.0.0.5", 9001, "10.0.1.5", "back, by group"),
                .tcp(world.b, world.a, "10.0.0.5", 22, "10.0.0.6", "in the same subnet, by prefix"),
                .tcp(world.b, world.a, "10.0.0.5", 30, "", "in the same subnet, no rule"),
                .tcp(world.a, world.b, "10.0.0.6", 80, "10.0.0.5", "group to group, first port"),
                .tcp(world.a, world.b, "10.0.0.6", 89, "10.0.0.5", "group to group, last port"),
                .tcp(world.a, world.b, "10.0.0.6", 90, "", "group to group, beyond the range"),
                .tcp(world.d, world.b, "10.0.0.6", 81, "", "not a member, and may send nothing"),
                .icmp(world.a, "10.0.0.6", "ok", "ping is allowed"),
                .icmp(world.b, "10.0.0.5", "", "ping is not allowed"),
                .udp(world.b, world.d, "10.0.0.7", 5000, "10.0.0.6", "answers pass without an egress rule"),
                .udp(world.a, world.d, "10.0.0.7", 5001, "", "another source than the rule's"),
                .udp(world.d, world.a, "10.0.0.5", 22, "", "no egress rule"),
                .udp(world.b, world.c, "10.0.1.5", 5000, "10.0.0.6", "the second of two groups allows"),
                .icmp(world.a, "10.0.0.99", "", "nobody has the address"),
            ])
        }
    }

    @Test func servicesOfTheNamespaceAndNothingElseOfIt() async throws {
        try await OneHost.with { world in
            try await Probe.check(
                [
                    .tcp(world.a, world.inside, "169.254.169.254", 80, bind: "169.254.169.254", "10.0.0.5", "metadata"),
                    .udp(world.a, world.inside, "10.0.0.2", 53, bind: "10.0.0.2", "10.0.0.5", "names"),
                    .tcp(
                        world.d, world.inside, "10.0.0.2", 53, bind: "10.0.0.2", "10.0.0.7",
                        "names by TCP, whatever the groups say"),
                    .udp(
                        world.a, world.inside, "169.254.169.253", 53, bind: "169.254.169.253", "10.0.0.5",
                        "names, fixed address"),
                    .frame(
                        world.a, mac: "\(world.plan.ports[0].mac)", source: "0.0.0.0", to: world.inside, "255.255.255.255", 67,
                        "0.0.0.0", "DHCP discover"),
                    .tcp(world.a, world.inside, "10.0.0.1", 8080, "", "any other port"),
                    .tcp(world.a, world.inside, "169.254.169.254", 8081, "", "any other port of metadata"),
                    .tcp(world.a, world.inside, "10.0.0.1", 80, bind: "10.0.0.1", "", "metadata's port on another address"),
                    .tcp(world.host, world.inside, "198.18.0.5", 8082, "", "from outside"),
                    .icmp(world.a, "10.0.0.1", "", "the router does not answer"),
                    Try(
                        kind: .arp, from: world.a, address: "10.0.0.1", link: "eth0", mac: "02:00:00:00:00:01",
                        source: "10.0.0.9",
                        expect: "", note: "ARP with another's sender address"),
                    Try(
                        kind: .arp, from: world.b, address: "10.0.0.1", link: "eth0", mac: "\(world.plan.ports[1].mac)",
                        source: "10.0.0.6", expect: "02:00:00:00:00:01", note: "ARP for the gateway"),
                    Try(
                        kind: .arp, from: world.b, address: "10.0.0.5", link: "eth0", mac: "\(world.plan.ports[1].mac)",
                        source: "10.0.0.6", expect: "02:00:00:00:00:01", note: "ARP for a neighbour, answered at once"),
                    Try(
                        kind: .arp, from: world.b, address: "10.0.0.99", link: "eth0", mac: "\(world.plan.ports[1].mac)",
                        source: "10.0.0.6", expect: "", note: "ARP for nobody"),
                ], timeoutSeconds: 0.6)
        }
    }

    @Test func forgedPacketsAreDropped() async throws {
        try await OneHost.with { world in
            let mac = "\(world.plan.ports[0].mac)"
            let other = "\(world.plan.ports[1].mac)"
            try await Probe.check([
                .frame(world.a, mac: mac, source: "10.0.0.5", to: world.c, "10.0.1.5", 4000, "10.0.0.5", "its own"),
                .frame(world.b, mac: other, source: "10.0.0.5", to: world.c, "10.0.1.5", 4001, "", "a member's address"),
                .frame(world.b, mac: mac, source: "10.0.0.5", to: world.c, "10.0.1.5", 4002, "", "a member's address and MAC"),
                .frame(world.a, mac: other, source: "10.0.0.5", to: world.c, "10.0.1.5", 4003, "", "another's MAC"),
                .frame(world.a, mac: mac, source: "8.8.8.8", to: world.c, "10.0.1.5", 4004, "", "an address of outside"),
                .frame(world.a, mac: mac, source: "8.8.8.8", to: world.lab.outside, "192.0.2.1", 4005, "", "to outside"),
                .frame(world.a, mac: mac, source: "0.0.0.0", to: world.inside, "10.0.0.2", 53, "", "no address, but not DHCP"),
            ])
        }
    }

    /// Rules go by the addresses of members, so nobody outside may bear one.
    @Test func nobodyOutsideSpeaksAsAMember() async throws {
        try await OneHost.with { world in
            // Frames made by hand go to this MAC.
            try await world.lab.batch(world.host, ["link set dev up address \(DataplaneNames.gatewayMAC)"])
            let mac = "02:00:00:00:99:99"
            try await Probe.check([
                .udp(world.a, world.b, "10.0.0.6", 5100, "10.0.0.5", "a member"),
                .frame(
                    world.lab.outside, link: "br", mac: mac, source: "192.0.2.1", to: world.b, "198.18.0.6", 5101, "192.0.2.1",
                    "the way is open"),
            ])
            try await Probe.check([
                .frame(
                    world.lab.outside, link: "br", mac: mac, source: "10.0.0.5", to: world.b, "198.18.0.6", 5100, "",
                    "as a member, to the public address"),
                .frame(
                    world.lab.outside, link: "br", mac: mac, source: "10.0.1.99", to: world.b, "198.18.0.6", 5101, "",
                    "as nobody of the domain"),
                .frame(
                    world.lab.outside, link: "br", mac: mac, source: "192.0.2.1", to: world.c, "10.0.0.6", 5101, "",
                    "to the private address"),
            ])
        }
    }

    @Test func publicAddressesLeadInAndOut() async throws {
        try await OneHost.with { world in
            try await world.lab.batch(world.lab.outside, ["route add 198.18.0.0/24 via 192.0.2.11"])
            try await Probe.check([
                .tcp(world.host, world.a, "198.18.0.5", 22, "192.0.2.11", "from the host itself"),
                .tcp(world.lab.outside, world.a, "198.18.0.5", 23, bind: "10.0.0.5", "192.0.2.1", "from outside, by a route"),
                .tcp(world.lab.outside, world.a, "198.18.0.5", 30, "", "from outside, no rule"),
                .tcp(world.a, world.lab.outside, "192.0.2.1", 8000, "192.0.2.11", "out, with the host's address"),
                .tcp(world.c, world.lab.outside, "192.0.2.1", 8001, "", "out without a public address"),
                .icmp(world.a, "192.0.2.1", "ok", "ping to outside"),
                .icmp(world.a, "198.18.0.6", "ok", "another guest's public address"),
                .tcp(world.b, world.a, "198.18.0.5", 24, bind: "0.0.0.0", "198.18.0.6", "seen with the public address"),
                .icmp(world.a, "198.18.0.99", "", "a public address of nobody"),
                .tcp(world.host, nil, "10.0.0.5", 22, "", "the host has no way to private addresses"),
            ])
        }
    }

    @Test func proxyARPAnswersForWhatIsInUse() async throws {
        try await OneHost.with(mode: .proxyARP) { world in
            try await Probe.check(
                [
                    .tcp(world.lab.outside, world.a, "192.0.2.133", 22, "192.0.2.1", "a machine of the uplink's network"),
                    .tcp(world.a, world.lab.outside, "192.0.2.1", 8000, "192.0.2.133", "out, with its own public address"),
                    .icmp(world.lab.outside, "192.0.2.135", "", "not in use"),
                ], timeoutSeconds: 2)
        }
    }

    @Test func nothingOfTheHostOrTheUnderlay() async throws {
        try await OneHost.with { world in
            // VXLAN of network 77 with an inner frame from a made-up member.
            let inner = "020000000001" + "020000000099" + "0800"
            try await Probe.check([
                .tcp(world.a, world.host, "192.0.2.11", 7777, "198.18.0.5", "a listed port of the host"),
                .tcp(world.a, world.host, "192.0.2.11", 7778, "", "any other port"),
                .tcp(world.a, world.host, "10.200.0.1", 7779, "", "the host's underlay address"),
                .tcp(
                    world.c, world.host, "192.0.2.11", 7776, "", "a listed port, without a public address"),
                .icmp(world.a, "192.0.2.11", "", "ping to the host"),
                .frame(
                    world.a, mac: "\(world.plan.ports[0].mac)", source: "10.0.0.5", to: nil, "10.200.0.1", 4789,
                    payload: "0800000000004d00" + inner, "", "VXLAN to its own host"),
                .udp(world.a, world.host, "192.0.2.11", 4790, "", "UDP to the host"),
            ])
        }
    }

    /// A container's network and the like, and an underlay that is reached as the internet is.
    @Test func noOtherNetworkOfTheHostAndNoUnderlayByTheUplink() async throws {
        try await OneHost.with { world in
            let other = "\(world.lab.mark)o"
            try await Command.run("ip", ["netns", "add", other])
            try await Command.run(
                "ip", ["link", "add", "name", "oth", "netns", world.host, "type", "veth", "peer", "name", "oth", "netns", other])
            try await world.lab.batch(world.host, ["address add 172.30.0.1/24 dev oth", "link set dev oth up"])
            try await world.lab.batch(other, ["address add 172.30.0.2/24 dev oth", "link set dev oth up"])
            try await world.lab.batch(world.lab.outside, ["address add 10.201.0.1/32 dev lo", "link set dev lo up"])
            var plan = world.hostPlan
            plan.underlayPrefixes.append(prefix("10.201.0.0/24"))
            try await world.driver.prepareHost(plan)
            let outside = world.lab.outside
            let mac = "\(world.plan.ports[0].mac)"
            try await Probe.check([
                .udp(world.host, other, "172.30.0.2", 4800, "172.30.0.1", "the host itself"),
                .udp(world.host, outside, "10.201.0.1", 4801, "192.0.2.11", "the host itself"),
                .frame(world.a, mac: mac, source: "10.0.0.5", to: outside, "192.0.2.1", 4802, "192.0.2.11", "the outside"),
                .frame(world.a, mac: mac, source: "10.0.0.5", to: other, "172.30.0.2", 4803, "", "another network of the host"),
                .frame(world.a, mac: mac, source: "10.0.0.5", to: outside, "10.201.0.1", 4804, "", "the underlay"),
            ])
        }
    }

    @Test func aRemovedRuleKeepsItsFlowsAndARemovedAddressDoesNot() async throws {
        try await OneHost.with { world in
            var closed = world.plan
            closed.groups[0].ingress = []
            let kept = try await Probe.survives(
                from: world.host, to: world.a, address: "198.18.0.5", port: 22, folder: world.lab.folder
            ) {
                try await world.driver.apply(closed)
            }
            #expect(kept)
            try await Probe.check([.tcp(world.host, world.a, "198.18.0.5", 22, "", "a new flow")])
            try await world.driver.apply(world.plan)
            var moved = world.plan
            moved.ports[0].publicAddresses = []
            let ended = try await Probe.survives(
                from: world.host, to: world.a, address: "198.18.0.5", port: 23, folder: world.lab.folder
            ) {
                try await world.driver.apply(moved)
            }
            #expect(!ended)
        }
    }
}
