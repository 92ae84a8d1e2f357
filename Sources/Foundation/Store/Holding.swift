//  Holdings in the store: what owners hold, and the claims that hang on it.

import Database
import Model

extension Holding {
    public static let table = Table(
        "holding",
        Field("id", \Holding.id),
        Field("thing_kind", \Holding.kind),
        Field("thing", \Holding.thing),
        Field("account", \Holding.account),
        Field("zone", \Holding.zone),
        Field("host", \Holding.host),
        Field("pool", \Holding.pool),
        Field("epoch", \Holding.epoch),
        Field("wanted", \Holding.wanted),
        Field("granted", \Holding.granted),
        Field("observed", \Holding.observed),
        Field("fault", \Holding.fault),
        Field("starts_done", \Holding.startsDone),
        Field("reboots_done", \Holding.rebootsDone),
        Field("processors", \Holding.processors),
        Field("memory", \Holding.memory),
        Field("bytes", \Holding.bytes),
        Field("created", \Holding.created),
        make: Holding.init)
}

extension Reading {
    public func holding(_ kind: Holding.Thing, _ thing: Int64) throws(Fault) -> Holding? {
        try all(
            Holding.table, where: "thing_kind = $1 AND thing = $2 ORDER BY granted DESC, id LIMIT 1", [kind.value, thing.value]
        ).first
    }

    public func holding(_ kind: Holding.Thing, _ thing: Int64, in pool: ID<Pool>) throws(Fault) -> Holding? {
        try all(Holding.table, where: "pool = $1 AND thing_kind = $2 AND thing = $3", [pool.value, kind.value, thing.value]).first
    }

    public func holding(_ kind: Holding.Thing, _ thing: Int64, on host: ID<Host>) throws(Fault) -> Holding? {
        try all(Holding.table, where: "host = $1 AND thing_kind = $2 AND thing = $3", [host.value, kind.value, thing.value]).first
    }

    /// All that a host and its own pool hold.
    public func holdings(on host: ID<Host>, pool: ID<Pool>) throws(Fault) -> [Holding] {
        try all(Holding.table, where: "host = $1 ORDER BY thing_kind, thing", [host.value])
            + all(Holding.table, where: "pool = $1 ORDER BY thing_kind, thing", [pool.value])
    }
}

extension Writing {
    /// Adds a holding. Its capacity or bytes were claimed before, in this transaction.
    public func add(_ holding: Holding) {
        insert(holding, into: Holding.table)
        announce(holding)
    }

    /// Sets what the owner should make of the thing, and whether it may.
    public func want(_ wanted: Holding.Wanted, granted: Bool, of holding: Holding) throws(Fault) {
        try run("UPDATE holding SET wanted = $2, granted = $3 WHERE id = $1", [holding.id.value, wanted.value, granted.value])
        announce(holding)
    }

    /// Grants a holding under a new epoch: the owner begins anew, and what it said of the old grant
    /// says nothing of this one.
    public func grantAnew(_ holding: Holding) throws(Fault) {
        try run(
            "UPDATE holding SET granted = TRUE, epoch = epoch + 1, observed = $2, fault = NULL WHERE id = $1",
            [holding.id.value, Holding.Observed.unknown.value])
        announce(holding)
    }

    /// Notes what the owner reported.
    public func observe(
        _ observed: Holding.Observed, fault: String?, startsDone: Int64, rebootsDone: Int64, of holding: Holding
    ) throws(Fault) {
        try run(
            "UPDATE holding SET observed = $2, fault = $3, starts_done = $4, reboots_done = $5 WHERE id = $1",
            [holding.id.value, observed.value, fault.value, startsDone.value, rebootsDone.value])
        announce(holding)
    }

    /// Ends a holding and gives its claims back. Twice is harmless: the row drives the counters.
    public func release(_ holding: Holding) throws(Fault) {
        let gone = try rows(
            "DELETE FROM holding WHERE id = $1 RETURNING \(Holding.table.list)", [holding.id.value], Holding.table.decode)
        for row in gone {
            try keepRemnant(of: row)
            try giveBack(row)
            announce(row)
        }
    }

    /// Gives a stopped machine's capacity back while its host keeps it. Twice is harmless: the row
    /// drives the counters.
    public func releaseCapacity(of holding: Holding) throws(Fault) {
        let emptied = try run(
            """
            UPDATE holding SET processors = 0, memory = 0
            WHERE id = $1 AND processors = $2 AND memory = $3 AND (processors > 0 OR memory > 0)
            """, [holding.id.value, holding.processors.value, holding.memory.value])
        guard emptied == 1 else { return }
        var claim = holding
        claim.bytes = .zero
        try giveBack(claim)
    }

    /// Sets the bytes of a holding that had none; they were claimed in this transaction.
    public func setBytes(_ bytes: ByteCount, of holding: Holding) throws(Fault) {
        try run("UPDATE holding SET bytes = $2 WHERE id = $1", [holding.id.value, bytes.value])
    }

    private func giveBack(_ row: Holding) throws(Fault) {
        if let host = row.host, row.processors > 0 || row.memory > .zero {
            try unclaim(host: host, processors: row.processors, memory: row.memory)
        }
        if let pool = row.pool, row.bytes > .zero {
            try run("UPDATE pool SET bytes_free = bytes_free + $2 WHERE id = $1", [pool.value, row.bytes.value])
        }
    }

    private func announce(_ holding: Holding) {
        changed("holding", holding.id.stored, account: holding.account.stored, zone: holding.zone.stored)
    }
}

extension Holding {
    /// The owner's id, whether host or pool.
    public var owner: Int64 { host?.stored ?? pool?.stored ?? 0 }
}
