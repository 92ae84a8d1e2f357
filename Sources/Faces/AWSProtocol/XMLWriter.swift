//  Writes XML into one buffer. By hand, because it is two orders of magnitude faster than encoding
//  through Codable, and a page of 1,000 instances is a megabyte.

import FoundationEssentials
import Model

/// A buffer of XML text. Optional values that are nil leave nothing behind.
public struct XMLWriter: ~Copyable {
    // A buffer of our own: appending to an array checks uniqueness and capacity for each piece of a tag.
    private var buffer: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var count = 0

    /// - Parameter capacity: Bytes to make room for at once; the buffer grows.
    public init(capacity: Int = 1024) {
        self.capacity = max(capacity, 64)
        buffer = .allocate(capacity: self.capacity)
    }

    deinit { buffer.deallocate() }

    /// What was written.
    public var bytes: [UInt8] { Array(UnsafeBufferPointer(start: buffer, count: count)) }

    /// The XML declaration.
    public mutating func declaration() { append(#"<?xml version="1.0" encoding="UTF-8"?>"#) }

    // MARK: Tags

    /// `<name>`
    public mutating func open(_ name: StaticString) {
        let length = name.utf8CodeUnitCount
        reserve(length + 2)
        push(UInt8(ascii: "<"))
        push(name.utf8Start, length)
        push(UInt8(ascii: ">"))
    }

    /// `</name>`
    public mutating func close(_ name: StaticString) {
        let length = name.utf8CodeUnitCount
        reserve(length + 3)
        push(UInt8(ascii: "<"))
        push(UInt8(ascii: "/"))
        push(name.utf8Start, length)
        push(UInt8(ascii: ">"))
    }

    /// `<name xmlns="namespace">`
    public mutating func open(_ name: String, namespace: String) {
        append("<")
        append(verbatim: name)
        append(#" xmlns=""#)
        text(namespace)
        append(#"">"#)
    }

    /// `<name>`
    public mutating func open(_ name: String) {
        append("<")
        append(verbatim: name)
        append(">")
    }

    /// `<name attributes>`, the attributes as they are to stand there.
    public mutating func open(_ name: StaticString, attributes: String) {
        append("<")
        append(verbatim: name.description)
        append(" ")
        append(verbatim: attributes)
        append(">")
    }

    /// `</name>`
    public mutating func close(_ name: String) {
        append("</")
        append(verbatim: name)
        append(">")
    }

    // MARK: Elements

    /// `<name>value</name>`
    public mutating func element(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        open(name)
        text(value)
        close(name)
    }

    /// `<name>value</name>` of valid UTF-8.
    public mutating func element(_ name: StaticString, utf8 value: [UInt8]) {
        open(name)
        value.withUnsafeBufferPointer { text($0) }
        close(name)
    }

    /// A whole number in decimal digits.
    public mutating func element(_ name: StaticString, _ value: Int?) {
        guard let value else { return }
        open(name)
        append(verbatim: String(value))
        close(name)
    }

    /// The shortest decimal text that reads back as the same number.
    public mutating func element(_ name: StaticString, _ value: Double?) {
        guard let value else { return }
        open(name)
        append(verbatim: value.description)
        close(name)
    }

    /// `true` or `false`.
    public mutating func element(_ name: StaticString, _ value: Bool?) {
        guard let value else { return }
        open(name)
        append(value ? "true" : "false")
        close(name)
    }

    /// ISO 8601 with milliseconds.
    public mutating func element(_ name: StaticString, _ value: Instant?) {
        guard let value else { return }
        open(name)
        append(verbatim: value.iso8601(milliseconds: true))
        close(name)
    }

    /// Base64.
    public mutating func element(_ name: StaticString, _ value: [UInt8]?) {
        guard let value else { return }
        open(name)
        append(verbatim: Data(value).base64EncodedString())
        close(name)
    }

    // MARK: Text

    /// Text with everything escaped that XML 1.0 needs escaped, in content and in attributes. A
    /// character that XML cannot hold becomes U+FFFD.
    public mutating func text(_ value: String) {
        var value = value
        value.withUTF8 { bytes in text(bytes) }
    }

    /// - Parameter bytes: Valid UTF-8.
    private mutating func text(_ bytes: UnsafeBufferPointer<UInt8>) {
        var start = 0
        for position in 0..<bytes.count {
            // Nearly every byte is one of these.
            let byte = bytes[position]
            if byte > UInt8(ascii: ">"), byte != 0xef { continue }
            guard let (length, replacement) = escape(bytes, position) else { continue }
            append(bytes[start..<position])
            append(replacement)
            start = position + length
        }
        append(bytes[start...])
    }

    /// How many bytes at `position` must be replaced, and by what.
    private func escape(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> (length: Int, replacement: StaticString)? {
        switch bytes[position] {
        case UInt8(ascii: "&"): (1, "&amp;")
        case UInt8(ascii: "<"): (1, "&lt;")
        case UInt8(ascii: ">"): (1, "&gt;")
        case UInt8(ascii: "\""): (1, "&quot;")
        case UInt8(ascii: "\t"), UInt8(ascii: "\n"): nil
        // Readers turn a bare carriage return into a line feed.
        case UInt8(ascii: "\r"): (1, "&#13;")
        case 0..<0x20: (1, "\u{fffd}")
        // U+FFFE and U+FFFF.
        case 0xef where position + 2 < bytes.count && bytes[position + 1] == 0xbf && bytes[position + 2] >= 0xbe: (3, "\u{fffd}")
        default: nil
        }
    }

    // MARK: The buffer

    private mutating func append(_ text: StaticString) {
        reserve(text.utf8CodeUnitCount)
        push(text.utf8Start, text.utf8CodeUnitCount)
    }

    private mutating func append(verbatim text: String) {
        var text = text
        text.withUTF8 { bytes in append(bytes[...]) }
    }

    private mutating func append(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) {
        guard let start = bytes.base.baseAddress, !bytes.isEmpty else { return }
        reserve(bytes.count)
        push(start + bytes.startIndex, bytes.count)
    }

    private mutating func reserve(_ length: Int) {
        guard capacity - count < length else { return }
        capacity = max(capacity * 2, count + length)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        larger.update(from: buffer, count: count)
        buffer.deallocate()
        buffer = larger
    }

    /// The room is reserved.
    private mutating func push(_ byte: UInt8) {
        buffer[count] = byte
        count += 1
    }

    private mutating func push(_ bytes: UnsafePointer<UInt8>, _ length: Int) {
        (buffer + count).update(from: bytes, count: length)
        count += length
    }
}
