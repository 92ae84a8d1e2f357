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

    /// A second zone, with one host and a default subnet for every account.
    private func addZone(_ cloud: TestCloud, processors: Int64) async throws -> Zone {
        let seed = cloud.chance.bits()
        let now = cloud.clock.now
        let networks = cloud.networks
        return try await cloud.engine.write { tx throws(Fault) in
            var dice = Dice(seed: seed)
            let zone = Zone(id: dice.id(), name: "us-east-1b", region: TestCloud.region, created: now)
            tx.insert(zone, into: Zone.table)
            let host: ID<Host> = dice.id()
            let bytes = ByteCount.gibibytes(4096)
            let pool = Pool(
                id: dice.id(), zone: zone.id, host: host, name: "b-disk", bytes: bytes, bytesFree: bytes, created: now, revision: 1)
            tx.insert(pool, into: Pool.table)
            tx.insert(
                Host(
                    id: host, zone: zone.id, name: "b", state: .up, processors: processors, memory: .gibibytes(128),
                    processorsFree: processors, memoryFree: .gibibytes(128), pool: pool.id, accelerator: "tcg", created: now,
                    revision: 1), into: Host.table)
            try networks.addDefaults(tx, in: zone, now: now, dice: &dice)
            return zone
        }
    }

    @Test(arguments: EngineName.allCases)
    func launchesWithoutAZoneGoWhereThereIsRoom(engine: EngineName) async throws {
        try await small(engine) { cloud in
            let other = try await addZone(cloud, processors: 12)
            // Four fit in the first zone and six in the other: five fit in the other alone.
            let five = try await cloud.compute.launch(cloud.request(5), by: cloud.call(cloud.first))
            #expect(Set(five.map(\.zone.id)) == [other.id])
            let four = try await cloud.compute.launch(cloud.request(4), by: cloud.call(cloud.first))
            #expect(Set(four.map(\.zone.id)) == [cloud.zone.id])
            // One is left in the other zone, and a launch of two is refused by both.
            #expect(try await refusal(cloud.request(2), cloud)?.code == .noCapacity)
            #expect(try await cloud.compute.launch(cloud.request(2, least: 1), by: cloud.call(cloud.first)).count == 1)
            var named = cloud.request()
            named.zone = cloud.zone.name
            #expect(try await refusal(named, cloud)?.code == .noCapacity)
            try await cloud.settle()
            #expect(try await cloud.complaints() == [])
        }
    }

    @Test(arguments: EngineName.allCases)
    func launchesSpreadOverZones(engine: EngineName) async throws {
        try await TestCloud.with(engine, { $0.hosts = 1 }) { cloud in
            let other = try await addZone(cloud, processors: 64)
            var zones: [ID<Zone>: Int] = [:]
            for _ in 0..<20 {
                let made = try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first))
                zones[made[0].instance.zone, default: 0] += 1
            }
            #expect(zones[cloud.zone.id, default: 0] >= 3 && zones[other.id, default: 0] >= 3, "\(zones)")
        }
    }

    @Test func zonesAreTriedInOrderOfTheirRoom() {
        func host(_ processors: Int64, _ memory: Int64, of all: Int64 = 64, _ state: Host.State = .up) -> Host {
            Host(
                id: ID(bits: 1), zone: ID(bits: 1), name: "h", state: state, processors: 64, memory: .gibibytes(all),
                processorsFree: processors, memoryFree: .gibibytes(memory), pool: ID(bits: 1), accelerator: "tcg",
                created: Instant(microseconds: 0), revision: 1)
        }
        let need = Need(processors: 2, memory: .gibibytes(4))
        func room(_ number: UInt64, _ hosts: [Host]) -> ZoneRoom { ZoneRoom(zone: ID(bits: number), need: need, hosts: hosts) }
        #expect(room(1, [host(9, 64), host(64, 9)]).machines == 4 + 2)
        #expect(room(1, [host(-3, 64), host(64, -1), host(8, 64, .lost)]).machines == 0)
        #expect(room(1, []).machines == 0)
        var dice = Dice(seed: 1)
        let rooms = [room(1, [host(4, 64)]), room(2, [host(64, 16)]), room(3, [host(64, 48)]), room(4, [])]
        // For one machine all with room are alike, and the freest comes first; for four only two fit it all.
        #expect(ZoneRoom.order(rooms, for: 1, dice: &dice).map(\.bits) == [1, 3, 2, 4])
        #expect(ZoneRoom.order(rooms, for: 4, dice: &dice).map(\.bits) == [3, 2, 1, 4])
    }

    /// A pool has room for the copy of the image besides the disk, or it has none.
    @Test(arguments: EngineName.allCases)
    func anImagesCopyClaimsItsBytes(engine: EngineName) async throws {
        // The image is half a GiB, and lies in the first host's pool.
        try await TestCloud.with(
            engine,
            {
                $0.hosts = 2
                $0.poolBytes = .mebibytes(1400)
            }
        ) { cloud in
            let refused = try await refusal(cloud.request(), cloud)
            #expect(refused?.code == .noCapacity)
            #expect(refused?.message.contains("its pool has not") == true)
            #expect(try await cloud.complaints() == [])
        }
        try await TestCloud.with(
            engine,
            {
                $0.hosts = 2
                $0.poolBytes = .mebibytes(1536)
            }
        ) { cloud in
            let made = try await cloud.compute.launch(cloud.request(3, least: 2), by: cloud.call(cloud.first))
            #expect(Set(made.map(\.holding?.host)).count == 2)
            try await cloud.settle()
            #expect(try await cloud.complaints() == [])
            let free = try await cloud.engine.read { tx throws(Fault) in try tx.all(Pool.table, where: "TRUE").map(\.bytesFree) }
            #expect(free == [.zero, .zero])
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
