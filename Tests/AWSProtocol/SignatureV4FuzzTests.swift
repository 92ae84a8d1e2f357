//  Broken requests by the thousand: none may trap, none may be accepted.

import Model
import Testing

@testable import AWSProtocol

@Suite struct SignatureV4FuzzTests {
    private let header =
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
        + "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    private let query =
        "a=%20+&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fs3%2Faws4_request"
        + "&X-Amz-Date=20150830T123600Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
        + String(repeating: "0f", count: 32)
    private let now = Instant(iso8601: "20150830T123600Z") ?? Instant(seconds: 0)
    private let interesting = Array("%+=&/;, \t\u{0}\u{e9}.~Zz09-\"'?#".unicodeScalars)

    private func mutated(_ text: String, _ dice: inout Dice) -> String {
        var scalars = Array(text.unicodeScalars)
        for _ in 0..<Int.random(in: 1...4, using: &dice) {
            let place = Int.random(in: 0...scalars.count, using: &dice)
            let scalar = interesting.randomElement(using: &dice) ?? "%"
            switch Int.random(in: 0..<5, using: &dice) {
            case 0 where place < scalars.count: scalars[place] = scalar
            case 1: scalars.insert(scalar, at: place)
            case 2 where place < scalars.count: scalars.remove(at: place)
            case 3: scalars = Array(scalars.prefix(place))
            default:
                let end = Int.random(in: place...scalars.count, using: &dice)
                scalars.insert(contentsOf: scalars[place..<end].prefix(40), at: place)
            }
        }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: scalars)
        return String(result)
    }

    @Test(arguments: [UInt64(1), 2, 3, 4])
    func nothingTrapsAndNothingPasses(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        var read = 0
        for round in 0..<3000 {
            let request = SignatureV4.Request(
                method: "GET", rawPath: mutated("/a/%2F/../b c", &dice),
                rawQuery: round % 2 == 0 ? mutated(query, &dice) : mutated("a=b", &dice),
                headers: [
                    ("Host", "example.amazonaws.com"),
                    ("X-Amz-Date", round % 5 == 0 ? mutated("20150830T123600Z", &dice) : "20150830T123600Z"),
                ] + (round % 2 == 0 ? [] : [("Authorization", mutated(header, &dice))]), body: .hashed(""))
            guard let claim = try? SignatureV4.Claim(request) else { continue }
            read += 1
            #expect(claim.signature.count == 32 && !claim.accessKey.isEmpty, "seed \(seed) round \(round)")
            let verified = try? claim.verify(request, secret: .whole("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), now: now)
            #expect(verified == nil, "seed \(seed) round \(round): \(request)")
        }
        #expect(read > 100, "seed \(seed): the mutations leave too little to read")
    }

    /// The order of candidates and their number bound the work of one request.
    @Test func candidatesAreFew() {
        let request = SignatureV4.Request(method: "GET", rawPath: "/a b%2f", rawQuery: "b=+&a=%7e", headers: [])
        for style in [SignatureV4.PathStyle.asSent, .normalized] {
            let texts = SignatureV4.Canonical.requests(request, signedHeaders: ["host"], payloadHash: "x", pathStyle: style)
            #expect(texts.count == Set(texts).count && texts.count <= 4)
        }
    }
}
