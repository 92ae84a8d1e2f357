//  What is: states, events, figures and capacity as a hypervisor reports them.

import Model

/// A machine as the hypervisor finds it.
public struct MachineStatus: Sendable, Hashable, Codable {
    public enum State: String, Sendable, Hashable, Codable, CaseIterable {
        case running, paused
        /// On its way out: asked to power off, or being torn down.
        case shuttingDown
        /// Not running; only its folder (log, last reason) is left until it is discarded.
        case off
    }

    /// Why it is in that state, as far as anyone saw.
    public enum Reason: String, Sendable, Hashable, Codable, CaseIterable {
        case unknown
        /// Started, resumed or paused because the owner said so.
        case requested
        /// The guest powered itself off (or followed the power button).
        case guestPoweredOff
        case destroyed
        /// QEMU died, or the guest panicked.
        case crashed
        case failedToStart
        /// Paused because a disk failed under `onError: .stop`; resume when the disk is back.
        case diskError
        case migrated
    }

    public var name: String
    public var uuid: String
    public var state: State
    public var reason: Reason
    /// When it began to be so, where this driver saw it.
    public var since: Instant?
    /// What `Machine.metadata` held at its start.
    public var metadata: [String: String]

    public init(
        name: String, uuid: String, state: State, reason: Reason, since: Instant? = nil, metadata: [String: String] = [:]
    ) {
        self.name = name
        self.uuid = uuid
        self.state = state
        self.reason = reason
        self.since = since
        self.metadata = metadata
    }
}

/// Something happened to a machine. Events say when to look; `list()` says what is.
public enum MachineEvent: Sendable, Hashable {
    case started(name: String)
    case resumed(name: String)
    case paused(name: String, reason: MachineStatus.Reason)
    case stopped(name: String, reason: MachineStatus.Reason)
    case rebooted(name: String)
    /// A disk failed; `device` is the hypervisor's name for it, counted in the order of `Machine.disks`
    /// ("virtio-disk0" is the first). `reason` is "enospc" when
    /// the host's disk is full.
    case diskError(name: String, device: String, reason: String)
    /// Events may have been missed (the hypervisor went away, or the reader was slow): list again.
    case lost
}

/// What a machine has used since it was started.
public struct MachineStatistics: Sendable, Hashable, Codable {
    public var cpuTimeNanoseconds: UInt64
    /// The QEMU process's resident memory.
    public var residentMemory: ByteCount
    /// Over all disks.
    public var bytesRead: Int64
    public var bytesWritten: Int64
    public var readOperations: Int64
    public var writeOperations: Int64

    public init(
        cpuTimeNanoseconds: UInt64 = 0, residentMemory: ByteCount = .zero, bytesRead: Int64 = 0, bytesWritten: Int64 = 0,
        readOperations: Int64 = 0, writeOperations: Int64 = 0
    ) {
        self.cpuTimeNanoseconds = cpuTimeNanoseconds
        self.residentMemory = residentMemory
        self.bytesRead = bytesRead
        self.bytesWritten = bytesWritten
        self.readOperations = readOperations
        self.writeOperations = writeOperations
    }
}

/// What a host has for machines, and what it can hold them to.
public struct HostCapacity: Sendable, Hashable, Codable {
    public var cpus: Int
    public var memory: ByteCount
    public var accelerator: Machine.Accelerator
    /// Why that accelerator: what the probe saw.
    public var acceleratorReason: String
    /// The limits of `Machine.Limits` that this host cannot hold, each with the reason.
    public var unheldLimits: [String: String]
    /// The hypervisor's name and version, for people.
    public var hypervisor: String

    public init(
        cpus: Int, memory: ByteCount, accelerator: Machine.Accelerator, acceleratorReason: String = "",
        unheldLimits: [String: String] = [:], hypervisor: String
    ) {
        self.cpus = cpus
        self.memory = memory
        self.accelerator = accelerator
        self.acceleratorReason = acceleratorReason
        self.unheldLimits = unheldLimits
        self.hypervisor = hypervisor
    }
}

/// Where a machine's streams are: Unix sockets of the host, which only root and the guest's uid open.
public struct MachineSockets: Sendable, Hashable, Codable {
    /// The serial console, both ways; one reader at a time.
    public var console: String
    /// VNC (RFB).
    public var display: String
    /// The guest agent's JSON lines. What comes out of it is a tenant's bytes.
    public var agent: String

    public init(console: String, display: String, agent: String) {
        self.console = console
        self.display = display
        self.agent = agent
    }
}
