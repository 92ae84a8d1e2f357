//  The store's side of a bucket's export and import: what the command line reads and writes as plain files
//  goes through here as records and bytes.

import Fabric
import FoundationEssentials
import GRPCCore
import Model
import NIOCore
import ObjectStorage
import Objects

extension ObjectAdministrationService {
    // MARK: Out

    func describeBucket(request: DescribeBucketRequest, context: ServerContext) async throws -> DescribeBucketReply {
        try await administered { () async throws(Fault) in
            let description = try await objects.description(ofBucket: request.bucket)
            let json = try description.json
            return DescribeBucketReply.with { $0.description_p = Data(json) }
        }
    }

    func listVersions(
        request: ListVersionsRequest, response: RPCWriter<ListedVersion>, context: ServerContext
    ) async throws {
        try await administered { () async throws(Fault) in
            var records = try await objects.records(of: request.bucket, all: request.all)
            while let record = try await records.next() {
                let json = try record.json
                try await send(ListedVersion.with { $0.record = Data(json) }, to: response)
            }
        }
    }

    func readVersion(request: ReadVersionRequest, response: RPCWriter<VersionPiece>, context: ServerContext) async throws {
        try await administered { () async throws(Fault) in
            guard let version = VersionID(spelled: request.version) else {
                throw Fault(.malformedId, "\(request.version) is no version")
            }
            let (record, bytes) = try await objects.readRecorded(
                ObjectKey(bytes: Array(request.key)), version, in: request.bucket)
            let json = try record.json
            try await send(VersionPiece.with { $0.begin.record = Data(json) }, to: response)
            let pieces = bytes.makeAsyncIterator()
            while let piece = try await pieces.next() {
                try await send(VersionPiece.with { $0.bytes = Data(piece.readableBytesView) }, to: response)
            }
        }
    }

    private func send<Message: Sendable>(_ message: Message, to response: RPCWriter<Message>) async throws(Fault) {
        do { try await response.write(message) } catch {
            throw Fault(.cancelled, "nobody takes the answer any more", because: error)
        }
    }

    // MARK: In

    func prepareImport(request: PrepareImportRequest, context: ServerContext) async throws -> PrepareImportReply {
        try await administered { () async throws(Fault) in
            let like = request.description_p.isEmpty ? nil : try BucketDescription(json: Array(request.description_p))
            let (wasMade, keepsVersions) = try await objects.prepareImport(
                into: request.bucket, account: request.account.isEmpty ? nil : request.account, like: like)
            return PrepareImportReply.with {
                $0.made = wasMade
                $0.keepsVersions = keepsVersions
            }
        }
    }

    func findVersion(request: FindVersionRequest, context: ServerContext) async throws -> FindVersionReply {
        try await administered { () async throws(Fault) in
            let standing = try await objects.standing(of: try VersionRecord(json: Array(request.record)), in: request.bucket)
            return FindVersionReply.with { reply in
                switch standing {
                case .there: reply.there = true
                case .missing(let size, let entityTag):
                    if let size { reply.size = size }
                    reply.entityTag = entityTag
                }
            }
        }
    }

    func writeVersion(
        request: RPCAsyncSequence<VersionPiece, any Error>, context: ServerContext
    ) async throws -> WriteVersionReply {
        let pieces = WrittenPieces(request)
        return try await administered { () async throws(Fault) in
            let begin = try await pieces.begin()
            let remarks = try await objects.importVersion(
                try VersionRecord(json: Array(begin.record)), into: begin.bucket,
                bytes: BodySource { () throws(Fault) in try await pieces.next() })
            return WriteVersionReply.with { $0.remarks = remarks }
        }
    }

    func finishImport(request: FinishImportRequest, context: ServerContext) async throws -> FinishImportReply {
        try await administered { () async throws(Fault) in
            let remarks = try await objects.finishImport(
                into: request.bucket, like: try BucketDescription(json: Array(request.description_p)))
            return FinishImportReply.with { $0.remarks = remarks }
        }
    }
}

/// The pieces of a version that is being written.
///
/// `@unchecked`: a body is read by one task at a time, which waits for each piece.
private final class WrittenPieces: @unchecked Sendable {
    private var pieces: RPCAsyncSequence<VersionPiece, any Error>.AsyncIterator

    init(_ sequence: RPCAsyncSequence<VersionPiece, any Error>) { pieces = sequence.makeAsyncIterator() }

    func begin() async throws(Fault) -> VersionBegin {
        guard case .begin(let begin)? = try await piece() else { throw brokenOff }
        return begin
    }

    /// Nil where the sender says that all has come.
    func next() async throws(Fault) -> ByteBuffer? {
        switch try await piece() {
        case .bytes(let bytes): return ByteBuffer(bytes: bytes)
        case .end: return nil
        case .begin, nil: throw brokenOff
        }
    }

    private func piece() async throws(Fault) -> VersionPiece.OneOf_Piece? {
        do { return try await pieces.next()?.piece } catch {
            throw Fault(.cancelled, "the version's bytes broke off", because: error)
        }
    }

    private var brokenOff: Fault { Fault(.cancelled, "the version's bytes broke off") }
}
