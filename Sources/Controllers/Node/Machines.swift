//  Machines of this host: started, stopped, rebooted and removed as decided.

import Dataplane
import Disks
import Fabric
import Hypervisor
import Model
import Platform
import Synchronization

/// When a guest that was asked to shut down is switched off, and starts that failed.
final class Graces: Sendable {
    private let ends = Mutex<[String: ContinuousClock.Instant]>([:])
    private let failures = Mutex<[String: Failure]>([:])

    private struct Failure {
        var starts: UInt64
        var fault: String
        var until: ContinuousClock.Instant
    }

    /// How long a failed start is told before it is tried again: long enough for the cluster
    /// controller to give a launch up, and what passes (a host that is just booting) passes.
    static let failurePause = Duration.seconds(15)

    /// Whether the grace is over; nil when none was given.
    func isOver(_ key: String) -> Bool? { ends.withLock { ends in ends[key].map { $0 <= .now } } }
    func give(_ key: String, _ span: Duration) { ends.withLock { $0[key] = .now + span } }
    func end(_ key: String) { ends.withLock { $0[key] = nil } }

    func failed(_ key: String, starts: UInt64, _ fault: String) {
        failures.withLock { $0[key] = Failure(starts: starts, fault: fault, until: .now + Graces.failurePause) }
    }

    func failure(_ key: String, starts: UInt64) -> String? {
        failures.withLock { failures in failures[key].flatMap { $0.starts == starts && $0.until > .now ? $0.fault : nil } }
    }
    func forget(_ key: String) {
        end(key)
        failures.withLock { $0[key] = nil }
    }
}

extension NodeController {
    /// How long a guest may take to shut down before it is switched off.
    static let shutdownGrace = Duration.seconds(90)
    /// When a machine is looked at again whose start lacked what comes by and by, such as the hypervisor.
    static let startPause = Duration.milliseconds(500)

    /// The command line of a kernel that is booted directly: the console that is logged; no self-tests
    /// of ciphers, which cost a translated CPU half a second; and no check of the timer, over which a
    /// CPU that has to wait for the host's panics.
    static let kernelCommandLine = "console=ttyS0 quiet cryptomgr.notests no_timer_check"

    func lookAtMachine(_ key: String) async throws(Fault) -> Duration? {
        guard let entry = try await state.machine(key) else {
            reporter.forget(Section.machines, key)
            graces.forget(key)
            return nil
        }
        let id = ID<Instance>(bits: entry.instance)
        let name = NodeController.name(of: key)
        // Each act changes what is decided next; a handful of them ends in a report.
        for _ in 0..<8 {
            let status = try await hypervisor.status(of: name)
            let mark = await marks.mark(of: id)
            switch MachineDecision.decide(entry, status?.state, mark, graceIsOver: graces.isOver(key)) {
            case .start:
                if let fault = graces.failure(key, starts: entry.startsWanted) {
                    report(Section.machines, key, entry.epoch, "failed") { $0.fault = fault }
                    return Graces.failurePause
                }
                guard let fault = await start(entry, id, key, name) else { continue }
                // A hypervisor that is away says nothing of the machine: the start goes on once it is back.
                if fault.code == .unavailable { return NodeController.startPause }
                // What a killed node controller had asked for was still on its way: it is looked at like all
                // that is found, and its network is not this attempt's.
                if fault.code == .alreadyExists { continue }
                graces.failed(key, starts: entry.startsWanted, fault.message)
            case .remember:
                let reboots = mark?.starts == entry.startsWanted ? mark?.reboots ?? entry.rebootsWanted : entry.rebootsWanted
                try await marks.set(RunMark(starts: entry.startsWanted, reboots: reboots), of: id)
            case .resume: try await resume(entry, id, name)
            case .reboot:
                try await hypervisor.reboot(name, hard: false)
                try await marks.set(RunMark(starts: mark?.starts ?? entry.startsWanted, reboots: entry.rebootsWanted), of: id)
            case .shutDown:
                graces.give(key, NodeController.shutdownGrace)
                try await hypervisor.shutdown(name)
            case .destroy: try await hypervisor.destroy(name)
            case .discard: try await discard(entry, id, key, name)
            case .report(let observed):
                // A start that was cut off is remembered by its user alone, which it takes first.
                if observed == .absent, await slots.holds(id) { try await discard(entry, id, key, name) }
                return try await finish(entry, id, key, observed, status)
            }
        }
        return .milliseconds(500)
    }

    private func finish(
        _ entry: MachineEntry, _ id: ID<Instance>, _ key: String, _ observed: Holding.Observed, _ status: MachineStatus?
    ) async throws(Fault) -> Duration? {
        if observed == .off {
            graces.end(key)
            for port in entry.ports { try await dataplane.removeTap(names.tap(ID(bits: port.port))) }
        }
        let mark = await marks.mark(of: id)
        report(Section.machines, key, entry.epoch, observed.rawValue) { report in
            report.startsDone = mark?.starts ?? (observed == .off ? entry.startsWanted : 0)
            report.rebootsDone = mark?.reboots ?? 0
            if observed == .off, let reason = status?.reason {
                report.fault = reason == .crashed ? "the machine's process ended" : ""
            }
        }
        // A guest that was asked to go is looked at until it has gone or its grace is over.
        return observed == .running && entry.wanted == .stopped ? .seconds(2) : nil
    }

    private func discard(_ entry: MachineEntry, _ id: ID<Instance>, _ key: String, _ name: String) async throws(Fault) {
        do throws(Fault) { try await hypervisor.discard(name) } catch  where error.code == .notFound {}
        for port in entry.ports { try await dataplane.removeTap(names.tap(ID(bits: port.port))) }
        try await marks.set(nil, of: id)
        await slots.release(id)
        graces.forget(key)
    }

    /// Starts a machine.
    ///
    /// - Returns: Why it could not be; nothing of the attempt is left then.
    private func start(_ entry: MachineEntry, _ id: ID<Instance>, _ key: String, _ name: String) async -> Fault? {
        var undo = Undo()
        do throws(Fault) {
            // Machines and disks come in one document.
            for disk in entry.disks { try await provideDisk(hexDigits(disk.volume)) }
            let machine = try await machine(entry, id, name)
            for domain in Set(entry.ports.map(\.domain)) { _ = try await lookAtDomain(hexDigits(domain)) }
            for port in entry.ports {
                let tap = names.tap(ID(bits: port.port))
                try await dataplane.removeTap(tap)
                try await dataplane.createTap(tap, owner: machine.uid)
                undo.add { try? await dataplane.removeTap(tap) }
            }
            try await hypervisor.start(machine, paused: true)
            undo.add { try? await hypervisor.destroy(name) }
            try await connect(entry)
            try await hypervisor.resume(name)
            try await marks.set(RunMark(starts: entry.startsWanted, reboots: entry.rebootsWanted), of: id)
            return nil
        } catch {
            log.error("a machine could not be started", metadata: ["machine": "\(name)", "fault": "\(error)"])
            await undo.run()
            return error
        }
    }

    /// Joins a machine that is held still to its networks.
    private func connect(_ entry: MachineEntry) async throws(Fault) {
        for port in entry.ports { try await dataplane.placeTap(names.tap(ID(bits: port.port)), in: ID(bits: port.domain)) }
        // The guest asks for its address as soon as it runs, and again until somebody answers: an edge
        // that is away is no reason not to let it.
        do throws(Fault) { _ = try await lookAtEdge() } catch {
            log.warning("edge was not told of a machine", metadata: ["fault": "\(error)"])
        }
    }

    /// Lets a machine go on that is held still: a start that was cut off may have left it anywhere on
    /// its way.
    private func resume(_ entry: MachineEntry, _ id: ID<Instance>, _ name: String) async throws(Fault) {
        for domain in Set(entry.ports.map(\.domain)) { _ = try await lookAtDomain(hexDigits(domain)) }
        do throws(Fault) {
            try await connect(entry)
        } catch  where error.code == .notFound {
            // Its tap is gone, and it has no other: it is started anew.
            log.notice("a machine without its network is ended", metadata: ["machine": "\(name)", "fault": "\(error)"])
            try await hypervisor.destroy(name)
            return try await marks.set(nil, of: id)
        }
        try await hypervisor.resume(name)
    }

    private func machine(_ entry: MachineEntry, _ id: ID<Instance>, _ name: String) async throws(Fault) -> Machine {
        let user = try await slots.user(of: id)
        var machineDisks: [Machine.Disk] = []
        for disk in entry.disks {
            let volume = ID<Volume>(bits: disk.volume)
            try await disks.give(volume, to: user)
            let chain = try await disks.chain(of: volume).map { layer in
                Machine.Layer(path: layer.path, format: layer.format == .raw ? .raw : .qcow2)
            }
            // The serial holds the volume's id, by which clients find the disk; at most 20 bytes.
            machineDisks.append(Machine.Disk(serial: "vol0\(volume.hex)", chain: chain))
        }
        let accelerator = try await hypervisor.capacity().accelerator
        let processors = Int(clamping: entry.processors)
        return Machine(
            name: name, uuid: Machine.uuid(bits: id.bits), virtualCPUs: processors, memory: ByteCount(entry.memory),
            accelerator: accelerator, boot: try await boot(entry), disks: machineDisks,
            interfaces: entry.ports.map { port in
                Machine.Interface(
                    tap: names.tap(ID(bits: port.port)), mac: MACAddress(bits: port.mac).description, mtu: Int(clamping: port.mtu))
            }, uid: user, gid: user,
            limits: .ordinary(virtualCPUs: processors, memory: ByteCount(entry.memory), accelerator: accelerator),
            metadata: ["epoch": String(entry.epoch)])
    }

    private func boot(_ entry: MachineEntry) async throws(Fault) -> Machine.Boot {
        guard !entry.kernel.isEmpty else { return .disk }
        guard let kernel = ImageDigest(hex: entry.kernel) else { throw Fault(.internalError, "the kernel has no digest") }
        let ramdisk = ImageDigest(hex: entry.ramdisk)
        var ramdiskPath: String?
        if let ramdisk { ramdiskPath = try await disks.path(of: ramdisk, kind: .ramdisk) }
        return .kernel(
            kernel: try await disks.path(of: kernel, kind: .kernel), ramdisk: ramdiskPath,
            commandLine: NodeController.kernelCommandLine)
    }
}
