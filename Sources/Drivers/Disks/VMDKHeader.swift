//  The header of a sparse VMDK in one file (VMware's "Virtual Disk Format 5.0"). Its embedded
//  descriptor is text that can name other files, as extents or as a parent: then it is refused.

import Model

struct VMDKHeader {
    static let magic = Array("KDMV".utf8)

    let virtualSize: ByteCount

    init(_ reader: ByteReader, fileSize: ByteCount) throws(Fault) {
        func refusal(_ reason: String) -> Fault { ImageHeader.refusal("this VMDK file \(reason)") }
        guard let version = reader.littleEndian32(4), let capacity = reader.littleEndian64(12),
            let grain = reader.littleEndian64(20), let descriptorSector = reader.littleEndian64(28),
            let descriptorSectors = reader.littleEndian64(36), let entriesPerTable = reader.littleEndian32(44)
        else { throw refusal("is cut off within its header") }
        guard (1...3).contains(version) else { throw refusal("has the unknown version \(version)") }
        guard capacity > 0, capacity <= UInt64(Int64.max) >> 9 else {
            throw refusal("has no disk of its own, only names of other files, or an impossible size")
        }
        guard grain.nonzeroBitCount == 1, (8...(1 << 16)).contains(grain), entriesPerTable == 512 else {
            throw refusal("has impossible grains")
        }
        guard descriptorSector > 0, descriptorSectors > 0, let sector = Int(exactly: descriptorSector),
            let sectors = Int(exactly: descriptorSectors), sector <= 64, sectors <= 64,
            let descriptor = reader.slice(sector * 512, min(sectors * 512, max(0, reader.bytes.count - sector * 512)))
        else { throw refusal("has its descriptor out of reach") }
        try VMDKHeader.check(descriptor: descriptor.prefix { $0 != 0 }, refusal)
        virtualSize = ByteCount(Int64(capacity) << 9)
    }

    /// Takes one extent, which is the file itself, and no parent.
    private static func check(descriptor: ArraySlice<UInt8>, _ refusal: (String) -> Fault) throws(Fault) {
        var extents = 0
        for line in descriptor.split(whereSeparator: { $0 == 10 || $0 == 13 }) {
            let text = String(decoding: line, as: UTF8.self).lowercased().filter { $0 != " " && $0 != "\t" }
            if text.hasPrefix("parentfilenamehint") || (text.hasPrefix("parentcid=") && text != "parentcid=ffffffff") {
                throw refusal("names another file as its parent")
            }
            if text.hasPrefix("createtype="), text != "createtype=\"monolithicsparse\"", text != "createtype=\"streamoptimized\"" {
                throw refusal("is not a disk in one file")
            }
            if text.hasPrefix("rw") || text.hasPrefix("rdonly") || text.hasPrefix("noaccess") { extents += 1 }
        }
        guard extents == 1 else { throw refusal("names \(extents) extents; only a disk in one file is taken") }
    }
}
