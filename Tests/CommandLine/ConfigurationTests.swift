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
            #expect(try Configuration.read(installation) == nil)
            try configuration.write(installation)
            #expect(try Configuration.read(installation) == configuration)
            #expect(configuration.zone == "hall-2a")
            #expect(configuration.endpoint == "http://127.0.0.1:9000")
        }
    }

    @Test func aFileOfAnEarlierReleaseIsReadWithDefaults() throws {
        let read = try JSONDecoder().decode(Configuration.self, from: Data(#"{"publicRange":"10.9.0.0/24","port":77}"#.utf8))
        #expect(read.port == 77)
        #expect(read.region == Configuration(publicRange: ConfigurationTests.range).region)
        #expect(read.ranges == [IPv4Prefix("10.9.0.0/24")])
    }

    @Test(
        arguments: [
            ("a port beyond all", { (c: inout Configuration) in c.port = 65536 }, Fault.Code.invalidParameter),
            ("no port", { c in c.port = 0 }, .invalidParameter),
            ("a name for an address", { c in c.address = "localhost" }, .invalidParameter),
            // TLS is not built: anything but loopback would send signatures in the clear.
            ("every address", { c in c.address = "0.0.0.0" }, .notSupported),
            ("capitals in the region", { c in c.region = "Hall" }, .invalidParameter),
            ("a region that begins with a digit", { c in c.region = "2hall" }, .invalidParameter),
            ("a region that ends with a hyphen", { c in c.region = "hall-" }, .invalidParameter),
            ("a password in the file that all may read", { c in c.store = "host=db PassWord=x" }, .invalidParameter),
            ("too much promised", { c in c.overcommitment = 65 }, .invalidParameter),
            ("too many hosts", { c in c.simulatedHosts = 1001 }, .invalidParameter),
            ("all of the internet", { c in c.publicRange = .everything }, .invalidParameter),
        ] as [(String, @Sendable (inout Configuration) -> Void, Fault.Code)])
    func whatCannotBeIsRefused(what: String, change: @Sendable (inout Configuration) -> Void, code: Fault.Code) throws {
        var configuration = Configuration(publicRange: ConfigurationTests.range)
        try configuration.check()
        change(&configuration)
        let refused = configuration
        #expect { () throws(Fault) in try refused.check() } throws: { ($0 as? Fault)?.code == code }
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
