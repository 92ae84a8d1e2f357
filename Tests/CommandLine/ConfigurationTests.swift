import Dataplane
import Model
import Platform
import Testing

@testable import CommandLine

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct ConfigurationTests {
    static let range = IPv4Prefix("172.30.255.0/24")!

    @Test func aConfigurationComesBackAsItWasWritten() throws {
        try withFolder { root in
            let installation = Installation(root: root, mark: "ctest")
            try FileManager.default.createDirectory(atPath: installation.configuration, withIntermediateDirectories: true)
            var configuration = Configuration(publicRange: ConfigurationTests.range)
            configuration.region = "hall-2"
            configuration.port = 9000
            configuration.publicMode = .proxyARP
            configuration.uplink = "eth7"
            configuration.simulatedHosts = 12
            configuration.store = "host=/run/postgresql dbname=karri"
            configuration.earlierRanges = [IPv4Prefix("172.30.254.0/24")!]
            configuration.security = .files(certificate: "/a", key: "/b")
            configuration.otherNames = ["10.0.0.1"]
            #expect(try Configuration.read(installation) == nil)
            try configuration.write(installation)
            #expect(try Configuration.read(installation) == configuration)
            #expect(configuration.zone == "hall-2a")
            #expect(configuration.endpoint == "https://127.0.0.1:9000")
        }
    }

    @Test func aFileOfAnEarlierReleaseIsReadWithDefaults() throws {
        let read = try JSONDecoder().decode(Configuration.self, from: Data(#"{"publicRange":"10.9.0.0/24","port":77}"#.utf8))
        #expect(read.port == 77)
        #expect(read.region == Configuration(publicRange: ConfigurationTests.range).region)
        #expect(read.ranges == [IPv4Prefix("10.9.0.0/24")])
    }

    /// Operators' files and other programs name the settings so.
    @Test func settingsAreCalledWhatTheyWereCalled() throws {
        let text = #"{"publicRange":"10.9.0.0/24","accessLogSeconds":7,"lifecycleDaySeconds":9}"#
        let read = try JSONDecoder().decode(Configuration.self, from: Data(text.utf8))
        #expect(read.accessLogInterval == 7 && read.lifecycleDay == 9)
        let written = String(decoding: try encoded(read), as: UTF8.self)
        #expect(written.contains(#""accessLogSeconds" : 7"#) && written.contains(#""lifecycleDaySeconds" : 9"#))
    }

    @Test(arguments: [
        "127.example.org", "127.0.0.1.example.org", "127.1", "127.0.0.256", "localhost", "::1", "", "0.0.0.0", "10.0.0.1",
        "126.255.255.255", "128.0.0.1",
    ])
    func onlyLoopbackIsServedInTheClear(address: String) throws {
        let fault = #expect(throws: Fault.self) { try Configuration.checkListener(address, isSecure: false, remedy: "") }
        #expect(fault?.code == .invalidParameter)
        #expect(throws: (any Error).self) { try StartCommand.parse(["--role", "objects", "--address", address]) as StartCommand }
    }

    @Test func loopbackAndAddressesOverTLSAreServed() throws {
        try Configuration.checkListener("127.0.0.1", isSecure: false, remedy: "")
        try Configuration.checkListener("127.255.255.254", isSecure: false, remedy: "")
        try Configuration.checkListener("10.0.0.1", isSecure: true, remedy: "")
        #expect(throws: Fault.self) { try Configuration.checkListener("host.example", isSecure: true, remedy: "") }
    }

    struct Impossible: Sendable {
        var what: String
        var code = Fault.Code.invalidParameter
        var change: @Sendable (inout Configuration) -> Void
    }

    static let impossible: [Impossible] = [
        Impossible(what: "a port beyond all") { $0.port = 65536 }, Impossible(what: "no port") { $0.port = 0 },
        Impossible(what: "a name for an address") { $0.address = "localhost" },
        // Anything but loopback without TLS would send signatures in the clear.
        Impossible(what: "every address in the clear") {
            $0.address = "0.0.0.0"
            $0.advertised = "10.0.0.1"
        },
        Impossible(what: "an endpoint of no address") {
            $0.address = "0.0.0.0"
            $0.security = .own
        },
        Impossible(what: "a label that is too long") { $0.advertised = String(repeating: "a", count: 64) },
        Impossible(what: "an address of three numbers") { $0.advertised = "10.0.1" },
        Impossible(what: "capitals in the region") { $0.region = "Hall" },
        Impossible(what: "a region that begins with a digit") { $0.region = "2hall" },
        Impossible(what: "a region that ends with a hyphen") { $0.region = "hall-" },
        Impossible(what: "a password in the file that all may read") { $0.store = "host=db PassWord=x" },
        Impossible(what: "access logs all the time") { $0.accessLogInterval = 0 },
        Impossible(what: "access logs hardly ever") { $0.accessLogInterval = 86_401 },
        Impossible(what: "days without length") { $0.lifecycleDay = 0 },
        Impossible(what: "days beyond a day") { $0.lifecycleDay = 86_401 },
        Impossible(what: "too much promised") { $0.overcommitment = 65 },
        Impossible(what: "too many hosts") { $0.simulatedHosts = 1001 },
        Impossible(what: "all of the internet") { $0.publicRange = .everything },
    ]

    @Test(arguments: impossible)
    func whatCannotBeIsRefused(_ impossible: Impossible) throws {
        var configuration = Configuration(publicRange: ConfigurationTests.range)
        try configuration.check()
        impossible.change(&configuration)
        let refused = configuration
        #expect { try refused.check() } throws: { ($0 as? Fault)?.code == impossible.code }
    }

    /// The ends of a range of its own are no machine's; a part of somebody's network has no ends.
    @Test(arguments: [
        ("10.0.0.0/24", PublicMode.translated, "10.0.0.1", "10.0.0.254"),
        ("10.0.0.64/26", .proxyARP, "10.0.0.64", "10.0.0.127"),
        ("10.0.0.8/31", .routed, "10.0.0.8", "10.0.0.9"),
        ("10.0.0.9/32", .translated, "10.0.0.9", "10.0.0.9"),
    ])
    func theRangeSaysWhichAddressesMachinesGet(range: String, mode: PublicMode, first: String, last: String) throws {
        var configuration = Configuration(publicRange: try #require(IPv4Prefix(range)))
        configuration.publicMode = mode
        #expect(configuration.externalRange.first.description == first)
        #expect(configuration.externalRange.last.description == last)
    }
}

/// A folder of the test's own, which goes with it.
func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = "/tmp/karri-commandline-\(hexDigits(Chance.system.bits()))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}
