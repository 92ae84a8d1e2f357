//  An object store's service without a cloud, over either backend.

import Authority
import Foundation
import Model
import NIOCore
import ObjectStorage
import Synchronization

@testable import Objects

/// A body that is at hand.
struct BytesBody: ObjectBody {
    typealias Element = ByteBuffer
    let bytes: [UInt8]
    var checksum: (name: String, value: String)? { nil }
    func makeChecksum(_ name: String) {}

    func makeAsyncIterator() -> AsyncStream<ByteBuffer>.Iterator {
        AsyncStream { stream in
            stream.yield(ByteBuffer(bytes: bytes))
            stream.finish()
        }.makeAsyncIterator()
    }
}

/// Two accounts.
struct FewAccounts: AccountDirectory {
    static let owner = AccountScope(id: ID(bits: 1), number: "111111111111")
    static let other = AccountScope(id: ID(bits: 2), number: "222222222222")
    private let all = [owner, other]

    func account(canonicalID: String) async throws(Fault) -> AccountScope? {
        all.first { ObjectsService.canonicalID(of: $0.id) == canonicalID }
    }
    func account(_ id: ID<Account>) async throws(Fault) -> AccountScope? { all.first { $0.id == id } }
    func account(number: String) async throws(Fault) -> AccountScope? { all.first { $0.number == number } }
}

/// A service, and a clock that tests move.
final class TestedStore: Sendable {
    enum Backend: String, CaseIterable, Sendable { case memory, local }

    let objects: ObjectsService
    let backend: any ObjectBackend
    /// What a local backend keeps its files in is `objects` below it.
    let folder: String
    private let clock = TestClock()

    private init(backend: any ObjectBackend, folder: String) throws {
        self.backend = backend
        self.folder = folder
        let clock = clock
        let chance = Chance(now: { clock.now.withLock(\.self) }, bits: Chance.system.bits)
        let seal = Seal(generatedFrom: .system)
        objects = ObjectsService(
            backend: backend, accounts: FewAccounts(), seal: seal,
            keys: try LocalKeyService(path: folder + "/keys.json", seal: seal, chance: chance, region: "r"), chance: chance,
            region: "r")
    }

    /// Runs `body` on a fresh store; nothing is left of it.
    static func with(_ kind: Backend, _ body: (TestedStore) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "karri-store-\(Chance.system.bits())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let backend: any ObjectBackend =
            switch kind {
            case .memory: MemoryBackend()
            case .local: try await LocalBackend.open(folder + "/objects", chance: .system)
            }
        let store = try TestedStore(backend: backend, folder: folder)
        do { try await body(store) } catch {
            await backend.close()
            throw error
        }
        await backend.close()
    }

    func pass(_ span: Duration) { clock.now.withLock { $0 = $0 + span } }
    var time: Instant { clock.now.withLock(\.self) }

    func caller(_ account: AccountScope = FewAccounts.owner) -> Caller {
        Caller(
            Session(
                of: .user("u", id: ID(bits: account.id.bits), of: account), identity: [ManagedPolicy.administratorAccess.document],
                circumstances: Circumstances(now: time)))
    }

    func read(_ name: ObjectName, customer: CustomerKey? = nil) async throws -> [UInt8] {
        let (_, _, source) = try await objects.read(name, customer: customer, by: caller()) { 0..<$0.version.size }
        var bytes: [UInt8] = []
        for try await piece in source { bytes += piece.readableBytesView }
        return bytes
    }
}

private final class TestClock: Sendable {
    let now = Mutex(Instant(seconds: 1_800_000_000))
}
