//  Writes the header of an empty qcow2 layer over a raw image (version 3, QEMU's
//  docs/interop/qcow2.txt). Doing so without qemu-img saves a process for each launch; and since the
//  first-level table has room for the largest disk, growing is one number to write, with nothing of
//  a guest's file to read.
//
//  Clusters of 64 KiB: 0 the header, 1 the reference table, 2 the first reference block, then the
//  first-level table, all zeros and a hole.

import Model

enum QCOW2Overlay {
    static let clusterBits = 16
    private static let clusterSize = 1 << clusterBits
    /// One first-level entry covers 512 MiB.
    private static let l1Entries = Int(PoolRefusals.sizeMax.bytes >> (2 * Int64(clusterBits) - 3))
    private static let headerLength = 112
    private static let backingFormat: UInt32 = 0xe279_2aca
    /// The field that `grow` writes.
    static let sizeOffset = Int64(24)

    /// The file's length, with the first-level table.
    static let fileSize = Int64(clusterSize * 3 + l1Entries * 8)

    /// The bytes of the first three clusters; up to `fileSize` zeros follow.
    ///
    /// - Parameter backing: Written down for people; whoever opens the layer names its backing.
    static func header(size: ByteCount, backing: String) throws(Fault) -> [UInt8] {
        let name = Array(backing.utf8)
        guard name.count <= 1023, size.bytes > 0, size <= PoolRefusals.sizeMax else {
            throw Fault(.internalError, "a qcow2 layer cannot be written for \(size) on \(backing)")
        }
        let extensions =
            number(backingFormat, 4) + number(3, 4) + Array("raw".utf8) + [UInt8](repeating: 0, count: 5) + number(0, 8)
        var bytes = QCOW2Header.magic + number(3, 4)
        bytes += number(UInt64(headerLength + extensions.count), 8) + number(name.count, 4)
        bytes += number(clusterBits, 4) + number(size.bytes, 8) + number(0, 4)
        bytes += number(l1Entries, 4) + number(3 * clusterSize, 8)
        bytes += number(clusterSize, 8) + number(1, 4)
        bytes += number(0, 4) + number(0, 8)  // no snapshots
        bytes += number(0, 8) + number(0, 8) + number(0, 8)  // no features
        bytes += number(4, 4) + number(headerLength, 4) + number(0, 8)  // references of 16 bits; zlib
        bytes += extensions + name
        bytes += [UInt8](repeating: 0, count: clusterSize - bytes.count)
        bytes += number(2 * clusterSize, 8) + [UInt8](repeating: 0, count: clusterSize - 8)
        let clusters = Int((fileSize + Int64(clusterSize) - 1) >> Int64(clusterBits))
        for _ in 0..<clusters { bytes += number(1, 2) }
        bytes += [UInt8](repeating: 0, count: clusterSize - 2 * clusters)
        return bytes
    }

    /// `value` in `count` bytes, big end first.
    static func number(_ value: some BinaryInteger, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> ((count - 1 - $0) * 8)) }
    }
}
