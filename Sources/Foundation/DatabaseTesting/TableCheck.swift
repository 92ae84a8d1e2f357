//  The check that every table's fields stand in the order of its record's initializer: the compiler
//  finds a column of a wrong type, this finds two of one type that are swapped.

import Database
import Model

/// What is wrong with a table, in sentences; empty when nothing is.
///
/// - Parameter example: A record whose columns of one type differ from each other (truth values may
///   be equal), else the check could not tell them apart and says so.
public func complaints<Record>(about table: Table<Record>, example: Record) -> [String] {
    var complaints: [String] = []
    let values = table.values(example)
    for (index, value) in values.enumerated() {
        for (other, otherValue) in values.enumerated().dropFirst(index + 1) where value == otherValue {
            if case .bool = value { continue }
            complaints.append("\(table.name): the example has one value for \(table.columns[index]) and \(table.columns[other])")
        }
    }
    complaints += differences(table, values)
    for (index, value) in values.enumerated() {
        guard case .bool(let bool) = value else { continue }
        // There are only two truth values, so each is turned alone.
        var turned = values.map { value in if case .bool = value { Value.bool(false) } else { value } }
        turned[index] = .bool(true)
        complaints += differences(table, turned)
        turned = values
        turned[index] = .bool(!bool)
        complaints += differences(table, turned)
    }
    return complaints
}

/// Writes a record, reads it back, and undoes it: whether the engine's columns can hold it. What
/// it refers to has to be there.
public func complaints<Record>(
    about table: Table<Record>, example: Record, key: some Column, on engine: any Engine
) async throws(Fault) -> [String] {
    let undone = Fault(.cancelled, "undone")
    let wanted = table.values(example)
    return try await engine.write { tx throws(Fault) in
        var found: [Value]?
        do throws(Fault) {
            try tx.savepoint { () throws(Fault) in
                tx.insert(example, into: table)
                found = try tx.find(table, key).map(table.values)
                throw undone
            }
        } catch { guard error == undone else { throw error } }
        guard let found else { return ["\(table.name): the record was not found by its key"] }
        return zip(table.columns, zip(wanted, found)).filter { $1.0 != $1.1 }.map { "\(table.name).\($0) came back as \($1.1)" }
    }
}

private func differences<Record>(_ table: Table<Record>, _ values: [Value]) -> [String] {
    var row = Row(values: values)
    do throws(Fault) {
        let found = table.values(try table.decode(&row))
        return zip(table.columns, zip(values, found)).filter { $1.0 != $1.1 }
            .map { "\(table.name).\($0): \($1.0) came back as \($1.1)" }
    } catch {
        return ["\(table.name): \(error)"]
    }
}
