//  Machines. What is wanted and what is observed are apart; each face's state word is one pure
//  table over them.

/// A virtual machine, with the facts of its type and image as they were at launch.
public struct Instance: Identified, Sendable, Hashable {
    public static let kind = Kind.instance

    public var id: ID<Instance>
    public var account: ID<Account>
    public var zone: ID<Zone>
    public var reservation: ID<Reservation>
    public var launchIndex: Int64
    public var desired: Desired
    /// As its current host reported last.
    public var power: Power
    public var task: Task?
    /// Why it stopped or failed: `code: sentence` in EC2's form.
    public var fault: String?
    public var type: String
    public var processors: Int64
    public var memory: ByteCount
    public var image: ID<Image>
    public var kernel: ID<Image>?
    public var ramdisk: ID<Image>?
    public var keyName: String?
    public var router: ID<Router>?
    public var subnet: ID<Subnet>?
    public var startsWanted: Int64
    public var rebootsWanted: Int64
    public var options: Options
    public var clientToken: String?
    /// The last start.
    public var launched: Instant
    public var stateChanged: Instant
    /// When it was gone; its row is kept for a while after.
    public var ended: Instant?
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<Instance>, account: ID<Account>, zone: ID<Zone>, reservation: ID<Reservation>, launchIndex: Int64, desired: Desired,
        power: Power, task: Task?, fault: String?, type: String, processors: Int64, memory: ByteCount, image: ID<Image>,
        kernel: ID<Image>?, ramdisk: ID<Image>?, keyName: String?, router: ID<Router>?, subnet: ID<Subnet>?, startsWanted: Int64,
        rebootsWanted: Int64, options: Options, clientToken: String?, launched: Instant, stateChanged: Instant,
        ended: Instant?, created: Instant, revision: Int64
    ) {
        self.id = id
        self.account = account
        self.zone = zone
        self.reservation = reservation
        self.launchIndex = launchIndex
        self.desired = desired
        self.power = power
        self.task = task
        self.fault = fault
        self.type = type
        self.processors = processors
        self.memory = memory
        self.image = image
        self.kernel = kernel
        self.ramdisk = ramdisk
        self.keyName = keyName
        self.router = router
        self.subnet = subnet
        self.startsWanted = startsWanted
        self.rebootsWanted = rebootsWanted
        self.options = options
        self.clientToken = clientToken
        self.launched = launched
        self.stateChanged = stateChanged
        self.ended = ended
        self.created = created
        self.revision = revision
    }
}

extension Instance {
    public enum Desired: String, Sendable, Hashable, Codable { case running, stopped, absent }

    /// What a host says of a machine. `unknown` until the first report.
    public enum Power: String, Sendable, Hashable, Codable { case unknown, running, paused, off, failed, absent }

    /// What is being done now.
    public enum Task: String, Sendable, Hashable, Codable { case launching, starting, stopping, terminating }

    /// What a face may change and no query looks into.
    public struct Options: Sendable, Hashable, Codable {
        public var disableTermination = false
        public var disableStop = false
        /// Whether a machine that powers itself off is removed.
        public var terminateOnShutdown = false
        public var monitoring = false
        public var metadataEnabled = true
        public var metadataTokensRequired = false
        public var metadataHopLimit = 1
        public var metadataTags = false
        public var ebsOptimized = false

        public init() {}
    }
}

extension Instance {
    /// Where a machine is in its life, over what is wanted, done and observed. Faces have their
    /// own words for it.
    public enum Phase: String, Sendable, Hashable, CaseIterable {
        case launching, running, stopping, stopped, starting, terminating, gone
    }

    public var phase: Phase { ended == nil ? Instance.phase(desired: desired, power: power, task: task) : .gone }

    /// The phase of a machine that is not gone.
    public static func phase(desired: Desired, power: Power, task: Task?) -> Phase {
        switch (desired, task) {
        case (.absent, _): return .terminating
        case (_, .terminating): return .terminating
        case (_, .launching): return .launching
        case (_, .starting): return .starting
        case (_, .stopping): return .stopping
        case (.stopped, nil): return .stopped
        // It powered itself off, and that is not yet acted on.
        case (.running, nil): return power == .off || power == .failed ? .stopping : .running
        }
    }
}

/// One call that launched machines.
public enum Reservation: Identified {
    public static let kind = Kind.reservation
}
