//  The framing `aws-chunked`: chunks of a stated length, each with its signature where the body is
//  signed, then trailing headers. A state machine that is fed bytes and returns bytes; it does no I/O.

import AWSProtocol
import Crypto
import Model
import NIOCore

/// Takes a body's frames apart.
struct ChunkedDecoder {
    private enum State {
        case head
        case data(left: Int)
        case dataEnd
        case trailer
        case done
    }

    /// A chunk's head or a trailing header is no longer than this.
    static let lineBytesMax = 4096
    static let trailersMax = 16

    private var state = State.head
    private var line: [UInt8] = []
    private var chain: SignatureV4.ChunkChain?
    private let hasTrailer: Bool
    private var trailerIsSigned = false
    private var chunkHash = SHA256()
    private var chunkSignature = ""
    /// In lower case, as they came.
    private(set) var trailers: [(name: String, value: String)] = []

    /// - Parameters:
    ///   - chain: What the chunks are signed with; nil where they are not.
    ///   - hasTrailer: Whether headers follow the last chunk.
    init(chain: SignatureV4.ChunkChain?, hasTrailer: Bool) {
        self.chain = chain
        self.hasTrailer = hasTrailer
    }

    /// Takes what has come; returns what of it is the body's.
    mutating func take(_ bytes: ByteBuffer) throws(S3Error) -> [ByteBuffer] {
        var rest = bytes
        var found: [ByteBuffer] = []
        while rest.readableBytes > 0 {
            if case .data(let left) = state {
                guard let piece = rest.readSlice(length: min(left, rest.readableBytes)) else { break }
                if chain != nil { piece.withUnsafeReadableBytes { chunkHash.update(bufferPointer: $0) } }
                found.append(piece)
                state = piece.readableBytes == left ? .dataEnd : .data(left: left - piece.readableBytes)
            } else if let byte = rest.readInteger(as: UInt8.self) {
                try take(byte)
            }
        }
        return found
    }

    /// To be called when no more bytes come.
    func finish() throws(S3Error) {
        guard case .done = state else { throw .incompleteBody }
    }

    private mutating func take(_ byte: UInt8) throws(S3Error) {
        if case .done = state { throw .malformedChunks }
        guard byte == UInt8(ascii: "\n") else {
            guard line.count < ChunkedDecoder.lineBytesMax else { throw .malformedChunks }
            line.append(byte)
            return
        }
        guard line.popLast() == UInt8(ascii: "\r") else { throw .malformedChunks }
        let text = String(decoding: line, as: UTF8.self)
        line = []
        switch state {
        case .head: try beginChunk(text)
        case .dataEnd:
            guard text.isEmpty else { throw .malformedChunks }
            try endChunk()
            state = .head
        case .trailer: try takeTrailer(text)
        case .data, .done: throw .malformedChunks
        }
    }

    /// `400;chunk-signature=ad80…`
    private mutating func beginChunk(_ text: String) throws(S3Error) {
        let parts = text.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        guard (1...8).contains(parts[0].utf8.count), parts[0].utf8.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
            let length = Int(parts[0], radix: 16)
        else { throw .malformedChunks }
        if chain != nil {
            let label = "chunk-signature="
            guard parts.count == 2, parts[1].hasPrefix(label) else { throw .malformedChunks }
            chunkSignature = String(parts[1].dropFirst(label.utf8.count))
        }
        guard length == 0 else {
            state = .data(left: length)
            return
        }
        try endChunk()
        state = .trailer
    }

    private mutating func endChunk() throws(S3Error) {
        guard chain != nil else { return }
        let hash = hexDigits(Array(chunkHash.finalize()))
        chunkHash = SHA256()
        guard chain?.accepts(chunkSignature, hash: hash) == true else { throw S3Error(.signatureDoesNotMatch()) }
    }

    private mutating func takeTrailer(_ text: String) throws(S3Error) {
        guard !text.isEmpty else {
            // Unsigned trailers could be anybody's.
            guard chain == nil || !hasTrailer || trailerIsSigned else { throw S3Error(.signatureDoesNotMatch()) }
            state = .done
            return
        }
        guard hasTrailer, !trailerIsSigned, trailers.count < ChunkedDecoder.trailersMax, let colon = text.firstIndex(of: ":") else {
            throw .malformedChunks
        }
        let name = text[..<colon].lowercased()
        let value = String(text[text.index(after: colon)...].drop { $0 == " " })
        guard name == "x-amz-trailer-signature" else {
            trailers.append((name, value))
            return
        }
        let lines = trailers.map { "\($0.name):\($0.value)\n" }.joined()
        let hash = hexDigits(Array(SHA256.hash(data: Array(lines.utf8))))
        guard chain?.acceptsTrailer(value, hash: hash) ?? true else { throw S3Error(.signatureDoesNotMatch()) }
        trailerIsSigned = true
    }
}
