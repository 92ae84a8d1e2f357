//  A private PostgreSQL cluster for tests: its own folder, a Unix socket and no port, synced as in
//  production, and gone when the test process ends, however it ends.

import CPostgreSQL
import Dispatch
import Model
import Platform
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A PostgreSQL server of a test's own. It runs as the user `postgres`, since it refuses to be root.
public final class TestCluster: Sendable {
    private static let programs = "/usr/lib/postgresql/15/bin/"
    private static let made = Mutex((shared: TestCluster?.none, all: [TestCluster](), hasExitHandler: false))

    /// The one that this process's tests share, started when it is first asked for.
    public static func shared() throws(Fault) -> TestCluster {
        if let shared = made.withLock({ $0.shared }) { return shared }
        return try starting.withLock { _ throws(Fault) in
            if let shared = made.withLock({ $0.shared }) { return shared }
            let cluster = try TestCluster()
            made.withLock { $0.shared = cluster }
            return cluster
        }
    }

    private static let starting = Mutex(())

    /// Its folder, which also holds its socket.
    public let folder: String
    private let server = Mutex(pid_t(0))
    private let ended = DispatchSemaphore(value: 0)

    /// Makes and starts a cluster.
    public init() throws(Fault) {
        TestCluster.sweep()
        folder = "/tmp/karri-postgresql-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        guard let user = getpwnam("postgres") else { throw Fault(.unavailable, "There is no user postgres.") }
        guard mkdir(folder, 0o700) == 0, chown(folder, user.pointee.pw_uid, user.pointee.pw_gid) == 0 else {
            throw Fault(.unavailable, "The cluster's folder cannot be made.", cause: folder)
        }
        let isFirst = TestCluster.made.withLock { made in
            made.all.append(self)
            defer { made.hasExitHandler = true }
            return !made.hasExitHandler
        }
        if isFirst { atexit { TestCluster.removeAll() } }
        let status = TestCluster.runAndWait(
            TestCluster.asPostgres + [
                TestCluster.programs + "initdb", "-D", folder + "/data", "-U", "postgres", "--encoding=UTF8", "--locale=C",
                "--auth=trust", "--no-sync",
            ], output: folder + "/initdb.log")
        guard status == 0 else { throw Fault(.unavailable, "initdb failed.", cause: "see \(folder)/initdb.log") }
        try start()
    }

    /// Where to connect.
    public func conninfo() -> String { "host=\(folder) user=postgres dbname=postgres" }

    /// Runs statements that take no arguments.
    public func execute(_ sql: String) throws(Fault) {
        let connection = PQconnectdb(conninfo())
        defer { PQfinish(connection) }
        PQsetNoticeProcessor(connection, { _, _ in }, nil)
        let result = PQexec(connection, sql)
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK else {
            throw Fault(.storage, "The statement failed.", cause: PQerrorMessage(connection).map { String(cString: $0) })
        }
    }

    // MARK: The server

    /// Starts the server and waits until it answers.
    public func start() throws(Fault) {
        let arguments =
            ["/usr/bin/setpriv", "--pdeathsig", "QUIT"] + TestCluster.asPostgres.dropFirst() + [
                TestCluster.programs + "postgres", "-D", folder + "/data", "-k", folder, "-c", "listen_addresses=",
                "-c", "max_connections=400", "-c", "shared_buffers=64MB", "-c", "fsync=on",
            ]
        let started = DispatchSemaphore(value: 0)
        // The server is told of the death of the thread that started it, so that thread stays.
        DispatchQueue(label: "karri.test.postgresql").async {
            let server = TestCluster.spawn(arguments, output: self.folder + "/server.log")
            self.server.withLock { $0 = server }
            started.signal()
            var status: Int32 = 0
            if server > 0 { while waitpid(server, &status, 0) < 0, errno == EINTR {} }
            self.server.withLock { $0 = 0 }
            self.ended.signal()
        }
        started.wait()
        for _ in 0..<600 {
            if PQping(conninfo()) == PQPING_OK { return }
            if server.withLock({ $0 }) <= 0 { break }
            usleep(50_000)
        }
        throw Fault(.unavailable, "PostgreSQL did not start.", cause: "see \(folder)/server.log")
    }

    /// Ends the server at once, so that its next start has to recover.
    public func crash() { stop(SIGQUIT) }

    private func stop(_ signal: Int32) {
        let server = server.withLock { $0 }
        guard server > 0 else { return }
        kill(server, signal)
        if ended.wait(timeout: .now() + 10) == .timedOut {
            kill(server, SIGKILL)
            ended.wait()
        }
    }

    /// Ends the server and removes its folder.
    public func remove() {
        stop(SIGQUIT)
        _ = TestCluster.runAndWait(["/bin/rm", "-rf", folder], output: "/dev/null")
        TestCluster.made.withLock { made in made.all.removeAll { $0 === self } }
    }

    private static func removeAll() {
        for cluster in made.withLock({ $0.all }) { cluster.remove() }
    }

    /// Removes the folders of test processes that were killed; their servers ended with them.
    private static func sweep() {
        for name in Folder.readableNames(in: "/tmp") {
            let parts = name.split(separator: "-")
            guard parts.count == 4, name.hasPrefix("karri-postgresql-"), let owner = pid_t(parts[2]) else { continue }
            if kill(owner, 0) != 0, errno == ESRCH { _ = runAndWait(["/bin/rm", "-rf", "/tmp/" + name], output: "/dev/null") }
        }
    }

    // MARK: Programs

    private static let asPostgres = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    private static func runAndWait(_ arguments: [String], output: String) -> Int32 {
        let child = spawn(arguments, output: output)
        guard child > 0 else { return -1 }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        return status
    }

    private static func spawn(_ arguments: [String], output: String) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The test's own folder may be closed to the user postgres.
        let arguments = ["/usr/bin/env", "-C", "/"] + arguments
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        let environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), strdup("LC_ALL=C"), nil]
        defer { for pointer in environment { free(pointer) } }
        pointers.append(nil)
        var child: pid_t = 0
        return posix_spawn(&child, arguments[0], &actions, nil, pointers, environment) == 0 ? child : -1
    }
}
