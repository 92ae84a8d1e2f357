//  The change feed of a shared store. Its rows are written in the transactions that they announce.
//  Transactions commit in another order than their rows are numbered, so a reader stops below the
//  oldest transaction that is still open: all below have ended, and no later one can be there.

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

/// Follows the feed on a connection and a thread of its own, and hands changes to the hub.
///
/// `@unchecked`: what is not behind the mutex is touched on `thread` alone.
final class PostgreSQLFeed: @unchecked Sendable {
    static let definitions = [
        """
        CREATE TABLE IF NOT EXISTS karri_changes (sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            xact xid8 NOT NULL DEFAULT pg_current_xact_id(), thing TEXT NOT NULL, id BIGINT NOT NULL, account BIGINT, zone BIGINT)
        """,
        "CREATE INDEX IF NOT EXISTS karri_changes_xact ON karri_changes (xact, sequence)",
        "CREATE TABLE IF NOT EXISTS karri_changes_trimmed (one BOOLEAN PRIMARY KEY CHECK (one), xact xid8 NOT NULL)",
        "INSERT INTO karri_changes_trimmed VALUES (TRUE, '0') ON CONFLICT DO NOTHING",
    ]

    static let insertion = """
        INSERT INTO karri_changes (thing, id, account, zone)
            SELECT row.t, row.i, row.a, row.z FROM json_to_recordset(CAST($1 AS json)) AS row (t text, i bigint, a bigint, z bigint)
        """

    /// What lies between a position and the oldest open transaction.
    struct Window {
        var changes: [Change] = []
        /// Some of it was trimmed or is too long.
        var isLost = false
        /// Rows are there that an open transaction still holds back.
        var isHeldBack = false
        /// Where the next window begins.
        var end: Int64
    }

    private struct State {
        var isWoken = false
        var isClosed = false
    }

    private let conninfo: String
    private let hub: ChangeHub
    private let windowMax: Int
    private let keptMax: Int64
    private let thread = DispatchQueue(label: "karri.postgresql.feed")
    private let state = Mutex(State())
    private let wakeRead: Int32
    private let wakeWrite: Int32
    private var connection: PostgreSQLConnection?
    private var position: Int64?
    private var windows = 0

    /// - Parameters:
    ///   - windowMax: More changes at once are told as `.lost`.
    ///   - keptMax: How many rows stay for readers that are late.
    init(_ conninfo: String, hub: ChangeHub, windowMax: Int, keptMax: Int64) throws(Fault) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Fault(.unavailable, "No pipe is to be had.", cause: systemError()) }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        wakeRead = ends[0]
        wakeWrite = ends[1]
        self.conninfo = conninfo
        self.hub = hub
        self.windowMax = windowMax
        self.keptMax = keptMax
    }

    deinit {
        closeDescriptor(wakeRead)
        closeDescriptor(wakeWrite)
    }

    func start() { thread.async { self.follow() } }

    /// Says that this process has committed something.
    func wake() {
        let isFirst = state.withLock { state in
            defer { state.isWoken = true }
            return !state.isWoken
        }
        if isFirst { ring() }
    }

    /// Ends the thread and waits for it.
    func close() async {
        state.withLock { $0.isClosed = true }
        ring()
        await withCheckedContinuation { continuation in thread.async { continuation.resume() } }
    }

    private func ring() {
        var byte: UInt8 = 1
        // A full pipe rings already.
        _ = write(wakeWrite, &byte, 1)
    }

    // MARK: The thread

    private func follow() {
        var pauseMilliseconds: Int32 = 0
        while true {
            rest(pauseMilliseconds)
            let (isWoken, isClosed) = state.withLock { state in
                defer { state.isWoken = false }
                return (state.isWoken, state.isClosed)
            }
            if isClosed { break }
            do throws(Fault) {
                let isHeldBack = try step(announcing: isWoken)
                // Nobody announces that an older transaction has ended, so that is asked for.
                pauseMilliseconds = isHeldBack ? 5 : 1000
            } catch {
                // The position stays: what is missed now is in the table still.
                connection = nil
                pauseMilliseconds = 1000
            }
        }
        connection = nil
    }

    /// Waits for a ring, a notification or the time to pass.
    private func rest(_ milliseconds: Int32) {
        var descriptors = [pollfd(fd: wakeRead, events: Int16(POLLIN), revents: 0)]
        if let connection { descriptors.append(pollfd(fd: PQsocket(connection.handle), events: Int16(POLLIN), revents: 0)) }
        poll(&descriptors, nfds_t(descriptors.count), milliseconds)
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(wakeRead, &bytes, bytes.count) > 0 {}
        guard let connection else { return }
        PQconsumeInput(connection.handle)
        while let notification = PQnotifies(connection.handle) { PQfreemem(notification) }
    }

    /// Reads a window and hands it on; whether something is held back.
    private func step(announcing: Bool) throws(Fault) -> Bool {
        let connection = try connected()
        do throws(Failure) {
            // Many commits make one notification, and none is made inside a commit, where it would
            // let transactions commit only one at a time.
            if announcing { try connection.post("NOTIFY karri_changes", []) }
            let isNew = position == nil
            let start: Int64
            if let position { start = position } else { start = try PostgreSQLFeed.now(connection) }
            let window = try PostgreSQLFeed.window(connection, from: start, limit: windowMax)
            position = window.end
            if isNew || window.isLost { hub.publishLost() } else { hub.publish(window.changes) }
            windows += 1
            if windows % 1000 == 0 { try PostgreSQLFeed.trim(connection, keeping: keptMax) }
            return window.isHeldBack
        } catch { throw error.fault }
    }

    private func connected() throws(Fault) -> PostgreSQLConnection {
        if let connection, connection.isAlive { return connection }
        let fresh = try PostgreSQLConnection(conninfo, isWriter: true)
        do throws(Failure) { _ = try fresh.run("LISTEN karri_changes", []) } catch { throw error.fault }
        connection = fresh
        return fresh
    }

    // MARK: Statements

    /// The oldest transaction that is open now.
    static func now(_ connection: PostgreSQLConnection) throws(Failure) -> Int64 {
        var now: Int64 = 0
        var fault: Fault?
        try connection.query("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)", []) { row in
            do throws(Fault) { now = try row.takeInteger() } catch { fault = error }
            return false
        }
        if let fault { throw Failure(fault) }
        return now
    }

    static func window(_ connection: PostgreSQLConnection, from position: Int64, limit: Int) throws(Failure) -> Window {
        try connection.post("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", [])
        let reading = Reading(connection)
        do throws(Fault) {
            let bounds = try reading.first(
                """
                SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint),
                    CAST(CAST((SELECT xact FROM karri_changes_trimmed) AS text) AS bigint)
                """
            ) { row throws(Fault) in (try row.takeInteger(), try row.takeInteger()) }
            var window = Window(end: bounds?.0 ?? position)
            let rows = try reading.rows(
                """
                SELECT sequence, thing, id, account, zone, xact < pg_snapshot_xmin(pg_current_snapshot())
                    FROM karri_changes WHERE xact >= CAST($1 AS xid8) ORDER BY xact, sequence LIMIT $2
                """, [.text(String(position)), .integer(Int64(limit) + 1)]
            ) { row throws(Fault) in
                let sequence = try row.takeInteger()
                let change = Change(
                    table: try row.takeText(), id: try row.takeInteger(), account: try row.take(), zone: try row.take(),
                    sequence: sequence)
                return (change, isEnded: try row.takeBool())
            }
            window.changes = rows.filter(\.isEnded).map(\.0)
            window.isHeldBack = window.changes.count < rows.count
            window.isLost = rows.count > limit || (bounds?.1 ?? 0) >= position
            _ = try reading.attempt { () throws(Failure) in try connection.run("COMMIT", []) }
            return window
        } catch {
            _ = connection.reset()
            throw Failure(error)
        }
    }

    /// Forgets all but the last rows, and remembers up to where.
    static func trim(_ connection: PostgreSQLConnection, keeping kept: Int64) throws(Failure) {
        _ = try connection.run(
            """
            WITH gone AS (DELETE FROM karri_changes WHERE sequence <= (SELECT max(sequence) FROM karri_changes) - $1
                    AND xact < pg_snapshot_xmin(pg_current_snapshot()) RETURNING xact),
                newest AS (SELECT xact FROM gone ORDER BY xact DESC LIMIT 1)
            UPDATE karri_changes_trimmed SET xact = newest.xact FROM newest WHERE karri_changes_trimmed.xact < newest.xact
            """, [.integer(kept)])
    }

    /// The rows that announce `changes`, as the argument of `insertion`.
    static func document(_ changes: [Change]) throws(Fault) -> String {
        var rows: [String] = []
        for change in Set(changes).sorted(by: { ($0.table, $0.id) < ($1.table, $1.id) }) {
            guard
                change.table.utf8.allSatisfy({ $0 == UInt8(ascii: "_") || (0x30...0x39).contains($0) || (0x61...0x7a).contains($0) }
                )
            else { throw Fault(.internalError, "A change names no table.", cause: change.table) }
            let account = change.account.map(String.init) ?? "null"
            let zone = change.zone.map(String.init) ?? "null"
            rows.append(#"{"t":"\#(change.table)","i":\#(change.id),"a":\#(account),"z":\#(zone)}"#)
        }
        return "[\(rows.joined(separator: ","))]"
    }
}

/// `close` by another name, for a class that has one of its own.
private func closeDescriptor(_ descriptor: Int32) { _ = close(descriptor) }
