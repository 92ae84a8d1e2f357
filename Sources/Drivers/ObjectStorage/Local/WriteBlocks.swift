//  Writing large bodies past the kernel's page cache. They are read seldom and late, and would push out of
//  memory what is read with every request; a copy into the cache also costs more than the writing itself.

import Model
import NIOCore
import Synchronization

/// Memory that files are written from as it is: the kernel wants it aligned, and so much of it at a time.
final class WriteBlocks: Sendable {
    /// What places in files, and what is written, are multiples of.
    static let alignment = 4096
    static let blockBytes = 512 << 10
    /// How many are kept for the next writer.
    private static let spareMax = 8

    private let spare = Mutex<[WriteBlock]>([])

    /// Writes bytes at a place that is a multiple of `alignment`. Where they end at none, zeros follow up to it.
    ///
    /// - Parameter passing: Is shown all of them, in order.
    func write(
        _ pieces: [ByteBuffer], to file: OpenFile, at place: Int64, passing: (UnsafeRawBufferPointer) -> Void = { _ in }
    ) throws(Fault) {
        let block = spare.withLock { $0.popLast() } ?? WriteBlock()
        defer { spare.withLock { if $0.count < WriteBlocks.spareMax { $0.append(block) } } }
        block.clear()
        var place = place
        for piece in pieces {
            var left = piece
            while left.readableBytes > 0 {
                left.moveReaderIndex(forwardBy: left.withUnsafeReadableBytes(block.fill))
                guard block.isFull else { continue }
                passing(block.filled)
                try file.write(block.filled, at: place)
                place += Int64(WriteBlocks.blockBytes)
                block.clear()
            }
        }
        passing(block.filled)
        try file.write(block.padded(), at: place)
    }

    /// The next multiple of `alignment`.
    static func aligned(_ place: Int64) -> Int64 {
        (place + Int64(alignment) - 1) / Int64(alignment) * Int64(alignment)
    }
}

/// One block of it, which one writer at a time has: hence it may go from thread to thread.
private final class WriteBlock: @unchecked Sendable {
    private let memory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: WriteBlocks.blockBytes, alignment: WriteBlocks.alignment)
    private var count = 0

    deinit { memory.deallocate() }

    var isFull: Bool { count == memory.count }
    var filled: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    func clear() { count = 0 }

    /// - Returns: How many of the bytes it had room for.
    func fill(_ bytes: UnsafeRawBufferPointer) -> Int {
        let taken = bytes.prefix(memory.count - count)
        UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyBytes(from: taken)
        count += taken.count
        return taken.count
    }

    /// What is filled, and zeros up to where a multiple of the alignment ends.
    func padded() -> UnsafeRawBufferPointer {
        while count % WriteBlocks.alignment != 0 {
            memory[count] = 0
            count += 1
        }
        return filled
    }
}
