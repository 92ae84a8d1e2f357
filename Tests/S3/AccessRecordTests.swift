//  Lines of access logs, and the setting that asks for them.

import AWSProtocol
import Model
import ObjectStorage
import Objects
import Testing

@testable import S3

@Suite struct AccessRecordTests {
    private func record() throws -> AccessRecord {
        AccessRecord(
            owner: "0wner", bucket: "b", time: try #require(Instant(iso8601: "2024-02-06T00:00:38Z")),
            requestID: "3E57427F3EXAMPLE",
            operation: "REST.GET.OBJECT", requestLine: "GET /b/k HTTP/1.1", status: 200, totalMilliseconds: 7)
    }

    @Test func everyFieldHasItsPlace() throws {
        var record = try record()
        record.remoteAddress = "192.0.2.3"
        record.requester = "caller"
        record.key = "a/b"
        record.errorCode = "NoSuchKey"
        record.bytesSent = 243
        record.objectBytes = 500
        record.turnaroundMilliseconds = 5
        record.referrer = "http://example.com/"
        record.userAgent = "curl/8 (x)"
        record.version = "v"
        record.signature = "SigV4"
        record.authentication = "AuthHeader"
        record.host = "b.s3.x:80"
        #expect(
            record.line
                == "0wner b [06/Feb/2024:00:00:38 +0000] 192.0.2.3 caller 3E57427F3EXAMPLE REST.GET.OBJECT a/b "
                + "\"GET /b/k HTTP/1.1\" 200 NoSuchKey 243 500 7 5 \"http://example.com/\" \"curl/8 (x)\" v - SigV4 - AuthHeader "
                + "b.s3.x:80 - - - -")
    }

    @Test func whatIsUnknownIsADash() throws {
        #expect(
            try record().line
                == "0wner b [06/Feb/2024:00:00:38 +0000] - - 3E57427F3EXAMPLE REST.GET.OBJECT - \"GET /b/k HTTP/1.1\" 200 - - - 7 - "
                + "\"-\" \"-\" - - - - - - - - - -")
    }

    @Test(arguments: ["a\"b", "a\nb", "a\r\n0wner b - - -", "\u{7f}", "ü"])
    func clientsCannotForgeFields(text: String) throws {
        let plain = try record().line
        var record = try record()
        record.userAgent = text
        record.referrer = text
        record.host = text
        record.requestLine = "GET /\(text) HTTP/1.1"
        let line = record.line
        #expect(line.utf8.allSatisfy { (0x20...0x7e).contains($0) })
        #expect(line.utf8.count { $0 == UInt8(ascii: "\"") } == plain.utf8.count { $0 == UInt8(ascii: "\"") })
        #expect(
            line.split(separator: "\"").last?.split(separator: " ").count
                == plain.split(separator: "\"").last?.split(separator: " ").count)
    }

    @Test(arguments: [
        ("GET", "/b/k", "", "REST.GET.OBJECT"), ("HEAD", "/b/k", "", "REST.HEAD.OBJECT"), ("PUT", "/b/k", "", "REST.PUT.OBJECT"),
        ("GET", "/b", "list-type=2", "REST.GET.BUCKET"), ("GET", "/b", "versioning", "REST.GET.VERSIONING"),
        ("GET", "/b", "logging", "REST.GET.LOGGING_STATUS"), ("GET", "/b", "policy", "REST.GET.BUCKETPOLICY"),
        ("POST", "/b", "delete", "REST.POST.MULTI_OBJECT_DELETE"), ("POST", "/b/k", "uploads", "REST.POST.UPLOADS"),
        ("PUT", "/b/k", "uploadId=x&partNumber=1", "REST.PUT.PART"), ("POST", "/b/k", "uploadId=x", "REST.POST.UPLOAD"),
        ("GET", "/b/k", "tagging", "REST.GET.OBJECT_TAGGING"), ("OPTIONS", "/b/k", "", "REST.OPTIONS.PREFLIGHT"),
    ])
    func operations(method: String, path: String, query: String, name: String) throws {
        let operation = try S3Operation(try S3Target(path: path), method: method, query: S3Query(query), copies: false)
        #expect(operation.recorded(method: method) == name)
    }

    // MARK: The setting

    private func setting(_ inside: String) throws -> RequestedLogging? {
        let text = "<BucketLoggingStatus>\(inside)</BucketLoggingStatus>"
        return try LoggingForm.read(try XMLElement(document: Array(text.utf8), root: LoggingForm.root))
    }

    @Test(arguments: [
        "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>a/</TargetPrefix></LoggingEnabled>",
        "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix></TargetPrefix><TargetObjectKeyFormat><SimplePrefix>"
            + "</SimplePrefix></TargetObjectKeyFormat></LoggingEnabled>",
        "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>a/</TargetPrefix><TargetObjectKeyFormat><PartitionedPrefix>"
            + "<PartitionDateSource>DeliveryTime</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat></LoggingEnabled>",
        "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetGrants><Grant><Grantee "
            + "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">"
            + "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant><Grant><Grantee "
            + "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>abc</ID></Grantee>"
            + "<Permission>FULL_CONTROL</Permission></Grant></TargetGrants><TargetPrefix>a/</TargetPrefix></LoggingEnabled>",
    ])
    func comesBackAsItWas(inside: String) throws {
        var out = XMLWriter()
        LoggingForm.write(try #require(try setting(inside)), to: &out)
        #expect(String(decoding: out.bytes, as: UTF8.self) == inside)
    }

    /// S3 says which day it takes where its client did not.
    @Test func aPartitionIsByTheDayOfTheCalls() throws {
        let format = "<TargetObjectKeyFormat><PartitionedPrefix/></TargetObjectKeyFormat>"
        let asked = try setting(
            "<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix/>\(format)</LoggingEnabled>")
        #expect(asked?.logging.partition == .event)
    }

    @Test func nothingTurnsItOff() throws { #expect(try setting("") == nil) }

    @Test(arguments: [
        ("<LoggingEnabled/>", "MalformedXML"), ("<LoggingEnabled><TargetBucket>b</TargetBucket></LoggingEnabled>", "MalformedXML"),
        (
            "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix/><TargetGrants><Grant/></TargetGrants></LoggingEnabled>",
            "MalformedXML"
        ),
        (
            "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix/><TargetGrants><Grant><Grantee><ID>a</ID></Grantee>"
                + "<Permission>READ_ACP</Permission></Grant></TargetGrants></LoggingEnabled>", "MalformedXML"
        ),
        (
            "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix/><TargetObjectKeyFormat><PartitionedPrefix/><SimplePrefix/>"
                + "</TargetObjectKeyFormat></LoggingEnabled>", "MalformedXML"
        ),
        (
            "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix/><TargetObjectKeyFormat><PartitionedPrefix>"
                + "<PartitionDateSource>Noon</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat></LoggingEnabled>",
            "MalformedXML"
        ),
        (
            "<LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix/><TargetObjectKeyFormat/></LoggingEnabled>", "MalformedXML"
        ),
    ])
    func refusals(inside: String, code: String) {
        let refused = #expect(throws: S3Error.self) { try setting(inside) }
        #expect(refused?.code.name == code)
    }
}
