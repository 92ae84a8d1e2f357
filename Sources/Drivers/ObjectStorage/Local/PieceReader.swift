//  Bodies of parts, read as one.

import Model
import NIOCore
import Synchronization

/// Reads a stretch of a body of parts, one part after the other, each opened when the one before it has ended.
final class PieceReader: Sendable {
    typealias Placed = (start: Int64, piece: BodyPiece)

    private let shard: Shard
    private let pieces: [Placed]
    private let range: Range<Int64>
    private let hold: ReadHold
    private let state = Mutex((next: 0, current: BodySource?.none))

    /// - Parameter pieces: Those that the range touches, with where each begins.
    init(_ shard: Shard, _ pieces: [Placed], _ range: Range<Int64>, _ hold: ReadHold) {
        self.shard = shard
        self.pieces = pieces
        self.range = range
        self.hold = hold
    }

    var source: BodySource { BodySource { [self] () throws(Fault) in try await next() } }

    private func next() async throws(Fault) -> ByteBuffer? {
        while true {
            let (next, current) = state.withLock(\.self)
            if let bytes = try await current?.makeAsyncIterator().next() { return bytes }
            guard next < pieces.count else { return nil }
            let (start, piece) = pieces[next]
            let part = (range.lowerBound - start..<range.upperBound - start).clamped(to: 0..<piece.size)
            let begun = try await shard.read(piece.body, part)
            state.withLock { $0 = (next + 1, begun) }
        }
    }
}
