//  EC2's filters: names with values, wildcards in the values. A resource says what each name
//  reads of a row; everything else is the same for all.

import EC2Model
import Model
import Store

/// What the filters of one kind of row can ask.
struct FilterTable<Row>: Sendable {
    /// The values of a row under each name; a filter matches when any of them does.
    var fields: [String: @Sendable (Row) -> [String]]
    /// The row's tags, for `tag:KEY` and `tag-key`; nil where rows have none.
    var tags: (@Sendable (Row) -> [Tag])?

    init(_ fields: [String: @Sendable (Row) -> [String]], tags: (@Sendable (Row) -> [Tag])? = nil) {
        self.fields = fields
        self.tags = tags
    }
}

/// The filters of one call, checked and ready: a row passes when every filter has a value that fits.
struct RowFilter<Row>: Sendable {
    /// EC2's limit on the values of one call.
    static var valuesMax: Int { 200 }
    static var valueBytesMax: Int { 1024 }

    private struct Test: Sendable {
        var name: String
        var patterns: [Wildcard]
        var values: @Sendable (Row) -> [String]
    }

    private let tests: [Test]

    /// Throws `.invalidParameter` for a name that the resource does not know, `.missingParameter` for a filter
    /// without a name or values, `.limitExceeded` for too many values.
    init(_ filters: [EC2.Filter]?, _ table: FilterTable<Row>) throws(Fault) {
        var tests: [Test] = []
        var count = 0
        for filter in filters ?? [] {
            guard let name = filter.name, !name.isEmpty else {
                throw Fault(.missingParameter, "The request must contain the parameter Filter.Name")
            }
            guard let values = filter.values, !values.isEmpty else {
                throw Fault(.invalidParameter, "The filter '\(name.prefix(128))' must have at least one value")
            }
            count += values.count
            guard count <= Self.valuesMax, values.allSatisfy({ $0.utf8.count <= Self.valueBytesMax }) else {
                throw Fault(
                    .invalidParameter, "The maximum number of filter values specified on a single call is \(Self.valuesMax)")
            }
            guard let read = RowFilter.reader(name, table) else {
                throw Fault(.invalidParameter, "The filter '\(name.prefix(128))' is invalid")
            }
            tests.append(Test(name: name, patterns: values.map(Wildcard.init), values: read))
        }
        self.tests = tests
    }

    private static func reader(_ name: String, _ table: FilterTable<Row>) -> (@Sendable (Row) -> [String])? {
        if let field = table.fields[name] { return field }
        guard let tags = table.tags else { return nil }
        if name == "tag-key" { return { row in tags(row).map(\.key) } }
        guard name.hasPrefix("tag:"), name.utf8.count > 4 else { return nil }
        let key = String(name.dropFirst(4))
        return { row in tags(row).filter { $0.key == key }.map(\.value) }
    }

    /// Whether a row passes all filters.
    func passes(_ row: Row) -> Bool {
        tests.allSatisfy { test in
            let values = test.values(row)
            return values.contains { value in test.patterns.contains { $0.matches(value) } }
        }
    }

    /// The values of a filter, if it is there and none has a wildcard: what an index may decide.
    func exact(_ name: String) -> [String]? {
        guard let test = tests.first(where: { $0.name == name }) else { return nil }
        let texts = test.patterns.compactMap(\.literal)
        return texts.count == test.patterns.count ? texts : nil
    }

    /// The first filter on a tag's value that one key and one value decide.
    var exactTag: (key: String, value: String)? {
        for test in tests where test.name.hasPrefix("tag:") {
            if test.patterns.count == 1, let value = test.patterns.first?.literal { return (String(test.name.dropFirst(4)), value) }
        }
        return nil
    }
}

/// A pattern of EC2's: `*` stands for any characters, `?` for one, a backslash takes the next as it is.
struct Wildcard: Sendable {
    private enum Part: Sendable, Hashable {
        case character(Unicode.Scalar)
        case one, many
    }

    private let parts: [Part]

    init(_ text: String) {
        var parts: [Part] = []
        var isEscaped = false
        for scalar in text.unicodeScalars {
            if isEscaped {
                parts.append(.character(scalar))
                isEscaped = false
                continue
            }
            switch scalar {
            case "\\": isEscaped = true
            case "*": if parts.last != .many { parts.append(.many) }
            case "?": parts.append(.one)
            default: parts.append(.character(scalar))
            }
        }
        // A lone backslash at the end means itself.
        if isEscaped { parts.append(.character("\\")) }
        self.parts = parts
    }

    /// The only text that matches, if there is but one.
    var literal: String? {
        var text = String.UnicodeScalarView()
        for part in parts {
            guard case .character(let scalar) = part else { return nil }
            text.append(scalar)
        }
        return String(text)
    }

    /// Whether all of `text` fits. Goes back to the last star only, so that its time is bounded by the
    /// product of the lengths.
    func matches(_ text: String) -> Bool {
        let scalars = Array(text.unicodeScalars)
        var part = 0
        var place = 0
        var retry: (part: Int, place: Int)?
        while place < scalars.count {
            let isFit =
                switch part < parts.count ? parts[part] : nil {
                case .character(let scalar): scalar == scalars[place]
                case .one: true
                case .many, nil: false
                }
            if isFit {
                part += 1
                place += 1
            } else if part < parts.count, parts[part] == .many {
                retry = (part + 1, place)
                part += 1
            } else if let back = retry {
                retry = (back.part, back.place + 1)
                part = back.part
                place = back.place + 1
            } else {
                return false
            }
        }
        return parts[part...].allSatisfy { $0 == .many }
    }
}
