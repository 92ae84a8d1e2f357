//  The hypervisor driver over libvirt's C API: QEMU with KVM or TCG. Domains are transient: libvirt
//  knows what runs, the guests' folders what ran, and Karri's document what should.

import CLibvirt
import Logging
import Model
import Platform
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Machines by way of a libvirtd that is the installation's own.
public final class LibvirtHypervisor: HypervisorDriver {
    private static let startLanes = 4

    let installation: Installation
    private let accelerator: AcceleratorFinding
    private let chance: Chance
    private let log: Logger
    private let emulator: String
    private let session: LibvirtSession
    /// A machine's changes go through one lane in order; questions have a lane of their own.
    private let lanes: [LibvirtLane]
    private let questions = LibvirtLane(name: "karri.libvirt.questions")
    private let broadcast: EventBroadcast
    private let endings: Endings
    private let groups: ControlGroups

    /// - Parameters:
    ///   - daemon: What answers at the other end; started when its socket is silent.
    ///   - accelerator: What `AcceleratorProbe` found.
    ///   - groups: Where the machines' cgroups are made.
    public convenience init(
        installation: Installation, daemon: LibvirtDaemon, accelerator: AcceleratorFinding, groups: ControlGroups,
        chance: Chance = .system, log: Logger
    ) {
        self.init(
            installation: installation, uri: daemon.uri, daemon: daemon, accelerator: accelerator, groups: groups,
            chance: chance, log: log)
    }

    /// With a URI of its own, and no daemon to start, for libvirt's test driver.
    init(
        installation: Installation, uri: String, daemon: LibvirtDaemon?, accelerator: AcceleratorFinding, groups: ControlGroups,
        chance: Chance, log: Logger, emulator: String = "/usr/bin/qemu-system-x86_64"
    ) {
        self.installation = installation
        self.accelerator = accelerator
        self.chance = chance
        self.log = log
        self.emulator = emulator
        self.groups = groups
        let broadcast = EventBroadcast()
        let endings = Endings(installation: installation, now: chance.now)
        self.broadcast = broadcast
        self.endings = endings
        session = LibvirtSession(uri: uri, daemon: daemon) { event in
            // The reason is kept before anyone is told, so that who lists on the news finds it.
            if case .stopped(let name, let reason) = event { endings.note(name, reason) }
            broadcast.send(event)
        }
        lanes = (0..<Self.startLanes).map { LibvirtLane(name: "karri.libvirt.\($0)") }
    }

    // MARK: The host

    public func prepare() async throws(Fault) {
        let connection = try await session.connection()
        let type = accelerator.accelerator == .kvm ? "kvm" : "qemu"
        try await questions.perform { [emulator] () throws(Fault) in
            // The first question after QEMU was installed or changed costs seconds; the answer is kept
            // on disk, and the first machine does not wait for it.
            guard let text = virConnectGetDomainCapabilities(connection.pointer, emulator, "x86_64", "q35", type, 0) else {
                throw LibvirtFault.last("learn what QEMU can do")
            }
            free(text)
        }
        let unheld = groups.unheldLimits()
        if !unheld.isEmpty { log.warning("this host cannot hold some limits of machines", metadata: ["limits": "\(unheld)"]) }
    }

    public func capacity() async throws(Fault) -> HostCapacity {
        let connection = try await session.connection()
        return try await questions.perform { [accelerator, groups] () throws(Fault) in
            var node = virNodeInfo()
            guard virNodeGetInfo(connection.pointer, &node) == 0 else { throw LibvirtFault.last("ask for the host's size") }
            var version: UInt = 0
            var library: UInt = 0
            _ = virConnectGetVersion(connection.pointer, &version)
            _ = virConnectGetLibVersion(connection.pointer, &library)
            return HostCapacity(
                cpus: Int(node.cpus), memory: ByteCount(Int64(clamping: node.memory) << 10), accelerator: accelerator.accelerator,
                acceleratorReason: accelerator.reason, unheldLimits: groups.unheldLimits(),
                hypervisor: "libvirt \(Self.dotted(library)), QEMU \(Self.dotted(version))")
        }
    }

    /// libvirt's version numbers: major × 1,000,000 + minor × 1,000 + release.
    private static func dotted(_ version: UInt) -> String {
        "\(version / 1_000_000).\(version / 1000 % 1000).\(version % 1000)"
    }

    // MARK: Changes

    public func start(_ machine: Machine, paused: Bool) async throws(Fault) {
        let folder = try GuestFolder(installation: installation, name: machine.name)
        let xml = try DomainXML.render(machine, folder: folder, emulator: emulator)
        let connection = try await session.connection()
        try await lane(of: machine.name).perform { [self] () throws(Fault) in
            if let domain = virDomainLookupByName(connection.pointer, machine.name) {
                virDomainFree(domain)
                throw Fault(.alreadyExists, "\(machine.name) runs already", kind: .instance)
            }
            let isNew = !folder.exists
            endings.forget(machine.name)
            do throws(Fault) {
                try folder.make(for: machine)
                try create(machine, xml, paused: paused, on: connection)
            } catch {
                if isNew {
                    try? folder.remove()
                } else {
                    endings.note(machine.name, .failedToStart)
                }
                throw error
            }
        }
    }

    /// Creates the domain held still, puts it under its limits, and only then lets it run.
    private func create(_ machine: Machine, _ xml: String, paused: Bool, on connection: LibvirtConnection) throws(Fault) {
        let action = "start \(machine.name)"
        guard let domain = virDomainCreateXML(connection.pointer, xml, UInt32(VIR_DOMAIN_START_PAUSED.rawValue)) else {
            throw LibvirtFault.last(action)
        }
        defer { virDomainFree(domain) }
        if let process = LibvirtDaemon.process(of: machine.name, installation: installation) {
            let unheld = groups.hold(process, of: machine.name, to: machine.limits)
            if !unheld.isEmpty {
                log.warning("limits are not held", metadata: ["machine": "\(machine.name)", "limits": "\(unheld)"])
            }
        }
        if !paused, virDomainResume(domain) != 0 {
            let fault = LibvirtFault.last(action)
            virDomainDestroy(domain)
            throw fault
        }
    }

    public func resume(_ name: String) async throws(Fault) {
        try await change(name, "resume") { domain, action throws(Fault) in
            if try Self.state(of: domain, action)?.0 == .running { return }
            if virDomainResume(domain) != 0 { throw LibvirtFault.last(action) }
        }
    }

    public func pause(_ name: String) async throws(Fault) {
        try await change(name, "pause") { domain, action throws(Fault) in
            if try Self.state(of: domain, action)?.0 == .paused { return }
            if virDomainSuspend(domain) != 0 { throw LibvirtFault.last(action) }
        }
    }

    public func shutdown(_ name: String) async throws(Fault) {
        try await change(name, "shut down") { domain, action throws(Fault) in
            let button = UInt32(VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN.rawValue)
            if virDomainShutdownFlags(domain, button) != 0 { throw LibvirtFault.last(action) }
        }
    }

    public func reboot(_ name: String, hard: Bool) async throws(Fault) {
        try await change(name, "reboot") { domain, action throws(Fault) in
            let button = UInt32(VIR_DOMAIN_REBOOT_ACPI_POWER_BTN.rawValue)
            let result = hard ? virDomainReset(domain, 0) : virDomainReboot(domain, button)
            if result != 0 { throw LibvirtFault.last(action) }
        }
    }

    public func destroy(_ name: String) async throws(Fault) {
        do throws(Fault) {
            try await change(name, "destroy") { [endings] domain, action throws(Fault) in
                // The event that says so may come after whoever asked has listed the machines.
                if virDomainDestroy(domain) == 0 { return endings.note(name, .destroyed) }
                let fault = LibvirtFault.last(action)
                guard let (state, _) = try Self.state(of: domain, action), state != .off else { return }
                throw fault
            }
        } catch {
            guard error.code == .notFound else { throw error }
        }
        groups.release(name)
    }

    public func discard(_ name: String) async throws(Fault) {
        let folder = try GuestFolder(installation: installation, name: name)
        let connection = try await session.connection()
        try await lane(of: name).perform { [groups, endings] () throws(Fault) in
            if let domain = virDomainLookupByName(connection.pointer, name) {
                virDomainFree(domain)
                throw Fault(.wrongState, "\(name) runs", kind: .instance)
            }
            guard LibvirtFault.isAbsence else { throw LibvirtFault.last("discard \(name)") }
            groups.release(name)
            try endings.forget(name, removing: folder)
        }
    }

    private func change(
        _ name: String, _ verb: String, _ body: @escaping @Sendable (virDomainPtr, String) throws(Fault) -> Void
    ) async throws(Fault) {
        try MachineCheck.check(name: name)
        let connection = try await session.connection()
        try await lane(of: name).perform { () throws(Fault) in
            let action = "\(verb) \(name)"
            try connection.withDomain(name, action) { domain throws(Fault) in try body(domain, action) }
        }
    }

    private func lane(of name: String) -> LibvirtLane {
        // Swift's own hashes are seeded per process; which lane it is does not matter beyond one.
        lanes[Int(UInt(bitPattern: name.hashValue) % UInt(lanes.count))]
    }

    // MARK: Questions

    public func list(only name: String?) async throws(Fault) -> [MachineStatus] {
        if let name { try MachineCheck.check(name: name) }
        let connection = try await session.connection()
        return try await questions.perform { [self] () throws(Fault) in
            if let name {
                if let running = try running(name, on: connection) { return [running] }
                return [try off(name)].compactMap(\.self)
            }
            var all = try running(on: connection)
            let names = Set(all.map(\.name))
            for name in try Folder.names(in: GuestFolder.all(of: installation)) where !names.contains(name) {
                if let status = try off(name) { all.append(status) }
            }
            return all.sorted { $0.name < $1.name }
        }
    }

    /// What is kept of a machine that does not run; nil when that is nothing.
    private func off(_ name: String) throws(Fault) -> MachineStatus? {
        guard let folder = try? GuestFolder(installation: installation, name: name), let machine = try folder.machine()
        else { return nil }
        let ended = endings.ended(name)
        return MachineStatus(
            name: name, uuid: machine.uuid, state: .off, reason: ended?.reason ?? .unknown, since: ended?.at,
            metadata: machine.metadata)
    }

    private func running(_ name: String, on connection: LibvirtConnection) throws(Fault) -> MachineStatus? {
        guard let domain = virDomainLookupByName(connection.pointer, name) else {
            if LibvirtFault.isAbsence { return nil }
            throw LibvirtFault.last("look at \(name)")
        }
        defer { virDomainFree(domain) }
        return try status(of: domain, "look at \(name)")
    }

    private func running(on connection: LibvirtConnection) throws(Fault) -> [MachineStatus] {
        var domains: UnsafeMutablePointer<virDomainPtr?>?
        let count = virConnectListAllDomains(connection.pointer, &domains, UInt32(VIR_CONNECT_LIST_DOMAINS_ACTIVE.rawValue))
        guard count >= 0, let domains else { throw LibvirtFault.last("list the machines") }
        defer {
            for domain in UnsafeBufferPointer(start: domains, count: Int(count)) { domain.map { _ = virDomainFree($0) } }
            free(domains)
        }
        var machines: [MachineStatus] = []
        for case let domain? in UnsafeBufferPointer(start: domains, count: Int(count)) {
            if let machine = try status(of: domain, "list the machines") { machines.append(machine) }
        }
        return machines
    }

    /// Nil for one that has ended since it was found. A daemon that goes away meanwhile has not said so.
    private func status(of domain: virDomainPtr, _ action: String) throws(Fault) -> MachineStatus? {
        guard let (state, reason) = try Self.state(of: domain, action), let text = virDomainGetName(domain) else { return nil }
        let name = String(cString: text)
        var uuid = [CChar](repeating: 0, count: Int(VIR_UUID_STRING_BUFLEN))
        guard virDomainGetUUIDString(domain, &uuid) == 0 else { return nil }
        let folder = try? GuestFolder(installation: installation, name: name)
        return MachineStatus(
            name: name, uuid: String(decoding: uuid.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), state: state,
            reason: reason, since: state == .running ? folder?.startedAt : nil, metadata: Self.metadata(of: domain))
    }

    private static func metadata(of domain: virDomainPtr) -> [String: String] {
        let element = Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue)
        guard let text = virDomainGetMetadata(domain, element, DomainXML.namespace, 0) else { return [:] }
        defer { free(text) }
        return DomainXML.metadata(inElement: String(cString: text)) ?? [:]
    }

    /// Nil for a domain that is gone.
    private static func state(
        of domain: virDomainPtr, _ action: String
    ) throws(Fault) -> (MachineStatus.State, MachineStatus.Reason)? {
        var state: Int32 = 0
        var reason: Int32 = 0
        guard virDomainGetState(domain, &state, &reason, 0) == 0 else {
            if LibvirtFault.isAbsence { return nil }
            throw LibvirtFault.last(action)
        }
        return LibvirtStates.state(state, reason)
    }

    public func events() async -> AsyncStream<MachineEvent> { broadcast.stream() }

    public func statistics(of name: String) async throws(Fault) -> MachineStatistics {
        try MachineCheck.check(name: name)
        let connection = try await session.connection()
        return try await questions.perform { () throws(Fault) in
            let action = "measure \(name)"
            return try connection.withDomain(name, action) { domain throws(Fault) in
                try Self.statistics(of: domain, action)
            }
        }
    }

    private static func statistics(of domain: virDomainPtr, _ action: String) throws(Fault) -> MachineStatistics {
        var information = virDomainInfo()
        guard virDomainGetInfo(domain, &information) == 0 else { throw LibvirtFault.last(action) }
        var statistics = MachineStatistics(cpuTimeNanoseconds: information.cpuTime)
        var memory = [virDomainMemoryStatStruct](repeating: virDomainMemoryStatStruct(), count: 16)
        let count = virDomainMemoryStats(domain, &memory, UInt32(memory.count), 0)
        for entry in memory.prefix(Int(max(0, count))) where entry.tag == Int32(VIR_DOMAIN_MEMORY_STAT_RSS.rawValue) {
            statistics.residentMemory = ByteCount(Int64(clamping: entry.val) << 10)
        }
        // An empty name is the sum over all disks; a machine without disks has none.
        var blocks = virDomainBlockStatsStruct()
        if virDomainBlockStats(domain, "", &blocks, MemoryLayout.size(ofValue: blocks)) == 0 {
            statistics.bytesRead = max(0, blocks.rd_bytes)
            statistics.bytesWritten = max(0, blocks.wr_bytes)
            statistics.readOperations = max(0, blocks.rd_req)
            statistics.writeOperations = max(0, blocks.wr_req)
        }
        return statistics
    }

    public func consoleOutput(of name: String, limit: Int) async throws(Fault) -> [UInt8] {
        let folder = try GuestFolder(installation: installation, name: name)
        return try await questions.perform { () throws(Fault) in
            guard folder.exists else { throw Fault(.notFound, "there is no machine \(name)", kind: .instance) }
            return try BoundedLog(folder.serialLog).tail(max(0, min(limit, consoleOutputBytesMax)))
        }
    }

    public func sockets(of name: String) async throws(Fault) -> MachineSockets {
        let folder = try GuestFolder(installation: installation, name: name)
        guard folder.exists else { throw Fault(.notFound, "there is no machine \(name)", kind: .instance) }
        return folder.sockets
    }

    public func run() async {
        var waitSeconds = 1
        while !Task.isCancelled {
            do { try await Task.sleep(for: .seconds(waitSeconds)) } catch { return }
            guard await !session.isAlive else {
                waitSeconds = 1
                continue
            }
            do throws(Fault) {
                _ = try await session.connection()
                // What happened meanwhile was seen by nobody.
                broadcast.send(.lost)
                waitSeconds = 1
            } catch {
                log.error("libvirt cannot be reached", metadata: ["fault": "\(error)"])
                waitSeconds = min(30, waitSeconds * 2)
            }
        }
    }
}

/// Holds the one connection, and opens another when it has died.
actor LibvirtSession {
    private let uri: String
    private let daemon: LibvirtDaemon?
    private let deliver: @Sendable (MachineEvent) -> Void
    private let executor = BlockingExecutor(name: "karri.libvirt.session")
    private var current: LibvirtConnection?

    init(uri: String, daemon: LibvirtDaemon?, deliver: @escaping @Sendable (MachineEvent) -> Void) {
        self.uri = uri
        self.daemon = daemon
        self.deliver = deliver
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    var isAlive: Bool { current?.isAlive ?? false }

    /// A connection that was alive a moment ago.
    ///
    /// - Throws: `Fault.unavailable`, or what the daemon's start ran into.
    func connection() async throws(Fault) -> LibvirtConnection {
        var attemptsLeft = 5
        while true {
            if let current, current.isAlive { return current }
            try await daemon?.ensureRunning()
            // Another caller may have been first.
            if let current, current.isAlive { return current }
            do throws(Fault) {
                let opened = try LibvirtConnection(uri: uri, sink: LibvirtEventSink(deliver: deliver))
                current = opened
                return opened
            } catch {
                // A daemon that is being killed still takes a connection, and then drops it.
                attemptsLeft -= 1
                guard error.code == .unavailable, attemptsLeft > 0 else { throw error }
                do { try await Task.sleep(for: .milliseconds(100)) } catch { throw Fault(.cancelled, "the wait was cancelled") }
            }
        }
    }
}
