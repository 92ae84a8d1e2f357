import Foundation
import Model
import Testing

@testable import AWSProtocol

@Suite struct XMLWriterTests {
    static let texts: [(value: String, written: String)] = [
        ("", ""), ("plain", "plain"), ("a&b<c>d\"e'", "a&amp;b&lt;c&gt;d&quot;e'"), ("é漢😀", "é漢😀"),
        ("]]>", "]]&gt;"), ("\t\n", "\t\n"),
        // A reader would turn it into a line feed.
        ("a\r\nb", "a&#13;\nb"),
        // What XML 1.0 cannot hold, not even escaped.
        ("\u{0}\u{1}\u{1f}", "\u{fffd}\u{fffd}\u{fffd}"), ("\u{7f}\u{80}", "\u{7f}\u{80}"),
        ("\u{fffe}x\u{ffff}", "\u{fffd}x\u{fffd}"), ("\u{fffd}\u{ffee}\u{f000}", "\u{fffd}\u{ffee}\u{f000}"),
    ]

    @Test(arguments: texts)
    func escaping(value: String, written: String) {
        var xml = XMLWriter()
        xml.text(value)
        #expect(xml.bytes == Array(written.utf8))
    }

    /// Strings that Foundation keeps as UTF-16 are written as well.
    @Test func bridgedStrings() {
        var xml = XMLWriter()
        xml.text(NSString(string: "é&漢").substring(from: 0))
        #expect(text(xml.bytes) == "é&amp;漢")
    }

    @Test func elements() {
        var xml = XMLWriter()
        xml.open("r")
        xml.element("s", "<")
        xml.element("i", -7)
        xml.element("d", 3.5)
        xml.element("b", true)
        xml.element("t", Instant(seconds: 1_706_704_496))
        xml.element("x", [UInt8]("hi".utf8))
        xml.element("none", nil as String?)
        xml.element("none", nil as Int?)
        xml.close("r")
        let expected = "<r><s>&lt;</s><i>-7</i><d>3.5</d><b>true</b><t>2024-01-31T12:34:56.000Z</t><x>aGk=</x></r>"
        #expect(text(xml.bytes) == expected)
    }
}

@Suite struct TimestampTests {
    static let moments: [(text: String, microseconds: Int64?)] = [
        ("1970-01-01T00:00:00Z", 0), ("2024-01-31T12:34:56.000Z", 1_706_704_496_000_000),
        ("2024-02-29T00:00Z", 1_709_164_800_000_000),
        ("1969-12-31T23:59:59.999Z", -1000), ("2024-01-31T12:34:56.1234567Z", 1_706_704_496_123_456),
        ("2024-01-31T13:34:56+01:00", 1_706_704_496_000_000), ("2024-01-31T07:04:56-0530", 1_706_704_496_000_000),
        ("2024-01-31 12:34:56Z", 1_706_704_496_000_000), ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
        // A leap second.
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("2023-02-29T00:00:00Z", nil), ("2024-13-01T00:00:00Z", nil), ("2024-00-01T00:00:00Z", nil), ("2024-01-00T00:00:00Z", nil),
        ("2024-01-31T24:00:00Z", nil), ("2024-01-31T12:60:00Z", nil), ("2024-01-31T12:34:61Z", nil), ("2024-01-31T12:34:56", nil),
        ("2024-01-31", nil), ("", nil), ("2024-01-31T12:34:56.Z", nil), ("2024-01-31T12:34:56.1234567890Z", nil),
        ("2024-01-31T12:34:56Zx", nil), ("24-01-31T12:34:56Z", nil), ("2024-01-31T12:34:56+24:00", nil),
        ("٢٠٢٤-01-31T12:34:56Z", nil),
    ]

    @Test(arguments: moments)
    func read(text: String, microseconds: Int64?) { #expect(Instant(iso8601: text)?.microseconds == microseconds) }

    @Test func writtenAndRead() {
        var dice = Dice(seed: 3)
        for round in 0..<5000 {
            let milliseconds = Int64.random(in: -62_167_219_200_000...253_402_300_799_999, using: &dice)
            let instant = Instant(microseconds: milliseconds * 1000)
            #expect(Instant(iso8601: text(instant.iso8601)) == instant, "round \(round): \(milliseconds)")
        }
    }

    @Test func momentsBeyondTheCalendar() {
        #expect(text(Instant(microseconds: .min).iso8601) == "0000-01-01T00:00:00.000Z")
        #expect(text(Instant(microseconds: .max).iso8601) == "9999-12-31T23:59:59.999Z")
        // Before the epoch, what is finer than a millisecond goes to the earlier one.
        #expect(text(Instant(microseconds: -1).iso8601) == "1969-12-31T23:59:59.999Z")
    }

    @Test func damagedTexts() {
        var dice = Dice(seed: 4)
        let seed = Array("2024-01-31T12:34:56.123+01:00".utf8)
        for _ in 0..<5000 {
            var bytes = seed
            for _ in 0...2 { bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0x20..<0x7f, using: &dice) }
            let damaged = text(Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &dice))))
            guard let instant = Instant(iso8601: damaged) else { continue }
            // What was read is a moment near the years that four digits can name.
            #expect(Instant(iso8601: text(instant.iso8601)) != nil, "\(damaged)")
        }
    }
}
