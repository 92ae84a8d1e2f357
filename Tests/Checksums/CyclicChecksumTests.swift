//  Published check values, and the same result however the bytes are cut.

import Testing

@testable import Checksums

@Suite struct CyclicChecksumTests {
    /// The "check" of the catalogue of parametrised CRC algorithms: of the digits one to nine.
    @Test func publishedValues() {
        let digits = Array("123456789".utf8)
        #expect(CyclicChecksum.crc32.check(of: digits) == 0xcbf4_3926)
        #expect(CyclicChecksum.crc32c.check(of: digits) == 0xe306_9283)
        #expect(CyclicChecksum.crc64NVME.check(of: digits) == 0xae8b_1486_0a79_9888)
        #expect(CyclicChecksum.crc32c.check(of: [UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(CyclicChecksum.crc32c.check(of: [UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(CyclicChecksum.crc32.check(of: []) == 0)
    }

    /// Folding and the tables agree.
    @Test func bothWaysToOneCheck() {
        let bytes = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 41 ^ $0 >> 7) }
        func agree<Word>(_ kind: CyclicChecksum<Word>, _ byTables: CyclicChecksum<Word>) {
            for start in [0, 1, 7] {
                for count in [0, 1, 7, 8, 9, 15, 16, 63, 64, 65, 79, 80, 81, 127, 128, 129, 191, 192, 255, 256, 2900] {
                    let piece = bytes[start..<start + count]
                    #expect(kind.check(of: piece) == byTables.check(of: piece), "\(count) bytes")
                    let after = kind.check(of: bytes[..<start])
                    #expect(piece.withUnsafeBytes { kind.extended(after, by: $0) == byTables.extended(after, by: $0) })
                }
            }
        }
        agree(.crc32, CyclicChecksum(reflected: 0xedb8_8320, folds: false))
        agree(.crc32c, CyclicChecksum(reflected: 0x82f6_3b78, folds: false))
        agree(.crc64NVME, CyclicChecksum(reflected: 0x9a6c_9329_ac4b_c9b5, folds: false))
    }

    @Test(arguments: [0, 1, 5, 100, 255, 256, 1000])
    func checksAreJoined(cut: Int) {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 41 ^ $0 >> 3) }
        func joins<Word>(_ kind: CyclicChecksum<Word>) -> Bool {
            let (first, second) = (kind.check(of: bytes[..<cut]), kind.check(of: bytes[cut...]))
            return kind.joined(first, second, secondBytes: Int64(bytes.count - cut)) == kind.check(of: bytes)
        }
        #expect(joins(CyclicChecksum.crc32) && joins(CyclicChecksum.crc32c) && joins(CyclicChecksum.crc64NVME))
    }

    @Test func piecesAreAsGoodAsTheWhole() {
        let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        let whole = CyclicChecksum.crc64NVME.check(of: bytes)
        for cut in 0...bytes.count {
            let first = CyclicChecksum.crc64NVME.check(of: bytes[..<cut])
            let both = bytes[cut...].withUnsafeBytes { CyclicChecksum.crc64NVME.extended(first, by: $0) }
            #expect(both == whole)
        }
        #expect(CyclicChecksum.crc32.check(of: AnySequence(bytes)) == CyclicChecksum.crc32.check(of: bytes))
    }
}
