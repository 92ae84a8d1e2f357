//  A whole cloud in this process: store, services, operation workers, the AWS face on a socket, and
//  owners that do at once what they are asked.

import Authority
import Compute
import Database
import DatabaseTesting
import EC2Model
import Foundation
import Identity
import Images
import Logging
import Model
import Networks
import Operations
import Platform
import Store
import Volumes

@testable import AWS

/// What a test knows of its cloud.
struct TestCloud: Sendable {
    let engine: any Engine
    let compute: ComputeService
    let identity: IdentityService
    let port: Int
    let alice: IdentityService.NewAccount
    let bob: IdentityService.NewAccount
    /// A user of alice's account who may only read.
    let reader: Credentials
    let image: ID<Image>
    let kernel: ID<Image>

    static let region = "karri-1"
    static let zone = "karri-1a"

    /// Runs `body` with a cloud of one host, and removes it.
    static func with(
        configure: (inout AWSFaceConfiguration) -> Void = { _ in }, _ body: @escaping @Sendable (TestCloud) async throws -> Void
    ) async throws {
        var configuration = AWSFaceConfiguration(region: region)
        configuration.listener.port = 0
        configure(&configuration)
        let settled = configuration
        try await TestStore.with(.sqlite, Migration.all) { engine in
            try await run(engine, settled, body)
        }
    }

    private static func run(
        _ engine: any Engine, _ configuration: AWSFaceConfiguration, _ body: @escaping @Sendable (TestCloud) async throws -> Void
    ) async throws {
        let chance = Chance.system
        let seal = Seal(generatedFrom: chance)
        let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let networks = NetworksService(engine: engine, mtu: 1450)
        let identity = IdentityService(engine: engine, chance: chance, seal: seal, networks: networks)
        let images = ImagesService(engine: engine, chance: chance)
        let volumes = VolumesService(engine: engine)
        let compute = ComputeService(
            engine: engine, chance: chance, seal: seal, networks: networks, images: images, volumes: volumes)
        let owners = SimulatedOwners(engine: engine)
        try await owners.build(chance)
        let alice = try await identity.createAccount(named: "alice")
        let bob = try await identity.createAccount(named: "bob")
        let reader = try await identity.createUser(named: "reader", of: alice.account, policies: [.readOnlyAccess])
        let (image, kernel) = try await owners.addImages(of: bob.account.id, chance)
        let face = AWSFace(
            configuration: configuration, identity: identity, compute: compute, images: images, volumes: volumes,
            networks: networks, chance: chance, logger: log
        ) { id throws(Fault) in (Array("login of \(id.shown): ".utf8), Instant(seconds: 1_700_000_000)) }
        let runner = Runner(engine: engine, programs: compute.programs, chance: chance, log: log)
        let worker = Worker(engine: engine, runner: runner, chance: chance, log: log)
        let (ports, listening) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingOldest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await worker.run() }
            group.addTask { try await owners.run() }
            group.addTask { try await face.run { port in listening.yield(port) } }
            group.addTask {
                for await port in ports {
                    try await body(
                        TestCloud(
                            engine: engine, compute: compute, identity: identity, port: port, alice: alice, bob: bob,
                            reader: reader, image: image, kernel: kernel))
                    break
                }
                throw Finished()
            }
            defer { group.cancelAll() }
            do { while try await group.next() != nil {} } catch is Finished {}
        }
    }

    private struct Finished: Error {}

    var endpoint: String { "http://127.0.0.1:\(port)" }

    /// What the Python stories are told.
    var facts: String {
        get throws {
            func pair(_ credentials: Credentials) -> [String: String] { ["key": credentials.key, "secret": credentials.secret] }
            struct Facts: Encodable {
                var endpoint: String
                var region: String
                var zone: String
                var image: String
                var kernel: String
                var accounts: [String: String]
                var credentials: [String: [String: String]]
                /// What is built, so that the story of isolation misses nothing.
                var operations: [String]
            }
            let facts = Facts(
                endpoint: endpoint, region: TestCloud.region, zone: TestCloud.zone, image: image.shown,
                kernel: AWSID.shown(kernel, .kernel), accounts: ["alice": alice.account.number, "bob": bob.account.number],
                credentials: ["alice": pair(alice.credentials), "bob": pair(bob.credentials), "reader": pair(reader)],
                operations: EC2.Operation.allCases.filter(\.isBuilt).map(\.rawValue))
            return String(decoding: try JSONEncoder().encode(facts), as: UTF8.self)
        }
    }
}

/// One host with its pool, which find everything done that they are asked.
struct SimulatedOwners: Sendable {
    let engine: any Engine

    func build(_ chance: Chance) async throws(Fault) {
        let zone: ID<Zone> = chance.id()
        let pool: ID<Pool> = chance.id()
        let host: ID<Model.Host> = chance.id()
        let now = chance.now()
        let bytes = ByteCount.gibibytes(1 << 20)
        try await engine.write { tx throws(Fault) in
            tx.insert(Zone(id: zone, name: TestCloud.zone, region: TestCloud.region, created: now), into: Zone.table)
            tx.insert(
                Pool(id: pool, zone: zone, host: host, name: "pool", bytes: bytes, bytesFree: bytes, created: now, revision: 1),
                into: Pool.table)
            tx.insert(
                Model.Host(
                    id: host, zone: zone, name: "host", state: .up, processors: 1 << 20, memory: bytes, processorsFree: 1 << 20,
                    memoryFree: bytes, pool: pool, accelerator: "tcg", created: now, revision: 1), into: Model.Host.table)
            guard let prefix = IPv4Prefix("198.18.0.0/16") else { return }
            tx.insert(ExternalRange(prefix: prefix, first: prefix.first, last: prefix.last), into: ExternalRange.table)
        }
    }

    /// A public machine image and a public kernel of an account.
    func addImages(of account: ID<Account>, _ chance: Chance) async throws(Fault) -> (ID<Image>, ID<Image>) {
        let machine: ID<Image> = chance.id()
        let kernel: ID<Image> = chance.id()
        let now = chance.now()
        try await engine.write { tx throws(Fault) in
            for (id, name, purpose) in [(kernel, "kernel", Image.Purpose.kernel), (machine, "starter", .machine)] {
                tx.insert(
                    Image(
                        id: id, account: account, name: name, description: "a \(name)", purpose: purpose, state: .available,
                        fault: nil, architecture: "x86_64", digest: String(repeating: "0", count: 64), size: .mebibytes(1500),
                        kernel: nil, ramdisk: nil, isPublic: true, created: now, revision: 1), into: Image.table)
            }
        }
        return (machine, kernel)
    }

    func run() async throws {
        while !Task.isCancelled {
            let didAnything = try await act()
            try await Task.sleep(for: didAnything ? .milliseconds(1) : .milliseconds(15))
        }
    }

    private func act() async throws(Fault) -> Bool {
        let open = """
            (wanted = 'present' AND observed <> 'ready') OR (wanted = 'running' AND granted AND observed <> 'running')
            OR (wanted = 'stopped' AND observed <> 'off') OR (wanted = 'absent' AND observed <> 'absent') LIMIT 500
            """
        let waiting = try await engine.read { tx throws(Fault) in try tx.all(Holding.table, where: open) }
        guard !waiting.isEmpty else { return false }
        try await engine.write { tx throws(Fault) in
            for holding in try tx.all(Holding.table, where: open) {
                let observed: Holding.Observed =
                    switch holding.wanted {
                    case .present: .ready
                    case .running: .running
                    case .stopped: .off
                    case .absent: .absent
                    }
                var starts = holding.startsDone
                if holding.kind == .machine, let instance = try tx.find(Instance.table, ID<Instance>(stored: holding.thing)) {
                    starts = instance.startsWanted
                    let power: Instance.Power = observed == .running ? .running : observed == .off ? .off : .absent
                    try tx.observe(power, of: instance.id)
                }
                try tx.observe(observed, fault: nil, startsDone: starts, rebootsDone: holding.rebootsDone, of: holding)
            }
        }
        return true
    }
}
