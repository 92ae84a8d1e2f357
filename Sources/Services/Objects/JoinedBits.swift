//  Puts the bits together in which a slow sender's body comes. Each of them keeps the whole buffer alive into
//  which it was received, and is kept until so much has come that it is hashed and written.

import NIOCore

/// A body in pieces of some length, unless it is short.
struct JoinedBits<Base: AsyncSequence>: AsyncSequence where Base.Element == ByteBuffer {
    typealias Element = ByteBuffer

    let base: Base

    init(_ base: Base) { self.base = base }

    func makeAsyncIterator() -> Iterator { Iterator(base: base.makeAsyncIterator()) }

    struct Iterator: AsyncIteratorProtocol {
        /// Shorter pieces are bits.
        private static var bitBytes: Int { 8 << 10 }
        /// So much of bits is a piece.
        private static var pieceBytes: Int { 64 << 10 }

        private var base: Base.AsyncIterator
        /// The bits that have come. One alone is not copied.
        private var bits: ByteBuffer?
        /// A piece that came behind bits.
        private var behind: ByteBuffer?
        private var isAtEnd = false

        fileprivate init(base: Base.AsyncIterator) { self.base = base }

        mutating func next() async throws -> ByteBuffer? {
            if let piece = behind.take() { return piece }
            while !isAtEnd {
                guard let piece = try await base.next() else {
                    isAtEnd = true
                    break
                }
                guard piece.readableBytes < Iterator.bitBytes else {
                    guard let joined = bits.take() else { return piece }
                    behind = piece
                    return joined
                }
                if var joined = bits.take() {
                    joined.writeImmutableBuffer(piece)
                    bits = joined
                } else {
                    bits = piece
                }
                if let joined = bits, joined.readableBytes >= Iterator.pieceBytes { return bits.take() }
            }
            return bits.take()
        }
    }
}
