//  Entity tags of bodies that come in side by side, in pieces of any length.

import Crypto
import Model
import NIOCore
import Testing

@testable import Objects

@Suite struct BodyHashTests {
    /// More bodies than there are lanes, of lengths about those at which a body counts as long and at which it is handed over.
    @Test func bodiesSideBySide() async {
        let lanes = HashLanes()
        let lengths = [0, 1, 63, 64, 131_072, 131_073, 524_288, 524_289, 700_001, 1_300_000]
        let sizes = (0..<40).map { lengths[$0 % lengths.count] + $0 / lengths.count }
        let wrong = await withTaskGroup(of: Int?.self) { group in
            for (number, size) in sizes.enumerated() {
                group.addTask {
                    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* (number + 3) ^ $0 >> 9) }
                    var hash = BodyHash(size: number % 2 == 0 ? Int64(size) : nil, by: lanes)
                    let step = [1000, 4096, 65_536, 65_537][number % 4]
                    for place in stride(from: 0, to: size, by: step) {
                        await hash.take(ByteBuffer(bytes: bytes[place..<min(place + step, size)]))
                    }
                    return await hash.finish() == hexDigits(Array(Insecure.MD5.hash(data: bytes))) ? nil : size
                }
            }
            return await group.reduce(into: []) { if let size = $1 { $0.append(size) } }
        }
        #expect(wrong.isEmpty)
    }
}
