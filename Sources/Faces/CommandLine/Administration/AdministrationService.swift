//  What the operator's command line asks of control, over a socket that only root and the cloud's
//  own user open. It acts for no tenant: it makes accounts, registers images and tells stories.

import Authority
import Cluster
import Compute
import Database
import Fabric
import GRPCCore
import Identity
import Images
import Logging
import Model
import Networks
import Store

/// The operator's side of the cloud controller.
struct AdministrationService: Administration.SimpleServiceProtocol {
    let engine: any Engine
    let services: Services
    let cluster: ClusterController
    let configuration: Configuration
    let chance: Chance
    let log: Logger

    /// The account that `karri up` makes; it owns the images that everybody may use.
    static let firstAccount = "karri"

    /// What its default group lets in: its machines answer ssh and ping without a further step. Other
    /// accounts begin closed, as on EC2.
    static let firstIngress = [(6, 22, 22, "ssh"), (1, 8, -1, "ping")].map { (number, from, to, name) in
        (
            permission: Permission(protocolNumber: number, from: from, to: to, peer: .prefix(.everything)),
            description: "\(name), let in by karri up"
        )
    }

    // MARK: - How it is

    func status(request: StatusRequest, context: ServerContext) async throws -> StatusReply {
        let now = chance.now()
        let heard = await cluster.lastHeard()
        return try await answering { () async throws(Fault) in
            let overview = try await engine.read { tx throws(Fault) in try tx.overview(at: now) }
            return reply(overview, heard)
        }
    }

    private func reply(_ overview: Overview, _ heard: [ID<Host>: Instant]) -> StatusReply {
        StatusReply.with {
            $0.release = Release.version
            $0.region = configuration.region
            $0.endpoint = configuration.endpoint
            $0.store = configuration.store == nil ? "SQLite" : "PostgreSQL"
            $0.accounts = Int64(overview.accounts)
            $0.instancesRunning = Int64(overview.running)
            $0.instancesPending = Int64(overview.unsettled)
            $0.images = Int64(overview.images)
            $0.volumes = Int64(overview.volumes)
            $0.operationsRunning = Int64(overview.operationsRunning)
            $0.operationsOverdue = Int64(overview.operationsOverdue)
            $0.hosts = overview.hosts.map { AdministrationService.line($0, heard[$0.host.id]) }
            $0.warnings = AdministrationService.warnings(overview, heard)
        }
    }

    private static func line(_ line: Overview.HostLine, _ heard: Instant?) -> HostStatus {
        HostStatus.with {
            $0.name = line.host.name
            $0.state = HostWords.state(line, heard)
            $0.zone = line.zone
            $0.accelerator = line.host.accelerator
            $0.processors = line.host.processors
            $0.processorsFree = line.host.processorsFree
            $0.memory = line.host.memory.bytes
            $0.memoryFree = line.host.memoryFree.bytes
            $0.poolBytes = line.pool.bytes.bytes
            $0.poolBytesFree = line.pool.bytesFree.bytes
            $0.machines = Int64(line.machines)
            $0.lastReportAt = heard?.microseconds ?? 0
        }
    }

    /// What an operator should know, gravest first.
    static func warnings(_ overview: Overview, _ heard: [ID<Host>: Instant]) -> [String] {
        var warnings: [String] = []
        for line in overview.hosts where line.isFenced {
            warnings.append("host \(line.host.name) is fenced: once it is well, karri host accept \(line.host.name)")
        }
        for line in overview.hosts where line.host.state == .lost && !line.isFenced {
            warnings.append(
                "host \(line.host.name) is lost, with \(line.machines) machines: look at it, or at karri logs node; if it will not come back, karri host fence \(line.host.name)"
            )
        }
        if overview.hosts.isEmpty { warnings.append("no host has joined yet: karri logs node says why") }
        if overview.operationsOverdue > 0 {
            warnings.append(
                "\(overview.operationsOverdue) operations are late: karri trace of their things says what they wait for")
        }
        for line in overview.hosts where line.pool.bytesFree.bytes < line.pool.bytes.bytes / 20 {
            warnings.append("pool \(line.pool.name) has \(line.pool.bytesFree) left of \(line.pool.bytes)")
        }
        if overview.hosts.count == 1, let line = overview.hosts.first {
            warnings.append("pool \(line.pool.name) keeps one copy of each disk: what its disk loses is lost")
        }
        return warnings
    }

    // MARK: - Hosts

    func fenceHost(request: FenceHostRequest, context: ServerContext) async throws -> FenceHostReply {
        try await answering { () async throws(Fault) in
            let outcome = try await services.compute.fence(host: request.host, request: "karri host fence")
            log.notice("host fenced", metadata: ["host": "\(request.host)"])
            return FenceHostReply.with {
                $0.machinesStopped = Int64(outcome.stopped)
                $0.machinesEnding = Int64(outcome.ending)
            }
        }
    }

    func acceptHost(request: AcceptHostRequest, context: ServerContext) async throws -> AcceptHostReply {
        try await answering { () async throws(Fault) in
            let leftovers = try await services.compute.accept(host: request.host, request: "karri host accept")
            log.notice("host accepted", metadata: ["host": "\(request.host)"])
            return AcceptHostReply.with { $0.leftovers = Int64(leftovers) }
        }
    }

    func trace(request: TraceRequest, context: ServerContext) async throws -> TraceReply {
        try await answering { () async throws(Fault) in
            let lines = try await engine.read { tx throws(Fault) in try TraceStory(of: request.id, tx).lines }
            return TraceReply.with { $0.lines = lines }
        }
    }

    // MARK: - Accounts

    func createAccount(request: CreateAccountRequest, context: ServerContext) async throws -> AccountCredentials {
        try await answering { () async throws(Fault) in
            let isFirst = request.name == AdministrationService.firstAccount
            let made = try await services.identity.createAccount(
                named: request.name, ingress: isFirst ? AdministrationService.firstIngress : [])
            log.notice("made an account", metadata: ["account": "\(made.account.number)", "name": "\(made.account.name)"])
            return AdministrationService.credentials(made)
        }
    }

    func createAccessKey(request: CreateAccessKeyRequest, context: ServerContext) async throws -> AccountCredentials {
        try await answering { () async throws(Fault) in
            let made = try await services.identity.addAccessKey(toAdministratorOf: request.account)
            log.notice("made an access key", metadata: ["account": "\(made.account.number)", "key": "\(made.credentials.key)"])
            return AdministrationService.credentials(made)
        }
    }

    func listAccounts(request: ListAccountsRequest, context: ServerContext) async throws -> ListAccountsReply {
        try await answering { () async throws(Fault) in
            let accounts = try await services.identity.accounts()
            return ListAccountsReply.with {
                $0.accounts = accounts.map { account in
                    AccountCredentials.with {
                        $0.account = account.number
                        $0.name = account.name
                    }
                }
            }
        }
    }

    private static func credentials(_ made: IdentityService.NewAccount) -> AccountCredentials {
        AccountCredentials.with {
            $0.account = made.account.number
            $0.name = made.account.name
            $0.accessKey = made.credentials.key
            $0.secretKey = made.credentials.secret
        }
    }

    // MARK: - Machines

    func stopMachines(request: StopMachinesRequest, context: ServerContext) async throws -> StopMachinesReply {
        try await answering { () async throws(Fault) in
            var count: Int64 = 0
            var last: ID<Instance>?
            while true {
                let after = last
                let page = try await engine.read { tx throws(Fault) in try tx.machinesToStop(after: after, limit: 500) }
                guard let end = page.last else { break }
                last = end.id
                for (id, account) in page {
                    do throws(Fault) {
                        _ = try await services.compute.stop([id], by: call(for: account))
                        count += 1
                    } catch {
                        // A machine that may not be stopped, or that has just ended, keeps none of the others.
                        log.notice("a machine was not stopped", metadata: ["instance": "\(id.shown)", "fault": "\(error)"])
                    }
                }
            }
            return StopMachinesReply.with { $0.count = count }
        }
    }

    // MARK: - Calls

    /// A call of the cloud's operator on behalf of an account.
    func call(for account: Account) -> Call {
        let now = chance.now()
        let session = Session(
            unrestrictedSystemWorkFor: "operator", onBehalfOf: AccountScope(id: account.id, number: account.number), now: now)
        return Call(session: session, request: "operator-\(hexDigits(chance.bits()))", now: now, seed: chance.bits())
    }

    /// A fault in the words that `AdministrationClient` reads.
    func answering<Reply: Sendable>(_ body: () async throws(Fault) -> Reply) async throws -> Reply {
        try await administered { () async throws(Fault) in
            do throws(Fault) { return try await body() } catch {
                log.info("the operator was refused", metadata: ["fault": "\(error)"])
                throw error
            }
        }
    }
}

/// A fault in the words that `AdministrationClient` reads.
func administered<Reply: Sendable>(_ body: () async throws(Fault) -> Reply) async throws -> Reply {
    do throws(Fault) {
        return try await body()
    } catch {
        throw RPCError(error)
    }
}

extension Fault {
    /// A fault that came the way that `RPCError(_:)` sends it; nil for what is none.
    init?(_ error: RPCError) {
        guard let code = error.metadata[stringValues: AdministrationClient.faultKey].first(where: { _ in true }) else { return nil }
        self.init(Fault.Code(rawValue: code), error.message)
    }
}

extension RPCError {
    /// A fault on its way to the command line, or to another host.
    init(_ fault: Fault) {
        self.init(
            code: .failedPrecondition, message: fault.message,
            metadata: [AdministrationClient.faultKey: .string(fault.code.rawValue)])
    }
}
