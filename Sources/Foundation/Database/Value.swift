//  What a statement is given: five shapes that both engines know. Its type comes from Swift, for
//  an absent value too, so that PostgreSQL never has to guess one.

import Model

/// The shape of a column or an argument.
public enum ValueType: Sendable, Hashable {
    /// Not known; PostgreSQL infers it from the statement and refuses where it cannot (`$1 IS NULL`).
    case unknown
    /// INTEGER in SQLite, BIGINT in PostgreSQL.
    case integer
    /// INTEGER (0 or 1) in SQLite, BOOLEAN in PostgreSQL.
    case bool
    case text
    /// BLOB in SQLite, BYTEA in PostgreSQL.
    case blob
}

/// One argument of a statement.
public enum Value: Sendable, Hashable {
    /// NULL of a type.
    case absent(ValueType)
    case integer(Int64)
    case bool(Bool)
    /// UTF-8 without the NUL character, which PostgreSQL cannot hold; both engines refuse it.
    case text(String)
    case blob([UInt8])
    /// A Swift value that could not be put into a column; the statement that is given it fails with this.
    case refused(Fault)

    /// NULL of a type that PostgreSQL infers.
    public static let null = Value.absent(.unknown)

    public var type: ValueType {
        switch self {
        case .absent(let type): type
        case .integer: .integer
        case .bool: .bool
        case .text: .text
        case .blob: .blob
        case .refused: .unknown
        }
    }
}

extension Value: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral {
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(stringLiteral value: String) { self = .text(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
}
