//  What the operator of the whole cloud sees: all accounts' things counted, the hosts with what
//  they hold, and the way from a bare id to the thing that has it.

import Database
import Model

/// The cloud at a glance.
public struct Overview: Sendable, Hashable {
    public struct HostLine: Sendable, Hashable {
        public var host: Host
        public var zone: String
        public var pool: Pool
        public var machines: Int
        public var isFenced: Bool
    }

    public var accounts: Int
    public var running: Int
    public var unsettled: Int
    public var images: Int
    public var volumes: Int
    public var operationsRunning: Int
    /// Those whose wait is over and that have not gone on.
    public var operationsOverdue: Int
    public var hosts: [HostLine]
}

extension Reading {
    /// Counts of everything, and the hosts by name; at most ten thousand hosts.
    public func overview(at now: Instant) throws(Fault) -> Overview {
        let machines = try machineCounts()
        let zones = Dictionary(try self.zones().map { ($0.id, $0.name) }) { first, _ in first }
        let counts = Dictionary(
            try rows(
                "SELECT host, count(*) FROM holding WHERE thing_kind = 'machine' AND host IS NOT NULL GROUP BY host", [],
                { row throws(Fault) in (try row.take(ID<Host>.self), try row.take(Int.self)) })
        ) { first, _ in first }
        let pools = Dictionary(try all(Pool.table, where: "TRUE LIMIT 10000").map { ($0.id, $0) }) { first, _ in first }
        let fenced = Set(try fences().map(\.host))
        let hosts = try all(Host.table, where: "TRUE ORDER BY name LIMIT 10000")
        return Overview(
            accounts: try count("SELECT count(*) FROM account WHERE state = 'active'"), running: machines.running,
            unsettled: machines.unsettled, images: try count("SELECT count(*) FROM image WHERE state = 'available'"),
            volumes: try count("SELECT count(*) FROM volume"),
            operationsRunning: try count("SELECT count(*) FROM operation WHERE state = 'running'"),
            operationsOverdue: try count(
                "SELECT count(*) FROM operation WHERE state = 'running' AND deadline < $1", [now.value]),
            hosts: hosts.compactMap { host in
                pools[host.pool].map {
                    Overview.HostLine(
                        host: host, zone: zones[host.zone] ?? "", pool: $0, machines: counts[host.id] ?? 0,
                        isFenced: fenced.contains(host.id))
                }
            })
    }

    /// The images of all accounts with their owners' numbers, by name; at most ten thousand.
    public func imagesOfAll() throws(Fault) -> [(image: Image, owner: String)] {
        let numbers = Dictionary(try all(Account.table, where: "TRUE LIMIT 100000").map { ($0.id, $0.number) }) { first, _ in first
        }
        return try all(Image.table, where: "state <> 'absent' ORDER BY name, id LIMIT 10000").map {
            ($0, numbers[$0.account] ?? "")
        }
    }

    /// Machines that run and have nothing else under way, in order of id, with their accounts.
    public func machinesToStop(after: ID<Instance>?, limit: Int) throws(Fault) -> [(id: ID<Instance>, account: Account)] {
        let machines = try all(
            Instance.table, where: "desired = 'running' AND task IS NULL AND ended IS NULL AND id > $1 ORDER BY id LIMIT $2",
            [(after?.stored ?? Int64.min).value, limit.value])
        var found: [(id: ID<Instance>, account: Account)] = []
        for machine in machines {
            if let account = try find(Account.table, machine.account) { found.append((machine.id, account)) }
        }
        return found
    }

    /// What an operation waits for.
    public func awaited(by operation: ID<Operation>) throws(Fault) -> [AwaitedRow] {
        try rows("SELECT awaited, row FROM operation_wait WHERE operation = $1 ORDER BY awaited, row", [operation.value]) {
            row throws(Fault) in AwaitedRow(try row.take(String.self), try row.take(Int64.self))
        }
    }

    /// The thing that has these 64 bits as its id and of which anything was ever told; nil if none.
    public func thing(withStory bits: UInt64) throws(Fault) -> AnyID? {
        for kind in Kind.allCases {
            let id = AnyID(kind: kind, bits: bits)
            if try exists("SELECT 1 FROM story WHERE kind = $1 AND thing = $2 LIMIT 1", [kind.value, id.stored.value]) {
                return id
            }
            if try exists(
                "SELECT 1 FROM operation WHERE subject_kind = $1 AND subject = $2 LIMIT 1", [kind.value, id.stored.value])
            {
                return id
            }
        }
        return nil
    }
}

extension Writing {
    /// Makes these the outside ranges. Addresses of earlier ones stay with those who hold them.
    public func setExternalRanges(_ ranges: [ExternalRange]) throws(Fault) {
        let kept = Set(ranges)
        for range in try all(ExternalRange.table, where: "TRUE") where !kept.contains(range) {
            try run("DELETE FROM external_range WHERE prefix = $1", [range.prefix.value])
        }
        for range in ranges { _ = try claim(range, in: ExternalRange.table) }
    }
}
