import Authority
import Cluster
import Database
import DatabaseTesting
import Fabric
import GRPCCore
import Logging
import Model
import Platform
import Store
import Testing

@testable import CommandLine

/// The administration service over a store of its own, asked over its real socket.
struct AdministrationTests {
    struct Cloud: Sendable {
        var engine: any Engine
        var service: AdministrationService
        var client: AdministrationClient
        var zone: Zone
    }

    static func with(_ engineName: EngineName, _ body: @escaping @Sendable (Cloud) async throws -> Void) async throws {
        let folder = "/tmp/kcl-\(hexDigits(Chance.system.bits()))"
        let installation = Installation(root: folder, mark: "ctest")
        try await Command.run("mkdir", ["-p", installation.run + "/admin"])
        let store = try TestStore(engineName)
        let engine = try await store.open()
        let result = await outcome {
            try await engine.migrate(Migration.all)
            let configuration = Configuration(publicRange: IPv4Prefix("172.30.255.0/24")!)
            let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let control = ControlProcess(installation: installation, configuration: configuration, chance: .system, log: log)
            let zone = try await control.prepareStore(engine)
            let seal = Seal(generatedFrom: .system)
            let services = Services(engine: engine, chance: .system, seal: seal, guestMTU: 1450)
            let cluster = try await ClusterController(
                zone: zone, engine: engine, chance: .system, seal: seal, region: configuration.region, log: log,
                poweredOff: { _, _, _, _ throws(Fault) in })
            let service = AdministrationService(
                engine: engine, services: services, cluster: cluster, configuration: configuration, chance: .system, log: log)
            let server = FabricServer(path: installation.adminSocket, services: [service])
            let cloud = Cloud(
                engine: engine, service: service, client: AdministrationClient(installation: installation), zone: zone)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run() }
                try await server.waitUntilListening()
                defer { group.cancelAll() }
                try await body(cloud)
                server.stop()
            }
        }
        await engine.close()
        store.remove()
        try await Command.run("rm", ["-rf", folder])
        try result.get()
    }

    private static func outcome(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    static func addHost(_ cloud: Cloud, named name: String) async throws {
        let now = Chance.system.now()
        let zone = cloud.zone.id
        try await cloud.engine.write { tx throws(Fault) in
            var dice = Dice(seed: 7)
            let pool = Pool(
                id: dice.id(), zone: zone, host: nil, name: "\(name)-disk", bytes: .gibibytes(100), bytesFree: .gibibytes(4),
                created: now, revision: 1)
            tx.insert(pool, into: Pool.table)
            tx.insert(
                Host(
                    id: dice.id(), zone: zone, name: name, state: .up, processors: 8, memory: .gibibytes(8), processorsFree: 8,
                    memoryFree: .gibibytes(8), pool: pool.id, accelerator: "tcg", created: now, revision: 1), into: Host.table)
        }
    }

    @Test(arguments: EngineName.allCases)
    func accountsAreMadeOnceAndGetFurtherKeys(engine: EngineName) async throws {
        try await AdministrationTests.with(engine) { cloud in
            let make: @Sendable (AdministrationClient.Stub, CallOptions) async throws -> AccountCredentials = { stub, options in
                try await stub.createAccount(CreateAccountRequest.with { $0.name = "karri" }, options: options)
            }
            let made = try await cloud.client.ask(make)
            #expect(made.account.count == 12)
            await #expect { try await cloud.client.ask(make) } throws: { ($0 as? Fault)?.code == .alreadyExists }
            let further = try await cloud.client.ask { stub, options in
                try await stub.createAccessKey(CreateAccessKeyRequest.with { $0.account = "karri" }, options: options)
            }
            #expect(further.account == made.account)
            #expect(further.accessKey != made.accessKey)
            for key in [made, further] {
                let known = try await cloud.service.services.identity.identify(key.accessKey)
                #expect(known?.secret == .whole(key.secretKey))
            }
            await #expect {
                try await cloud.client.ask { stub, options in
                    try await stub.createAccessKey(CreateAccessKeyRequest.with { $0.account = "nobody" }, options: options)
                }
            } throws: { ($0 as? Fault)?.code == .notFound }
            let all = try await cloud.client.ask { stub, options in
                try await stub.listAccounts(ListAccountsRequest(), options: options)
            }
            #expect(all.accounts.map(\.name) == ["karri"])
            // A list is no place for secrets.
            #expect(all.accounts.allSatisfy { $0.secretKey.isEmpty && $0.accessKey.isEmpty })
        }
    }

    @Test(arguments: EngineName.allCases)
    func anUploadIsRegisteredAndItsStoryTold(engine: EngineName) async throws {
        try await AdministrationTests.with(engine) { cloud in
            _ = try await cloud.service.services.identity.createAccount(named: "karri")
            let request = ImportImageRequest.with {
                $0.name = "disk"
                $0.purpose = "machine"
                $0.public = true
            }
            let register: @Sendable (AdministrationClient.Stub, CallOptions) async throws -> ImportImageReply = { stub, options in
                try await stub.importImage(request, options: options)
            }
            await #expect { try await cloud.client.ask(register) } throws: { ($0 as? Fault)?.code == .unavailable }
            try await AdministrationTests.addHost(cloud, named: "host-1")
            let reply = try await cloud.client.ask(register)
            #expect(reply.host == "host-1")
            #expect(reply.id == "ami-0" + reply.upload)
            await #expect { try await cloud.client.ask(register) } throws: { ($0 as? Fault)?.code == .alreadyExists }
            for asked in [DescribeImageRequest.with { $0.id = reply.id }, .with { $0.name = "disk" }] {
                let state = try await cloud.client.ask { stub, options in try await stub.describeImage(asked, options: options) }
                #expect(state.id == reply.id)
                #expect(state.state == "pending")
                #expect(state.public)
            }
            let list = try await cloud.client.ask { stub, options in
                try await stub.listImages(ListImagesRequest(), options: options)
            }
            #expect(list.images.map(\.name) == ["disk"])
            for id in [reply.id, reply.upload] {
                let story = try await cloud.client.ask { stub, options in
                    try await stub.trace(TraceRequest.with { $0.id = id }, options: options)
                }
                let texts = story.lines.map(\.text)
                #expect(texts.contains("registered as disk"))
                #expect(texts.contains { $0.contains("image.import is at import") && $0.contains("waiting for") })
                #expect(story.lines.map(\.at) == story.lines.map(\.at).sorted())
            }
        }
    }

    @Test func theFirstAccountsMachinesAnswerAtOnceAndNoOthers() async throws {
        try await AdministrationTests.with(.sqlite) { cloud in
            for name in ["karri", "lab"] {
                _ = try await cloud.client.ask { stub, options in
                    try await stub.createAccount(CreateAccountRequest.with { $0.name = name }, options: options)
                }
            }
            let rules = try await cloud.engine.read { tx throws(Fault) in
                try tx.all(Rule.table, where: "from_port >= 0 ORDER BY protocol_number").map { rule throws(Fault) in
                    "\(try tx.find(Account.table, rule.account)?.name ?? "") \(rule.protocolNumber) \(rule.fromPort) \(rule.toPort)"
                }
            }
            #expect(rules == ["karri 1 8 -1", "karri 6 22 22"])
        }
    }

    @Test func theStatusCountsAndWarns() async throws {
        try await AdministrationTests.with(.sqlite) { cloud in
            let ask: @Sendable () async throws -> StatusReply = {
                try await cloud.client.ask { stub, options in try await stub.status(StatusRequest(), options: options) }
            }
            #expect(try await ask().warnings.contains { $0.contains("no host has joined") })
            try await AdministrationTests.addHost(cloud, named: "host-1")
            let reply = try await ask()
            let host = try #require(reply.hosts.first)
            // It has rows and no session: it joined once and is not here now.
            #expect(host.state == "away")
            #expect(host.memory == 8 << 30)
            #expect(reply.warnings.contains { $0.contains("host-1-disk has 4.0 GiB left") })
            #expect(reply.warnings.contains { $0.contains("one copy") })
            await #expect {
                try await cloud.client.ask { stub, options in
                    try await stub.trace(TraceRequest.with { $0.id = "i-00123456789abcdef" }, options: options)
                }
            } throws: { ($0 as? Fault)?.code == .notFound }
        }
    }

    @Test func withoutControlTheClientSaysWhatToDo() async {
        let client = AdministrationClient(installation: Installation(root: "/nonexistent", mark: "ctest"))
        await #expect {
            try await client.ask { stub, options in try await stub.status(StatusRequest(), options: options) }
        } throws: { ($0 as? Fault)?.message.contains("karri up") == true }
    }

    /// Whether nobody listens or nobody answers where something did.
    @Test(arguments: [false, true])
    func aStoreAloneIsStartedByItself(isStale: Bool) async throws {
        let root = "/tmp/karri-commandline-\(hexDigits(Chance.system.bits()))"
        let installation = Installation(root: root)
        try Folder.make(installation.objects)
        if isStale {
            try Folder.make(installation.run + "/admin")
            try AtomicFile.write([], to: installation.adminSocket, mode: 0o600)
        }
        let client = AdministrationClient(installation: installation)
        let fault = await #expect(throws: Fault.self) {
            _ = try await client.askObjects { stub, options in try await stub.listUsage(ListUsageRequest(), options: options) }
        }
        // A cloud has an object store too.
        try Folder.make(installation.configuration)
        try AtomicFile.write(Array("{}".utf8), to: Configuration.path(installation), mode: 0o600)
        let other = await #expect(throws: Fault.self) {
            _ = try await client.askObjects { stub, options in try await stub.listUsage(ListUsageRequest(), options: options) }
        }
        try await Command.run("rm", ["-rf", root])
        #expect(fault?.code == .unavailable && fault?.message.contains("karri start --role objects --root \(root)") == true)
        #expect(other?.code == .unavailable && other?.message.contains("karri up") == true)
    }
}

struct TraceNameTests {
    @Test(arguments: [
        ("i-00123456789abcdef", AnyID(kind: .instance, bits: 0x0123_4567_89ab_cdef)),
        ("aki-00123456789abcdef", AnyID(kind: .image, bits: 0x0123_4567_89ab_cdef)),
        ("vol-0ffffffffffffffff", AnyID(kind: .volume, bits: .max)),
        // As the log spells it.
        ("operation-0123456789abcdef", AnyID(kind: .operation, bits: 0x0123_4567_89ab_cdef)),
    ])
    func idsAreRead(text: String, id: AnyID) { #expect(TraceStory.Name(text) == .exactly(id)) }

    @Test(arguments: [
        "", "-", "i-", "i-1123456789abcdef0", "i-0123456789abcde", "i-00123456789abcdeg", "x-00123456789abcdef",
        "i-00123456789abcdéf",
        "ami 00123456789abcdef", "i-000123456789abcdef",
    ])
    func whatIsNoIdIsNone(text: String) { #expect(TraceStory.Name(text) == nil) }

    @Test func bareDigitsAreAnId() { #expect(TraceStory.Name("00000000000000ff") == .bits(255)) }

    @Test func linesStandInTimeAndOtherwiseAsTold() {
        let lines = [(3, "c"), (1, "a"), (3, "d"), (2, "b")].map { at, text in
            TraceLine.with {
                $0.at = Int64(at)
                $0.text = text
            }
        }
        #expect(TraceStory.ordered(lines).map(\.text) == ["a", "b", "c", "d"])
    }

    @Test func aRequestStandsWhereItChanges() {
        let lines = [("r1", "x"), ("r1", "y"), ("", "z"), ("r2", "w")].map { request, text in
            TraceLine.with {
                $0.request = request
                $0.source = "cloud"
                $0.text = text
            }
        }
        let shown = TraceCommand.shown(lines)
        #expect(shown.map { $0.hasSuffix("[r1]") || $0.hasSuffix("[r2]") } == [true, false, false, true])
        #expect(shown[0].hasPrefix("1970-01-01T00:00:00.000Z  cloud  x"))
    }
}
