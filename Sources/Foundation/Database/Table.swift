//  A record's table as one list of fields: it yields the columns, the usual statements, binding
//  and decoding. A wrong type does not compile; two columns of one type that are swapped do, and
//  are found by the check in DatabaseTesting.

import Model

/// A column of a table and where its value lies in the record.
public struct Field<Record, C: Column>: Sendable {
    public let name: String
    let path: any KeyPath<Record, C> & Sendable

    public init(_ name: String, _ path: any KeyPath<Record, C> & Sendable) {
        self.name = name
        self.path = path
    }
}

/// A table whose rows are records of one type.
///
/// ```swift
/// static let table = Table("zones", Field("id", \Zone.id), Field("name", \.name), make: Zone.init)
/// ```
public struct Table<Record: Sendable>: Sendable {
    public let name: String
    /// The columns in the order of the fields; the first is the key.
    public let columns: [String]
    /// `id, name`: for a SELECT that `decode` reads.
    public let list: String
    /// `SELECT … FROM table WHERE key = $1`.
    public let selectByKey: String
    /// `INSERT INTO table (…) VALUES ($1, …)`.
    public let insertion: String
    /// The insertion that does nothing where a unique index says no.
    public let claim: String
    /// Reads a record from the columns of `list`.
    public let decode: @Sendable (inout Row) throws(Fault) -> Record
    /// The record's values in the order of the columns.
    public let values: @Sendable (Record) -> [Value]

    public init<each C: Column>(
        _ name: String, _ field: repeat Field<Record, each C>, make: @escaping @Sendable (repeat each C) -> Record
    ) {
        var columns: [String] = []
        for column in repeat (each field).name { columns.append(column) }
        let list = columns.joined(separator: ", ")
        let marks = columns.indices.map { "$\($0 + 1)" }.joined(separator: ", ")
        self.name = name
        self.columns = columns
        self.list = list
        selectByKey = "SELECT \(list) FROM \(name) WHERE \(columns.first ?? "id") = $1"
        insertion = "INSERT INTO \(name) (\(list)) VALUES (\(marks))"
        claim = "INSERT INTO \(name) (\(list)) VALUES (\(marks)) ON CONFLICT DO NOTHING"
        decode = { row throws(Fault) in make(repeat try (each C).take(&row)) }
        values = { record in
            var values: [Value] = []
            for value in repeat record[keyPath: (each field).path].value { values.append(value) }
            return values
        }
    }

    /// The columns with a table's name or alias before each, for joins.
    public func list(of alias: String) -> String { columns.map { "\(alias).\($0)" }.joined(separator: ", ") }
}

extension Reading {
    /// The record with this key, if there is one.
    public func find<Record>(_ table: Table<Record>, _ key: some Column) throws(Fault) -> Record? {
        try first(table.selectByKey, [key.value], table.decode)
    }

    /// The records that `condition` keeps: the text after WHERE, with any ORDER BY and LIMIT.
    public func all<Record>(_ table: Table<Record>, where condition: String, _ arguments: [Value] = []) throws(Fault) -> [Record] {
        try rows("SELECT \(table.list) FROM \(table.name) WHERE \(condition)", arguments, table.decode)
    }
}

extension Writing {
    /// Inserts a record without waiting: a violation fails the next wait, at the latest the commit.
    public func insert<Record>(_ record: Record, into table: Table<Record>) {
        post(table.insertion, table.values(record))
    }

    /// Inserts a record unless a unique index says no; whether it was inserted.
    public func claim<Record>(_ record: Record, in table: Table<Record>) throws(Fault) -> Bool {
        try run(table.claim, table.values(record)) == 1
    }
}
