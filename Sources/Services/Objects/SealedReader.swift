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
        let bytes = BodyCutter(sealed: try await backend.read(body, piece.start..<end, in: bucket))
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
    private let stream: BodyCutter
    private let state: Mutex<(next: Int, salt: [UInt8]?, opener: BodyOpener?)>

    /// - Parameters:
    ///   - salt: The first piece's, where `bytes` do not begin with it.
    ///   - bytes: From the first byte that is wanted to the last.
    init(key: SymmetricKey, salt: [UInt8]?, pieces: [SealedPiece], _ bytes: BodySource) {
        self.key = key
        self.pieces = pieces
        stream = BodyCutter(sealed: bytes)
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
                key, salt: salt, source: stream.piece(sealed.upperBound - sealed.lowerBound), range: wanted.part)
            state.withLock { $0 = (next + 1, nil, begun) }
        }
    }
}

extension BodyCutter {
    /// Of sealed bytes, which the backend has all of.
    fileprivate convenience init(sealed source: BodySource) { self.init(source, short: ObjectFaults.bodyIsDamaged) }

    /// What a sealed piece begins with.
    fileprivate func salt() async throws(Fault) -> [UInt8] {
        let bytes = piece(Int64(SealedBytes.saltBytes)).makeAsyncIterator()
        var salt: [UInt8] = []
        while let some = try await bytes.next() { salt += some.readableBytesView }
        return salt
    }
}
