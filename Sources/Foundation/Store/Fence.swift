//  A fence is the operator's word that a lost host runs nothing any more. What its owners should let
//  go counts as gone then, and its claims go to others; but a host that comes back all the same must
//  be told to remove what is left of it, so that is kept as remnants until the host says so.

import Database
import Model

/// A host that was fenced and not accepted since.
public struct Fence: Sendable, Hashable {
    public var host: ID<Host>
    public var at: Instant

    public init(host: ID<Host>, at: Instant) {
        self.host = host
        self.at = at
    }
}

extension Fence {
    public static let table = Table("fence", Field("host", \Fence.host), Field("at", \Fence.at), make: Fence.init)
}

/// A thing that was released while its owner was fenced: the owner may still have it.
public struct Remnant: Sendable, Hashable {
    public var host: ID<Host>
    public var kind: Holding.Thing
    public var thing: Int64
    /// Of the last grant.
    public var epoch: Int64
    /// Of an image: its purpose and digest, by which the owner finds its file.
    public var purpose: Image.Purpose?
    public var digest: String?

    public init(host: ID<Host>, kind: Holding.Thing, thing: Int64, epoch: Int64, purpose: Image.Purpose?, digest: String?) {
        self.host = host
        self.kind = kind
        self.thing = thing
        self.epoch = epoch
        self.purpose = purpose
        self.digest = digest
    }
}

extension Remnant {
    public static let table = Table(
        "remnant",
        Field("host", \Remnant.host),
        Field("thing_kind", \Remnant.kind),
        Field("thing", \Remnant.thing),
        Field("epoch", \Remnant.epoch),
        Field("purpose", \Remnant.purpose),
        Field("digest", \Remnant.digest),
        make: Remnant.init)
}

extension Reading {
    public func fence(of host: ID<Host>) throws(Fault) -> Fence? {
        try all(Fence.table, where: "host = $1", [host.value]).first
    }

    public func fences() throws(Fault) -> [Fence] { try all(Fence.table, where: "TRUE ORDER BY host LIMIT 10000") }

    /// What a host is to remove although nothing holds it any more.
    public func remnants(on host: ID<Host>) throws(Fault) -> [Remnant] {
        try all(Remnant.table, where: "host = $1 ORDER BY thing_kind, thing LIMIT 100000", [host.value])
    }

    /// Whether a holding that should go is gone: no owner was told of it, its owner says so, or its
    /// owner is fenced.
    public func isGone(_ holding: Holding) throws(Fault) -> Bool {
        if !holding.granted || holding.observed == .absent { return true }
        return try fencedHost(of: holding) != nil
    }

    /// The fenced host that holds a thing, itself or in its own pool; nil when it is not fenced.
    func fencedHost(of holding: Holding) throws(Fault) -> ID<Host>? {
        if let host = holding.host { return try fence(of: host)?.host }
        guard let pool = holding.pool else { return nil }
        return try value(
            "SELECT f.host FROM pool p JOIN fence f ON f.host = p.host WHERE p.id = $1", [pool.value], as: ID<Host>.self)
    }
}

extension Writing {
    /// Notes what a fenced owner may still have of a holding that is released now.
    func keepRemnant(of holding: Holding) throws(Fault) {
        guard holding.granted, holding.observed != .absent, let host = try fencedHost(of: holding) else { return }
        let image = holding.kind == .image ? try find(Image.table, ID<Image>(stored: holding.thing)) : nil
        try run(
            """
            INSERT INTO remnant (host, thing_kind, thing, epoch, purpose, digest) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT DO NOTHING
            """,
            [
                host.value, holding.kind.value, holding.thing.value, holding.epoch.value, (image?.purpose).value,
                (image?.digest).value,
            ])
    }

    /// Forgets what a host has removed.
    public func forget(_ remnant: Remnant) throws(Fault) {
        try run(
            "DELETE FROM remnant WHERE host = $1 AND thing_kind = $2 AND thing = $3 AND epoch = $4",
            [remnant.host.value, remnant.kind.value, remnant.thing.value, remnant.epoch.value])
    }
}
