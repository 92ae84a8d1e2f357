//  Disks: made with a machine, listed, and removed with it or kept.

import Authority
import Database
import Model
import Store

extension Action where Thing == Volume {
    public static let describe = Action("ec2:DescribeVolumes")
}

/// A volume with what a list shows of it.
public struct VolumeView: Sendable {
    public var volume: Volume
    public var zone: Zone
    public var attachment: Attachment?
    public var holding: Holding?
    public var tags: [Tag]
}

/// The volumes service.
public struct VolumesService: Sendable {
    let engine: any Engine

    public init(engine: any Engine) { self.engine = engine }

    /// A page of the account's volumes in order of id, or the named ones.
    public func volumes(_ ids: [ID<Volume>], after: Int64, limit: Int, by call: Call) async throws(Fault) -> [VolumeView] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Volume>.describe)
            let volumes =
                ids.isEmpty
                ? try tx.volumes(of: call.account(), after: after, limit: limit)
                : try tx.find(ids, for: .describe, by: call)
            let zones = Dictionary(try tx.zones().map { ($0.id, $0) }) { first, _ in first }
            return try volumes.map { volume throws(Fault) in
                guard let zone = zones[volume.zone] else { throw Fault(missing: volume.zone.erased) }
                return VolumeView(
                    volume: volume, zone: zone, attachment: try tx.attachment(of: volume.id),
                    holding: try tx.holding(.disk, volume.id.stored, in: volume.pool),
                    tags: try tx.tags(of: .volume, volume.id.stored))
            }
        }
    }

    /// What a machine's new disk is to be.
    public struct DiskRequest: Sendable {
        public var pool: ID<Pool>
        public var size: ByteCount
        public var type: String
        public var image: Image?
        public var device: String
        public var isRoot: Bool
        public var deleteOnTermination: Bool

        public init(
            pool: ID<Pool>, size: ByteCount, type: String, image: Image?, device: String, isRoot: Bool, deleteOnTermination: Bool
        ) {
            self.pool = pool
            self.size = size
            self.type = type
            self.image = image
            self.device = device
            self.isRoot = isRoot
            self.deleteOnTermination = deleteOnTermination
        }
    }

    /// Makes a disk of a machine: the volume, its place in the pool, and the attachment. The
    /// pool's bytes were claimed before, in this transaction. The pool is told of it once what it is
    /// made from is there: see `grant`.
    public func addDisk(_ tx: Writing, _ request: DiskRequest, to instance: Instance, now: Instant, dice: inout Dice) -> Volume {
        let volume = Volume(
            id: dice.id(), account: instance.account, zone: instance.zone, pool: request.pool, type: request.type,
            size: request.size,
            image: request.image?.id, desired: .present, epoch: 1, created: now, revision: 1)
        tx.insert(volume, into: Volume.table)
        tx.insert(
            Attachment(
                id: dice.id(), account: instance.account, instance: instance.id, volume: volume.id, device: request.device,
                isRoot: request.isRoot, deleteOnTermination: request.deleteOnTermination, created: now), into: Attachment.table)
        tx.add(
            Holding(
                id: dice.id(), kind: .disk, thing: volume.id.stored, account: instance.account, zone: instance.zone, host: nil,
                pool: request.pool, epoch: 1, wanted: .present, granted: false, observed: .unknown, fault: nil, startsDone: 0,
                rebootsDone: 0, processors: 0, memory: .zero, bytes: request.size, created: now))
        return volume
    }

    /// Lets its pool make a disk, which has the disk's image by now.
    ///
    /// - Throws: `internalError` when no pool holds the disk.
    public func grant(_ tx: Writing, _ volume: ID<Volume>) throws(Fault) {
        guard let holding = try tx.holding(.disk, volume.stored) else {
            throw Fault(.internalError, "The disk is in no pool.", kind: .volume).about(volume.erased)
        }
        if !holding.granted { try tx.want(.present, granted: true, of: holding) }
    }

    /// Asks the pool to drop a disk; its bytes come back when it has, or at once where no pool was
    /// ever told of it.
    public func drop(_ tx: Writing, _ volume: ID<Volume>) throws(Fault) {
        try tx.run(
            "UPDATE volume SET desired = 'absent', revision = revision + 1 WHERE id = $1 AND desired <> 'absent'", [volume.value])
        guard let holding = try tx.holding(.disk, volume.stored) else { return }
        guard holding.granted else {
            try tx.release(holding)
            return try tx.forget(volume)
        }
        if holding.wanted != .absent { try tx.want(.absent, granted: true, of: holding) }
    }
}
