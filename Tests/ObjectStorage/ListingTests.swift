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
