import ArgumentParser
import Model
import Platform
import Supervisor
import Testing

@testable import CommandLine

struct UpPlanTests {
    static func facts() -> HostFacts {
        var facts = HostFacts()
        facts.interfaces = [
            .init(name: "eth0", addresses: [IPv4Address(192, 168, 1, 20)], networks: [IPv4Prefix("192.168.1.0/24")!])
        ]
        facts.routes = [
            .init(.everything, device: "eth0", gateway: IPv4Address(192, 168, 1, 1)),
            .init(IPv4Prefix("192.168.1.0/24")!, device: "eth0"),
        ]
        return facts
    }

    static func settle(
        _ arguments: [String], before: Configuration? = nil, reserved: [IPv4Prefix] = []
    ) throws -> Configuration {
        let command = try #require(try KarriCommand.parseAsRoot(["up"] + arguments) as? UpCommand)
        return try UpPlan.settle(command.choices, before, facts(), reserved: reserved)
    }

    @Test func withoutAChoiceTheHostSuggests() throws {
        let configuration = try UpPlanTests.settle([])
        #expect(configuration.uplink == "eth0")
        #expect(configuration.publicMode == .translated)
        // The default VPC's own range is not taken, and neither is another cloud's.
        #expect(configuration.publicRange == IPv4Prefix("172.30.255.0/24"))
        #expect(try UpPlanTests.settle([], reserved: [configuration.publicRange]).publicRange == IPv4Prefix("172.30.254.0/24"))
    }

    @Test func aPartOfTheUplinksNetworkIsAnsweredForByProxyARP() throws {
        let configuration = try UpPlanTests.settle(["--public-range", "192.168.1.224/27"])
        #expect(configuration.publicMode == .proxyARP)
        #expect(configuration.earlierRanges.isEmpty)
        #expect(try UpPlanTests.settle(["--public-range", "192.168.1.224/27", "--public-mode", "routed"]).publicMode == .routed)
    }

    @Test func whatIsNotChosenStaysAsItWas() throws {
        let before = try UpPlanTests.settle(["--port", "9001", "--region", "hall-1", "--overcommit", "4"])
        var after = try UpPlanTests.settle([], before: before)
        #expect(after == before)
        after = try UpPlanTests.settle(["--port", "9002"], before: before)
        #expect(after.port == 9002)
        #expect(after.region == "hall-1")
        #expect(after.metersPort != after.port, "the meters make room for the API")
        after = try UpPlanTests.settle(["--no-debian", "--no-profile"], before: before)
        #expect(after.wantsImages && !after.preparesDebian && !after.writesProfile)
        #expect(after.ofProcesses == before.ofProcesses, "no process restarts for it")
        #expect(try UpPlanTests.settle(["--port", "9003"], before: after).preparesDebian == false)
        #expect(try UpPlanTests.settle(["--debian"], before: after).preparesDebian)
    }

    @Test(
        arguments: [
            ([], APISecurity.none, "http://127.0.0.1:8773"), (["--tls", "own"], .own, "https://127.0.0.1:8773"),
            // Beyond loopback TLS comes by itself, and every address is advertised as the uplink's.
            (["--address", "192.168.1.20"], .own, "https://192.168.1.20:8773"),
            (["--address", "0.0.0.0"], .own, "https://192.168.1.20:8773"),
            (["--address", "0.0.0.0", "--endpoint-name", "cloud.example.org"], .own, "https://cloud.example.org:8773"),
            (
                ["--address", "0.0.0.0", "--tls-certificate", "/a/./b.pem", "--tls-key", "/a/key.pem"],
                .files(certificate: "/a/b.pem", key: "/a/key.pem"), "https://192.168.1.20:8773"
            ),
        ] as [([String], APISecurity, String)])
    func theListenerIsSecuredBeyondLoopback(arguments: [String], security: APISecurity, endpoint: String) throws {
        let settled = try UpPlanTests.settle(arguments)
        #expect(settled.security == security)
        #expect(settled.endpoint == endpoint)
        #expect(try UpPlanTests.settle([], before: settled) == settled)
        let back = try UpPlanTests.settle(["--address", "127.0.0.1", "--tls", "off"], before: settled)
        #expect(back.endpoint == "http://127.0.0.1:8773")
    }

    @Test func aCertificateOfTheCloudsOwnIsForAllThatItsClientsDial() throws {
        let settled = try UpPlanTests.settle(["--address", "0.0.0.0", "--endpoint-name", "cloud.example.org"])
        #expect(settled.names == ["cloud.example.org", "192.168.1.20", "localhost", "127.0.0.1"])
    }

    @Test func theMetersHaveAPortOfTheirOwn() throws {
        let settled = try UpPlanTests.settle([])
        #expect(settled.metersPort == settled.port + 1)
        // It makes way for the API where nobody chose it, and not where somebody did.
        #expect(try UpPlanTests.settle(["--port", "8774"], before: settled).metersPort == 8775)
        let chosen = try UpPlanTests.settle(["--meters-port", "9000"])
        #expect(try UpPlanTests.settle([], before: chosen).metersPort == 9000)
        #expect(throws: Fault.self) { try UpPlanTests.settle(["--port", "9000", "--meters-port", "9000"]) }
        #expect(throws: Fault.self) { try UpPlanTests.settle(["--meters-port", "0"]) }
    }

    @Test func machinesKeepTheAddressesOfAnEarlierRange() throws {
        let before = try UpPlanTests.settle([])
        let after = try UpPlanTests.settle(["--public-range", "10.7.0.0/24"], before: before)
        #expect(after.ranges == [IPv4Prefix("10.7.0.0/24"), before.publicRange])
        let back = try UpPlanTests.settle(["--public-range", before.publicRange.description], before: after)
        #expect(back.ranges == [before.publicRange, IPv4Prefix("10.7.0.0/24")])
        #expect(throws: Fault.self) { try UpPlanTests.settle(["--public-range", "10.7.0.128/25"], before: after) }
    }

    @Test(
        arguments: [
            (["--region", "other-1"], []), (["--simulate", "3"], []), (["--store", "dbname=x"], []), ([], ["--simulate", "3"]),
            (["--public-range", "nonsense"], []), (["--public-mode", "magic"], []), (["--address", "10.0.0.1"], []),
            (["--address", "192.168.1.20", "--tls", "off"], []), (["--tls", "maybe"], []), (["--tls-key", "a"], []),
            (["--tls", "own", "--tls-certificate", "a", "--tls-key", "b"], []), (["--endpoint-name", "a b"], []),
            (["--tls", "off"], ["--address", "0.0.0.0"]), (["--endpoint-name", "0.0.0.0"], []),
        ] as [([String], [String])])
    func anExistingCloudRefusesWhatItCannotBecome(now: [String], first: [String]) throws {
        let before = try UpPlanTests.settle(first)
        if now.isEmpty {
            #expect(throws: Fault.self) { try UpPlanTests.settle(["--simulate", "0"], before: before) }
        } else {
            #expect(throws: Fault.self) { try UpPlanTests.settle(now, before: before) }
        }
    }

    @Test func blackholesAreOtherCloudsRanges() {
        let listing = """
            blackhole 172.30.255.0/24 table 1161625112
            default via 10.0.0.1 dev eth0
            blackhole 10.9.9.9 table 12
            blackhole default
            unreachable 10.1.0.0/16
            """
        #expect(Up.reservedRanges(in: listing) == [IPv4Prefix("172.30.255.0/24")])
    }

    @Test func whatMerelyTellsIsForTheFirstTime() {
        var facts = UpPlanTests.facts()
        facts.memory = .gibibytes(2)
        var wishes = UpPlan.wishes(Installation(), simulated: 0)
        wishes.programs = []
        let findings = Preflight.judge(facts, wishes)
        let first = UpPlan.shown(findings, isFirst: true)
        let later = UpPlan.shown(findings, isFirst: false)
        #expect(first.contains { $0.hasPrefix("·") })
        #expect(!later.contains { $0.hasPrefix("·") })
        #expect(later.contains { $0.hasPrefix("!") })
    }

    @Test func theReportSaysWhatToType() throws {
        let configuration = try UpPlanTests.settle([])
        var report = UpReport(
            configuration: configuration, installation: Installation(), program: "/x/karri", profile: "karri")
        report.image = "ami-00123456789abcdef"
        #expect(report.text.contains("aws --profile karri ec2 run-instances --image-id ami-00123456789abcdef"))
        #expect(report.text.contains("/etc/karri/credentials/karri.json"))
        report.startLine = "/x/karri supervise"
        #expect(report.text.contains("After a reboot"))
        #expect(!report.text.contains("eval"))
        report.profile = nil
        #expect(report.text.contains("  eval \"$(/x/karri credentials)\"\n  aws ec2 create-key-pair"))
    }

    // MARK: - Arguments

    @Test(arguments: [
        ["up", "--port", "x"], ["down", "--stop-machines", "--leave-machines"], ["trace"], ["image", "import"], ["nonsense"],
        ["image", "import", "file"],
    ])
    func argumentsThatMakeNoSenseAreRefused(arguments: [String]) {
        #expect(throws: (any Error).self) { try KarriCommand.parseAsRoot(arguments) }
    }

    @Test(
        arguments: [
            (["status", "--json"], StatusCommand.self), (["logs", "node", "-f", "-n", "5"], LogsCommand.self),
            (["host"], HostCommand.List.self), (["account", "create", "lab"], AccountCommand.Create.self),
            (["image", "import", "f", "--name", "n", "--public"], ImageCommand.Import.self),
            (["credentials", "--new", "lab"], CredentialsCommand.self),
            (["uninstall", "--yes", "--mark", "kb"], UninstallCommand.self),
            (["supervise", "--root", "/x"], SuperviseRole.self), (["reap", "--bound", "/x", "--", "true"], ReapRole.self),
        ] as [([String], any ParsableCommand.Type)])
    func argumentsLeadToTheirCommand(arguments: [String], type: any ParsableCommand.Type) throws {
        #expect(try Swift.type(of: KarriCommand.parseAsRoot(arguments)) == type)
    }

    @Test(arguments: [("", ""), ("/a/b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/", ""), ("/../..", "")])
    func aRootIsMadePlain(given: String, plain: String) throws {
        #expect(try PlaceOptions.absolute(given) == plain)
    }

    @Test(arguments: ["", "toolong", "Mark", "a-b", "a b"])
    func aMarkThatTheKernelCouldNotCarryIsRefused(mark: String) throws {
        let command = try #require(try KarriCommand.parseAsRoot(["status", "--mark", mark]) as? StatusCommand)
        #expect(throws: Fault.self) { try command.place.installation() }
    }
}
