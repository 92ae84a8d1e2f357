//  A form's body while it comes: first its fields, then the bytes of its file, which are asked for as
//  the store takes them.

import Hummingbird
import Model
import NIOCore
import Objects

/// Reads a form once: `readFields`, then the file as a sequence.
///
/// It is `@unchecked Sendable` because one call reads it from beginning to end, one step after the other.
final class FormReader: AsyncSequence, @unchecked Sendable {
    typealias Element = ByteBuffer

    private var raw: RequestBody.AsyncIterator
    private var decoder: FormDecoder
    /// Bytes of the file that came with the fields.
    private var ready: [ByteBuffer] = []
    private var taken: Int64 = 0
    /// How long the file may be.
    private var sizes: PostPolicy.Sizes

    init(_ body: RequestBody, _ decoder: FormDecoder) {
        raw = body.makeAsyncIterator()
        self.decoder = decoder
        sizes = PostPolicy.Sizes()
    }

    /// Reads up to the file's content.
    func readFields() async throws(S3Error) -> (fields: [FormField], fileName: String?) {
        while !decoder.hasFile {
            let bytes: ByteBuffer?
            do { bytes = try await raw.next() } catch { throw .incompleteBody }
            guard let bytes else {
                try decoder.finish()
                throw S3Error.invalidArgument("POST requires exactly one file upload per request.")
            }
            ready += try decoder.take(bytes)
        }
        return (decoder.fields, decoder.fileName)
    }

    /// Sets how long the file may be, before it is read.
    func limit(to sizes: PostPolicy.Sizes) { self.sizes = sizes }

    func makeAsyncIterator() -> Iterator { Iterator(reader: self) }

    struct Iterator: AsyncIteratorProtocol {
        let reader: FormReader
        func next() async throws -> ByteBuffer? { try await reader.next() }
    }

    /// The next of the file's bytes. What follows the file is read, and is not heard.
    private func next() async throws -> ByteBuffer? {
        while ready.isEmpty {
            guard let bytes = try await raw.next() else {
                try decoder.finish()
                guard taken >= sizes.least else {
                    throw S3Error(Fault.uploadTooSmall)
                }
                return nil
            }
            ready = try decoder.take(bytes)
        }
        let piece = ready.removeFirst()
        taken += Int64(piece.readableBytes)
        guard taken <= sizes.most else {
            throw S3Error(Fault.uploadTooLarge)
        }
        return piece
    }
}
