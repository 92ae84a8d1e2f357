//  SQLSTATEs (PostgreSQL 15, appendix A) as the store's faults, and how far each reaches.

import Model

enum PostgreSQLFault {
    // PG_DIAG_… of postgres_ext.h, which are character literals and so not imported.
    static let sqlState = Int32(UInt8(ascii: "C"))
    static let message = Int32(UInt8(ascii: "M"))
    static let detail = Int32(UInt8(ascii: "D"))
    static let table = Int32(UInt8(ascii: "t"))
    static let column = Int32(UInt8(ascii: "c"))
    static let constraint = Int32(UInt8(ascii: "n"))

    static func of(state: String, sql: String, isAlive: Bool, _ field: (Int32) -> String?) -> Failure {
        let cause = "PostgreSQL \(state): \(field(message) ?? "?"), in: \(sql)"
        guard isAlive, !state.hasPrefix("08") || state == "08P01", !["57P01", "57P02", "57P03", "25P03", "57P05"].contains(state)
        else {
            return Failure(Fault(.unavailable, "The connection to the store's server is lost.", cause: cause), .connection)
        }
        switch state {
        case "40001", "40P01", "55P03":
            return Failure(Fault(.timedOut, "The store was too busy with calls for the same things.", cause: cause), .transaction)
        case "57014": return Failure(Fault(.timedOut, "A statement took too long.", cause: cause))
        case "53100": return Failure(Fault(.diskIsFull, "The disk that holds the store is full.", cause: cause))
        case "22021", "22P05": return Failure(Fault(.invalidParameter, "A text holds what the store cannot keep.", cause: cause))
        default: break
        }
        if let violation = violation(state, field) { return Failure(violation.fault) }
        switch state.prefix(2) {
        case "53": return Failure(Fault(.unavailable, "The store's server lacks resources.", cause: cause))
        case "54": return Failure(Fault(.tooLarge, "A value is too large for the store.", cause: cause))
        case "58", "XX": return Failure(Fault(.storage, "The store cannot be read or written.", cause: cause))
        default: return Failure(Fault(.internalError, "The store did not understand a statement.", cause: cause))
        }
    }

    private static func violation(_ state: String, _ field: (Int32) -> String?) -> ConstraintViolation? {
        let kind: ConstraintViolation.Kind
        switch state {
        case "23505": kind = .unique
        case "23503", "23001": kind = .foreignKey
        case "23514": kind = .check
        case "23502": kind = .notNull
        default: return nil
        }
        let columns = field(column).map { [$0] } ?? field(detail).map(keyColumns) ?? []
        return ConstraintViolation(kind, table: field(table), columns: kind == .check ? [] : columns, name: field(constraint))
    }

    /// The columns of `Key (account, name)=(1, x) already exists.`, in whatever language.
    static func keyColumns(_ detail: String) -> [String] {
        guard let open = detail.firstIndex(of: "(") else { return [] }
        let rest = detail[detail.index(after: open)...]
        guard let close = rest.indices.first(where: { rest[$0...].hasPrefix(")=(") }) else { return [] }
        return rest[..<close].split(separator: ", ").map(String.init)
    }
}
