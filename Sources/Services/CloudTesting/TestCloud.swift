//  A whole core in one process, on either engine, for tests of services and faces: the store, the
//  services, two accounts, a zone with hosts, and an image that is ready to launch. The hosts are a
//  twin that a test scripts.

import Authority
import Compute
import Database
import DatabaseTesting
import Identity
import Images
import Logging
import Model
import Networks
import Operations
import Store
import Volumes

/// One test's cloud.
public final class TestCloud: Sendable {
    public let engine: any Engine
    public let clock: TestClock
    public let seal: Seal
    public let identity: IdentityService
    public let networks: NetworksService
    public let images: ImagesService
    public let volumes: VolumesService
    public let compute: ComputeService
    public let owner: Owner
    public let zone: Zone
    public let hosts: [Host]
    /// The account that owns the starter image, which is public.
    public let first: Tenant
    public let second: Tenant
    public let image: Image

    public var chance: Chance { clock.chance }

    public static let region = "us-east-1"

    /// An account and who calls for it.
    public struct Tenant: Sendable {
        public var account: Account
        public var credentials: Credentials
        public var session: Session
    }

    /// What a cloud is made of.
    public struct Plan: Sendable {
        public var hosts = 3
        public var processors: Int64 = 64
        public var memory = ByteCount.gibibytes(128)
        public var poolBytes = ByteCount.gibibytes(4096)
        /// Public addresses.
        public var external: (first: IPv4Address, last: IPv4Address) = (IPv4Address(198, 18, 0, 1), IPv4Address(198, 18, 63, 254))
        public var seed: UInt64 = 1
        /// Limits of both accounts; each has a counter then.
        public var limits: [String: Int64] = ["instances": 100_000, "processors": 1_000_000, "groups": 500]

        public init() {}
    }

    /// Runs `body` with a fresh cloud, which is removed afterwards.
    public static func with<T>(
        _ name: EngineName, _ change: (inout Plan) -> Void = { _ in }, _ body: (TestCloud) async throws -> T
    ) async throws -> T {
        var plan = Plan()
        change(&plan)
        let final = plan
        return try await TestStore.with(name, Migration.all) { engine in
            try await body(try await TestCloud(engine, final))
        }
    }

    /// Makes a cloud in an empty, migrated store.
    public convenience init(_ engine: any Engine, _ plan: Plan) async throws {
        let core = Core(engine, TestClock(seed: plan.seed))
        let chance = core.clock.chance
        let (zone, hosts) = try await TestCloud.makeTopology(engine, plan, chance)
        let first = try await TestCloud.makeTenant("first", plan, engine, core.identity, chance)
        let second = try await TestCloud.makeTenant("second", plan, engine, core.identity, chance)
        let image = try await TestCloud.makeImage(
            engine, core.images, core.compute, core.owner, first, hosts[0].pool, chance)
        self.init(core, zone: zone, hosts: hosts, first: first, second: second, image: image)
    }

    /// The cloud `other` as its processes are after a restart, in a store that is its own or a copy of it.
    public convenience init(after other: TestCloud, on engine: any Engine) {
        self.init(
            Core(engine, other.clock, seal: other.seal), zone: other.zone, hosts: other.hosts, first: other.first,
            second: other.second, image: other.image)
    }

    /// What is made of nothing but a store.
    private struct Core {
        let engine: any Engine
        let clock: TestClock
        let seal: Seal
        let identity: IdentityService
        let networks: NetworksService
        let images: ImagesService
        let volumes: VolumesService
        let compute: ComputeService
        let owner: Owner

        init(_ engine: any Engine, _ clock: TestClock, seal: Seal? = nil) {
            self.engine = engine
            self.clock = clock
            let chance = clock.chance
            self.seal = seal ?? Seal(generatedFrom: chance)
            networks = NetworksService(engine: engine, mtu: 1450)
            images = ImagesService(engine: engine, chance: chance)
            volumes = VolumesService(engine: engine)
            identity = IdentityService(engine: engine, chance: chance, seal: self.seal, networks: networks)
            compute = ComputeService(
                engine: engine, chance: chance, seal: self.seal, networks: networks, images: images, volumes: volumes)
            owner = Owner(engine: engine, compute: compute, chance: chance)
        }
    }

    private init(_ core: Core, zone: Zone, hosts: [Host], first: Tenant, second: Tenant, image: Image) {
        engine = core.engine
        clock = core.clock
        seal = core.seal
        networks = core.networks
        images = core.images
        volumes = core.volumes
        identity = core.identity
        compute = core.compute
        owner = core.owner
        self.zone = zone
        self.hosts = hosts
        self.first = first
        self.second = second
        self.image = image
    }

    // MARK: Making it

    private static func makeTopology(
        _ engine: any Engine, _ plan: Plan, _ chance: Chance
    ) async throws(Fault) -> (Zone, [Host]) {
        let now = chance.now()
        let seed = chance.bits()
        return try await engine.write { tx throws(Fault) in
            var dice = Dice(seed: seed)
            let zone = Zone(id: dice.id(), name: region + "a", region: region, created: now)
            tx.insert(zone, into: Zone.table)
            let (first, last) = plan.external
            if let prefix = IPv4Prefix(containing: first, length: 8) {
                try tx.run(
                    "INSERT INTO external_range (prefix, first, last) VALUES ($1, $2, $3)", [prefix.value, first.value, last.value])
            }
            var hosts: [Host] = []
            for number in 0..<plan.hosts {
                hosts.append(add(tx, host: "host-\(number)", to: zone, plan, now, &dice))
            }
            return (zone, hosts)
        }
    }

    private static func add(
        _ tx: Writing, host name: String, to zone: Zone, _ plan: Plan, _ now: Instant, _ dice: inout Dice
    ) -> Host {
        let id: ID<Host> = dice.id()
        let pool = Pool(
            id: dice.id(), zone: zone.id, host: id, name: "\(name)-disk", bytes: plan.poolBytes, bytesFree: plan.poolBytes,
            created: now, revision: 1)
        tx.insert(pool, into: Pool.table)
        let host = Host(
            id: id, zone: zone.id, name: name, state: .up, processors: plan.processors, memory: plan.memory,
            processorsFree: plan.processors, memoryFree: plan.memory, pool: pool.id, accelerator: "tcg", created: now, revision: 1)
        tx.insert(host, into: Host.table)
        return host
    }

    private static func makeTenant(
        _ name: String, _ plan: Plan, _ engine: any Engine, _ identity: IdentityService, _ chance: Chance
    ) async throws -> Tenant {
        let made = try await identity.createAccount(named: name)
        try await engine.write { tx throws(Fault) in
            for (resource, maximum) in plan.limits.sorted(by: { $0.key < $1.key }) {
                try tx.limit(resource, to: maximum, used: 0, for: made.account.id)
            }
        }
        guard let known = try await identity.identify(made.credentials.key) else {
            throw Fault(.internalError, "A new account's key is not known.")
        }
        let circumstances = Circumstances(now: chance.now(), region: region)
        return Tenant(account: made.account, credentials: made.credentials, session: known.session(circumstances))
    }

    private static func makeImage(
        _ engine: any Engine, _ images: ImagesService, _ compute: ComputeService, _ owner: Owner, _ tenant: Tenant,
        _ pool: ID<Pool>,
        _ chance: Chance
    ) async throws -> Image {
        let call = Call(session: tenant.session, request: "starter", now: chance.now(), seed: chance.bits())
        let image = try await images.register(
            .init(name: "starter", description: "", purpose: .machine, isPublic: true, kernel: nil, ramdisk: nil), in: pool,
            by: call)
        let runner = Runner(engine: engine, programs: compute.programs, chance: chance, log: Logger(label: "cloud"))
        for _ in 0..<4 {
            for id in try await engine.read({ tx throws(Fault) in try tx.runningOperations() }) { try await runner.run(id) }
            try await owner.act()
        }
        guard let made = try await engine.read({ tx throws(Fault) in try tx.find(Image.table, image.id) }), made.state == .available
        else { throw Fault(.internalError, "The starter image was not imported.") }
        return made
    }

    // MARK: Using it

    /// A further account.
    public func tenant(named name: String) async throws -> Tenant {
        try await TestCloud.makeTenant(name, Plan(), engine, identity, chance)
    }

    /// A call of a tenant, now.
    public func call(_ tenant: Tenant, dryRun: Bool = false) -> Call {
        let bits = chance.bits()
        return Call(session: tenant.session, request: "request-\(hexDigits(bits))", now: clock.now, seed: bits, isDryRun: dryRun)
    }

    /// A launch of the starter image.
    public func request(_ count: Int = 1, least: Int? = nil, type: String = "t3.nano") -> LaunchRequest {
        LaunchRequest(
            image: image.id, type: InstanceType.named(type) ?? InstanceType.all[0], least: least ?? count, most: count)
    }

    public func runner(_ failPoints: FailPoints = .none) -> Runner {
        Runner(engine: engine, programs: compute.programs, chance: chance, failPoints: failPoints, log: TestCloud.quiet)
    }

    public func worker(_ failPoints: FailPoints = .none) -> Worker {
        Worker(engine: engine, runner: runner(failPoints), chance: chance, log: TestCloud.quiet)
    }

    private static var quiet: Logger {
        var log = Logger(label: "cloud")
        log.logLevel = .critical
        return log
    }

    /// Runs operations and hosts in turn until nothing moves. A fail point's `Killed` is thrown on.
    ///
    /// - Returns: The operations that still run: what they wait for does not come by itself.
    @discardableResult
    public func settle(_ runner: Runner? = nil) async throws -> [Operation] {
        let runner = runner ?? self.runner()
        var before: [OperationAt] = []
        // No story of these tests takes this many rounds; one that goes round for ever ends here.
        for _ in 0..<200 {
            let news = try await owner.act()
            let running = try await runningOperations()
            for place in running { try await runner.run(place.operation.id) }
            let after = try await runningOperations()
            // Waiting on raises the attempt and the times of an operation and is no progress.
            if news == 0, before == after { return after.map(\.operation) }
            before = after
        }
        throw Fault(.internalError, "The cloud does not settle.")
    }

    /// Where an operation is: its step, and what it waits for there.
    private struct OperationAt: Sendable, Equatable {
        var operation: Operation
        var awaited: [AwaitedRow]

        static func == (one: OperationAt, other: OperationAt) -> Bool {
            one.operation.id == other.operation.id && one.operation.step == other.operation.step && one.awaited == other.awaited
        }
    }

    private func runningOperations() async throws(Fault) -> [OperationAt] {
        try await engine.read { tx throws(Fault) in
            try tx.all(Operation.table, where: "state = 'running' ORDER BY id").map { operation throws(Fault) in
                OperationAt(operation: operation, awaited: try tx.awaited(by: operation.id))
            }
        }
    }

    /// How many rows a table has.
    public func count(_ table: String) async throws -> Int {
        try await engine.read { tx throws(Fault) in try tx.count("SELECT count(*) FROM \(table)") }
    }

    /// The machine's row as it is now.
    public func instance(_ id: ID<Instance>) async throws -> Instance? {
        try await engine.read { tx throws(Fault) in try tx.find(Instance.table, id) }
    }

    /// What is wrong: broken invariants, and what honest hosts could not do.
    public func complaints() async throws -> [String] {
        try await Invariants.check(engine) + owner.complaints
    }
}
