//  Header values with parameters, such as those of Content-Type and Content-Disposition (RFC 2045,
//  section 5.1; RFC 7578, section 4.2).

import AWSProtocol

/// `form-data; name="file"; filename="a.txt"`
struct HeaderParameters: Sendable, Hashable {
    /// What stands before the parameters, in lower case.
    var value: String
    /// By name in lower case; the first of each.
    private var parameters: [String: String] = [:]

    /// Nil for what has no such form.
    init?(_ text: String) {
        var rest = Array(text.utf8)[...]
        value = String(decoding: HeaderParameters.token(&rest), as: UTF8.self).lowercased()
        guard !value.isEmpty else { return nil }
        while !rest.isEmpty {
            guard rest.popFirst() == UInt8(ascii: ";") else { return nil }
            let name = String(decoding: HeaderParameters.token(&rest, until: "="), as: UTF8.self).lowercased()
            // A semicolon that nothing follows.
            if name.isEmpty, rest.isEmpty { return }
            guard !name.isEmpty, rest.popFirst() == UInt8(ascii: "="), let value = HeaderParameters.value(&rest) else { return nil }
            if parameters[name] == nil { parameters[name] = value }
        }
    }

    /// A parameter's value; where there is none, that of its form with a character set (RFC 8187), which
    /// some clients send for names beyond ASCII.
    subscript(_ name: String) -> String? {
        if let value = parameters[name] { return value }
        guard let parts = parameters["\(name)*"]?.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false),
            parts.count == 3, parts[0].lowercased() == "utf-8"
        else { return nil }
        return String(validating: PercentEncoding.decoded(parts[2].utf8, plusIsSpace: false), as: UTF8.self)
    }

    /// What stands before a semicolon or `end`, without the blanks around it.
    private static func token(_ rest: inout ArraySlice<UInt8>, until end: Unicode.Scalar? = nil) -> ArraySlice<UInt8> {
        let stop = rest.firstIndex { $0 == UInt8(ascii: ";") || end.map(UInt32.init) == UInt32($0) } ?? rest.endIndex
        var found = rest[..<stop].drop { isBlank($0) }
        while let last = found.last, isBlank(last) { found.removeLast() }
        rest = rest[stop...]
        return found
    }

    /// A token, or a text in quotes. In quotes a backslash escapes a quote only: old browsers send paths
    /// with their backslashes as they are.
    private static func value(_ rest: inout ArraySlice<UInt8>) -> String? {
        rest = rest.drop { isBlank($0) }
        guard rest.first == UInt8(ascii: "\"") else { return String(validating: token(&rest), as: UTF8.self) }
        rest.removeFirst()
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "\"") {
                rest.removeFirst()
                text.append(UInt8(ascii: "\""))
            } else if byte == UInt8(ascii: "\"") {
                rest = rest.drop { isBlank($0) }
                return String(validating: text, as: UTF8.self)
            } else {
                text.append(byte)
            }
        }
        return nil
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
