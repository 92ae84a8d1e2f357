//  The process *control*: the store, the services, the zones' cluster controllers, the operations'
//  worker and the faces, in one structured whole. It opens no pool file and no socket of a guest.

import AWS
import ArgumentParser
import Authority
import Certificates
import Cluster
import Compute
import Database
import Fabric
import Identity
import Images
import Logging
import Model
import Networks
import ObjectStorage
import Objects
import Operations
import Platform
import S3
import Store
import Supervisor
import Volumes

struct ControlRole: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "control", abstract: "The cloud controller.", shouldDisplay: false)
    @OptionGroup var place: PlaceOptions

    func run() async throws {
        let installation = try place.installation()
        let configuration = try Configuration.require(installation)
        let log = Log.start("control")
        try await Termination.during {
            try await ControlProcess(installation: installation, configuration: configuration, chance: .system, log: log).run()
        }
    }
}

/// The cloud controller of an installation.
struct ControlProcess: Sendable {
    let installation: Installation
    let configuration: Configuration
    let chance: Chance
    let log: Logger

    /// How often machines that nobody is shown any more are forgotten.
    static let forgetting = Duration.seconds(60)
    /// How often hosts are looked for that have gone.
    static let looking = Duration.seconds(1)
    /// How often the listener's certificate is looked at.
    static let renewing = Duration.seconds(2)

    /// Serves until cancelled.
    func run() async throws {
        let lock = try LockFile(installation.store + "/control.lock")
        defer { lock.release() }
        let seal = try Seal(file: try keyFile())
        let engine = try await openStore()
        do {
            try await engine.migrate(Migration.all)
            let zone = try await prepareStore(engine)
            let services = Services(engine: engine, chance: chance, seal: seal, guestMTU: configuration.guestMTU)
            try await ObjectStore.with(
                installation.objects, identity: services.identity, accounts: CloudAccounts(identity: services.identity), seal: seal,
                ObjectStore.Settings(
                    region: configuration.region, isSecure: configuration.security != .none,
                    lifecycleDay: configuration.lifecycleDay, accessLogInterval: configuration.accessLogInterval),
                webhooks: Webhooks(installation), chance: chance, log: log
            ) { store in try await serve(engine, services, seal, zone, store) }
        } catch {
            await engine.close()
            throw error
        }
        await engine.close()
    }

    private func keyFile() throws(Fault) -> [UInt8] {
        guard let bytes = try AtomicFile.read(installation.masterKey, limit: 1 << 16) else {
            throw Fault(.notFound, "the master key \(installation.masterKey) is missing: restore it from your backup")
        }
        return bytes
    }

    private func openStore() async throws(Fault) -> any Engine {
        guard let conninfo = configuration.store else { return try SQLiteEngine(path: installation.storeFile) }
        return try await PostgreSQLEngine.open(conninfo, chance: chance)
    }

    /// The rows without which no account can be made: the zone and the outside's addresses.
    func prepareStore(_ engine: any Engine) async throws(Fault) -> Zone {
        let now = chance.now()
        let id = chance.id(Zone.self)
        let (region, name, range) = (configuration.region, configuration.zone, configuration.externalRange)
        return try await engine.write { tx throws(Fault) in
            try tx.setExternalRanges([range])
            if let zone = try tx.zone(named: name) { return zone }
            let zone = Zone(id: id, name: name, region: region, created: now)
            tx.insert(zone, into: Zone.table)
            return zone
        }
    }

    private func serve(
        _ engine: any Engine, _ services: Services, _ seal: Seal, _ zone: Zone, _ store: ObjectStore
    ) async throws {
        let compute = services.compute
        let cluster = try await ClusterController(
            zone: zone, engine: engine, chance: chance, seal: seal, region: configuration.region, log: log,
            poweredOff: { tx, holding, now, dice throws(Fault) in try compute.poweredOff(tx, holding, now: now, dice: &dice) })
        let runner = Runner(engine: engine, programs: compute.programs, chance: chance, log: log)
        let worker = Worker(engine: engine, runner: runner, chance: chance, log: log)
        let administration = AdministrationService(
            engine: engine, services: services, cluster: cluster, configuration: configuration, chance: chance, log: log)
        let directory = IdentityDirectoryService(identity: services.identity, accounts: store.accounts)
        let owners = FabricServer(path: installation.fabricSocket, sessions: cluster, services: [directory])
        let security =
            configuration.security == .none
            ? nil : try ListenerContext(path: installation.listenerCertificate, now: chance.now())
        let readiness: ReadinessCheck = { await CloudMeters.unreadiness(of: engine) }
        let operatorServer = FabricServer(path: installation.adminSocket, services: [administration] + store.administration)
        let face = awsFace(services, cluster, store.face, security, readiness)
        let meters = CloudMeters(
            engine: engine, runner: runner, face: face.meters, s3: store.face.meters, cluster: cluster, installation: installation,
            chance: chance)
        let log = log
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cluster.run() }
            group.addTask { try await worker.run() }
            group.addTask { try await store.work() }
            group.addTask { try await owners.run(mode: 0o600) }
            group.addTask { try await operatorServer.run(mode: 0o600) }
            group.addTask {
                try await face.run { port in
                    log.notice("serves", metadata: ["endpoint": "\(configuration.endpoint)", "port": "\(port)"])
                    await announceWhenListening([owners, operatorServer])
                }
            }
            if let port = configuration.metersPort {
                group.addTask { try await OperatorListener(port: port, meters: meters, readiness: readiness, log: log).run() }
            }
            if let security { group.addTask { try await follow(security) } }
            group.addTask { try await lookForHosts(cluster) }
            group.addTask { try await forget(compute) }
            group.addTask { try await HeapTrim.run() }
            defer { group.cancelAll() }
            // Each of them serves for ever: whichever ends first ends the process.
            try await group.next()
        }
    }

    private func awsFace(
        _ services: Services, _ cluster: ClusterController, _ s3: S3Face, _ security: ListenerContext?,
        _ readiness: @escaping ReadinessCheck
    ) -> AWSFace {
        var settings = AWSFaceConfiguration(region: configuration.region)
        settings.listener.address = configuration.address
        settings.listener.port = configuration.port
        settings.endpoint = configuration.authority
        settings.listener.security = security
        return AWSFace(
            configuration: settings, identity: services.identity, compute: services.compute, images: services.images,
            volumes: services.volumes, networks: services.networks, s3: s3, chance: chance, logger: log,
            readiness: readiness,
            consoleOutput: { id throws(Fault) in
                let (content, at) = try await cluster.consoleOutput(of: id)
                return (content, at)
            })
    }

    /// Says that this process is up once its Unix sockets answer too. A server that ends instead ends
    /// the process by itself.
    private func announceWhenListening(_ servers: [FabricServer]) async {
        do { for server in servers { try await server.waitUntilListening() } } catch { return }
        Inheritance.announceReady()
    }

    /// Serves the listener's certificate as it is renewed.
    private func follow(_ security: ListenerContext) async throws {
        var refused: Fault?
        while true {
            try await Task.sleep(for: ControlProcess.renewing)
            do throws(Fault) {
                if try security.follow(now: chance.now()) { log.notice("serves with a new certificate") }
                refused = nil
            } catch {
                if error != refused { log.warning("the new certificate is not served", metadata: ["fault": "\(error)"]) }
                refused = error
            }
        }
    }

    private func lookForHosts(_ cluster: ClusterController) async throws {
        var absent: [ID<Host>: Instant] = [:]
        while true {
            try await Task.sleep(for: ControlProcess.looking)
            do throws(Fault) { absent = try await cluster.markLostHosts(since: absent) } catch {
                log.warning("hosts could not be looked for", metadata: ["fault": "\(error)"])
            }
        }
    }

    private func forget(_ compute: ComputeService) async throws {
        while true {
            try await Task.sleep(for: ControlProcess.forgetting)
            do throws(Fault) { try await compute.forget(before: chance.now()) } catch {
                log.warning("what is over could not be forgotten", metadata: ["fault": "\(error)"])
            }
        }
    }
}

/// The services over one store.
struct Services: Sendable {
    let networks: NetworksService
    let images: ImagesService
    let volumes: VolumesService
    let compute: ComputeService
    let identity: IdentityService

    init(engine: any Engine, chance: Chance, seal: Seal, guestMTU: Int64) {
        networks = NetworksService(engine: engine, mtu: guestMTU)
        images = ImagesService(engine: engine, chance: chance)
        volumes = VolumesService(engine: engine)
        compute = ComputeService(
            engine: engine, chance: chance, seal: seal, networks: networks, images: images, volumes: volumes)
        identity = IdentityService(engine: engine, chance: chance, seal: seal, networks: networks)
    }
}
