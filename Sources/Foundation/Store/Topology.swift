//  Zones, hosts and pools in the store.

import Database
import Model

extension Zone {
    public static let table = Table(
        "zone",
        Field("id", \Zone.id),
        Field("name", \Zone.name),
        Field("region", \Zone.region),
        Field("created", \Zone.created),
        make: Zone.init)
}

extension Host {
    public static let table = Table(
        "host",
        Field("id", \Host.id),
        Field("zone", \Host.zone),
        Field("name", \Host.name),
        Field("state", \Host.state),
        Field("processors", \Host.processors),
        Field("memory", \Host.memory),
        Field("processors_free", \Host.processorsFree),
        Field("memory_free", \Host.memoryFree),
        Field("pool", \Host.pool),
        Field("accelerator", \Host.accelerator),
        Field("created", \Host.created),
        Field("revision", \Host.revision),
        make: Host.init)
}

extension Pool {
    public static let table = Table(
        "pool",
        Field("id", \Pool.id),
        Field("zone", \Pool.zone),
        Field("host", \Pool.host),
        Field("name", \Pool.name),
        Field("bytes", \Pool.bytes),
        Field("bytes_free", \Pool.bytesFree),
        Field("created", \Pool.created),
        Field("revision", \Pool.revision),
        make: Pool.init)
}

extension Reading {
    public func zones() throws(Fault) -> [Zone] { try all(Zone.table, where: "TRUE ORDER BY name") }

    public func zone(named name: String) throws(Fault) -> Zone? {
        try all(Zone.table, where: "name = $1", [.text(name)]).first
    }

    public func host(named name: String) throws(Fault) -> Host? {
        try all(Host.table, where: "name = $1", [.text(name)]).first
    }

    /// The hosts of a zone in order of id.
    public func hosts(in zone: ID<Zone>) throws(Fault) -> [Host] {
        try all(Host.table, where: "zone = $1 ORDER BY id", [zone.value])
    }

    /// The hosts of all zones that take machines, in order of id.
    public func hostsThatAreUp() throws(Fault) -> [Host] { try all(Host.table, where: "state = 'up' ORDER BY id") }

    public func pool(named name: String) throws(Fault) -> Pool? {
        try all(Pool.table, where: "name = $1", [.text(name)]).first
    }
}

extension Writing {
    /// Takes capacity from a host, if it is up and has it. The guard repeats what placement saw.
    public func claim(host: ID<Host>, processors: Int64, memory: ByteCount) throws(Fault) -> Bool {
        try run(
            """
            UPDATE host SET processors_free = processors_free - $2, memory_free = memory_free - $3
            WHERE id = $1 AND state = 'up' AND processors_free >= $2 AND memory_free >= $3
            """, [host.value, processors.value, memory.value]) == 1
    }

    /// Gives back what `claim` took in this transaction, before anything hangs on it.
    public func unclaim(host: ID<Host>, processors: Int64, memory: ByteCount) throws(Fault) {
        try run(
            "UPDATE host SET processors_free = processors_free + $2, memory_free = memory_free + $3 WHERE id = $1",
            [host.value, processors.value, memory.value])
    }

    /// Takes bytes from a pool, if it has them.
    public func claim(pool: ID<Pool>, bytes: ByteCount) throws(Fault) -> Bool {
        try run("UPDATE pool SET bytes_free = bytes_free - $2 WHERE id = $1 AND bytes_free >= $2", [pool.value, bytes.value]) == 1
    }

    /// Takes bytes from a pool that holds them already, whether they are free or not.
    public func claimHeld(pool: ID<Pool>, bytes: ByteCount) throws(Fault) {
        try run("UPDATE pool SET bytes_free = bytes_free - $2 WHERE id = $1", [pool.value, bytes.value])
    }

    /// Sets a host's capacity to what it says that it has. What is promised stays promised: of a
    /// host that shrank below that, less than nothing is free.
    public func resize(_ host: ID<Host>, processors: Int64, memory: ByteCount, accelerator: String) throws(Fault) {
        try run(
            """
            UPDATE host SET processors_free = processors_free + $2 - processors, processors = $2,
                memory_free = memory_free + $3 - memory, memory = $3, accelerator = $4, revision = revision + 1
            WHERE id = $1 AND (processors <> $2 OR memory <> $3 OR accelerator <> $4)
            """, [host.value, processors.value, memory.value, .text(accelerator)])
    }

    /// Sets a pool's size to what its owner says, as `resize` of a host does.
    public func resize(_ pool: ID<Pool>, bytes: ByteCount) throws(Fault) {
        try run(
            "UPDATE pool SET bytes_free = bytes_free + $2 - bytes, bytes = $2, revision = revision + 1 WHERE id = $1 AND bytes <> $2",
            [pool.value, bytes.value])
    }

    public func set(_ state: Host.State, of host: ID<Host>) throws(Fault) {
        if try run("UPDATE host SET state = $2, revision = revision + 1 WHERE id = $1 AND state <> $2", [host.value, state.value])
            == 1
        {
            changed("host", host.stored)
        }
    }

    /// Raises a lease's epoch for a new holder, and returns it.
    public func takeLease(_ name: String, holder: String) throws(Fault) -> Int64 {
        try run(
            """
            INSERT INTO lease (name, holder, epoch) VALUES ($1, $2, 1)
            ON CONFLICT (name) DO UPDATE SET holder = $2, epoch = lease.epoch + 1
            """, [.text(name), .text(holder)])
        return try value("SELECT epoch FROM lease WHERE name = $1", [.text(name)], as: Int64.self) ?? 1
    }

    /// Faults with `.conflict` when a lease has passed to another holder since it was taken under
    /// `epoch`: what the old holder still writes is written by nobody.
    public func require(_ lease: String, epoch: Int64) throws(Fault) {
        guard try value("SELECT epoch FROM lease WHERE name = $1", [.text(lease)], as: Int64.self) == epoch else {
            throw Fault(.conflict, "The lease \(lease) has passed to another holder.")
        }
    }
}
