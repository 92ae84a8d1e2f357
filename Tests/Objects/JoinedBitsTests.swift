//  Bodies that come in bits: all of their bytes in order, in few buffers that are no larger than what is in them.

import Model
import NIOCore
import Testing

@testable import Objects

@Suite struct JoinedBitsTests {
    /// Pieces, and then perhaps a fault; nobody may ask for more.
    private struct Pieces: AsyncSequence, AsyncIteratorProtocol {
        var left: [ByteBuffer]
        var fault: Fault?
        var hasEnded = false

        func makeAsyncIterator() -> Pieces { self }

        mutating func next() async throws -> ByteBuffer? {
            #expect(!hasEnded)
            if !left.isEmpty { return left.removeFirst() }
            hasEnded = true
            if let fault { throw fault }
            return nil
        }
    }

    /// Some bytes in a buffer that was made for more.
    private func piece(_ bytes: some Sequence<UInt8>, room: Int = 2048) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: room)
        buffer.writeBytes(bytes)
        return buffer
    }

    private func joined(_ pieces: [ByteBuffer]) async throws -> [ByteBuffer] {
        var found: [ByteBuffer] = []
        for try await piece in JoinedBits(Pieces(left: pieces)) { found.append(piece) }
        return found
    }

    @Test func singleBytes() async throws {
        let bytes = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let found = try await joined(bytes.map { piece([$0]) })
        #expect(found.map(\.readableBytes) == [65_536, 65_536, 18_928])
        #expect(found.flatMap { Array($0.readableBytesView) } == bytes)
        #expect(found.allSatisfy { $0.storageCapacity <= 2 * $0.readableBytes })
    }

    /// Lengths of what comes, and of what it becomes.
    @Test(arguments: [
        ([], []), ([0], [0]), ([100], [100]), ([100, 0, 1], [101]), ([8192, 8192], [8192, 8192]),
        ([8191, 8191, 70_000, 1, 2, 9000, 3], [16_382, 70_000, 3, 9000, 3]),
        (Array(repeating: 8000, count: 10), [72_000, 8000]),
    ])
    func lengths(come: [Int], become: [Int]) async throws {
        let pieces = come.enumerated().map { place, count in piece((0..<count).map { UInt8(truncatingIfNeeded: $0 + place) }) }
        let found = try await joined(pieces)
        #expect(found.map(\.readableBytes) == become)
        #expect(found.flatMap { Array($0.readableBytesView) } == pieces.flatMap { Array($0.readableBytesView) })
    }

    /// A body that comes whole is not copied.
    @Test func onePieceStaysAsItIs() async throws {
        let alone = piece([1, 2, 3])
        let found = try await joined([alone])
        let address = { (buffer: ByteBuffer) in buffer.withUnsafeReadableBytes { $0.baseAddress } }
        #expect(found.map(address) == [address(alone)])
    }

    @Test func whatFailsIsSaid() async {
        let pieces = Pieces(left: [piece([1]), piece([2])], fault: Fault(.malformedRequest, "broken off"))
        await #expect(throws: Fault.self) { for try await _ in JoinedBits(pieces) {} }
    }
}
