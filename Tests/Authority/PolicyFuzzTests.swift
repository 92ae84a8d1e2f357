//  Policies broken by the thousand: none may trap, and what is read must be evaluable.

import Model
import Testing

@testable import Authority

@Suite struct PolicyFuzzTests {
    private let seeds: [String] = [
        #"{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"A1","Effect":"Allow","Action":["ec2:Run*","s3:*"],"Resource":"arn:aws:ec2:*:*:instance/${aws:username, 'x'}*","Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*","${my:key}"]},"IpAddress":{"aws:SourceIp":["10.0.0.0/8","2001:db8::/32"]},"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"},"NumericEquals":{"ec2:VolumeSize":-1.5e3},"ArnLike":{"aws:SourceArn":"arn:aws:s3:::b*"},"BinaryEquals":{"k:b":"QUJD"},"Null":{"aws:TokenIssueTime":true}}},{"Effect":"Deny","NotAction":"iam:?et*","NotResource":["*","arn:aws:s3:::\u00e9\ud83d\ude00/*"]}]}"#,
        #"{"Statement":{"Effect":"Allow","Principal":{"AWS":["*","arn:aws:iam::1:root"],"Service":"ec2"},"Action":"sts:AssumeRole"}}"#,
    ]
    private let tokens = [
        "{", "}", "[", "]", "\"", ",", ":", "*", "?", "${", "}", "'", "\\", "\\u", "\\ud800", "\\u0000", "null", "true", "1e999",
        "-", "0",
        "Effect", "Deny", "Condition", "arn:", "::", "/", "\u{0}", "é", "\u{FEFF}", " ",
    ]

    @Test(arguments: [UInt64(21), 22, 23, 24])
    func nothingTraps(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let context = PolicyContext([
            "my:key": "v", "aws:TagKeys": .texts(["a1", "b"]), "aws:SourceIp": "10.1.1.1", "k:b": "QUJD", "ec2:VolumeSize": "7",
        ])
        let request = PolicyRequest(action: "ec2:RunInstances", resource: instanceName, context: context)
        var read = 0
        for round in 0..<1500 {
            var bytes = Array(seeds[round % seeds.count].utf8)
            for _ in 0..<Int.random(in: 1...3, using: &dice) { mutate(&bytes, &dice) }
            let text = String(decoding: bytes, as: UTF8.self)
            for use in [PolicyDocument.Use.identity, .resource] {
                do {
                    let document = try PolicyDocument(parsing: text, for: use)
                    read += 1
                    _ = PolicySet(identity: [document], session: [document]).evaluate(request)
                } catch {
                    #expect(error.code == .malformedPolicy || error.code == .limitExceeded, "seed \(seed) round \(round): \(text)")
                }
            }
        }
        #expect(read > 50, "seed \(seed): the mutations leave too little to read")
    }

    private func mutate(_ bytes: inout [UInt8], _ dice: inout Dice) {
        let place = Int.random(in: 0...bytes.count, using: &dice)
        switch Int.random(in: 0..<6, using: &dice) {
        case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &dice)
        case 1 where place < bytes.count: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: Array((tokens.randomElement(using: &dice) ?? "").utf8), at: place)
        case 3: bytes = Array(bytes.prefix(place))
        case 4:
            let end = min(bytes.count, place + Int.random(in: 0...12, using: &dice))
            bytes.removeSubrange(place..<end)
        default:
            let from = Int.random(in: 0...bytes.count, using: &dice)
            let piece = Array(bytes[from..<min(bytes.count, from + 30)])
            bytes.insert(contentsOf: piece, at: place)
        }
    }

    /// Everything outside of strings changes either the meaning or the validity; a text cut short is
    /// never valid.
    @Test func noPrefixIsValid() {
        for seed in seeds {
            let bytes = Array(seed.utf8)
            for end in 0..<bytes.count {
                #expect(PolicyJSON(Array(bytes.prefix(end))) == nil)
            }
        }
    }

    @Test(arguments: [
        ("0", true), ("-0", true), ("01", false), ("1.", false), (".5", false), ("1e5", true), ("1e", false), ("+1", false),
        ("-", false),
        ("\"\\x\"", false), ("\"\u{1}\"", false), ("\"\\ud83d\\ude00\"", true), ("\"\\ude00\"", false), ("\"\\ud83dx\"", false),
        ("\"\\u+123\"", false), ("tru", false), ("nulll", false), ("[1,]", false), ("{\"a\":1,}", false),
        ("{\"a\":1,\"a\":2}", false),
        ("{\"a\":1,\"\\u0061\":2}", false), ("{a:1}", false), ("'a'", false), (" [ ] ", true), ("\u{FEFF}[]", false),
        ("[]\u{0}", false),
    ])
    func json(text: String, isValid: Bool) { #expect((PolicyJSON(Array(text.utf8)) != nil) == isValid) }
}
