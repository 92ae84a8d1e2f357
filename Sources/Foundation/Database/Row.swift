//  One row of an answer, read column by column from left to right. It cannot be copied, so it
//  cannot outlive the statement or the result that holds its bytes.

import CPostgreSQL
import CSQLite
import Model

/// A row while a statement stands on it. Columns are taken in the order of the SELECT list.
public struct Row: ~Copyable {
    enum Source {
        /// A statement that has just stepped onto the row.
        case sqlite(OpaquePointer)
        /// A result in binary format and the number of the row.
        case postgresql(OpaquePointer, Int32)
        /// Values as a statement would be given them.
        case values([Value])
    }

    private let source: Source
    private let count: Int32
    private var next: Int32 = 0

    init(sqlite statement: OpaquePointer) {
        source = .sqlite(statement)
        count = sqlite3_column_count(statement)
    }

    init(postgresql result: OpaquePointer, row: Int32, columns: Int32) {
        source = .postgresql(result, row)
        count = columns
    }

    /// A row of no database, for tests of tables.
    package init(values: [Value]) {
        source = .values(values)
        count = Int32(clamping: values.count)
    }

    /// The next column. Faults with `.storage` when there is none or when it is of another type.
    public mutating func take<C: Column>(_: C.Type = C.self) throws(Fault) -> C { try C.take(&self) }

    /// Passes over the next column if it is NULL.
    public mutating func takeNull() throws(Fault) -> Bool {
        let column = try current()
        let isNull =
            switch source {
            case .sqlite(let statement): sqlite3_column_type(statement, column) == SQLITE_NULL
            case .postgresql(let result, let row): PQgetisnull(result, row, column) != 0
            case .values(let values): if case .absent = values[Int(column)] { true } else { false }
            }
        if isNull { next += 1 }
        return isNull
    }

    /// The next column as a 64-bit integer.
    public mutating func takeInteger() throws(Fault) -> Int64 {
        let column = try advance()
        switch source {
        case .sqlite(let statement):
            guard sqlite3_column_type(statement, column) == SQLITE_INTEGER else { throw mismatch(column, "an integer") }
            return sqlite3_column_int64(statement, column)
        case .postgresql(let result, let row):
            guard let bytes = field(result, row, column) else { throw mismatch(column, "an integer") }
            switch (PQftype(result, column), bytes.count) {
            case (PostgreSQLType.int8, 8): return Int64(bigEndian: bytes.loadUnaligned(as: Int64.self))
            case (PostgreSQLType.int4, 4): return Int64(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self)))
            case (PostgreSQLType.int2, 2): return Int64(Int16(bigEndian: bytes.loadUnaligned(as: Int16.self)))
            default: throw mismatch(column, "an integer (a sum needs CAST(... AS BIGINT))")
            }
        case .values(let values):
            guard case .integer(let integer) = values[Int(column)] else { throw mismatch(column, "an integer") }
            return integer
        }
    }

    /// The next column as a truth value: an integer 0 or 1 on SQLite.
    public mutating func takeBool() throws(Fault) -> Bool {
        let column = try advance()
        switch source {
        case .sqlite(let statement):
            guard sqlite3_column_type(statement, column) == SQLITE_INTEGER else { throw mismatch(column, "a truth value") }
            return sqlite3_column_int64(statement, column) != 0
        case .postgresql(let result, let row):
            guard PQftype(result, column) == PostgreSQLType.bool, let bytes = field(result, row, column), bytes.count == 1 else {
                throw mismatch(column, "a truth value")
            }
            return bytes[0] != 0
        case .values(let values):
            guard case .bool(let bool) = values[Int(column)] else { throw mismatch(column, "a truth value") }
            return bool
        }
    }

    /// The next column as text.
    public mutating func takeText() throws(Fault) -> String {
        let column = try advance()
        switch source {
        case .sqlite(let statement):
            guard sqlite3_column_type(statement, column) == SQLITE_TEXT, let start = sqlite3_column_text(statement, column) else {
                throw mismatch(column, "text")
            }
            let count = Int(sqlite3_column_bytes(statement, column))
            return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
        case .postgresql(let result, let row):
            guard PostgreSQLType.texts.contains(PQftype(result, column)), let bytes = field(result, row, column) else {
                throw mismatch(column, "text")
            }
            return String(decoding: bytes, as: UTF8.self)
        case .values(let values):
            guard case .text(let text) = values[Int(column)] else { throw mismatch(column, "text") }
            return text
        }
    }

    /// The next column as bytes.
    public mutating func takeBlob() throws(Fault) -> [UInt8] {
        let column = try advance()
        switch source {
        case .sqlite(let statement):
            guard sqlite3_column_type(statement, column) == SQLITE_BLOB else { throw mismatch(column, "bytes") }
            // SQLite gives no pointer for a blob of no bytes.
            guard let start = sqlite3_column_blob(statement, column) else { return [] }
            return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
        case .postgresql(let result, let row):
            guard PQftype(result, column) == PostgreSQLType.bytea, let bytes = field(result, row, column) else {
                throw mismatch(column, "bytes")
            }
            return Array(bytes)
        case .values(let values):
            guard case .blob(let bytes) = values[Int(column)] else { throw mismatch(column, "bytes") }
            return bytes
        }
    }

    private func current() throws(Fault) -> Int32 {
        guard next < count else { throw Fault(.storage, "The row has only \(count) columns.") }
        return next
    }

    private mutating func advance() throws(Fault) -> Int32 {
        let column = try current()
        next += 1
        return column
    }

    /// The bytes of a field of a PostgreSQL result, nil for NULL.
    private func field(_ result: OpaquePointer, _ row: Int32, _ column: Int32) -> UnsafeRawBufferPointer? {
        guard PQgetisnull(result, row, column) == 0, let start = PQgetvalue(result, row, column) else { return nil }
        return UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(result, row, column)))
    }

    private func mismatch(_ column: Int32, _ wanted: String) -> Fault {
        let name: String? =
            switch source {
            case .sqlite(let statement): sqlite3_column_name(statement, column).map { String(cString: $0) }
            case .postgresql(let result, _): PQfname(result, column).map { String(cString: $0) }
            case .values: nil
            }
        return Fault(.storage, "Column \(name ?? String(column + 1)) of a stored row is not \(wanted).")
    }
}

/// Object identifiers of PostgreSQL's built-in types (src/include/catalog/pg_type.dat).
enum PostgreSQLType {
    static let bool: Oid = 16
    static let bytea: Oid = 17
    static let name: Oid = 19
    static let int8: Oid = 20
    static let int2: Oid = 21
    static let int4: Oid = 23
    static let text: Oid = 25
    static let varchar: Oid = 1043
    static let texts: [Oid] = [text, varchar, name]

    static func of(_ type: ValueType) -> Oid {
        switch type {
        case .unknown: 0
        case .integer: int8
        case .bool: bool
        case .text: text
        case .blob: bytea
        }
    }
}
