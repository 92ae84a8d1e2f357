//  The MD5 of a body as it comes, which is its entity tag. A long one's is made on a thread of its own,
//  while what it is made of is written.

import Crypto
import Model
import NIOCore
import Platform

/// Hashes one body in order.
struct BodyHash {
    /// A longer body is hashed on a thread of its own, so much of it at once.
    private static let shortBytesMax: Int64 = 128 << 10
    private static let batchBytes = 512 << 10

    private var short = Insecure.MD5()
    private let long: LongHash?
    private var gathered: [ByteBuffer] = []
    private var gatheredBytes = 0

    /// - Parameter size: How long the body is, where that is known.
    init(size: Int64?) { long = size.map { $0 <= BodyHash.shortBytesMax } ?? false ? nil : LongHash() }

    /// Takes the next bytes.
    ///
    /// - Returns: What is to be hashed before the next are taken.
    mutating func take(_ piece: ByteBuffer) -> HashBatch? {
        guard let long else {
            piece.withUnsafeReadableBytes { short.update(bufferPointer: $0) }
            return nil
        }
        gathered.append(piece)
        gatheredBytes += piece.readableBytes
        guard gatheredBytes >= BodyHash.batchBytes else { return nil }
        defer { (gathered, gatheredBytes) = ([], 0) }
        return HashBatch(hash: long, pieces: gathered)
    }

    /// In hex.
    func finish() async -> String {
        guard let long else { return hexDigits(short.finalize()) }
        await long.take(gathered)
        return await long.finish()
    }
}

/// Some of a long body, in order.
struct HashBatch: Sendable {
    fileprivate let hash: LongHash
    fileprivate let pieces: [ByteBuffer]

    func run() async { await hash.take(pieces) }
}

private actor LongHash {
    private var hash = Insecure.MD5()
    private let executor = BlockingExecutor(name: "karri.objects.hash")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func take(_ pieces: [ByteBuffer]) {
        for piece in pieces { piece.withUnsafeReadableBytes { hash.update(bufferPointer: $0) } }
    }

    func finish() -> String { hexDigits(hash.finalize()) }
}
