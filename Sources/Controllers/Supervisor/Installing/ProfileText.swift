//  Edits one section of an INI file as the AWS tools read it (botocore's RawConfigParser), leaving
//  every other byte as it was: comments, order, line ends, odd encodings.

import Model

/// The bytes of `~/.aws/config` or `~/.aws/credentials`, in lines.
struct ProfileText {
    private struct Line {
        enum Kind: Equatable {
            case header([String])
            case key(String)
            /// Goes on the value of the key before it.
            case continuation
            /// Blank or a comment: says nothing, ends nothing.
            case nothing
        }
        var bytes: ArraySlice<UInt8>
        var kind: Kind
    }

    private var lines: [Line] = []

    init(_ bytes: [UInt8]) {
        var reader = Reader()
        var rest = bytes[...]
        while !rest.isEmpty {
            var end = rest.firstIndex { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } ?? rest.index(before: rest.endIndex)
            if rest[end] == UInt8(ascii: "\r"), end + 1 < rest.endIndex, rest[end + 1] == UInt8(ascii: "\n") { end += 1 }
            lines.append(Line(bytes: rest[...end], kind: reader.kind(of: rest[...end])))
            rest = rest[(end + 1)...]
        }
    }

    var bytes: [UInt8] { Array(lines.map(\.bytes).joined()) }

    /// Sets the keys of a section: they stand first, in the order given; keys of the section that
    /// are not named stay; a key's old lines, continuations included, go. A missing section is
    /// added at the end. A key without a value is removed. A repeated section, which the tools refuse to read, is removed.
    mutating func set(_ pairs: [(key: String, value: String?)], in section: String) {
        let ending = lines.first?.bytes.suffix(2).elementsEqual(Array("\r\n".utf8)) == true ? "\r\n" : "\n"
        if headers(of: section).isEmpty { append(section, ending) }
        let headers = headers(of: section)
        guard let first = headers.first else { return }
        for repeated in headers.dropFirst().reversed() { lines.removeSubrange(repeated..<end(of: repeated)) }
        endLine(first, ending)
        let body = (first + 1)..<end(of: first)
        let indentation = indentation(after: first)
        let written = pairs.compactMap { key, value in
            value.map { Line(bytes: indentation + Array("\(key) = \($0)\(ending)".utf8), kind: .key(key.lowercased())) }
        }
        lines.replaceSubrange(body, with: written + without(Set(pairs.map(\.key)), body))
    }

    /// Removes a section, with the blank line before it that `set` wrote.
    mutating func remove(_ section: String) {
        for header in headers(of: section).reversed() {
            let begin = header > 0 && Reader.isBlank(lines[header - 1].bytes) ? header - 1 : header
            lines.removeSubrange(begin..<end(of: header))
        }
    }

    private mutating func append(_ section: String, _ ending: String) {
        if let last = lines.indices.last {
            endLine(last, ending)
            if !Reader.isBlank(lines[last].bytes) { lines.append(Line(bytes: ArraySlice(Array(ending.utf8)), kind: .nothing)) }
        }
        lines.append(Line(bytes: ArraySlice(Array("[\(section)]\(ending)".utf8)), kind: .header(Reader.words(section))))
    }

    private mutating func endLine(_ index: Int, _ ending: String) {
        let last = lines[index].bytes.last
        if last != UInt8(ascii: "\n"), last != UInt8(ascii: "\r") { lines[index].bytes += Array(ending.utf8) }
    }

    private func headers(of section: String) -> [Int] {
        let wanted = Line.Kind.header(Reader.words(section))
        return lines.indices.filter { lines[$0].kind == wanted }
    }

    /// One past the section's last line. Blank lines and comments right before the next header
    /// belong to that.
    private func end(of header: Int) -> Int {
        let next = lines.indices.dropFirst(header + 1).first { if case .header = lines[$0].kind { true } else { false } }
        guard var end = next else { return lines.count }
        while end > header + 1, lines[end - 1].kind == .nothing { end -= 1 }
        return end
    }

    /// As deep as the line that follows, which deeper than ours would go on our value.
    private func indentation(after header: Int) -> ArraySlice<UInt8> {
        let next = lines.indices.dropFirst(header + 1).first { lines[$0].kind != .nothing }
        return lines[next ?? header].bytes.prefix { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    }

    private func without(_ keys: Set<String>, _ range: Range<Int>) -> [Line] {
        var kept: [Line] = []
        var dropping = false
        for line in lines[range] {
            if case .key(let key) = line.kind { dropping = keys.contains(key) }
            if !dropping || line.kind == .nothing { kept.append(line) }
        }
        return kept
    }

    /// Tells what a line is, as Python's configparser does: a line goes on the value before it if it
    /// is indented more than that value's key, whatever it looks like.
    private struct Reader {
        private var isFirst = true
        private var isInSection = false
        private var isInValue = false
        private var depth = 0

        mutating func kind(of line: ArraySlice<UInt8>) -> Line.Kind {
            var line = line
            if isFirst, line.starts(with: [0xef, 0xbb, 0xbf]) { line = line.dropFirst(3) }
            isFirst = false
            let text = line.drop(while: Reader.isSpace)
            guard let first = text.first, first != UInt8(ascii: "#"), first != UInt8(ascii: ";") else { return .nothing }
            let indentation = text.startIndex - line.startIndex
            if isInValue, indentation > depth { return .continuation }
            depth = indentation
            if first == UInt8(ascii: "["), let close = text.lastIndex(of: UInt8(ascii: "]")), close > text.startIndex + 1 {
                isInSection = true
                isInValue = false
                return .header(Reader.words(String(decoding: text[(text.startIndex + 1)..<close], as: UTF8.self)))
            }
            isInValue = isInSection
            let end = text.firstIndex { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: ":") } ?? text.endIndex
            let key = text[..<end].reversed().drop(while: Reader.isSpace).reversed()
            return .key(String(decoding: Array(key), as: UTF8.self).lowercased())
        }

        /// `profile  "karri"` and `profile karri` are the same section to the tools.
        static func words(_ header: String) -> [String] {
            header.split(whereSeparator: { $0 == " " || $0 == "\t" }).map { word in
                let quote = word.first
                let quoted = word.count >= 2 && (quote == "\"" || quote == "'") && word.last == quote
                return String(quoted ? word.dropFirst().dropLast() : word)
            }
        }

        static func isBlank(_ line: ArraySlice<UInt8>) -> Bool { line.allSatisfy(isSpace) }

        private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
    }
}
