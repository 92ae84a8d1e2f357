//  Signature Version 2: the developer guide's examples, the spellings of clients, refusals, and broken
//  requests by the thousand.

import Model
import Testing

@testable import AWSProtocol

private let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
private let key = "AKIAIOSFODNN7EXAMPLE"

/// One published request with the signature that the guide computes for it.
struct PublishedRequest: Sendable, CustomTestStringConvertible {
    var name: String
    var method = "GET"
    var path: String
    var query = ""
    var date: String
    var headers: [(name: String, value: String)] = []
    /// What the Host header names.
    var bucket: String?
    var signature: String

    var testDescription: String { name }

    var request: SignatureV2.Request {
        SignatureV2.Request(
            method: method, rawPath: path, rawQuery: query,
            headers: headers + [(name: "Date", value: date), (name: "Authorization", value: "AWS \(key):\(signature)")])
    }
}

/// Amazon S3 Developer Guide, "Authentication examples".
private let published: [PublishedRequest] = [
    PublishedRequest(
        name: "object GET", path: "/photos/puppy.jpg", date: "Tue, 27 Mar 2007 19:36:42 +0000", bucket: "johnsmith",
        signature: "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
    PublishedRequest(
        name: "object PUT", method: "PUT", path: "/photos/puppy.jpg", date: "Tue, 27 Mar 2007 21:15:45 +0000",
        headers: [("Content-Type", "image/jpeg"), ("Content-Length", "94328")], bucket: "johnsmith",
        signature: "MyyxeRY7whkBe+bq8fHCL/2kKUg="),
    PublishedRequest(
        name: "list", path: "/", query: "prefix=photos&max-keys=50&marker=puppy", date: "Tue, 27 Mar 2007 19:42:41 +0000",
        headers: [("User-Agent", "Mozilla/5.0")], bucket: "johnsmith", signature: "htDYFYduRNen8P9ZfE/s9SuKy0U="),
    PublishedRequest(
        name: "fetch", path: "/", query: "acl", date: "Tue, 27 Mar 2007 19:44:46 +0000", bucket: "johnsmith",
        signature: "c2WLPFtWHVgbEmeEG93a4cG37dM="),
    PublishedRequest(
        name: "upload", method: "PUT", path: "/db-backup.dat.gz", date: "Tue, 27 Mar 2007 21:06:08 +0000",
        headers: [
            ("x-amz-acl", "public-read"), ("content-type", "application/x-download"),
            ("Content-MD5", "4gJE4saaMU4BqNR0kLY+lw=="), ("X-Amz-Meta-ReviewedBy", "joe@johnsmith.net"),
            ("X-Amz-Meta-ReviewedBy", "jane@johnsmith.net"), ("X-Amz-Meta-FileChecksum", "0x02661779"),
            ("X-Amz-Meta-ChecksumAlgorithm", "crc32"), ("Content-Disposition", "attachment; filename=database.dat"),
            ("Content-Encoding", "gzip"), ("Content-Length", "5913339"),
        ], bucket: "static.johnsmith.net", signature: "ilyl83RwaSoYIEdixDQcA4OnAnc="),
    PublishedRequest(
        name: "list all my buckets", path: "/", date: "Wed, 28 Mar 2007 01:29:59 +0000",
        signature: "qGdzdERIC03wnaRNKh6OqZehG9s="),
    PublishedRequest(
        name: "Unicode keys", path: "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re", date: "Wed, 28 Mar 2007 01:49:49 +0000",
        signature: "DNEZGsoieTZ92F3bUfSPQcbGmlM="),
]

@Suite struct SignatureV2Tests {
    private func moment(_ text: String) throws -> Instant { try #require(HTTPDate.read(text, mayBeHTTP: true)) }

    private func claim(_ request: SignatureV2.Request) throws -> SignatureV2.Claim { try #require(try SignatureV2.Claim(request)) }

    @Test(arguments: published)
    func theGuidesExamples(example: PublishedRequest) throws {
        let claim = try claim(example.request)
        #expect(claim.accessKey == key)
        let now = try moment(example.date)
        try claim.verify(example.request, bucket: example.bucket, secret: secret, now: now)
        #expect(throws: SignatureV2.Refusal.signatureDoesNotMatch) {
            try claim.verify(example.request, bucket: example.bucket, secret: secret + "x", now: now)
        }
        #expect(throws: SignatureV2.Refusal.signatureDoesNotMatch) {
            try claim.verify(example.request, bucket: "other", secret: secret, now: now)
        }
    }

    /// The guide's example of a delete has a date of its own, which is signed in place of the Date header's.
    @Test func theDateOfAmazonsOwnHeader() throws {
        let request = SignatureV2.Request(
            method: "DELETE", rawPath: "/johnsmith/photos/puppy.jpg",
            headers: [
                ("date", "Tue, 27 Mar 2007 21:20:27 +0000"), ("x-amz-date", "Tue, 27 Mar 2007 21:20:26 +0000"),
                ("authorization", "AWS \(key):R4dJ53KECjStyBO5iTBJZ4XVOaI="),
            ])
        let claim = try claim(request)
        #expect(claim.form == .header(signed: try moment("Tue, 27 Mar 2007 21:20:26 +0000")))
        try claim.verify(request, secret: secret, now: try moment("Tue, 27 Mar 2007 21:20:26 +0000"))
    }

    private func presigned(
        _ expires: String = "1175139620", signature: String = "NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
    ) -> SignatureV2.Request {
        SignatureV2.Request(
            method: "GET", rawPath: "/photos/puppy.jpg",
            rawQuery: "AWSAccessKeyId=\(key)&Signature=\(signature)&Expires=\(expires)",
            headers: [("host", "johnsmith.s3.amazonaws.com")])
    }

    /// The guide's presigned address, and the same by a client that does not encode the plus sign.
    @Test(arguments: ["NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D", "NpgCjnDzrM+WFzoENXmpNDUsSn8="])
    func presignedAddresses(signature: String) throws {
        let request = presigned(signature: signature)
        let claim = try claim(request)
        try claim.verify(request, bucket: "johnsmith", secret: secret, now: Instant(seconds: 0))
        try claim.verify(request, bucket: "johnsmith", secret: secret, now: Instant(seconds: 1_175_139_620))
        #expect(throws: SignatureV2.Refusal.expired) {
            try claim.verify(request, bucket: "johnsmith", secret: secret, now: Instant(seconds: 1_175_139_621))
        }
        let later = presigned("1175139621", signature: signature)
        #expect(throws: SignatureV2.Refusal.signatureDoesNotMatch) {
            try self.claim(later).verify(later, bucket: "johnsmith", secret: secret, now: Instant(seconds: 0))
        }
    }

    /// What a request's query adds to the string to sign, in all spellings that are tried.
    @Test(arguments: [
        ("", [""]), ("prefix=a&max-keys=5&x-id=Get", [""]), ("acl", ["?acl"]), ("acl=", ["?acl", "?acl="]),
        ("uploadId=b&partNumber=1", ["?partNumber=1&uploadId=b"]),
        ("versionId=a%2Bb", ["?versionId=a+b", "?versionId=a%2Bb"]),
        (
            "response-content-type=text%2Fx&delete",
            ["?delete&response-content-type=text/x", "?delete&response-content-type=text%2Fx"]
        ),
        ("Signature=x&Expires=1&AWSAccessKeyId=k&tagging", ["?tagging"]), ("ACL", [""]),
        ("versionId=2&versionId=1", ["?versionId=2&versionId=1"]),
    ])
    func signedParameters(query: String, expected: [String]) throws {
        let signed = presigned()
        var request = signed
        request.rawQuery = query
        let texts = SignatureV2.stringsToSign(request, try claim(signed), bucket: nil)
        let ends = Set(texts.map { String($0.drop { $0 != "/" }.dropFirst("/photos/puppy.jpg".count)) })
        #expect(ends == Set(expected))
    }

    @Test func headersThatThePresignerMovedIntoTheQuery() throws {
        var request = presigned()
        request.rawQuery += "&x-amz-meta-b=two%20words&X-Amz-Acl=private&content-type=text%2Fplain&content-md5=abc"
        request.headers.append(("X-Amz-Acl", "public-read"))
        let claim = try claim(request)
        #expect(claim.movedHeaders(of: request).map(\.name) == ["x-amz-meta-b", "content-type", "content-md5"])
        #expect(
            SignatureV2.stringsToSign(request, claim, bucket: nil)[0]
                == "GET\nabc\ntext/plain\n1175139620\nx-amz-acl:public-read\nx-amz-meta-b:two words\n/photos/puppy.jpg")
    }

    /// A bucket's name alone may be signed with a slash behind it; a key's may not.
    @Test(arguments: [
        ("/bucket", ["/bucket", "/bucket/"]), ("/bucket/", ["/bucket/"]), ("/bucket/key", ["/bucket/key"]), ("/", ["/"]),
    ])
    func buckets(path: String, expected: [String]) throws {
        var request = presigned()
        request.rawPath = path
        let texts = SignatureV2.stringsToSign(request, try claim(request), bucket: nil)
        #expect(texts.map { String($0.drop { $0 != "/" }) } == expected)
    }

    @Test func foldsAndBlanks() throws {
        let request = SignatureV2.Request(
            method: "GET", rawPath: "",
            headers: [
                ("Date", "Tue, 27 Mar 2007 21:15:45 GMT"), ("authorization", "AWS k:s"), ("x-amz-b", " one\r\n\t two  three "),
                ("X-AMZ-a", "1"), ("x-amz-a", " 2"),
            ])
        #expect(
            SignatureV2.stringsToSign(request, try claim(request), bucket: nil)
                == ["GET\n\n\nTue, 27 Mar 2007 21:15:45 GMT\nx-amz-a:1,2\nx-amz-b:one two  three\n/"])
    }

    @Test(arguments: [
        ("Tue, 27 Mar 2007 19:51:42 +0000", nil), ("Tue, 27 Mar 2007 19:21:42 +0000", nil),
        ("Tue, 27 Mar 2007 19:51:43 +0000", SignatureV2.Refusal.timeTooSkewed),
        ("Tue, 27 Mar 2007 19:21:41 +0000", .timeTooSkewed),
    ])
    func clocks(now: String, refusal: SignatureV2.Refusal?) throws {
        let now = try moment(now)
        let check = { try claim(published[0].request).verify(published[0].request, bucket: "johnsmith", secret: secret, now: now) }
        if let refusal { #expect(throws: refusal, performing: check) } else { try check() }
    }

    /// What is no claim, and what is none of this version.
    @Test(
        arguments: [
            ("AWS", "", SignatureV2.Refusal.malformedAuthorization), ("AWS HAHAHA", "", .malformedAuthorization),
            ("AWS :x", "", .malformedAuthorization), ("AWS k:", "", .malformedAuthorization),
            ("AWS k:s:t", "", .malformedAuthorization),
            ("AWS k:s t", "", .malformedAuthorization), ("AWS k:s", "", .missingDate),
            ("AWS k:s", "X-Amz-Signature=x", .severalSignatures), ("AWS k:s", "AWSAccessKeyId=k", .severalSignatures),
            ("AWS4-HMAC-SHA256 Credential=x", "AWSAccessKeyId=k", .severalSignatures),
            (nil, "X-Amz-Algorithm=x&Signature=s", .severalSignatures), (nil, "AWSAccessKeyId=k", .incompleteQuery),
            (nil, "Signature=k", .incompleteQuery), (nil, "AWSAccessKeyId=k&Signature=s", .incompleteQuery),
            (nil, "AWSAccessKeyId=k&Signature=s&Expires=", .incompleteQuery),
            (nil, "AWSAccessKeyId=k&Signature=s&Expires=1&Expires=2", .incompleteQuery),
            (nil, "AWSAccessKeyId=k&Signature=s&Expires=soon", .malformedExpiry("soon")),
            (nil, "AWSAccessKeyId=k&Signature=s&Expires=-1", .malformedExpiry("-1")),
            (nil, "AWSAccessKeyId=k&Signature=s&Expires=9999999999999", .malformedExpiry("9999999999999")),
        ] as [(String?, String, SignatureV2.Refusal)])
    func noClaims(authorization: String?, query: String, refusal: SignatureV2.Refusal) {
        let headers = authorization.map { [(name: "Authorization", value: $0)] } ?? []
        #expect(throws: refusal) {
            try SignatureV2.Claim(SignatureV2.Request(method: "GET", rawPath: "/", rawQuery: query, headers: headers))
        }
    }

    @Test(arguments: ["", "yesterday", "Tue, 07 Jul 1950 21:53:04 GMT", "1175139620"])
    func noDates(date: String) {
        let request = SignatureV2.Request(
            method: "GET", rawPath: "/",
            headers: [("x-amz-date", date), ("date", "Tue, 27 Mar 2007 19:36:42 GMT"), ("authorization", "AWS k:s")])
        #expect(throws: SignatureV2.Refusal.missingDate) { try SignatureV2.Claim(request) }
    }

    @Test(
        arguments: [
            (nil, ""), ("AWS4-HMAC-SHA256 Credential=x", ""), ("Bearer x", ""), (nil, "X-Amz-Signature=x"), (nil, "Expires=1"),
        ] as [(String?, String)])
    func otherRequests(authorization: String?, query: String) throws {
        let headers = authorization.map { [(name: "Authorization", value: $0)] } ?? []
        #expect(try SignatureV2.Claim(SignatureV2.Request(method: "GET", rawPath: "/", rawQuery: query, headers: headers)) == nil)
    }

    private static let interesting = Array("%+=&/;, \t\u{0}\u{e9}:AZz09-\"'?#\r\n".unicodeScalars)

    private func mutated(_ text: String, _ dice: inout Dice) -> String {
        var scalars = Array(text.unicodeScalars)
        for _ in 0..<Int.random(in: 1...3, using: &dice) {
            let place = Int.random(in: 0...scalars.count, using: &dice)
            let scalar = Self.interesting.randomElement(using: &dice) ?? "%"
            switch Int.random(in: 0..<4, using: &dice) {
            case 0 where place < scalars.count: scalars[place] = scalar
            case 1 where place < scalars.count: scalars.remove(at: place)
            case 2: scalars = Array(scalars.prefix(place))
            default: scalars.insert(scalar, at: place)
            }
        }
        var result = String.UnicodeScalarView()
        result.append(contentsOf: scalars)
        return String(result)
    }

    /// Of a signed request that was changed, none traps and none is accepted.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func fuzz(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        var read = 0
        for round in 0..<3000 {
            var request = round % 2 == 0 ? presigned() : published[0].request
            switch round / 2 % 3 {
            case 0: request.rawPath = mutated("/photos/other.jpg", &dice)
            case 1:
                // A parameter that is cut off was no part of what is signed.
                request.rawQuery = mutated(request.rawQuery + "&versionId=%2B+x", &dice)
                request.rawPath += "x"
            default:
                request.headers =
                    request.headers.map { ($0.name, mutated($0.value, &dice)) } + [(mutated("x-amz-meta", &dice), "x-amz-")]
                request.rawPath += "x"
            }
            guard let claim = try? SignatureV2.Claim(request) else { continue }
            read += 1
            #expect(throws: SignatureV2.Refusal.self, "seed \(seed) round \(round): \(request)") {
                try claim.verify(request, bucket: "johnsmith", secret: secret, now: Instant(seconds: 1_175_024_202))
            }
        }
        #expect(read > 100, "seed \(seed): the mutations leave too little to read")
    }
}
