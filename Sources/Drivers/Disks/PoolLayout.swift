//  The names in a pool's folders, and the refusals that the real and the simulated pool share.
//
//      images/DIGEST.disk, .kernel, .ramdisk   image copies: root's, 0444, never written again
//      disks/ID.qcow2, ID.raw                  disks: 0600, of the guest that they are given to
//      records/ID.json                         what Karri knows of a disk: its commit point
//      staging/                                what is half made or half removed
//
//  A guest's uid passes through `images` and `disks` (0711) but lists neither.

import Model

struct PoolLayout: Sendable, Hashable {
    var folder: String

    var images: String { folder + "/images" }
    var disks: String { folder + "/disks" }
    var records: String { folder + "/records" }
    var staging: String { folder + "/staging" }

    func image(_ digest: ImageDigest, _ kind: ImageKind) -> String { "\(images)/\(digest.hex).\(kind.rawValue)" }

    func disk(_ id: ID<Volume>, _ format: DiskLayer.Format) -> String { "\(disks)/\(PoolLayout.name(id, format))" }

    func record(_ id: ID<Volume>) -> String { "\(records)/\(id.hex).json" }

    /// A disk that is complete and not yet in place.
    func made(_ id: ID<Volume>, _ format: DiskLayer.Format) -> String { "\(staging)/made-\(PoolLayout.name(id, format))" }

    /// A disk on its way out.
    func removed(_ id: ID<Volume>, _ format: DiskLayer.Format) -> String { "\(staging)/removed-\(PoolLayout.name(id, format))" }

    func chain(of disk: DiskSpecification) -> [DiskLayer] {
        let top = DiskLayer(path: self.disk(disk.id, disk.source.format), format: disk.source.format)
        switch disk.source {
        case .empty: return [top]
        case .image(let digest): return [top, DiskLayer(path: image(digest, .disk), format: .raw)]
        }
    }

    private static func name(_ id: ID<Volume>, _ format: DiskLayer.Format) -> String { "\(id.hex).\(format.rawValue)" }

    /// The disk that a name in `disks`, or one in `staging` less its first word, is of.
    static func disk(named name: some StringProtocol) -> (id: ID<Volume>, format: DiskLayer.Format)? {
        let parts = name.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let id = ID<Volume>(hex: parts[0]), let format = DiskLayer.Format(rawValue: String(parts[1])),
            PoolLayout.name(id, format) == name
        else { return nil }
        return (id, format)
    }

    static func image(named name: some StringProtocol) -> (digest: ImageDigest, kind: ImageKind)? {
        let parts = name.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let digest = ImageDigest(hex: parts[0]), let kind = ImageKind(rawValue: String(parts[1])) else {
            return nil
        }
        return (digest, kind)
    }

    static func record(named name: some StringProtocol) -> ID<Volume>? {
        guard name.hasSuffix(".json"), let id = ID<Volume>(hex: name.dropLast(5)), "\(id.hex).json" == name else { return nil }
        return id
    }
}

extension DiskSource {
    /// An empty disk is raw: nothing of it needs a header. A disk on an image is a qcow2 layer.
    var format: DiskLayer.Format {
        switch self {
        case .empty: .raw
        case .image: .qcow2
        }
    }
}

enum PoolRefusals {
    /// What one disk may be at most: 16 TiB, EC2's largest gp3 volume and ext4's largest file.
    static let sizeMax = ByteCount.gibibytes(16 << 10)

    static func checkSize(of disk: DiskSpecification) throws(Fault) {
        let size = disk.size
        guard size.bytes > 0, size.bytes % 512 == 0, size <= sizeMax else {
            throw Fault(
                .invalidParameter, "a disk's size is a multiple of 512 bytes from 512 to \(sizeMax), not \(size.bytes)",
                kind: .volume)
        }
    }

    static func check(_ disk: DiskSpecification, liesOn imageSize: ByteCount?) throws(Fault) {
        guard let imageSize else {
            throw Fault(.notFound, "the pool has no copy of the image that disk \(disk.id.hex) lies on", kind: .imageCopy)
        }
        guard disk.size >= imageSize else {
            throw Fault(.invalidParameter, "the image is \(imageSize), larger than the disk's \(disk.size)", kind: .volume)
        }
    }

    static func otherDisk(_ id: ID<Volume>) -> Fault {
        Fault(.alreadyExists, "disk \(id.hex) is there with another size or source", kind: .volume)
    }

    static func noDisk(_ id: ID<Volume>) -> Fault { Fault(.notFound, "the pool has no disk \(id.hex)", kind: .volume) }

    static func noImage(_ digest: ImageDigest) -> Fault {
        Fault(.notFound, "the pool has no image \(digest.hex)", kind: .imageCopy)
    }

    static func imageInUse(_ digest: ImageDigest) -> Fault {
        Fault(.inUse, "disks lie on image \(digest.hex)", kind: .imageCopy)
    }
}
