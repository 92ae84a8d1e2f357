//  A request's body as the service takes it: asked for when it is wanted, out of its frames, and checked
//  by the time it ends.

import Hummingbird
import Model
import NIOCore
import Objects
import Synchronization

/// The bytes of an upload. One reader reads it once.
final class S3Body: ObjectBody {
    typealias Element = ByteBuffer

    private struct State {
        var decoder: ChunkedDecoder?
        var checks: BodyChecks
        /// How many bytes the client has said will come.
        var left: Int64?
        var kept: (name: String, value: String)?
        var refusal: S3Error?
    }

    private let raw: RequestBody
    private let state: Mutex<State>
    /// Tells a client that waits with its body that it may send it.
    private let invite: @Sendable () async -> Void

    init(
        _ raw: RequestBody, decoder: ChunkedDecoder?, checks: BodyChecks, length: Int64?,
        invite: @escaping @Sendable () async -> Void
    ) {
        self.raw = raw
        self.invite = invite
        state = Mutex(State(decoder: decoder, checks: checks, left: length))
    }

    /// What the body was refused for, if it was.
    var refusal: S3Error? { state.withLock(\.refusal) }
    /// The checksum to be kept with the object, once the body has ended.
    var checksum: (name: String, value: String)? { state.withLock(\.kept) }

    func makeChecksum(_ name: String) {
        guard let algorithm = ChecksumAlgorithm(header: name) else { return }
        state.withLock { $0.checks.make(algorithm) }
    }

    func makeAsyncIterator() -> Iterator { Iterator(body: self, raw: raw.makeAsyncIterator()) }

    struct Iterator: AsyncIteratorProtocol {
        let body: S3Body
        var raw: RequestBody.AsyncIterator
        private var ready: [ByteBuffer] = []
        private var isInvited = false

        init(body: S3Body, raw: RequestBody.AsyncIterator) {
            self.body = body
            self.raw = raw
        }

        mutating func next() async throws -> ByteBuffer? {
            if !isInvited {
                isInvited = true
                await body.invite()
            }
            while ready.isEmpty {
                let bytes: ByteBuffer?
                do { bytes = try await raw.next() } catch {
                    if let refusal = error as? S3Error { body.state.withLock { $0.refusal = refusal } }
                    throw error
                }
                guard let bytes else {
                    try body.end()
                    return nil
                }
                ready = try body.take(bytes)
            }
            return ready.removeFirst()
        }
    }

    private func take(_ bytes: ByteBuffer) throws(S3Error) -> [ByteBuffer] {
        try noting { state throws(S3Error) in
            let pieces = try state.decoder?.take(bytes) ?? [bytes]
            for piece in pieces {
                state.checks.take(piece)
                state.left? -= Int64(piece.readableBytes)
            }
            return pieces
        }
    }

    private func end() throws(S3Error) {
        try noting { state throws(S3Error) in
            try state.decoder?.finish()
            if let left = state.left, left != 0 { throw .incompleteBody }
            state.kept = try state.checks.finish(state.decoder?.trailers ?? [])
        }
    }

    private func noting<T: Sendable>(_ work: (inout State) throws(S3Error) -> T) throws(S3Error) -> T {
        let outcome: Result<T, S3Error> = state.withLock { state in
            do throws(S3Error) { return .success(try work(&state)) } catch {
                state.refusal = error
                return .failure(error)
            }
        }
        return try outcome.get()
    }
}

extension S3Call {
    /// The longest document that a client may send.
    static let documentBytesMax = 2 << 20
    /// The longest that says little.
    static let noteBytesMax = 64 << 10

    /// The XML document in the body.
    func document(_ root: String, bytesMax: Int = documentBytesMax) async throws -> XMLElement {
        try XMLElement(document: try await requiredBody(bytesMax: bytesMax), root: root)
    }

    /// The body in memory, of a call that is nothing without one.
    func requiredBody(bytesMax: Int = documentBytesMax, orElse missing: S3Error = .missingBody) async throws -> [UInt8] {
        let bytes = try await wholeBody(bytesMax: bytesMax)
        guard !bytes.isEmpty else { throw missing }
        return bytes
    }

    /// The body in memory, once its checks are made.
    func wholeBody(bytesMax: Int = documentBytesMax) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        do {
            for try await piece in body {
                bytes += piece.readableBytesView
                guard bytes.count <= bytesMax else {
                    throw S3Error(.maxMessageLengthExceeded, "Your request was too big.")
                }
            }
        } catch {
            throw error as? S3Error ?? S3Error.invalidRequest("The request's body could not be read.")
        }
        return bytes
    }

    /// Reads a body whose content does not matter, so that its checks are made.
    func discardBody() async throws(Fault) {
        do { for try await _ in body {} } catch { throw Fault(.malformedRequest, "The body could not be read.", because: error) }
    }
}
