//  Reads a stretch of a sealed object, whose parts were each sealed by itself: one reading of the backend,
//  from the first byte that is wanted to the last, which is opened part by part as it comes.

import Crypto
import Model
import NIOCore
import ObjectStorage
import Synchronization

extension ObjectsService {
    /// Opens a stretch of a sealed body.
    func readSealed(
        _ found: StoredObject, _ body: BodyReference, _ range: Range<Int64>, _ key: SymmetricKey
    ) async throws(Fault) -> BodySource {
        let whole = ObjectPart(number: 1, start: 0, size: SealedBytes.sealedLength(of: found.version.size))
        let pieces = found.version.detail.parts == nil ? [whole] : try await backend.pieces(of: body, in: found.bucket)
        var plainStart: Int64 = 0
        let touched = pieces.compactMap { piece in
            let length = SealedBytes.plainLength(of: piece.size)
            let part = (range.lowerBound - plainStart..<range.upperBound - plainStart).clamped(to: 0..<length)
            plainStart += length
            return part.isEmpty ? nil : SealedPiece(piece: piece, length: length, part: part)
        }
        guard let first = touched.first, let last = touched.last else { return BodySource([]) }
        let sealed = SealedBytes.sealedRange(of: first.part, in: first.length)
        let isFromFront = sealed.lowerBound == Int64(SealedBytes.saltBytes)
        let salt = isFromFront ? nil : try await salt(of: first.piece, body, in: found.bucket)
        let start = first.piece.start + (isFromFront ? 0 : sealed.lowerBound)
        let end = last.piece.start + SealedBytes.sealedRange(of: last.part, in: last.length).upperBound
        // All that is wanted in one reading, which goes on whatever becomes of the version.
        let bytes = try await backend.read(body, start..<end, in: found.bucket)
        let reader = SealedReader(key: key, salt: salt, pieces: touched, bytes)
        return BodySource { () throws(Fault) in try await reader.next() }
    }

    private func salt(of piece: ObjectPart, _ body: BodyReference, in bucket: Bucket) async throws(Fault) -> [UInt8] {
        let end = piece.start + Int64(SealedBytes.saltBytes)
        let bytes = SealedStream(try await backend.read(body, piece.start..<end, in: bucket))
        return try await bytes.salt()
    }
}

/// What is wanted of one sealed piece of a body.
private struct SealedPiece: Sendable {
    var piece: ObjectPart
    /// Of the whole piece, in plain bytes.
    var length: Int64
    /// In plain bytes; not empty.
    var part: Range<Int64>
}

/// Opens sealed pieces that lie one after the other: none but the last of a body is empty.
private final class SealedReader: Sendable {
    private let key: SymmetricKey
    private let pieces: [SealedPiece]
    private let stream: SealedStream
    private let state: Mutex<(next: Int, salt: [UInt8]?, opener: BodyOpener?)>

    /// - Parameters:
    ///   - salt: The first piece's, where `bytes` do not begin with it.
    ///   - bytes: From the first byte that is wanted to the last.
    init(key: SymmetricKey, salt: [UInt8]?, pieces: [SealedPiece], _ bytes: BodySource) {
        self.key = key
        self.pieces = pieces
        stream = SealedStream(bytes)
        state = Mutex((0, salt, nil))
    }

    func next() async throws(Fault) -> ByteBuffer? {
        while true {
            let (next, known, opener) = state.withLock(\.self)
            if let opener, let bytes = try await opener.next() { return bytes }
            guard next < pieces.count else { return nil }
            let wanted = pieces[next]
            var salt = known ?? []
            if known == nil { salt = try await stream.salt() }
            let sealed = SealedBytes.sealedRange(of: wanted.part, in: wanted.length)
            let begun = BodyOpener(
                key, salt: salt, source: stream.next(sealed.upperBound - sealed.lowerBound), range: wanted.part)
            state.withLock { $0 = (next + 1, nil, begun) }
        }
    }
}

/// Sealed bytes, so many at a time.
private final class SealedStream: Sendable {
    private let source: BodySource.Iterator
    private let waiting = Mutex<ByteBuffer?>(nil)

    init(_ source: BodySource) { self.source = source.makeAsyncIterator() }

    func salt() async throws(Fault) -> [UInt8] {
        let bytes = next(Int64(SealedBytes.saltBytes)).makeAsyncIterator()
        var salt: [UInt8] = []
        while let piece = try await bytes.next() { salt += piece.readableBytesView }
        return salt
    }

    /// The next so many bytes.
    func next(_ count: Int64) -> BodySource {
        let left = SealedStretch(of: self, count)
        return BodySource { () throws(Fault) in try await left.next() }
    }

    /// Some of the bytes that come next, so many at most.
    fileprivate func some(_ most: Int64) async throws(Fault) -> ByteBuffer? {
        let kept = waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        var bytes = kept
        if bytes == nil { bytes = try await source.next() }
        guard var bytes else { return nil }
        let taken = bytes.readSlice(length: min(bytes.readableBytes, Int(clamping: most)))
        if bytes.readableBytes > 0 { waiting.withLock { [bytes] in $0 = bytes } }
        return taken
    }
}

/// So many bytes of a stream.
private final class SealedStretch: Sendable {
    private let stream: SealedStream
    private let left: Mutex<Int64>

    init(of stream: SealedStream, _ count: Int64) {
        self.stream = stream
        left = Mutex(count)
    }

    func next() async throws(Fault) -> ByteBuffer? {
        let most = left.withLock(\.self)
        guard most > 0, let bytes = try await stream.some(most) else { return nil }
        left.withLock { $0 -= Int64(bytes.readableBytes) }
        return bytes
    }
}
