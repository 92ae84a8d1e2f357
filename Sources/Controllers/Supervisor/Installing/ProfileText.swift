//  Edits one section of an INI file as the AWS tools read it (botocore's RawConfigParser), leaving
//  every other byte as it was: comments, order, line ends, odd encodings.

import Model

/// The bytes of `~/.aws/config` or `~/.aws/credentials`, in lines.
struct ProfileText {
    private var lines: [ArraySlice<UInt8>]

    init(_ bytes: [UInt8]) {
        lines = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            lines.append(rest[...end])
            rest = rest[(end + 1)...]
        }
        if !rest.isEmpty { lines.append(rest) }
    }

    var bytes: [UInt8] { Array(lines.joined()) }

    /// Sets the keys of a section: they stand first, in the order given; keys of the section that
    /// are not named stay; a key's old lines, indented continuations included, go. A missing
    /// section is added at the end. A repeated section, which the tools refuse to read, is merged
    /// by removing the repetitions.
    mutating func set(_ pairs: [(key: String, value: String)], in section: String) {
        let ending = lines.first.map { $0.suffix(2).elementsEqual(Array("\r\n".utf8)) } == true ? "\r\n" : "\n"
        let written = pairs.map { ArraySlice(Array("\($0.key) = \($0.value)\(ending)".utf8)) }
        let headers = headers(of: section)
        guard let first = headers.first else {
            append(section, written, ending)
            return
        }
        for repeated in headers.dropFirst().reversed() { lines.removeSubrange(repeated..<end(of: repeated)) }
        endLine(first, ending)
        let body = (first + 1)..<end(of: first)
        lines.replaceSubrange(body, with: written + without(Set(pairs.map(\.key)), body))
    }

    /// Removes a section, with the blank line before it that `set` wrote.
    mutating func remove(_ section: String) {
        for header in headers(of: section).reversed() {
            let begin = header > 0 && isBlank(lines[header - 1]) ? header - 1 : header
            lines.removeSubrange(begin..<end(of: header))
        }
    }

    private mutating func append(_ section: String, _ written: [ArraySlice<UInt8>], _ ending: String) {
        if let last = lines.indices.last {
            endLine(last, ending)
            if !isBlank(lines[last]) { lines.append(ArraySlice(Array(ending.utf8))) }
        }
        lines.append(ArraySlice(Array("[\(section)]\(ending)".utf8)))
        lines += written
    }

    private mutating func endLine(_ index: Int, _ ending: String) {
        if lines[index].last != UInt8(ascii: "\n") { lines[index] += Array(ending.utf8) }
    }

    private func headers(of section: String) -> [Int] {
        let wanted = ProfileText.words(section)
        return lines.indices.filter { header(at: $0).map(ProfileText.words) == wanted }
    }

    /// The text between the brackets, if the line is a section's header.
    private func header(at index: Int) -> String? {
        var line = lines[index]
        if index == 0, line.starts(with: [0xef, 0xbb, 0xbf]) { line = line.dropFirst(3) }
        guard line.first == UInt8(ascii: "["), let close = line.firstIndex(of: UInt8(ascii: "]")) else { return nil }
        return String(decoding: line[(line.startIndex + 1)..<close], as: UTF8.self)
    }

    /// `profile  "karri"` and `profile karri` are the same section to the tools.
    private static func words(_ header: String) -> [String] {
        header.split(whereSeparator: { $0 == " " || $0 == "\t" }).map { word in
            let quote = word.first
            let quoted = word.count >= 2 && (quote == "\"" || quote == "'") && word.last == quote
            return String(quoted ? word.dropFirst().dropLast() : word)
        }
    }

    /// One past the section's last line. Blank lines and comments right before the next header
    /// belong to that.
    private func end(of header: Int) -> Int {
        let next = lines.indices.dropFirst(header + 1).first { self.header(at: $0) != nil } ?? lines.count
        guard next < lines.count else { return next }
        var end = next
        while end > header + 1, isBlank(lines[end - 1]) || isComment(lines[end - 1]) { end -= 1 }
        return end
    }

    private func without(_ keys: Set<String>, _ range: Range<Int>) -> [ArraySlice<UInt8>] {
        var kept: [ArraySlice<UInt8>] = []
        var dropping = false
        for line in lines[range] {
            let isContinuation = line.first == UInt8(ascii: " ") || line.first == UInt8(ascii: "\t")
            if isBlank(line) || isComment(line) {
                dropping = false
            } else if !isContinuation {
                dropping = keys.contains(key(of: line))
            }
            if !dropping { kept.append(line) }
        }
        return kept
    }

    private func key(of line: ArraySlice<UInt8>) -> String {
        let end = line.firstIndex { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: ":") } ?? line.endIndex
        let key = line[..<end].reversed().drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }.reversed()
        return String(decoding: Array(key), as: UTF8.self).lowercased()
    }

    private func isBlank(_ line: ArraySlice<UInt8>) -> Bool { line.allSatisfy { $0 == 0x20 || (0x09...0x0d).contains($0) } }

    private func isComment(_ line: ArraySlice<UInt8>) -> Bool {
        line.first == UInt8(ascii: "#") || line.first == UInt8(ascii: ";")
    }
}
