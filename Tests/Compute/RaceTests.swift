//  Many callers at once, with a worker and hosts that act beside them: nothing is sold twice,
//  nothing is lost, and everybody gets an answer.

import CloudTesting
import Compute
import Database
import DatabaseTesting
import Logging
import Model
import Operations
import Store
import Testing

@Suite struct RaceTests {
    /// Runs a worker and the hosts beside `body`, and then until all is at rest.
    private func withWorker(_ cloud: TestCloud, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cloud.worker().run() }
            group.addTask { try await cloud.owner.run() }
            defer { group.cancelAll() }
            try await body()
            // Far longer than it takes: a wake that was lost shows as a deadline that is not met.
            let end = ContinuousClock.now + .seconds(60)
            while try await cloud.count("operation WHERE state = 'running'") > 0 {
                guard ContinuousClock.now < end else {
                    Issue.record("operations are stuck")
                    return
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// Calls again, as clients do, where the answer is that the store was too busy to begin: nothing has happened then.
    private func insisting<T: Sendable>(_ call: @Sendable () async throws -> T) async throws -> T {
        for _ in 0..<10 {
            do { return try await call() } catch let fault as Fault where fault.code == .timedOut {}
        }
        return try await call()
    }

    /// 200 launches of two accounts from eight tasks over hosts that hold 150 of them; each task
    /// removes every third of what it made.
    @Test(arguments: EngineName.allCases)
    func launchesAndRemovalsAtOnce(engine: EngineName) async throws {
        try await TestCloud.with(
            engine,
            {
                $0.hosts = 3
                $0.processors = 100
            }
        ) { cloud in
            try await withWorker(cloud) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for task in 0..<8 {
                        let tenant = task.isMultiple(of: 2) ? cloud.first : cloud.second
                        group.addTask {
                            for number in 0..<25 {
                                do {
                                    let made = try await insisting {
                                        try await cloud.compute.launch(cloud.request(), by: cloud.call(tenant))
                                    }
                                    guard number.isMultiple(of: 3) else { continue }
                                    _ = try await insisting {
                                        try await cloud.compute.terminate(made.map(\.instance.id), by: cloud.call(tenant))
                                    }
                                } catch let fault as Fault where fault.code == .noCapacity {
                                    // The hosts are full just now.
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(try await cloud.complaints() == [])
            let rows = try await cloud.engine.read { tx throws(Fault) in try tx.all(Instance.table, where: "TRUE") }
            #expect(rows.filter { $0.ended == nil }.allSatisfy { $0.phase == .running })
            // What nobody removed runs: none was given up.
            #expect(rows.filter { $0.ended != nil }.allSatisfy { $0.fault?.hasPrefix("Client.UserInitiatedShutdown") == true })
            let running = rows.filter { $0.ended == nil }.count
            #expect(running > 100 && running <= 150, "\(running) of \(rows.count) run")
        }
    }

    @Test(arguments: EngineName.allCases)
    func oneTokenFromTwentyTasks(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            var request = cloud.request(3)
            request.token = "only-once"
            request.digest = [1, 2, 3]
            let wanted = request
            let answers = try await withThrowingTaskGroup(of: [ID<Instance>].self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        try await cloud.compute.launch(wanted, by: cloud.call(cloud.first)).map(\.instance.id)
                    }
                }
                return try await group.reduce(into: Set<[ID<Instance>]>()) { $0.insert($1) }
            }
            #expect(answers.count == 1 && answers.first?.count == 3)
            var other = wanted
            other.digest = [4]
            await #expect(throws: Fault.self) { try await cloud.compute.launch(other, by: cloud.call(cloud.first)) }
            // The other account's token of that name is another token.
            let elsewhere = try await cloud.compute.launch(other, by: cloud.call(cloud.second))
            #expect(elsewhere.count == 3)
            #expect(try await cloud.count("instance") == 6)
            #expect(try await cloud.complaints() == [])
        }
    }

    /// Removed at each moment of its launch: before anything, and after each number of rounds.
    @Test(arguments: EngineName.allCases)
    func removedWhileLaunching(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            for rounds in 0..<8 {
                let made = try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first))
                let id = made[0].instance.id
                for round in 0..<rounds {
                    // Hosts and worker in turn, one step at a time.
                    if round.isMultiple(of: 2) {
                        let operation = try await cloud.engine.read { tx throws(Fault) in
                            try tx.operation(holding: .instance, id.stored)
                        }
                        if let operation { try await cloud.runner().run(operation.id) }
                    } else {
                        try await cloud.owner.act()
                    }
                }
                let change = try await cloud.compute.terminate([id], by: cloud.call(cloud.first))
                #expect(change.first?.after == .terminating)
                #expect(try await cloud.complaints() == [], "after \(rounds) rounds")
                #expect(try await cloud.settle() == [])
                #expect(try await cloud.instance(id)?.phase == .gone)
                #expect(try await cloud.complaints() == [], "after \(rounds) rounds and the end")
            }
        }
    }

    /// Launches side by side fill the cloud to the last place: none is refused while there is room,
    /// and none gets what another has.
    @Test(arguments: EngineName.allCases)
    func launchesFillTheCloud(engine: EngineName) async throws {
        try await TestCloud.with(
            engine,
            {
                $0.hosts = 2
                $0.processors = 8
            }
        ) { cloud in
            let each = Int(cloud.request().type.processors)
            let room = 2 * 8 / each
            let outcomes = await withTaskGroup(of: Fault.Code?.self) { group in
                for number in 0..<(room + 2) {
                    group.addTask {
                        let tenant = number.isMultiple(of: 2) ? cloud.first : cloud.second
                        do throws(Fault) { _ = try await cloud.compute.launch(cloud.request(), by: cloud.call(tenant)) } catch {
                            return error.code
                        }
                        return nil
                    }
                }
                var outcomes: [Fault.Code?] = []
                for await outcome in group { outcomes.append(outcome) }
                return outcomes
            }
            #expect(outcomes.count { $0 == nil } == room)
            #expect(outcomes.compactMap(\.self) == Array(repeating: .noCapacity, count: 2))
            let complaints = try await cloud.complaints()
            #expect(complaints == [])
        }
    }

    /// A worker that is killed at random steps, again and again, while launches and removals go on.
    @Test(arguments: EngineName.allCases)
    func workersThatDie(engine: EngineName) async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        try await TestCloud.with(engine, { $0.seed = seed }) { cloud in
            let chance = cloud.chance
            let points = FailPoints { _ in chance.bits().isMultiple(of: 40) }
            var kept: [ID<Instance>] = []
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while !Task.isCancelled {
                        // It dies of its fail points only, or with the test.
                        do { try await cloud.worker(points).run() } catch is Killed {}
                    }
                }
                group.addTask { try await cloud.owner.run() }
                defer { group.cancelAll() }
                for number in 0..<30 {
                    let made = try await cloud.compute.launch(cloud.request(2), by: cloud.call(cloud.first))
                    if number.isMultiple(of: 2) {
                        kept += made.map(\.instance.id)
                    } else {
                        _ = try await cloud.compute.terminate(made.map(\.instance.id), by: cloud.call(cloud.first))
                    }
                }
            }
            try await cloud.settle()
            #expect(try await cloud.complaints() == [], "seed \(seed)")
            for id in kept { #expect(try await cloud.instance(id)?.phase == .running, "seed \(seed)") }
        }
    }
}
