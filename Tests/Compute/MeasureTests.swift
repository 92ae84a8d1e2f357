//  What a launch and a page cost, printed: KARRI_MEASURE=10000 swift test -c release. Nothing is
//  asserted, since it depends on the machine.

import CloudTesting
import Compute
import Database
import DatabaseTesting
import FoundationEssentials
import Glibc
import Model
import Operations
import Store
import Testing

@Suite(.serialized) struct MeasureTests {
    static let count = ProcessInfo.processInfo.environment["KARRI_MEASURE"].flatMap(Int.init)

    /// CPU seconds of this process so far, all threads.
    private static func cpu() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func measured(_ name: String, times: Int, _ body: () async throws -> Void) async throws {
        let cpu = MeasureTests.cpu()
        let start = ContinuousClock.now
        try await body()
        let span = start.duration(to: .now)
        let wall = Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18
        print(
            "measured \(name): \(((MeasureTests.cpu() - cpu) * 1e6 / Double(times)).rounded()) µs CPU, "
                + "\((wall * 1e6 / Double(times)).rounded()) µs")
        // It may be long until the next.
        fflush(nil)
    }

    /// Says of one machine's parts what their owners would, and no more.
    private func report(_ cloud: TestCloud, _ view: InstanceView) async throws {
        let volume = view.attachments[0].volume.stored
        let machine = view.instance.id.stored
        try await cloud.engine.write { tx throws(Fault) in
            if let disk = try tx.holding(.disk, volume), disk.granted, disk.observed == .unknown {
                _ = try tx.note(Observation(.ready), of: disk)
            }
            if let holding = try tx.holding(.machine, machine), holding.granted {
                _ = try tx.note(Observation(holding.wanted == .absent ? .absent : .running, startsDone: 1), of: holding)
            }
            if let disk = try tx.holding(.disk, volume), disk.wanted == .absent { _ = try tx.note(Observation(.absent), of: disk) }
        }
    }

    /// Each pool has its copy of the image from here on.
    private func reportCopies(_ cloud: TestCloud) async throws {
        try await cloud.engine.write { tx throws(Fault) in
            for host in try tx.all(Host.table, where: "TRUE") {
                let copies = try tx.holdings(on: host.id, pool: host.pool).filter { $0.kind == .image && $0.observed == .unknown }
                for copy in copies { _ = try tx.note(Observation(.ready), of: copy) }
            }
        }
    }

    private func operation(_ cloud: TestCloud, _ view: InstanceView) async throws -> ID<Operation>? {
        let machine = view.instance.id.stored
        return try await cloud.engine.readNow { tx throws(Fault) in try tx.operation(holding: .instance, machine)?.id }
    }

    private func settle(_ cloud: TestCloud, _ views: [InstanceView]) async throws {
        let runner = cloud.runner()
        for view in views {
            while let id = try await operation(cloud, view) {
                try await runner.run(id)
                try await report(cloud, view)
            }
        }
    }

    @Test(.enabled(if: count != nil), arguments: EngineName.allCases)
    func launchAndPage(engine: EngineName) async throws {
        let count = MeasureTests.count ?? 0
        var tenants: [TestCloud.Tenant] = []
        try await TestCloud.with(
            engine,
            {
                $0.hosts = 100
                $0.processors = 1000
                $0.memory = .gibibytes(4096)
            }
        ) { cloud in
            try await measured("filling, a launch of 500", times: count) {
                for number in 0..<max(1, count / 500) {
                    // A default subnet has addresses for four thousand.
                    let tenant = number.isMultiple(of: 5) ? try await cloud.tenant(named: "tenant-\(number)") : nil
                    tenants += tenant.map { [$0] } ?? []
                    var request = cloud.request(500)
                    request.instanceTags = ["Name": "web", "stage": "test"]
                    let made = try await cloud.compute.launch(request, by: cloud.call(tenants[tenants.count - 1]))
                    try await reportCopies(cloud)
                    try await settle(cloud, made)
                }
            }
            var made: [InstanceView] = []
            try await measured("RunInstances of one", times: 300) {
                for _ in 0..<300 { made += try await cloud.compute.launch(cloud.request(), by: cloud.call(tenants[0])) }
            }
            try await measured("its operation and reports", times: 300) { try await settle(cloud, made) }
            try await measured("TerminateInstances of one with its operation and reports", times: 300) {
                for view in made { _ = try await cloud.compute.terminate([view.instance.id], by: cloud.call(tenants[0])) }
                try await settle(cloud, made)
            }
            try await pages(cloud, tenants[0], made[0].instance.id)
            try await measured("the check of all invariants", times: 1) {
                let complaints = try await cloud.complaints()
                #expect(complaints == [])
            }
        }
    }

    private func pages(_ cloud: TestCloud, _ tenant: TestCloud.Tenant, _ one: ID<Instance>) async throws {
        let all = InstanceSelection(account: tenant.account.id)
        var tagged = all
        tagged.tag = ("stage", "test")
        for (name, selection) in [("a page of 1,000", all), ("a page of 1,000 by tag", tagged)] {
            try await measured(name, times: 20) {
                for _ in 0..<20 {
                    let page = try await cloud.compute.instances(
                        selection, after: .min, limit: 1000, by: cloud.call(tenant))
                    #expect(page.count > 0)
                }
            }
        }
        try await measured("one by id", times: 1000) {
            for _ in 0..<1000 { _ = try await cloud.compute.instances([one], by: cloud.call(tenant)) }
        }
    }
}
