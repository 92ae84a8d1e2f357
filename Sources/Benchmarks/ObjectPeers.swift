//  Other servers of objects, started in a scratch folder beside Karri's own. Each is optional: what is not
//  installed is said to be missing and left out.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// A process that runs until it is ended.
final class PeerProcess: Sendable {
    let id: pid_t

    /// - Parameter log: Where what it says is written.
    init(_ words: [String], log: String) throws(Fault) {
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for text in arguments { free(text) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var made: pid_t = 0
        let failure = posix_spawnp(&made, words[0], &actions, nil, &arguments, environ)
        guard failure == 0 else { throw Fault(.driver, "\(words[0]) could not be run: \(systemError(failure))") }
        id = made
    }

    /// Ends it and its children.
    func end() {
        let family = Processes.family(of: id).ids
        for process in family { kill(process, SIGTERM) }
        // Its children are waited for too: one that is left would answer for the next run's. Who reaps them is
        // not known, so that they are killed after a while and not waited for for ever.
        let end = ContinuousClock.now + .seconds(5)
        while family.contains(where: { $0 != id && kill($0, 0) == 0 }), ContinuousClock.now < end { usleep(20_000) }
        for process in family { kill(process, SIGKILL) }
        var status: Int32 = 0
        waitpid(id, &status, 0)
    }
}

/// A peer that runs.
struct ObjectPeer: Sendable {
    let target: ObjectTarget
    let process: PeerProcess
}

/// How peers are started.
enum PeerKind: String, CaseIterable, Sendable {
    case nginx, weed, juicefs, radosgw

    /// Whether a program of that name is in PATH.
    var isInstalled: Bool {
        let folders = (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":")
        return folders.contains { access("\($0)/\(rawValue)", X_OK) == 0 }
    }

    private static let credentials = BenchCredentials(
        name: "bench", account: "bench", accessKey: "benchkey", secretKey: "benchsecret")

    /// - Parameter port: The first of ten that are the peer's.
    func start(in folder: String, port: Int) async throws(Fault) -> ObjectPeer {
        try Folder.make(folder)
        let process: PeerProcess
        switch self {
        case .nginx: process = try nginx(folder, port)
        case .weed: process = try weed(folder, port)
        case .juicefs: process = try await juicefs(folder, port)
        case .radosgw: process = try RadosGateway.start(in: folder, port: port, PeerKind.credentials)
        }
        var target = ObjectTarget(
            name: rawValue, port: port, credentials: self == .nginx ? nil : PeerKind.credentials, processes: Processes([]),
            isDurable: self == .juicefs || self == .radosgw)
        target.readsOnly = self == .nginx
        do throws(Fault) { try await PeerKind.wait(for: target) } catch {
            process.end()
            throw error
        }
        target.processes = Processes.family(of: process.id)
        return ObjectPeer(target: target, process: process)
    }

    /// Waits until calls are answered, whatever with.
    private static func wait(for target: ObjectTarget) async throws(Fault) {
        let end = ContinuousClock.now + .seconds(120)
        while true {
            let client = ObjectClient(target, body: [])
            do throws(Fault) { return try await client.make(target.readsOnly ? .get(bytes: 0) : .list, "/") } catch {
                if error.code == .internalError { return }
                guard ContinuousClock.now < end else { throw error }
            }
            do { try await Task.sleep(for: .milliseconds(100)) } catch { throw Fault(.cancelled, "The benchmark was cancelled.") }
        }
    }

    private func nginx(_ folder: String, _ port: Int) throws(Fault) -> PeerProcess {
        try Folder.make(folder + "/files")
        let settings = """
            daemon off; pid \(folder)/pid; error_log \(folder)/error.log; worker_processes auto;
            events { worker_connections 256; }
            http {
                access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type application/octet-stream;
                client_body_temp_path \(folder)/t1; proxy_temp_path \(folder)/t2; fastcgi_temp_path \(folder)/t3;
                uwsgi_temp_path \(folder)/t4; scgi_temp_path \(folder)/t5;
                server { listen 127.0.0.1:\(port); root \(folder)/files; }
            }
            """
        try AtomicFile.write(Array(settings.utf8), to: folder + "/nginx.conf", mode: 0o600)
        // Its workers leave root's folder only as another user, who could not read it.
        return try PeerProcess(["nginx", "-c", folder + "/nginx.conf", "-g", "user root;"], log: folder + "/log")
    }

    private func weed(_ folder: String, _ port: Int) throws(Fault) -> PeerProcess {
        let who = PeerKind.credentials
        let identities =
            #"{"identities":[{"name":"bench","credentials":[{"accessKey":"\#(who.accessKey)","secretKey":"\#(who.secretKey)"}],"actions":["Admin","Read","Write","List","Tagging"]}]}"#
        try AtomicFile.write(Array(identities.utf8), to: folder + "/identities.json", mode: 0o600)
        try Folder.make(folder + "/data")
        return try PeerProcess(
            [
                "weed", "server", "-dir=\(folder)/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.port=\(port + 1)",
                "-volume.port=\(port + 2)", "-filer", "-filer.port=\(port + 3)", "-filer.maxMB=64", "-s3", "-s3.port=\(port)",
                "-s3.config=\(folder)/identities.json", "-volume.max=100", "-master.telemetry=false",
            ], log: folder + "/log")
    }

    private func juicefs(_ folder: String, _ port: Int) async throws(Fault) -> PeerProcess {
        let database = "sqlite3://\(folder)/meta.db"
        try await Command.run("juicefs", ["format", "--storage", "file", "--bucket", folder + "/data/", database, "bench"])
        let who = PeerKind.credentials
        return try PeerProcess(
            [
                "env", "MINIO_ROOT_USER=\(who.accessKey)", "MINIO_ROOT_PASSWORD=\(who.secretKey)", "juicefs", "gateway", database,
                "127.0.0.1:\(port)", "--multi-buckets", "--keep-etag", "--object-tag",
                "--object-meta", "--cache-dir", folder + "/cache",
            ], log: folder + "/log")
    }
}
