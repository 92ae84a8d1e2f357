import Foundation
import Model
import Testing

@testable import Disks

@Suite struct ImageHeaderTests {
    static func padded(_ head: [UInt8], to count: Int = 4096) -> [UInt8] {
        head + [UInt8](repeating: 0, count: max(0, count - head.count))
    }

    static func at(_ offset: Int, _ text: String, count: Int = 36864) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        bytes.replaceSubrange(offset..<(offset + text.utf8.count), with: text.utf8)
        return bytes
    }

    static func read(_ bytes: [UInt8]) throws(Fault) -> ImageHeader {
        try ImageHeader.read(
            head: Array(bytes.prefix(ImageHeader.headSize)), tail: Array(bytes.suffix(ImageHeader.tailSize)),
            fileSize: ByteCount(Int64(bytes.count)))
    }

    static let recognised: [(String, [UInt8], ImageFormat, Int64)] = [
        ("zeros are a blank disk", padded([]), .raw, 4096),
        ("a boot sector", at(510, "\u{55}", count: 1024), .raw, 1024),
        ("qcow2 magic that is not first is data", at(512, "QFI\u{fb}"), .raw, 36864),
        ("a kernel", at(0x202, "HdrS"), .bzImage, 36864),
        ("a kernel need not fill sectors", at(0x202, "HdrS", count: 1001), .bzImage, 1001),
        ("an ELF kernel", padded([0x7f, 0x45, 0x4c, 0x46]), .elf, 4096),
        ("a ramdisk", padded(Array("070701".utf8)), .cpio, 4096),
        ("a ramdisk with checksums", padded(Array("070702".utf8)), .cpio, 4096),
        ("a packed ramdisk", padded([0x1f, 0x8b, 8]), .gzip, 4096),
        ("xz", padded([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), .xz, 4096),
        ("zstd", padded([0x28, 0xb5, 0x2f, 0xfd]), .zstd, 4096),
        ("lz4 as the kernel wants it", padded([0x02, 0x21, 0x4c, 0x18]), .lz4, 4096),
        ("qcow2", padded(QCOW2Forgery().bytes, to: 0x40000), .qcow2, 1 << 30),
        ("VMDK in one file", padded(VMDKForgery().bytes, to: 1 << 17), .vmdk, 16384 * 512),
    ]

    @Test(arguments: recognised)
    func recognises(remark: String, bytes: [UInt8], format: ImageFormat, size: Int64) throws {
        #expect(try Self.read(bytes) == ImageHeader(format: format, virtualSize: ByteCount(size)), "\(remark)")
    }

    static let refused: [([UInt8], String)] = [
        ([], "empty"),
        ([1, 2, 3], "no known format"),
        (padded(Array("vhdxfile".utf8)), "VHDX"),
        (padded(Array("conectix".utf8)), "VHD"),
        (at(36864 - 512, "conectix"), "VHD"),  // a fixed VHD has its header at its end
        (at(36864 - 511, "conectix"), "VHD"),  // and one of Virtual PC's 511 bytes before it
        (padded([UInt8](repeating: 0, count: 0x40) + [0x7f, 0x10, 0xda, 0xbe]), "VDI"),
        (at(0x8001, "CD001"), "ISO"),
        (padded(Array("# Disk DescriptorFile\nRW 1 FLAT \"/etc/shadow\" 0\n".utf8)), "other files"),
        (padded([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1]), "version 1"),
        (padded(Array("QED\0".utf8)), "QED"),
        (padded(Array("PK\u{3}\u{4}".utf8)), "zip"),
        (padded(Array("BZh9".utf8)), "bunzip2"),
        (padded(Array("LUKS".utf8)), "encrypted"),
        (at(257, "ustar"), "tar"),
        (padded(Array("<!DOCTYPE html>".utf8)), "web page"),
        (padded([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3], to: 40), "cut off"),
    ]

    @Test(arguments: refused)
    func refuses(bytes: [UInt8], word: String) {
        let fault = #expect(throws: Fault.self) { try Self.read(bytes) }
        #expect(fault?.code == .badImage)
        #expect(fault?.message.contains(word) == true, "\(fault?.message ?? "")")
    }

    static let forgeries: [(String, @Sendable (inout QCOW2Forgery) -> Void)] = [
        ("backing", { ($0.backingOffset, $0.backingLength) = (200, 11) }),
        ("backing", { $0.backingOffset = 200 }),
        ("backing", { $0.backingLength = 11 }),
        ("encrypted", { $0.encryption = 2 }),
        ("encrypted", { $0.extensions = [0x05, 0x37, 0xbe, 0x77, 0, 0, 0, 16] + [UInt8](repeating: 0, count: 16) }),
        ("another file", { $0.incompatible = 4 }),
        ("another file", { $0.extensions = Array("DATA".utf8) + [0, 0, 0, 8] + Array("/etc/pas".utf8) }),
        (
            "another file",  // behind a harmless extension of odd length
            { $0.extensions = [0x68, 3, 0xf8, 0x57, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0] + Array("DATA".utf8) + [0, 0, 0, 0] }
        ),
        ("leaves its first cluster", { $0.extensions = [1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff] }),
        ("corrupt", { $0.incompatible = 2 }),
        ("not closed cleanly", { $0.incompatible = 1 }),
        ("not known", { $0.incompatible = 1 << 40 }),
        ("compressed in an unknown way", { ($0.incompatible, $0.compression) = (8, 2) }),
        ("compressed in an unknown way", { ($0.incompatible, $0.headerLength) = (8, 104) }),
        ("subclusters", { ($0.incompatible, $0.clusterBits, $0.size) = (16, 12, 1 << 20) }),
        ("snapshots", { $0.snapshots = 1 }),
        ("version", { $0.version = 4 }),
        ("cluster size", { $0.clusterBits = 8 }),
        ("cluster size", { $0.clusterBits = 64 }),
        ("impossible size", { $0.size = 0 }),
        ("impossible size", { $0.size = 1 << 63 }),
        ("first-level table", { $0.l1Entries = 1 }),
        ("first-level table", { $0.l1Entries = .max }),
        ("larger than", { ($0.size, $0.l1Entries) = (100 << 40, 204_800) }),
        ("reference table", { $0.refcountClusters = 0 }),
        ("reference table", { $0.refcountClusters = .max }),
        ("tables lie outside", { $0.l1Offset = 1 << 40 }),
        ("tables lie outside", { $0.l1Offset = .max << 16 }),
        ("tables lie outside", { $0.refcountOffset = 0 }),
        ("tables lie outside", { $0.refcountOffset = 0x10001 }),
        ("impossible header", { $0.headerLength = 105 }),
        ("impossible header", { $0.headerLength = 1 << 17 }),
        ("impossible header", { $0.refcountOrder = 7 }),
    ]

    @Test(arguments: forgeries)
    func forgedQCOW2(word: String, forge: @Sendable (inout QCOW2Forgery) -> Void) {
        var header = QCOW2Forgery()
        forge(&header)
        let fault = #expect(throws: Fault.self) { try header.read() }
        #expect(fault?.code == .badImage)
        #expect(fault?.message.contains(word) == true, "\(fault?.message ?? "")")
    }

    @Test func goodQCOW2() throws {
        #expect(try QCOW2Forgery().read().virtualSize == .gibibytes(1))
        #expect(try QCOW2Forgery(version: 2).read().virtualSize == .gibibytes(1))
        #expect(try QCOW2Forgery(incompatible: 8, compression: 1).read().virtualSize == .gibibytes(1))
        #expect(try QCOW2Forgery(l1Entries: 4, incompatible: 16).read().virtualSize == .gibibytes(1))
    }

    static let disks: [(String, @Sendable (inout VMDKForgery) -> Void)] = [
        ("parent", { $0.descriptor = $0.descriptor.replacingOccurrences(of: "=ffffffff", with: "=12345678") }),
        ("parent", { $0.descriptor += "parentFileNameHint = \"/etc/shadow\"\n" }),
        ("extents", { $0.descriptor += "RW 1 FLAT \"/etc/shadow\" 0\n" }),
        ("extents", { $0.descriptor = "createType=\"monolithicSparse\"\n" }),
        ("one file", { $0.descriptor = $0.descriptor.replacingOccurrences(of: "monolithicSparse", with: "twoGbMaxExtentSparse") }),
        ("only names of other files", { $0.capacity = 0 }),
        ("impossible size", { $0.capacity = 1 << 55 }),
        ("out of reach", { $0.descriptorSector = 0 }),
        ("out of reach", { $0.descriptorSector = .max }),
        ("version", { $0.version = 9 }),
    ]

    @Test(arguments: disks)
    func forgedVMDK(word: String, forge: @Sendable (inout VMDKForgery) -> Void) {
        var header = VMDKForgery()
        forge(&header)
        let fault = #expect(throws: Fault.self) { try Self.read(header.bytes) }
        #expect(fault?.message.contains(word) == true, "\(fault?.message ?? "")")
    }

    @Test func kindsAreTold() throws {
        try ImageHeader(format: .raw, virtualSize: .zero).check(suits: .disk)
        let fault = #expect(throws: Fault.self) { try ImageHeader(format: .gzip, virtualSize: .zero).check(suits: .disk) }
        #expect(fault?.message.contains("gunzip") == true)
        #expect(throws: Fault.self) { try ImageHeader(format: .raw, virtualSize: .zero).check(suits: .kernel) }
        #expect(throws: Fault.self) { try ImageHeader(format: .elf, virtualSize: .zero).check(suits: .ramdisk) }
    }

    /// Mutations of every header that is taken: never a trap, and what is still taken keeps its promises.
    @Test func fuzz() {
        let seed: UInt64 = 0x6b61_7272_6931
        var dice = Dice(seed: seed)
        let heads = Self.recognised.map { Array($0.1.prefix(700)) } + [Array(QCOW2Forgery(version: 2).bytes.prefix(700))]
        for round in 0..<20000 {
            var bytes = heads[Int(dice.next() % UInt64(heads.count))]
            for _ in 0...(dice.next() % 6) {
                let place = Int(dice.next() % UInt64(max(1, min(bytes.count, dice.next() % 2 == 0 ? 120 : 700))))
                switch dice.next() % 4 {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: dice.next())
                case 1: bytes[place] ^= 1 << UInt8(dice.next() % 8)
                case 2: bytes[place] = dice.next() % 2 == 0 ? 0xff : 0
                default: bytes = Array(bytes.prefix(max(1, place)))
                }
            }
            let fileSize =
                dice.next() % 3 == 0 ? Int64(bytes.count) : Int64(truncatingIfNeeded: dice.next() >> (dice.next() % 63 + 1))
            guard let header = try? ImageHeader.read(head: bytes, tail: Array(bytes.suffix(512)), fileSize: ByteCount(fileSize))
            else {
                continue
            }
            #expect(header.virtualSize.bytes > 0, "seed \(seed) round \(round)")
            if header.format.kinds == [.disk] {
                #expect(header.virtualSize <= ImageHeader.virtualSizeMax, "seed \(seed) round \(round)")
            }
            if header.format == .qcow2 {
                #expect(bytes[8..<20].allSatisfy { $0 == 0 }, "a backing name passed: seed \(seed) round \(round)")
            }
        }
    }
}
