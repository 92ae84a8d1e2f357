import Fabric
import Model
import Platform
import Testing

@testable import CommandLine

struct RenderingTests {
    static func report() -> StatusReport {
        let reply = StatusReply.with {
            $0.endpoint = "http://127.0.0.1:8773"
            $0.region = "karri-1"
            $0.store = "SQLite"
            $0.instancesRunning = 4
            $0.warnings = ["something is odd"]
            $0.hosts = [
                HostStatus.with {
                    $0.name = "host-1"
                    $0.state = "up"
                    $0.memory = 8 << 30
                    $0.memoryFree = 1 << 29
                    $0.lastReportAt = 5_000_000
                }
            ]
        }
        return StatusReport(
            nowMicroseconds: 65_000_000, isInstalled: true, supervisor: 17,
            processes: [
                .init(
                    name: "control", state: "ready", pid: 18, sinceMicroseconds: 5_000_000, restarts: 2,
                    lastExit: "was ended by signal 9")
            ], cloud: StatusReport.Cloud(reply), fault: nil)
    }

    @Test func theStatusTellsAll() {
        let text = RenderingTests.report().text
        for part in [
            "http://127.0.0.1:8773", "control  ready  pid 18  for 60s", "2 restarts, the last one: was ended by signal 9",
            "512 MiB of 8.0 GiB", "60s ago", "4 running", "! something is odd",
        ] { #expect(text.contains(part), "\(part) in\n\(text)") }
    }

    @Test func wellMeansEverything() {
        #expect(RenderingTests.report().isWell)
        var report = RenderingTests.report()
        report.processes[0].state = "pausing"
        #expect(!report.isWell)
        report = RenderingTests.report()
        report.cloud?.hosts[0].state = "lost"
        #expect(!report.isWell)
        report = RenderingTests.report()
        report.cloud?.hosts = []
        #expect(!report.isWell)
        report = RenderingTests.report()
        report.cloud = nil
        report.fault = "control does not answer"
        #expect(!report.isWell)
        #expect(report.text.contains("! control does not answer"))
        report.supervisor = nil
        #expect(report.text.contains("karri up"))
    }

    @Test func columnsAreAsWideAsTheirWidestCell() {
        #expect(columns([["a", "b"], ["long", "c", "d"]]) == ["a     b", "long  c  d"])
        #expect(columns([["ü", "x"], ["uu", "y"]], indent: 1) == [" ü   x", " uu  y"])
        #expect(columns([]).isEmpty)
    }

    @Test(arguments: [(0, "0s"), (-5, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d")])
    func spansAreSpoken(seconds: Int, words: String) { #expect(spoken(.seconds(seconds)) == words) }

    @Test func credentialsAreLinesForAShell() {
        let credentials = Credentials(
            AccountCredentials.with {
                $0.name = "lab"
                $0.account = "123456789012"
                $0.accessKey = "AKIA1"
                $0.secretKey = "s3cret"
            })
        let lines = CredentialsCommand.shown(
            credentials, Configuration(publicRange: IPv4Prefix("10.0.0.0/24")!), Installation(root: "", mark: "karri"))
        #expect(lines.contains("export AWS_ACCESS_KEY_ID=AKIA1"))
        #expect(lines.contains("export AWS_ENDPOINT_URL=http://127.0.0.1:8773"))
    }

    @Test(arguments: ["", ".", "..", "../karri", "a/b"])
    func anAccountsNameLeadsToNoOtherFile(name: String) {
        #expect(throws: Fault.self) { try Credentials.read(name, Installation(root: "/nonexistent")) }
    }

    @Test func resolversAreReadFromTheirFile() {
        let text = "# nameserver 1.1.1.1\nnameserver 10.0.0.2\n  nameserver\t10.0.0.3 # x\nnameserver fe80::1\nsearch x\nnameserver"
        #expect(NodeProcess.resolvers(in: text).map(\.description) == ["10.0.0.2", "10.0.0.3"])
    }

    @Test(arguments: [(1, 512), (8, 1024), (64, 4096)])
    func theHostKeepsAnEighth(gibibytes: Int64, mebibytes: Int64) {
        #expect(NodeProcess.reserve(of: .gibibytes(gibibytes)) == .mebibytes(mebibytes))
    }

    @Test func librariesOutsideTheSystemGoWithTheProgram() {
        let maps = """
            7f0000000000-7f0000001000 r-xp 00000000 fe:00 1 /opt/swift/usr/lib/swift/linux/libswiftCore.so
            7f0000001000-7f0000002000 r--p 00000000 fe:00 1 /opt/swift/usr/lib/swift/linux/libswiftCore.so
            7f0000002000-7f0000003000 r-xp 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libc.so.6
            7f0000003000-7f0000004000 r-xp 00000000 fe:00 3 /home/u/karri
            7f0000004000-7f0000005000 rw-p 00000000 00:00 0 [heap]
            7f0000005000-7f0000006000 r-xp 00000000 fe:00 4 /home/u/lib/libx.so.3
            """
        #expect(
            InstalledProgram.foreignLibraries(maps) == ["/home/u/lib/libx.so.3", "/opt/swift/usr/lib/swift/linux/libswiftCore.so"])
    }
}
