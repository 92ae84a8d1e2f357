//  What is counted of a whole cloud for its operator's meters: numbers only, of no one account.

import Database
import Model

/// How many machines and operations there are, by what they are at.
public struct Tally: Sendable, Hashable {
    public struct Operations: Sendable, Hashable {
        public var kind: String
        /// Those that could go on.
        public var running: Int
        /// Those that wait for something to change.
        public var waiting: Int
    }

    public var machines: [Instance.Phase: Int]
    /// In order of kind.
    public var operations: [Operations]
}

extension Reading {
    /// Counts all machines that are not gone and all operations that have not ended.
    public func tally() throws(Fault) -> Tally {
        var machines: [Instance.Phase: Int] = [:]
        let groups = try rows(
            "SELECT desired, power, task, count(*) FROM instance WHERE ended IS NULL GROUP BY desired, power, task", [],
            { row throws(Fault) in
                (
                    Instance.phase(
                        desired: try row.take(Instance.Desired.self), power: try row.take(Instance.Power.self),
                        task: try row.take(Instance.Task?.self)), try row.take(Int.self)
                )
            })
        for (phase, count) in groups { machines[phase, default: 0] += count }
        let running = try rows(
            """
            SELECT o.operation_kind, count(*), count(w.operation) FROM operation o
            LEFT JOIN (SELECT DISTINCT operation FROM operation_wait) w ON w.operation = o.id
            WHERE o.state = 'running' GROUP BY o.operation_kind ORDER BY o.operation_kind
            """, [],
            { row throws(Fault) in (try row.take(String.self), try row.take(Int.self), try row.take(Int.self)) })
        return Tally(
            machines: machines,
            operations: running.map { Tally.Operations(kind: $0.0, running: $0.1 - $0.2, waiting: $0.2) })
    }
}
