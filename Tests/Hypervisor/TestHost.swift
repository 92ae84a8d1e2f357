//  A host of a test's own: an installation in a new folder, a libvirtd in it, and a tiny guest.

import FoundationEssentials
import Hypervisor
import Logging
import Model
import Platform
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// A folder and a mark that no other test has; both are gone afterwards.
struct Sandbox {
    let installation: Installation

    init() throws {
        var generator = SystemRandomNumberGenerator()
        let word = hexDigits(generator.next()).prefix(5)
        installation = Installation(root: "/tmp/kh\(word)", mark: "h\(word)")
        try FileManager.default.createDirectory(atPath: installation.node, withIntermediateDirectories: true)
        chmod(installation.root, 0o755)
    }

    var groups: ControlGroups { .ofThisHost(mark: installation.mark) }

    func remove() {
        groups.removeAll()
        try? FileManager.default.removeItem(atPath: installation.root)
    }
}

/// The program that the tests run the reaper as; it is built beside the tests.
enum TestReaper {
    static var command: [String] {
        [URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "ReaperTesting").path]
    }
}

/// A host with a libvirtd and a tiny guest, for the length of `body`; nothing is left of it.
func withHost(_ body: (TestHost) async throws -> Void) async throws {
    let host = try await TestHost()
    do {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await host.driver.run() }
            try await body(host)
            group.cancelAll()
        }
    } catch {
        await host.remove()
        throw error
    }
    await host.remove()
}

final class TestHost: Sendable {
    let sandbox: Sandbox
    let guest: TinyGuest
    let daemon: LibvirtDaemon
    let driver: LibvirtHypervisor
    /// A file system of 2 MiB: guests' disks in it are soon full.
    let small: String

    init() async throws {
        sandbox = try Sandbox()
        small = sandbox.installation.root + "/small"
        try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: true)
        try await Command.run("mount", ["-t", "tmpfs", "-o", "size=2m,mode=755", "none", small])
        guest = try await TinyGuest(in: sandbox.installation.root)
        daemon = LibvirtDaemon(installation: sandbox.installation, reaper: TestReaper.command, groups: sandbox.groups)
        driver = LibvirtHypervisor(
            installation: sandbox.installation, daemon: daemon,
            accelerator: AcceleratorFinding(accelerator: .tcg, reason: "the tests' choice"), groups: sandbox.groups,
            log: Logger(label: "test"))
    }

    func machine(_ number: UInt64, _ words: String = "", disks: [Machine.Disk] = []) -> Machine {
        Machine(
            name: "i-0" + hexDigits(number), uuid: Machine.uuid(bits: number), virtualCPUs: 1, memory: .mebibytes(128),
            accelerator: .tcg,
            boot: .kernel(kernel: guest.kernel, ramdisk: guest.ramdisk, commandLine: "console=ttyS0 quiet panic=-1 \(words)"),
            disks: disks, uid: 61000 + UInt32(number), gid: 61000 + UInt32(number),
            limits: .ordinary(virtualCPUs: 1, memory: .mebibytes(128), accelerator: .tcg),
            metadata: ["epoch": "7", "note": "<a> & 'b'"])
    }

    /// The pid of libvirtd or of a machine's QEMU.
    func process(_ file: String) throws -> Int32 {
        let path = sandbox.installation.node + "/libvirt/" + file
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        return try #require(Int32(text.prefix { $0.isNumber }))
    }

    func console(_ name: String) async throws -> String {
        String(decoding: try await driver.consoleOutput(of: name, limit: 64 << 10), as: UTF8.self)
    }

    /// Waits until something holds.
    func eventually(_ what: String, seconds: Int = 60, _ holds: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while try await !holds() {
            guard ContinuousClock.now < deadline else { throw Fault(.timedOut, "still not so: \(what)") }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Waits until the guest has said a word so many times.
    func said(_ name: String, _ word: String, times: Int = 1) async throws {
        do {
            try await eventually("\(name) says \(word)") { try await console(name).ranges(of: word).count >= times }
        } catch {
            throw Fault(
                .timedOut, "\(name) did not say \(word)",
                cause: "\(String(describing: try await status(name))): \(try await console(name))")
        }
    }

    /// As the driver tells it, asked for this one and for all.
    func status(_ name: String) async throws -> MachineStatus? {
        let status = try await driver.status(of: name)
        let listed = try await driver.list().first { $0.name == name }
        // It may have changed in between.
        if status?.state == listed?.state { #expect(status == listed) }
        return listed
    }

    func remove() async {
        for machine in (try? await driver.list()) ?? [] { try? await driver.destroy(machine.name) }
        try? await daemon.stop()
        // The reaper holds its folders until its last child has ended.
        try? await Task.sleep(for: .milliseconds(300))
        _ = try? await Command.run("umount", [small])
        sandbox.remove()
    }
}
