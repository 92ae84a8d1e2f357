//  The seam between the node controller and whatever runs machines. Two drivers stand behind it:
//  LibvirtHypervisor, and SimulatedHypervisor for clouds of thousands of machines on a laptop.

import Model

/// Starts, stops and watches machines on one host.
///
/// Calls name a machine. They may be repeated: what is already so is no error, except that starting
/// a machine which runs is `Fault.alreadyExists`. A machine that does not run is `Fault.notFound`
/// for calls that need one.
public protocol HypervisorDriver: Sendable {
    /// Makes the driver usable: starts what it needs and fills slow caches, seconds at the first time.
    func prepare() async throws(Fault)

    /// What the host has in all, not what is free.
    func capacity() async throws(Fault) -> HostCapacity

    /// Creates the machine, with its folder, and runs it unless `paused`. A failure leaves nothing
    /// running.
    func start(_ machine: Machine, paused: Bool) async throws(Fault)

    /// Lets a paused machine run.
    func resume(_ name: String) async throws(Fault)

    /// Holds a machine still.
    func pause(_ name: String) async throws(Fault)

    /// Presses the power button; a guest may ignore it.
    func shutdown(_ name: String) async throws(Fault)

    /// `hard` resets at once; else the guest is asked, and comes back when it has shut down.
    func reboot(_ name: String, hard: Bool) async throws(Fault)

    /// Ends the machine now. Its folder stays, so that the console can still be read.
    func destroy(_ name: String) async throws(Fault)

    /// Removes what is kept of a machine that is off. `Fault.wrongState` if it runs.
    func discard(_ name: String) async throws(Fault)

    /// Machines that run, and those that are off and not discarded.
    ///
    /// - Parameter name: Of the one to look for; nil: all.
    func list(only name: String?) async throws(Fault) -> [MachineStatus]

    /// What happens from now on, for as long as the stream is kept: bounded, oldest dropped, and then
    /// `.lost` is said.
    func events() async -> AsyncStream<MachineEvent>

    func statistics(of name: String) async throws(Fault) -> MachineStatistics

    /// The last bytes that the machine wrote to its serial port, also of one that is off. They are a
    /// tenant's bytes.
    ///
    /// - Parameter limit: At most this many, and never more than 64 KiB.
    func consoleOutput(of name: String, limit: Int) async throws(Fault) -> [UInt8]

    func sockets(of name: String) async throws(Fault) -> MachineSockets

    /// Keeps the driver well (reconnects to a hypervisor that went away) until the task is cancelled.
    func run() async
}

extension HypervisorDriver {
    /// All machines.
    public func list() async throws(Fault) -> [MachineStatus] { try await list(only: nil) }

    /// One machine; nil when there is none of that name.
    public func status(of name: String) async throws(Fault) -> MachineStatus? { try await list(only: name).first }
}

/// The most bytes of console output that are given at once, as EC2's GetConsoleOutput does.
public let consoleOutputBytesMax = 64 << 10
