//  Keeps the cloud's processes running: one thread waits for what happens to them, hands it to the
//  pure `Supervision`, and does what that decides. The thread is the parent of every child, which
//  the kernel tells the children apart by when it dies.

import CLinux
import Logging
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// Runs and watches a list of child processes until it is told to stop.
///
/// ```swift
/// let supervisor = try Supervisor(installation, [control, edge, node], logger: logger)
/// try supervisor.stopOnSignals()
/// try await supervisor.run()
/// ```
public final class Supervisor: Sendable {
    private let loop: SupervisorLoop
    private let wake: WakePipe

    /// - Parameters:
    ///   - specifications: In the order of their start; they stop in the opposite order.
    ///   - changed: Called on the supervisor's thread at each change; must not block.
    /// - Throws: `Fault.invalidParameter` for a list that cannot be run.
    public init(
        _ installation: Installation, _ specifications: [ChildSpecification], policy: RestartPolicy = RestartPolicy(),
        rotation: LogRotation = LogRotation(), chance: Chance = .system, logger: Logger,
        changed: @escaping @Sendable (SupervisorStatus) -> Void = { _ in }
    ) throws(Fault) {
        try Supervisor.check(specifications)
        wake = try WakePipe()
        loop = SupervisorLoop(
            installation, specifications, policy: policy, rotation: rotation, chance: chance, logger: logger, wake: wake,
            changed: changed)
    }

    /// Returns when all children have stopped after `stop`.
    ///
    /// - Throws: `Fault.inUse` if another supervisor runs this installation; `Fault.unavailable` if
    ///   a child could not be brought up, after the others were stopped.
    public func run() async throws(Fault) { try await loop.run() }

    /// Begins the orderly stop. Safe to call from anywhere and more than once.
    public func stop() { wake.write(1) }

    /// Makes SIGTERM, SIGINT and SIGHUP of this process call `stop`. Once a process.
    ///
    /// - Throws: `Fault.internalError` when called again.
    public func stopOnSignals() throws(Fault) { try wake.writeOnSignals([SIGTERM, SIGINT, SIGHUP]) }

    /// The supervisor of an installation, if one runs.
    public static func running(_ installation: Installation) -> ProcessIdentity? {
        LockFile.holder(of: installation.supervisorLock)
    }

    /// Asks the running supervisor to stop, and waits. Blocks.
    ///
    /// - Returns: False if none ran.
    /// - Throws: `Fault.timedOut` if it has not ended by then; it is not killed.
    public static func stopRunning(_ installation: Installation, within limit: Duration = .seconds(60)) throws(Fault) -> Bool {
        guard let identity = running(installation), try identity.signal(SIGTERM) else { return false }
        let end = ContinuousClock.now + limit
        while identity.isAlive {
            guard ContinuousClock.now < end else { throw Fault(.timedOut, "the supervisor, process \(identity.pid), does not end") }
            usleep(20_000)
        }
        return true
    }

    private static func check(_ specifications: [ChildSpecification]) throws(Fault) {
        guard !specifications.isEmpty, specifications.count <= 64 else {
            throw Fault(.invalidParameter, "a supervisor runs 1 to 64 processes")
        }
        guard Set(specifications.map(\.name)).count == specifications.count else {
            throw Fault(.invalidParameter, "two processes have one name")
        }
        for specification in specifications {
            let letters = specification.name.utf8.allSatisfy { isNameByte($0) }
            guard letters, (1...32).contains(specification.name.utf8.count), specification.program.hasPrefix("/") else {
                throw Fault(.invalidParameter, "\(specification.name): a process needs a plain name and an absolute program")
            }
            guard specification.sockets.count <= 32 else {
                throw Fault(.invalidParameter, "\(specification.name): a process inherits at most 32 sockets")
            }
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

extension Installation {
    /// Held by the one supervisor.
    public var supervisorLock: String { run + "/supervisor.lock" }
    /// The supervisor's `SupervisorStatus`.
    public var supervisorStatus: String { run + "/supervisor.json" }
    /// Where a process's output goes.
    public func log(of process: String) -> String { "\(logs)/\(process).log" }
}

/// A pipe whose bytes end a `poll`.
final class WakePipe: Sendable {
    private let reading: Int32
    private let writing: Int32
    private let signals = SignalPipe()

    init() throws(Fault) {
        var ends: [Int32] = [-1, -1]
        guard karri_pipe(&ends) == 0, ends.allSatisfy({ fcntl($0, F_SETFL, O_NONBLOCK) == 0 }) else {
            throw Fault(.internalError, "no pipe: \(systemError())")
        }
        reading = ends[0]
        writing = ends[1]
    }

    func write(_ byte: UInt8) {
        // A full pipe already wakes.
        var byte = byte
        _ = Glibc.write(writing, &byte, 1)
    }

    func writeOnSignals(_ numbers: [Int32]) throws(Fault) { try signals.open(numbers) }

    var descriptors: [Int32] { [reading] + signals.descriptor }

    /// Whether anything was written since the last call.
    func drain() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 64)
        var woken = false
        for descriptor in descriptors {
            while read(descriptor, &bytes, bytes.count) > 0 { woken = true }
        }
        return woken
    }

    deinit {
        close(reading)
        close(writing)
    }
}
