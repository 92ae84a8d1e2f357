import Dataplane
import Disks
import Fabric
import Hypervisor
import Logging
import Model
import Platform
import Synchronization
import Testing

@testable import Node

/// What a machine's start has read is not done after what was read since.
@Suite struct TurnTests {
    @Test func anOlderPlanIsNotAppliedAfterANewerOne() async throws {
        let lab = try await NodeLab()
        let domain = ID<Domain>(bits: 7)
        try await lab.say([("domain/\(domain.hex)", "domain", try domainEntry(domain, mtu: 1400))])
        lab.hold()
        async let older = lab.node.lookAtDomain(domain.hex)
        await lab.isHeld()
        try await lab.say([("domain/\(domain.hex)", "domain", try domainEntry(domain, mtu: 1450))])
        async let newer = lab.node.lookAtDomain(domain.hex)
        try await lab.release()
        _ = try await (older, newer)
        #expect(lab.dataplane.state.plans[domain]?.mtu == 1450)
    }

    @Test func aDiskThatWasLetGoIsNotMadeAgain() async throws {
        let lab = try await NodeLab()
        let disk = ID<Volume>(bits: 9)
        try await lab.say([("disks", disk.hex, try diskEntry(disk, absent: false))])
        lab.hold()
        async let made = lab.node.lookAtDisk(disk.hex)
        await lab.isHeld()
        try await lab.say([("disks", disk.hex, try diskEntry(disk, absent: true))])
        async let removed = lab.node.lookAtDisk(disk.hex)
        try await lab.release()
        _ = try await (made, removed)
        #expect(try await lab.disks.list().disks.isEmpty)
    }

    /// A killed node controller's start may still be on its way in the hypervisor when the next one looks.
    @Test func aStartThatWasStillOnItsWayIsTakenUp() async throws {
        let lab = try await NodeLab()
        let (domain, disk, port, id) = (ID<Domain>(bits: 7), ID<Volume>(bits: 9), ID<Port>(bits: 11), ID<Instance>(bits: 13))
        let entry = MachineEntry.with {
            $0.instance = id.bits
            $0.wanted = .running
            $0.startsWanted = 1
            $0.processors = 1
            $0.memory = 128 << 20
            $0.disks = [.with { $0.volume = disk.bits }]
            $0.ports = [
                .with {
                    $0.port = port.bits
                    $0.mac = 0x0200_0000_0001
                    $0.domain = domain.bits
                    $0.mtu = 1450
                }
            ]
        }
        try await lab.say([
            ("domain/\(domain.hex)", "domain", try domainEntry(domain, mtu: 1450)),
            ("disks", disk.hex, try diskEntry(disk, absent: false)), ("machines", id.hex, try entry.serializedBytes()),
        ])
        let starts = Mutex(0)
        await lab.hypervisor.behave(
            .init(latency: { call in
                let isFirst =
                    call == .start
                    && starts.withLock {
                        $0 += 1; return $0 == 1
                    }
                return isFirst ? .milliseconds(200) : .zero
            }))
        async let looked = lab.node.lookAtMachine(id.hex)
        while starts.withLock({ $0 == 0 }) { await Task.yield() }
        let name = NodeController.name(of: id.hex)
        try await lab.hypervisor.start(
            Machine(
                name: name, uuid: Machine.uuid(bits: id.bits), virtualCPUs: 1, memory: .mebibytes(128), accelerator: .tcg,
                boot: .disk, disks: [.init(serial: "vol0\(disk.hex)", chain: [.init(path: "/disk", format: .raw)])], uid: 61000,
                gid: 61000, limits: .ordinary(virtualCPUs: 1, memory: .mebibytes(128), accelerator: .tcg), metadata: [:]),
            paused: true)
        _ = try await looked
        #expect(try await lab.hypervisor.status(of: name)?.state == .running)
        #expect(lab.dataplane.state.taps.values.map(\.self) == [.domain(domain)])
        #expect(starts.withLock(\.self) == 3)
    }

    private func domainEntry(_ id: ID<Domain>, mtu: Int64) throws -> [UInt8] {
        let entry = DomainEntry.with {
            $0.domain = id.bits
            $0.vni = 1
            $0.mtu = mtu
            $0.prefix = "10.0.0.0/16"
        }
        return try entry.serializedBytes()
    }

    private func diskEntry(_ id: ID<Volume>, absent: Bool) throws -> [UInt8] {
        let entry = DiskEntry.with {
            $0.volume = id.bits
            $0.size = 1 << 30
            $0.absent = absent
        }
        return try entry.serializedBytes()
    }
}

/// A node controller without a session, whose drivers' first change can be held up.
private final class NodeLab: Sendable {
    let node: NodeController
    let disks = SimulatedPool()
    let hypervisor = SimulatedHypervisor(
        host: HostCapacity(cpus: 4, memory: .gibibytes(16), accelerator: .tcg, hypervisor: "simulated"))
    let dataplane: SimulatedDataplane
    private let door = Door()
    private let sender = Mutex(DocumentSender(epoch: 1, counter: 0))

    init() async throws {
        let door = door
        let names = try DataplaneNames(mark: "kt")
        dataplane = SimulatedDataplane(names: names) { call throws(Fault) in if call == .apply { await door.pass() } }
        disks.setTrouble { call throws(Fault) in if call == .create { await door.pass() } }
        node = NodeController(
            NodeConfiguration(
                installation: Installation(root: "/nonexistent", mark: "kt"), hostName: "host", zone: "a", region: "r",
                fabricSocket: "/nonexistent/fabric", host: HostPlan(publicRanges: []), isDurable: false),
            hypervisor: hypervisor, disks: disks, dataplane: dataplane, names: names, guests: SimulatedGuestServices(),
            chance: .system,
            log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await disks.open()
        try await dataplane.prepareHost(HostPlan(publicRanges: []))
        try await node.state.welcome(ID(bits: 1))
    }

    /// Tells the node what entries its document has.
    func say(_ entries: [(section: String, key: String, payload: [UInt8]?)]) async throws {
        if let update = sender.withLock({ $0.update(entries) }) { _ = try await node.state.apply(update) }
    }

    func hold() { door.state.withLock { $0.isShut = true } }

    func isHeld() async {
        while door.state.withLock({ $0.held == nil }) { await Task.yield() }
    }

    /// Lets the one that is held go on, after whoever asked since has had time to get ahead of it.
    func release() async throws {
        try await Task.sleep(for: .milliseconds(100))
        door.state.withLock { $0.held }?.resume()
    }
}

/// Holds up the first to pass once it is shut.
private final class Door: Sendable {
    struct State {
        var isShut = false
        var held: CheckedContinuation<Void, Never>?
    }
    let state = Mutex(State())

    func pass() async {
        await withCheckedContinuation { continuation in
            let isHeld = state.withLock { state in
                defer { state.isShut = false }
                if state.isShut { state.held = continuation }
                return state.isShut
            }
            if !isHeld { continuation.resume() }
        }
    }
}
