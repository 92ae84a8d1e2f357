//  Bodies by stretches of a fixed length, each with a checksum: made as a body is written, compared before
//  a byte of it is sent.

import Checksums
import Model
import NIOCore
import Platform
import Synchronization

enum Stretches {
    /// What one checksum stands for.
    static let bytes = 128 << 10
    /// How much is read at once: some whole stretches.
    static let readBytes = 2 * bytes
}

/// The checksums of a body that is being written (CRC-32C).
struct StretchChecksums: Sendable {
    private var ended: [UInt32] = []
    /// What has come of the stretch that is not yet full.
    private var length = 0
    private var check: UInt32 = 0

    mutating func take(_ bytes: ByteBuffer) { bytes.withUnsafeReadableBytes { take($0) } }

    mutating func take(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(Stretches.bytes - length)
            check = CyclicChecksum.crc32c.extended(check, by: UnsafeRawBufferPointer(rebasing: part))
            length += part.count
            rest = rest.dropFirst(part.count)
            if length == Stretches.bytes { end() }
        }
    }

    private mutating func end() {
        ended.append(check)
        check = 0
        length = 0
    }

    /// All of them, once all bytes have come.
    mutating func finish() -> [UInt32] {
        if length > 0 { end() }
        return ended
    }

    /// As rows have them, four bytes each.
    static func bytes(of checksums: [UInt32]) -> [UInt8] {
        checksums.flatMap { sum in (0..<4).map { UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * $0)) } }
    }

    static func checksums(_ bytes: [UInt8]) -> [UInt32] {
        stride(from: 0, to: bytes.count - bytes.count % 4, by: 4).map { place in
            bytes[place..<place + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }
    }
}

/// Reads a part of a body that lies in a file, some stretches at a time.
final class StretchReader: Sendable {
    private struct State {
        var place: Int64
        /// What is read into by turns: one buffer is filled while the one before it is sent, and a buffer that
        /// is sent is filled anew.
        var buffers = [ByteBuffer(), ByteBuffer()]
        var turn = 0
    }

    private let file: OpenFile
    private let start: Int64
    private let size: Int64
    private let checksums: [UInt32]
    private let end: Int64
    private let state: Mutex<State>

    /// - Parameters:
    ///   - start: Where in the file the body begins, which has `size` bytes.
    ///   - range: What is read of the body.
    init(_ file: OpenFile, start: Int64, size: Int64, _ checksums: [UInt32], _ range: Range<Int64>) {
        self.file = file
        self.start = start
        self.size = size
        self.checksums = checksums
        end = range.upperBound
        state = Mutex(State(place: range.lowerBound))
    }

    var source: BodySource { BodySource { [self] () throws(Fault) in try await next() } }

    private func next() async throws(Fault) -> ByteBuffer? {
        let (place, spare) = state.withLock { state in
            let spare = state.buffers[state.turn]
            state.buffers[state.turn] = ByteBuffer()
            return (state.place, spare)
        }
        guard place < end else { return nil }
        let stretch = Int64(Stretches.bytes)
        let begin = place / stretch * stretch
        // No further than to the end of the stretch that holds the last byte.
        let last = min(size, (end + stretch - 1) / stretch * stretch)
        let length = min(Int64(Stretches.readBytes), last - begin)
        guard length > place - begin else { throw ObjectFaults.bodyIsDamaged }
        let buffer = try await read(Int(length), at: start + begin, spare)
        try check(buffer, from: Int(begin / stretch))
        let upTo = min(end, begin + length)
        state.withLock { state in
            state.place = upTo
            state.buffers[state.turn] = buffer
            state.turn = (state.turn + 1) % state.buffers.count
        }
        return buffer.getSlice(at: buffer.readerIndex + Int(place - begin), length: Int(upTo - place))
    }

    /// What is in memory is read at once; the disk is waited for elsewhere.
    private func read(_ length: Int, at place: Int64, _ spare: consuming ByteBuffer) async throws(Fault) -> ByteBuffer {
        var buffer = spare
        buffer.clear(minimumCapacity: length)
        try file.read(length, at: place, into: &buffer, mayBlock: false)
        if buffer.readableBytes < length {
            let file = file
            buffer = try await BlockingPool.run { () throws(Fault) in
                var whole = ByteBufferAllocator().buffer(capacity: length)
                try file.read(length, at: place, into: &whole, mayBlock: true)
                return whole
            }
        }
        guard buffer.readableBytes == length else { throw ObjectFaults.bodyIsDamaged }
        return buffer
    }

    /// Compares what was read with the checksums from the first stretch in it on.
    private func check(_ buffer: ByteBuffer, from first: Int) throws(Fault) {
        var found = StretchChecksums()
        found.take(buffer)
        let sums = found.finish()
        guard first + sums.count <= checksums.count, checksums[first..<first + sums.count].elementsEqual(sums) else {
            throw ObjectFaults.bodyIsDamaged
        }
    }
}
