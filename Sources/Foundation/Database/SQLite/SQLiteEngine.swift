//  The embedded engine: one file, one writer, several readers, one process.

import CLinux
import CSQLite
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// A store in an SQLite file, for the one process that owns it.
public final class SQLiteEngine: Engine {
    /// Past this length of the write-ahead log the writer waits for a checkpoint.
    static let walBytesMax = 64 << 20

    /// The indexes' inner pages, and a batch's own. What is not in these caches is in the kernel's,
    /// which costs microseconds.
    static let writerCacheKibibytes = 8192
    public static let readerCacheKibibytes = 2048

    public var name: EngineName { .sqlite }
    public let meters = EngineMeters()

    private let writer: SQLiteWriter
    private let readers: Lanes<SQLiteConnection>
    private let checkpoints: SQLiteCheckpoints
    private let hub: ChangeHub
    private let lock: FileLock
    private let index: ReservedIndex

    /// Opens or makes the file at `path`, in a folder that exists.
    ///
    /// - Parameters:
    ///   - readers: How many reads run at once.
    ///   - waitingMax: How many reads, and as many writes, may wait; more fault with `.unavailable`.
    ///   - changesMax: How many changes a reader of the feed may leave untaken.
    ///   - readerCacheKibibytes: How much each reader keeps in memory of a file that is so large.
    /// Faults with `.inUse` when another process has it open.
    public init(
        path: String, readers: Int = 4, waitingMax: Int = 4096, changesMax: Int = 10_000,
        readerCacheKibibytes: Int = SQLiteEngine.readerCacheKibibytes
    ) throws(Fault) {
        lock = try FileLock(path + "-owner")
        let writing = try SQLiteConnection(path: path, isWriter: true, cacheKibibytes: SQLiteEngine.writerCacheKibibytes)
        var reading: [SQLiteConnection] = []
        for _ in 0..<max(1, readers) {
            reading.append(try SQLiteConnection(path: path, isWriter: false, cacheKibibytes: readerCacheKibibytes))
        }
        index = ReservedIndex(of: path)
        hub = ChangeHub(pendingMax: changesMax)
        checkpoints = SQLiteCheckpoints(
            try SQLiteConnection(path: path, isWriter: true, cacheKibibytes: 256), startBytes: 4 << 20,
            waitBytes: Int64(SQLiteEngine.walBytesMax))
        writer = SQLiteWriter(writing, hub: hub, checkpoints: checkpoints, waitingMax: waitingMax, meters: meters)
        self.readers = Lanes("karri.sqlite.reader", reading, waitingMax: waitingMax)
    }

    public func read<T: Sendable>(_ body: @escaping @Sendable (Reading) throws(Fault) -> T) async throws(Fault) -> T {
        try await Ticket<T>.wait { ticket throws(Fault) in
            try readers.submit { connection in
                if ticket.begin() { ticket.end(SQLiteEngine.snapshot(connection, body)) }
            }
        }
    }

    public func readNow<T: Sendable>(_ body: @escaping @Sendable (Reading) throws(Fault) -> T) async throws(Fault) -> T {
        guard !Task.isCancelled else { throw .cancelledBeforeItBegan }
        if let result = try readers.borrow({ SQLiteEngine.snapshot($0, body) }) { return try result.get() }
        return try await read(body)
    }

    @discardableResult
    public func write<T: Sendable>(
        contending: [String], deadline: Duration, _ body: @escaping @Sendable (Writing) throws(Fault) -> T
    ) async throws(Fault) -> T {
        let deadline = ContinuousClock.now + deadline
        return try await Ticket<T>.wait { ticket throws(Fault) in
            try writer.enqueue(SQLiteWriteOf(ticket, deadline: deadline, body))
        }
    }

    public func changes() -> AsyncStream<ChangeBatch> { hub.subscribe() }

    public func migrate(_ migrations: [Migration]) async throws(Fault) {
        let definition = try EngineName.sqlite.definition(History.definition)
        let applied = try await write { tx throws(Fault) in
            try tx.run(definition)
            return try tx.values(History.selection, as: String.self)
        }
        let missing = try History.missing(of: migrations, in: applied)
        for (position, migration) in zip(missing.indices, missing) {
            var statements: [String] = []
            for statement in migration.statements { statements.append(try EngineName.sqlite.definition(statement)) }
            let texts = statements
            try await write(deadline: .seconds(3600)) { tx throws(Fault) in
                for text in texts { try tx.run(text) }
                try tx.run(History.insertion, [.integer(Int64(position)), .text(migration.name)])
            }
        }
    }

    public func prepareAll(_ statements: [String]) async throws(Fault) {
        try await writer.between { connection throws(Fault) in
            for statement in statements {
                do throws(Failure) { _ = try connection.prepareOnly(statement) } catch { throw error.fault }
            }
        }
    }

    /// Puts what the write-ahead log holds into its place, and gives the log's room back, unless a reader needs it.
    public func emptyLog() async throws(Fault) {
        try await writer.between { connection throws(Fault) in
            // A reader of an old snapshot is not waited for: the log is emptied another time.
            sqlite3_busy_timeout(connection.handle, 1000)
            let code = sqlite3_wal_checkpoint_v2(connection.handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
            sqlite3_busy_timeout(connection.handle, 5000)
            guard code == SQLITE_OK || code & 0xff == SQLITE_BUSY else {
                throw Fault(.storage, "The store's log cannot be emptied.", cause: String(cString: sqlite3_errstr(code)))
            }
        }
    }

    public func close() async {
        await writer.close()
        checkpoints.close()
        await readers.close { _ in }
        hub.close()
        // An empty log makes the next start quick; without it the log is read then.
        try? await emptyLog()
        lock.release()
    }

    /// Runs `body` within one snapshot.
    private static func snapshot<T>(
        _ connection: SQLiteConnection, _ body: (Reading) throws(Fault) -> T
    ) -> Result<T, Fault> {
        do throws(Fault) {
            try connection.execute("BEGIN")
            let reading = Reading(connection)
            let result: Result<T, Fault>
            do throws(Fault) {
                let value = try body(reading)
                try reading.check()
                result = .success(value)
            } catch {
                result = .failure(reading.failure ?? error)
            }
            try connection.execute(sqlite3_get_autocommit(connection.handle) == 0 ? "COMMIT" : "SELECT 1")
            return result
        } catch {
            if sqlite3_get_autocommit(connection.handle) == 0 { try? connection.execute("ROLLBACK") }
            return .failure(error)
        }
    }
}

/// The memory that connections share, which is a mapped file, with room for all of it: where blocks are smaller
/// than pages SQLite leaves gaps in it, and on a full disk the process would end when it writes there.
private final class ReservedIndex: Sendable {
    /// Open for as long as the connections are: the locks that they hold on the file would go with the first
    /// descriptor that is closed (fcntl(2)).
    private let file: Int32

    init(of path: String) {
        file = open(path + "-shm", O_RDWR | O_CLOEXEC)
        // Eight bytes for each page of the log, and some for finding them.
        if file >= 0 { _ = karri_reserve(file, off_t(SQLiteEngine.walBytesMax / 256)) }
    }

    deinit { if file >= 0 { close(file) } }
}
