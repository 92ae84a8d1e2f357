//  What is stored already as a body that is stored anew.

import FoundationEssentials
import Model
import NIOCore
import ObjectStorage
import Synchronization

/// A copy's bytes, with a checksum that is made of them where one is wanted.
final class StoredObjectBody: ObjectBody {
    typealias Element = ByteBuffer

    private let source: BodySource
    private let running = Mutex<(algorithm: ChecksumAlgorithm, sum: RunningChecksum)?>(nil)

    init(source: BodySource) { self.source = source }

    func makeChecksum(_ name: String) {
        guard let algorithm = ChecksumAlgorithm(header: name) else { return }
        running.withLock { running in if running == nil { running = (algorithm, RunningChecksum(algorithm)) } }
    }

    var checksum: (name: String, value: String)? {
        running.withLock { running in
            running.map { ($0.algorithm.header, Data($0.sum.bytes).base64EncodedString()) }
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(body: self, source: source.makeAsyncIterator()) }

    struct Iterator: AsyncIteratorProtocol {
        fileprivate let body: StoredObjectBody
        fileprivate let source: BodySource.Iterator

        func next() async throws(Fault) -> ByteBuffer? {
            guard let piece = try await source.next() else { return nil }
            body.running.withLock { running in piece.withUnsafeReadableBytes { running?.sum.take($0) } }
            return piece
        }
    }
}
