//  What policies allow, and what is no policy.

import Model
import Testing

@testable import S3

@Suite struct PostPolicyTests {
    private static let now = Instant(seconds: 1_196_500_000)

    private func policy(_ conditions: String, expiration: String = "2007-12-01T12:00:00.000Z") throws(S3Error) -> PostPolicy {
        try PostPolicy(document: Array(#"{"expiration": "\#(expiration)", "conditions": [\#(conditions)]}"#.utf8))
    }

    private func refusal(_ conditions: String, _ fields: [String: String]) throws -> String? {
        let policy = try policy(conditions)
        do throws(S3Error) {
            try policy.check(fields, now: Self.now)
            return nil
        } catch {
            #expect(error.code == .accessDenied && error.status == 403 && error.message.hasPrefix("Invalid according to Policy: "))
            return String(error.message.dropFirst("Invalid according to Policy: ".count))
        }
    }

    @Test(
        arguments: [
            (#"{"acl": "public-read"}"#, ["acl": "public-read"], nil),
            (#"{"AcL": "public-read"}"#, ["acl": "public-read"], nil),
            (#"{"acl": "public-read"}"#, ["acl": "Public-Read"], #"Policy Condition failed: ["eq", "$acl", "public-read"]"#),
            (#"{"acl": "public-read"}"#, [:], #"Policy Condition failed: ["eq", "$acl", "public-read"]"#),
            (#"["eq", "$key", "a\"b"]"#, ["key": "a"], #"Policy Condition failed: ["eq", "$key", "a\"b"]"#),
            (#"["eq", "key", "a"]"#, ["key": "a"], #"Policy Condition failed: ["eq", "key", "a"]"#),
            (#"["EQ", "$Key", "a"]"#, ["key": "a"], nil),
            (#"["starts-with", "$key", "user/eric/"]"#, ["key": "user/eric/a"], nil),
            (#"["StArTs-WiTh", "$KeY", "user/"]"#, ["key": "user/"], nil),
            (
                #"["starts-with", "$key", "user/eric/"]"#, ["key": "user/eri"],
                #"Policy Condition failed: ["starts-with", "$key", "user/eric/"]"#
            ),
            (#"["starts-with", "$key", "\\$foo"]"#, ["key": "\\$foo.txt"], nil),
            (#"["starts-with", "$x-amz-meta-a", ""]"#, [:], nil),
            (#"["eq", "$x-amz-meta-a", ""]"#, ["x-amz-meta-a": "b"], #"Policy Condition failed: ["eq", "$x-amz-meta-a", ""]"#),
            // Content types are lists.
            (#"["starts-with", "$Content-Type", "image/"]"#, ["content-type": "image/jpg,image/png, image/gif"], nil),
            (
                #"["starts-with", "$Content-Type", "image/"]"#, ["content-type": "image/jpg,text/plain"],
                #"Policy Condition failed: ["starts-with", "$Content-Type", "image/"]"#
            ),
            (
                #"["starts-with", "$Content-Type", "image/"]"#, ["content-type": ""],
                #"Policy Condition failed: ["starts-with", "$Content-Type", "image/"]"#
            ),
            (#"["starts-with", "$Content-Type", ""]"#, ["content-type": "text/plain"], nil),
            (#"["starts-with", "$key", "a"]"#, ["key": "a,b"], nil),
            // Two spellings of one letter are two texts.
            (#"{"key": "\u00e9"}"#, ["key": "e\u{301}"], "Policy Condition failed: [\"eq\", \"$key\", \"\u{e9}\"]"),
            // Several conditions on one field.
            (#"["starts-with", "$key", "a"], {"key": "ab"}"#, ["key": "ab"], nil),
            (
                #"["starts-with", "$key", "b"], {"key": "ab"}"#, ["key": "ab"],
                #"Policy Condition failed: ["starts-with", "$key", "b"]"#
            ),
            // Every field is spoken of, but for those of the signature.
            ("", ["key": "a", "bucket": "b"], "Extra input fields: bucket, key"),
            (#"{"key": "a"}"#, ["key": "a", "x-amz-meta-b": ""], "Extra input fields: x-amz-meta-b"),
            (#"["eq", "$key", "a"]"#, ["key": "a", "x-amz-date": "d"], "Extra input fields: x-amz-date"),
            (
                "",
                [
                    "x-ignore-a": "", "policy": "", "file": "", "signature": "", "awsaccesskeyid": "", "x-amz-signature": "",
                ], nil
            ),
            // What is said of a length is said of no field, and is checked while the file comes.
            (#"["content-length-range", 1, 2]"#, ["content-length-range": ""], "Extra input fields: content-length-range"),
            (#"["content-length-range", "1", "2"]"#, [:], nil),
            (#"["content-length-range", "one", "2"]"#, [:], #"Policy Condition failed: ["content-length-range", "one", "2"]"#),
        ] as [(String, [String: String], String?)])
    func conditions(conditions: String, fields: [String: String], expected: String?) throws {
        #expect(try refusal(conditions, fields) == expected)
    }

    @Test func expiration() throws {
        let policy = try policy("", expiration: "2007-12-01T12:00:00Z")
        try policy.check([:], now: Instant(seconds: 1_196_510_400))
        #expect(throws: S3Error(.accessDenied, "Invalid according to Policy: Policy expired.")) {
            try policy.check([:], now: Instant(seconds: 1_196_510_401))
        }
    }

    @Test(arguments: [
        ("", PostPolicy.Sizes()), (#"["content-length-range", 1048576, 10485760]"#, .init(least: 1_048_576, most: 10_485_760)),
        (#"["content-length-range", 0, 0]"#, .init(least: 0, most: 0)),
        (#"["content-length-range", 1, 5], ["Content-Length-Range", "3", "9"]"#, .init(least: 3, most: 5)),
        (#"["content-length-range", 6, 7], ["content-length-range", 1, 2]"#, .init(least: 6, most: 2)),
    ])
    func sizes(conditions: String, sizes: PostPolicy.Sizes) throws {
        #expect(try policy(conditions).sizes == sizes)
    }

    @Test(arguments: [
        ("", "Invalid JSON."), ("[]", "Invalid JSON."), ("{\"expiration\": }", "Invalid JSON."),
        (#"{"expiration": "2007-12-01T12:00:00Z", "expiration": "2027-12-01T12:00:00Z", "conditions": []}"#, "Invalid JSON."),
        (#"{"conditions": []}"#, "Policy missing expiration."),
        (#"{"expiration": "2007-12-01T12:00:00Z"}"#, "Policy missing conditions."),
        (#"{"EXPIRATION": "2007-12-01T12:00:00Z", "conditions": []}"#, "Unexpected: 'expiration'"),
        (#"{"Statement": []}"#, "Unexpected: 'statement'"), (#"{"expiration": 1}"#, "Invalid JSON."),
        (#"{"expiration": "2007-12-01 12:00:00"}"#, "Invalid 'expiration' value: '2007-12-01 12:00:00'"),
        (#"{"expiration": "2007-12-01T12:00:00+02:00"}"#, "Invalid 'expiration' value: '2007-12-01T12:00:00+02:00'"),
        (#"{"conditions": {}}"#, "Invalid 'conditions' value: must be a List."),
    ])
    func noPolicies(document: String, message: String) {
        #expect(throws: S3Error.invalidPolicy(message)) { try PostPolicy(document: Array(document.utf8)) }
    }

    @Test(arguments: [
        ("{}", "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."),
        (#"{"a": "b", "c": "d"}"#, "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."),
        (#"{"a": 1}"#, "Invalid Simple-Condition: value must be a string."), (#"{"a": null}"#, "Invalid JSON."),
        ("[]", "Invalid Condition: missing operation identifier."), ("1", "Invalid condition test: must be a List or Object."),
        (#"["ends-with", "$key", "a"]"#, "Invalid Condition: unknown operation 'ends-with'."),
        (#"["eq", "$key"]"#, "Invalid eq: wrong number of arguments."), (#"["eq", "$key", 1]"#, "Invalid JSON."),
        (#"["content-length-range", 0]"#, "Invalid content-length-range: wrong number of arguments."),
        (#"["content-length-range", -1, 0]"#, "Invalid content-length-range: -1, 0."),
        (#"["content-length-range", 2, 1]"#, "Invalid content-length-range: 2, 1."),
        (#"["content-length-range", 0, 512.0]"#, "Invalid JSON."),
        (#"["content-length-range", 0, 99999999999999999999]"#, "Invalid JSON."),
    ])
    func noConditions(condition: String, message: String) {
        #expect(throws: S3Error.invalidPolicy(message)) { try policy(condition) }
    }

    @Test func base64() throws {
        let text = "eyJleHBpcmF0aW9uIjogIjIwMDctMTItMDFUMTI6MDA6\r\nMDBaIiwgImNvbmRpdGlvbnMiOiBbXX0="
        #expect(try PostPolicy(base64: text).conditions.isEmpty)
        #expect(throws: S3Error.invalidPolicy("invalid Base64 encoding.")) { try PostPolicy(base64: "not Base64!") }
    }

    @Test func fuzz() {
        var dice = Dice(seed: 5)
        let good = Array(
            #"{"expiration": "2007-12-01T12:00:00Z", "conditions": [{"acl": "a"}, ["eq", "$key", "k"], ["content-length-range", 1, 2]]}"#
                .utf8)
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &dice) {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                if Bool.random(using: &dice) {
                    bytes[place] = UInt8.random(in: 0...255, using: &dice)
                } else {
                    bytes.remove(at: place)
                }
            }
            do throws(S3Error) {
                try PostPolicy(document: bytes).check(["acl": "b", "key": "k", "bucket": "b"], now: Self.now)
                Issue.record("\(String(decoding: bytes, as: UTF8.self))")
            } catch {
                #expect([.invalidPolicyDocument, .accessDenied].contains(error.code))
            }
        }
    }
}
