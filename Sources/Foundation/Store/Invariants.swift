//  What is true of the store after every transaction, whatever was killed in between: counters
//  equal what they count, and nothing is left of what is gone. Tests ask after each injected
//  failure, an operator when in doubt.

import Database
import Model

/// The store's invariants.
public enum Invariants {
    /// One of them: what is wrong with the rows that the query names by their first column.
    struct Rule: Sendable {
        var complaint: String
        var query: String

        init(_ complaint: String, _ query: String) {
            self.complaint = complaint
            self.query = query
        }
    }

    /// Rows that are named of each broken invariant.
    static let namedMax = 5

    /// Looks at one snapshot of the whole store.
    ///
    /// - Returns: A sentence for each broken invariant; empty when all hold.
    public static func check(_ engine: any Engine) async throws(Fault) -> [String] {
        try await engine.read { tx throws(Fault) in try check(tx) }
    }

    static func check(_ tx: Reading) throws(Fault) -> [String] {
        var complaints: [String] = []
        for rule in rules {
            let found = try tx.values(rule.query + " LIMIT \(namedMax)", as: Int64.self)
            guard !found.isEmpty else { continue }
            complaints.append("\(rule.complaint): \(found.map { hexDigits(UInt64(bitPattern: $0)) }.joined(separator: ", "))")
        }
        return complaints
    }

    static let rules = counters + claims + machines + disks + networks + operations + tags

    private static let counters = [
        Rule(
            "the quota of instances differs from the account's machines",
            """
            SELECT q.account FROM quota q WHERE q.resource = 'instances' AND q.used <>
                (SELECT count(*) FROM instance i WHERE i.account = q.account AND i.desired <> 'absent')
            """),
        Rule(
            "the quota of processors differs from the account's machines",
            """
            SELECT q.account FROM quota q WHERE q.resource = 'processors' AND q.used <>
                (SELECT CAST(coalesce(sum(i.processors), 0) AS BIGINT) FROM instance i
                    WHERE i.account = q.account AND i.desired <> 'absent')
            """),
        Rule(
            "the quota of groups differs from the account's groups",
            """
            SELECT q.account FROM quota q WHERE q.resource = 'groups' AND q.used <>
                (SELECT count(*) FROM security_group g WHERE g.account = q.account AND g.name <> 'default')
            """),
    ]

    private static let claims = [
        Rule(
            "a host's free processors and the claims on it are not its processors",
            """
            SELECT h.id FROM host h WHERE h.processors - h.processors_free <>
                (SELECT CAST(coalesce(sum(x.processors), 0) AS BIGINT) FROM holding x WHERE x.host = h.id)
            """),
        Rule(
            "a host's free memory and the claims on it are not its memory",
            """
            SELECT h.id FROM host h WHERE h.memory - h.memory_free <>
                (SELECT CAST(coalesce(sum(x.memory), 0) AS BIGINT) FROM holding x WHERE x.host = h.id)
            """),
        Rule(
            "a pool's free bytes and the claims on it are not its bytes",
            """
            SELECT p.id FROM pool p WHERE p.bytes - p.bytes_free <>
                (SELECT CAST(coalesce(sum(x.bytes), 0) AS BIGINT) FROM holding x WHERE x.pool = p.id)
            """),
    ]

    private static let machines = [
        Rule(
            "a host holds a machine that is gone",
            """
            SELECT h.id FROM holding h WHERE h.thing_kind = 'machine'
                AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.id = h.thing AND i.ended IS NULL)
            """),
        Rule(
            "a machine is on no host",
            """
            SELECT i.id FROM instance i WHERE i.desired <> 'absent'
                AND NOT EXISTS (SELECT 1 FROM holding h WHERE h.thing_kind = 'machine' AND h.thing = i.id)
            """),
        Rule(
            "a stopped machine has capacity",
            """
            SELECT i.id FROM instance i JOIN holding h ON h.thing_kind = 'machine' AND h.thing = i.id
                WHERE i.desired = 'stopped' AND i.task IS NULL AND (h.processors > 0 OR h.memory > 0)
            """),
        Rule(
            "a machine that should run lacks capacity",
            """
            SELECT i.id FROM instance i JOIN holding h ON h.thing_kind = 'machine' AND h.thing = i.id
                WHERE i.desired = 'running' AND (h.processors <> i.processors OR h.memory <> i.memory)
            """),
        Rule(
            "user data of a machine that is gone",
            "SELECT i.id FROM user_data u JOIN instance i ON i.id = u.instance WHERE i.ended IS NOT NULL"),
    ]

    private static let disks = [
        Rule(
            "a volume is in no pool",
            """
            SELECT v.id FROM volume v WHERE NOT EXISTS
                (SELECT 1 FROM holding h WHERE h.pool = v.pool AND h.thing_kind = 'disk' AND h.thing = v.id)
            """),
        Rule(
            "a pool holds a disk of no volume",
            "SELECT h.id FROM holding h WHERE h.thing_kind = 'disk' AND NOT EXISTS (SELECT 1 FROM volume v WHERE v.id = h.thing)"),
        Rule(
            "a volume should go and nothing removes it",
            """
            SELECT v.id FROM volume v WHERE v.desired = 'absent' AND NOT EXISTS
                (SELECT 1 FROM attachment a JOIN instance i ON i.id = a.instance
                    WHERE a.volume = v.id AND i.desired = 'absent' AND i.ended IS NULL)
            """),
        Rule(
            "a volume is attached to a machine that is gone",
            "SELECT a.id FROM attachment a JOIN instance i ON i.id = a.instance WHERE i.ended IS NOT NULL"),
        Rule(
            "a pool holds a copy of an image that there is not",
            """
            SELECT h.id FROM holding h WHERE h.thing_kind = 'image' AND NOT EXISTS
                (SELECT 1 FROM image i WHERE i.id = h.thing AND (i.state IN ('pending', 'available') OR EXISTS
                    (SELECT 1 FROM operation_resource r WHERE r.kind = 'image' AND r.resource = i.id)))
            """),
        Rule(
            "an image is pending and nothing imports it",
            """
            SELECT i.id FROM image i WHERE i.state = 'pending'
                AND NOT EXISTS (SELECT 1 FROM operation_resource r WHERE r.kind = 'image' AND r.resource = i.id)
            """),
    ]

    private static let networks = [
        Rule(
            "a port of a machine that is gone",
            """
            SELECT p.id FROM port p WHERE p.instance IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM instance i WHERE i.id = p.instance AND i.ended IS NULL)
            """),
        Rule(
            "a port does not hold its address",
            """
            SELECT p.id FROM port p WHERE NOT EXISTS
                (SELECT 1 FROM port_address a WHERE a.network = p.network AND a.address = p.address AND a.port = p.id)
            """),
        Rule(
            "a port is in no group",
            "SELECT p.id FROM port p WHERE NOT EXISTS (SELECT 1 FROM port_group g WHERE g.port = p.id)"),
        Rule("an automatic address belongs to no port", "SELECT a.id FROM address a WHERE a.is_automatic AND a.port IS NULL"),
    ]

    private static let operations = [
        Rule(
            "an operation that ended holds something",
            "SELECT o.id FROM operation_resource r JOIN operation o ON o.id = r.operation WHERE o.state <> 'running'"),
        Rule(
            "an operation that ended waits for something",
            "SELECT o.id FROM operation_wait w JOIN operation o ON o.id = w.operation WHERE o.state <> 'running'"),
        Rule("an operation would never go on", "SELECT o.id FROM operation o WHERE o.state = 'running' AND o.due IS NULL"),
        Rule(
            "a machine is being changed and nothing does it",
            """
            SELECT i.id FROM instance i WHERE i.task IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM operation_resource r WHERE r.kind = 'instance' AND r.resource = i.id)
            """),
        Rule(
            "an operation holds a machine at rest",
            """
            SELECT r.operation FROM operation_resource r JOIN instance i ON i.id = r.resource
                WHERE r.kind = 'instance' AND i.task IS NULL
            """),
    ]

    /// The kinds of things that have tags, and their tables.
    private static let tagged: [(kind: Kind, table: String)] = [
        (.instance, "instance"), (.volume, "volume"), (.image, "image"), (.keyPair, "key_pair"), (.router, "router"),
        (.subnet, "subnet"), (.port, "port"), (.group, "security_group"), (.rule, "group_rule"),
    ]

    private static let tags = tagged.map { kind, table in
        Rule(
            "a tag of a \(kind.rawValue) that there is not",
            """
            SELECT t.thing FROM tag t WHERE t.kind = '\(kind.rawValue)'
                AND NOT EXISTS (SELECT 1 FROM \(table) x WHERE x.id = t.thing)
            """)
    }
}
