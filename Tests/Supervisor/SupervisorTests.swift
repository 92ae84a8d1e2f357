import Foundation
import Logging
import Model
import Platform
import Synchronization
import Testing

@testable import Supervisor

#if canImport(Glibc)
    import Glibc
#endif

/// Real processes: small shell scripts.
@Suite struct SupervisorTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test func startsInOrderAndStopsInTheOpposite() async throws {
        let children = ["a", "b", "c"].map { name in
            scratch.script(
                name,
                "trap 'echo stop \(name) >>$SCRATCH/order; exit 0' TERM; echo start \(name) >>$SCRATCH/order; "
                    + "echo >&$KARRI_READY; while :; do sleep 0.02; done", readiness: .announced)
        }
        try await scratch.supervise(children) { _ in try await eventually { try scratch.status()?.isReady == true } }
        #expect(scratch.text("order") == "start a\nstart b\nstart c\nstop c\nstop b\nstop a\n")
        let status = try #require(try scratch.status())
        #expect(status.children.map(\.state) == [.stopped, .stopped, .stopped])
        #expect(status.children.map(\.lastExit) == [.code(0), .code(0), .code(0)])
    }

    @Test func restartsWhatEnds() async throws {
        let child = scratch.script("a", "echo $$ >>$SCRATCH/pids; sleep 0.05; exit 7")
        try await scratch.supervise([child, scratch.script("b", "exec sleep 60")]) { _ in
            try await eventually { try scratch.status().map { $0.children[0].restarts >= 3 } ?? false }
            let status = try #require(try scratch.status())
            #expect(Set(scratch.text("pids").split(separator: "\n")).count >= 3, "each by a process of its own")
            #expect(status.children[0].lastExit == .code(7))
            #expect(status.children[1].restarts == 0)
        }
    }

    @Test func aKilledProcessIsStartedAgain() async throws {
        try await scratch.supervise([scratch.script("a", "exec sleep 60")]) { _ in
            try await eventually { try scratch.status()?.isReady == true }
            let first = try #require(try scratch.status()?.children[0].process)
            try first.signal(SIGKILL)
            try await eventually {
                try scratch.status().flatMap { $0.isReady ? $0.children[0].process : nil }.map { $0 != first } ?? false
            }
            #expect(try scratch.status()?.children[0].lastExit == .signal(SIGKILL))
        }
    }

    @Test func whatNeverComesUpEndsTheWholeWithTheReason() async throws {
        let children = [scratch.script("good", "exec sleep 60"), scratch.script("bad", "exit 3", readiness: .announced)]
        let supervisor = try Supervisor(scratch.installation, children, policy: Scratch.quick, logger: quiet)
        let fault = await #expect(throws: Fault.self) { try await supervisor.run() }
        #expect(fault?.message == "bad did not come up in 3 attempts; it ended with status 3 the last time")
        #expect(try scratch.status()?.failure == fault?.message)
        #expect(try scratch.status()?.children[0].process == nil)
    }

    @Test func aProgramThatIsMissingIsNamed() async throws {
        let child = ChildSpecification(name: "a", program: "/nonexistent/program")
        let supervisor = try Supervisor(scratch.installation, [child], policy: Scratch.quick, logger: quiet)
        let fault = await #expect(throws: Fault.self) { try await supervisor.run() }
        #expect(fault?.message.contains("/nonexistent/program: could not run: No such file or directory") == true)
    }

    @Test func whatIgnoresTheSignalIsKilled() async throws {
        var child = scratch.script("a", "trap '' TERM; echo >&$KARRI_READY; while :; do sleep 0.02; done", readiness: .announced)
        child.stopWithin = .milliseconds(200)
        try await scratch.supervise([child]) { _ in try await eventually { try scratch.status()?.isReady == true } }
        #expect(try scratch.status()?.children[0].lastExit == .signal(SIGKILL))
    }

    @Test func whatIsNotUpInTimeIsKilledAndStartedAgain() async throws {
        var child = scratch.script(
            "a", "test -e $SCRATCH/second && echo >&$KARRI_READY; touch $SCRATCH/second; exec sleep 60", readiness: .announced)
        child.readyWithin = .milliseconds(300)
        try await scratch.supervise([child]) { _ in
            try await eventually { try scratch.status()?.isReady == true }
            #expect(try scratch.status()?.children[0].restarts == 1)
        }
    }

    @Test func runsAsAnotherUserWithLimitsAndNothingElse() async throws {
        let secret = open("/dev/null", O_RDONLY)
        defer { close(secret) }
        var child = scratch.script(
            "a",
            "id -u; id -g; id -G; ulimit -n; ulimit -c; umask; pwd; ls /proc/self/fd | wc -l; "
                + "grep -E 'NoNewPrivs|SigBlk' /proc/self/status | tr -d '\\t'; env | sort | cut -d= -f1 | tr '\\n' ' '; exec sleep 60"
        )
        child.runAs = RunAs(user: 1_879_100_001, group: 1_879_100_002, supplementary: [1_879_100_003])
        child.limits = ResourceLimits(openFiles: 321, coreBytes: 0)
        child.folder = "/tmp"
        try await scratch.supervise([child]) { _ in try await eventually { scratch.log("a").contains("PATH") } }
        let lines = scratch.log("a").split(separator: "\n").map(String.init)
        let expected = [
            "1879100001", "1879100002", "1879100002 1879100003", "321", "0", "0027", "/tmp",
            // 0, 1 and 2, and the folder that ls reads.
            "4", "SigBlk:0000000000000000", "NoNewPrivs:1",
        ]
        #expect(Array(lines.prefix(expected.count)) == expected)
        #expect(lines.last == "PATH PWD SCRATCH _ " || lines.last == "PATH PWD SCRATCH ")
    }

    @Test func limitsOnMemoryAreHeldByAControlGroup() async throws {
        var child = scratch.script(
            "hog", "cat /proc/self/cgroup; exec head -c 200m /dev/zero | tail -c 1 >/dev/null && echo survived")
        child.program = "/usr/bin/python3"
        child.arguments = [
            "-c", "print(open('/proc/self/cgroup').read(), flush=True); b = bytearray(200 << 20); print('survived', flush=True)",
        ]
        child.limits = ResourceLimits(memoryBytes: 64 << 20, tasks: 20)
        let groups = ControlGroups.ofThisHost(mark: scratch.installation.mark)
        try #require(!groups.hierarchies.isEmpty, "this host has no control groups")
        try await scratch.supervise([child]) { _ in
            try await eventually { try scratch.status()?.children[0].lastExit == .signal(SIGKILL) }
        }
        #expect(scratch.log("hog").contains("/\(scratch.installation.mark)/hog"))
        #expect(!scratch.log("hog").contains("survived"))
        #expect(groups.removeAll() == [])
    }

    @Test func orphansAreReaped() async throws {
        // The grandchild outlives its parent, is adopted, and ends.
        let child = scratch.script("a", "(setsid sh -c 'echo $$ >$SCRATCH/orphan; sleep 0.2' &); exec sleep 60")
        try await scratch.supervise([child]) { _ in
            try await eventually { !scratch.text("orphan").isEmpty }
            let orphan = try #require(Int32(scratch.text("orphan").split(separator: "\n")[0]))
            try await eventually { access("/proc/\(orphan)", F_OK) != 0 }
        }
    }

    @Test func inheritsSocketsThatOutliveARestart() async throws {
        let path = "\(scratch.path)/s"
        let server =
            "import os, socket\n"
            + "s = socket.socket(fileno=int(os.environ['KARRI_SOCKET_INSIDE']))\n"
            + "c, _ = s.accept()\nc.sendall(b'from %d' % os.getpid())\nc.close()\n"
        var holder = ChildSpecification(
            name: "holder", program: "/usr/bin/python3", arguments: ["-c", server],
            sockets: [InheritedSocket(name: "inside", origin: .listener(path: path, mode: 0o600, owner: nil))],
            readiness: .socket(path))
        holder.log = scratch.installation.log(of: "holder")
        let dialer = scratch.script("dialer", "cat <&$KARRI_SOCKET_NODE >>$SCRATCH/heard; echo >>$SCRATCH/heard; sleep 0.1")
        var connected = dialer
        connected.sockets = [InheritedSocket(name: "node", origin: .connection(to: path))]
        try await scratch.supervise([holder, connected]) { _ in
            try await eventually { scratch.text("heard").split(separator: "\n").filter { $0.hasPrefix("from") }.count >= 3 }
        }
        #expect(Set(scratch.text("heard").split(separator: "\n")).count >= 3, "each connection was answered by a new process")
        #expect(access(path, F_OK) != 0, "the name goes with the supervisor")
    }

    @Test func logsAreKeptWithinTheirSize() async throws {
        let child = scratch.script("a", "while :; do echo 0123456789012345678901234567890123456789; done")
        try await scratch.supervise([child], rotation: LogRotation(bytesMax: 100_000, count: 2)) { _ in
            try await eventually { access(scratch.installation.log(of: "a") + ".2", F_OK) == 0 }
        }
        #expect(access(scratch.installation.log(of: "a") + ".3", F_OK) != 0)
    }

    @Test func aSecondSupervisorIsRefused() async throws {
        try await scratch.supervise([scratch.script("a", "exec sleep 60")]) { _ in
            try await eventually { try scratch.status()?.isReady == true }
            #expect(Supervisor.running(scratch.installation) == ProcessIdentity.own)
            let second = try Supervisor(scratch.installation, [scratch.script("a", "exec sleep 60")], logger: quiet)
            let fault = await #expect(throws: Fault.self) { try await second.run() }
            #expect(fault?.code == .inUse)
        }
    }

    @Test func whatAKilledSupervisorLeftIsEndedFirst() async throws {
        let left = try ChildProcess(scratch.script("a", "exec sleep 60"), inherited: [], controlGroups: [])
        let process = try #require(ProcessIdentity(pid: left.pid))
        let status = SupervisorStatus(
            supervisor: nil,
            children: [.init(name: "a", state: .ready, process: process, since: Instant(seconds: 0), restarts: 0, lastExit: nil)],
            failure: nil)
        try status.write(scratch.installation.supervisorStatus)
        try await scratch.supervise([scratch.script("a", "exec sleep 60")]) { _ in
            try await eventually { try scratch.status()?.isReady == true && scratch.status()?.children[0].process != process }
            #expect(!process.isAlive)
            #expect(left.takeExit() == .signal(SIGTERM))
        }
    }

    /// The kernel's word comes when the thread that spawned ends, which is how it is tried here.
    @Test func childrenHearOfTheSupervisorsDeath() async throws {
        let told = scratch.script("told", "exec sleep 60")
        var spared = scratch.script("spared", "exec sleep 60")
        spared.endsWithSupervisor = false
        // Changing the user clears what the kernel was asked for: it must be asked afterwards.
        var other = told
        other.runAs = RunAs(user: 1_879_100_021, group: 1_879_100_021)
        let specifications = [told, other, spared]
        let started = Started()
        let thread = Thread {
            for specification in specifications {
                guard let child = try? ChildProcess(specification, inherited: [], controlGroups: []) else { continue }
                started.children.withLock { $0.append(child) }
            }
        }
        thread.start()
        try await eventually { thread.isFinished }
        let children = started.children.withLock { $0 }
        try #require(children.count == 3)
        var exits: [ChildExit?] = [nil, nil]
        try await eventually {
            for index in exits.indices where exits[index] == nil { exits[index] = children[index].takeExit() }
            return !exits.contains(nil)
        }
        #expect(exits == [.signal(SIGTERM), .signal(SIGTERM)])
        let left = try #require(children[2].identity)
        try left.end(within: .seconds(5))
        #expect(children[2].takeExit() == .signal(SIGTERM))
    }

    /// The only test that takes this process's signals: they can be taken once.
    @Test func aSignalToTheSupervisorStopsAll() async throws {
        let supervisor = try Supervisor(
            scratch.installation, [scratch.script("a", "exec sleep 60")], policy: Scratch.quick, logger: quiet)
        try supervisor.stopOnSignals()
        #expect(throws: Fault.self) { try supervisor.stopOnSignals() }
        let run = Task { try await supervisor.run() }
        try await eventually { try scratch.status()?.isReady == true }
        kill(getpid(), SIGHUP)
        try await run.value
        #expect(try scratch.status()?.children[0].lastExit == .signal(SIGTERM))
    }

    @Test func aDetachedSupervisorIsFollowedUntilItIsReadyOrEnds() async throws {
        let log = scratch.installation.log(of: "supervisor")
        let environment = ["PATH": "/usr/bin:/bin"]
        let child = try DetachedSupervisor.start(
            "/bin/sh", ["-c", "echo begun; exec sleep 60"], environment: environment, log: log)
        try await eventually { scratch.log("supervisor") == "begun\n" }
        let wait = { (limit: Duration) async throws in
            try await DetachedSupervisor.waitUntilReady(scratch.installation, supervisor: child, within: limit)
        }
        var fault = await #expect(throws: Fault.self) { try await wait(.milliseconds(100)) }
        #expect(fault?.code == .timedOut)
        var status = SupervisorStatus(supervisor: ProcessIdentity.own, children: [], failure: "another's")
        try status.write(scratch.installation.supervisorStatus)
        fault = await #expect(throws: Fault.self) { try await wait(.milliseconds(100)) }
        #expect(fault?.code == .timedOut, "what another supervisor wrote does not count")
        status = SupervisorStatus(supervisor: child, children: [], failure: nil)
        try status.write(scratch.installation.supervisorStatus)
        try await wait(.seconds(5))
        status.failure = "it broke"
        try status.write(scratch.installation.supervisorStatus)
        fault = await #expect(throws: Fault.self) { try await wait(.seconds(5)) }
        #expect(fault?.message == "it broke")
        try child.end(within: .seconds(5))
        status.failure = nil
        try status.write(scratch.installation.supervisorStatus)
        fault = await #expect(throws: Fault.self) { try await wait(.seconds(5)) }
        #expect(fault?.code == .unavailable)
    }

    @Test func badListsAreRefused() throws {
        let bad: [[ChildSpecification]] = [
            [],
            [ChildSpecification(name: "a", program: "relative")],
            [ChildSpecification(name: "../a", program: "/bin/sh")],
            [ChildSpecification(name: "a", program: "/bin/sh"), ChildSpecification(name: "a", program: "/bin/sh")],
        ]
        for list in bad {
            #expect(throws: Fault.self) { _ = try Supervisor(scratch.installation, list, logger: quiet) }
        }
    }

    private var quiet: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

private final class Started: Sendable {
    let children = Mutex<[ChildProcess]>([])
}
