//  How a version's detail stands in its row. It is read with every version, so that what nearly all have,
//  headers and metadata, is written as lines; JSON tells the rest.

import Database
import Model

/// A detail as a column: lines in pairs, `h:content-type` and the value, where those can tell it all, else JSON.
struct StoredDetail: Column {
    let detail: ObjectDetail

    init(_ detail: ObjectDetail) { self.detail = detail }

    static var type: ValueType { .text }

    /// What the first letter of a pair stands for.
    private static let kinds: [(letter: UInt8, field: any WritableKeyPath<ObjectDetail, [String: String]> & Sendable)] = [
        (UInt8(ascii: "h"), \.headers), (UInt8(ascii: "m"), \.metadata), (UInt8(ascii: "c"), \.checksums),
    ]
    private static let lineFeed = UInt8(ascii: "\n")

    var value: Value { lines.map(Value.text) ?? JSON(detail).value }

    /// Nil where lines cannot tell it.
    private var lines: String? {
        var told = ObjectDetail()
        var text = ""
        for (letter, field) in StoredDetail.kinds {
            told[keyPath: field] = detail[keyPath: field]
            for (name, value) in detail[keyPath: field] {
                guard !name.utf8.contains(StoredDetail.lineFeed), !value.utf8.contains(StoredDetail.lineFeed) else { return nil }
                text.unicodeScalars.append(UnicodeScalar(letter))
                text += ":\(name)\n\(value)\n"
            }
        }
        return told == detail ? text : nil
    }

    static func take(_ row: inout Row) throws(Fault) -> StoredDetail {
        let text = try row.takeText()
        return text.isEmpty ? StoredDetail(ObjectDetail()) : try StoredDetail(text)
    }

    private init(_ text: String) throws(Fault) {
        var detail = ObjectDetail()
        var rest = text.utf8[...]
        while let letter = rest.first {
            guard letter != UInt8(ascii: "{") else {
                self = StoredDetail(try JSON<ObjectDetail>(text: text).document)
                return
            }
            guard let field = StoredDetail.kinds.first(where: { $0.letter == letter })?.field,
                let name = StoredDetail.line(&rest), let value = StoredDetail.line(&rest)
            else { throw Fault(.storage, "A stored detail cannot be read.", kind: .object) }
            detail[keyPath: field][String(name.dropFirst(2))] = String(value)
        }
        self.detail = detail
    }

    private static func line(_ rest: inout Substring.UTF8View) -> Substring? {
        guard let end = rest.firstIndex(of: lineFeed) else { return nil }
        defer { rest = rest[rest.index(after: end)...] }
        return Substring(rest[..<end])
    }
}
