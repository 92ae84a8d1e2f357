//  Cuts the bytes of a body where its parts end, as they come.

import Model
import NIOCore
import ObjectStorage
import Synchronization

final class BodyCutter: Sendable {
    private let source: BodySource.Iterator
    private let short: Fault
    /// What has come and belongs to the next part.
    private let waiting = Mutex(ByteBuffer())

    /// - Parameter short: What is thrown where the bytes end before those that are asked for.
    init(_ source: BodySource, short: Fault) {
        self.source = source.makeAsyncIterator()
        self.short = short
    }

    /// The next so many bytes, to be read to their end before others are.
    func piece(_ size: Int64) -> BodySource {
        let left = Mutex(size)
        return BodySource { [self] () throws(Fault) in
            let wanted = left.withLock(\.self)
            guard wanted > 0 else { return nil }
            let bytes = try await next(Int(clamping: wanted))
            left.withLock { $0 -= Int64(bytes.readableBytes) }
            return bytes
        }
    }

    /// Whether nothing is left; what the source throws at its end is thrown.
    func isAtEnd() async throws(Fault) -> Bool {
        guard waiting.withLock({ $0.readableBytes == 0 }) else { return false }
        while let more = try await source.next() { if more.readableBytes > 0 { return false } }
        return true
    }

    private func next(_ most: Int) async throws(Fault) -> ByteBuffer {
        var bytes = waiting.withLock { waiting in
            defer { waiting = ByteBuffer() }
            return waiting
        }
        while bytes.readableBytes == 0 {
            guard let more = try await source.next() else { throw short }
            bytes = more
        }
        let head = bytes.readSlice(length: min(most, bytes.readableBytes)) ?? ByteBuffer()
        let rest = bytes
        waiting.withLock { $0 = rest }
        return head
    }
}
