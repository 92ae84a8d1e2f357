//  The twin behaves as the real one does, for as many ports as a cloud has.

import Model
import Testing

@testable import Dataplane

@Suite struct SimulatedTests {
    /// The same story on both: what they answer is the same.
    @Test func tellsTheSameStory() async throws {
        try await Lab.with { lab in
            let real = try await Self.story(try lab.driver())
            let twin = try await Self.story(SimulatedDataplane(names: DataplaneNames(mark: lab.driverMark(1))))
            #expect(real == twin)
        }
    }

    static func story(_ driver: some DataplaneDriver) async throws -> [String] {
        var told: [String] = []
        func tell(_ note: String, _ act: () async throws(Fault) -> String) async {
            do throws(Fault) { told.append("\(note): \(try await act())") } catch { told.append("\(note): \(error.code.rawValue)") }
        }
        let plan = ConvergenceTests.plan()
        await tell("apply too early") { () throws(Fault) in "\(try await driver.apply(plan))" }
        await tell("tap too early") { () throws(Fault) in "\(try await driver.createTap("pa", owner: 1))" }
        await tell("host") { () throws(Fault) in "\(try await driver.prepareHost(ConvergenceTests.hostPlan()))" }
        await tell("place too early") { () throws(Fault) in "\(try await driver.placeTap("pa", in: plan.id))" }
        await tell("apply") { () throws(Fault) in "\(try await driver.apply(plan).commands > 0)" }
        await tell("again") { () throws(Fault) in "\(try await driver.apply(plan))" }
        await tell("domains") { () throws(Fault) in "\(try await driver.domains())" }
        await tell("place nothing") { () throws(Fault) in "\(try await driver.placeTap("pa", in: plan.id))" }
        await tell("apply") { () throws(Fault) in
            try await driver.apply(plan)
            return ""
        }
        await tell("tap") { () throws(Fault) in "\(try await driver.createTap("pa", owner: 1))" }
        await tell("where") { () throws(Fault) in "\(try await driver.taps())" }
        await tell("place") { () throws(Fault) in "\(try await driver.placeTap("pa", in: plan.id))" }
        await tell("place again") { () throws(Fault) in "\(try await driver.placeTap("pa", in: plan.id))" }
        await tell("where now") { () throws(Fault) in "\(try await driver.taps())" }
        await tell("counters") { () throws(Fault) in "\(try await driver.counters(plan.id))" }
        await tell("bad") { () throws(Fault) in
            var bad = plan
            bad.vni = 0
            return "\(try await driver.apply(bad))"
        }
        await tell("path") { () throws(Fault) in driver.namespacePath(plan.id) }
        await tell("remove tap") { () throws(Fault) in "\(try await driver.removeTap("pa"))" }
        await tell("remove") { () throws(Fault) in "\(try await driver.removeDomain(plan.id))" }
        await tell("domains") { () throws(Fault) in "\(try await driver.domains())" }
        await tell("everything") { () throws(Fault) in "\(try await driver.removeEverything())" }
        await tell("apply after all") { () throws(Fault) in "\(try await driver.apply(plan))" }
        return told
    }

    @Test func tenThousandPorts() async throws {
        let driver = SimulatedDataplane(names: try .test)
        try await driver.prepareHost(ConvergenceTests.hostPlan())
        var plan = DomainPlan(id: domainID(1), vni: 1)
        plan.ports = (0..<10_000).map { port(UInt64($0 + 1), "m\($0)", "10.\($0 / 60_000).\($0 / 250).\($0 % 250 + 1)") }
        try await driver.apply(plan)
        for port in plan.ports {
            try await driver.createTap(port.link, owner: 1)
            try await driver.placeTap(port.link, in: plan.id)
        }
        #expect(try await driver.inspect(plan.id) == [])
        #expect(driver.state.calls[.placeTap] == 10_000)
        driver.alter { $0.taps["m77"] = nil }
        #expect(try await driver.inspect(plan.id) == [Discrepancy(.missing, "link m77")])
    }

    @Test func faultsToOrder() async throws {
        let driver = SimulatedDataplane(names: try .test) { call throws(Fault) in
            if call == .apply { throw Fault(.driver, "out of order") }
        }
        try await driver.prepareHost(ConvergenceTests.hostPlan())
        let fault = await #expect(throws: Fault.self) { try await driver.apply(ConvergenceTests.plan()) }
        #expect(fault?.code == .driver)
        #expect(driver.state.plans.isEmpty)
    }
}
