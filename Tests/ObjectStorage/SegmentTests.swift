//  Middling bodies, which share segments: they come back whole or not at all, and compaction, cut off
//  anywhere, loses none.

import Database
import Foundation
import Model
import NIOCore
import Synchronization
import Testing

@testable import ObjectStorage

extension ObjectBackend {
    /// Stores an object whose length is known, as it is of a PUT.
    fileprivate func put(_ key: String, known bytes: [UInt8], in bucket: Bucket) async throws {
        let body = try await stage(bytes, in: bucket)
        try await name(body, key, bytes.count, in: bucket)
    }

    /// A body that has come, and that no version names yet.
    fileprivate func stage(_ bytes: [UInt8], in bucket: Bucket) async throws -> BodyReference {
        let sink = try await stage(size: Int64(bytes.count), in: bucket)
        for place in stride(from: 0, to: bytes.count, by: 60_000) {
            try await sink.append(ByteBuffer(bytes: bytes[place..<min(place + 60_000, bytes.count)]))
        }
        return try await sink.finish()
    }

    fileprivate func name(_ body: BodyReference, _ key: String, _ size: Int, in bucket: Bucket) async throws {
        let version = ObjectVersion(
            id: .null, size: Int64(size), entityTag: "tag", modified: Instant(seconds: 5), detail: ObjectDetail(), body: body)
        try await change(ObjectKey(key), in: bucket) { change throws(Fault) in try change.put(version) }
    }
}

@Suite(.serialized) struct SegmentTests {
    private static let mebibyte = 1 << 20

    /// A body that tells which it is.
    private static func body(_ number: Int, _ count: Int = mebibyte) -> [UInt8] {
        var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number &* 101), count: count)
        for place in stride(from: 0, to: count, by: 997) { bytes[place] = UInt8(truncatingIfNeeded: place >> 8 ^ number) }
        return bytes
    }

    private func segments(in folder: String) -> [String] {
        (FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? [])
            .filter { $0.split(separator: "/").dropLast().last == "segments" }.map { "\(folder)/\($0)" }.sorted()
    }

    @Test(arguments: [8193, 131_072, 131_073, 300_000, 1 << 20])
    func middlingBodiesComeBack(count: Int) async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder + "/s", chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            let bytes = Self.body(1, count)
            try await store.put("before", known: Self.body(2, 10_000), in: bucket)
            try await store.put("a", known: bytes, in: bucket)
            try await store.put("after", known: Self.body(3, 10_000), in: bucket)
            #expect(segments(in: folder).count == 1)
            for range in [0..<count, 0..<1, count / 2..<count, count - 1..<count, 131_071..<131_074] where range.upperBound <= count
            {
                let asked = Int64(range.lowerBound)..<Int64(range.upperBound)
                #expect(try await store.get("a", asked, in: bucket) == Array(bytes[range]))
            }
            await store.close()
            // The room that the segment did not need is given back.
            let size = try FileManager.default.attributesOfItem(atPath: segments(in: folder)[0])[.size] as? Int
            let padding = count < Segments.pastCacheBytesMin ? 0...0 : 0...WriteBlocks.alignment
            #expect(padding.contains(try #require(size) - count - 20_000))
            let again = try await LocalBackend.open(folder + "/s", chance: .system)
            #expect(try await again.get("a", in: bucket) == bytes)
            try await again.remove("a", in: bucket)
            #expect(try await again.get("a", in: bucket) == nil)
            #expect(try await again.get("after", in: bucket) == Self.body(3, 10_000))
            await again.close()
        }
    }

    @Test func partsMayLieInSegments() async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            let (key, id) = (ObjectKey("k"), UploadID("one"))
            try await store.begin(id, key, in: bucket)
            for number in 1...3 {
                let part = UploadedPart(
                    number: number, size: 20_000, entityTag: "t", modified: Instant(seconds: 4),
                    body: try await store.stage(Self.body(number, 20_000), in: bucket))
                try await store.change(key, in: bucket) { change throws(Fault) in try change.put(part, of: id) }
            }
            try await store.change(key, in: bucket) { change throws(Fault) in
                let body = try change.end(id, keeping: [1, 3])
                try change.put(
                    ObjectVersion(
                        id: .null, size: 40_000, entityTag: "t", modified: Instant(seconds: 1), detail: ObjectDetail(), body: body))
            }
            #expect(try await store.get("k", in: bucket) == Self.body(1, 20_000) + Self.body(3, 20_000))
            try await store.remove("k", in: bucket)
            try await store.round("garbage")
            await store.close()
            let index = try SQLiteEngine(path: folder + "/shard-\(bucket.shard)/index.sqlite")
            let (bodies, bytes) = try await index.read { tx throws(Fault) in
                (
                    try tx.value("SELECT count(*) FROM segment_body", as: Int.self),
                    try tx.value("SELECT sum(bytes) FROM segment", as: Int.self)
                )
            }
            #expect(bodies == 0 && bytes == 0)
            await index.close()
        }
    }

    /// What was appended and never named goes with its segment, at the next start at the latest.
    @Test func whatNoVersionNamesIsRemoved() async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder + "/s", chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            _ = try await store.stage(Self.body(1), in: bucket)
            let abandoned = try await store.stage(size: 20_000, in: bucket)
            try await abandoned.append(ByteBuffer(bytes: Self.body(2, 20_000)))
            _ = try await abandoned.finish()
            await abandoned.abandon()
            #expect(segments(in: folder).count == 1)
            // As the process' death leaves it.
            try FileManager.default.copyItem(atPath: folder + "/s", toPath: folder + "/copy")
            await store.close()
            let again = try await LocalBackend.open(folder + "/copy", chance: .system)
            #expect(segments(in: folder + "/copy").isEmpty)
            try await again.put("a", known: Self.body(3), in: bucket)
            #expect(try await again.get("a", in: bucket) == Self.body(3))
            await again.close()
        }
    }

    /// More bodies than there is room for in memory come into files as they come.
    @Test func roomIsBounded() async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            var sinks: [any BodySink] = []
            for _ in 0..<(Segments.roomBytes / Self.mebibyte + 3) {
                let sink = try await store.stage(size: Int64(Self.mebibyte), in: bucket)
                try await sink.append(ByteBuffer(bytes: Self.body(4)))
                sinks.append(sink)
            }
            var kinds: [Bool] = []
            for sink in sinks {
                if case .segment = try await sink.finish() { kinds.append(true) } else { kinds.append(false) }
                await sink.abandon()
            }
            #expect(kinds.count { !$0 } == 3)
            sinks = []
            try await store.put("a", known: Self.body(5), in: bucket)
            #expect(try await store.get("a", in: bucket) == Self.body(5))
            await store.close()
        }
    }

    @Test func aDamagedByteIsNeverReturned() async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder + "/s", chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            try await store.put("a", known: Self.body(1), in: bucket)
            try await store.put("b", known: Self.body(2), in: bucket)
            let handle = try #require(FileHandle(forUpdatingAtPath: segments(in: folder)[0]))
            try handle.seek(toOffset: 200_000)
            try handle.write(contentsOf: Data([0xff, 0xfe, 0xfd]))
            try handle.close()
            #expect(try await store.get("a", 0..<100_000, in: bucket) == Array(Self.body(1)[..<100_000]))
            await #expect(throws: ObjectFaults.bodyIsDamaged) { try await store.get("a", 199_990..<199_995, in: bucket) }
            #expect(try await store.get("b", in: bucket) == Self.body(2))
            await store.close()
        }
    }

    // MARK: Compaction

    /// Fills a segment and part of the next, then removes all of the first but every eighth body.
    ///
    /// - Returns: Which are left.
    private func fill(_ store: LocalBackend, _ bucket: Bucket) async throws -> [Int] {
        for number in 0..<72 { try await store.put("k\(number)", known: Self.body(number), in: bucket) }
        for number in 0..<64 where number % 8 != 0 { try await store.remove("k\(number)", in: bucket) }
        return (0..<72).filter { $0 % 8 == 0 || $0 >= 64 }
    }

    private func expect(_ numbers: [Int], in store: LocalBackend, _ bucket: Bucket) async throws {
        for number in numbers { #expect(try await store.get("k\(number)", in: bucket) == Self.body(number), "k\(number)") }
    }

    private final class Flag: Sendable {
        private let state = Mutex(false)
        var isRaised: Bool { state.withLock(\.self) }
        func raise() { state.withLock { $0 = true } }
    }

    private func keepReading(_ numbers: StrideTo<Int>, _ store: LocalBackend, _ bucket: Bucket, until flag: Flag) async throws {
        while !flag.isRaised {
            try await expect(Array(numbers), in: store, bucket)
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private func keepReplacing(_ key: String, _ store: LocalBackend, _ bucket: Bucket, until flag: Flag) async throws {
        var round = 0
        while !flag.isRaised {
            try await store.put(key, known: Self.body(round, 50_000), in: bucket)
            #expect(try await store.get(key, in: bucket) == Self.body(round, 50_000))
            round += 1
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test func compactionGivesRoomBackUnderReadersAndWriters() async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            for number in 0..<72 { try await store.put("k\(number)", known: Self.body(number), in: bucket) }
            let first = try #require(segments(in: folder).first)
            let isOver = Flag()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for reader in 0..<2 {
                    group.addTask { try await keepReading(stride(from: reader * 8, to: 64, by: 16), store, bucket, until: isOver) }
                }
                group.addTask { try await keepReplacing("own", store, bucket, until: isOver) }
                // One that is begun is read to its end, wherever the body is moved.
                let version = try #require(try await store.find(ObjectKey("k0"), version: nil, in: bucket))
                let begun = try await store.read(try #require(version.body), 0..<version.size, in: bucket).makeAsyncIterator()
                var read = Array((try await begun.next() ?? ByteBuffer()).readableBytesView)
                for number in 0..<64 where number % 8 != 0 { try await store.remove("k\(number)", in: bucket) }
                try await store.round("compaction")
                #expect(!FileManager.default.fileExists(atPath: first))
                while let next = try await begun.next() { read += next.readableBytesView }
                #expect(read == Self.body(0))
                isOver.raise()
                try await group.waitForAll()
            }
            try await expect((0..<72).filter { $0 % 8 == 0 || $0 >= 64 }, in: store, bucket)
            await store.close()
            let again = try await LocalBackend.open(folder, chance: .system)
            try await expect((0..<72).filter { $0 % 8 == 0 || $0 >= 64 }, in: again, bucket)
            await again.close()
        }
    }

    /// At each step the process dies: what is on the disk then has every body, and is compacted at the next start.
    @Test(arguments: CompactionStep.allCases)
    func compactionThatIsCutOffLosesNothing(step: CompactionStep) async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder + "/s", chance: .system) { passed throws(Fault) in
                if passed == step { throw Fault(.cancelled, "cut off") }
            }
            let bucket = try #require(try await store.add(Samples.bucket))
            let left = try await fill(store, bucket)
            await #expect(throws: Fault(.cancelled, "cut off")) { try await store.round("compaction") }
            try await expect(left, in: store, bucket)
            let first = try #require(segments(in: folder + "/s").first)
            #expect(FileManager.default.fileExists(atPath: first))
            try FileManager.default.copyItem(atPath: folder + "/s", toPath: folder + "/copy")
            await store.close()
            let again = try await LocalBackend.open(folder + "/copy", chance: .system)
            try await expect(left, in: again, bucket)
            let copied = first.replacingOccurrences(of: folder + "/s/", with: folder + "/copy/")
            try await again.round("compaction")
            #expect(!FileManager.default.fileExists(atPath: copied))
            try await expect(left, in: again, bucket)
            await again.close()
        }
    }

    /// A body that is damaged keeps its segment, and the others in it come out.
    @Test func aDamagedBodyIsNotMoved() async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            for number in 0..<72 { try await store.put("k\(number)", known: Self.body(number), in: bucket) }
            let first = try #require(segments(in: folder).first)
            let handle = try #require(FileHandle(forUpdatingAtPath: first))
            try handle.seek(toOffset: UInt64(8 * Self.mebibyte + 5))
            try handle.write(contentsOf: Data([0xff, 0xfe, 0xfd]))
            try handle.close()
            for number in 0..<64 where number % 8 != 0 { try await store.remove("k\(number)", in: bucket) }
            #expect(try await store.round("compaction") == "\(7 * Self.mebibyte) bytes moved, 0 segments removed")
            try await expect([0, 16, 24, 32, 40, 48, 56], in: store, bucket)
            await #expect(throws: ObjectFaults.bodyIsDamaged) { try await store.get("k8", in: bucket) }
            #expect(FileManager.default.fileExists(atPath: first))
            await store.close()
        }
    }
}
