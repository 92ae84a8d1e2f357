//  Published vectors, refusals, and the two memories of the signature code.

import Authority
import Crypto
import Model
import Testing

@testable import AWSProtocol

/// The secret of AWS's general examples and test suite.
private let suiteSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
/// The secret of the S3 documentation's examples.
private let objectSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
private let emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func sha256Hex(_ text: String) -> String { hexDigits(SHA256.hash(data: Array(text.utf8))) }

/// One published request with the signature that AWS computes for it.
struct Vector: Sendable, CustomTestStringConvertible {
    var name: String
    var method = "GET"
    var path = "/"
    var query = ""
    var headers: [(name: String, value: String)]
    var body = ""
    var service = "service"
    var date = "20150830T123600Z"
    var secret = suiteSecret
    var signature: String

    var testDescription: String { name }

    /// The header form, with the fields in AWS's order.
    var request: SignatureV4.Request {
        let names = Set(headers.map { $0.name.lowercased() }).sorted().joined(separator: ";")
        let authorization =
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\(date.prefix(8))/us-east-1/\(service)/aws4_request, SignedHeaders=\(names), "
            + "Signature=\(signature)"
        return SignatureV4.Request(
            method: method, rawPath: path, rawQuery: query, headers: headers + [(name: "Authorization", value: authorization)],
            body: .hashed(sha256Hex(body)))
    }

    var now: Instant { Instant(iso8601: date) ?? Instant(seconds: 0) }
}

private func suite(
    _ name: String, _ method: String = "GET", _ path: String = "/", _ query: String = "", body: String = "",
    with extra: [(name: String, value: String)] = [], signs signature: String
) -> Vector {
    let own: [(name: String, value: String)] = [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z")]
    return Vector(name: name, method: method, path: path, query: query, headers: own + extra, body: body, signature: signature)
}

private func object(
    _ name: String, _ method: String = "GET", _ path: String = "/", _ query: String = "", body: String = "",
    with extra: [(name: String, value: String)] = [], host: String = "examplebucket.s3.amazonaws.com", hash: String = emptyHash,
    signs signature: String
) -> Vector {
    let own: [(name: String, value: String)] = [
        ("Host", host), ("x-amz-date", "20130524T000000Z"), ("x-amz-content-sha256", hash),
    ]
    return Vector(
        name: name, method: method, path: path, query: query, headers: own + extra, body: body, service: "s3",
        date: "20130524T000000Z", secret: objectSecret, signature: signature)
}

private let unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
private let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"

/// From AWS's signature test suite, from the documentation of IAM, and from that of S3.
private let published: [Vector] = [
    suite("get-vanilla", signs: vanilla),
    suite("get-relative", "GET", "/example/..", signs: vanilla),
    suite("get-relative-relative", "GET", "/example1/example2/../..", signs: vanilla),
    suite("get-slash", "GET", "//", signs: vanilla),
    suite("get-slash-dot-slash", "GET", "/./", signs: vanilla),
    suite("get-slashes", "GET", "//example//", signs: "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
    suite(
        "get-slash-pointless-dot", "GET", "/./example", signs: "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
    suite("get-space", "GET", "/example space/", signs: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    suite("get-utf8", "GET", "/ሴ", signs: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    suite("get-unreserved", "GET", "/\(unreserved)", signs: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    suite(
        "get-vanilla-empty-query-key", "GET", "/", "Param1=value1",
        signs: "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    suite(
        "get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1",
        signs: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    suite(
        "get-vanilla-query-unreserved", "GET", "/", "\(unreserved)=\(unreserved)",
        signs: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
    suite("get-vanilla-utf8-query", "GET", "/", "ሴ=bar", signs: "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    suite(
        "get-header-key-duplicate", with: [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        signs: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
    suite(
        "get-header-value-order",
        with: [("My-Header1", "value4"), ("My-Header1", "value1"), ("my-header1", "value3"), ("My-Header1", "value2")],
        signs: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
    suite(
        "get-header-value-trim", with: [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        signs: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
    suite("post-vanilla", "POST", signs: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    suite(
        "post-x-www-form-urlencoded", "POST", body: "Param1=value1", with: [("Content-Type", "application/x-www-form-urlencoded")],
        signs: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    Vector(
        name: "IAM ListUsers", query: "Action=ListUsers&Version=2010-05-08",
        headers: [
            ("Host", "iam.amazonaws.com"), ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("X-Amz-Date", "20150830T123600Z"),
        ], service: "iam", signature: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
    object(
        "S3 GET Object", "GET", "/test.txt", with: [("Range", "bytes=0-9")],
        signs: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    // The dollar sign is sent as it is and signed as %24.
    object(
        "S3 PUT Object", "PUT", "/test$file.text", body: "Welcome to Amazon S3.",
        with: [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        hash: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        signs: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    object("S3 GET lifecycle", "GET", "/", "lifecycle", signs: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    object("S3 list", "GET", "/", "max-keys=2&prefix=J", signs: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    object(
        "S3 chunked upload", "PUT", "/examplebucket/chunkObject.txt",
        with: [
            ("content-encoding", "aws-chunked"), ("content-length", "66824"), ("x-amz-decoded-content-length", "66560"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ], host: "s3.amazonaws.com", hash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        signs: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"),
]

private let presignedQuery =
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    + "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"

private func presigned(_ query: String = presignedQuery) -> SignatureV4.Request {
    SignatureV4.Request(
        method: "GET", rawPath: "/test.txt", rawQuery: query, headers: [("Host", "examplebucket.s3.amazonaws.com")])
}

@Suite struct SignatureV4Tests {
    @Test(arguments: published)
    func publishedVectorsHold(vector: Vector) throws {
        let claim = try SignatureV4.Claim(vector.request)
        #expect(claim.accessKey == "AKIDEXAMPLE")
        let verified = try claim.verify(vector.request, secret: .whole(vector.secret), now: vector.now)
        let streaming = SignatureV4.Verified.Payload.streaming("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        #expect(verified.payload == (vector.name == "S3 chunked upload" ? streaming : .checked))
    }

    /// A host that has only the key that was derived for the scope, and one that has it for another day's.
    @Test(arguments: published)
    func publishedVectorsHoldWithDerivedKeys(vector: Vector) throws {
        let claim = try SignatureV4.Claim(vector.request)
        let secret = SigningSecret.whole(vector.secret)
        _ = try claim.verify(vector.request, secret: secret.derived(for: claim.scope), now: vector.now)
        var other = claim.scope
        other.date = "19700101"
        #expect(throws: SignatureV4.Refusal.signatureDoesNotMatch()) {
            try claim.verify(vector.request, secret: secret.derived(for: other), now: vector.now)
        }
    }

    @Test func thePublishedPresignedRequestHolds() throws {
        let claim = try SignatureV4.Claim(presigned())
        #expect(claim.form == .query(expiresSeconds: 86400))
        let start = claim.signed
        let verified = try claim.verify(presigned(), secret: .whole(objectSecret), now: start + .seconds(86400))
        #expect(verified.payload == .unsigned)
        #expect(throws: SignatureV4.Refusal.self) {
            try claim.verify(presigned(), secret: .whole(objectSecret), now: start + .seconds(86401))
        }
        #expect(throws: SignatureV4.Refusal.self) {
            try claim.verify(presigned(), secret: .whole(objectSecret), now: start - .seconds(901))
        }
    }

    /// A made-up region or service changes the key that is derived, not whether the scope is taken.
    @Test func wrongSecretsAreRefused() throws {
        for vector in published {
            let claim = try SignatureV4.Claim(vector.request)
            #expect(throws: SignatureV4.Refusal.signatureDoesNotMatch()) {
                try claim.verify(vector.request, secret: .whole(vector.secret + "x"), now: vector.now)
            }
        }
    }

    @Test func theClockMayBeFifteenMinutesOff() throws {
        let vector = published[0]
        let claim = try SignatureV4.Claim(vector.request)
        for seconds in [-900, -1, 0, 1, 900] {
            _ = try claim.verify(vector.request, secret: .whole(vector.secret), now: vector.now + .seconds(seconds))
        }
        #expect(
            throws: SignatureV4.Refusal.expired(
                "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)")
        ) { try claim.verify(vector.request, secret: .whole(vector.secret), now: vector.now + .seconds(901)) }
        #expect(
            throws: SignatureV4.Refusal.notYetCurrent(
                "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)")
        ) { try claim.verify(vector.request, secret: .whole(vector.secret), now: vector.now - .seconds(901)) }
    }

    @Test func headersThatMatterMustBeSigned() throws {
        var request = published[0].request
        request.headers.append(("X-Amz-Security-Token", "token"))
        let claim = try SignatureV4.Claim(request)
        #expect(claim.securityToken == "token")
        #expect(throws: SignatureV4.Refusal.headersNotSigned(["x-amz-security-token"])) {
            try claim.verify(request, secret: .whole(suiteSecret), now: published[0].now)
        }
        var hostless = published[0].request
        hostless.headers[2].value = hostless.headers[2].value.replacing("host;", with: "")
        let other = try SignatureV4.Claim(hostless)
        #expect(throws: SignatureV4.Refusal.headersNotSigned(["host"])) {
            try other.verify(hostless, secret: .whole(suiteSecret), now: published[0].now)
        }
    }

    @Test func theBodyMustBeTheOneThatWasSigned() throws {
        let vector = try #require(published.first { $0.name == "S3 PUT Object" })
        var request = vector.request
        let claim = try SignatureV4.Claim(request)
        request.body = .hashed(sha256Hex("other"))
        #expect(throws: SignatureV4.Refusal.payloadMismatch) {
            try claim.verify(request, secret: .whole(objectSecret), now: vector.now)
        }
        request.body = .unread
        let verified = try claim.verify(request, secret: .whole(objectSecret), now: vector.now)
        #expect(verified.payload == .declared(sha256Hex("Welcome to Amazon S3.")))

        // Without the header, the hash of what was read is in the canonical request.
        let form = try #require(published.first { $0.name == "post-x-www-form-urlencoded" })
        var tampered = form.request
        tampered.body = .hashed(sha256Hex("Param1=value2"))
        #expect(throws: SignatureV4.Refusal.signatureDoesNotMatch()) {
            try SignatureV4.Claim(tampered).verify(tampered, secret: .whole(suiteSecret), now: form.now)
        }
        tampered.body = .unread
        #expect(throws: SignatureV4.Refusal.self) {
            try SignatureV4.Claim(tampered).verify(tampered, secret: .whole(suiteSecret), now: form.now)
        }
    }

    /// A form's parameters may not be left out of the signature, whatever the header says.
    @Test(arguments: ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
    func onlyObjectsMayBeUnsigned(payload: String) throws {
        // Nor by an object store's scope, where the face says what it is.
        let chunked = try #require(published.first { $0.name == "S3 chunked upload" })
        let claimed = try SignatureV4.Claim(chunked.request)
        #expect(throws: SignatureV4.Refusal.payloadMismatch) {
            try claimed.verify(chunked.request, secret: .whole(objectSecret), now: chunked.now, pathStyle: .normalized)
        }
        var vector = object("unsigned", hash: payload, signs: "")
        vector.service = "ec2"
        vector.signature = String(repeating: "0", count: 64)
        let claim = try SignatureV4.Claim(vector.request)
        #expect(throws: SignatureV4.Refusal.payloadMismatch) {
            try claim.verify(vector.request, secret: .whole(objectSecret), now: vector.now)
        }
    }

    @Test func wordings() {
        typealias Refusal = SignatureV4.Refusal
        #expect(Refusal.expired("x").error(.ec2).code == "RequestExpired")
        #expect(Refusal.expired("x").error(.query).code == "SignatureDoesNotMatch")
        #expect(
            Refusal.signatureDoesNotMatch().error(.ec2)
                == AWSError(
                    "AuthFailure", "AWS was not able to validate the provided access credentials", status: 401
                ))
        #expect(Refusal.invalidClientTokenId.error(.query).code == "InvalidClientTokenId")
        #expect(Refusal.missingAuthenticationToken.fault.code == .notAuthenticated)
        #expect(Refusal.headersNotSigned(["x-amz-date"]).fault.code == .signatureMismatch)
        #expect(Refusal.notYetCurrent("x").fault.code == .expired)
    }
}

@Suite struct SignatureV4ClaimTests {
    private func refusal(_ authorization: String, date: String? = "20150830T123600Z") -> SignatureV4.Refusal? {
        var headers: [(name: String, value: String)] = [("Host", "h"), ("Authorization", authorization)]
        if let date { headers.append(("X-Amz-Date", date)) }
        do {
            _ = try SignatureV4.Claim(SignatureV4.Request(method: "GET", rawPath: "/", headers: headers))
            return nil
        } catch {
            return error
        }
    }

    private let good =
        "AWS4-HMAC-SHA256 Credential=AK/20150830/r/s/aws4_request, SignedHeaders=host;x-amz-date, Signature="
        + String(repeating: "0a", count: 32)

    @Test func formsThatClientsSend() {
        #expect(refusal(good) == nil)
        // Some clients leave the blanks out, some send two.
        #expect(refusal(good.replacing(", ", with: ",")) == nil)
        #expect(refusal(good.replacing(", ", with: " ,  ")) == nil)
        // boto 2 derives region and service from the host's address; euca2ools names its process.
        #expect(refusal(good.replacing("/r/s/", with: "/0/127/")) == nil)
        #expect(refusal(good.replacing("/r/s/", with: "/undefined-4711/ec2/")) == nil)
    }

    @Test func misshapenHeadersAreIncomplete() {
        let incomplete = [
            "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "AWS AK:sig", "Basic QQ==",
            good.replacing("AWS4-HMAC-SHA256", with: "AWS4-ECDSA-P256-SHA256"),
            good.replacing("Signature=", with: "Sig="), good.replacing("SignedHeaders=", with: "Headers="),
            good.replacing("Credential=", with: "Cred="), good.replacing("AK/", with: "/"), good.replacing("AK/", with: "A/K/"),
            good.replacing("/r/s/", with: "/s/"), good.replacing("/r/s/", with: "//s/"), good.replacing("host;", with: "host;;"),
            good.replacing("host;", with: "host;HOST;"), good + ", Signature=00",
            good.replacing("AK/", with: String(repeating: "A", count: 129) + "/"),
            good.replacing("host;", with: (0..<101).map { "h\($0);" }.joined()), good + String(repeating: " ", count: 9000),
        ]
        for text in incomplete {
            guard case .incompleteSignature = refusal(text) else {
                Issue.record("not incomplete: \(text)")
                continue
            }
        }
        guard
            case .incompleteSignature(let message) = refusal("AWS4-HMAC-SHA256 Credential=AK/20150830/r/s/aws4_request", date: nil)
        else {
            Issue.record("accepted")
            return
        }
        #expect(
            message
                == "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. "
                + "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    }

    @Test func impossibleScopesDoNotMatch() {
        let wrong = [
            good.replacing("aws4_request", with: "aws5_request"), good.replacing("20150830/", with: "20150831/"),
            good.replacing("0a0a", with: "0"), good.replacing("0a0a", with: "0g0g"),
            good.replacing("Signature=0a", with: "Signature=+a"),
        ]
        for text in wrong {
            guard case .signatureDoesNotMatch = refusal(text) else {
                Issue.record("no mismatch: \(text)")
                continue
            }
        }
    }

    @Test(arguments: [
        ("20150830T123600Z", true), ("Sun, 30 Aug 2015 12:36:00 GMT", true),
        // email.utils.formatdate
        ("Sun, 30 Aug 2015 12:36:00 -0000", true),
        ("30 Aug 2015 12:36:00 UTC", true),
        ("2015-08-30T12:36:00Z", false), ("20150830T1236Z", false), ("20150830T123600", false),
        ("Sun, 30 Aug 2015 12:36:00 +0200", false),
        ("Sun, 31 Feb 2015 12:36:00 GMT", false), ("Sun, 30 Aug 2015 12:36 GMT", false), ("", false),
        ("Sunday, 30-Aug-15 12:36:00 GMT", false),
    ])
    func dates(text: String, isRead: Bool) {
        #expect(HTTPDate.read(text, mayBeHTTP: true) == (isRead ? Instant(iso8601: "20150830T123600Z") : nil))
    }

    @Test func dateHeaderWillDo() throws {
        let request = SignatureV4.Request(
            method: "GET", rawPath: "/", headers: [("Authorization", good), ("Date", "Sun, 30 Aug 2015 12:36:00 GMT")])
        #expect(try SignatureV4.Claim(request).signed.iso8601Basic == "20150830T123600Z")
    }

    @Test func oneWayOnlyAndOnceOnly() {
        func refusal(_ request: SignatureV4.Request) -> SignatureV4.Refusal? {
            do {
                _ = try SignatureV4.Claim(request)
                return nil
            } catch { return error }
        }
        #expect(refusal(SignatureV4.Request(method: "GET", rawPath: "/", headers: [])) == .missingAuthenticationToken)
        var both = presigned()
        both.headers.append(("Authorization", good))
        #expect(refusal(both) == .incompleteSignature("Only one auth mechanism allowed"))
        let twice = SignatureV4.Request(
            method: "GET", rawPath: "/",
            headers: [("Authorization", good), ("Authorization", good), ("X-Amz-Date", "20150830T123600Z")])
        #expect(refusal(twice) == .incompleteSignature("Only one auth mechanism allowed"))
        #expect(
            refusal(presigned(presignedQuery + "&X-Amz-%44ate=20130524T000000Z"))
                == .incompleteSignature("The parameter 'X-Amz-Date' is given more than once."))
        for expires in ["604801", "-1", "1e3", "", "99999999999999999999", "0x10"] {
            let query = presignedQuery.replacing("Expires=86400", with: "Expires=\(expires)")
            guard case .incompleteSignature = refusal(presigned(query)) else {
                Issue.record("accepted \(expires)")
                continue
            }
        }
        #expect(refusal(presigned(presignedQuery.replacing("Expires=86400", with: "Expires=604800"))) == nil)
    }
}

@Suite struct SignatureV4MemoryTests {
    private func verified(_ vector: Vector, _ keys: SignatureV4.SigningKeys? = nil) throws -> SignatureV4.Verified {
        try SignatureV4.Claim(vector.request).verify(vector.request, secret: .whole(vector.secret), now: vector.now, keys: keys)
    }

    @Test func keysAreRememberedForTheirSecretOnly() throws {
        let keys = SignatureV4.SigningKeys()
        for vector in published where vector.secret == suiteSecret { _ = try verified(vector, keys) }
        // service and iam
        #expect(keys.count == 2)
        let vector = published[0]
        let claim = try SignatureV4.Claim(vector.request)
        #expect(throws: SignatureV4.Refusal.signatureDoesNotMatch()) {
            try claim.verify(vector.request, secret: .whole("replaced"), now: vector.now, keys: keys)
        }
        _ = try verified(vector, keys)
        #expect(keys.key(for: claim, secret: .whole(suiteSecret)) != nil)
    }

    @Test func refusedRequestsAreNotRemembered() throws {
        let keys = SignatureV4.SigningKeys()
        var vector = published[0]
        vector.signature = String(repeating: "0", count: 64)
        #expect(throws: SignatureV4.Refusal.self) { try verified(vector, keys) }
        #expect(keys.count == 0)
    }

    @Test func theMemoryOfKeysIsBoundedAndKeepsWhatIsUsed() throws {
        let keys = SignatureV4.SigningKeys(keysMax: 100)
        let used = try SignatureV4.Claim(published[0].request)
        let key = SigningSecret.whole("s").key(in: used.scope)
        keys.keep(key, for: used, secret: .whole("s"))
        for number in 0..<1000 {
            let text = published[0].request.headers[2].value.replacing("us-east-1", with: "region-\(number)")
            let headers = Array(published[0].request.headers.prefix(2)) + [(name: "Authorization", value: text)]
            keys.keep(key, for: try SignatureV4.Claim(.init(method: "GET", rawPath: "/", headers: headers)), secret: .whole("s"))
            #expect(keys.key(for: used, secret: .whole("s")) != nil)
        }
        #expect(keys.count <= 100)
    }

    @Test func aSignatureIsAdmittedOnce() throws {
        var window = SignatureV4.ReplayWindow(marksMax: 3)
        let all = try published.prefix(20).map { try verified($0) }
        let first = all[0]
        let atFirst = window.admits(first, now: first.claim.signed)
        let again = window.admits(first, now: first.validUntil)
        // After that the request is refused for its age anyway.
        let afterwards = window.admits(first, now: first.validUntil + .seconds(1))
        #expect(atFirst && !again && afterwards)
        for other in all { _ = window.admits(other, now: first.claim.signed) }
        #expect(window.count == 3)
    }

    @Test func aClientMayRepeatItselfForAMoment() throws {
        var window = SignatureV4.ReplayWindow(grace: .seconds(5))
        let request = try verified(try #require(published.first))
        let signed = request.claim.signed
        let admitted = [0, 5, 6, 900].map { window.admits(request, now: signed + .seconds($0)) }
        #expect(admitted == [true, true, false, false])
    }
}
