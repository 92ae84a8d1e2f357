import FoundationEssentials
import Model
import Testing

@testable import Edge

@Suite struct MetadataTests {
    private let responder = MetadataResponder(settings: Fixture.settings, tokens: MetadataTokens(secret: Secret("tests")))

    private func answer(
        _ target: String, method: String = "GET", headers: [(String, String)] = [],
        options: EdgeMetadataOptions = EdgeMetadataOptions(),
        userData: String? = nil, from address: IPv4Address = Fixture.addressA, now: Instant = Fixture.now
    ) -> MetadataResponse {
        let table = DomainTable(
            Fixture.domain([
                Fixture.guest(
                    "i-0a", Fixture.macA, [Fixture.addressA, IPv4Address(10, 0, 0, 50)], options: options, userData: userData),
                Fixture.guest("i-0b", Fixture.macB, [Fixture.addressB]),
            ]))
        return responder.respond(
            to: MetadataRequest(method: method, target: target, headers: headers.map { (name: $0.0, value: $0.1) }),
            from: table.entry(address: address), in: table, now: now, random: 5)
    }

    private func text(_ target: String) -> String? {
        let response = answer(target)
        return response.status == 200 ? String(decoding: response.body, as: UTF8.self) : nil
    }

    @Test(
        arguments: [
            ("/latest", "dynamic\nmeta-data"),
            ("/latest/", "dynamic\nmeta-data"),
            ("/latest/meta-data/ami-id", "ami-01"),
            ("/latest/meta-data/placement/availability-zone/", "us-east-1a"),  // botocore's slash behind a leaf
            ("/2009-04-04/meta-data/instance-id", "i-0a"),
            ("//latest//meta-data/instance-id", "i-0a"),
            ("/latest/meta-data/instance%2Did", "i-0a"),
            ("/latest/meta-data/instance-id?x=y", "i-0a"),
            ("http://169.254.169.254/latest/meta-data/instance-id", "i-0a"),
            ("/latest/meta-data/local-ipv4", "10.0.0.5"),
            ("/latest/meta-data/local-hostname", "ip-10-0-0-5.ec2.internal"),
            ("/latest/meta-data/hostname", "ip-10-0-0-5.ec2.internal"),
            ("/latest/meta-data/public-ipv4", "198.18.0.7"),
            ("/latest/meta-data/security-groups", "default\nweb servers"),
            ("/latest/meta-data/public-keys", "0=my-key"),
            ("/latest/meta-data/public-keys/0", "openssh-key"),
            ("/latest/meta-data/public-keys/0/openssh-key", "ssh-ed25519 AAAA my-key\n"),
            ("/latest/meta-data/block-device-mapping/", "ami\nroot"),
            ("/latest/meta-data/placement/region", "us-east-1"),
            ("/latest/meta-data/services/", "domain\npartition"),
            ("/latest/meta-data/network/", "interfaces/"),
            ("/latest/meta-data/network/interfaces/macs/", "02:00:0a:00:00:05/"),
            ("/latest/meta-data/network/interfaces/macs/02:00:0a:00:00:05/local-ipv4s", "10.0.0.5\n10.0.0.50"),
            ("/latest/meta-data/network/interfaces/macs/02:00:0a:00:00:05/subnet-ipv4-cidr-block", "10.0.0.0/24"),
            ("/latest/meta-data/network/interfaces/macs/02:00:0a:00:00:05/vpc-ipv4-cidr-block", "10.0.0.0/16"),
            ("/latest/meta-data/network/interfaces/macs/02:00:0a:00:00:05/security-group-ids", "sg-01\nsg-02"),
            ("/latest/meta-data/network/interfaces/macs/02:00:0a:00:00:05/ipv4-associations/198.18.0.7", "10.0.0.5"),
            ("/latest/dynamic", "instance-identity/"),
            ("/latest/dynamic/instance-identity/", "document"),
            ("/latest/meta-data/nothing", nil),
            ("/latest/meta-data/instance-id/more", nil),
            ("/latest/meta-data/public-keys/1", nil),
            ("/latest/meta-data/public-keys/00", nil),
            ("/latest/meta-data/iam", nil),  // no role
            ("/latest/meta-data/tags", nil),  // not switched on
            ("/latest/user-data", nil),
            ("/latest/dynamic/instance-identity/pkcs7", nil),
            ("/2031-01-01/meta-data", nil),
            ("/latest/meta-data/../meta-data/ami-id", nil),
            ("/latest/meta-data/%2e%2e", nil),
            ("/latest/%zz", nil),
            ("/latest/%ff", nil),
            ("latest", nil),
        ] as [(String, String?)])
    func reads(target: String, expected: String?) {
        #expect(text(target) == expected)
    }

    /// Every leaf that cloud-init's crawl reaches is readable, and folders alone end in a slash.
    @Test func everyListedNameCanBeRead() throws {
        var waiting = ["/latest/meta-data/", "/latest/dynamic/"]
        var leaves = 0
        while let folder = waiting.popLast() {
            for name in try #require(text(folder), "\(folder)").split(separator: "\n") where folder.hasSuffix("/") {
                let path = folder + (name.split(separator: "=").first.map(String.init) ?? "")
                guard !name.contains("=") else {
                    waiting.append(path + "/")
                    continue
                }
                if name.hasSuffix("/") {
                    waiting.append(path)
                } else {
                    leaves += 1
                    #expect(text(path) != nil, "\(path)")
                }
            }
        }
        #expect(leaves > 40)
    }

    @Test func listsAsAmazonDoes() {
        #expect(text("/")?.split(separator: "\n").first == "1.0")
        #expect(text("/")?.split(separator: "\n").last == "latest")
        let names = text("/latest/meta-data/")?.split(separator: "\n").map(String.init) ?? []
        #expect(names.contains("block-device-mapping/") && names.contains("public-keys/") && names.contains("ami-id"))
        #expect(!names.contains("iam/") && !names.contains("tags/"))
        #expect(String(decoding: answer("/latest", userData: "x").body, as: UTF8.self) == "dynamic\nmeta-data\nuser-data")
    }

    @Test func identityDocumentIsComplete() throws {
        struct Document: Codable {
            var accountId, architecture, availabilityZone, imageId, instanceId, instanceType, pendingTime, privateIp, region,
                version: String
        }
        let response = answer("/latest/dynamic/instance-identity/document")
        let document = try JSONDecoder().decode(Document.self, from: Data(response.body))
        #expect(document.instanceId == "i-0a" && document.privateIp == "10.0.0.5" && document.region == "us-east-1")
        #expect(document.pendingTime == "2027-01-15T07:43:20Z")
        for field in ["billingProducts", "devpayProductCodes", "marketplaceProductCodes", "kernelId", "ramdiskId"] {
            #expect(String(decoding: response.body, as: UTF8.self).contains("\"\(field)\" : null"))
        }
    }

    @Test func userDataIsRaw() {
        let response = answer("/latest/user-data", userData: "#!/bin/sh\n\u{1}")
        #expect(response.body == Array("#!/bin/sh\n\u{1}".utf8))
        #expect(response.headers["Content-Type"] == "application/octet-stream")
    }

    @Test func tagsWhenSwitchedOn() {
        let options = EdgeMetadataOptions(tagsInMetadata: true)
        #expect(
            String(decoding: answer("/latest/meta-data/tags/instance/", options: options).body, as: UTF8.self)
                == "Name\ncost center")
        #expect(answer("/latest/meta-data/tags/instance/cost%20center", options: options).body == Array("7".utf8))
    }

    // MARK: Tokens

    private func token(
        _ seconds: String = "60", options: EdgeMetadataOptions = EdgeMetadataOptions(), from address: IPv4Address = Fixture.addressA
    ) -> String {
        let response = answer(
            "/latest/api/token", method: "PUT", headers: [("X-aws-ec2-metadata-token-ttl-seconds", seconds)], options: options,
            from: address)
        return String(decoding: response.body, as: UTF8.self)
    }

    @Test(
        arguments: [
            ([("X-aws-ec2-metadata-token-ttl-seconds", "1")], 200),
            ([("x-aws-ec2-metadata-token-ttl-seconds", "21600")], 200),
            ([("X-aws-ec2-metadata-token-ttl-seconds", "21601")], 400),
            ([("X-aws-ec2-metadata-token-ttl-seconds", "0")], 400),
            ([("X-aws-ec2-metadata-token-ttl-seconds", "-5")], 400),
            ([("X-aws-ec2-metadata-token-ttl-seconds", "99999999999999999999")], 400),
            ([("X-aws-ec2-metadata-token-ttl-seconds", "60"), ("X-aws-ec2-metadata-token-ttl-seconds", "60")], 400),
            ([], 400),
            ([("X-aws-ec2-metadata-token-ttl-seconds", "60"), ("X-Forwarded-For", "10.0.0.9")], 403),
        ] as [([(String, String)], Int)])
    func tokenRequests(headers: [(String, String)], status: Int) {
        #expect(answer("/latest/api/token", method: "PUT", headers: headers).status == status)
    }

    @Test(arguments: [(1, 1), (64, 64), (0, 1), (900, 64)])
    func tokensTravelOnlySoFar(hopLimit: Int, expected: Int) {
        let options = EdgeMetadataOptions(hopLimit: hopLimit)
        let headers = [("x-aws-ec2-metadata-token-ttl-seconds", "60")]
        #expect(answer("/latest/api/token", method: "PUT", headers: headers, options: options).hopLimit == expected)
        #expect(answer("/latest/meta-data/", options: options).hopLimit == nil)
    }

    @Test func tokensAreBoundToGuestAndTime() throws {
        let required = EdgeMetadataOptions(tokensRequired: true)
        let own = token()
        func status(_ token: String?, later seconds: Int64 = 0) -> Int {
            answer(
                "/latest/meta-data/ami-id", headers: token.map { [("X-aws-ec2-metadata-token", $0)] } ?? [], options: required,
                now: Fixture.now + .seconds(seconds)
            ).status
        }
        #expect(status(own) == 200)
        #expect(status(own, later: 59) == 200)
        #expect(status(own, later: 60) == 401)
        #expect(status(nil) == 401)
        #expect(status("") == 401)
        #expect(status(token(from: Fixture.addressB)) == 401, "another guest's")
        for place in own.indices {
            var changed = own
            changed.replaceSubrange(place...place, with: own[place] == "A" ? "B" : "A")
            #expect(status(changed) == 401)
        }
        let other = MetadataTokens(secret: Secret("another key"))
        #expect(
            status(other.issue(guest: "i-0a", domain: "00000000000000d1", lifetimeSeconds: 60, now: Fixture.now, random: 5)) == 401)
        #expect(
            answer("/latest/meta-data/ami-id", headers: [("x-aws-ec2-metadata-token", "wrong")]).status == 401,
            "a wrong token is refused even where none is needed")
        #expect(
            answer("/latest/meta-data/ami-id", headers: [("x-aws-ec2-metadata-token", own)])
                .headers["X-Aws-Ec2-Metadata-Token-Ttl-Seconds"] == "60")
    }

    @Test(arguments: [
        ("GET", "/latest/api/token", 405), ("POST", "/latest/meta-data/", 405), ("PUT", "/latest/meta-data/", 405),
        ("DELETE", "/latest/user-data", 405), ("HEAD", "/latest/meta-data/", 200), ("BREW", "/", 405),
    ])
    func methods(method: String, target: String, status: Int) {
        #expect(answer(target, method: method).status == status)
    }

    @Test func strangersLearnNothing() {
        #expect(answer("/latest/meta-data/instance-id", from: IPv4Address(10, 0, 0, 99)).status == 503)
        #expect(answer("/", from: IPv4Address(10, 0, 0, 99)).status == 503)
        #expect(answer("/latest/meta-data/instance-id", options: EdgeMetadataOptions(endpointEnabled: false)).status == 403)
        let off = EdgeMetadataOptions(endpointEnabled: false)
        #expect(
            answer("/latest/api/token", method: "PUT", headers: [("x-aws-ec2-metadata-token-ttl-seconds", "60")], options: off)
                .status == 403)
    }

    @Test func rolesAppearWithTheirCredentials() throws {
        var guest = Fixture.guest("i-0a", Fixture.macA, [Fixture.addressA])
        guest.metadata.profile = EdgeProfile(
            arn: "arn:aws:iam::000000000001:instance-profile/p", id: "AIPA1", role: "r", credentials: Secret("{}"))
        let table = DomainTable(Fixture.domain([guest]))
        let root = MetadataTree(guest: guest, domain: table, settings: Fixture.settings).root
        func content(_ path: String) -> String? {
            root.node(at: path.split(separator: "/").map(String.init)[...]).map { String(decoding: $0.content, as: UTF8.self) }
        }
        #expect(content("latest/meta-data/iam") == "info\nsecurity-credentials/")
        #expect(content("latest/meta-data/iam/security-credentials") == "r")
        #expect(content("latest/meta-data/iam/security-credentials/r") == "{}")
        #expect(content("latest/meta-data/iam/info")?.contains("\"InstanceProfileId\" : \"AIPA1\"") == true)
    }

    @Test func survivesMutations() {
        var mutator = Mutator(seed: 20_260_003)
        let own = token()
        let targets = [
            "/latest/meta-data/public-keys/0/openssh-key", "/latest/api/token", "/2009-04-04//user-data/%41?b#c",
            "http://x/latest/",
        ]
        var found = 0
        for round in 0..<4000 {
            let target = String(decoding: mutator.mutate(Array(targets[round % 4].utf8)), as: UTF8.self)
            let value = String(decoding: mutator.mutate(Array((round % 2 == 0 ? own : "60").utf8)), as: UTF8.self)
            let header = round % 2 == 0 ? "x-aws-ec2-metadata-token" : "X-aws-ec2-metadata-token-ttl-seconds"
            let response = answer(target, method: round % 3 == 0 ? "PUT" : "GET", headers: [(header, value)])
            guard [200, 400, 401, 403, 404, 405].contains(response.status) else {
                Issue.record("seed 20260003, round \(round): \(target) gave \(response.status)")
                return
            }
            if response.status == 200 { found += 1 }
        }
        #expect(found > 40)
    }
}

@Suite struct DocumentTests {
    @Test func travelsAsJSON() throws {
        let document = EdgeDocument(
            generation: 3, settings: Fixture.settings,
            domains: [Fixture.domain([Fixture.guest("i-0a", Fixture.macA, [Fixture.addressA], userData: "secret words\u{0}")])])
        let again = try JSONDecoder().decode(EdgeDocument.self, from: JSONEncoder().encode(document))
        #expect(again == document)
    }

    @Test func secretsAreNotPrinted() {
        let document = EdgeDocument(
            generation: 3, settings: EdgeSettings(region: "r", tokenKey: Secret("hush-hush")),
            domains: [Fixture.domain([Fixture.guest("i-0a", Fixture.macA, [Fixture.addressA], userData: "hush-hush")])])
        var dumped = ""
        dump(document, to: &dumped)
        for shown in [dumped, "\(document)", String(reflecting: document)] {
            #expect(!shown.contains("hush"))
            #expect(!shown.contains("104"), "nor as bytes")
        }
    }
}
