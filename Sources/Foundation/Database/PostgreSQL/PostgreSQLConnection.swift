//  One PostgreSQL session over libpq, always in pipeline mode: what is posted is sent along with the
//  next statement that is waited for, and answered with it. Arguments and results are binary.

import CPostgreSQL
import Model

/// A connection to a PostgreSQL server. Used by one thread at a time.
final class PostgreSQLConnection: Connection {
    /// A prepared statement belongs to its text and its argument types.
    private struct Key: Hashable {
        var sql: String
        var types: [ValueType]
    }

    private struct Prepared {
        var name: String
        var lastUse: Int
    }

    /// Something sent whose answer is still to come.
    private enum Sent {
        case preparation(Key)
        case statement(String)
        case housekeeping
    }

    static let statementsMax = 500
    /// Results of posts are small, but nobody reads them before the next wait: with more, server
    /// and client could each wait for the other to read.
    static let postsMax = 128

    let handle: OpaquePointer
    private var statements: [Key: Prepared] = [:]
    private var sent: [Sent] = []
    private var uses = 0
    /// The SQLSTATE of the last failure.
    private(set) var lastState = ""

    /// Connects and prepares the session. Faults with `.unavailable`.
    init(_ conninfo: String, isWriter: Bool) throws(Fault) {
        guard let handle = PQconnectdb(conninfo) else { throw Fault(.unavailable, "The store is out of memory.") }
        self.handle = handle
        guard PQstatus(handle) == CONNECTION_OK else { throw unreachable }
        // Without a processor of ours libpq writes notices to the standard error.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        let settings = [
            "SET client_encoding = 'UTF8'", "SET jit = off", "SET timezone = 'UTC'", "SET statement_timeout = '30s'",
            "SET idle_in_transaction_session_timeout = '60s'",
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            // A sequential scan of a small table would lock the whole of it for SERIALIZABLE.
            isWriter ? "SET enable_seqscan = off" : "SET default_transaction_read_only = on",
        ]
        guard let result = PQexec(handle, settings.joined(separator: "; ")) else { throw unreachable }
        let status = PQresultStatus(result)
        PQclear(result)
        guard status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, PQenterPipelineMode(handle) == 1 else { throw unreachable }
    }

    deinit { PQfinish(handle) }

    var isAlive: Bool { PQstatus(handle) == CONNECTION_OK }

    private var message: String { String(cString: PQerrorMessage(handle)) }
    private var unreachable: Fault { Fault(.unavailable, "The store's server cannot be reached.", cause: message) }

    // MARK: Connection

    func query(_ sql: String, _ arguments: [Value], _ each: (inout Row) -> Bool) throws(Failure) {
        try send(sql, arguments)
        guard let result = try wait() else { return }
        defer { PQclear(result) }
        let columns = PQnfields(result)
        for number in 0..<PQntuples(result) {
            var row = Row(postgresql: result, row: number, columns: columns)
            guard each(&row) else { return }
        }
    }

    func run(_ sql: String, _ arguments: [Value]) throws(Failure) -> Int {
        try send(sql, arguments)
        guard let result = try wait() else { return 0 }
        defer { PQclear(result) }
        return PQcmdTuples(result).flatMap { Int(String(cString: $0)) } ?? 0
    }

    func post(_ sql: String, _ arguments: [Value]) throws(Failure) {
        if sent.count >= PostgreSQLConnection.postsMax { try settle() }
        try send(sql, arguments)
    }

    func settle() throws(Failure) {
        guard !sent.isEmpty else { return }
        if let result = try wait() { PQclear(result) }
    }

    // MARK: Transactions

    /// Commits. A failure of reach `.connection` here leaves the outcome unknown.
    func commit() throws(Failure) {
        try send("COMMIT", [])
        guard let result = try wait() else { return }
        defer { PQclear(result) }
        // The server ends a failed transaction without an error of its own.
        guard let status = PQcmdStatus(result), String(cString: status) == "COMMIT" else {
            throw Failure(Fault(.internalError, "A failed transaction was to be committed."))
        }
    }

    /// Leaves the session outside a transaction; false if it cannot be used any more.
    func reset() -> Bool {
        do throws(Failure) { try settle() } catch { guard isAlive else { return false } }
        guard isAlive else { return false }
        guard PQtransactionStatus(handle) != PQTRANS_IDLE else { return true }
        do throws(Failure) { _ = try run("ROLLBACK", []) } catch { return false }
        return PQtransactionStatus(handle) == PQTRANS_IDLE
    }

    /// Asks the server whether it understands a statement.
    func prepareOnly(_ sql: String) throws(Failure) {
        guard PQsendPrepare(handle, "", sql, 0, nil) == 1 else { throw lost }
        sent.append(.statement(sql))
        do throws(Failure) { try settle() } catch {
            // "indeterminate_datatype": at run time the type comes with the argument.
            if lastState != "42P18" { throw error }
        }
    }

    // MARK: Sending

    private func send(_ sql: String, _ arguments: [Value]) throws(Failure) {
        for argument in arguments { try argument.check() }
        guard arguments.count <= 65_535 else { throw Failure(Fault(.tooLarge, "A statement has too many arguments.", cause: sql)) }
        let name = try prepared(Key(sql: sql, types: arguments.map(\.type)))
        let bound = BoundArguments(arguments)
        let code = bound.withPointers { values, lengths, formats in
            PQsendQueryPrepared(handle, name, Int32(arguments.count), values, lengths, formats, 1)
        }
        guard code == 1 else { throw lost }
        sent.append(.statement(sql))
    }

    /// The name of the prepared statement, which is sent ahead if it is new.
    private func prepared(_ key: Key) throws(Failure) -> String {
        uses += 1
        if let known = statements[key] {
            statements[key]?.lastUse = uses
            return known.name
        }
        // The server accepts types of parameters that the text does not have.
        let parameters = parameterCount(of: key.sql)
        guard parameters == key.types.count else {
            throw Failure(
                Fault(
                    .internalError, "A statement was given the wrong number of arguments.",
                    cause: "\(key.types.count) for \(parameters): \(key.sql)"))
        }
        if statements.count >= PostgreSQLConnection.statementsMax { try forgetOldest() }
        let name = "k\(uses)"
        let types = key.types.map(PostgreSQLType.of)
        guard PQsendPrepare(handle, name, key.sql, Int32(types.count), types) == 1 else { throw lost }
        sent.append(.preparation(key))
        statements[key] = Prepared(name: name, lastUse: uses)
        return name
    }

    private func forgetOldest() throws(Failure) {
        let horizon = statements.values.map(\.lastUse).sorted()[PostgreSQLConnection.statementsMax / 4]
        for (key, statement) in statements where statement.lastUse <= horizon {
            guard PQsendQueryParams(handle, "DEALLOCATE \(statement.name)", 0, nil, nil, nil, nil, 1) == 1 else { throw lost }
            sent.append(.housekeeping)
            statements[key] = nil
        }
        try settle()
    }

    // MARK: Waiting

    /// Waits for all that was sent: the last statement's result, or the first failure.
    private func wait() throws(Failure) -> OpaquePointer? {
        guard PQpipelineSync(handle) == 1 else { throw lost }
        let awaited = sent
        sent = []
        var failure: Failure?
        var last: OpaquePointer?
        for item in awaited {
            if let last { PQclear(last) }
            last = nil
            guard let result = PQgetResult(handle) else {
                failure = lost
                break
            }
            let status = PQresultStatus(result)
            let isGood = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
            if !isGood, case .preparation(let key) = item { statements[key] = nil }
            if !isGood, failure == nil { failure = self.failure(result, item) }
            if isGood { last = result } else { PQclear(result) }
            // One answer is ended by a nil.
            while let further = PQgetResult(handle) { PQclear(further) }
            guard isAlive else { break }
        }
        if isAlive, failure?.reach != .connection {
            if let end = PQgetResult(handle) {
                if PQresultStatus(end) != PGRES_PIPELINE_SYNC, failure == nil { failure = lost }
                PQclear(end)
            } else {
                failure = lost
            }
        }
        if !isAlive, failure?.reach != .connection { failure = lost }
        guard let failure else { return last }
        if let last { PQclear(last) }
        throw failure
    }

    // MARK: Failures

    private var lost: Failure {
        lastState = "08006"
        return Failure(Fault(.unavailable, "The connection to the store's server is lost.", cause: message), .connection)
    }

    private func failure(_ result: OpaquePointer, _ item: Sent) -> Failure {
        func field(_ code: Int32) -> String? { PQresultErrorField(result, code).map { String(cString: $0) } }
        let sql =
            switch item {
            case .preparation(let key): key.sql
            case .statement(let sql): sql
            case .housekeeping: "DEALLOCATE"
            }
        lastState = field(PostgreSQLFault.sqlState) ?? ""
        return PostgreSQLFault.of(state: lastState, sql: sql, isAlive: isAlive, field)
    }
}

/// The highest number n of a `$n` in a statement, outside its quoted texts.
func parameterCount(of sql: String) -> Int {
    var highest = 0
    var isQuoted = false
    var number: Int?
    for byte in sql.utf8 {
        if let so = number, (0x30...0x39).contains(byte), so < 65_536 {
            number = so * 10 + Int(byte - 0x30)
            continue
        }
        highest = max(highest, number ?? 0)
        number = byte == UInt8(ascii: "$") && !isQuoted ? 0 : nil
        if byte == UInt8(ascii: "'") { isQuoted.toggle() }
    }
    return max(highest, number ?? 0)
}

/// Arguments laid out as libpq wants them: integers in network byte order, the rest as its bytes.
private struct BoundArguments {
    private var bytes: [UInt8] = []
    private var offsets: [Int?] = []
    private var lengths: [Int32] = []

    init(_ arguments: [Value]) {
        for argument in arguments {
            let start = bytes.count
            switch argument {
            case .absent, .refused: break
            case .integer(let integer): withUnsafeBytes(of: integer.bigEndian) { bytes.append(contentsOf: $0) }
            case .bool(let bool): bytes.append(bool ? 1 : 0)
            case .text(let text): bytes.append(contentsOf: text.utf8)
            case .blob(let blob): bytes.append(contentsOf: blob)
            }
            if case .absent = argument { offsets.append(nil) } else { offsets.append(start) }
            lengths.append(Int32(clamping: bytes.count - start))
        }
        // An address past the end is needed even where all arguments are empty.
        bytes.append(0)
    }

    func withPointers(
        _ body: ([UnsafePointer<CChar>?], [Int32], [Int32]) -> Int32
    ) -> Int32 {
        bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
            return body(offsets.map { $0.map { base + $0 } }, lengths, Array(repeating: 1, count: lengths.count))
        }
    }
}
