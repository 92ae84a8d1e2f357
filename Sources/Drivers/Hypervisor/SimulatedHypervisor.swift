//  The hypervisor's twin without machines: the same rules, states and events, in memory. Ten thousand
//  cost a few megabytes. Tests inject latencies, faults and guests with a will of their own.

import Model

/// A host whose machines are entries of a table.
public actor SimulatedHypervisor: HypervisorDriver {
    /// The calls that faults and latencies are told apart by.
    public enum Call: String, Sendable, Hashable, CaseIterable {
        case prepare, capacity, start, resume, pause, shutdown, reboot, destroy, discard, list, statistics, consoleOutput
    }

    /// How the host and its guests behave.
    public struct Behaviour: Sendable {
        /// Asked before each call with the machine's name ("" where there is none): a fault to throw instead.
        public var fault: @Sendable (Call, String) -> Fault?
        /// How long each call takes.
        public var latency: @Sendable (Call) -> Duration
        /// Whether guests follow the power button.
        public var obeysPowerButton: Bool

        public init(
            fault: @escaping @Sendable (Call, String) -> Fault? = { _, _ in nil },
            latency: @escaping @Sendable (Call) -> Duration = { _ in .zero }, obeysPowerButton: Bool = true
        ) {
            self.fault = fault
            self.latency = latency
            self.obeysPowerButton = obeysPowerButton
        }
    }

    private struct Guest {
        var machine: Machine
        var state: MachineStatus.State
        var reason: MachineStatus.Reason
        var since: Instant
        var console: [UInt8]
        var reboots = 0
    }

    private let host: HostCapacity
    private let chance: Chance
    private var behaviour: Behaviour
    private var guests: [String: Guest] = [:]
    /// Of all that are not off.
    private var memoryUsed = ByteCount.zero
    private let broadcast = EventBroadcast()

    public init(host: HostCapacity, chance: Chance = .system, behaviour: Behaviour = Behaviour()) {
        self.host = host
        self.chance = chance
        self.behaviour = behaviour
    }

    /// From the next call on.
    public func behave(_ behaviour: Behaviour) { self.behaviour = behaviour }

    // MARK: The driver's calls

    public func prepare() async throws(Fault) { try await enter(.prepare) }

    public func capacity() async throws(Fault) -> HostCapacity {
        try await enter(.capacity)
        return host
    }

    public func start(_ machine: Machine, paused: Bool) async throws(Fault) {
        try await enter(.start, machine.name)
        try MachineCheck.check(machine)
        if let guest = guests[machine.name], guest.state != .off {
            throw Fault(.alreadyExists, "\(machine.name) runs already", kind: .instance)
        }
        guard memoryUsed + machine.memory <= host.memory else {
            throw Fault(.noCapacity, "the host's memory is used up", kind: .host)
        }
        memoryUsed = memoryUsed + machine.memory
        let earlier = guests[machine.name]?.console ?? []
        guests[machine.name] = Guest(
            machine: machine, state: paused ? .paused : .running, reason: .requested, since: chance.now(), console: earlier)
        broadcast.send(.started(name: machine.name))
        if !paused { boot(machine.name) }
    }

    public func resume(_ name: String) async throws(Fault) {
        try await enter(.resume, name)
        guard try running(name).state == .paused else { return }
        let fresh = try running(name).console.isEmpty
        move(name, to: .running, .requested)
        broadcast.send(.resumed(name: name))
        if fresh { boot(name) }
    }

    public func pause(_ name: String) async throws(Fault) {
        try await enter(.pause, name)
        guard try running(name).state == .running else { return }
        move(name, to: .paused, .requested)
        broadcast.send(.paused(name: name, reason: .requested))
    }

    public func shutdown(_ name: String) async throws(Fault) {
        try await enter(.shutdown, name)
        _ = try running(name)
        if behaviour.obeysPowerButton { end(name, .guestPoweredOff) }
    }

    public func reboot(_ name: String, hard: Bool) async throws(Fault) {
        try await enter(.reboot, name)
        _ = try running(name)
        guard hard || behaviour.obeysPowerButton else { return }
        guests[name]?.reboots += 1
        broadcast.send(.rebooted(name: name))
        boot(name)
    }

    public func destroy(_ name: String) async throws(Fault) {
        try await enter(.destroy, name)
        if let guest = guests[name], guest.state != .off { end(name, .destroyed) }
    }

    public func discard(_ name: String) async throws(Fault) {
        try await enter(.discard, name)
        guard let guest = guests[name] else { return }
        guard guest.state == .off else { throw Fault(.wrongState, "\(name) runs", kind: .instance) }
        guests[name] = nil
    }

    public func list(only name: String?) async throws(Fault) -> [MachineStatus] {
        try await enter(.list, name ?? "")
        let listed = name.map { [guests[$0]].compactMap(\.self) } ?? Array(guests.values)
        return listed.map { guest in
            MachineStatus(
                name: guest.machine.name, uuid: guest.machine.uuid, state: guest.state, reason: guest.reason, since: guest.since,
                metadata: guest.machine.metadata)
        }.sorted { $0.name < $1.name }
    }

    public func events() -> AsyncStream<MachineEvent> { broadcast.stream() }

    public func statistics(of name: String) async throws(Fault) -> MachineStatistics {
        try await enter(.statistics, name)
        let guest = try running(name)
        let age = chance.now() - guest.since
        return MachineStatistics(
            cpuTimeNanoseconds: UInt64(max(0, age.components.seconds)) * 10_000_000, residentMemory: guest.machine.memory)
    }

    public func consoleOutput(of name: String, limit: Int) async throws(Fault) -> [UInt8] {
        try await enter(.consoleOutput, name)
        guard let guest = guests[name] else { throw Fault(.notFound, "there is no machine \(name)", kind: .instance) }
        return Array(guest.console.suffix(max(0, min(limit, consoleOutputBytesMax))))
    }

    public func sockets(of name: String) async throws(Fault) -> MachineSockets {
        throw Fault(.notSupported, "a simulated machine has no sockets", kind: .instance)
    }

    public func run() async {
        do { while true { try await Task.sleep(for: .seconds(3600)) } } catch {}
    }

    // MARK: What guests and the host do by themselves

    /// The guest powers itself off.
    public func guestPowersOff(_ name: String) throws(Fault) {
        _ = try running(name)
        end(name, .guestPoweredOff)
    }

    /// QEMU dies.
    public func crash(_ name: String) throws(Fault) {
        _ = try running(name)
        end(name, .crashed)
    }

    /// A disk fails: the machine pauses until it is resumed.
    public func diskFails(_ name: String, device: String) throws(Fault) {
        _ = try running(name)
        move(name, to: .paused, .diskError)
        broadcast.send(.diskError(name: name, device: device, reason: ""))
        broadcast.send(.paused(name: name, reason: .diskError))
    }

    /// The guest writes to its serial port; the last 64 KiB are kept.
    public func guestWrites(_ name: String, _ text: String) throws(Fault) {
        _ = try running(name)
        append(name, text)
    }

    /// The host reboots: nothing runs, nothing said so.
    public func loseEverything() {
        guests = [:]
        memoryUsed = .zero
        broadcast.send(.lost)
    }

    /// How often the machine was rebooted since its start.
    public func reboots(of name: String) -> Int { guests[name]?.reboots ?? 0 }

    // MARK: Inside

    private func enter(_ call: Call, _ name: String = "") async throws(Fault) {
        let latency = behaviour.latency(call)
        if latency > .zero {
            do { try await Task.sleep(for: latency) } catch { throw Fault(.cancelled, "the call was cancelled") }
        }
        if let fault = behaviour.fault(call, name) { throw fault }
    }

    private func running(_ name: String) throws(Fault) -> Guest {
        guard let guest = guests[name], guest.state != .off else {
            throw Fault(.notFound, "no machine \(name) runs", kind: .instance)
        }
        return guest
    }

    private func move(_ name: String, to state: MachineStatus.State, _ reason: MachineStatus.Reason) {
        guests[name]?.state = state
        guests[name]?.reason = reason
        guests[name]?.since = chance.now()
    }

    private func end(_ name: String, _ reason: MachineStatus.Reason) {
        if let guest = guests[name], guest.state != .off { memoryUsed = memoryUsed - guest.machine.memory }
        move(name, to: .off, reason)
        broadcast.send(.stopped(name: name, reason: reason))
    }

    private func boot(_ name: String) { append(name, "\(name) login: \r\n") }

    private func append(_ name: String, _ text: String) {
        guard let guest = guests[name] else { return }
        guests[name]?.console = Array((guest.console + Array(text.utf8)).suffix(consoleOutputBytesMax))
    }
}
