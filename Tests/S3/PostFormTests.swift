//  What the fields of forms mean: names, signatures, uploads and answers.

import AWSProtocol
import HTTPTypes
import Model
import ObjectStorage
import Testing

@testable import S3

@Suite struct PostFormTests {
    private func form(
        _ fields: KeyValuePairs<String, String>, fileName: String? = "C:\\dir\\a b.txt"
    ) throws(S3Error) -> PostForm {
        try PostForm(fields.map { FormField(name: $0.key, value: $0.value) }, fileName: fileName, bucket: "b")
    }

    @Test(arguments: [
        ("user/${filename}", "C:\\dir\\a.txt", "user/a.txt"), ("${filename}", "/tmp/x/a.txt", "a.txt"),
        ("${filename}-${filename}", "a", "a-a"), ("k-${filename}", "", "k-"), ("k-${filename}", "dir/", "k-"),
        ("${filename}", nil, "${filename}"), ("$filename", "a", "$filename"),
    ])
    func names(key: String, fileName: String?, expected: String) throws {
        let form = try form(["KEY": key, "x-amz-meta-name": "${filename}", "Policy": "${filename}"], fileName: fileName)
        #expect(form.key == ObjectKey(expected) && form.values["policy"] == "${filename}")
        #expect(form.values["x-amz-meta-name"] == (fileName == nil ? "${filename}" : PostFormTests.last(fileName ?? "")))
    }

    private static func last(_ path: String) -> String {
        String(path.split(omittingEmptySubsequences: false) { "/\\".contains($0) }.last ?? "")
    }

    @Test func fieldsThatComeTwice() throws {
        let form = try form(["key": "k", "x-amz-meta-tag": "Ninja", "X-Amz-Meta-Tag": "Stallman", "bucket": "other"])
        #expect(form.values == ["key": "k", "x-amz-meta-tag": "Ninja,Stallman", "bucket": "b"])
    }

    @Test func keysThatAreMissing() {
        #expect(throws: S3Error.missingField("key")) { try form(["acl": "private"]) }
        #expect(throws: S3Error.invalidArgument("User key must have a length greater than 0.")) { try form(["key": ""]) }
    }

    private static let credential = "k/20151229/us-east-1/s3/aws4_request"

    @Test(
        arguments: [
            (["policy": "p"], nil), ([:], nil), (["AWSAccessKeyId": "k"], "Signature"), (["signature": "k"], "AWSAccessKeyId"),
            (["AWSAccessKeyId": "k", "signature": "s"], "policy"), (["x-amz-date": "d", "policy": "p"], "X-Amz-Algorithm"),
            (["x-amz-algorithm": "a", "x-amz-credential": "c", "x-amz-date": "d", "policy": "p"], "X-Amz-Signature"),
        ] as [([String: String], String?)])
    func signaturesThatAreMissing(fields: [String: String], missing: String?) throws {
        let form = try PostForm(
            fields.map { FormField(name: $0.key, value: $0.value) } + [FormField(name: "key", value: "k")], fileName: nil,
            bucket: "b")
        if let missing {
            #expect(throws: S3Error.missingField(missing)) { try form.signature() }
        } else {
            #expect(try form.signature() == nil)
        }
    }

    @Test func signatures() throws {
        let old = try #require(try form(["key": "k", "awsaccesskeyid": "a", "Signature": "s", "Policy": "p"]).signature())
        #expect(old.policy == "p" && old.signature == .version2(accessKey: "a", signature: "s"))
        let new = try #require(
            try form([
                "key": "k", "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": Self.credential,
                "x-amz-date": "20151229T000000Z",
                "x-amz-signature": String(repeating: "0", count: 64), "policy": "p",
            ]).signature())
        #expect(new.policy == "p" && new.signature.accessKey == "k")
        let error = #expect(throws: S3Error.self) {
            try form([
                "key": "k", "X-Amz-Algorithm": "x", "x-amz-credential": Self.credential, "x-amz-date": "20151229T000000Z",
                "x-amz-signature": "", "policy": "p",
            ]).signature()
        }
        #expect(error?.code.name == "InvalidArgument")
    }

    @Test func headersOfTheUpload() throws {
        let form = try form([
            "key": "k", "ACL": "public-read", "Content-Type": "image/png", "Cache-Control": "no-store", "Expires": "",
            "x-amz-meta-One": "1", "x-amz-meta-empty": "", "x-amz-checksum-crc32": "AAAAAA==", "x-amz-signature": "s",
            "x-amz-credential": "c", "x-amz-trailer": "x-amz-checksum-crc32", "x-amz-copy-source": "/b/k", "policy": "p",
            "if-none-match": "*", "success_action_status": "201", "submit": "go",
            "tagging":
                "<Tagging><TagSet><Tag><Key>a b</Key><Value>&amp;</Value></Tag><Tag><Key>c</Key><Value/></Tag></TagSet></Tagging>",
        ])
        let headers = try form.uploadHeaders(of: [.userAgent: "browser", .ifNoneMatch: "*", .contentType: "multipart/form-data"])
        let found = Dictionary(uniqueKeysWithValues: headers.map { ($0.name.canonicalName, $0.value) })
        #expect(
            found == [
                "user-agent": "browser", "x-amz-acl": "public-read", "content-type": "image/png", "cache-control": "no-store",
                "x-amz-meta-one": "1", "x-amz-meta-empty": "", "x-amz-checksum-crc32": "AAAAAA==",
                "x-amz-tagging": "a%20b=%26&c=",
            ])
    }

    @Test(arguments: ["not-xml", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "<Other/>"])
    func tagsThatCannotBeRead(tagging: String) throws {
        let form = try form(["key": "k", "tagging": tagging])
        #expect(throws: XMLElement.malformed) { try form.uploadHeaders(of: [:]) }
    }

    @Test(arguments: [
        ("200", HTTPResponse.Status.ok), ("201", .created), ("204", .noContent), ("404", .noContent), ("", .noContent),
    ])
    func statuses(text: String, status: HTTPResponse.Status) throws {
        #expect(try form(["key": "k", "success_action_status": text]).successStatus == status)
    }

    @Test(arguments: [
        ("http://host", "http://host?bucket=b&key=a%2Fb+c&etag=%22e%22"),
        ("https://host/p?x=1#end", "https://host/p?x=1&bucket=b&key=a%2Fb+c&etag=%22e%22#end"),
        ("/relative", nil), ("javascript:x", nil), ("http://", nil), ("http://host/\r\nSet-Cookie: x", nil),
    ])
    func redirects(address: String, expected: String?) throws {
        #expect(try form(["key": "a/b c", "success_action_redirect": address]).redirect(entityTag: "\"e\"") == expected)
        #expect(try form(["key": "a/b c", "redirect": address]).redirect(entityTag: "\"e\"") == expected)
    }
}
