//  Tags of all kinds of things, in one table.

import Database
import Model

/// A tag of one thing.
public struct Tag: Sendable, Hashable {
    public var account: ID<Account>
    public var kind: Kind
    public var thing: Int64
    public var key: String
    public var value: String

    public init(account: ID<Account>, kind: Kind, thing: Int64, key: String, value: String) {
        self.account = account
        self.kind = kind
        self.thing = thing
        self.key = key
        self.value = value
    }

    static func list(of alias: String) -> String {
        ["account", "kind", "thing", "key", "value"].map { "\(alias).\($0)" }.joined(separator: ", ")
    }

    init(_ row: inout Row) throws(Fault) {
        account = try row.take()
        kind = try row.take()
        thing = try row.take()
        key = try row.take()
        value = try row.take()
    }
}

extension Reading {
    /// A thing's tags by key.
    public func tags(of kind: Kind, _ thing: Int64) throws(Fault) -> [Tag] {
        try rows(
            "SELECT \(Tag.list(of: "t")) FROM tag t WHERE t.kind = $1 AND t.thing = $2 ORDER BY t.key",
            [kind.value, thing.value], Tag.init)
    }

    /// An account's tags in order of kind, thing and key, after the given place.
    public func tags(
        of account: ID<Account>, after: (kind: String, thing: Int64, key: String), limit: Int
    ) throws(Fault) -> [Tag] {
        try rows(
            """
            SELECT \(Tag.list(of: "t")) FROM tag t
            WHERE t.account = $1 AND (t.kind, t.thing, t.key) > ($2, $3, $4)
            ORDER BY t.kind, t.thing, t.key LIMIT $5
            """, [account.value, .text(after.kind), after.thing.value, .text(after.key), limit.value], Tag.init)
    }
}

extension Writing {
    /// Sets a tag; the old value of the same key is replaced.
    public func set(_ tag: Tag) {
        post(
            """
            INSERT INTO tag (account, kind, thing, key, value) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (kind, thing, key) DO UPDATE SET value = $5
            """, [tag.account.value, tag.kind.value, tag.thing.value, .text(tag.key), .text(tag.value)])
    }

    /// Removes a tag, if its value is the given one (nil: any).
    public func removeTag(_ kind: Kind, _ thing: Int64, key: String, value: String?) throws(Fault) {
        if let value {
            try run(
                "DELETE FROM tag WHERE kind = $1 AND thing = $2 AND key = $3 AND value = $4",
                [kind.value, thing.value, .text(key), .text(value)])
        } else {
            try run("DELETE FROM tag WHERE kind = $1 AND thing = $2 AND key = $3", [kind.value, thing.value, .text(key)])
        }
    }

    public func removeTags(of kind: Kind, _ thing: Int64) throws(Fault) {
        try run("DELETE FROM tag WHERE kind = $1 AND thing = $2", [kind.value, thing.value])
    }
}
