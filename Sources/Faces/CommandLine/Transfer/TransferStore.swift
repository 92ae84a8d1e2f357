//  The object store as an export and an import see it: calls over one connection, whose faults are faults.

import Fabric
import FoundationEssentials
import GRPCCore
import GRPCNIOTransportHTTP2
import Model
import ObjectStorage
import Objects
import Platform
import Synchronization

extension AdministrationClient {
    /// Talks to the object store over one connection.
    ///
    /// - Throws: What `body` throws, in words that a terminal can be given: keys and what files say are in them.
    func transferObjects<Outcome: Sendable>(
        _ body: @escaping @Sendable (TransferStore) async throws(Fault) -> Outcome
    ) async throws(Fault) -> Outcome {
        let installation = installation
        let outcome = await Result { () async throws(Fault) in
            try await askObjects { stub, options in
                try await body(TransferStore(stub: stub, options: options, installation: installation))
            }
        }
        return try outcome.mapError { Fault($0.code, Output.plain($0.message)) }.get()
    }
}

struct TransferStore: Sendable {
    fileprivate let stub: ObjectAdministration.Client<HTTP2ClientTransport.Posix>
    fileprivate let options: CallOptions
    fileprivate let installation: Installation

    /// Of calls that last as long as there is something to say.
    private var patient: CallOptions {
        var patient = options
        patient.timeout = nil
        return patient
    }

    private func calling<Reply>(_ call: () async throws -> Reply) async throws(Fault) -> Reply {
        do { return try await call() } catch let error as RPCError {
            throw AdministrationClient.fault(error, installation)
        } catch let fault as Fault {
            throw fault
        } catch { throw Fault(.unavailable, "the object store could not be asked", because: error) }
    }

    // MARK: Out

    func description(of bucket: String) async throws(Fault) -> BucketDescription {
        let reply = try await calling {
            try await stub.describeBucket(DescribeBucketRequest.with { $0.bucket = bucket }, options: options)
        }
        return try BucketDescription(json: Array(reply.description_p))
    }

    func eachVersion(
        of bucket: String, all: Bool, _ body: @escaping @Sendable (VersionRecord) async throws -> Void
    ) async throws(Fault) {
        let request = ListVersionsRequest.with {
            $0.bucket = bucket
            $0.all = all
        }
        try await calling {
            try await stub.listVersions(request, options: patient) { response in
                for try await listed in response.messages { try await body(try VersionRecord(json: Array(listed.record))) }
            }
        }
    }

    /// Reads a version: its record as it is now, then its bytes.
    ///
    /// - Throws: What `take` throws; `notFound` where it has gone; `unreadable` where the store does not have its
    ///   bytes, or not as they were written.
    func read(
        _ record: VersionRecord, in bucket: String, take: @escaping @Sendable ([UInt8]) async throws(Fault) -> Void
    ) async throws(Fault) -> VersionRecord {
        let key = try record.objectKey
        let request = ReadVersionRequest.with {
            $0.bucket = bucket
            $0.key = Data(key.bytes)
            $0.version = record.version ?? "null"
        }
        let state = Mutex((begun: VersionRecord?.none, refusal: Fault?.none))
        let outcome = await Result { () async throws(Fault) in
            try await calling {
                try await stub.readVersion(request, options: patient) { response in
                    for try await message in response.messages {
                        switch message.piece {
                        case .begin(let begin):
                            let begun = try VersionRecord(json: Array(begin.record))
                            state.withLock { $0.begun = begun }
                        case .bytes(let bytes):
                            do throws(Fault) { try await take(Array(bytes)) } catch {
                                let refusal = error
                                state.withLock { $0.refusal = refusal }
                                throw error
                            }
                        case .end, nil: break
                        }
                    }
                }
            }
        }
        let (begun, refusal) = state.withLock(\.self)
        if let refusal { throw refusal }
        if case .failure(let fault) = outcome, TransferStore.unreadable.contains(fault.code) {
            throw Fault(.unreadable, fault.message)
        }
        try outcome.get()
        guard let begun else { throw Fault(.unavailable, "the object store said nothing of \(key)") }
        return begun
    }

    /// What the store says of a body that is damaged or cannot be read, or whose key cannot be had.
    private static let unreadable: [Fault.Code] = [.bodyIsDamaged, .bodyIsGone, .storage, .denied, .wrongState, .keyIsDisabled]

    // MARK: In

    func prepare(_ bucket: String, account: String?, like: BucketDescription?) async throws(Fault) -> PrepareImportReply {
        let json = try like?.json ?? []
        let request = PrepareImportRequest.with {
            $0.bucket = bucket
            $0.account = account ?? ""
            $0.description_p = Data(json)
        }
        return try await calling { try await stub.prepareImport(request, options: options) }
    }

    func find(_ record: VersionRecord, in bucket: String) async throws(Fault) -> FindVersionReply {
        let json = try record.json
        let request = FindVersionRequest.with {
            $0.bucket = bucket
            $0.record = Data(json)
        }
        return try await calling { try await stub.findVersion(request, options: options) }
    }

    /// Writes a version whole or not at all.
    ///
    /// - Parameter next: Of its bytes; nil at the end. What it throws keeps nothing of the version.
    /// - Returns: What could not be given back as it was.
    func write(
        _ record: VersionRecord, into bucket: String, next: @escaping @Sendable () async throws(Fault) -> [UInt8]?
    ) async throws(Fault) -> [String] {
        let json = try record.json
        let begin = VersionPiece.with {
            $0.begin.bucket = bucket
            $0.begin.record = Data(json)
        }
        let refusal = Mutex<Fault?>(nil)
        let outcome = await Result { () async throws(Fault) in
            try await calling {
                try await stub.writeVersion(options: patient) { writer in
                    do {
                        try await writer.write(begin)
                        while let bytes = try await next() { try await writer.write(VersionPiece.with { $0.bytes = Data(bytes) }) }
                        try await writer.write(VersionPiece.with { $0.end = true })
                    } catch {
                        // What was wrong with the bytes says more than that the call broke off.
                        if let fault = error as? Fault { refusal.withLock { $0 = fault } }
                        throw error
                    }
                }
            }
        }
        if let fault = refusal.withLock(\.self) { throw fault }
        return try outcome.get().remarks
    }

    func finish(_ bucket: String, like: BucketDescription) async throws(Fault) -> [String] {
        let json = try like.json
        let request = FinishImportRequest.with {
            $0.bucket = bucket
            $0.description_p = Data(json)
        }
        return try await calling { try await stub.finishImport(request, options: options) }.remarks
    }
}

extension Fault.Code {
    /// A version whose bytes the store cannot give.
    static let unreadable = Fault.Code(rawValue: "unreadable")
}

extension Result where Failure == Fault {
    fileprivate init(_ body: () async throws(Fault) -> Success) async {
        do throws(Fault) { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
