//  botocore signs; our code verifies, and refuses whatever was changed on the way.

import Foundation
import Model
import Testing

@testable import AWSProtocol

private let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

/// Signs every combination of some odd paths, queries, bodies and services, by header and by query.
/// Writes one JSON object a line.
private let script = #"""
    import datetime, hashlib, itertools, json
    from urllib.parse import urlsplit
    import botocore.auth
    from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    botocore.auth.get_current_datetime = lambda *a, **k: datetime.datetime(2015, 8, 30, 12, 36, 0)
    paths = ["", "/", "/services/compute", "/services/compute/", "/a%20b", "/a+b", "/a%2Fb", "/a%2fb", "//a//b/", "/a/./b/../c",
             "/%E1%88%B4", "/a=b&c", "/~x-_.", "/a:b@c$d,e;f!g'(h)*", "/%25", "/a%3Db"]
    queries = ["", "a=1", "b=2&a=1", "a=2&a=1", "a=", "a", "a=b=c", "a=%20", "a=+", "a=%2B", "a=x+y&a%20b=c+d", "q=%2F%3a%3A",
               "%E1%88%B4=%E1%88%B4", "A=1&a=2&_=3&%7E=4&~=5", "a=*~'()!", "Filter.1.Value.1=x&Filter.10.Value.1=y&Filter.2.Value=z",
               "a=1&&b=2", "Action=DescribeInstances&Version=2016-11-15"]
    bodies = [("GET", None), ("POST", "Action=RunInstances&UserData=aGVsbG8%3D&x=%2B+%20")]
    services = [("ec2", "us-east-1"), ("sts", "undefined-4711"), ("127", "0"), ("s3", "us-east-1")]
    tokens = [None, "FQoGZXIvYXdzEXAMPLE+/=="]
    for number, (path, query, (method, body), (service, region)) in enumerate(itertools.product(paths, queries, bodies, services)):
        token = tokens[number % 2]
        key = Credentials("AKIDEXAMPLE", "SECRET", token)
        s3 = service == "s3"
        if s3 and not path:
            continue  # its clients always send a path
        for kind in ("header", "query"):
            if kind == "query" and body:
                continue
            url = "http://cloud.example:8773" + path + ("?" + query if query else "")
            headers = {"X-Odd": "  two   blanks\t tab ", "User-Agent": "unsigned", "x-amzn-trace-id": "unsigned"}
            if body:
                headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
            if number % 3 == 0 and kind == "header":
                headers["Date"] = "now"
            request = AWSRequest(method=method, url=url, data=body, headers=headers)
            if kind == "header":
                (S3SigV4Auth if s3 else SigV4Auth)(key, service, region).add_auth(request)
            else:
                (S3SigV4QueryAuth if s3 else SigV4QueryAuth)(key, service, region, expires=60).add_auth(request)
            parts = urlsplit(request.url)
            print(json.dumps({
                "method": method, "path": parts.path or "/", "query": parts.query,
                "headers": [[n, v] for n, v in request.headers.items()] + [["Host", "cloud.example:8773"]],
                "hash": hashlib.sha256((body or "").encode()).hexdigest(),
            }))
    """#

/// One signed request, as Python wrote it.
private struct SignedCase: Decodable {
    var method: String
    var path: String
    var query: String
    var headers: [[String]]
    var hash: String

    var request: SignatureV4.Request {
        SignatureV4.Request(
            method: method, rawPath: path, rawQuery: query,
            headers: headers.compactMap { $0.count == 2 ? (name: $0[0], value: $0[1]) : nil }, body: .hashed(hash))
    }
}

private func signedByBotocore() throws -> [SignedCase] {
    let python = Process()
    python.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let name = ProcessInfo.processInfo.environment["KARRI_PYTHON"] ?? "python3"
    python.arguments = [name, "-c", script.replacing("SECRET", with: secret)]
    let output = Pipe()
    python.standardOutput = output
    try python.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    python.waitUntilExit()
    try #require(python.terminationStatus == 0, "the tests need \(name) (KARRI_PYTHON) with botocore")
    let decoder = JSONDecoder()
    return try bytes.split(separator: UInt8(ascii: "\n")).map { try decoder.decode(SignedCase.self, from: Data($0)) }
}

@Suite struct SignatureV4OracleTests {
    let now = Instant(iso8601: "20150830T123600Z") ?? Instant(seconds: 0)

    private func isAccepted(_ request: SignatureV4.Request, secret: String = secret, _ keys: SignatureV4.SigningKeys? = nil) -> Bool
    {
        do {
            _ = try SignatureV4.Claim(request).verify(request, secret: .whole(secret), now: now, keys: keys)
            return true
        } catch {
            return false
        }
    }

    @Test func whatBotocoreSignsIsAcceptedAndWhatIsChangedRefused() throws {
        let cases = try signedByBotocore()
        #expect(cases.count > 3000)
        let keys = SignatureV4.SigningKeys()
        var refused: [String] = []
        var forged: [String] = []
        for (number, signed) in cases.enumerated() {
            if !isAccepted(signed.request, keys) { refused.append("\(signed.method) \(signed.path)?\(signed.query)") }
            // One tenth of them in every way that there is: the rest would say the same.
            guard number % 10 == 0 else { continue }
            for (what, changed) in tampered(signed.request) where isAccepted(changed, keys) {
                forged.append(
                    "\(what): \(changed.method) \(changed.rawPath)?\(changed.rawQuery) was \(signed.path)?\(signed.query)")
            }
            if isAccepted(signed.request, secret: "other", keys) { forged.append("secret") }
        }
        #expect(refused.isEmpty, "\(refused.count): \(refused.prefix(20))")
        #expect(forged.isEmpty, "\(forged.count): \(forged.prefix(20))")
    }

    /// The request with each of its parts changed, one at a time.
    private func tampered(_ request: SignatureV4.Request) -> [(String, SignatureV4.Request)] {
        var all: [(String, SignatureV4.Request)] = []
        func change(_ what: String, _ edit: (inout SignatureV4.Request) -> Void) {
            var copy = request
            edit(&copy)
            all.append((what, copy))
        }
        let names = (try? SignatureV4.Claim(request).signedHeaders) ?? []
        change("method") { $0.method = "PUT" }
        change("path") { $0.rawPath += "x" }
        change("path's segment") { $0.rawPath = "/x" + $0.rawPath }
        change("query added") { $0.rawQuery = $0.rawQuery.isEmpty ? "z=1" : $0.rawQuery + "&z=1" }
        change("empty query parameter added") { $0.rawQuery = $0.rawQuery.isEmpty ? "z" : $0.rawQuery + "&z" }
        // A presigned object's body is not signed.
        if !request.rawQuery.contains("%2Fs3%2F") { change("body") { $0.body = .hashed(sha256Hex("changed")) } }
        for (place, header) in request.headers.enumerated() where names.contains(header.name.lowercased()) {
            change("header \(header.name)") { $0.headers[place].value += "x" }
            change("header \(header.name) dropped") { $0.headers.remove(at: place) }
            change("header \(header.name) twice") { $0.headers.append(header) }
        }
        change("amz header added") { $0.headers.append(("X-Amz-Meta-New", "1")) }
        for (place, header) in request.headers.enumerated() where header.name == "Authorization" {
            for (from, to) in [
                ("20150830/", "20150829/"), ("/ec2/", "/ec3/"), ("us-east-1", "us-east-2"), ("host;", "host;x-new;"),
            ]
            where header.value.contains(from) {
                change("scope \(from)") { $0.headers[place].value = header.value.replacing(from, with: to) }
            }
            change("signature") { $0.headers[place].value = flippedLastDigit(header.value) }
        }
        if request.rawQuery.contains("X-Amz-Signature=") {
            change("expires") { $0.rawQuery.replace("Expires=60", with: "Expires=61") }
            change("date") { $0.rawQuery.replace("T123600Z", with: "T123601Z") }
            change("key") { $0.rawQuery.replace("20150830%2F", with: "20150831%2F") }
            change("signature") { $0.rawQuery = flippedLastDigit($0.rawQuery) }
            change("signed headers") { $0.rawQuery.replace("SignedHeaders=host%3B", with: "SignedHeaders=") }
        }
        return all
    }

    private func flippedLastDigit(_ text: String) -> String { String(text.dropLast()) + (text.last == "0" ? "1" : "0") }
}
