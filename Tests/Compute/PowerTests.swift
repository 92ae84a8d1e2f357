//  Stop, start, reboot and change: what is allowed when, and what becomes of it.

import CloudTesting
import Compute
import Database
import DatabaseTesting
import Model
import Store
import Testing

@Suite struct PowerTests {
    private func fault(_ body: () async throws -> Void) async -> Fault.Code? {
        do {
            try await body()
            return nil
        } catch { return (error as? Fault)?.code }
    }

    private func stop(_ id: ID<Instance>, _ cloud: TestCloud) async -> Fault.Code? {
        await fault { _ = try await cloud.compute.stop([id], by: cloud.call(cloud.first)) }
    }

    private func start(_ id: ID<Instance>, _ cloud: TestCloud) async -> Fault.Code? {
        await fault { _ = try await cloud.compute.start([id], by: cloud.call(cloud.first)) }
    }

    private func reboot(_ id: ID<Instance>, _ cloud: TestCloud) async -> Fault.Code? {
        await fault { try await cloud.compute.reboot([id], by: cloud.call(cloud.first)) }
    }

    private func terminate(_ id: ID<Instance>, _ cloud: TestCloud) async throws {
        _ = try await cloud.compute.terminate([id], by: cloud.call(cloud.first))
    }

    /// What each call answers in each phase of a machine's life.
    @Test(arguments: EngineName.allCases)
    func phases(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            let id = try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first))[0].instance.id
            #expect(await stop(id, cloud) == .wrongState, "while launching")
            #expect(await start(id, cloud) == nil)
            #expect(await reboot(id, cloud) == nil, "it is left alone")
            #expect(try await cloud.instance(id)?.rebootsWanted == 0)
            try await cloud.settle()

            #expect(await start(id, cloud) == nil, "it runs already")
            #expect(await reboot(id, cloud) == nil)
            #expect(await reboot(id, cloud) == nil)
            #expect(try await cloud.instance(id)?.rebootsWanted == 2)
            try await cloud.settle()
            #expect(try await cloud.instance(id)?.phase == .running)

            #expect(await stop(id, cloud) == nil)
            #expect(await stop(id, cloud) == nil, "it is being stopped already")
            #expect(await start(id, cloud) == .wrongState, "while stopping")
            #expect(await reboot(id, cloud) == nil, "it is left alone")
            try await cloud.settle()
            #expect(await stop(id, cloud) == nil, "it is stopped already")

            #expect(await start(id, cloud) == nil)
            #expect(await stop(id, cloud) == .wrongState, "while starting")
            try await cloud.settle()
            #expect(try await cloud.instance(id)?.phase == .running)

            try await terminate(id, cloud)
            #expect(await stop(id, cloud) == .wrongState)
            #expect(await start(id, cloud) == .wrongState)
            #expect(await reboot(id, cloud) == .wrongState)
            try await terminate(id, cloud)
            try await cloud.settle()
            #expect(try await cloud.instance(id)?.phase == .gone)
            try await terminate(id, cloud)
            #expect(await start(id, cloud) == .wrongState)
            #expect(try await cloud.complaints() == [])
        }
    }

    @Test(arguments: EngineName.allCases)
    func protection(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            let ids = try await cloud.compute.launch(cloud.request(2), by: cloud.call(cloud.first)).map(\.instance.id)
            try await cloud.settle()
            try await cloud.compute.modify(ids[1], .disableTermination(true), by: cloud.call(cloud.first))
            try await cloud.compute.modify(ids[1], .disableStop(true), by: cloud.call(cloud.first))
            let code = await fault { _ = try await cloud.compute.terminate(ids, by: cloud.call(cloud.first)) }
            #expect(code == .protected)
            #expect(try await cloud.instance(ids[0])?.desired == .running, "all or none")
            #expect(await stop(ids[1], cloud) == .protected)
            // Its guest may still power itself off.
            cloud.owner.script { $0.poweringOff = [ids[1]] }
            try await cloud.settle()
            #expect(try await cloud.instance(ids[1])?.phase == .stopped)
            #expect(try await cloud.complaints() == [])
        }
    }

    /// A type is changed while stopped; it counts at once, and its capacity is claimed at the start.
    @Test(arguments: EngineName.allCases)
    func anotherType(engine: EngineName) async throws {
        try await TestCloud.with(
            engine,
            {
                $0.hosts = 1
                $0.processors = 10
                $0.limits["processors"] = 20
            }
        ) { cloud in
            let ids = try await cloud.compute.launch(cloud.request(2), by: cloud.call(cloud.first)).map(\.instance.id)
            try await cloud.settle()
            let large = try #require(InstanceType.named("t3.2xlarge"))
            let modify = { (id: ID<Instance>) in
                await fault { try await cloud.compute.modify(id, .type(large), by: cloud.call(cloud.first)) }
            }
            #expect(await modify(ids[0]) == .wrongState, "while it runs")
            #expect(await stop(ids[0], cloud) == nil)
            try await cloud.settle()
            #expect(await modify(ids[0]) == nil)
            #expect(try await cloud.complaints() == [])
            #expect(await start(ids[0], cloud) == nil)
            try await cloud.settle()
            #expect(try await cloud.instance(ids[0])?.phase == .running)
            #expect(try await cloud.complaints() == [])
            // Now the host is full.
            #expect(await stop(ids[1], cloud) == nil)
            try await cloud.settle()
            #expect(await modify(ids[1]) == nil)
            #expect(await start(ids[1], cloud) == .noCapacity)
            #expect(try await cloud.instance(ids[1])?.phase == .stopped)
            #expect(try await cloud.complaints() == [])
            #expect(await stop(ids[0], cloud) == nil)
            try await cloud.settle()
            #expect(await start(ids[1], cloud) == nil)
            try await cloud.settle()
            #expect(try await cloud.complaints() == [])
        }
    }

    /// A machine that is off before its launch was looked at: it ran, and did what its options say.
    @Test(arguments: EngineName.allCases, [false, true])
    func offBeforeItsLaunchWasSeen(engine: EngineName, terminates: Bool) async throws {
        try await TestCloud.with(engine) { cloud in
            var request = cloud.request()
            request.options.terminateOnShutdown = terminates
            let id = try await cloud.compute.launch(request, by: cloud.call(cloud.first))[0].instance.id
            func step() async throws {
                let operation = try await cloud.engine.read { tx throws(Fault) in
                    try tx.operation(holding: .instance, id.stored)
                }
                if let operation { try await cloud.runner().run(operation.id) }
            }
            // The image's copy, then the disk and the machine.
            for _ in 0..<2 {
                try await step()
                try await cloud.owner.act()
            }
            #expect(try await cloud.instance(id)?.power == .running)
            #expect(try await cloud.instance(id)?.phase == .launching)
            cloud.owner.script { $0.poweringOff = [id] }
            try await cloud.owner.act()
            try await cloud.settle()
            #expect(try await cloud.instance(id)?.phase == (terminates ? .gone : .stopped))
            #expect(try await cloud.instance(id)?.fault?.hasPrefix("Client.InstanceInitiatedShutdown") == true)
            #expect(try await cloud.complaints() == [])
        }
    }

    /// The lists forget what has been gone for an hour, and nothing else.
    @Test(arguments: EngineName.allCases)
    func forgetting(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            var request = cloud.request(3)
            request.instanceTags = ["a": "b"]
            let ids = try await cloud.compute.launch(request, by: cloud.call(cloud.first)).map(\.instance.id)
            try await cloud.settle()
            try await terminate(ids[0], cloud)
            try await cloud.settle()
            try await cloud.compute.forget(before: cloud.clock.now)
            #expect(try await cloud.count("instance") == 3)
            cloud.clock.advance(by: .seconds(3601))
            try await cloud.compute.forget(before: cloud.clock.now)
            #expect(try await cloud.instance(ids[0]) == nil)
            #expect(try await cloud.count("instance") == 2)
            #expect(try await cloud.complaints() == [])
            cloud.clock.advance(by: .seconds(31 * 24 * 3600))
            try await cloud.compute.forget(before: cloud.clock.now)
            #expect(try await cloud.count("story") == 0)
            #expect(try await cloud.count("operation") == 0)
            #expect(try await cloud.count("instance") == 2)
        }
    }
}
