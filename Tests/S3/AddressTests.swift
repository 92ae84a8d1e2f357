//  What a request's address, query and headers name.

import AWSProtocol
import Model
import ObjectStorage
import Testing

@testable import S3

@Suite struct AddressTests {
    @Test(arguments: [
        ("/", S3Target.service), ("/b", .bucket("b")), ("/b/", .bucket("b")), ("/b/k", .object("b", ObjectKey("k"))),
        ("/b//", .object("b", ObjectKey("/"))), ("/b/a/../c", .object("b", ObjectKey("a/../c"))),
        ("/b/a%2Fc%20d", .object("b", ObjectKey("a/c d"))), ("/b/a+c", .object("b", ObjectKey("a+c"))),
        ("/b/%C3%BC", .object("b", ObjectKey("ü"))), ("/b/%0A", .object("b", ObjectKey("\n"))),
    ])
    func targets(path: String, target: S3Target) throws {
        #expect(try S3Target(path: path) == target)
    }

    @Test(arguments: [
        ("b.s3.example.com", "b", false), ("b.s3.example.com:8773", "b", false), ("a.b.s3.karri-1.example.com", "a.b", false),
        ("s3.b.s3.example.com", "s3.b", false), ("b.objectstorage.cloud", "b", false), ("B.s3-eu.x", "b", false),
        ("b.s3-website.example.com", "b", true), ("b.s3-website-karri-1.x", "b", true), ("b.localhost:80", "b", false),
        ("a.b.localhost", "a.b", false),
    ])
    func hosts(host: String, bucket: String, isWebsite: Bool) {
        let found = BucketHost(host)
        #expect(found?.bucket == bucket && found?.isWebsite == isWebsite)
    }

    @Test(arguments: ["s3.example.com", "localhost", "127.0.0.1:8773", "ec2.localhost", "example.com", "", "[::1]:80"])
    func hostsWithoutBuckets(host: String) { #expect(BucketHost(host) == nil) }

    @Test(arguments: [("/", S3Target.bucket("b")), ("/k", .object("b", ObjectKey("k"))), ("//", .object("b", ObjectKey("/")))])
    func targetsInHosts(path: String, target: S3Target) throws {
        #expect(try S3Target(path: path, host: "b") == target)
    }

    @Test(arguments: ["", "b", "/b/%FF", "/b/%C3"])
    func noTargets(path: String) {
        #expect(throws: S3Error.self) { try S3Target(path: path) }
    }

    @Test(arguments: [
        ("GET", "/", "", "ListBuckets"), ("PUT", "/b", "", "CreateBucket"), ("HEAD", "/b", "", "HeadBucket"),
        ("DELETE", "/b", "", "DeleteBucket"), ("GET", "/b", "location", "GetBucketLocation"),
        ("GET", "/b", "versioning", "GetBucketVersioning"), ("GET", "/b", "", "ListObjects"),
        ("GET", "/b", "list-type=2&prefix=a", "ListObjectsV2"), ("PUT", "/b/k", "x-id=PutObject", "PutObject"),
        ("GET", "/b", "uploads", "ListMultipartUploads"), ("POST", "/b", "delete", "DeleteObjects"),
        ("POST", "/b", "", "PostObject"),
        ("POST", "/b/k", "uploads", "CreateMultipartUpload"), ("PUT", "/b/k", "uploadId=x&partNumber=1", "UploadPart"),
        ("GET", "/b/k", "uploadId=x", "ListParts"), ("POST", "/b/k", "uploadId=x", "CompleteMultipartUpload"),
        ("DELETE", "/b/k", "uploadId=x", "AbortMultipartUpload"), ("GET", "/b/k", "", "GetObject"),
        ("HEAD", "/b/k", "", "HeadObject"), ("DELETE", "/b/k", "", "DeleteObject"),
    ])
    func operations(method: String, path: String, query: String, name: String) throws {
        let operation = try S3Operation(try S3Target(path: path), method: method, query: S3Query(query), copies: false)
        #expect(operation.name == name)
    }

    @Test(arguments: [("", "CopyObject"), ("uploadId=x&partNumber=1", "UploadPartCopy")])
    func copies(query: String, name: String) throws {
        #expect(try S3Operation(try S3Target(path: "/b/k"), method: "PUT", query: S3Query(query), copies: true).name == name)
    }

    @Test func documents() throws {
        let text =
            "<?xml version='1.0'?><Delete xmlns='x'><Object><Key> a&amp;<![CDATA[<b>]]></Key></Object><!-- c --><Quiet>true</Quiet></Delete>"
        let root = try XMLElement(document: Array(text.utf8), root: "Delete")
        #expect(root["Object"]?["Key"]?.text == " a&<b>" && root["Quiet"]?.text == "true" && root.all("Object").count == 1)
    }

    @Test(arguments: [
        "", "no", "<Delete>", "<Delete></Other>", "<Other/>", "<Delete/><Delete/>",
        "<!DOCTYPE Delete [<!ENTITY a 'b'>]><Delete>&a;</Delete>",
        "<!DOCTYPE Delete SYSTEM 'file:///etc/passwd'><Delete/>", "<Delete>&none;</Delete>",
        "<Delete>" + String(repeating: "<a>", count: 100) + String(repeating: "</a>", count: 100) + "</Delete>",
        "<Delete>\u{0}</Delete>",
    ])
    func noDocuments(text: String) {
        #expect(throws: XMLElement.malformed) { try XMLElement(document: Array(text.utf8), root: "Delete") }
    }

    /// What is not built says so, and does nothing else instead.
    @Test(arguments: [
        ("GET", "/b", "inventory", false, "NotImplemented"), ("GET", "/b/k", "torrent", false, "NotImplemented"),
        ("POST", "/b/k", "restore", false, "NotImplemented"), ("DELETE", "/b", "versioning", false, "MethodNotAllowed"),
        ("GET", "/b/k", "versionId=x", false, "InvalidArgument"), ("PUT", "/b/k", "uploadId=x", false, "InvalidArgument"),
        ("PUT", "/b/k", "uploadId=x&partNumber=one", false, "InvalidArgument"), ("POST", "/b/k", "", false, "MethodNotAllowed"),
        ("PATCH", "/b/k", "", false, "MethodNotAllowed"), ("PUT", "/", "", false, "MethodNotAllowed"),
    ])
    func refusals(method: String, path: String, query: String, copies: Bool, code: String) throws {
        let target = try S3Target(path: path)
        let error = #expect(throws: S3Error.self) { try S3Operation(target, method: method, query: S3Query(query), copies: copies) }
        #expect(error?.code.name == code)
    }

    @Test(
        arguments: [
            ("bytes=0-0", 10, 0..<1), ("bytes=2-", 10, 2..<10), ("bytes=-3", 10, 7..<10), ("bytes=-30", 10, 0..<10),
            ("bytes=5-100", 10, 5..<10), ("bytes=10-", 10, nil), ("bytes=-0", 10, nil), ("bytes=0-", 0, nil),
            ("bytes=0-9223372036854775807", 10, 0..<10), ("bytes=9223372036854775807-9223372036854775807", 10, nil),
        ] as [(String, Int64, Range<Int64>?)])
    func ranges(text: String, size: Int64, part: Range<Int64>?) throws {
        #expect(try #require(ByteRange(text)).within(size) == part)
    }

    @Test(arguments: [
        "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=3-2", "bytes=0-1,3-4", "lines=0-1", "bytes=1-2-3", "bytes=+1-2",
    ])
    func noRanges(text: String) {
        #expect(ByteRange(text) == nil)
    }

    @Test(
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
        ] as [(String, Int64)])
    func dates(text: String, seconds: Int64) {
        #expect(HTTPDate.parse(text) == Instant(seconds: seconds))
        #expect(HTTPDate.text(Instant(microseconds: seconds * 1_000_000 + 999_999)) == text)
    }

    @Test(arguments: [
        "", "yesterday", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 31 Feb 1994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT",
    ])
    func noDates(text: String) {
        #expect(HTTPDate.parse(text) == nil)
    }
}
