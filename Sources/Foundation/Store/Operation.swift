//  Operations in the store.

import Database
import Model

extension Operation {
    public static let table = Table(
        "operation",
        Field("id", \Operation.id),
        Field("account", \Operation.account),
        Field("zone", \Operation.zone),
        Field("operation_kind", \Operation.kind),
        Field("subject_kind", \Operation.subjectKind),
        Field("subject", \Operation.subject),
        Field("step", \Operation.step),
        Field("state", \Operation.state),
        Field("attempt", \Operation.attempt),
        Field("refusals", \Operation.refusals),
        Field("due", \Operation.due),
        Field("deadline", \Operation.deadline),
        Field("inputs", \Operation.inputs),
        Field("fault", \Operation.fault),
        Field("request", \Operation.request),
        Field("principal", \Operation.principal),
        Field("created", \Operation.created),
        Field("ended", \Operation.ended),
        make: Operation.init)
}

/// A row that an operation waits for, as the change feed names it.
public struct AwaitedRow: Sendable, Hashable {
    public var table: String
    public var id: Int64

    public init(_ table: String, _ id: Int64) {
        self.table = table
        self.id = id
    }

    public static func holding(_ holding: Holding) -> AwaitedRow { AwaitedRow("holding", holding.id.stored) }
}

extension Reading {
    /// The operation that holds a resource.
    public func operation(holding kind: Kind, _ resource: Int64) throws(Fault) -> Operation? {
        guard
            let id = try value(
                "SELECT operation FROM operation_resource WHERE kind = $1 AND resource = $2",
                [.text(kind.rawValue), resource.value], as: ID<Operation>.self)
        else { return nil }
        return try find(Operation.table, id)
    }

    /// The operations that wait for a row.
    public func operations(awaiting row: AwaitedRow) throws(Fault) -> [ID<Operation>] {
        try values("SELECT operation FROM operation_wait WHERE awaited = $1 AND row = $2", [.text(row.table), row.id.value])
    }

    /// Running operations that are due, the longest overdue first.
    public func dueOperations(at now: Instant, limit: Int) throws(Fault) -> [ID<Operation>] {
        try values(
            "SELECT id FROM operation WHERE state = 'running' AND due <= $1 ORDER BY due LIMIT $2", [now.value, limit.value])
    }

    /// All operations that have not ended.
    public func runningOperations() throws(Fault) -> [ID<Operation>] {
        try values("SELECT id FROM operation WHERE state = 'running'")
    }

    /// All operations that ever had this subject and are still kept, oldest first.
    public func operations(of kind: Kind, _ subject: Int64) throws(Fault) -> [Operation] {
        try all(
            Operation.table, where: "subject_kind = $1 AND subject = $2 ORDER BY created LIMIT 1000",
            [.text(kind.rawValue), subject.value])
    }
}

extension Writing {
    /// Begins an operation that holds the given resources, taken in order of id.
    ///
    /// - Throws: `.conflict` when another operation holds one of them.
    public func begin(_ operation: Operation, holding resources: [AnyID]) throws(Fault) {
        insert(operation, into: Operation.table)
        for resource in resources.sorted() {
            let taken = try run(
                "INSERT INTO operation_resource (kind, resource, operation) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [.text(resource.kind.rawValue), resource.stored.value, operation.id.value])
            guard taken == 1 else {
                throw Fault(.conflict, "Another operation is still working on \(resource).", kind: resource.kind)
            }
        }
        changed("operation", operation.id.stored)
    }

    /// Moves an operation on, if `attempt` is still the one that was read.
    ///
    /// - Returns: False when another worker was faster; nothing was written then.
    public func advance(_ operation: Operation, from attempt: Int64) throws(Fault) -> Bool {
        try run(
            """
            UPDATE operation SET step = $3, state = $4, attempt = $5, due = $6, deadline = $7, inputs = $8, fault = $9, ended = $10,
                refusals = $11
            WHERE id = $1 AND attempt = $2 AND state = 'running'
            """,
            [
                operation.id.value, attempt.value, .text(operation.step), operation.state.value, operation.attempt.value,
                operation.due.value, operation.deadline.value, .text(operation.inputs), operation.fault.value,
                operation.ended.value, operation.refusals.value,
            ]) == 1
    }

    /// Replaces the rows that an operation waits for.
    public func wait(_ operation: ID<Operation>, for rows: [AwaitedRow]) throws(Fault) {
        try run("DELETE FROM operation_wait WHERE operation = $1", [operation.value])
        for row in rows {
            post(
                "INSERT INTO operation_wait (awaited, row, operation) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [.text(row.table), row.id.value, operation.value])
        }
    }

    /// Lets an operation's resources go.
    public func letGo(_ operation: ID<Operation>) throws(Fault) {
        try run("DELETE FROM operation_resource WHERE operation = $1", [operation.value])
    }

    /// Ends an operation from outside with a reason: its resources pass to whoever ended it.
    public func fail(_ operation: Operation, reason: String, at now: Instant) throws(Fault) {
        var failed = operation
        failed.state = .failed
        failed.fault = reason
        failed.ended = now
        failed.due = nil
        failed.attempt += 1
        guard try advance(failed, from: operation.attempt) else {
            throw Fault(.conflict, "The operation moved on.", kind: .operation)
        }
        try wait(operation.id, for: [])
        try letGo(operation.id)
    }
}
