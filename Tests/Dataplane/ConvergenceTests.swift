//  A repeated plan does nothing, a half-made one is finished, a removed one leaves nothing.

import Glibc
import Model
import Platform
import Synchronization
import Testing

@testable import Dataplane

@Suite struct ConvergenceTests {
    static func hostPlan() -> HostPlan {
        HostPlan(
            underlay: Underlay(link: "und", address: ip("10.200.0.1"), members: [ip("10.200.0.2")]),
            underlayPrefixes: [prefix("10.200.0.0/24")], publicRanges: [prefix("192.0.2.128/25")], uplink: "up",
            publicMode: .proxyARP)
    }

    static func plan() -> DomainPlan {
        DomainPlan(
            id: domainID(0xd2), vni: 78, ranges: [prefix("10.0.0.0/16")], subnets: [subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.2")],
            ports: [port(1, "pa", "10.0.0.5", public: "192.0.2.133"), port(2, "pb", "10.0.0.6", groups: [1, 2])],
            groups: [group(1, ingress: [PlannedRule(.everything, .group(groupID(1)))]), group(2, ingress: allowAll)],
            members: [GroupMembers(group: groupID(1), addresses: [ip("10.0.0.5"), ip("10.0.1.5")])],
            outbound: [OutboundTranslation(sources: prefix("10.0.0.0/24"), address: ip("192.0.2.140"))],
            peers: [PeerHost(underlay: ip("10.200.0.2"), ports: [RemotePort(ip("10.0.1.5"))])])
    }

    /// Another plan for the same domain, different in every list.
    static func changed() -> DomainPlan {
        var plan = plan()
        plan.mtu = 1400
        plan.ranges = [prefix("10.0.0.0/15")]
        plan.subnets.append(subnet("10.0.2.0/24", "10.0.2.1", "10.0.2.2"))
        plan.ports[0].publicAddresses = []
        plan.ports[0].addresses.append(ip("10.0.0.15"))
        plan.ports[1].publicAddresses = [PublicAddress(ip("192.0.2.134"), for: ip("10.0.0.6"))]
        plan.ports[1].groups = [groupID(2)]
        plan.ports[1].sourceCheck = false
        plan.groups[1].ingress = [PlannedRule(.tcp(PortRange(5, 9)), .group(groupID(3)))]
        plan.members = [
            GroupMembers(group: groupID(1), addresses: [ip("10.0.0.5")]),
            GroupMembers(group: groupID(3), addresses: [ip("10.0.0.6")]),
        ]
        plan.outbound = [OutboundTranslation(sources: prefix("10.0.0.0/25"), address: ip("192.0.2.141"))]
        plan.peers = [PeerHost(underlay: ip("10.200.0.3"), ports: [RemotePort(ip("10.0.1.5")), RemotePort(ip("10.0.1.6"))])]
        return plan
    }

    @Test func repeatingDoesNothingAndInspectionAgrees() async throws {
        try await Lab.with { lab in
            let driver = try lab.driver()
            let plan = Self.plan()
            try await driver.prepareHost(Self.hostPlan())
            #expect(try await driver.apply(plan).commands > 0)
            for port in plan.ports {
                try await driver.createTap(port.link, owner: 4242)
                try await driver.placeTap(port.link, in: plan.id)
            }
            #expect(try await driver.apply(plan) == AppliedWork())
            try await expectSound(driver, nil)
            try await expectSound(driver, plan.id)
            #expect(try await driver.taps() == ["pa": .domain(plan.id), "pb": .domain(plan.id)])
            #expect(try await driver.domains() == [plan.id])
            #expect(Set(try await driver.counters(plan.id).keys) == ["pa", "pb"])
            try await driver.apply(Self.changed())
            try await expectSound(driver, plan.id)
            let fresh = try lab.driver()
            try await fresh.prepareHost(Self.hostPlan())
            try await fresh.apply(Self.changed())
            try await expectSound(fresh, plan.id)
            try await fresh.apply(plan)
            try await expectSound(fresh, plan.id)
        }
    }

    @Test func whatIsRemovedBehindItsBackIsFoundAndMended() async throws {
        try await Lab.with { lab in
            let driver = try lab.driver()
            let plan = Self.plan()
            let inside = lab.namespace(plan.id)
            try await driver.prepareHost(Self.hostPlan())
            try await driver.apply(plan)
            try await driver.createTap("pa", owner: 1)
            try await driver.placeTap("pa", in: plan.id)
            let injuries: [(String, [String], String, ID<Domain>?)] = [
                (lab.host(1), ["nft", "flush", "ruleset"], "table inet", nil),
                (lab.host(1), ["ip", "rule", "del", "pref", "5300"], "rule add", nil),
                (inside, ["nft", "flush", "ruleset"], "table inet", plan.id),
                (inside, ["nft", "flush", "chain", "inet", driver.names.table, "forward"], "chain forward", plan.id),
                (inside, ["ip", "route", "del", "10.0.0.5"], "10.0.0.5/32", plan.id),
                (inside, ["ip", "link", "del", "pa"], "link pa", plan.id),
                (inside, ["ip", "link", "del", "vx"], "link vx", plan.id),
                (inside, ["ip", "link", "del", "out"], "link out", plan.id),
                (lab.host(1), ["ip", "route", "flush", "table", "\(driver.names.number)"], "blackhole", nil),
                (lab.host(1), ["ip", "netns", "delete", inside], "namespace", plan.id),
            ]
            for (place, command, clue, domain) in injuries {
                try await Command.run("nsenter", ["--net=/run/netns/\(place)"] + command)
                let found = try await driver.inspect(domain)
                #expect(found.contains { $0.sense == .missing && $0.what.contains(clue) }, "after \(command): \(found)")
                if domain == nil { try await driver.prepareHost(Self.hostPlan()) }
                try await driver.apply(plan)
                try await expectSound(driver, domain)
            }
        }
    }

    @Test func removalLeavesNothing() async throws {
        try await Lab.with { lab in
            let before = try await lab.listing()
            let driver = try lab.driver()
            try await driver.prepareHost(Self.hostPlan())
            for bits in [UInt64(1), 2, 3] {
                var plan = Self.plan()
                plan.id = domainID(bits)
                plan.vni = Int64(bits)
                plan.outbound = []
                plan.ports[0].publicAddresses = [PublicAddress(ip("192.0.2.15\(bits)"), for: ip("10.0.0.5"))]
                try await driver.apply(plan)
            }
            try await driver.createTap("\(driver.names.mark)tzzzzzzzz", owner: 1)
            try await driver.createTap("pa", owner: 1)
            try await driver.placeTap("pa", in: domainID(2))
            #expect(try await lab.listing() != before)
            // As *edge* does, whose sockets outlive the namespace's name.
            let held = open(driver.namespacePath(domainID(3)), O_RDONLY | O_CLOEXEC)
            defer { close(held) }
            #expect(held >= 0)
            try await driver.removeDomain(domainID(3))
            try await driver.removeDomain(domainID(3))
            #expect(try await !lab.listing().contains(driver.names.hostLink(vni: 3)))
            #expect(try await driver.domains() == [domainID(1), domainID(2)])
            try await driver.removeTap("pa")
            try await driver.removeTap("pa")
            #expect(try await driver.taps() == ["\(driver.names.mark)tzzzzzzzz": .host])
            // Uninstall knows nothing but the mark.
            try await lab.driver().removeEverything()
            expectSame(try await lab.listing(), before, "after the removal")
            try await lab.driver().removeEverything()
        }
    }

    /// Each command × killed before, and batches cut after some lines; then a fresh process.
    @Test func aKilledProcessIsFinishedByTheNext() async throws {
        try await Lab.with { lab in
            let whole = try await Self.state(lab, of: Self.changed())
            try await lab.driver().removeEverything()
            var step = 0
            while true {
                let count = Mutex(0)
                let kill = step
                let stop: @Sendable (String) -> FailPoint = { _ in
                    let seen = count.withLock { count in
                        count += 1
                        return count - 1
                    }
                    guard seen == kill / 2 else { return seen < kill / 2 ? .proceed : .stop }
                    return kill % 2 == 0 ? .stop : .stopAfterLines(2)
                }
                let victim = try lab.driver(failPoint: stop)
                var died = false
                do throws(Fault) { try await Self.story(victim) } catch {
                    #expect(error.code == .cancelled, "\(error)")
                    died = true
                }
                let after = try await Self.state(lab, of: Self.changed())
                expectSame(after, whole, "killed at \(kill)")
                if !died { break }
                step += 1
                try await lab.driver().removeEverything()
            }
            #expect(step > 10)
        }
    }

    /// Removal, killed at each command and begun again, leaves nothing either.
    @Test func aKilledRemovalIsFinishedByTheNext() async throws {
        try await Lab.with { lab in
            let before = try await lab.listing()
            var step = 0
            while true {
                _ = try await Self.state(lab, of: Self.plan())
                let count = Mutex(0)
                let kill = step
                let stop: @Sendable (String) -> FailPoint = { _ in
                    let seen = count.withLock { count in
                        count += 1
                        return count - 1
                    }
                    guard seen == kill / 2 else { return seen < kill / 2 ? .proceed : .stop }
                    return kill % 2 == 0 ? .stop : .stopAfterLines(1)
                }
                let victim = try lab.driver(failPoint: stop)
                var died = false
                do throws(Fault) { try await victim.removeEverything() } catch {
                    #expect(error.code == .cancelled, "\(error)")
                    died = true
                }
                try await lab.driver().removeEverything()
                expectSame(try await lab.listing(), before, "killed at \(kill)")
                if !died { break }
                step += 1
            }
            #expect(step > 5)
        }
    }

    /// A life: made, then changed.
    static func story(_ driver: LinuxDataplane) async throws(Fault) {
        try await driver.prepareHost(hostPlan())
        try await driver.apply(plan())
        try await driver.createTap("pa", owner: 1)
        try await driver.placeTap("pa", in: plan().id)
        try await driver.apply(changed())
    }

    /// What a fresh process makes of whatever is there, as the kernel lists it.
    static func state(_ lab: Lab, of plan: DomainPlan) async throws -> String {
        let driver = try lab.driver()
        try await driver.prepareHost(hostPlan())
        try await driver.apply(plan)
        if try await driver.taps()["pa"] != .domain(plan.id) {
            try await driver.createTap("pa", owner: 1)
            try await driver.placeTap("pa", in: plan.id)
        }
        let inside = try await Command.run(
            "nsenter",
            [
                "--net=\(driver.namespacePath(plan.id))", "sh", "-c",
                "ip -br link; ip -4 -br address; ip -4 route; ip neigh show nud permanent; bridge fdb show dev vx; nft list ruleset",
            ])
        // Numbers of links change from life to life, and what is written after them.
        return (try await lab.listing() + inside).split(separator: "\n").filter { !$0.contains("@") }.joined(separator: "\n")
    }
}
