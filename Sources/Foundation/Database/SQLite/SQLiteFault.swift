//  SQLite's result codes (https://www.sqlite.org/rescode.html) as the store's faults.

import CSQLite
import Model

enum SQLiteFault {
    /// Codes after which the kernel may have dropped pages that were not written: nothing later
    /// may be called durable by this process.
    static func isLostSync(_ code: Int32) -> Bool {
        Int(code) == KARRI_SQLITE_IOERR_FSYNC || Int(code) == KARRI_SQLITE_IOERR_DIR_FSYNC
    }

    /// - Parameters:
    ///   - code: The extended result code.
    ///   - message: `sqlite3_errmsg`, which names the constraint.
    static func of(_ code: Int32, _ message: String, _ sql: String) -> Fault {
        let cause = "SQLite \(code): \(message), in: \(sql)"
        switch code & 0xff {
        case SQLITE_CONSTRAINT:
            return violation(code, message)?.fault ?? Fault(.internalError, "The store refused a value.", cause: cause)
        case SQLITE_FULL: return Fault(.diskIsFull, "The disk that holds the store is full.", cause: cause)
        case SQLITE_BUSY, SQLITE_LOCKED: return Fault(.unavailable, "The store is held by another process.", cause: cause)
        case SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM, SQLITE_PROTOCOL:
            return Fault(.storage, "The store cannot be read or written.", cause: cause)
        case SQLITE_NOMEM: return Fault(.unavailable, "The store is out of memory.", cause: cause)
        case SQLITE_TOOBIG: return Fault(.tooLarge, "A value is too large for the store.", cause: cause)
        case SQLITE_INTERRUPT: return Fault(.cancelled, "The call was interrupted.", cause: cause)
        default: return Fault(.internalError, "The store did not understand a statement.", cause: cause)
        }
    }

    /// Reads `UNIQUE constraint failed: t.a, t.b`, `CHECK constraint failed: name` and their like.
    static func violation(_ code: Int32, _ message: String) -> ConstraintViolation? {
        let subject = message.firstIndex(of: ":").map { message[message.index(after: $0)...].drop { $0 == " " } } ?? ""
        switch Int(code) {
        case KARRI_SQLITE_CONSTRAINT_UNIQUE, KARRI_SQLITE_CONSTRAINT_PRIMARYKEY,
            KARRI_SQLITE_CONSTRAINT_ROWID:
            if subject.hasPrefix("index '") { return ConstraintViolation(.unique, name: String(subject.dropFirst(7).dropLast())) }
            return of(.unique, subject)
        case KARRI_SQLITE_CONSTRAINT_NOTNULL: return of(.notNull, subject)
        case KARRI_SQLITE_CONSTRAINT_CHECK: return ConstraintViolation(.check, name: String(subject))
        case KARRI_SQLITE_CONSTRAINT_FOREIGNKEY: return ConstraintViolation(.foreignKey)
        default: return nil
        }
    }

    /// Reads `t.a, t.b`.
    private static func of(_ kind: ConstraintViolation.Kind, _ subject: Substring) -> ConstraintViolation {
        let parts = subject.split(separator: ", ").map { $0.split(separator: ".", maxSplits: 1) }
        return ConstraintViolation(
            kind, table: parts.first?.first.map(String.init), columns: parts.compactMap { $0.count == 2 ? String($0[1]) : nil })
    }
}
