//  What the supervisor is told about a process that it keeps running: the program, who it runs as,
//  what it may use, what it inherits, and when it counts as up.

/// A user of the host with exactly these groups.
public struct RunAs: Sendable, Hashable, Codable {
    public var user: UInt32
    public var group: UInt32
    public var supplementary: [UInt32]

    public init(user: UInt32, group: UInt32, supplementary: [UInt32] = []) {
        self.user = user
        self.group = group
        self.supplementary = supplementary
    }
}

/// The most that one process, or with the last two it and its descendants, may take. Nil leaves
/// what the supervisor itself has.
public struct ResourceLimits: Sendable, Hashable, Codable {
    public var openFiles: UInt64?
    /// The size of a core dump in bytes: 0 unless asked for, because memory holds secrets.
    public var coreBytes: UInt64?
    /// Resident memory, by a control group. A host without a writable one holds no such limit.
    public var memoryBytes: UInt64?
    /// Processes and threads, by a control group.
    public var tasks: UInt64?

    public init(openFiles: UInt64? = nil, coreBytes: UInt64? = 0, memoryBytes: UInt64? = nil, tasks: UInt64? = nil) {
        self.openFiles = openFiles
        self.coreBytes = coreBytes
        self.memoryBytes = memoryBytes
        self.tasks = tasks
    }
}

/// When a started process counts as up.
public enum Readiness: Sendable, Hashable, Codable {
    /// As soon as its program runs.
    case started
    /// When it calls `Inheritance.announceReady()`.
    case announced
    /// When something listens on this Unix socket.
    case socket(String)
}

/// A socket that a child finds open, under the name that it asks `Inheritance` for.
public struct InheritedSocket: Sendable, Hashable, Codable {
    public enum Origin: Sendable, Hashable, Codable {
        /// A Unix stream socket listening at this path, opened once by the supervisor and kept
        /// over restarts: whoever dials while the child is away waits instead of being refused.
        case listener(path: String, mode: UInt32, owner: RunAs?)
        /// A connection to a `listener`, dialed anew by the supervisor at each start of the child.
        case connection(to: String)
    }
    public var name: String
    public var origin: Origin

    public init(name: String, origin: Origin) {
        self.name = name
        self.origin = origin
    }
}

/// A process to keep running.
public struct ChildSpecification: Sendable, Hashable {
    /// Letters, digits and hyphens; unique. Names the log and the control group.
    public var name: String
    /// An absolute path.
    public var program: String
    /// Without the program's own name.
    public var arguments: [String]
    /// The whole environment; nothing is passed on from the supervisor's.
    public var environment: [String: String]
    /// Nil: as the supervisor.
    public var runAs: RunAs?
    public var limits: ResourceLimits
    public var folder: String
    /// Both outputs are appended here; nil for /dev/null.
    public var log: String?
    public var sockets: [InheritedSocket]
    public var readiness: Readiness
    /// A process that is not up by then is killed and started anew.
    public var readyWithin: Duration
    /// From SIGTERM to SIGKILL.
    public var stopWithin: Duration
    /// Whether the kernel sends SIGTERM when the supervisor dies.
    public var endsWithSupervisor: Bool

    public init(
        name: String, program: String, arguments: [String] = [], environment: [String: String] = [:], runAs: RunAs? = nil,
        limits: ResourceLimits = ResourceLimits(), folder: String = "/", log: String? = nil, sockets: [InheritedSocket] = [],
        readiness: Readiness = .started, readyWithin: Duration = .seconds(30), stopWithin: Duration = .seconds(10),
        endsWithSupervisor: Bool = true
    ) {
        self.name = name
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.runAs = runAs
        self.limits = limits
        self.folder = folder
        self.log = log
        self.sockets = sockets
        self.readiness = readiness
        self.readyWithin = readyWithin
        self.stopWithin = stopWithin
        self.endsWithSupervisor = endsWithSupervisor
    }
}

/// How long to wait before a process that ended is started again.
public struct RestartPolicy: Sendable, Hashable {
    /// Before the first restart; doubled for each further one.
    public var firstPause: Duration
    public var longestPause: Duration
    /// A process that was up for so long starts again from `firstPause`.
    public var healthyAfter: Duration
    /// A process that fails so often without ever having been up ends the whole.
    public var startFailuresMax: Int

    public init(
        firstPause: Duration = .milliseconds(200), longestPause: Duration = .seconds(30), healthyAfter: Duration = .seconds(60),
        startFailuresMax: Int = 5
    ) {
        self.firstPause = firstPause
        self.longestPause = longestPause
        self.healthyAfter = healthyAfter
        self.startFailuresMax = startFailuresMax
    }

    /// The pause after so many failures in a row, the first being 1.
    func pause(afterFailures failures: Int) -> Duration {
        var pause = firstPause
        for _ in 1..<max(failures, 1) where pause < longestPause { pause = pause * 2 }
        return min(pause, longestPause)
    }
}
