//  The driver's parts that touch the host without a guest: probe, cgroups, folders, logs, the reaper,
//  and the plumbing to libvirt by its own test driver.

import FoundationEssentials
import Logging
import Model
import Platform
import Testing

@testable import Hypervisor

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct ProbeTests {
    private static let tcg = AcceleratorProbe.Outcome(status: 33, milliseconds: 100, words: "")

    @Test(
        arguments: [
            (33, 90, "", Machine.Accelerator.kvm, "ran"), (33, 1001, "", .tcg, "did not run"), (137, 1000, "", .tcg, "did not run"),
            (-9, 1000, "", .tcg, "did not run"), (1, 20, "no /dev/kvm", .tcg, "refused a test guest: no /dev/kvm"),
        ] as [(Int, Int64, String, Machine.Accelerator, String)])
    func judged(_ status: Int, _ milliseconds: Int64, _ words: String, _ accelerator: Machine.Accelerator, _ reason: String) {
        let kvm = AcceleratorProbe.Outcome(status: status, milliseconds: milliseconds, words: words)
        let finding = AcceleratorProbe.judge(tcg: Self.tcg, kvm: kvm)
        #expect(finding.accelerator == accelerator)
        #expect(finding.reason.contains(reason))
    }

    @Test func thisHost() async throws {
        let sandbox = try Sandbox()
        defer { sandbox.remove() }
        let finding = try await AcceleratorProbe.run(folder: sandbox.installation.root)
        #expect(finding.reason.contains("test guest"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: sandbox.installation.root) == ["var"], "the sector is left")
        let fault = await #expect(throws: Fault.self) {
            try await AcceleratorProbe.run(folder: sandbox.installation.root, emulator: "/bin/false")
        }
        #expect(fault?.code == .driver)
    }
}

@Suite struct LimitTests {
    @Test func limitsAreHeldAndLeaveNothing() async throws {
        let sandbox = try Sandbox()
        defer { sandbox.remove() }
        var limits = Machine.Limits.ordinary(virtualCPUs: 2, memory: .mebibytes(64), accelerator: .tcg)
        limits.threadsMax = 1
        let groups = sandbox.groups
        // A shell that waits for a line, so that it forks only after it was put under the limit.
        let script = "echo $$; read line; (true) && echo forked || echo held"
        let output = sandbox.installation.root + "/out"
        let pipe = sandbox.installation.root + "/in"
        try await Command.run("mkfifo", [pipe])
        async let shell = Command.attempt("sh", ["-c", "exec <>\"$1\" >\"$2\" 2>&1; \(script)", "sh", pipe, output])
        var process: Int32?
        while process == nil {
            try await Task.sleep(for: .milliseconds(10))
            process = (try? Data(contentsOf: URL(filePath: output))).flatMap {
                Int32(String(decoding: $0, as: UTF8.self).dropLast())
            }
        }
        let unheld = groups.hold(try #require(process), of: "m", to: limits)
        #expect(Set(unheld.keys) == Set(groups.unheldLimits().keys).subtracting(["blockWeight"]), "\(unheld)")
        try Data("go\n".utf8).write(to: URL(filePath: pipe), options: [])
        _ = try await shell
        let said = String(decoding: try Data(contentsOf: URL(filePath: output)), as: UTF8.self)
        #expect(!said.contains("forked") || unheld["threadsMax"] != nil, "\(said)")
        groups.release("m")
        groups.removeAll()
        for hierarchy in groups.hierarchies { #expect(access(hierarchy.base + "/" + groups.mark, F_OK) != 0) }
    }

    @Test(arguments: [(2, "2", "1"), (1024, "1024", "39"), (262_144, "262144", "10000"), (Int.max, "262144", "10000")])
    func shares(_ shares: Int, _ version1: String, _ version2: String) {
        let value = LimitFile.shares.value(.init(cpuShares: shares))
        #expect(value?.version1 == version1 && value?.version2 == version2)
    }
}

@Suite struct GuestFolderTests {
    private func machine(_ uid: UInt32) -> Machine {
        Machine(
            name: "i-1", uuid: Machine.uuid(bits: 1), virtualCPUs: 1, memory: .mebibytes(64), accelerator: .tcg,
            boot: .kernel(kernel: "/k", ramdisk: nil, commandLine: ""), uid: uid, gid: uid)
    }

    private func mode(_ path: String) throws -> (UInt32, UInt32) {
        var status = stat()
        try #require(lstat(path, &status) == 0)
        return (status.st_mode & 0o777, status.st_uid)
    }

    @Test func theGuestOwnsOnlyItsSocketsAndLog() throws {
        let sandbox = try Sandbox()
        defer { sandbox.remove() }
        let folder = try GuestFolder(installation: sandbox.installation, name: "i-1")
        try folder.make(for: machine(61001))
        #expect(try mode(folder.path) == (0o711, 0))
        #expect(try mode(folder.path + "/run") == (0o700, 61001))
        #expect(try mode(folder.serialLog) == (0o600, 61001))
        #expect(try mode(folder.path + "/machine.json") == (0o600, 0))
        #expect(try folder.machine() == machine(61001))
        try Data("old".utf8).write(to: URL(filePath: folder.serialLog), options: [])
        try Data().write(to: URL(filePath: folder.sockets.console))
        try folder.make(for: machine(61002))
        #expect(try mode(folder.path + "/run") == (0o700, 61002))
        #expect(access(folder.sockets.console, F_OK) != 0, "an old socket is in the way")
        #expect(try BoundedLog(folder.serialLog).tail(10) == Array("old".utf8))
        try folder.remove()
        try folder.remove()
        #expect(!folder.exists)
    }

    @Test func longRootsAreRefused() {
        let installation = Installation(root: "/" + String(repeating: "x", count: 80))
        #expect(throws: Fault.self) { try GuestFolder(installation: installation, name: "i-1") }
    }
}

@Suite struct BoundedLogTests {
    @Test func cutUnderItsWriter() throws {
        let sandbox = try Sandbox()
        defer { sandbox.remove() }
        let path = sandbox.installation.root + "/a.log"
        let writer = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(writer) }
        let block = [UInt8](repeating: UInt8(ascii: "a"), count: BoundedLog.bytesMax) + Array("end".utf8)
        #expect(write(writer, block, block.count) == block.count)
        #expect(try BoundedLog(path).trim())
        #expect(write(writer, "more", 4) == 4)
        #expect(try !BoundedLog(path).trim())
        #expect(try BoundedLog(path).tail(8) == Array("aendmore".utf8))
        #expect(try BoundedLog(path).tail(3) == Array("ore".utf8))
        #expect(try BoundedLog(path).tail(1 << 20).count == BoundedLog.keptBytes + 4)
        #expect(try BoundedLog(path + ".none").tail(5).isEmpty)
    }

    @Test func onlyOrdinaryFiles() async throws {
        let sandbox = try Sandbox()
        defer { sandbox.remove() }
        let root = sandbox.installation.root
        try Data("secret".utf8).write(to: URL(filePath: root + "/secret"))
        symlink(root + "/secret", root + "/link.log")
        link(root + "/secret", root + "/second.log")
        try await Command.run("mkfifo", [root + "/pipe.log"])
        for name in ["link.log", "second.log", "pipe.log"] {
            #expect(throws: Fault.self, "\(name)") { try BoundedLog(root + "/" + name).tail(10) }
        }
    }
}

@Suite struct ReaperTests {
    @Test(arguments: [
        (["--", "a"], [], ["a"]), (["--bound", "/x", "--bound", "--", "--", "a", "--bound"], ["/x", "--"], ["a", "--bound"]),
    ])
    func arguments(_ arguments: [String], _ folders: [String], _ command: [String]) throws {
        let parsed = try #require(Reaper.parse(arguments))
        #expect(parsed.folders == folders && parsed.command == command)
    }

    @Test(arguments: [[], ["a"], ["--"], ["--bound"], ["--bound", "/x"]])
    func badArguments(_ arguments: [String]) {
        #expect(Reaper.parse(arguments) == nil)
    }

    /// It stays until the last orphan has ended, and cuts logs meanwhile.
    @Test func waitsForOrphans() async throws {
        let sandbox = try Sandbox()
        defer { sandbox.remove() }
        let root = sandbox.installation.root
        try FileManager.default.createDirectory(atPath: root + "/logs/in", withIntermediateDirectories: true)
        for path in ["/logs/a.log", "/logs/in/b.log", "/logs/c.txt"] {
            try Data(repeating: 65, count: BoundedLog.bytesMax + 1).write(to: URL(filePath: root + path))
        }
        let script = "(setsid sleep 1 &); exit 7"
        let start = ContinuousClock.now
        let (program, words) = (TestReaper.command[0], Array(TestReaper.command.dropFirst()))
        let result = try await Command.attempt(program, words + ["--bound", root + "/logs", "--", "sh", "-c", script])
        #expect(result.status == 7)
        #expect(ContinuousClock.now - start >= .seconds(1))
        for (path, size) in [("/logs/a.log", 0), ("/logs/in/b.log", 0), ("/logs/c.txt", BoundedLog.bytesMax + 1)] {
            #expect(try Data(contentsOf: URL(filePath: root + path)).count == size, "\(path)")
        }
    }
}

/// libvirt's test driver is a libvirt in memory, with one domain that runs: "test".
@Suite struct LibvirtPlumbingTests {
    @Test func callsAndEvents() async throws {
        let sandbox = try Sandbox()
        defer { sandbox.remove() }
        let driver = LibvirtHypervisor(
            installation: sandbox.installation, uri: "test:///default", daemon: nil,
            accelerator: AcceleratorFinding(accelerator: .tcg, reason: "no matter"),
            groups: ControlGroups(hierarchies: [], mark: "none"), chance: .system, log: Logger(label: "test"))
        #expect(try await driver.list().map(\.state) == [.running])
        let capacity = try await driver.capacity()
        #expect(capacity.cpus > 0 && capacity.memory > .zero && capacity.unheldLimits.count == LimitFile.all.count)
        let events = await driver.events()
        try await driver.pause("test")
        try await driver.pause("test")
        #expect(try await driver.list().map(\.state) == [.paused])
        try await driver.resume("test")
        try await driver.resume("test")
        try await driver.destroy("test")
        try await driver.destroy("test")
        let fault = await #expect(throws: Fault.self) { try await driver.shutdown("absent") }
        #expect(fault?.code == .notFound)
        await #expect(throws: Fault.self) { try await driver.reboot("../x", hard: true) }
        var seen: [MachineEvent] = []
        for await event in events {
            seen.append(event)
            if case .stopped = event { break }
        }
        #expect(
            seen == [
                .paused(name: "test", reason: .requested), .resumed(name: "test"), .stopped(name: "test", reason: .destroyed),
            ])
    }

    @Test func faultsCarryLibvirtsWords() async throws {
        let session = LibvirtSession(uri: "esx://", daemon: nil) { _ in }
        let fault = await #expect(throws: Fault.self) { _ = try await session.connection() }
        #expect(fault?.cause?.hasPrefix("libvirt: ") == true, "\(fault.map(String.init(describing:)) ?? "")")
    }

    @Test(arguments: [("/a/b-c_d.e~", "/a/b-c_d.e~"), ("/a b?&#", "/a%20b%3f%26%23"), ("/é", "/%c3%a9")])
    func paths(_ path: String, _ text: String) {
        #expect(LibvirtDaemon.escapedForURI(path) == text)
    }
}
