//  The process *node*: one host's controller over the real drivers. It is root, and speaks with
//  control by the fabric and with edge by the socket that it hands the guests' sockets over.

import ArgumentParser
import Dataplane
import Disks
import Edge
import Hypervisor
import Logging
import Model
import Node
import Platform
import Supervisor

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#endif

struct NodeRole: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "A host's node controller.", shouldDisplay: false)
    @OptionGroup var place: PlaceOptions

    func run() async throws {
        let installation = try place.installation()
        let configuration = try Configuration.require(installation)
        let log = Log.start("node")
        try await Termination.during {
            try await NodeProcess(installation: installation, configuration: configuration, chance: .system, log: log).run()
        }
    }
}

/// This host's node controller.
struct NodeProcess: Sendable {
    let installation: Installation
    let configuration: Configuration
    let chance: Chance
    let log: Logger

    /// Serves until cancelled.
    func run() async throws {
        let program = try ownProgram()
        let groups = ControlGroups.ofThisHost(mark: installation.mark)
        let finding = try await accelerator()
        log.notice("runs machines", metadata: ["accelerator": "\(finding.accelerator.rawValue)", "reason": "\(finding.reason)"])
        let daemon = LibvirtDaemon(
            installation: installation, reaper: [program, ReapRole.name], groups: groups, chance: chance)
        let hypervisor = LibvirtHypervisor(
            installation: installation, daemon: daemon, accelerator: finding, groups: groups, chance: chance, log: log)
        let dataplane = try LinuxDataplane(installation: installation, log: log)
        let link = EdgeLink(
            namespacePath: { text in ID<Domain>(hex: text).map { dataplane.namespacePath($0) } ?? "/nonexistent" }, chance: chance,
            log: log)
        let node = NodeController(
            nodeConfiguration(), hypervisor: hypervisor, disks: pool(program), dataplane: dataplane, names: dataplane.names,
            guests: link, chance: chance, log: log)
        let edge = try edgeUser()
        try makeFolder(folder(of: installation.edgeSocket), mode: 0o711)
        await overcomeObstacles(dataplane)
        let (path, log) = (installation.edgeSocket, log)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await link.listen(at: path, userId: edge, log: log) }
            group.addTask { try await node.run() }
            Inheritance.announceReady()
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func nodeConfiguration() -> NodeConfiguration {
        NodeConfiguration(
            installation: installation, hostName: hostName(), zone: configuration.zone, region: configuration.region,
            fabricSocket: installation.fabricSocket, overcommitment: configuration.overcommitment,
            memoryReserve: NodeProcess.reserve(of: memory()),
            host: HostPlan(
                publicRanges: configuration.ranges, uplink: configuration.uplink, publicMode: configuration.publicMode),
            resolvers: NodeProcess.resolvers(in: text(of: "/etc/resolv.conf")).map { EdgeResolver($0) })
    }

    /// What the host keeps for itself: an eighth, at least half a gibibyte and at most four.
    static func reserve(of memory: ByteCount) -> ByteCount {
        ByteCount(min(max(memory.bytes / 8, 512 << 20), 4 << 30))
    }

    /// The addresses of resolv.conf(5), IPv4 only.
    static func resolvers(in text: String) -> [IPv4Address] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return words.count > 1 && words[0] == "nameserver" ? IPv4Address(words[1]) : nil
        }
    }

    private func memory() -> ByteCount { ByteCount(Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE)))) }

    private func pool(_ program: String) -> FilePool {
        var pool = FilePool.Configuration(folder: installation.pool, converterUser: NodeProcess.converterUser)
        // By the loader, because the child sees the program's folder, libraries and all, elsewhere.
        pool.headers = .child(
            program: InstalledProgram.loader, arguments: ["--library-path", "/library-0", "/library-0/\(HeaderReader.name)"],
            libraries: [folder(of: program)])
        return FilePool(pool, log: log)
    }

    /// The last of the guests' users, which no guest gets: slots are given from the first on.
    static let converterUser = GuestUsers.range.upperBound

    private func edgeUser() throws(Fault) -> UInt32 {
        let name = SystemUsers.names(installation).edge
        guard let user = CallingUser(named: name) else { throw Fault(.notFound, "the user \(name) is missing: sudo karri up") }
        return user.user
    }

    /// Firewalls that drop what the host forwards get an accept of ours.
    private func overcomeObstacles(_ dataplane: LinuxDataplane) async {
        do throws(Fault) {
            for obstacle in try await dataplane.obstacles() {
                log.notice("adds an accept to a firewall", metadata: ["firewall": "\(obstacle)"])
                try await dataplane.overcome(obstacle)
            }
        } catch {
            log.error("a firewall still drops packets of machines", metadata: ["fault": "\(error)"])
        }
    }

    // MARK: - The accelerator

    private struct KnownAccelerator: Codable {
        var host: String
        var finding: AcceleratorFinding
    }

    /// What the probe found, asked anew when kernel or QEMU have changed.
    private func accelerator() async throws(Fault) -> AcceleratorFinding {
        let emulator =
            try await Command.run("qemu-system-x86_64", ["--version"]).split(separator: "\n").first.map(String.init) ?? ""
        let host = "\(text(of: "/proc/sys/kernel/osrelease")) \(exists("/dev/kvm")) \(emulator)"
        if let bytes = try AtomicFile.read(installation.acceleratorFinding, limit: 1 << 16),
            let known = try? JSONDecoder().decode(KnownAccelerator.self, from: Data(bytes)), known.host == host
        {
            return known.finding
        }
        log.notice("tries which accelerator works")
        let finding = try await AcceleratorProbe.run(folder: installation.node, chance: chance)
        try AtomicFile.write(
            try encoded(KnownAccelerator(host: host, finding: finding)), to: installation.acceleratorFinding, mode: 0o644)
        return finding
    }
}

/// The host's own name, which the cloud knows it by.
func hostName() -> String {
    var bytes = [CChar](repeating: 0, count: 256)
    guard gethostname(&bytes, bytes.count - 1) == 0 else { return "host" }
    let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return name.isEmpty ? "host" : name
}

/// The folder that a path lies in.
func folder(of path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }

/// A small text file's content; "" where it cannot be read.
func text(of path: String) -> String {
    guard let bytes = try? AtomicFile.read(path, limit: 1 << 20) else { return "" }
    return String(decoding: bytes, as: UTF8.self)
}
