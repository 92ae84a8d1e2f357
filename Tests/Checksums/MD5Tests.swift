//  The standard's own digests, and the same result however the bytes are cut and whatever is made beside.

import CChecksums
import Testing

@testable import Checksums

@Suite struct MD5Tests {
    private static func digest(of bytes: some Collection<UInt8>) -> [UInt8] {
        var digest = MD5()
        Array(bytes).withUnsafeBytes { digest.take($0) }
        return digest.finish()
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String(UInt16($0) + 0x100, radix: 16).dropFirst() }.joined()
    }

    private static let bytes = (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 41 ^ $0 >> 7) }

    /// RFC 1321, appendix A.5.
    @Test(arguments: [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("a", "0cc175b9c0f1b6a831c399e269772661"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a"
        ),
    ])
    func publishedValues(text: String, digest: String) {
        #expect(MD5Tests.hex(MD5Tests.digest(of: text.utf8)) == digest)
    }

    /// Every length about a block's, where the end needs one more block or none: the digest of all digests, as Python's
    /// hashlib makes it.
    @Test func everyLengthOfTheLastBlock() {
        let digests = (0...260).flatMap { MD5Tests.digest(of: MD5Tests.bytes[..<$0]) }
        #expect(MD5Tests.hex(MD5Tests.digest(of: digests)) == "f17e1a6030a20e34c2d86c409a27ad23")
    }

    @Test func piecesAreAsGoodAsTheWhole() {
        let whole = MD5Tests.digest(of: MD5Tests.bytes[..<200])
        for cut in 0...200 {
            for second in stride(from: cut, through: 200, by: 23) {
                var digest = MD5()
                for piece in [MD5Tests.bytes[..<cut], MD5Tests.bytes[cut..<second], MD5Tests.bytes[second..<200]] {
                    piece.withUnsafeBytes { digest.take($0) }
                }
                #expect(digest.finish() == whole, "cut at \(cut) and \(second)")
            }
        }
    }

    /// Lanes of different lengths, begun at different places of a block, each done when its own bytes are.
    @Test(arguments: 1...MD5Lane.countMax, 0...karri_md5_widest())
    func lanesDoNotTouchOneAnother(count: Int, instructions: Int32) {
        let pieces = (0..<count).map { lane in MD5Tests.bytes[(lane * 3)..<(lane * 3 + 1 + (count - lane) * 150)] }
        let heads = pieces.indices.map { $0 * 7 % 70 }
        MD5Tests.bytes.withUnsafeBytes { all in
            var waiting = pieces.indices.map { lane in
                let (piece, head) = (pieces[lane], min(heads[lane], pieces[lane].count))
                var digest = MD5()
                digest.take(UnsafeRawBufferPointer(rebasing: all[piece.startIndex..<piece.startIndex + head]))
                var lane = MD5Lane(digest)
                lane.take(UnsafeRawBufferPointer(rebasing: all[piece.startIndex + head..<piece.endIndex]))
                return lane
            }
            while true {
                let going = waiting.indices.filter { !waiting[$0].isDone }
                if going.isEmpty { break }
                var lanes = going.map { waiting[$0] }
                MD5Lane.advance(&lanes, by: instructions)
                for (lane, index) in zip(lanes, going) { waiting[index] = lane }
            }
            for (lane, piece) in zip(waiting, pieces) {
                #expect(lane.digest.finish() == MD5Tests.digest(of: piece), "\(piece.count) bytes")
            }
        }
    }
}
