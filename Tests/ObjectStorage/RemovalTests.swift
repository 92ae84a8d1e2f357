//  Buckets that are removed with uploads in them: gone at once for those who call, while their uploads end in
//  small steps, each of which may be the last before a crash.

import Database
import Foundation
import Model
import Synchronization
import Testing

@testable import ObjectStorage

@Suite struct RemovalTests {
    /// Lets work go on for so many steps, and then cuts it off.
    private final class CutOff: WorkProgress {
        private let left: Mutex<Int>
        private let taken = Mutex(0)

        init(after steps: Int) { left = Mutex(steps) }

        var steps: Int { taken.withLock(\.self) }

        func step(_ text: String) async throws(Fault) {
            taken.withLock { $0 += 1 }
            let isOver = left.withLock { left in
                left -= 1
                return left < 0
            }
            if isOver { throw Fault(.cancelled, "cut off") }
        }
    }

    /// Uploads with parts of each kind: more than one step ends.
    private func begin(_ uploads: Int, in bucket: Bucket, _ store: LocalBackend) async throws {
        for number in 0..<uploads {
            let (key, id) = (ObjectKey("k\(number)"), UploadID("u\(bucket.id.bits)-\(number)"))
            try await store.begin(id, key, in: bucket)
            try await store.change(key, in: bucket) { change throws(Fault) in
                for part in 1...3 {
                    try change.put(
                        UploadedPart(
                            number: part, size: 1, entityTag: "t", modified: Instant(seconds: 4), body: .inline(id: 0, bytes: [1])),
                        of: id)
                }
            }
        }
        let (key, id) = (ObjectKey("k0"), UploadID("u\(bucket.id.bits)-0"))
        try await store.putPart(4, Samples.bytes(300_000), of: id, key, in: bucket)
        let sink = try await store.stage(size: 20_000, in: bucket)
        try await sink.append(.init(bytes: Samples.bytes(20_000)))
        let part = UploadedPart(
            number: 5, size: 20_000, entityTag: "t", modified: Instant(seconds: 4), body: try await sink.finish())
        try await store.change(key, in: bucket) { change throws(Fault) in try change.put(part, of: id) }
        // One upload that takes several steps by itself.
        let many = UploadID("u\(bucket.id.bits)-many")
        try await store.begin(many, ObjectKey("many"), in: bucket)
        try await store.change(ObjectKey("many"), in: bucket) { change throws(Fault) in
            for part in 1...250 {
                try change.put(
                    UploadedPart(
                        number: part, size: 1, entityTag: "t", modified: Instant(seconds: 4), body: .inline(id: 0, bytes: [1])),
                    of: many)
            }
        }
    }

    private func rows(_ folder: String, _ shard: Int) async throws -> [String: Int] {
        let index = try SQLiteEngine(path: folder + "/shard-\(shard)/index.sqlite")
        let counts = try await index.read { tx throws(Fault) in
            var counts: [String: Int] = [:]
            for table in ["upload", "part", "gone_bucket", "inline_body", "segment_body", "loose_file"] {
                counts[table] = try tx.count("SELECT count(*) FROM \(table)")
            }
            return counts
        }
        await index.close()
        return counts.filter { $0.value > 0 }
    }

    private func bodies(in folder: String) -> Int {
        (FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? [])
            .count { $0.contains("/bodies/") && $0.split(separator: "/").count == 4 }
    }

    /// Cut off after each of its steps, the work goes on at the next start, and leaves another bucket's uploads alone.
    @Test func uploadsOfARemovedBucketEndInSteps() async throws {
        let folder = NSTemporaryDirectory() + "karri-removal-\(Chance.system.bits())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let other = Bucket(id: ID(bits: 11), name: "other", account: ID(bits: 1), region: "r", created: Instant(seconds: 2))
        var store = try await LocalBackend.open(folder, chance: .system)
        let bucket = try #require(try await store.add(Samples.bucket))
        let kept = try #require(try await store.add(other))
        #expect(kept.shard == bucket.shard)
        try await begin(60, in: bucket, store)
        try await begin(1, in: kept, store)
        #expect(bodies(in: folder) == 2)
        try await store.remove(bucket)
        // Gone for all who ask, before anything has ended.
        #expect(try await store.bucket(named: "first") == nil)
        #expect(try await store.usage(of: bucket.account).bytes == (try await store.usage(of: kept).bytes))
        var again = bucket
        again.id = ID(bits: 15)
        let anew = try #require(try await store.add(again))
        #expect(try await store.uploads(ListingRequest(), of: anew).entries.isEmpty)
        var rounds = 0
        while true {
            let progress = CutOff(after: rounds == 0 ? 0 : 1)
            let garbage = try #require(store.work.first { $0.name == "garbage" })
            rounds += 1
            let isDone: Bool
            do throws(Fault) {
                _ = try await garbage.round(progress)
                isDone = true
            } catch {
                #expect(error.code == .cancelled)
                isDone = false
            }
            await store.close()
            store = try await LocalBackend.open(folder, chance: .system)
            if isDone { break }
        }
        // 61 uploads and 432 parts, in steps of a hundred, the first by itself and then two a round.
        #expect(rounds >= 3)
        #expect(try await store.uploads(ListingRequest(), of: kept).entries.count == 2)
        try await store.round("garbage")
        await store.close()
        #expect(bodies(in: folder) == 1)
        #expect(try await rows(folder, bucket.shard) == ["upload": 2, "part": 255, "inline_body": 253, "segment_body": 1])
    }
}
