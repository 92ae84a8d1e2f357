//  The framing of forms: what browsers and libraries send, whatever the pieces that it comes in, and
//  bytes that are no such framing.

import Model
import NIOCore
import Testing

@testable import S3

@Suite struct FormDecoderTests {
    private func decode(
        _ bytes: [UInt8], by step: Int, type: String = "multipart/form-data; boundary=b"
    ) throws(S3Error) -> (decoder: FormDecoder, file: [UInt8]) {
        var decoder = try FormDecoder(contentType: type)
        var file: [UInt8] = []
        for place in stride(from: 0, to: bytes.count, by: step) {
            for piece in try decoder.take(ByteBuffer(bytes: bytes[place..<min(place + step, bytes.count)])) {
                file += piece.readableBytesView
            }
        }
        try decoder.finish()
        return (decoder, file)
    }

    private func decode(_ text: String, by step: Int = 5) throws(S3Error) -> (decoder: FormDecoder, file: [UInt8]) {
        try decode(Array(text.utf8), by: step)
    }

    private static func part(_ name: String, _ value: String, boundary: String = "b") -> String {
        "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
    }

    private static let file =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n"

    @Test(arguments: [1, 2, 3, 7, 64, 10_000])
    func fieldsAndThenTheFile(step: Int) throws {
        // What looks like delimiters, and nearly is.
        let content = "\r\n--\r\n--c\r\n-\r\r\n\r\r\n--\n--b\r--b--b\r\n"
        let text =
            Self.part("Key", "a/${filename}") + Self.part("empty", "") + Self.part("lines", "1\r\n2\n") + Self.file
            + content + "\r\n" + Self.part("after", "x") + "--b--\r\n"
        let (decoder, file) = try decode(text, by: step)
        #expect(
            decoder.fields == [
                FormField(name: "Key", value: "a/${filename}"), FormField(name: "empty", value: ""),
                FormField(name: "lines", value: "1\r\n2\n"),
            ])
        #expect(decoder.fileName == "a.txt" && decoder.hasFile && String(decoding: file, as: UTF8.self) == content)
    }

    @Test(arguments: [1, 4096, 70_000])
    func largeFiles(step: Int) throws {
        var dice = Dice(seed: 3)
        let content = (0..<200_000).map { _ in UInt8.random(in: 8...14, using: &dice) }
        let (_, file) = try decode(Array(Self.file.utf8) + content + Array("\r\n--b--".utf8), by: step)
        #expect(file == content)
    }

    @Test(arguments: [
        ("form-data; name=\"file\"", nil), ("form-data; name=file; filename=a.txt", "a.txt"),
        ("form-data;name=\"FILE\";filename=\"\"", ""), ("Form-Data; Name=\"file\"; FileName=\"C:\\dir\\a.txt\"", "C:\\dir\\a.txt"),
        ("form-data; name=\"file\"; filename=\"a\\\"b.txt\"", "a\"b.txt"),
        ("form-data; name=\"file\"; filename=\"ü;x=1.txt\"", "ü;x=1.txt"),
        ("form-data; name=\"file\"; filename*=UTF-8''%C3%BC%20b.txt", "ü b.txt"),
        ("form-data; name=\"file\"; filename=\"a\"; filename*=UTF-8''b", "a"), ("form-data; name=\"file\" ; ", nil),
    ])
    func namesOfFiles(disposition: String, name: String?) throws {
        let (decoder, file) = try decode("--b\r\ncontent-disposition:\(disposition)\r\n\r\nbody\r\n--b--")
        #expect(decoder.fileName == name && file == Array("body".utf8))
    }

    /// A preamble, padding behind delimiters, other headers, and no line behind the end.
    @Test func whatStandardsAllow() throws {
        let text = "This is a form.\r\n--b \t\r\nX-Other: 1\r\nContent-Disposition: form-data; name=k\r\n\r\nv\r\n--b\r\n"
        let (decoder, _) = try decode(text + "Content-Disposition: form-data; name=file\r\n\r\n\r\n--b--trailing\r\n--b")
        #expect(decoder.fields == [FormField(name: "k", value: "v")] && decoder.hasFile)
    }

    @Test func aFormWithoutAFile() throws {
        let (decoder, file) = try decode(Self.part("key", "k") + "--b--\r\n")
        #expect(!decoder.hasFile && file.isEmpty && decoder.fields.count == 1)
    }

    @Test(arguments: [
        "", "--b", "--b--x".replacing("--x", with: ""), "--b\r\n", "no form",
        "--b\nContent-Disposition: form-data; name=\"k\"\n\nv\n--b--",
        "--bb\r\n\r\n\r\n--b--", "--b\r\n\r\nvalue\r\n--b--",
        "--b\r\nContent-Disposition: attachment; name=\"k\"\r\n\r\nv\r\n--b--",
        "--b\r\nContent-Disposition: form-data\r\n\r\nv\r\n--b--", "--b\r\nContent-Disposition\r\n\r\nv\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name=\"k\r\n\r\nv\r\n--b--",
        "--b\r\nContent-Disposition: form-data; name=k\r\nContent-Disposition: form-data; name=l\r\n\r\nv\r\n--b--",
        part("key", "k"), part("key", "k") + "--b-", file, file + "body", file + "body\r\n--", "\r\n--c--\r\n",
    ])
    func malformed(text: String) {
        #expect(throws: S3Error.malformedForm) { try decode(text) }
    }

    @Test func textThatIsNotUTF8() {
        let bytes = Array("--b\r\nContent-Disposition: form-data; name=k\r\n\r\n".utf8) + [0xff] + Array("\r\n--b--".utf8)
        #expect(throws: S3Error.malformedForm) { try decode(bytes, by: 9) }
    }

    @Test(arguments: [
        (nil, S3Error.notAForm), ("application/x-www-form-urlencoded", .notAForm), ("multipart/mixed; boundary=b", .notAForm),
        ("multipart/form-data", .malformedForm), ("multipart/form-data; boundary=", .malformedForm),
        ("multipart/form-data; boundary=" + String(repeating: "b", count: 71), .malformedForm),
    ])
    func otherTypes(type: String?, refusal: S3Error) {
        #expect(throws: refusal) { try FormDecoder(contentType: type) }
    }

    @Test(arguments: ["multipart/form-data; boundary=b", "Multipart/Form-Data; charset=utf-8;BOUNDARY=\"b\""])
    func types(type: String) throws {
        #expect(try decode(Array((Self.file + "x\r\n--b--").utf8), by: 8, type: type).file == [0x78])
    }

    /// What precedes the file is bounded, whichever part of it is long; the file is not.
    @Test(arguments: [
        String(repeating: "x", count: 30_000), part("k", String(repeating: "v", count: 30_000)),
        String(repeating: part("k", "v"), count: 1000), "--b\r\nX: " + String(repeating: "h", count: 30_000),
        "--b" + String(repeating: " ", count: 30_000), String(repeating: "\r", count: 30_000),
    ])
    func longFields(text: String) {
        for step in [1, 1000, 100_000] {
            #expect(throws: S3Error.fieldsTooLong) { try decode(text + Self.file + "x\r\n--b--", by: step) }
        }
    }

    @Test func theLongestFields() throws {
        let frame = Self.part("k", "") + Self.file
        let value = String(repeating: "v", count: FormDecoder.fieldBytesMax - frame.utf8.count)
        #expect(try decode(Self.part("k", value) + Self.file + "x\r\n--b--").decoder.hasFile)
        #expect(throws: S3Error.fieldsTooLong) { try decode(Self.part("k", value + "v") + Self.file + "x\r\n--b--") }
    }

    /// Whatever comes, there is an answer, the same in all pieces, and no more comes out than went in.
    @Test func fuzz() {
        var dice = Dice(seed: 11)
        let good = Array(
            (Self.part("key", "v\"\\;") + Self.file + "body\r\n-\r\n--\r\n--b\r\n" + Self.part("x", "y") + "--b--\r\n").utf8)
        let interesting = Array("\r\n--b\";=\\: \u{0}".utf8)
        for round in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 0...4, using: &dice) {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                switch Int.random(in: 0..<4, using: &dice) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &dice)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(interesting.randomElement(using: &dice) ?? 0, at: place)
                default: bytes.insert(contentsOf: bytes[place...].prefix(9), at: place)
                }
            }
            let whole = Result { try decode(bytes, by: bytes.count) }
            let pieces = Result { try decode(bytes, by: Int.random(in: 1...9, using: &dice)) }
            switch (whole, pieces) {
            case (.success(let one), .success(let other)):
                #expect(one.file == other.file && one.decoder.fields == other.decoder.fields, "round \(round)")
                #expect(one.file.count < bytes.count)
            case (.failure, .failure): break
            default: Issue.record("round \(round): the pieces make a difference")
            }
        }
    }
}
