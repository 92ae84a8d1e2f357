//  Real guests under QEMU's translator.

import FoundationEssentials
import Model
import Platform
import Testing

@testable import Hypervisor

#if canImport(Glibc)
    import Glibc
#endif

/// The stories share one host: a fresh libvirtd takes seconds to learn what QEMU can do.
@Suite struct GuestTests {
    @Test func realGuests() async throws {
        try await withHost { host in
            let prepared = try await milliseconds { try await host.driver.prepare() }
            print("prepared in \(prepared) ms")
            try await lifeOfAMachine(host)
            try await whatGoesWrong(host)
            try await machinesOutliveTheirDaemon(host)
        }
    }

    private func lifeOfAMachine(_ host: TestHost) async throws {
        let events = await host.driver.events()
        let raw = host.sandbox.installation.root + "/data.raw"
        try Data("DATADISK".utf8 + [UInt8](repeating: 0, count: (1 << 20) - 8)).write(to: URL(filePath: raw))
        chown(raw, 61001, 61001)
        let network = try await Network(mark: host.sandbox.installation.mark)
        var machine = host.machine(1, disks: [.init(serial: "vol-0001", chain: [.init(path: raw, format: .raw)])])
        machine.interfaces = [.init(tap: network.tap, mac: "52:54:00:00:02:01", mtu: 1450)]
        let name = machine.name

        let created = try await milliseconds { try await host.driver.start(machine, paused: true) }
        let status = try #require(try await host.status(name))
        #expect(status.state == .paused && status.uuid == machine.uuid && status.metadata == machine.metadata)
        try await confined(host, machine)
        try outlives(host)
        try await valid(host, machine)
        #expect(try await host.console(name).isEmpty, "a paused machine ran")
        await #expect(throws: Fault.self) { try await host.driver.start(machine, paused: false) }
        try await network.takeTap()

        try await host.driver.resume(name)
        try await host.said(name, "READY")
        let text = try await host.console(name)
        #expect(text.contains("DISK vol-0001 2048 0 DATADISK"))
        #expect(text.contains("CARD 52:54:00:00:02:01 1450"))
        #expect(text.contains("CPUS 1 UUID \(machine.uuid)"))
        let used = try await host.driver.statistics(of: name)
        #expect(used.cpuTimeNanoseconds > 100_000_000 && used.residentMemory > .mebibytes(50) && used.bytesRead > 0)

        try await host.driver.pause(name)
        #expect(try await host.status(name)?.state == .paused)
        try await host.driver.resume(name)
        try await host.driver.reboot(name, hard: false)
        try await host.said(name, "READY", times: 2)
        #expect(try await host.status(name)?.state == .running)

        await #expect(throws: Fault.self) { try await host.driver.discard(name) }
        try await host.driver.shutdown(name)
        try await expect(events, .stopped(name: name, reason: .guestPoweredOff))
        let off = try #require(try await host.status(name))
        #expect(off.state == .off && off.reason == .guestPoweredOff && off.since != nil && off.metadata == machine.metadata)
        #expect(try await host.console(name).contains("READY"), "the log of a machine that is off is kept")

        try await network.remove()
        machine.interfaces = []
        try await host.driver.start(machine, paused: false)
        try await host.driver.reboot(name, hard: true)
        try await expect(events, .rebooted(name: name))
        let destroyed = try await milliseconds { try await host.driver.destroy(name) }
        #expect(try await host.status(name)?.reason == .destroyed)
        try await host.driver.destroy(name)
        try await host.driver.discard(name)
        #expect(try await host.driver.list().isEmpty)
        print("create \(created) ms, destroy \(destroyed) ms")
    }

    /// The daemon is nobody's child who started it, and holds nothing open of it: whoever started it
    /// may be killed, or upgraded.
    private func outlives(_ host: TestHost) throws {
        let daemon = try host.process("libvirtd.pid")
        let reaper = try parent(of: daemon)
        #expect(try parent(of: reaper) != getpid())
        #expect(getsid(daemon) != getsid(0))
        let folder = "/proc/\(reaper)/fd"
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            let link = (try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + name)) ?? ""
            #expect(!link.hasPrefix("socket:") && !link.hasPrefix("pipe:"), "the reaper holds \(link)")
        }
    }

    private func parent(of process: Int32) throws -> Int32 {
        let status = String(decoding: try Data(contentsOf: URL(filePath: "/proc/\(process)/status")), as: UTF8.self)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("PPid:") })
        return try #require(Int32(line.dropFirst(5).drop { $0 == "\t" }))
    }

    /// The XML is what libvirt's schema allows, not only what its parser lets pass.
    private func valid(_ host: TestHost, _ machine: Machine) async throws {
        let folder = try GuestFolder(installation: host.sandbox.installation, name: machine.name)
        let file = host.sandbox.installation.root + "/domain.xml"
        var other = machine
        other.name = "other"
        other.uuid = Machine.uuid(bits: 0xffff)
        other.disks[0].bytesPerSecondMax = 1 << 20
        try Data(DomainXML.render(other, folder: folder).utf8).write(to: URL(filePath: file))
        try await Command.run("virsh", ["-q", "-c", host.daemon.uri, "define", "--validate", file])
        try await Command.run("virsh", ["-q", "-c", host.daemon.uri, "undefine", "other"])
    }

    /// Its own user, no privileges, system calls filtered, under its limits.
    private func confined(_ host: TestHost, _ machine: Machine) async throws {
        let process = try host.process("run/qemu/\(machine.name).pid")
        let status = String(decoding: try Data(contentsOf: URL(filePath: "/proc/\(process)/status")), as: UTF8.self)
        #expect(status.contains("Uid:\t61001\t61001\t61001\t61001"))
        #expect(status.contains("Gid:\t61001\t61001\t61001\t61001"))
        #expect(status.contains("Seccomp:\t2"))
        #expect(status.contains("NoNewPrivs:\t1"))
        #expect(status.contains("CapEff:\t0000000000000000"))
        let groups = String(decoding: try Data(contentsOf: URL(filePath: "/proc/\(process)/cgroup")), as: UTF8.self)
        let group = "/\(host.sandbox.installation.mark)/machines/\(machine.name)"
        for controller in ["memory", "pids", "cpu"] {
            let line = groups.split(separator: "\n").first { $0.contains(":\(controller):") }
            #expect(line?.hasSuffix(group) ?? groups.contains(group), "\(controller): \(line ?? "")")
        }
        #expect(try await host.driver.capacity().memory > .gibibytes(1))
        let sockets = try await host.driver.sockets(of: machine.name)
        for socket in [sockets.console, sockets.agent] { #expect(access(socket, F_OK) == 0) }
        #expect(try owner(of: sockets.display) == 61001)
        let daemon = try host.process("libvirtd.pid")
        let own = String(decoding: try Data(contentsOf: URL(filePath: "/proc/\(daemon)/cgroup")), as: UTF8.self)
        #expect(own.contains("/\(host.sandbox.installation.mark)/libvirt"))
    }

    private func machinesOutliveTheirDaemon(_ host: TestHost) async throws {
        let stays = host.machine(2)
        let leaves = host.machine(3)
        try await host.driver.start(stays, paused: false)
        try await host.driver.start(leaves, paused: false)
        try await host.said(stays.name, "TICK")
        try await host.said(leaves.name, "TICK")

        let events = await host.driver.events()
        let daemon = try host.process("libvirtd.pid")
        kill(daemon, SIGKILL)
        kill(try host.process("run/qemu/\(leaves.name).pid"), SIGKILL)
        try await expect(events, .lost)
        let adopted = try await milliseconds {
            try await host.eventually("the machine is adopted") { (try? await host.status(stays.name))?.state == .running }
        }
        #expect(try host.process("libvirtd.pid") != daemon)
        #expect(try await host.status(stays.name)?.metadata == stays.metadata)
        #expect(try await host.status(leaves.name)?.state == .off)
        let ticks = try await host.console(stays.name).ranges(of: "TICK").count
        try await host.said(stays.name, "TICK", times: ticks + 1)

        for _ in 0..<3 { try await neverCalledOff(host, stays.name) }

        // Events come over the new connection too.
        try await host.driver.pause(stays.name)
        try await expect(events, .paused(name: stays.name, reason: .requested))
        let destroyed = try await milliseconds { try await host.driver.destroy(stays.name) }
        print("adopted after \(adopted) ms, destroyed in \(destroyed) ms")
    }

    /// Whoever asks for a machine while the daemon is killed hears that nobody can tell, and not that it is off.
    private func neverCalledOff(_ host: TestHost, _ name: String) async throws {
        let daemon = try host.process("libvirtd.pid")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    while true {
                        guard let status = try? await host.driver.status(of: name) else {
                            if Task.isCancelled { return }
                            continue
                        }
                        #expect(status.state == .running)
                        if Task.isCancelled { return }
                    }
                }
            }
            try await Task.sleep(for: .milliseconds(100))
            kill(daemon, SIGKILL)
            try await host.eventually("another daemon answers") {
                let state = (try? await host.driver.status(of: name))?.state
                return (try? host.process("libvirtd.pid")) != daemon && state == .running
            }
            group.cancelAll()
        }
    }

    private func whatGoesWrong(_ host: TestHost) async throws {
        let base = host.sandbox.installation.root + "/base.raw"
        try Data("BASEDISK".utf8 + [UInt8](repeating: 0, count: (1 << 20) - 8)).write(to: URL(filePath: base))
        chmod(base, 0o644)
        let layer = try await overlays(host, on: base)
        let events = await host.driver.events()

        // Two machines share a base that belongs to neither.
        // The first one's other disk lies on a file system that it soon fills.
        let full = host.small + "/full.raw"
        try await Command.run("truncate", ["-s", "8M", full])
        chown(full, 61004, 61004)
        let filling = Machine.Disk(serial: "vol-full", chain: [.init(path: full, format: .raw)], cache: .writeback)
        let first = host.machine(4, "fill", disks: [.init(serial: "vol-4", chain: layer(4)), filling])
        let second = host.machine(5, "flood", disks: [.init(serial: "vol-5", chain: layer(5), readOnly: true)])
        try await host.driver.start(first, paused: false)
        try await host.driver.start(second, paused: false)
        try await host.said(first.name, "DISK vol-4 2048 0 BASEDISK")
        #expect(try owner(of: base) == 0, "the base was given to a guest")
        try await expect(events, .diskError(name: first.name, device: "virtio-disk1", reason: "enospc"))
        try await host.eventually("the machine waits") { try await host.status(first.name)?.reason == .diskError }
        try await Command.run("mount", ["-o", "remount,size=32m", host.small])
        try await host.driver.resume(first.name)
        try await host.said(first.name, "FILLED")

        var missing = host.machine(6, disks: [.init(serial: "vol-6", chain: layer(4))])
        missing.disks[0].chain[0].path += ".gone"
        let fault = await #expect(throws: Fault.self) { try await host.driver.start(missing, paused: false) }
        #expect(
            fault?.code == .driver && fault?.cause?.contains("No such file") == true,
            "\(fault.map(String.init(describing:)) ?? "")")
        #expect(try await host.status(missing.name) == nil, "a first start that failed left something")

        var foreign = host.machine(7, disks: [.init(serial: "vol-7", chain: layer(4))])
        foreign.uid = 61999
        let denied = await #expect(throws: Fault.self) { try await host.driver.start(foreign, paused: false) }
        #expect(denied?.cause?.contains("Permission denied") == true, "\(denied.map(String.init(describing:)) ?? "")")

        let absent = await #expect(throws: Fault.self) { try await host.driver.resume("i-0" + hexDigits(99 as UInt64)) }
        #expect(absent?.code == .notFound)

        kill(try host.process("run/qemu/\(first.name).pid"), SIGKILL)
        try await expect(events, .stopped(name: first.name, reason: .crashed))
        #expect(try await host.status(first.name)?.reason == .crashed)

        let log = try GuestFolder(installation: host.sandbox.installation, name: second.name).serialLog
        try await host.eventually("the log was cut", seconds: 40) { access(log + ".1", F_OK) == 0 }
        #expect(try size(of: log) < 2 * BoundedLog.bytesMax)
        #expect(try await host.driver.consoleOutput(of: second.name, limit: 1 << 20).count >= BoundedLog.keptBytes)
        try await host.driver.destroy(second.name)
    }

    private func overlays(_ host: TestHost, on base: String) async throws -> (UInt32) -> [Machine.Layer] {
        let root = host.sandbox.installation.root
        for number: UInt32 in [4, 5] {
            try await Command.run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", "\(root)/\(number).qcow2"])
            chown("\(root)/\(number).qcow2", 61000 + number, 61000 + number)
            chmod("\(root)/\(number).qcow2", 0o600)
        }
        return { [.init(path: "\(root)/\($0).qcow2", format: .qcow2), .init(path: base, format: .raw)] }
    }
}

/// A tap in the host's network namespace, as the daemon needs it, and the namespace it goes to.
private struct Network {
    let tap: String
    let namespace: String

    init(mark: String) async throws {
        tap = mark + "t"
        namespace = mark + "n"
        try await Command.run("ip", ["netns", "add", namespace])
        try await Command.run("ip", ["tuntap", "add", "dev", tap, "mode", "tap"])
    }

    func takeTap() async throws { try await Command.run("ip", ["link", "set", tap, "netns", namespace, "up"]) }

    func remove() async throws { try await Command.run("ip", ["netns", "del", namespace]) }
}

/// Waits for one event among others.
private func expect(_ events: AsyncStream<MachineEvent>, _ wanted: MachineEvent) async throws {
    try await withThrowingTaskGroup(of: Bool.self) { group in
        group.addTask { await events.first { $0 == wanted } != nil }
        group.addTask {
            try await Task.sleep(for: .seconds(60))
            return false
        }
        let came = try await group.next()
        group.cancelAll()
        #expect(came == true, "\(wanted) did not come")
    }
}

private func milliseconds(_ body: () async throws -> Void) async throws -> Int64 {
    let span = try await ContinuousClock().measure(body)
    return span.components.seconds * 1000 + span.components.attoseconds / 1_000_000_000_000_000
}

private func owner(of path: String) throws -> UInt32 {
    var status = stat()
    try #require(lstat(path, &status) == 0)
    return status.st_uid
}

private func size(of path: String) throws -> Int {
    var status = stat()
    try #require(lstat(path, &status) == 0)
    return Int(status.st_size)
}
