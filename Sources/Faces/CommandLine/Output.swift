//  What people see: lines on the standard output, remarks on the standard error, and the small
//  layout that lists need. Colours only where a terminal shows them.

import Model

#if canImport(Glibc)
    import Glibc
#endif

/// The streams of the command.
enum Output {
    /// A line of the answer.
    static func line(_ text: String = "") { write(text + "\n", to: STDOUT_FILENO) }

    /// Progress and remarks, which no script reads.
    static func remark(_ text: String) { write("karri: " + text + "\n", to: STDERR_FILENO) }

    /// A text from elsewhere, such as a key, without what terminals obey: control characters and those that turn
    /// the order of the text stand as `\u{XX}`.
    static func plain(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0...0x1f, 0x7f...0x9f, 0x202a...0x202e, 0x2066...0x2069:
                shown += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }

    static var isTerminal: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    /// Asks for one of some words at the terminal.
    ///
    /// - Returns: Nil without a terminal, and for any other answer.
    static func ask(_ question: String, among words: [String]) -> String? {
        guard isTerminal else { return nil }
        write("karri: \(question) [\(words.joined(separator: "/"))] ", to: STDERR_FILENO)
        guard let answer = readLine(strippingNewline: true)?.lowercased(), !answer.isEmpty else { return nil }
        return words.first { $0.hasPrefix(answer) }
    }

    static func write(_ text: String, to descriptor: Int32) { write(Array(text.utf8), to: descriptor) }

    static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Nobody reads any more: there is nobody to tell.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

/// Columns as wide as their widest cell; the last one is left as it is.
func columns(_ rows: [[String]], indent: Int = 0) -> [String] {
    let count = rows.map(\.count).max() ?? 0
    let widths = (0..<count).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
        let cells = row.enumerated().map { column, cell in
            column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
        }
        return String(repeating: " ", count: indent) + cells.joined(separator: "  ")
    }
}

/// A span of time as people say it: `12s`, `3m`, `2h`, `5d`.
func spoken(_ span: Duration) -> String {
    let seconds = max(0, span.components.seconds)
    switch seconds {
    case ..<120: return "\(seconds)s"
    case ..<7200: return "\(seconds / 60)m"
    case ..<172_800: return "\(seconds / 3600)h"
    default: return "\(seconds / 86400)d"
    }
}
