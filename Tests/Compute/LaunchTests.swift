//  What a launch promises: how many machines, on which hosts, with what, and why not.

import CloudTesting
import Compute
import Database
import DatabaseTesting
import Model
import Store
import Testing

@Suite struct LaunchTests {
    /// Hosts for five machines of two processors each.
    private func small(_ engine: EngineName, _ body: (TestCloud) async throws -> Void) async throws {
        try await TestCloud.with(
            engine,
            {
                $0.hosts = 2
                $0.processors = 5
                $0.limits["instances"] = 1000
            }, body)
    }

    /// Why a launch is refused; nil when it is not.
    private func refusal(_ request: LaunchRequest, _ cloud: TestCloud, dryRun: Bool = false) async throws -> Fault? {
        do throws(Fault) {
            _ = try await cloud.compute.launch(request, by: cloud.call(cloud.first, dryRun: dryRun))
            return nil
        } catch { return error }
    }

    @Test(arguments: EngineName.allCases)
    func asManyAsFit(engine: EngineName) async throws {
        try await small(engine) { cloud in
            // Two fit on each of two hosts of five processors.
            let refused = try await refusal(cloud.request(5), cloud)
            #expect(refused?.code == .noCapacity)
            #expect(refused?.message.contains("host-0: 1 of 2 virtual processors are free") == true)
            #expect(try await cloud.count("instance") == 0)
            #expect(try await cloud.complaints() == [])
            let made = try await cloud.compute.launch(cloud.request(9, least: 3), by: cloud.call(cloud.first))
            #expect(made.map(\.instance.launchIndex) == [0, 1, 2, 3])
            #expect(Set(made.map(\.holding?.host)).count == 2)
            try await cloud.settle()
            #expect(try await cloud.complaints() == [])
        }
    }

    @Test(arguments: EngineName.allCases)
    func asManyAsTheLimitLets(engine: EngineName) async throws {
        try await TestCloud.with(engine, { $0.limits["instances"] = 2 }) { cloud in
            let refused = try await refusal(cloud.request(3), cloud)
            #expect(refused?.code == .limitExceeded)
            #expect(try await cloud.compute.launch(cloud.request(3, least: 1), by: cloud.call(cloud.first)).count == 2)
            let other = try await cloud.compute.launch(cloud.request(1), by: cloud.call(cloud.second))
            #expect(other.count == 1, "the other account has a limit of its own")
            #expect(try await cloud.complaints() == [])
        }
    }

    @Test(arguments: EngineName.allCases)
    func publicAddressesRunOut(engine: EngineName) async throws {
        let range = (first: IPv4Address(198, 18, 0, 1), last: IPv4Address(198, 18, 0, 3))
        try await TestCloud.with(engine, { $0.external = range }) { cloud in
            let made = try await cloud.compute.launch(cloud.request(5, least: 1), by: cloud.call(cloud.first))
            #expect(Set(made.compactMap { $0.ports.first?.address?.address }).count == 3)
            let refused = try await refusal(cloud.request(), cloud)
            #expect(refused?.code == .noAddress)
            var inside = cloud.request()
            inside.withPublicAddress = false
            #expect(try await cloud.compute.launch(inside, by: cloud.call(cloud.first)).count == 1)
            try await cloud.settle()
            _ = try await cloud.compute.terminate(made.map(\.instance.id), by: cloud.call(cloud.first))
            try await cloud.settle()
            #expect(try await cloud.compute.launch(cloud.request(3), by: cloud.call(cloud.second)).count == 3)
            #expect(try await cloud.complaints() == [])
        }
    }

    /// What a launch of many answers is whole for each, and so is a list of them, however it is asked for.
    @Test(arguments: EngineName.allCases)
    func aLargeLaunchIsAnsweredWhole(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            var request = cloud.request(40)
            request.instanceTags = ["Name": "many"]
            let made = try await cloud.compute.launch(request, by: cloud.call(cloud.first))
            _ = try await cloud.compute.launch(cloud.request(5), by: cloud.call(cloud.second))
            let page = try await cloud.compute.instances(
                InstanceSelection(account: cloud.first.account.id), after: .min, limit: 1000, by: cloud.call(cloud.first))
            let named = try await cloud.compute.instances(made.map(\.instance.id), by: cloud.call(cloud.first))
            var tagged = InstanceSelection(account: cloud.first.account.id)
            tagged.tag = ("Name", "many")
            let byTag = try await cloud.compute.instances(tagged, after: .min, limit: 1000, by: cloud.call(cloud.first))
            for views in [made.sorted { $0.instance.id < $1.instance.id }, page, named, byTag] {
                #expect(views.map(\.instance.id) == made.map(\.instance.id).sorted())
                for view in views {
                    #expect(view.ports.count == 1 && view.ports.first?.groups.count == 1 && view.ports.first?.address != nil)
                    #expect(view.attachments.count == 1 && view.tags.count == 1 && view.holding != nil)
                }
            }
        }
    }

    @Test func refusals() async throws {
        try await TestCloud.with(.sqlite) { cloud in
            for (least, most) in [(0, 1), (2, 1), (-1, -1), (1, ComputeService.launchMax + 1)] {
                let fault = try await refusal(cloud.request(most, least: least), cloud)
                #expect(fault?.code == .invalidParameter, "\(least) to \(most)")
            }
            var tiny = cloud.request()
            tiny.rootSize = .mebibytes(1)
            #expect(try await refusal(tiny, cloud)?.code == .invalidParameter)
            var keyed = cloud.request()
            keyed.keyName = "nobody's"
            #expect(try await refusal(keyed, cloud)?.code == .notFound)
            var elsewhere = cloud.request()
            elsewhere.zone = "us-east-1z"
            #expect(try await refusal(elsewhere, cloud)?.code == .invalidParameter)
            #expect(try await refusal(cloud.request(), cloud, dryRun: true)?.code == .dryRun)
            #expect(try await cloud.count("instance") == 0)
        }
    }

    /// A launch that fails before anything ran leaves no disk behind, though its disk was to be kept.
    @Test(arguments: EngineName.allCases)
    func keptDisks(engine: EngineName) async throws {
        try await TestCloud.with(engine, { $0.hosts = 1 }) { cloud in
            var request = cloud.request()
            request.deleteRootOnTermination = false
            let good = try await cloud.compute.launch(request, by: cloud.call(cloud.first))
            try await cloud.settle()
            cloud.owner.script { $0.failure = { $0.kind == .disk ? "no space" : nil } }
            let bad = try await cloud.compute.launch(request, by: cloud.call(cloud.first))
            try await cloud.settle()
            #expect(try await cloud.instance(bad[0].instance.id)?.phase == .gone)
            _ = try await cloud.compute.terminate(good.map(\.instance.id), by: cloud.call(cloud.first))
            try await cloud.settle()
            #expect(try await cloud.instance(good[0].instance.id)?.phase == .gone)
            let volumes = try await cloud.volumes.volumes([], after: .min, limit: 10, by: cloud.call(cloud.first))
            #expect(volumes.map(\.volume.id) == good.map { $0.attachments[0].volume })
            #expect(volumes.allSatisfy { $0.attachment == nil && $0.holding?.observed == .ready })
            #expect(try await cloud.complaints() == [])
        }
    }
}
