import Authority
import Cluster
import Compute
import Database
import DatabaseTesting
import Dataplane
import Disks
import Fabric
import FoundationEssentials
import Hypervisor
import Identity
import Images
import Logging
import Model
import Networks
import Operations
import Platform
import Store
import Testing
import Volumes

@testable import Node

/// A whole cloud in one process: services, workers, a cluster controller and hosts with simulated
/// drivers, joined by gRPC over a Unix socket as always.
@Suite struct WholeCloudTests {
    @Test func launchStopStartRebootTerminate() async throws {
        try await TestStore.with(.sqlite, Migration.all) { engine in
            try await SimulatedCloud.with(engine, hosts: 2) { cloud in
                let image = try await cloud.registerImage()
                let call = try await cloud.call()
                var request = LaunchRequest(image: image, type: try #require(.named("t3.micro")), least: 3, most: 3)
                request.instanceTags = ["Name": "web"]
                let launched = try await cloud.compute.launch(request, by: call)
                #expect(launched.count == 3)
                let ids = launched.map(\.instance.id)
                try await cloud.wait(for: ids, .running)
                let shown = try await cloud.compute.instances(ids, by: cloud.call())
                #expect(Set(shown.compactMap { $0.ports.first?.port.address }).count == 3)
                #expect(shown.allSatisfy { $0.ports.first?.address != nil })

                _ = try await cloud.compute.stop([ids[0]], by: cloud.call())
                try await cloud.wait(for: [ids[0]], .stopped)
                _ = try await cloud.compute.start([ids[0]], by: cloud.call())
                try await cloud.wait(for: [ids[0]], .running)
                try await cloud.compute.reboot([ids[1]], by: cloud.call())

                _ = try await cloud.compute.terminate(ids, by: cloud.call())
                try await cloud.wait(for: ids, .gone)
                try await cloud.expectNothingLeft()
            }
        }
    }

    @Test func aFullHostSaysWhy() async throws {
        try await TestStore.with(.sqlite, Migration.all) { engine in
            try await SimulatedCloud.with(engine, hosts: 1) { cloud in
                let image = try await cloud.registerImage()
                let request = LaunchRequest(image: image, type: try #require(.named("m5.8xlarge")), least: 1, most: 1)
                let fault = await #expect(throws: Fault.self) { try await cloud.compute.launch(request, by: cloud.call()) }
                #expect(fault?.code == .noCapacity)
                #expect(fault?.message.contains("host0: ") == true)
            }
        }
    }

    @Test func aGuestThatPowersItselfOffIsStopped() async throws {
        try await TestStore.with(.sqlite, Migration.all) { engine in
            try await SimulatedCloud.with(engine, hosts: 1) { cloud in
                let image = try await cloud.registerImage()
                let request = LaunchRequest(image: image, type: try #require(.named("t3.nano")), least: 1, most: 1)
                let id = try #require(try await cloud.compute.launch(request, by: cloud.call()).first?.instance.id)
                try await cloud.wait(for: [id], .running)
                try await cloud.hypervisors[0].guestPowersOff("i-0\(id.hex)")
                try await cloud.wait(for: [id], .stopped)
            }
        }
    }
}

/// The parts of a cloud under test.
struct SimulatedCloud: Sendable {
    let engine: any Engine
    let compute: ComputeService
    let images: ImagesService
    let identity: IdentityService
    let account: Account
    let principal: Principal
    let hypervisors: [SimulatedHypervisor]
    let chance = Chance.system

    static func with(
        _ engine: any Engine, hosts: Int, _ body: @escaping @Sendable (SimulatedCloud) async throws -> Void
    ) async throws {
        let chance = Chance.system
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let folder = FileManager.default.temporaryDirectory.path + "/kt\(hexDigits(chance.bits()))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let zone = Zone(id: chance.id(), name: "test-1a", region: "test-1", created: chance.now())
        let prefix = try #require(IPv4Prefix("198.18.0.0/24"))
        try await engine.write { tx throws(Fault) in
            tx.insert(zone, into: Zone.table)
            tx.insert(ExternalRange(prefix: prefix, first: prefix.first, last: prefix.last), into: ExternalRange.table)
        }
        let seal = Seal(generatedFrom: chance)
        let networks = NetworksService(engine: engine, mtu: 1450)
        let images = ImagesService(engine: engine, chance: chance)
        let compute = ComputeService(
            engine: engine, chance: chance, seal: seal, networks: networks, images: images, volumes: VolumesService(engine: engine))
        let identity = IdentityService(engine: engine, chance: chance, seal: seal, networks: networks)
        let made = try await identity.createAccount(named: "tests")
        let cluster = try await ClusterController(
            zone: zone, engine: engine, chance: chance, seal: seal, region: zone.region, log: log,
            poweredOff: { tx, holding, now, dice throws(Fault) in try compute.poweredOff(tx, holding, now: now, dice: &dice) })
        let worker = Worker(
            engine: engine, runner: Runner(engine: engine, programs: compute.programs, chance: chance, log: log), chance: chance,
            log: log)
        let socket = folder + "/fabric.sock"
        let server = FabricServer(path: socket, sessions: cluster)
        let principal = try #require(try await identity.identify(made.credentials.key)).principal
        let hypervisors = (0..<hosts).map { _ in
            SimulatedHypervisor(host: HostCapacity(cpus: 4, memory: .gibibytes(16), accelerator: .tcg, hypervisor: "simulated"))
        }
        let cloud = SimulatedCloud(
            engine: engine, compute: compute, images: images, identity: identity, account: made.account, principal: principal,
            hypervisors: hypervisors)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cluster.run() }
            group.addTask { try await worker.run() }
            group.addTask { try await server.run() }
            let names = try DataplaneNames(mark: "kt")
            for (number, hypervisor) in hypervisors.enumerated() {
                let node = NodeController(
                    NodeConfiguration(
                        installation: Installation(root: folder, mark: "kt"), hostName: "host\(number)", zone: zone.name,
                        region: zone.region, fabricSocket: socket, host: HostPlan(publicRanges: [prefix]), isDurable: false),
                    hypervisor: hypervisor,
                    disks: SimulatedPool(), dataplane: SimulatedDataplane(names: names), names: names,
                    guests: SimulatedGuestServices(),
                    chance: chance, log: log)
                group.addTask { try await node.run() }
            }
            group.addTask {
                try await cloud.eventually("the hosts joined") {
                    try await engine.read { tx throws(Fault) in try tx.hosts(in: zone.id).count } == hosts
                }
                try await body(cloud)
            }
            defer {
                group.cancelAll()
                server.stop()
            }
            // The story is the only task that ends.
            try await group.next()
        }
    }

    func call() async throws -> Call {
        let session = Session(
            of: principal, identity: [ManagedPolicy.administratorAccess.document], circumstances: Circumstances(now: chance.now()))
        return Call(session: session, request: "test", now: chance.now(), seed: chance.bits())
    }

    /// An image of every pool's: simulated pools take any upload.
    func registerImage() async throws -> ID<Image> {
        let pools = try await engine.read { tx throws(Fault) in try tx.all(Pool.table, where: "TRUE ORDER BY id") }
        let pool = try #require(pools.first)
        let image = try await images.register(
            .init(name: "starter", description: "", purpose: .machine, isPublic: true, kernel: nil, ramdisk: nil), in: pool.id,
            by: call())
        try await eventually("the image is available") {
            try await engine.read { tx throws(Fault) in try tx.find(Image.table, image.id)?.state } == .available
        }
        return image.id
    }

    func wait(for ids: [ID<Instance>], _ phase: Instance.Phase) async throws {
        try await eventually("\(ids.count) machines are \(phase)") {
            try await compute.instances(ids, by: call()).allSatisfy { $0.instance.phase == phase }
        }
    }

    func expectNothingLeft() async throws {
        let left = try await engine.read { tx throws(Fault) in
            try [
                "port", "port_address", "address", "volume", "attachment", "port_group", "operation_wait", "operation_resource",
                "user_data",
            ]
            .map { table throws(Fault) in "\(table) \(try tx.count("SELECT count(*) FROM \(table)"))" }
        }
        #expect(left.allSatisfy { $0.hasSuffix(" 0") }, "\(left)")
        let hosts = try await engine.read { tx throws(Fault) in try tx.all(Host.table, where: "TRUE") }
        #expect(hosts.allSatisfy { $0.processors == $0.processorsFree && $0.memory == $0.memoryFree })
    }

    func eventually(_ what: String, _ condition: @Sendable () async throws -> Bool) async throws {
        for _ in 0..<600 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        let story = try await engine.read { tx throws(Fault) in
            try tx.rows("SELECT kind, source, text FROM story ORDER BY number") { row throws(Fault) in
                "\(try row.take(String.self)) \(try row.take(String.self)): \(try row.take(String.self))"
            }
        }
        Issue.record("in vain: \(what)\n\(story.joined(separator: "\n"))")
    }
}
