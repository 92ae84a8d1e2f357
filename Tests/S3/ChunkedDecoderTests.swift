//  The framing of streamed bodies: the documented example, whatever the pieces that it comes in, and
//  bytes that are no such framing.

import AWSProtocol
import Model
import NIOCore
import Testing

@testable import S3

@Suite struct ChunkedDecoderTests {
    /// Amazon S3 API Reference, "Example: PUT object" of the chunked upload: 65 KiB of the letter a.
    private static let signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]

    private static func chain() throws -> SignatureV4.ChunkChain {
        let request = SignatureV4.Request(
            method: "PUT", rawPath: "/examplebucket/chunkObject.txt",
            headers: [
                ("host", "s3.amazonaws.com"), ("x-amz-date", "20130524T000000Z"),
                (
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                        + "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
                        + "x-amz-decoded-content-length;x-amz-storage-class,"
                        + "Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
                ),
            ])
        return SignatureV4.ChunkChain(
            after: try SignatureV4.Claim(request), secret: .whole("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
    }

    private static let example: [UInt8] =
        Array("10000;chunk-signature=\(signatures[0])\r\n".utf8) + [UInt8](repeating: 0x61, count: 65536)
        + Array("\r\n400;chunk-signature=\(signatures[1])\r\n".utf8) + [UInt8](repeating: 0x61, count: 1024)
        + Array("\r\n0;chunk-signature=\(signatures[2])\r\n\r\n".utf8)

    private func decode(_ bytes: [UInt8], by step: Int, _ decoder: ChunkedDecoder) throws(S3Error) -> ([UInt8], ChunkedDecoder) {
        var decoder = decoder
        var found: [UInt8] = []
        for place in stride(from: 0, to: bytes.count, by: step) {
            for piece in try decoder.take(ByteBuffer(bytes: bytes[place..<min(place + step, bytes.count)])) {
                found += piece.readableBytesView
            }
        }
        try decoder.finish()
        return (found, decoder)
    }

    @Test(arguments: [1, 7, 4096, 100_000])
    func theDocumentedExample(step: Int) throws {
        let decoder = ChunkedDecoder(chain: try Self.chain(), hasTrailer: false)
        #expect(try decode(Self.example, by: step, decoder).0 == [UInt8](repeating: 0x61, count: 66560))
    }

    /// A byte changed anywhere is found, and so is a chunk that is missing or comes twice.
    @Test func whatWasNotSigned() throws {
        for place in [100, 30_000, 65_640, 66_500, Self.example.count - 10] {
            var bytes = Self.example
            bytes[place] ^= 1
            #expect(throws: S3Error.self) { try decode(bytes, by: 5000, ChunkedDecoder(chain: Self.chain(), hasTrailer: false)) }
        }
        let second = Self.example.count - 1024 - 2 - 89 - 90..<Self.example.count - 89
        var without = Self.example
        without.removeSubrange(second.lowerBound..<second.lowerBound + 1)
        #expect(throws: S3Error.self) { try decode(without, by: 5000, ChunkedDecoder(chain: Self.chain(), hasTrailer: false)) }
        #expect(throws: S3Error.incompleteBody) {
            try decode(Array(Self.example.dropLast(4)), by: 5000, ChunkedDecoder(chain: Self.chain(), hasTrailer: false))
        }
    }

    @Test(arguments: [1, 3, 1000])
    func trailers(step: Int) throws {
        let bytes = Array("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n".utf8)
        let (body, decoder) = try decode(bytes, by: step, ChunkedDecoder(chain: nil, hasTrailer: true))
        #expect(String(decoding: body, as: UTF8.self) == "hello")
        #expect(decoder.trailers.map(\.name) == ["x-amz-checksum-crc32"] && decoder.trailers.map(\.value) == ["NhCmhg=="])
    }

    @Test(arguments: [
        "", "5\r\nhello", "5\r\nhello\r\n", "5\nhello\r\n0\r\n\r\n", "g\r\n\r\n", "-1\r\n\r\n", "5\r\nhelloo\r\n0\r\n\r\n",
        "fffffffff\r\n", "0\r\nname\r\n\r\n", "0\r\n\r\nmore", "0\r\n" + String(repeating: "a:b\r\n", count: 17) + "\r\n",
        String(repeating: "0", count: 5000) + "\r\n\r\n",
    ])
    func malformed(text: String) {
        #expect(throws: S3Error.self) { try decode(Array(text.utf8), by: 4, ChunkedDecoder(chain: nil, hasTrailer: true)) }
    }

    /// Whatever comes, there is an answer, and no more bytes come out than went in.
    @Test func fuzz() {
        var dice = Dice(seed: 7)
        let good = Array("5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n".utf8)
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 0...4, using: &dice) {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                switch Int.random(in: 0..<3, using: &dice) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &dice)
                case 1: bytes.remove(at: place)
                default: bytes.insert(UInt8.random(in: 0...255, using: &dice), at: place)
                }
            }
            if let (found, _) = try? decode(
                bytes, by: Int.random(in: 1...9, using: &dice), ChunkedDecoder(chain: nil, hasTrailer: true))
            {
                #expect(found.count < bytes.count)
            }
        }
    }
}
