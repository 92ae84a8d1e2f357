//  `karri start --role objects`: the object store alone, a small S3 server with no cloud around it.

import ArgumentParser
import Authority
import Certificates
import Fabric
import Listening
import Logging
import Model
import ObjectStorage
import Objects
import Platform
import Supervisor

struct StartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Runs one role of Karri by itself, in the foreground.",
        discussion: """
            The role objects is an S3 server: its objects lie under the folder that --root names, its users in \
            etc/karri/users.json below that, which is made with one user at the first start and may be changed at any time. \
            With --cloud its users are those of a cloud, whose secrets stay with the cloud's controller. karri objects \
            with the same --root asks it how it is doing.
            """)

    enum Role: String, ExpressibleByArgument, CaseIterable { case objects }

    @Option(help: "Which role: objects.") var role: Role
    @Option(
        help: ArgumentHelp(
            "A folder under which all files of the store lie; else they lie where those of this machine's cloud would.",
            valueName: "folder")) var root = ""
    @Option(help: "The IPv4 address to listen on; any but loopback needs a certificate.") var address = "127.0.0.1"
    @Option(help: "The port to listen on.") var port = 8773
    @Option(help: "The name of the region.") var region = "us-east-1"
    @Option(
        help: ArgumentHelp("The server's certificate in PEM, followed by those that signed it.", valueName: "file"))
    var tlsCertificate: String?
    @Option(help: ArgumentHelp("Its private key in PEM, not encrypted.", valueName: "file")) var tlsKey: String?
    @Option(help: ChosenTime.lifecycleDay.help) var lifecycleDay = ChosenTime.lifecycleDay.standard

    @Option(
        help: ArgumentHelp(
            "The socket at which a cloud's controller answers its hosts: its users are this store's.", valueName: "socket"))
    var cloud: String?

    @Option(help: ChosenTime.accessLogInterval.help) var accessLogInterval = ChosenTime.accessLogInterval.standard

    func validate() throws {
        guard (1...65535).contains(port) else { throw ValidationError("\(port) is not a port.") }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("A certificate and its key come together: --tls-certificate and --tls-key.")
        }
        do throws(Fault) {
            try Configuration.checkListener(
                address, isSecure: tlsCertificate != nil, remedy: "--tls-certificate and --tls-key, or --address 127.0.0.1")
            try ChosenTime.lifecycleDay.check(lifecycleDay)
            try ChosenTime.accessLogInterval.check(accessLogInterval)
        } catch { throw ValidationError(error.message) }
    }

    func run() async throws {
        let installation = Installation(root: try PlaceOptions.absolute(root))
        let log = Log.start("objects")
        let chance = Chance.system
        for folder in [installation.configuration, installation.objects, installation.adminSocket.folder] {
            try Folder.make(folder)
        }
        let seal = try StartCommand.masterKey(installation, chance)
        var listener = HTTPListener(address: address, port: port)
        listener.security = try security(installation, chance.now())
        let served = listener
        let settings = ObjectStore.Settings(
            region: region, isSecure: listener.security != nil, lifecycleDay: lifecycleDay,
            accessLogInterval: accessLogInterval)
        let cloud = cloud
        try await Termination.during {
            @Sendable func serve(_ users: some KeyDirectory & AccountDirectory, _ first: LocalUsers.User?) async throws {
                try await ObjectStore.with(
                    installation.objects, identity: users, accounts: users, seal: seal, settings,
                    webhooks: Webhooks(installation), chance: chance, log: log
                ) { store in try await StartCommand.serve(store, installation, served, first, log) }
            }
            guard let cloud else {
                let path = installation.configuration + "/users.json"
                let isNew = try AtomicFile.read(path, limit: LocalUsers.bytesMax) == nil
                let first = isNew ? try LocalUsers.make(path, chance: chance) : nil
                let users = try LocalUsers(path: path, chance: chance) { fault in
                    log.warning(
                        "the list of users is not what it was meant to be: what it was before goes on",
                        metadata: ["fault": "\(fault)"])
                }
                return try await serve(users, first)
            }
            try await FabricClient.with(path: cloud) { try await serve(CloudUsers($0, chance: chance), nil) }
        }
    }

    private static func serve(
        _ store: ObjectStore, _ installation: Installation, _ listener: HTTPListener, _ first: LocalUsers.User?, _ log: Logger
    ) async throws {
        let operatorServer = FabricServer(path: installation.adminSocket, services: store.administration)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await store.work() }
            group.addTask { try await operatorServer.run(mode: 0o600) }
            group.addTask {
                try await store.face.run(on: listener, logger: log) { port in
                    let scheme = listener.security == nil ? "http" : "https"
                    tell(first, endpoint: "\(scheme)://\(listener.address):\(port)", region: store.objects.region)
                }
            }
            group.addTask { try await HeapTrim.run() }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Says what to type next.
    private static func tell(_ first: LocalUsers.User?, endpoint: String, region: String) {
        Output.remark("serves S3 at \(endpoint)")
        guard let first else { return }
        Output.line("export AWS_ACCESS_KEY_ID=\(first.accessKey)")
        Output.line("export AWS_SECRET_ACCESS_KEY=\(first.secretKey)")
        Output.line("export AWS_DEFAULT_REGION=\(region)")
        Output.line("export AWS_ENDPOINT_URL=\(endpoint)")
    }

    private static func masterKey(_ installation: Installation, _ chance: Chance) throws(Fault) -> Seal {
        if let bytes = try AtomicFile.read(installation.masterKey, limit: 1 << 16) { return try Seal(file: bytes) }
        let seal = Seal(generatedFrom: chance)
        try AtomicFile.write(seal.file, to: installation.masterKey, mode: 0o600)
        return seal
    }

    private func security(_ installation: Installation, _ now: Instant) throws(Fault) -> ListenerContext? {
        guard let tlsCertificate, let tlsKey else { return nil }
        let pair = try ListenerCertificate.read(certificate: tlsCertificate, key: tlsKey, now: now)
        try Folder.make(installation.listenerCertificate.folder)
        try AtomicFile.write(try pair.file(), to: installation.listenerCertificate, mode: 0o600)
        return try ListenerContext(path: installation.listenerCertificate, now: now)
    }
}

extension String {
    /// The folder that a path's file is in.
    fileprivate var folder: String { lastIndex(of: "/").map { String(self[..<$0]) } ?? "." }
}
