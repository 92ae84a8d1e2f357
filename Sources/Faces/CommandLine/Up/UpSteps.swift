//  The steps of `karri up` that change the host.

import Authority
import Fabric
import Model
import Platform
import Supervisor

#if canImport(Glibc)
    import Glibc
#endif

enum Up {
    /// How long the processes may take to come up the first time.
    static let startPatience = Duration.seconds(180)
    /// How long the first host may take to join.
    static let hostPatience = Duration.seconds(120)

    /// The ranges of other clouds on this host: what nobody holds of them leads nowhere.
    static func reservedRanges() async throws(Fault) -> [IPv4Prefix] {
        let listing = try await Command.attempt("ip", ["-4", "route", "show", "table", "all", "type", "blackhole"])
        return reservedRanges(in: listing.output)
    }

    /// From `ip route`'s lines, `blackhole RANGE table NUMBER`.
    static func reservedRanges(in listing: String) -> [IPv4Prefix] {
        listing.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            return words.count > 1 && words[0] == "blackhole" ? IPv4Prefix(words[1], lenient: true) : nil
        }
    }

    /// Makes the master key unless there is one. Control's group reads it; nobody else does.
    static func makeMasterKey(_ installation: Installation, chance: Chance) throws(Fault) {
        guard !exists(installation.masterKey) else { return }
        guard Folder.readableNames(in: installation.store).isEmpty else {
            throw Fault(
                .storage,
                "\(installation.masterKey) is missing, and the store cannot be read without it: restore it from your backup")
        }
        let users = SystemUsers.names(installation)
        guard let control = CallingUser(named: users.control) else {
            throw Fault(.notFound, "there is no user \(users.control)")
        }
        let path = installation.masterKey
        let fresh = path + ".fresh"
        try AtomicFile.write(Seal(generatedFrom: chance).file, to: fresh, mode: 0o640)
        // Named last: a key that control could not read would be taken for the right one for ever.
        guard chown(fresh, 0, control.group) == 0, rename(fresh, path) == 0 else {
            throw Fault(.storage, "could not make \(path): \(systemError())")
        }
        try AtomicFile.syncFolder(of: path)
    }

    /// Looks at the operator's certificate before anything is changed.
    ///
    /// - Throws: `.notFound`, `.invalidParameter`.
    static func checkCertificate(_ configuration: Configuration, chance: Chance) throws(Fault) {
        guard case .files(let certificate, let key) = configuration.security else { return }
        let pair = try ListenerCertificate.read(certificate: certificate, key: key, now: chance.now())
        guard pair.covers(configuration.host) else {
            let names = pair.names.isEmpty ? "no name" : pair.names.joined(separator: ", ")
            throw Fault(
                .invalidParameter,
                "the certificate in \(certificate) is for \(names), and clients would reach the API as \(configuration.host): give a name of it with --endpoint-name"
            )
        }
    }

    /// Puts the API's certificate where control reads it.
    static func prepareCertificate(
        _ installation: Installation, _ configuration: Configuration, chance: Chance
    ) throws(Fault) {
        guard let source = configuration.security.source(names: configuration.names) else { return }
        let name = SystemUsers.names(installation).control
        guard let control = CallingUser(named: name) else { throw Fault(.notFound, "there is no user \(name)") }
        if try ListenerCertificate(installation, source, group: control.group).prepare(now: chance.now()) {
            Output.remark("puts the API's certificate in place")
        }
    }

    /// Starts the supervisor, or starts it anew where program or settings are others.
    ///
    /// - Returns: The line that starts the cloud after a reboot, where no service manager does.
    static func start(_ installation: Installation, program: String, changed: Bool) async throws(Fault) -> String? {
        let arguments = [SuperviseRole.name] + PlaceOptions.arguments(installation)
        let service = SystemService(installation, program: program, arguments: arguments)
        let outcome = try await service.install()
        let isService: Bool
        let line: String?
        switch outcome {
        case .installed: (isService, line) = (true, nil)
        case .byHand(let text): (isService, line) = (false, text)
        }
        if let running = Supervisor.running(installation) {
            if !changed, isRunning(program, running.pid) {
                Output.remark("runs already")
                try await wait(installation, running)
                return line
            }
            Output.remark("starts anew with the changed settings; machines run on")
            try await stopSupervisor(installation)
        }
        Output.remark("starts the cloud")
        try await wait(installation, try await launch(installation, program, arguments, asService: isService))
        return line
    }

    private static func isRunning(_ program: String, _ process: Int32) -> Bool {
        guard let path = realpath("/proc/\(process)/exe", nil) else { return false }
        defer { free(path) }
        return String(cString: path) == program
    }

    private static func launch(
        _ installation: Installation, _ program: String, _ arguments: [String], asService: Bool
    ) async throws(Fault) -> ProcessIdentity {
        guard asService else {
            return try DetachedSupervisor.start(
                program, arguments,
                environment: ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"],
                log: installation.log(of: "supervisor"))
        }
        try await Command.run("systemctl", ["restart", "\(installation.mark).service"])
        let end = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < end {
            if let running = Supervisor.running(installation) { return running }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { throw Fault(.cancelled, "the wait was cancelled") }
        }
        throw Fault(.unavailable, "the service did not start: journalctl -u \(installation.mark)")
    }

    private static func wait(_ installation: Installation, _ supervisor: ProcessIdentity) async throws(Fault) {
        try await DetachedSupervisor.waitUntilReady(installation, supervisor: supervisor, within: startPatience) { status in
            let words = status.children.map { "\($0.name) \($0.state.rawValue)" }.joined(separator: ", ")
            if !status.isReady { Output.remark("  \(words)") }
        }
    }

    /// Stops the supervisor and its processes, not the machines.
    static func stopSupervisor(_ installation: Installation) async throws(Fault) {
        if SystemService.hasSystemd, installation.root.isEmpty {
            _ = try await Command.attempt("systemctl", ["stop", "\(installation.mark).service"])
        }
        _ = try Supervisor.stopRunning(installation)
    }

    static func writeProfile(
        _ installation: Installation, _ configuration: Configuration, _ credentials: Credentials, for user: CallingUser
    ) throws(Fault) {
        try UserProfile(
            name: installation.mark, endpoint: configuration.endpoint, region: configuration.region,
            accessKey: credentials.accessKey, secretKey: credentials.secretKey,
            trusted: configuration.security == .own ? installation.trustedCertificate : nil
        ).write(for: user)
    }

    /// Waits until every host that is to be has joined.
    static func waitForHosts(_ installation: Installation, _ configuration: Configuration) async throws(Fault) {
        let wanted = max(1, configuration.simulatedHosts)
        let end = ContinuousClock.now + hostPatience
        let client = AdministrationClient(installation: installation)
        var shown = -1
        while true {
            let reply = try await client.ask { stub, options in try await stub.status(StatusRequest(), options: options) }
            let up = reply.hosts.filter { $0.state == "up" }.count
            if up >= wanted { return }
            if shown < 0 { Output.remark("waits for \(wanted == 1 ? "the host" : "\(wanted) hosts") to join") }
            shown = up
            guard ContinuousClock.now < end else {
                throw Fault(.timedOut, "only \(up) of \(wanted) hosts joined within \(spoken(hostPatience)): karri logs says why")
            }
            do { try await Task.sleep(for: .milliseconds(100)) } catch { throw Fault(.cancelled, "the wait was cancelled") }
        }
    }
}

/// The environment of this process.
func environment() -> [String: String] {
    var variables: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
        let pair = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if pair.count == 2 { variables[String(pair[0])] = String(pair[1]) }
        entry += 1
    }
    return variables
}
