//  The feed of events: in order, bounded, its numbers never given twice.

import Foundation
import Model
import Testing

@testable import Objects

@Suite struct EventFeedTests {
    private func withFeed(keeping count: Int64, _ body: (_ open: () async throws -> EventFeed) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "feed-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body { try await EventFeed.open(folder.path + "/events.sqlite", eventsMax: count) }
    }

    @Test func theOldestGo() async throws {
        try await withFeed(keeping: 1500) { open in
            let feed = try await open()
            for number in 1...3000 { try await feed.add("{\"n\":\(number)}", of: number.isMultiple(of: 2) ? "even" : "odd") }
            let all = try await feed.events(after: 0, of: nil, limit: 10_000)
            #expect(all.map(\.number) == Array(1501...3000))
            #expect(all.allSatisfy { $0.body == "{\"n\":\($0.number)}" })
            #expect(try await feed.events(after: 2990, of: "odd", limit: 3).map(\.number) == [2991, 2993, 2995])
            await feed.close()
        }
    }

    @Test func numbersGoOn() async throws {
        try await withFeed(keeping: 1000) { open in
            let first = try await open()
            for _ in 1...2000 { try await first.add("{}", of: "b") }
            await first.close()
            let second = try await open()
            try await second.add("{}", of: "b")
            #expect(try await second.events(after: 2000, of: "b", limit: 9).map(\.number) == [2001])
            await second.close()
        }
    }
}
