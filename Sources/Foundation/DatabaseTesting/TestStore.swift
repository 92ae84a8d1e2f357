//  A store for one test, on either engine: made empty, opened as often as the test wants, removed.

import Database
import Model

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where a test's store lies.
public struct TestStore: Sendable {
    private enum Place: Sendable {
        case folder(String)
        case schema(String, TestCluster)
    }

    public let name: EngineName
    private let place: Place

    /// Makes an empty store, on PostgreSQL in `cluster` or the process's shared one.
    public init(_ name: EngineName, in cluster: TestCluster? = nil) throws(Fault) {
        self.name = name
        let mark = "\(getpid())_\(UInt32.random(in: 0...UInt32.max))"
        switch name {
        case .sqlite:
            let folder = "/tmp/karri-sqlite-\(mark)"
            guard mkdir(folder, 0o700) == 0 else { throw Fault(.unavailable, "The store's folder cannot be made.", cause: folder) }
            place = .folder(folder)
        case .postgresql:
            let cluster = if let cluster { cluster } else { try TestCluster.shared() }
            // A schema is made in a hundredth of the time that a database takes.
            try cluster.execute("CREATE SCHEMA karri_\(mark)")
            place = .schema("karri_\(mark)", cluster)
        }
    }

    /// The file of an SQLite store, the connection string of a PostgreSQL one.
    public var location: String {
        switch place {
        case .folder(let folder): folder + "/store.sqlite"
        case .schema(let schema, let cluster): cluster.conninfo() + " options='-c search_path=\(schema)'"
        }
    }

    /// Opens it.
    ///
    /// - Parameters:
    ///   - waitingMax: The bound of its queues.
    ///   - changesMax: The bound of a feed reader's changes.
    public func open(
        readers: Int = 2, writers: Int = 4, waitingMax: Int = 4096, changesMax: Int = 10_000
    ) async throws(Fault) -> any Engine {
        switch name {
        case .sqlite: try SQLiteEngine(path: location, readers: readers, waitingMax: waitingMax, changesMax: changesMax)
        case .postgresql:
            try await PostgreSQLEngine.open(
                location, readers: readers, writers: writers, waitingMax: waitingMax, changesMax: changesMax)
        }
    }

    /// Removes it; nothing may have it open.
    public func remove() {
        switch place {
        case .folder(let folder):
            for file in ["store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "store.sqlite-owner"] {
                unlink("\(folder)/\(file)")
            }
            rmdir(folder)
        case .schema(let schema, let cluster):
            // A schema that stays is removed with its cluster.
            try? cluster.execute("DROP SCHEMA \(schema) CASCADE")
        }
    }

    /// Runs `body` with a fresh, migrated store, closed and removed afterwards.
    public static func with<T>(
        _ name: EngineName, _ migrations: [Migration] = [], _ body: (any Engine) async throws -> T
    ) async throws -> T {
        let store = try TestStore(name)
        defer { store.remove() }
        let engine = try await store.open()
        do {
            try await engine.migrate(migrations)
            let result = try await body(engine)
            await engine.close()
            return result
        } catch {
            await engine.close()
            throw error
        }
    }
}
