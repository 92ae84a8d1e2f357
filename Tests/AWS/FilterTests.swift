//  Filters and their wildcards.

import EC2Model
import Model
import Store
import Testing

@testable import AWS

@Suite struct FilterTests {
    @Test(arguments: [
        ("abc", "abc", true), ("abc", "ab", false), ("abc", "abcd", false), ("", "", true), ("", "a", false),
        ("*", "", true), ("*", "anything", true), ("a*", "a", true), ("a*c", "abbbc", true), ("a*c", "abbb", false),
        ("*b*", "abc", true), ("**", "x", true), ("a**b", "ab", true), ("a*b*c", "aXbYbZc", true), ("*a", "aaab", false),
        ("?", "", false), ("?", "a", true), ("a?c", "abc", true), ("a?c", "ac", false), ("??", "é漢", true),
        ("\\*", "*", true), ("\\*", "x", false), ("\\?", "?", true), ("\\\\", "\\", true), ("\\a", "a", true),
        // A lone backslash at the end means itself.
        ("a\\", "a\\", true),
        ("A", "a", false), ("*\\*", "x*", true), ("*\\*", "xy", false),
    ])
    func wildcards(_ pattern: String, _ text: String, _ fits: Bool) {
        #expect(Wildcard(pattern).matches(text) == fits)
    }

    @Test func starsDoNotTakeForever() {
        let pattern = Wildcard(String(repeating: "a*", count: 500) + "b")
        let clock = ContinuousClock()
        let began = clock.now
        #expect(!pattern.matches(String(repeating: "a", count: 1000)))
        #expect(clock.now - began < .seconds(5))
    }

    /// A second way to match, by the definition.
    private func slow(_ pattern: ArraySlice<Character>, _ text: ArraySlice<Character>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        switch first {
        case "*": return slow(pattern.dropFirst(), text) || (!text.isEmpty && slow(pattern, text.dropFirst()))
        case "?": return !text.isEmpty && slow(pattern.dropFirst(), text.dropFirst())
        default: return text.first == first && slow(pattern.dropFirst(), text.dropFirst())
        }
    }

    @Test func wildcardsOfChance() {
        var dice = Dice(seed: 11)
        for _ in 0..<5000 {
            let pattern = (0..<Int.random(in: 0...6, using: &dice)).map { _ in Array("ab*?").randomElement(using: &dice) ?? "a" }
            let text = (0..<Int.random(in: 0...7, using: &dice)).map { _ in Array("ab").randomElement(using: &dice) ?? "a" }
            #expect(Wildcard(String(pattern)).matches(String(text)) == slow(pattern[...], text[...]), "\(pattern) \(text)")
        }
    }

    private struct Row: Sendable {
        var name: String
        var tags: [String: String]
    }

    private static let table = FilterTable<Row>(
        ["name": { [$0.name] }, "none": { _ in [] }],
        tags: { row in
            row.tags.map { Tag(account: ID(bits: 1), kind: .instance, thing: 1, key: $0.key, value: $0.value) }
        })

    private func filter(_ name: String?, _ values: [String]?) -> EC2.Filter {
        var filter = EC2.Filter()
        filter.name = name
        filter.values = values
        return filter
    }

    @Test func filtersAreJoinedByAndTheirValuesByOr() throws {
        let row = Row(name: "web", tags: ["a": "1", "b": ""])
        func passes(_ filters: EC2.Filter...) throws -> Bool { try RowFilter(filters, Self.table).passes(row) }
        #expect(try passes())
        #expect(try passes(filter("name", ["db", "w*"])))
        #expect(try !passes(filter("name", ["db"])))
        #expect(try !passes(filter("name", ["web"]), filter("tag:a", ["2"])))
        #expect(try passes(filter("name", ["web"]), filter("tag:a", ["1"])))
        #expect(try passes(filter("tag:b", [""])))
        #expect(try !passes(filter("tag:c", [""])))
        #expect(try passes(filter("tag-key", ["b"])))
        #expect(try !passes(filter("none", ["*"])))
    }

    @Test func whatAnIndexDecides() throws {
        let one = try RowFilter([filter("tag:a", ["x\\*"]), filter("name", ["a", "b"])], Self.table)
        #expect(one.exactTag?.key == "a")
        #expect(one.exactTag?.value == "x*")
        #expect(one.exact("name") == ["a", "b"])
        #expect(one.exact("none") == nil)
        let wild = try RowFilter([filter("tag:a", ["x*"]), filter("name", ["a", "b*"])], Self.table)
        #expect(wild.exactTag == nil)
        #expect(wild.exact("name") == nil)
    }

    @Test func refusals() {
        for (name, values) in [
            ("nonsense", ["x"]), ("tag:", ["x"]), ("", ["x"]), ("name", []), ("name", Array(repeating: "x", count: 201)),
        ] {
            #expect(throws: Fault.self) { try RowFilter([filter(name, values)], Self.table) }
        }
        let fault = #expect(throws: Fault.self) { try RowFilter([filter("nonsense", ["x"])], Self.table) }
        #expect(fault?.message == "The filter 'nonsense' is invalid")
        #expect(throws: Fault.self) { try RowFilter([filter("tag:a", ["x"])], FilterTable<Row>(["name": { [$0.name] }])) }
    }
}
