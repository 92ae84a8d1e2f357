//  Large bodies, which are written past the page cache by blocks of a fixed length: they come back whole, and
//  their files are exactly as long as they are.

import Foundation
import Model
import NIOCore
import Testing

@testable import ObjectStorage

@Suite struct LargeBodyTests {
    private static let mebibyte = 1 << 20

    private func length(_ path: String) -> Int? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        guard attributes?[.type] as? FileAttributeType == .typeRegular else { return nil }
        return attributes?[.size] as? Int
    }

    /// - Parameter known: Whether the store is told beforehand how long the body is.
    @Test(
        arguments: [
            mebibyte + 1, mebibyte + 4095, mebibyte + 4096, 3 * mebibyte / 2, 3 * mebibyte / 2 + 4097, 2 * mebibyte - 1,
        ], [true, false])
    func largeBodiesComeBack(count: Int, known: Bool) async throws {
        try await Samples.withFolder { folder in
            let store = try await LocalBackend.open(folder, chance: .system)
            let bucket = try #require(try await store.add(Samples.bucket))
            let bytes = Samples.bytes(count)
            let sink = try await store.stage(size: known ? Int64(count) : nil, in: bucket)
            for place in stride(from: 0, to: count, by: 10_007) {
                try await sink.append(ByteBuffer(bytes: bytes[place..<min(place + 10_007, count)]))
            }
            let version = ObjectVersion(
                id: .null, size: Int64(count), entityTag: "tag", modified: Instant(seconds: 5), detail: ObjectDetail(),
                body: try await sink.finish())
            try await store.change(ObjectKey("k"), in: bucket) { change throws(Fault) in try change.put(version) }
            #expect(try await store.get("k", in: bucket) == bytes)
            let last = Int64(count - 5000)..<Int64(count)
            #expect(try await store.get("k", last, in: bucket) == Array(bytes[(count - 5000)...]))
            await store.close()
            let files = FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []
            #expect(files.filter { $0.contains("/bodies/") }.compactMap { length("\(folder)/\($0)") } == [count])
        }
    }
}
