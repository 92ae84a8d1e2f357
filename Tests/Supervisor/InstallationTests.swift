import Foundation
import Model
import Platform
import Testing

@testable import Supervisor

@Suite struct InstallationTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test func preparesTwiceAndUninstallsWhole() async throws {
        let installation = scratch.installation
        let users = try await InstallationFolders.prepare(installation)
        #expect(try await InstallationFolders.prepare(installation) == users)
        let names = SystemUsers.names(installation)
        #expect(CallingUser(named: names.control)?.user == users.control.user)
        for folder in InstallationFolders.folders(installation, users) {
            var facts = stat()
            #expect(stat(folder.path, &facts) == 0, "\(folder.path)")
            #expect(UInt32(facts.st_mode & 0o7777) == folder.mode, "\(folder.path)")
            #expect(facts.st_uid == folder.owner.user && facts.st_gid == folder.owner.group, "\(folder.path)")
        }
        try await mountBelow(installation)
        try await InstallationFolders.uninstall(installation)
        #expect(CallingUser(named: names.control) == nil)
        #expect(CallingUser(named: names.edge) == nil)
        for folder in [installation.state, installation.run, installation.logs, installation.configuration] {
            #expect(access(folder, F_OK) != 0, "\(folder)")
        }
        #expect(access(installation.root, F_OK) != 0, "the folders around them were empty")
        try await InstallationFolders.uninstall(installation)
    }

    private func mountBelow(_ installation: Installation) async throws {
        let point = installation.node + "/a point"
        try FileManager.default.createDirectory(atPath: point, withIntermediateDirectories: true)
        try await Command.run("mount", ["-t", "tmpfs", "none", point])
        #expect(InstallationFolders.mounts(below: [installation.state], in: readText("/proc/self/mountinfo") ?? "") == [point])
    }

    @Test func foldersOfSomebodyElseStay() async throws {
        let kept = scratch.installation.state + "/precious"
        try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
        let fault = await #expect(throws: Fault.self) { try await InstallationFolders.uninstall(scratch.installation) }
        #expect(fault?.code == .denied)
        #expect(access(kept, F_OK) == 0)
    }

    @Test func aNewerProgramsFilesAreRefused() async throws {
        let installation = scratch.installation
        try FileManager.default.createDirectory(atPath: installation.state, withIntermediateDirectories: true)
        let mark = try JSONEncoder().encode(
            InstallationFolders.Mark(mark: installation.mark, layout: InstallationFolders.layout + 1))
        try AtomicFile.write(Array(mark), to: InstallationFolders.markFile(installation))
        let fault = await #expect(throws: Fault.self) { _ = try await InstallationFolders.prepare(installation) }
        #expect(fault?.message.contains("newer Karri") == true)
        #expect(CallingUser(named: installation.mark) == nil, "nothing was made")
    }

    @Test func aUserOfThatNameThatIsNotOursIsLeftAlone() async throws {
        let name = SystemUsers.names(scratch.installation).control
        try await Command.run("useradd", ["--system", "--no-create-home", "--comment", "someone else", name])
        let fault = await #expect(throws: Fault.self) { _ = try await InstallationFolders.prepare(scratch.installation) }
        #expect(fault?.code == .inUse)
        try await SystemUsers.remove(scratch.installation)
        #expect(CallingUser(named: name) != nil)
        try await Command.run("userdel", [name])
    }

    @Test func aLinkInPlaceOfAFolderIsRefused() async throws {
        let installation = scratch.installation
        try FileManager.default.createDirectory(atPath: installation.root + "/var/lib", withIntermediateDirectories: true)
        mkdir(scratch.path + "/elsewhere", 0o700)
        symlink(scratch.path + "/elsewhere", installation.state)
        let fault = await #expect(throws: Fault.self) { _ = try await InstallationFolders.prepare(installation) }
        #expect(fault?.code == .storage)
        try await SystemUsers.remove(installation)
    }

    @Test func mountPointsAreReadAsTheKernelWritesThem() {
        let table = """
            22 1 254:0 / / rw - ext4 /dev/vda rw
            30 22 0:1 / /var/lib/karri rw - tmpfs none rw
            31 30 0:2 / /var/lib/karri/with\\040space rw - tmpfs none rw
            32 22 0:3 / /var/lib/karri2 rw - tmpfs none rw
            short
            """
        #expect(
            InstallationFolders.mounts(below: ["/var/lib/karri"], in: table) == ["/var/lib/karri/with space", "/var/lib/karri"])
    }

    @Test func theUnitQuotesItsWords() {
        let service = SystemService(
            Installation(), program: "/opt/my karri/karri", arguments: ["supervise", "--x=50%", "a$b", "it's"])
        #expect(service.unit.contains(#"ExecStart="/opt/my karri/karri" supervise "--x=50%%" "a$$b" "it's""# + "\n"))
        #expect(service.unit.contains("KillMode=process\nDelegate=yes\n"))
        #expect(SystemService.quotedForShell("it's") == #"'it'\''s'"#)
        #expect(SystemService.quotedForShell("/bin/karri") == "/bin/karri")
    }

    @Test func withoutSystemdALineIsSaid() async throws {
        let service = SystemService(scratch.installation, program: "/opt/karri", arguments: ["up", "--root", "a b"])
        #expect(try await service.install() == .byHand(line: "/opt/karri up --root 'a b'"))
        try await service.remove()
    }

    @Test func whoCalledBehindSudo() throws {
        #expect(try CallingUser.current(["SUDO_USER": "nobody"]).name == "nobody")
        #expect(try CallingUser.current([:]).user == getuid())
        #expect(throws: Fault.self) { _ = try CallingUser.current(["SUDO_USER": "no-such-user"]) }
    }
}

@Suite struct ProcessIdentityTests {
    @Test(
        arguments: [
            ("1 (sh) S 0 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 42 0", 42),
            // A program may be named anything of 15 bytes.
            ("1 (a) R (b) S 0 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 43 0", 43),
        ] as [(String, UInt64)])
    func readsTheKernelsLine(text: String, ticks: UInt64) {
        let fields = ProcessIdentity.statistics(parsing: text)
        #expect(fields?.startTicks == ticks)
        #expect(fields?.state == "S")
        #expect(fields?.session == 7)
    }

    @Test(arguments: ["", "1 (sh", "1 (sh) S 0", "1 (sh) S 0 x 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 y 0"])
    func refusesOtherLines(text: String) { #expect(ProcessIdentity.statistics(parsing: text) == nil) }

    @Test func aLaterProcessWithTheNumberIsAnother() throws {
        let own = try #require(ProcessIdentity.own)
        #expect(own.isAlive)
        let json = #"{"pid":\#(own.pid),"startTicks":\#(own.startTicks + 1),"boot":"\#(own.boot)"}"#
        let other = try JSONDecoder().decode(ProcessIdentity.self, from: Data(json.utf8))
        #expect(!other.isAlive)
        #expect(try other.signal(SIGKILL) == false)
        #expect(ProcessIdentity(pid: -5) == nil)
    }

    @Test func theLockNamesItsHolderAndIsFreeAfterwards() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/lock"
        #expect(LockFile.holder(of: path) == nil)
        let lock = try LockFile(path)
        #expect(LockFile.holder(of: path) == ProcessIdentity.own)
        let fault = #expect(throws: Fault.self) { _ = try LockFile(path) }
        #expect(fault?.message == "\(path) is held by process \(getpid())")
        lock.release()
        _ = try LockFile(path)
        try "4194304 1 boot\n".write(toFile: path, atomically: false, encoding: .utf8)
        #expect(LockFile.holder(of: path) == nil, "a stale number is nobody")
    }

    @Test func rotationKeepsTheNewest() throws {
        let scratch = try Scratch()
        let path = scratch.path + "/log"
        let rotation = LogRotation(bytesMax: 3, count: 2)
        for text in ["one\n", "two\n", "three\n"] {
            let log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0o640)
            write(log, text, text.utf8.count)
            close(log)
            #expect(try rotation.rotate(path))
        }
        #expect(scratch.text("log") == "")
        #expect(scratch.text("log.1") == "three\n")
        #expect(scratch.text("log.2") == "two\n")
        #expect(access(path + ".3", F_OK) != 0)
        #expect(try !rotation.rotate(path))
        #expect(try !rotation.rotate(scratch.path + "/missing"))
    }
}
