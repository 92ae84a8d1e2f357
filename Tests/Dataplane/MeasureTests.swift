//  What a change costs with few and with many ports. Run by KARRI_MEASURE=1; the limits are wide.

import FoundationEssentials
import Model
import Testing

@testable import Dataplane

@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["KARRI_MEASURE"] != nil)) struct MeasureTests {
    static func plan(_ count: Int) -> DomainPlan {
        var plan = DomainPlan(
            id: domainID(0xbe), vni: 99, ranges: [prefix("10.0.0.0/16")],
            subnets: [subnet("10.0.0.0/16", "10.0.255.1", "10.0.255.2")],
            groups: [group(1, ingress: [PlannedRule(.everything, .group(groupID(1)))])])
        plan.ports = (0..<count).map { index in
            port(
                UInt64(index + 1), "m\(index)", "10.0.\(index / 200).\(index % 200 + 1)",
                public: "198.18.\(index / 200).\(index % 200 + 1)")
        }
        plan.members = [GroupMembers(group: groupID(1), addresses: plan.ports.flatMap(\.addresses))]
        return plan
    }

    @Test func portsAndDomains() async throws {
        try await Lab.with { lab in
            let clock = ContinuousClock()
            let driver = try lab.driver()
            try await driver.prepareHost(HostPlan(publicRanges: [prefix("198.18.0.0/16")], uplink: "up"))
            let first = try await clock.measure { try await driver.apply(DomainPlan(id: domainID(1), vni: 1)) }
            let second = try await clock.measure { try await driver.apply(Self.plan(0)) }
            print("a domain: \(first), \(second)")
            var present = 0
            for count in [1, 100, 1000] {
                while present < count - 1 {
                    let next = min(present + 200, count - 1)
                    for index in present..<next { try await driver.createTap("m\(index)", owner: 1) }
                    present = next
                    try await driver.apply(Self.plan(present))
                    for index in 0..<present where await driver.states[domainID(0xbe)]?.links.contains("m\(index)") == false {
                        try await driver.placeTap("m\(index)", in: domainID(0xbe))
                    }
                }
                var times: [[Duration]] = [[], [], []]
                for _ in 0..<10 {
                    let name = "m\(present)"
                    times[0].append(try await clock.measure { try await driver.createTap(name, owner: 1) })
                    times[1].append(try await clock.measure { try await driver.apply(Self.plan(present + 1)) })
                    times[2].append(try await clock.measure { try await driver.placeTap(name, in: domainID(0xbe)) })
                    try await driver.apply(Self.plan(present))
                    try await driver.removeTap(name)
                }
                let medians = times.map { $0.sorted()[5] }
                print("a port with \(present) others: create \(medians[0]), apply \(medians[1]), place \(medians[2])")
                #expect(medians[1] + medians[2] < .milliseconds(500))
            }
            let whole = try await clock.measure {
                try await lab.driver().prepareHost(HostPlan(publicRanges: [prefix("198.18.0.0/16")], uplink: "up"))
            }
            print("the host again: \(whole)")
        }
    }
}
