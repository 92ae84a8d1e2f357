//  The MD5 of a body as it comes, which is its entity tag. A long one's is made beside, while what it is made
//  of is written.

import Checksums
import Model
import NIOCore
import Platform

/// Hashes one body in order.
struct BodyHash {
    /// A longer body is hashed beside, so much of it at once: while one batch is hashed, the next is gathered.
    private static let shortBytesMax: Int64 = 128 << 10
    private static let batchBytes = 256 << 10

    private var short = MD5()
    private let long: LongHash?
    private var gathered: [ByteBuffer] = []
    private var gatheredBytes = 0

    /// - Parameters:
    ///   - size: How long the body is, where that is known.
    ///   - lanes: Where a long one is hashed.
    init(size: Int64?, by lanes: HashLanes) {
        long = size.map { $0 <= BodyHash.shortBytesMax } ?? false ? nil : LongHash(lanes)
    }

    /// Takes the next bytes; where much waits to be hashed, once that is done.
    mutating func take(_ piece: ByteBuffer) async {
        guard let long else { return piece.withUnsafeReadableBytes { short.take($0) } }
        gathered.append(piece)
        gatheredBytes += piece.readableBytes
        guard gatheredBytes >= BodyHash.batchBytes else { return }
        let batch = gathered
        (gathered, gatheredBytes) = ([], 0)
        await long.take(batch)
    }

    /// In hex.
    func finish() async -> String {
        guard let long else { return hexDigits(short.finish()) }
        await long.take(gathered)
        return hexDigits(await long.digest().finish())
    }
}

/// The digest of a long body, which the lanes take the next bytes into while more of them come.
private struct LongHash: Sendable {
    private let lanes: HashLanes
    private let stage = PipelineStage(MD5())

    init(_ lanes: HashLanes) { self.lanes = lanes }

    /// Has the lanes take the next bytes, once they have taken those before.
    func take(_ pieces: [ByteBuffer]) async {
        let digest = await digest()
        stage.begin { done in lanes.take(pieces, into: digest, answer: done) }
    }

    /// Of all that was taken.
    func digest() async -> MD5 { await stage.value() }
}
