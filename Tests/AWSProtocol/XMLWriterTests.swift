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

    /// Texts of every size against the buffer's, up to a console's output.
    @Test func largeTexts() {
        for size in [0, 1, 62, 63, 64, 65, 129, 4097, 4 << 20] {
            var xml = XMLWriter(capacity: 1)
            xml.open("o")
            xml.text(String(repeating: "x", count: size))
            xml.close("o")
            #expect(xml.bytes == Array("<o>".utf8) + Array(repeating: UInt8(ascii: "x"), count: size) + Array("</o>".utf8))
        }
    }
}
