//  What every backend does alike.

import Database
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

    /// A folder for files of a test's own, which goes with it.
    static func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "karri-objects-\(Chance.system.bits())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try await body(folder)
    }
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

    func begin(_ id: UploadID, _ key: ObjectKey, in bucket: Bucket) async throws {
        let upload = PartedUpload(id: id, key: key, begun: Instant(seconds: 3), detail: ObjectDetail())
        try await change(key, in: bucket) { change throws(Fault) in try change.begin(upload) }
    }

    func putPart(_ number: Int, _ bytes: [UInt8], of id: UploadID, _ key: ObjectKey, in bucket: Bucket) async throws {
        let sink = try await stage(size: nil, in: bucket)
        try await sink.append(ByteBuffer(bytes: bytes))
        let part = UploadedPart(
            number: number, size: Int64(bytes.count), entityTag: "t\(number)", modified: Instant(seconds: 4),
            body: try await sink.finish())
        try await change(key, in: bucket) { change throws(Fault) in try change.put(part, of: id) }
    }

    /// Does a round of the backend's own work.
    @discardableResult
    func round(_ name: String) async throws -> String {
        try await #require(work.first { $0.name == name }).round(Unhindered())
    }

    func remove(_ key: String, in bucket: Bucket) async throws {
        try await change(ObjectKey(key), in: bucket) { change throws(Fault) in try change.remove(.null) }
    }
}

private struct Unhindered: WorkProgress {
    func step(_ text: String) async throws(Fault) {}
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

    /// A bucket that is gone takes no keys, is not counted, and may be removed again.
    @Test(arguments: TestedBackend.allCases)
    func bucketsThatAreGone(kind: TestedBackend) async throws {
        try await kind.with { store, bucket in
            try await store.remove(bucket)
            try await store.remove(bucket)
            await #expect(throws: ObjectFaults.bucketIsGone) { try await store.usage(of: bucket) }
            await #expect(throws: ObjectFaults.bucketIsGone) { try await store.put("a", [1], in: bucket) }
        }
    }

    /// An upload does not end with a part that it has not, and goes on.
    @Test(arguments: TestedBackend.allCases)
    func partsThatAreMissing(kind: TestedBackend) async throws {
        try await kind.with { store, bucket in
            let (id, key) = (UploadID("u"), ObjectKey("big"))
            try await store.begin(id, key, in: bucket)
            try await store.putPart(1, Samples.bytes(10), of: id, key, in: bucket)
            await #expect(throws: ObjectFaults.partIsMissing) {
                try await store.change(key, in: bucket) { change throws(Fault) in _ = try change.end(id, keeping: [1, 2]) }
            }
            #expect(try await store.parts(of: id, in: bucket, after: 0, limit: 10).map(\.number) == [1])
        }
    }

    @Test(arguments: TestedBackend.allCases)
    func replacedAndRemoved(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            try await store.put("a", Samples.bytes(300_000), in: bucket)
            try await store.put("a", [1, 2, 3], in: bucket, tag: "second")
            #expect(try await store.get("a", in: bucket) == [1, 2, 3])
            #expect(try await store.find(ObjectKey("a"), version: nil, in: bucket)?.entityTag == "second")
            #expect(try await store.list(ListingRequest(), .current, of: bucket).entries.map(\.size) == [3])
            try await store.remove("a", in: bucket)
            try await store.remove("a", in: bucket)
            #expect(try await store.get("a", in: bucket) == nil)
            #expect(try await store.list(ListingRequest(), .current, of: bucket) == ListingPage())
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

    @Test(arguments: TestedBackend.allCases)
    func uploadsInParts(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            let (key, id) = (ObjectKey("k"), UploadID("one"))
            let bytes = [Samples.bytes(200_000), Samples.bytes(100), Samples.bytes(150_000), [9, 9]]
            try await store.begin(id, key, in: bucket)
            try await store.begin(UploadID("two"), key, in: bucket)
            for (place, part) in bytes.enumerated() { try await store.putPart(place + 1, part, of: id, key, in: bucket) }
            try await store.putPart(2, [7], of: id, key, in: bucket)
            #expect(try await store.unfinished(in: bucket) == UnfinishedUploads(count: 2, bytes: 350_003))
            #expect(try await store.parts(of: id, in: bucket, after: 1, limit: 2).map(\.number) == [2, 3])
            #expect(try await store.parts(of: id, in: bucket, after: 0, limit: 9).map(\.size) == [200_000, 1, 150_000, 2])
            let all = ListingRequest<PartedUpload>()
            #expect(try await store.uploads(all, of: bucket).entries.map(\.id.text) == ["one", "two"])
            var first = all
            first.limit = 1
            let page = try await store.uploads(first, of: bucket)
            #expect(page.entries.map(\.id.text) == ["one"] && page.next == key.bytes && page.nextPlace == id)
            let later = try #require(first.following(page))
            #expect(try await store.uploads(later, of: bucket).entries.map(\.id.text) == ["two"])
            #expect(try await store.list(ListingRequest(), .current, of: bucket).entries.isEmpty)

            try await store.change(key, in: bucket) { change throws(Fault) in
                #expect(try change.upload(id)?.key == key)
                let body = try change.end(id, keeping: [1, 2, 3])
                try change.put(
                    ObjectVersion(
                        id: .null, size: 350_001, entityTag: "t", modified: Instant(seconds: 1), detail: ObjectDetail(), body: body)
                )
            }
            let whole = bytes[0] + [7] + bytes[2]
            #expect(try await store.get("k", in: bucket) == whole)
            for range in [0..<1, 199_999..<200_001, 199_999..<200_002, 200_001..<350_001, 350_000..<350_001] {
                let asked = Int64(range.lowerBound)..<Int64(range.upperBound)
                #expect(try await store.get("k", asked, in: bucket) == Array(whole[range]))
            }
            #expect(try await store.uploads(all, of: bucket).entries.map(\.id.text) == ["two"])
            #expect(try await store.parts(of: id, in: bucket, after: 0, limit: 9).isEmpty)
            // Another key's upload of that id is none.
            let stranger = try await store.change(ObjectKey("other"), in: bucket) { change throws(Fault) in
                try change.upload(UploadID("two"))
            }
            #expect(stranger == nil)
            try await store.remove("k", in: bucket)
            // A bucket goes with the uploads in it.
            try await store.remove(bucket)
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
            // Parts that are replaced, left out of the object, or of an upload that ends with its bucket.
            let key = ObjectKey("k")
            for id in [UploadID("one"), UploadID("two")] {
                try await store.begin(id, key, in: bucket)
                for number in [1, 1, 2] { try await store.putPart(number, Samples.bytes(20_000 + number), of: id, key, in: bucket) }
            }
            try await store.change(key, in: bucket) { change throws(Fault) in
                try change.put(
                    ObjectVersion(
                        id: .null, size: 20_001, entityTag: "t", modified: Instant(seconds: 1), detail: ObjectDetail(),
                        body: try change.end(UploadID("one"), keeping: [1])))
            }
            // The body of a, the object of parts, the other upload's two parts, and what broke off.
            try await store.round("garbage")
            #expect(files(in: folder).count == 5)
            #expect(try await store.round("garbage") == "0 files removed")
            await store.close()
            let afterwards = try await LocalBackend.open(folder, chance: .system)
            #expect(try await afterwards.get("k", in: bucket) == Samples.bytes(20_001))
            try await afterwards.putPart(3, Samples.bytes(30_000), of: UploadID("two"), key, in: bucket)
            try await afterwards.remove("k", in: bucket)
            try await afterwards.change(key, in: bucket) { change throws(Fault) in _ = try change.end(UploadID("two"), keeping: [])
            }
            #expect(files(in: folder).count > 1)
            try await afterwards.round("garbage")
            #expect(files(in: folder).count == 1)
            await afterwards.close()
            let again = try await LocalBackend.open(folder, chance: .system)
            #expect(try await again.get("a", in: bucket) == Samples.bytes(100_001))
            await again.close()
        }
    }

    /// Who does the work hears of it: at the start, and from then on when there is some.
    @Test(.timeLimit(.minutes(1))) func workWakes() async throws {
        try await withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            let garbage = try #require(store.work.first { $0.name == "garbage" })
            var wakes = garbage.wakes.makeAsyncIterator()
            #expect(await wakes.next() != nil)
            try await store.put("a", Samples.bytes(100_000), in: bucket)
            try await store.remove("a", in: bucket)
            #expect(await wakes.next() != nil)
            #expect(files(in: folder).count == 1)
            #expect(try await store.round("garbage") == "1 files removed")
            #expect(files(in: folder).isEmpty)
            await store.close()
        }
    }

    /// A bucket whose removal was cut off between its shard and the catalogue is gone for good afterwards.
    @Test func aRemovalThatWasCutOffIsFinished() async throws {
        try await withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            let other = Bucket(id: ID(bits: 8), name: "second", account: ID(bits: 1), region: "r", created: Instant(seconds: 2))
            #expect(try await store.add(other) != nil)
            await store.close()
            let index = try SQLiteEngine(path: folder + "/shard-\(bucket.shard)/index.sqlite")
            try await index.write { tx throws(Fault) in try tx.run("DELETE FROM bucket WHERE id = $1", [bucket.id.value]) }
            await index.close()
            let again = try await LocalBackend.open(folder, chance: .system)
            #expect(try await again.bucket(named: "first") == nil)
            #expect(try await again.bucket(named: "second")?.id == other.id)
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

    /// Rows that were damaged, or written by another program, are refused and trap nothing.
    @Test func rowsThatDisagreeAreRefused() async throws {
        try await withFolder { folder in
            var store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            try await store.put("short", Samples.bytes(100), in: bucket)
            try await store.put("strange", Samples.bytes(100), in: bucket)
            await store.close()
            try await change(
                folder + "/shard-\(bucket.shard)/index.sqlite",
                [
                    "UPDATE listing SET size = 200 WHERE key = CAST('short' AS BLOB)",
                    "UPDATE detail SET body_kind = 77 WHERE id = (SELECT detail FROM listing WHERE key = CAST('strange' AS BLOB))",
                ])
            store = try await LocalBackend.open(folder, chance: .system)
            await #expect(throws: ObjectFaults.bodyIsDamaged) { try await store.get("short", in: bucket) }
            await #expect(throws: Fault.self) { try await store.get("strange", in: bucket) }
            await store.close()
            try await change(folder + "/catalogue.sqlite", ["UPDATE bucket SET shard = 1000"])
            await #expect(throws: Fault.self) { try await LocalBackend.open(folder, chance: .system) }
        }
    }

    private func change(_ database: String, _ statements: [String]) async throws {
        let engine = try SQLiteEngine(path: database)
        try await engine.write { tx throws(Fault) in for statement in statements { #expect(try tx.run(statement) > 0) } }
        await engine.close()
    }
}
