//  How websites are described, and what they do with a request.

import AWSProtocol
import ObjectStorage
import Testing

@testable import S3

@Suite struct WebsiteTests {
    private static let index = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
    private static let error = "<ErrorDocument><Key>errors/oops.html</Key></ErrorDocument>"

    private func site(_ inside: String) throws -> Website {
        let text = "<WebsiteConfiguration>\(inside)</WebsiteConfiguration>"
        return try #require(try WebsiteForm.read(try XMLElement(document: Array(text.utf8), root: WebsiteForm.root)))
    }

    private static func rules(_ rules: String...) -> String {
        "<RoutingRules>\(rules.map { "<RoutingRule>\($0)</RoutingRule>" }.joined())</RoutingRules>"
    }

    private static let toHost = "<Redirect><HostName>h</HostName></Redirect>"

    // MARK: Descriptions

    @Test(arguments: [
        index, index + error,
        "<RedirectAllRequestsTo><HostName>example.com</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>",
        index + rules("<Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition>" + toHost),
        index
            + rules(
                "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><Protocol>https</Protocol>"
                    + "<HostName>h</HostName><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith><HttpRedirectCode>307</HttpRedirectCode></Redirect>",
                "<Redirect><ReplaceKeyWith>k</ReplaceKeyWith></Redirect>"),
    ])
    func comesBackAsItWas(inside: String) throws {
        var out = XMLWriter()
        WebsiteForm.write(try site(inside), to: &out)
        #expect(String(decoding: out.bytes, as: UTF8.self) == inside)
    }

    @Test(arguments: [
        ("", "InvalidArgument"),
        ("<IndexDocument/>", "InvalidArgument"),
        ("<IndexDocument><Suffix/></IndexDocument>", "InvalidArgument"),
        ("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>", "InvalidArgument"),
        (error, "InvalidArgument"),
        (index + "<ErrorDocument><Key/></ErrorDocument>", "MalformedXML"),
        ("<RedirectAllRequestsTo/>", "MalformedXML"),
        ("<RedirectAllRequestsTo><HostName/></RedirectAllRequestsTo>", "InvalidRequest"),
        ("<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>" + index, "InvalidArgument"),
        ("<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>" + rules(toHost), "InvalidArgument"),
        ("<RedirectAllRequestsTo><HostName>h</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo>", "InvalidRequest"),
        (index + "<RoutingRules/>", "MalformedXML"),
        (index + rules(""), "MalformedXML"),
        (index + rules("<Redirect/>"), "MalformedXML"),
        (index + rules("<Condition/>" + toHost), "InvalidRequest"),
        (index + rules("<Redirect><Protocol>gopher</Protocol></Redirect>"), "InvalidRequest"),
        (index + rules("<Redirect><HttpRedirectCode>300</HttpRedirectCode></Redirect>"), "InvalidRequest"),
        (index + rules("<Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect>"), "InvalidRequest"),
        (index + rules("<Redirect><HttpRedirectCode>x</HttpRedirectCode></Redirect>"), "MalformedXML"),
        (
            index + rules("<Condition><HttpErrorCodeReturnedEquals>302</HttpErrorCodeReturnedEquals></Condition>" + toHost),
            "InvalidRequest"
        ),
        (
            index + rules("<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>"),
            "InvalidRequest"
        ),
    ])
    func refusals(inside: String, code: String) {
        let refused = #expect(throws: S3Error.self) { try site(inside) }
        #expect(refused?.code.name == code)
    }

    @Test func fiftyRules() throws {
        let rule = "<RoutingRule>\(WebsiteTests.toHost)</RoutingRule>"
        func rules(_ count: Int) -> String { "<RoutingRules>\(String(repeating: rule, count: count))</RoutingRules>" }
        #expect(try site(WebsiteTests.index + rules(50)).rules.count == 50)
        let refused = #expect(throws: S3Error.self) { try site(WebsiteTests.index + rules(51)) }
        #expect(refused?.code.name == "InvalidRequest")
    }

    // MARK: Requests

    private func visit(_ site: Website, _ path: String, query: String = "") -> WebsiteVisit {
        WebsiteVisit(site: site, scheme: "http", host: "b.s3-website.x:80", path: path, query: query)
    }

    @Test(arguments: [
        ("/", "index.html", nil), ("/a", "a", "a/index.html"), ("/a/", "a/index.html", nil),
        ("/a%20b/c.html", "a b/c.html", "a b/c.html/index.html"), ("//", "/index.html", nil), ("", "index.html", nil),
        ("/a+b", "a+b", "a+b/index.html"),
    ])
    func documents(path: String, key: String, folderIndex: String?) throws {
        let visit = visit(try site(WebsiteTests.index), path)
        #expect(visit.beginning == .read(ObjectKey(key)) && visit.folderIndex == folderIndex.map { ObjectKey($0) })
    }

    @Test func folders() throws {
        let site = try site(WebsiteTests.index)
        #expect(visit(site, "/a").folder == .redirect(to: "/a/", status: 302))
        #expect(visit(site, "/a%20b/%C3%BC", query: "x=1").folder == .redirect(to: "/a%20b/%C3%BC/?x=1", status: 302))
    }

    @Test(arguments: [
        ("/", "", "https://example.com/"), ("/a/b", "", "https://example.com/a/b"),
        ("/a%3Fb", "q=1&r", "https://example.com/a%3Fb?q=1&r"),
    ])
    func everythingElsewhere(path: String, query: String, address: String) throws {
        let site = try site(
            "<RedirectAllRequestsTo><HostName>example.com</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>")
        #expect(visit(site, path, query: query).beginning == .redirect(to: address, status: 301))
    }

    private static let routed =
        index + error
        + rules(
            "<Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect>",
            "<Condition><KeyPrefixEquals>images/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyWith>gone.html</ReplaceKeyWith>"
                + "<HttpRedirectCode>302</HttpRedirectCode></Redirect>",
            "<Condition><KeyPrefixEquals>reports/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>"
                + "<Redirect><HostName>other.example</HostName><Protocol>https</Protocol></Redirect>",
            "<Condition><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals></Condition>"
                + "<Redirect><HostName>login.example</HostName><ReplaceKeyPrefixWith>from/</ReplaceKeyPrefixWith></Redirect>")

    @Test(arguments: [
        ("/docs/a%20b", WebsiteVisit.Step.redirect(to: "http://b.s3-website.x:80/documents/a%20b", status: 301)),
        ("/docs/", .redirect(to: "http://b.s3-website.x:80/documents/", status: 301)),
        ("/docs", .read(ObjectKey("docs"))),
        ("/images/x.png", .redirect(to: "http://b.s3-website.x:80/gone.html", status: 302)),
        // Rules about errors wait for one.
        ("/reports/x", .read(ObjectKey("reports/x"))),
    ])
    func rulesBeforehand(path: String, step: WebsiteVisit.Step) throws {
        #expect(visit(try site(WebsiteTests.routed), path).beginning == step)
    }

    @Test(arguments: [
        ("/reports/x", 404, WebsiteVisit.Step.redirect(to: "https://other.example/reports/x", status: 301)),
        ("/x", 403, .redirect(to: "http://login.example/from/x", status: 301)),
        ("/reports/x", 403, .redirect(to: "http://login.example/from/reports/x", status: 301)),
        ("/x", 404, .errorDocument(ObjectKey("errors/oops.html"))),
        // The owner's page is for what the visitor got wrong.
        ("/x", 503, .errorPage),
    ])
    func rulesAfterwards(path: String, status: Int, step: WebsiteVisit.Step) throws {
        #expect(visit(try site(WebsiteTests.routed), path).step(afterRefusal: status) == step)
    }

    @Test func nothingButTheStoresPage() throws {
        #expect(visit(try site(WebsiteTests.index), "/x").step(afterRefusal: 404) == .errorPage)
    }

    @Test func pagesAreEscaped() {
        var error = S3Error(.noSuchKey, "The specified key does not exist.")
        error.details = [.init(name: "Key", text: "<script>")]
        let page = String(decoding: WebsiteErrorPage(error: error, requestID: "R").html, as: UTF8.self)
        #expect(page.contains("<h1>404 Not Found</h1>") && page.contains("<li>Key: &lt;script&gt;</li>"))
    }
}
