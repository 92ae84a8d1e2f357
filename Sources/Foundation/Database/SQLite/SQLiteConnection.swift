//  One SQLite handle: statements prepared once and kept, arguments bound by their number, errors
//  told in the store's words.

import CSQLite
import Model

/// A connection to an SQLite file. Used by one thread at a time, so it is opened without SQLite's own mutex.
final class SQLiteConnection: Connection {
    /// A prepared statement.
    private final class Statement {
        let handle: OpaquePointer
        /// For each parameter of SQLite's, the argument's place: `$2` is a name to SQLite, and it
        /// numbers names by their first appearance.
        let arguments: [Int]
        let argumentCount: Int
        var isBusy = false
        var lastUse = 0

        init(_ handle: OpaquePointer, _ arguments: [Int]) {
            self.handle = handle
            self.arguments = arguments
            argumentCount = (arguments.max() ?? -1) + 1
        }

        deinit { sqlite3_finalize(handle) }
    }

    static let statementsMax = 500

    let handle: OpaquePointer
    private var statements: [String: Statement] = [:]
    private var uses = 0
    /// Pages in the write-ahead log as of this connection's last commit; SQLite writes it, so it has an address of its own.
    private let logPages: UnsafeMutablePointer<Int32>
    private var pageBytes: Int64 = 4096
    /// Whether a transaction is open by intention; then SQLite's own rollback is told as such.
    var isInTransaction = false

    /// Opens the file with the store's settings and checks that they hold.
    init(path: String, isWriter: Bool, cacheKibibytes: Int) throws(Fault) {
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (isWriter ? SQLITE_OPEN_CREATE : 0)
        let code = sqlite3_open_v2(path, &opened, flags, nil)
        guard let opened else { throw Fault(.storage, "The store cannot be opened.", cause: "\(path): out of memory") }
        handle = opened
        logPages = .allocate(capacity: 1)
        logPages.initialize(to: 0)
        guard code == SQLITE_OK else {
            throw Fault(.storage, "The store cannot be opened.", cause: "\(path): \(String(cString: sqlite3_errmsg(opened)))")
        }
        try prepareSession(isWriter: isWriter, cacheKibibytes: cacheKibibytes)
    }

    deinit {
        statements = [:]
        sqlite3_close_v2(handle)
        logPages.deallocate()
    }

    /// The length of the write-ahead log in use, as of this connection's last commit.
    var logBytes: Int64 { Int64(logPages.pointee) * pageBytes }

    private func prepareSession(isWriter: Bool, cacheKibibytes: Int) throws(Fault) {
        sqlite3_busy_timeout(handle, 5000)
        karri_sqlite_refuse_quoted_strings(handle)
        if isWriter { try expect("PRAGMA journal_mode = WAL", "wal") }
        try execute("PRAGMA synchronous = FULL")
        try execute("PRAGMA foreign_keys = ON")
        try execute("PRAGMA case_sensitive_like = ON")
        try execute("PRAGMA temp_store = MEMORY")
        try execute("PRAGMA trusted_schema = OFF")
        try execute("PRAGMA cache_size = -\(cacheKibibytes)")
        // The driver's checkpoints replace the automatic ones, which would hold up a commit.
        try execute("PRAGMA wal_autocheckpoint = 0")
        try execute("PRAGMA journal_size_limit = \(SQLiteEngine.walBytesMax)")
        if !isWriter { try execute("PRAGMA query_only = ON") }
        pageBytes = Int64(try Reading(self).value("PRAGMA page_size", as: Int.self) ?? 4096)
        sqlite3_wal_hook(
            handle,
            { context, _, _, pages in
                context?.assumingMemoryBound(to: Int32.self).pointee = pages
                return SQLITE_OK
            }, logPages)
        try expect("PRAGMA synchronous", 2)
        try expect("PRAGMA foreign_keys", 1)
        try expect("PRAGMA temp_store", 2)
    }

    /// Runs a statement of the driver's own.
    func execute(_ sql: String) throws(Fault) {
        do throws(Failure) { _ = try run(sql, []) } catch { throw error.fault }
    }

    private func expect<C: Column & Equatable>(_ sql: String, _ wanted: C) throws(Fault) {
        let found = try Reading(self).value(sql, as: C.self)
        guard found == wanted else {
            throw Fault(.storage, "SQLite does not keep to a setting.", cause: "\(sql) answers \(String(describing: found))")
        }
    }

    // MARK: Connection

    func query(_ sql: String, _ arguments: [Value], _ each: (inout Row) -> Bool) throws(Failure) {
        let statement = try ready(sql, arguments)
        defer { release(statement) }
        var wanted = true
        while true {
            switch sqlite3_step(statement.handle) {
            case SQLITE_ROW:
                if wanted {
                    var row = Row(sqlite: statement.handle)
                    wanted = each(&row)
                }
                // A statement that writes is run to its end, however few of its rows are wanted.
                if !wanted, sqlite3_stmt_readonly(statement.handle) != 0 { return }
            case SQLITE_DONE: return
            case let code: throw failure(code, sql)
            }
        }
    }

    func run(_ sql: String, _ arguments: [Value]) throws(Failure) -> Int {
        let statement = try ready(sql, arguments)
        defer { release(statement) }
        while true {
            switch sqlite3_step(statement.handle) {
            case SQLITE_ROW: continue
            case SQLITE_DONE: return sqlite3_stmt_readonly(statement.handle) != 0 ? 0 : Int(sqlite3_changes64(handle))
            case let code: throw failure(code, sql)
            }
        }
    }

    func post(_ sql: String, _ arguments: [Value]) throws(Failure) { _ = try run(sql, arguments) }

    func settle() throws(Failure) {}

    // MARK: Statements

    /// Prepares a statement and forgets it; how many arguments it takes.
    func prepareOnly(_ sql: String) throws(Failure) -> Int { try prepare(sql).argumentCount }

    private func ready(_ sql: String, _ arguments: [Value]) throws(Failure) -> Statement {
        var statement = try kept(sql)
        // The rows of this very statement are being read further out.
        if statement.isBusy { statement = try prepare(sql) }
        guard statement.argumentCount == arguments.count else {
            throw Failure(
                Fault(
                    .internalError, "A statement was given the wrong number of arguments.",
                    cause: "\(arguments.count) for \(statement.argumentCount): \(sql)"))
        }
        for (index, place) in statement.arguments.enumerated() {
            try bind(arguments[place], to: Int32(index + 1), of: statement, sql)
        }
        statement.isBusy = true
        return statement
    }

    private func release(_ statement: Statement) {
        sqlite3_reset(statement.handle)
        sqlite3_clear_bindings(statement.handle)
        statement.isBusy = false
    }

    private func kept(_ sql: String) throws(Failure) -> Statement {
        uses += 1
        if let statement = statements[sql] {
            statement.lastUse = uses
            return statement
        }
        if statements.count >= SQLiteConnection.statementsMax {
            let horizon = statements.values.map(\.lastUse).sorted()[SQLiteConnection.statementsMax / 4]
            statements = statements.filter { $0.value.lastUse > horizon || $0.value.isBusy }
        }
        let statement = try prepare(sql)
        statement.lastUse = uses
        statements[sql] = statement
        return statement
    }

    private func prepare(_ sql: String) throws(Failure) -> Statement {
        var prepared: OpaquePointer?
        var text = sql
        let (code, left) = text.withUTF8 { bytes -> (Int32, Int) in
            guard let start = bytes.baseAddress, let count = Int32(exactly: bytes.count) else { return (SQLITE_TOOBIG, 0) }
            return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) { start in
                var tail: UnsafePointer<CChar>?
                let code = sqlite3_prepare_v3(handle, start, count, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, &tail)
                return (code, tail.map { start + bytes.count - $0 } ?? 0)
            }
        }
        guard code == SQLITE_OK else { throw failure(code, sql) }
        guard let prepared else { throw Failure(Fault(.internalError, "A statement is empty.", cause: sql)) }
        var arguments: [Int] = []
        for index in 0..<sqlite3_bind_parameter_count(prepared) {
            let name = sqlite3_bind_parameter_name(prepared, index + 1).map { String(cString: $0) } ?? "?"
            guard name.first == "$", let number = Int(name.dropFirst()), number >= 1 else {
                sqlite3_finalize(prepared)
                throw Failure(Fault(.internalError, "A parameter is not named $1, $2, ….", cause: "\(name) in \(sql)"))
            }
            arguments.append(number - 1)
        }
        let statement = Statement(prepared, arguments)
        guard left == 0 else { throw Failure(Fault(.internalError, "Only one statement may be run at once.", cause: sql)) }
        return statement
    }

    private func bind(_ value: Value, to index: Int32, of statement: Statement, _ sql: String) throws(Failure) {
        try value.check()
        let code: Int32
        switch value {
        case .absent, .refused: code = sqlite3_bind_null(statement.handle, index)
        case .integer(let integer): code = sqlite3_bind_int64(statement.handle, index, integer)
        case .bool(let bool): code = sqlite3_bind_int64(statement.handle, index, bool ? 1 : 0)
        case .text(var text):
            code = text.withUTF8 { bytes in
                // An empty string may have no address, and SQLite takes none for NULL.
                guard let start = bytes.baseAddress else { return karri_sqlite_bind_text(statement.handle, index, "", 0) }
                return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                    karri_sqlite_bind_text(statement.handle, index, $0, UInt64(bytes.count))
                }
            }
        case .blob(let bytes):
            code =
                bytes.isEmpty
                ? sqlite3_bind_zeroblob(statement.handle, index, 0)
                : bytes.withUnsafeBytes {
                    karri_sqlite_bind_blob(statement.handle, index, $0.baseAddress, UInt64($0.count))
                }
        }
        guard code == SQLITE_OK else { throw failure(code, sql) }
    }

    // MARK: Failures

    private func failure(_ code: Int32, _ sql: String) -> Failure {
        let message = String(cString: sqlite3_errmsg(handle))
        let fault = SQLiteFault.of(code, message, sql)
        // A full disk, an I/O error or no memory may make SQLite give the whole transaction up.
        let isGone = isInTransaction && sqlite3_get_autocommit(handle) != 0
        return Failure(fault, isGone ? .transaction : .statement)
    }
}
