//  The MD5 of a body as it comes, which is its entity tag. A long one's is made beside, while what it is made
//  of is written.

import Checksums
import Model
import NIOCore
import Synchronization

/// Hashes one body in order.
struct BodyHash {
    /// A longer body is hashed beside, so much of it at once.
    private static let shortBytesMax: Int64 = 128 << 10
    private static let batchBytes = 512 << 10

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

    /// Takes the next bytes.
    ///
    /// - Returns: What is to be hashed before the next are taken.
    mutating func take(_ piece: ByteBuffer) -> HashBatch? {
        guard let long else {
            piece.withUnsafeReadableBytes { short.take($0) }
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
        guard let long else { return hexDigits(short.finish()) }
        await long.take(gathered)
        return hexDigits(long.digest.finish())
    }
}

/// Some of a long body, in order.
struct HashBatch: Sendable {
    fileprivate let hash: LongHash
    fileprivate let pieces: [ByteBuffer]

    func run() async { await hash.take(pieces) }
}

/// The digest of a long body, some of which is taken at a time.
private final class LongHash: Sendable {
    private let lanes: HashLanes
    private let made = Mutex(MD5())

    init(_ lanes: HashLanes) { self.lanes = lanes }

    var digest: MD5 { made.withLock(\.self) }

    func take(_ pieces: [ByteBuffer]) async {
        let digest = await lanes.take(pieces, into: digest)
        made.withLock { $0 = digest }
    }
}
