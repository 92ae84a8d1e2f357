//  What every backend does alike.

import Foundation
import Model
import NIOCore
import Testing

@testable import ObjectStorage

/// The backends under test.
enum TestedBackend: CaseIterable, Sendable {
    case memory, local

    /// Runs `body` on a fresh backend with one bucket; nothing is left of it.
    func with(_ body: (any ObjectBackend, Bucket) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "karri-objects-\(Chance.system.bits())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let backend: any ObjectBackend
        switch self {
        case .memory: backend = MemoryBackend()
        case .local: backend = try await LocalBackend.open(folder, chance: .system)
        }
        let added = try await backend.add(Samples.bucket)
        try await body(backend, try #require(added))
        await backend.close()
    }
}

enum Samples {
    static let bucket = Bucket(id: ID(bits: 7), name: "first", account: ID(bits: 1), region: "r", created: Instant(seconds: 1))

    static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) } }
}

extension ObjectBackend {
    @discardableResult
    func put(_ key: String, _ bytes: [UInt8], in bucket: Bucket, tag: String = "tag") async throws -> ObjectVersion {
        let sink = try await stage(size: nil, in: bucket)
        for place in stride(from: 0, to: bytes.count, by: 50_000) {
            try await sink.append(ByteBuffer(bytes: bytes[place..<min(place + 50_000, bytes.count)]))
        }
        var detail = ObjectDetail()
        detail.metadata = ["k": "v"]
        let version = ObjectVersion(
            id: .null, size: Int64(bytes.count), entityTag: tag, modified: Instant(seconds: 5), detail: detail,
            body: try await sink.finish())
        try await change(ObjectKey(key), in: bucket) { change throws(Fault) in try change.put(version) }
        return version
    }

    func get(_ key: String, _ range: Range<Int64>? = nil, in bucket: Bucket) async throws -> [UInt8]? {
        guard let version = try await find(ObjectKey(key), version: nil, in: bucket), let body = version.body else { return nil }
        var bytes: [UInt8] = []
        for try await piece in try await read(body, range ?? 0..<version.size, in: bucket) { bytes += piece.readableBytesView }
        return bytes
    }

    func remove(_ key: String, in bucket: Bucket) async throws {
        try await change(ObjectKey(key), in: bucket) { change throws(Fault) in try change.remove(.null) }
    }
}

@Suite struct BackendTests {
    @Test(arguments: TestedBackend.allCases, [0, 1, 8192, 8193, 131_072, 131_073, 400_000])
    func bodiesComeBack(backend: TestedBackend, count: Int) async throws {
        try await backend.with { store, bucket in
            let bytes = Samples.bytes(count)
            try await store.put("a", bytes, in: bucket)
            #expect(try await store.get("a", in: bucket) == bytes)
            for range in [0..<1, 1..<2, count / 2..<count, count - 1..<count, 131_071..<131_074] where range.upperBound <= count {
                let asked = Int64(range.lowerBound)..<Int64(range.upperBound)
                if range.lowerBound >= 0 { #expect(try await store.get("a", asked, in: bucket) == Array(bytes[range])) }
            }
            let found = try await store.find(ObjectKey("a"), version: nil, in: bucket)
            #expect(found?.size == Int64(count) && found?.entityTag == "tag" && found?.detail.metadata == ["k": "v"])
        }
    }

    @Test(arguments: TestedBackend.allCases)
    func replacedAndRemoved(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            try await store.put("a", Samples.bytes(300_000), in: bucket)
            try await store.put("a", [1, 2, 3], in: bucket, tag: "second")
            #expect(try await store.get("a", in: bucket) == [1, 2, 3])
            #expect(try await store.find(ObjectKey("a"), version: nil, in: bucket)?.entityTag == "second")
            #expect(try await store.list(ListingRequest(), of: bucket).objects.map(\.size) == [3])
            try await store.remove("a", in: bucket)
            try await store.remove("a", in: bucket)
            #expect(try await store.get("a", in: bucket) == nil)
            #expect(try await store.list(ListingRequest(), of: bucket) == ListingPage())
        }
    }

    @Test(arguments: TestedBackend.allCases)
    func aRefusedChangeChangesNothing(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            try await store.put("a", [1], in: bucket)
            await #expect(throws: Fault(.conflict, "no")) {
                try await store.change(ObjectKey("a"), in: bucket) { change throws(Fault) in
                    try change.remove(.null)
                    throw Fault(.conflict, "no")
                }
            }
            #expect(try await store.get("a", in: bucket) == [1])
        }
    }

    @Test(arguments: TestedBackend.allCases)
    func buckets(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            let other = Bucket(id: ID(bits: 8), name: "first", account: ID(bits: 2), region: "r", created: Instant(seconds: 2))
            #expect(try await store.add(other) == nil)
            #expect(try await store.bucket(named: "first")?.id == bucket.id)
            #expect(try await store.buckets(of: ID(bits: 1)).map(\.name) == ["first"])
            #expect(try await store.buckets(of: ID(bits: 2)) == [])
            try await store.put("a", [1], in: bucket)
            await #expect(throws: ObjectFaults.bucketIsNotEmpty) { try await store.remove(bucket) }
            try await store.remove("a", in: bucket)
            try await store.remove(bucket)
            #expect(try await store.bucket(named: "first") == nil)
            await #expect(throws: ObjectFaults.bucketIsGone) { try await store.put("b", [1], in: bucket) }
        }
    }

    /// Of many writers who each want to be the first, one is.
    @Test(arguments: TestedBackend.allCases)
    func oneOfManyIsFirst(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            let version = ObjectVersion(
                id: .null, size: 1, entityTag: "t", modified: Instant(seconds: 1), detail: ObjectDetail(),
                body: .inline(id: 0, bytes: [1]))
            let winners = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        do {
                            try await store.change(ObjectKey("a"), in: bucket) { change throws(Fault) in
                                if try change.current() != nil { throw Fault(.conflict, "second") }
                                try change.put(version)
                            }
                            return true
                        } catch { return false }
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(winners == 1)
        }
    }
}

@Suite struct LocalBackendTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "karri-objects-\(Chance.system.bits())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private func files(in folder: String) -> [String] {
        (FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []).filter { path in
            path.contains("/bodies/") && path.split(separator: "/").count == 4
        }
    }

    @Test func whatIsStoredIsThereAfterwards() async throws {
        try await withFolder { folder in
            let (small, large) = (Samples.bytes(100), Samples.bytes(300_000))
            let first = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await first.add(Samples.bucket))
            try await first.put("small", small, in: bucket)
            try await first.put("large", large, in: bucket)
            await first.close()
            let second = try await LocalBackend.open(folder, chance: .system)
            #expect(try await second.bucket(named: "first") == bucket)
            #expect(try await second.get("small", in: bucket) == small)
            #expect(try await second.get("large", in: bucket) == large)
            // Numbers go on where they ended.
            try await second.put("other", Samples.bytes(300_001), in: bucket)
            #expect(try await second.get("large", in: bucket) == large)
            await second.close()
        }
    }

    @Test func oneProcessAtATime() async throws {
        try await withFolder { folder in
            let first = try await LocalBackend.open(folder, chance: .system)
            let fault = await #expect(throws: Fault.self) { _ = try await LocalBackend.open(folder, chance: .system) }
            #expect(fault?.code == .inUse)
            await first.close()
        }
    }

    /// An upload that broke off, one that was abandoned, and a body that was replaced leave no file.
    @Test func garbageIsRemoved() async throws {
        try await withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            let broken = try await store.stage(size: nil, in: bucket)
            try await broken.append(ByteBuffer(bytes: Samples.bytes(100_000)))
            let abandoned = try await store.stage(size: nil, in: bucket)
            try await abandoned.append(ByteBuffer(bytes: Samples.bytes(100_000)))
            await abandoned.abandon()
            try await store.put("a", Samples.bytes(100_000), in: bucket)
            try await store.put("a", Samples.bytes(100_001), in: bucket)
            #expect(files(in: folder).count == 2)
            await store.close()
            let again = try await LocalBackend.open(folder, chance: .system)
            #expect(files(in: folder).count == 1)
            #expect(try await again.get("a", in: bucket) == Samples.bytes(100_001))
            await again.close()
        }
    }

    @Test func aDamagedByteIsNeverReturned() async throws {
        try await withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            try await store.put("a", Samples.bytes(300_000), in: bucket)
            let file = folder + "/" + (try #require(files(in: folder).first))
            let handle = try #require(FileHandle(forUpdatingAtPath: file))
            try handle.seek(toOffset: 200_000)
            try handle.write(contentsOf: Data([0xff, 0xfe, 0xfd]))
            try handle.close()
            #expect(try await store.get("a", 0..<100_000, in: bucket) == Array(Samples.bytes(300_000)[..<100_000]))
            await #expect(throws: ObjectFaults.bodyIsDamaged) { try await store.get("a", 199_990..<199_995, in: bucket) }
            await store.close()
        }
    }
}
