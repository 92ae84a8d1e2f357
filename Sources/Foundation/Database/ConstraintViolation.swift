//  Which constraint refused a statement, in words that are the same for both engines, so that a
//  service can say "a group of this name exists" without knowing the engine.

import Model

/// A constraint that refused a statement. It travels as the `cause` of a `.conflict` fault.
public struct ConstraintViolation: Sendable, Hashable, CustomStringConvertible {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        case unique, foreignKey, check, notNull
    }

    public var kind: Kind
    /// The table; SQLite does not say it for foreign keys and checks.
    public var table: String?
    /// The columns of a unique index (both engines), of a NOT NULL (both) or of a foreign key (PostgreSQL).
    public var columns: [String]
    /// The constraint's name: of a check (both engines) or as PostgreSQL says it.
    public var name: String?

    public init(_ kind: Kind, table: String? = nil, columns: [String] = [], name: String? = nil) {
        self.kind = kind
        self.table = table
        self.columns = columns
        self.name = name
    }

    /// `unique instances(account, name) instances_name`, with `?` for what is not known.
    public var description: String {
        "\(kind.rawValue) \(table ?? "?")(\(columns.joined(separator: ", "))) \(name ?? "?")"
    }

    /// Reads what `description` wrote.
    init?(_ text: String) {
        guard let space = text.firstIndex(of: " "), let kind = Kind(rawValue: String(text[..<space])) else { return nil }
        let rest = text[text.index(after: space)...]
        guard let open = rest.firstIndex(of: "("), let close = rest.range(of: ") ", from: open) else { return nil }
        let table = rest[..<open]
        let columns = rest[rest.index(after: open)..<close.lowerBound]
        let name = rest[close.upperBound...]
        self.init(
            kind, table: table == "?" ? nil : String(table),
            columns: columns.isEmpty ? [] : columns.split(separator: ", ").map(String.init),
            name: name == "?" ? nil : String(name))
    }

    var fault: Fault {
        let message =
            switch kind {
            case .unique: "Something with this value already exists."
            case .foreignKey: "Something that this refers to does not exist, or something still refers to it."
            case .check: "A value is outside its bounds."
            case .notNull: "A value is missing."
            }
        return Fault(.conflict, message, cause: description)
    }
}

extension Fault {
    /// The constraint that a `.conflict` of the store is about.
    public var violation: ConstraintViolation? {
        code == .conflict ? cause.flatMap(ConstraintViolation.init) : nil
    }

    /// Whether this is a unique index over exactly these columns saying no.
    public func isDuplicate(_ table: String, _ columns: String...) -> Bool {
        guard let violation, violation.kind == .unique else { return false }
        return violation.table == table && violation.columns == columns
    }
}

extension Substring {
    /// The first place of `text` at or after `start`.
    fileprivate func range(of text: String, from start: Index) -> Range<Index>? {
        var place = start
        while place < endIndex {
            if self[place...].hasPrefix(text) { return place..<index(place, offsetBy: text.count) }
            place = index(after: place)
        }
        return nil
    }
}
