//  Listings, page by page, against what one gets by sorting and rolling up all keys at once.

import Model
import Testing

@testable import ObjectStorage

@Suite struct ListingTests {
    private static let keys = [
        "a", "a/", "a/b", "a/b/c", "a/c", "a//d", "b", "b/1", "b/2", "b0", "c/x/y", "c/x/z", "ü", "ü/ö", "z\u{10FFFF}", "/", "//",
    ]

    @Test(
        arguments: TestedBackend.allCases,
        [("", ""), ("", "/"), ("a", "/"), ("a/", "/"), ("c/x", "/"), ("", "b"), ("ü", "/"), ("none", "/"), ("", "/x")])
    func pages(backend: TestedBackend, asked: (prefix: String, delimiter: String)) async throws {
        try await backend.with { store, bucket in
            for key in Self.keys { try await store.put(key, [1], in: bucket) }
            let expected = rolledUp(asked.prefix, asked.delimiter)
            for limit in 1...Self.keys.count + 1 {
                var request = ListingRequest<ListedObject>()
                request.prefix = Array(asked.prefix.utf8)
                request.delimiter = Array(asked.delimiter.utf8)
                request.limit = limit
                var found: [[UInt8]] = []
                while true {
                    let page = try await store.list(request, .current, of: bucket)
                    let shown = page.entries.map(\.key.bytes) + page.commonPrefixes
                    #expect(shown.count <= limit)
                    found += shown.sorted { $0.lexicographicallyPrecedes($1) }
                    guard let next = page.next else { break }
                    #expect(shown.count == limit)
                    request.after = next
                }
                #expect(found == expected, "limit \(limit)")
            }
        }
    }

    @Test(arguments: TestedBackend.allCases)
    func nothingIsAskedFor(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            try await store.put("a", [1], in: bucket)
            var request = ListingRequest<ListedObject>()
            request.limit = 0
            #expect(try await store.list(request, .current, of: bucket) == ListingPage())
        }
    }

    /// Keys with many older versions, or with delete markers before or among them, between those that have none.
    @Test(arguments: TestedBackend.allCases)
    func olderVersionsAreNotShown(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            var shown: [[UInt8]] = []
            for (place, count) in [1, 1, 200, 1, 30, 500, 2, 100, 1, 1, 300].enumerated() {
                let key = ObjectKey("k/\(place % 3)/\(UnicodeScalar(UInt8(97 + place)))")
                let isDeleted = place % 4 == 2
                // Ids as a clock gives them, whole milliseconds apart.
                let ids = (1...count).map { VersionID(bits: UInt64(1_700_000_000_000_000 + place + $0 * 1000)) }
                try await store.change(key, in: bucket) { change throws(Fault) in
                    for (turn, id) in ids.enumerated() {
                        let isMarker = turn == ids.count - 1 ? isDeleted : turn % 50 == 7
                        try change.put(
                            ObjectVersion(
                                id: id, size: isMarker ? 0 : 1, entityTag: "t", modified: Instant(seconds: 5),
                                detail: ObjectDetail(),
                                body: isMarker ? nil : .inline(id: 0, bytes: [1])))
                    }
                    // Each is found by its id, and as the one it is.
                    for id in [ids[0], ids[ids.count / 2]] { #expect(try change.version(id)?.id == id) }
                }
                if !isDeleted { shown.append(key.bytes) }
            }
            shown.sort { $0.lexicographicallyPrecedes($1) }
            for (limit, delimiter) in [(1, ""), (2, ""), (3, ""), (100, ""), (1, "/"), (100, "/")] {
                var request = ListingRequest<ListedObject>()
                (request.prefix, request.delimiter, request.limit) = (Array("k/".utf8), Array(delimiter.utf8), limit)
                var next: ListingRequest? = request
                var found: [[UInt8]] = []
                while let asked = next {
                    let page = try await store.list(asked, .current, of: bucket)
                    #expect(page.entries.allSatisfy { $0.isLatest && !$0.isDeleteMarker })
                    found += page.entries.map(\.key.bytes) + page.commonPrefixes
                    next = asked.following(page)
                }
                #expect(found == (delimiter.isEmpty ? shown : ["k/0/", "k/1/", "k/2/"].map { Array($0.utf8) }), "limit \(limit)")
            }
        }
    }

    /// A version without an id stands where one with an id might, and is not that one.
    @Test(arguments: TestedBackend.allCases)
    func aPlaceIsNoID(backend: TestedBackend) async throws {
        try await backend.with { store, bucket in
            let nameless = ObjectVersion(
                id: .null, size: 1, entityTag: "t", modified: Instant(seconds: 5), detail: ObjectDetail(),
                body: .inline(id: 0, bytes: [1]))
            let key = ObjectKey("k")
            try await store.change(key, in: bucket) { change throws(Fault) in
                try change.put(nameless, at: 1_700_000_000_000_000)
                try change.remove(VersionID(bits: 1_700_000_000_000_000))
            }
            #expect(try await store.find(key, version: VersionID(bits: 1_700_000_000_000_000), in: bucket) == nil)
            #expect(try await store.find(key, version: .null, in: bucket)?.id == .null)
            #expect(try await store.list(ListingRequest(), .all, of: bucket).entries.map(\.version) == [.null])
        }
    }

    private func rolledUp(_ prefix: String, _ delimiter: String) -> [[UInt8]] {
        var found: [[UInt8]] = []
        for key in Self.keys.map({ Array($0.utf8) }).sorted(by: { $0.lexicographicallyPrecedes($1) })
        where key.starts(with: Array(prefix.utf8)) {
            let rest = key.dropFirst(prefix.utf8.count)
            let place = delimiter.isEmpty ? nil : rest.firstRange(of: Array(delimiter.utf8))
            let shown = place.map { Array(key[..<$0.upperBound]) } ?? key
            if found.last != shown { found.append(shown) }
        }
        return found
    }
}
