//  The supervisor's process: which processes a cloud has, who each runs as and what it may use.

import ArgumentParser
import Logging
import Model
import Platform
import Supervisor

#if canImport(Glibc)
    import Glibc
#endif

struct SuperviseRole: AsyncParsableCommand {
    static let name = "supervise"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Keeps the cloud's processes running; what a service manager starts.", shouldDisplay: false)
    @OptionGroup var place: PlaceOptions

    func run() async throws {
        try requireRoot("supervise")
        let installation = try place.installation()
        let configuration = try Configuration.require(installation)
        let log = Log.start("supervisor")
        // After a reboot the run folder is gone.
        let users = try await InstallationFolders.prepare(installation)
        let specifications = Processes.specifications(installation, configuration, users, program: try ownProgram())
        let supervisor = try Supervisor(installation, specifications, logger: log)
        try supervisor.stopOnSignals()
        let certificate = configuration.security.source(names: configuration.names).map {
            ListenerCertificate(installation, $0, group: users.control.group)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            if let certificate { group.addTask { await SuperviseRole.keep(certificate, chance: .system, log: log) } }
            defer { group.cancelAll() }
            try await supervisor.run()
        }
    }

    /// How often it is looked whether there is a newer certificate.
    static let renewing = Duration.seconds(5)

    /// Brings in the operator's newer certificate, or renews the cloud's own, until cancelled.
    private static func keep(_ certificate: ListenerCertificate, chance: Chance, log: Logger) async {
        var refused: Fault?
        while !Task.isCancelled {
            do throws(Fault) {
                if try certificate.prepare(now: chance.now()) { log.notice("the API has a new certificate") }
                refused = nil
            } catch {
                // A half-renewed pair mends itself in a moment, and each thing is said once.
                if error != refused {
                    log.warning("the API's certificate stays as it is", metadata: ["reason": "\(error.message)"])
                }
                refused = error
            }
            do { try await Task.sleep(for: renewing) } catch { return }
        }
    }
}

/// The processes of a cloud.
enum Processes {
    /// In the order of their start.
    static func specifications(
        _ installation: Installation, _ configuration: Configuration, _ users: SystemUsers, program: String
    ) -> [ChildSpecification] {
        let files = openFilesMax()
        func process(
            _ name: String, as user: RunAs?, _ limits: ResourceLimits, readyWithin: Duration
        ) -> ChildSpecification {
            ChildSpecification(
                name: name, program: program, arguments: [name] + PlaceOptions.arguments(installation), environment: environment,
                runAs: user, limits: limits, log: installation.log(of: name), readiness: .announced, readyWithin: readyWithin)
        }
        // A store may have to be brought up to date before control answers.
        let control = process("control", as: users.control, ResourceLimits(openFiles: files), readyWithin: .seconds(120))
        guard !configuration.isSimulated else {
            return [
                control, process("simulate", as: users.control, ResourceLimits(openFiles: files), readyWithin: .seconds(30)),
            ]
        }
        // The probe of a fresh host may take half a minute under emulation.
        return [
            control, process("node", as: nil, ResourceLimits(openFiles: files), readyWithin: .seconds(90)),
            process(
                "edge", as: users.edge, ResourceLimits(openFiles: files, memoryBytes: 512 << 20, tasks: 64),
                readyWithin: .seconds(20)),
        ]
    }

    /// As many as a busy cloud needs, if the host lets root have them.
    private static func openFilesMax() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return min(65536, UInt64(limit.rlim_max))
    }

    /// glibc's allocator keeps a heap for each of many threads, and what long lists leave free in them
    /// (mallopt(3)): a few heaps that are trimmed hold a fraction of it.
    /// Of a crash the log gets what a second can find out, because until then the process is not started again.
    private static let environment = [
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2",
        "MALLOC_TRIM_THRESHOLD_": "1048576", "MALLOC_MMAP_THRESHOLD_": "1048576",
        "SWIFT_BACKTRACE": "symbolicate=fast,threads=crashed,images=none",
    ]
}
