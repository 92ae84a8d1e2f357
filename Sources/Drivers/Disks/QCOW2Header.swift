//  The header of a qcow2 file, versions 2 and 3 (QEMU's docs/interop/qcow2.txt), read with distrust:
//  nothing that names another file, and no table that could not lie in the file.

import Model

struct QCOW2Header {
    static let magic: [UInt8] = [0x51, 0x46, 0x49, 0xfb]

    let virtualSize: ByteCount

    /// Bits of the incompatible features' field (offset 72).
    private enum Feature {
        static let dirty: UInt64 = 1 << 0
        static let corrupt: UInt64 = 1 << 1
        static let externalDataFile: UInt64 = 1 << 2
        static let compressionType: UInt64 = 1 << 3
        static let extendedL2: UInt64 = 1 << 4
    }

    private enum Extension {
        static let end: UInt32 = 0
        static let externalDataFile: UInt32 = 0x4441_5441
        static let encryption: UInt32 = 0x0537_be77
    }

    /// QEMU's own bounds: an L1 table of 32 MiB, a refcount table of 8 MiB.
    private static let l1EntriesMax = UInt64(4 << 20)
    private static let refcountTableBytesMax = UInt64(8 << 20)

    init(_ reader: ByteReader, fileSize: ByteCount) throws(Fault) {
        func refusal(_ reason: String) -> Fault { ImageHeader.refusal("this qcow2 file \(reason)") }
        guard let version = reader.bigEndian32(4), let backingOffset = reader.bigEndian64(8),
            let backingLength = reader.bigEndian32(16), let clusterBits = reader.bigEndian32(20),
            let size = reader.bigEndian64(24), let encryption = reader.bigEndian32(32),
            let l1Entries = reader.bigEndian32(36), let l1Offset = reader.bigEndian64(40),
            let refcountOffset = reader.bigEndian64(48), let refcountClusters = reader.bigEndian32(56),
            let snapshots = reader.bigEndian32(60)
        else { throw refusal("is cut off within its header") }
        guard version == 2 || version == 3 else { throw refusal("has the unknown version \(version)") }
        guard backingOffset == 0, backingLength == 0 else {
            throw refusal("names another file as its backing; flatten it with qemu-img convert first")
        }
        guard encryption == 0 else { throw refusal("is encrypted; decrypt it with qemu-img convert first") }
        guard snapshots == 0 else { throw refusal("holds internal snapshots; drop them with qemu-img convert first") }
        guard (9...21).contains(clusterBits) else { throw refusal("has the impossible cluster size of 2^\(clusterBits)") }
        let features = try QCOW2Header.features(reader, version: version, clusterBits: clusterBits, refusal)
        try QCOW2Header.checkExtensions(
            reader, from: features.headerLength, to: 1 << Int(clusterBits), refusal)

        guard let bytes = Int64(exactly: size), bytes > 0 else { throw refusal("says an impossible size of \(size) bytes") }
        // One L2 table is a cluster of entries of 8 bytes, or 16 with subclusters, each for one cluster.
        let coveredBits = UInt64(clusterBits) * 2 - (features.hasExtendedL2 ? 4 : 3)
        let l1Needed = (size - 1) >> coveredBits + 1
        guard UInt64(l1Entries) >= l1Needed, UInt64(l1Entries) <= QCOW2Header.l1EntriesMax else {
            throw refusal("has a first-level table that does not fit its size")
        }
        let clusterSize = UInt64(1) << UInt64(clusterBits)
        let tables = [
            (l1Offset, UInt64(l1Entries) * 8),
            (refcountOffset, min(UInt64(refcountClusters), 1 << 32) << UInt64(clusterBits)),
        ]
        guard refcountClusters > 0, tables[1].1 <= QCOW2Header.refcountTableBytesMax else {
            throw refusal("has a reference table of an impossible size")
        }
        for (offset, length) in tables {
            let (end, overflow) = offset.addingReportingOverflow(length)
            guard offset >= clusterSize, offset % clusterSize == 0, !overflow, end <= UInt64(max(0, fileSize.bytes)) + clusterSize
            else {
                throw refusal("is cut off, or its tables lie outside of it")
            }
        }
        virtualSize = ByteCount(bytes)
    }

    private static func features(
        _ reader: ByteReader, version: UInt32, clusterBits: UInt32, _ refusal: (String) -> Fault
    ) throws(Fault) -> (headerLength: Int, hasExtendedL2: Bool) {
        guard version == 3 else { return (72, false) }
        guard let incompatible = reader.bigEndian64(72), let refcountOrder = reader.bigEndian32(96),
            let length = reader.bigEndian32(100)
        else { throw refusal("is cut off within its header") }
        if incompatible & Feature.externalDataFile != 0 { throw refusal("keeps its data in another file") }
        if incompatible & Feature.corrupt != 0 { throw refusal("is marked corrupt; repair it with qemu-img check -r all") }
        if incompatible & Feature.dirty != 0 { throw refusal("was not closed cleanly; repair it with qemu-img check -r all") }
        let known = Feature.compressionType | Feature.extendedL2
        guard incompatible & ~known == 0 else {
            throw refusal("needs features that are not known here (\(String(incompatible & ~known, radix: 16)))")
        }
        guard refcountOrder <= 6, length >= 104, length % 8 == 0, UInt64(length) <= UInt64(1) << UInt64(clusterBits),
            Int(length) <= ImageHeader.headSize
        else { throw refusal("has an impossible header") }
        if incompatible & Feature.compressionType != 0 {
            guard length > 104, let type = reader.slice(104, 1)?.first, type == 1 else {
                throw refusal("is compressed in an unknown way")
            }
        }
        let hasExtendedL2 = incompatible & Feature.extendedL2 != 0
        guard !hasExtendedL2 || clusterBits >= 14 else { throw refusal("has subclusters of an impossible size") }
        return (Int(length), hasExtendedL2)
    }

    /// Walks the header extensions, which lie within the first cluster and end with type 0. A list
    /// that leaves what was read is refused, since a name could follow.
    private static func checkExtensions(
        _ reader: ByteReader, from start: Int, to end: Int, _ refusal: (String) -> Fault
    ) throws(Fault) {
        var offset = start
        while offset + 8 <= end {
            guard let type = reader.bigEndian32(offset), let length = reader.bigEndian32(offset + 4) else {
                throw refusal("is cut off within its header")
            }
            switch type {
            case Extension.end: return
            case Extension.externalDataFile: throw refusal("keeps its data in another file")
            case Extension.encryption: throw refusal("is encrypted; decrypt it with qemu-img convert first")
            default: break
            }
            guard Int(length) <= end - offset - 8 else { throw refusal("has a header extension that leaves its first cluster") }
            offset += 8 + (Int(length) + 7) / 8 * 8
        }
    }
}
