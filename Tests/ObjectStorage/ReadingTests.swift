//  Readers that are slow: what they have begun to read comes to its end, whatever becomes of it meanwhile.

import Foundation
import Model
import NIOCore
import Testing

@testable import ObjectStorage

@Suite struct ReadingTests {
    /// Lengths of parts: several of each tier, mixed.
    private static let parts = [1_200_000, 100, 300_000, 1_100_000, 8_192, 8_193, 700_000, 3_000_000, 5]

    private func withStore(_ body: (LocalBackend, Bucket, String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "karri-reading-\(Chance.system.bits())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try await LocalBackend.open(folder, chance: .system)
        let bucket = try #require(try await store.add(Samples.bucket))
        try await body(store, bucket, folder)
        await store.close()
    }

    /// How many files of bodies there are.
    private func files(in folder: String) -> Int {
        (FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? [])
            .count { $0.contains("/bodies/") && $0.split(separator: "/").count == 4 }
    }

    private func body(of parts: [Int]) -> [UInt8] { parts.indices.flatMap { part($0, parts[$0]) } }

    private func part(_ number: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 31 ^ $0 >> 8) &+ number &* 77) }
    }

    /// Stores an object of parts and returns where its body is.
    private func complete(_ parts: [Int], _ name: String, in bucket: Bucket, _ store: LocalBackend) async throws -> BodyReference {
        let (key, id) = (ObjectKey(name), UploadID("upload-\(Chance.system.bits())"))
        try await store.begin(id, key, in: bucket)
        for (place, count) in parts.enumerated() {
            let bytes = part(place, count)
            let sink = try await store.stage(size: Int64(count), in: bucket)
            try await sink.append(ByteBuffer(bytes: bytes))
            let taken = UploadedPart(
                number: place + 1, size: Int64(count), entityTag: "t", modified: Instant(seconds: 4),
                body: try await sink.finish())
            try await store.change(key, in: bucket) { change throws(Fault) in try change.put(taken, of: id) }
        }
        let size = Int64(parts.reduce(0, +))
        try await store.change(key, in: bucket) { change throws(Fault) in
            let body = try change.end(id, keeping: Array(1...parts.count))
            try change.put(
                ObjectVersion(
                    id: .null, size: size, entityTag: "t", modified: Instant(seconds: 1), detail: ObjectDetail(), body: body))
        }
        return try #require(try await store.find(key, version: nil, in: bucket)?.body)
    }

    /// Does all of the background's work, as often as one may wake another.
    private func tidy(_ store: LocalBackend) async throws {
        for _ in 0..<2 {
            try await store.round("garbage")
            try await store.round("compaction")
        }
    }

    @Test(arguments: [100, 8_193, 300_000, 1_100_000, 3_000_000], [false, true])
    func aBodyThatIsReadComesToItsEnd(count: Int, isReplaced: Bool) async throws {
        try await withStore { store, bucket, folder in
            let bytes = Samples.bytes(count)
            try await store.put("a", bytes, in: bucket)
            let body = try #require(try await store.find(ObjectKey("a"), version: nil, in: bucket)?.body)
            let source = try await store.read(body, 0..<Int64(count), in: bucket)
            if isReplaced { try await store.put("a", [1], in: bucket) } else { try await store.remove("a", in: bucket) }
            try await tidy(store)
            #expect(files(in: folder) == 0)
            var got: [UInt8] = []
            for try await piece in source { got += piece.readableBytesView }
            #expect(got == bytes)
        }
    }

    @Test(arguments: [false, true])
    func aBodyOfPartsThatIsReadComesToItsEnd(isReplaced: Bool) async throws {
        try await withStore { store, bucket, folder in
            let bytes = body(of: Self.parts)
            let reference = try await complete(Self.parts, "a", in: bucket, store)
            let large = Self.parts.count { $0 > LocalBackend.segmentBytesMax }
            do {
                let source = try await store.read(reference, 0..<Int64(bytes.count), in: bucket)
                let other = try await store.read(reference, 1_200_050..<1_300_000, in: bucket)
                let reading = source.makeAsyncIterator()
                let first = try await reading.next()
                var got = Array(try #require(first).readableBytesView)
                if isReplaced {
                    _ = try await complete([700_000, 3], "a", in: bucket, store)
                } else {
                    try await store.remove("a", in: bucket)
                }
                try await tidy(store)
                #expect(files(in: folder) == large)
                var part: [UInt8] = []
                for try await piece in other { part += piece.readableBytesView }
                #expect(part == Array(bytes[1_200_050..<1_300_000]))
                while let piece = try await reading.next() { got += piece.readableBytesView }
                #expect(got == bytes)
            }
            // Nobody reads it any more.
            try await tidy(store)
            #expect(files(in: folder) == 0)
            await #expect(throws: ObjectFaults.bodyIsGone) { _ = try await store.read(reference, 0..<9, in: bucket) }
            await #expect(throws: ObjectFaults.bodyIsGone) { _ = try await store.pieces(of: reference, in: bucket) }
            if isReplaced { #expect(try await store.get("a", in: bucket) == self.body(of: [700_000, 3])) }
        }
    }

    /// The end of a reading is heard of by who collects garbage.
    @Test(.timeLimit(.minutes(1))) func theLastReaderWakesTheCollector() async throws {
        try await withStore { store, bucket, folder in
            let garbage = try #require(store.work.first { $0.name == "garbage" })
            var wakes = garbage.wakes.makeAsyncIterator()
            await wakes.next()
            let reference = try await complete([1_100_000, 1_100_000], "a", in: bucket, store)
            try await store.remove("a", in: bucket)
            await wakes.next()
            do {
                let sources = [
                    try await store.read(reference, 0..<9, in: bucket), try await store.read(reference, 5..<9, in: bucket),
                ]
                try await store.round("garbage")
                #expect(files(in: folder) == 2)
                for source in sources { for try await _ in source {} }
            }
            await wakes.next()
            #expect(try await store.round("garbage") == "2 files removed")
        }
    }

    /// Holds end with the process: what they kept is garbage at the next start.
    @Test func whatWasHeldIsCollectedAfterAStart() async throws {
        let folder = NSTemporaryDirectory() + "karri-reading-\(Chance.system.bits())"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try await LocalBackend.open(folder, chance: .system)
        let bucket = try #require(try await store.add(Samples.bucket))
        let reference = try await complete(Array(repeating: 1_100_000, count: 3), "a", in: bucket, store)
        let source = try await store.read(reference, 0..<1_000, in: bucket)
        try await store.remove("a", in: bucket)
        try await store.round("garbage")
        #expect(files(in: folder) == 3)
        await store.close()
        _ = source
        let again = try await LocalBackend.open(folder, chance: .system)
        try await again.round("garbage")
        #expect(files(in: folder) == 0)
        await again.close()
    }

    /// A body of many parts is taken apart in several steps.
    @Test func manyPartsAreTakenApart() async throws {
        try await withStore { store, bucket, _ in
            let reference = try await complete(Array(repeating: 9_000, count: 250), "a", in: bucket, store)
            try await store.remove("a", in: bucket)
            try await store.round("garbage")
            await #expect(throws: ObjectFaults.bodyIsGone) { _ = try await store.pieces(of: reference, in: bucket) }
            try await store.remove(bucket)
        }
    }

    /// Readers and writers of one key, who do not wait for each other.
    @Test func readersAmongWriters() async throws {
        try await withStore { store, bucket, _ in
            let key = ObjectKey("a")
            _ = try await complete([1_100_000, 9_000, 5], "a", in: bucket, store)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for _ in 0..<20 {
                        _ = try await self.complete([1_100_000, 9_000, 5], "a", in: bucket, store)
                        try await store.round("garbage")
                    }
                }
                for _ in 0..<3 {
                    group.addTask {
                        let bytes = self.body(of: [1_100_000, 9_000, 5])
                        for _ in 0..<40 {
                            guard let body = try await store.find(key, version: nil, in: bucket)?.body else { continue }
                            let source: BodySource
                            do throws(Fault) { source = try await store.read(body, 0..<Int64(bytes.count), in: bucket) } catch {
                                #expect(error == ObjectFaults.bodyIsGone)
                                continue
                            }
                            var got: [UInt8] = []
                            for try await piece in source { got += piece.readableBytesView }
                            #expect(got == bytes)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
