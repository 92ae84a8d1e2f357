//  Moves the write-ahead log into the database file from a thread of its own, so that no commit
//  waits for it; where the log has grown past its bound all the same, the writer waits.

import CSQLite
import Dispatch
import Model
import Synchronization

/// `@unchecked`: the connection is used on `thread` alone, and `isRunning` is behind a mutex.
final class SQLiteCheckpoints: @unchecked Sendable {
    private let connection: SQLiteConnection
    private let thread = DispatchQueue(label: "karri.sqlite.checkpoint")
    private let isRunning = Mutex(false)
    private let startBytes: Int64
    private let waitBytes: Int64

    /// - Parameters:
    ///   - startBytes: A log longer than this is checkpointed beside the writer.
    ///   - waitBytes: A log longer than this is checkpointed while the writer waits.
    init(_ connection: SQLiteConnection, startBytes: Int64, waitBytes: Int64) {
        self.connection = connection
        self.startBytes = startBytes
        self.waitBytes = waitBytes
    }

    /// Begins a checkpoint beside the writer if the log is long and none is under way.
    func startIfLong(_ writer: SQLiteConnection) {
        guard writer.logBytes > startBytes else { return }
        let starts = isRunning.withLock { isRunning in
            defer { isRunning = true }
            return !isRunning
        }
        guard starts else { return }
        thread.async {
            sqlite3_wal_checkpoint_v2(self.connection.handle, nil, SQLITE_CHECKPOINT_PASSIVE, nil, nil)
            self.isRunning.withLock { $0 = false }
        }
    }

    /// On the writer's thread, outside a transaction: empties a log that is longer than its bound.
    /// A reader of an old snapshot may keep it from that; then the log grows until that read ends.
    func waitIfTooLong(_ writer: SQLiteConnection) {
        guard writer.logBytes > waitBytes else { return }
        thread.sync {}
        sqlite3_busy_timeout(writer.handle, 1000)
        sqlite3_wal_checkpoint_v2(writer.handle, nil, SQLITE_CHECKPOINT_RESTART, nil, nil)
        sqlite3_busy_timeout(writer.handle, 5000)
    }

    /// Waits for a running checkpoint.
    func close() { thread.sync {} }
}
