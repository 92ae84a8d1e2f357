//  The supervisor's thread: spawns, polls, reaps, rotates, and writes the status file.

import CLinux
import Logging
import Model
import Platform
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The descriptor on which this process's signals arrive, once asked for.
final class SignalPipe: Sendable {
    private let opened = Mutex<Int32?>(nil)

    var descriptor: [Int32] { opened.withLock { $0.map { [$0] } ?? [] } }

    func open(_ numbers: [Int32]) throws(Fault) {
        let descriptor = karri_signals_to_pipe(numbers, numbers.count)
        guard descriptor >= 0 else { throw Fault(.internalError, "signals are taken: \(systemError())") }
        opened.withLock { $0 = descriptor }
    }
}

/// What runs on the thread. Its one long call never suspends, so its state is the thread's own.
actor SupervisorLoop {
    private let executor = BlockingExecutor(name: "supervisor")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let installation: Installation
    private let specifications: [ChildSpecification]
    private let rotation: LogRotation
    private let chance: Chance
    private let logger: Logger
    private let wake: WakePipe
    private let changed: @Sendable (SupervisorStatus) -> Void
    private let groups: ControlGroups
    private var supervision: Supervision
    private var sockets = SocketStock()
    private var running: [Int: ChildProcess] = [:]
    private var readyPipes: [Int: Int32] = [:]
    private var shown: SupervisorStatus?
    private let beginning = ContinuousClock.now

    init(
        _ installation: Installation, _ specifications: [ChildSpecification], policy: RestartPolicy, rotation: LogRotation,
        chance: Chance, logger: Logger, wake: WakePipe, changed: @escaping @Sendable (SupervisorStatus) -> Void
    ) {
        self.installation = installation
        self.specifications = specifications
        self.rotation = rotation
        self.chance = chance
        self.logger = logger
        self.wake = wake
        self.changed = changed
        groups = .ofThisHost(mark: installation.mark)
        supervision = Supervision(specifications, policy: policy)
    }

    func run() throws(Fault) {
        let lock = try LockFile(installation.supervisorLock)
        defer { lock.release() }
        _ = karri_become_subreaper()
        try endStrays()
        try sockets.open(specifications)
        defer { sockets.close() }
        while true {
            supervision.advance(at: now).forEach(perform)
            publish()
            if supervision.isFinished { break }
            waitForEvents()
            takeEvents()
        }
        if let failure = supervision.failure { throw failure }
    }

    private var now: Duration { ContinuousClock.now - beginning }

    /// Ends the children of a supervisor that was killed: two controls would be two writers.
    private func endStrays() throws(Fault) {
        guard let status = try SupervisorStatus.read(installation.supervisorStatus) else { return }
        for child in status.children.reversed() {
            guard let process = child.process, process.isAlive else { continue }
            logger.notice(
                "ends a process of an earlier supervisor", metadata: ["process": "\(child.name)", "pid": "\(process.pid)"])
            let patience = specifications.first { $0.name == child.name }?.stopWithin ?? .seconds(10)
            try process.end(within: patience)
        }
    }

    private func perform(_ action: Supervision.Action) {
        switch action {
        case .spawn(let index): spawn(index)
        case .terminate(let index): signal(index, SIGTERM)
        case .kill(let index): signal(index, SIGKILL)
        }
    }

    private func signal(_ index: Int, _ number: Int32) {
        guard let child = running[index] else { return }
        logger.info("signals a process", metadata: ["process": "\(specifications[index].name)", "signal": "\(number)"])
        _ = karri_process_signal(child.watch, number)
    }

    private func spawn(_ index: Int) {
        let specification = specifications[index]
        do throws(Fault) {
            var inherited = try sockets.inherited(by: specification)
            defer { for descriptor in inherited.closing { close(descriptor) } }
            if specification.readiness == .announced {
                let ends = try pipe()
                readyPipes[index] = ends.reading
                inherited.add(Inheritance.readyVariable, ends.writing, closesAfterwards: true)
            }
            let joined = joinable(specification)
            defer { for descriptor in joined { close(descriptor) } }
            running[index] = try ChildProcess(specification, inherited: inherited.entries, controlGroups: joined)
            if specification.readiness == .started { supervision.handle(.becameReady(index), at: now) }
        } catch {
            closeReadyPipe(index)
            logger.error("a process could not be started", metadata: ["process": "\(specification.name)", "fault": "\(error)"])
            supervision.handle(.ended(index, .notStarted(error.message)), at: now)
        }
    }

    /// Limits that the host cannot hold are no reason not to run: it is said in the log.
    private func joinable(_ specification: ChildSpecification) -> [Int32] {
        guard specification.limits.memoryBytes != nil || specification.limits.tasks != nil else { return [] }
        let (descriptors, unheld) = groups.open(specification.name, specification.limits)
        for reason in unheld {
            logger.warning("a limit is not held", metadata: ["process": "\(specification.name)", "reason": "\(reason)"])
        }
        return descriptors
    }

    private func pipe() throws(Fault) -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard karri_pipe(&ends) == 0 else { throw Fault(.internalError, "no pipe: \(systemError())") }
        return (ends[0], ends[1])
    }

    private func closeReadyPipe(_ index: Int) {
        if let descriptor = readyPipes.removeValue(forKey: index) { close(descriptor) }
    }

    /// Until something happens, the next deadline, or a second, in which logs may have grown.
    private func waitForEvents() {
        var limit = Duration.seconds(1)
        if let deadline = supervision.nextDeadline { limit = min(limit, deadline - now) }
        if supervision.children.indices.contains(where: awaitsSocket) { limit = min(limit, .milliseconds(20)) }
        let watched = wake.descriptors + running.values.map(\.watch) + readyPipes.values
        var entries = watched.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let milliseconds = Int32(clamping: limit / .milliseconds(1) < 0 ? 0 : Int((limit / .milliseconds(1)).rounded(.up)))
        _ = poll(&entries, nfds_t(entries.count), milliseconds)
    }

    private func awaitsSocket(_ index: Int) -> Bool {
        guard case .starting = supervision.children[index].phase, case .socket = specifications[index].readiness else {
            return false
        }
        return running[index] != nil
    }

    private func takeEvents() {
        if wake.drain() { supervision.handle(.stop, at: now) }
        for (index, descriptor) in readyPipes { takeReadiness(index, descriptor) }
        for index in supervision.children.indices where awaitsSocket(index) {
            if case .socket(let path) = specifications[index].readiness, SocketStock.answers(path) {
                supervision.handle(.becameReady(index), at: now)
            }
        }
        for (index, child) in running {
            guard let exit = child.takeExit() else { continue }
            running[index] = nil
            closeReadyPipe(index)
            logger.notice("a process \(exit)", metadata: ["process": "\(specifications[index].name)", "pid": "\(child.pid)"])
            supervision.handle(.ended(index, exit), at: now)
        }
        ChildProcess.reapOrphans()
        rotateLogs()
    }

    private func takeReadiness(_ index: Int, _ descriptor: Int32) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 0) > 0 else { return }
        var byte: UInt8 = 0
        if read(descriptor, &byte, 1) == 1 { supervision.handle(.becameReady(index), at: now) }
        closeReadyPipe(index)
    }

    private func rotateLogs() {
        for path in Set(specifications.compactMap(\.log)) {
            do throws(Fault) {
                try rotation.rotate(path)
            } catch {
                logger.warning("a log could not be rotated", metadata: ["fault": "\(error)"])
            }
        }
    }

    /// Tells the world when something about it changed.
    private func publish() {
        let known = Dictionary((shown?.children ?? []).map { ($0.name, $0) }) { first, _ in first }
        let children = supervision.children.enumerated().map { index, child -> SupervisorStatus.Child in
            let identity = running[index].flatMap { identify($0, known[child.name]?.process) }
            let next = SupervisorStatus.Child(
                name: child.name, state: child.phase.shown, process: identity, since: chance.now(), restarts: child.restarts,
                lastExit: child.lastExit)
            guard let before = known[child.name], before.state == next.state, before.process == next.process else { return next }
            var same = next
            same.since = before.since
            return same
        }
        let status = SupervisorStatus(supervisor: .own, children: children, failure: supervision.failure?.message)
        guard status != shown else { return }
        shown = status
        do throws(Fault) {
            try status.write(installation.supervisorStatus)
        } catch {
            logger.warning("the status could not be written", metadata: ["fault": "\(error)"])
        }
        changed(status)
    }

    private func identify(_ child: ChildProcess, _ known: ProcessIdentity?) -> ProcessIdentity? {
        known?.pid == child.pid ? known : child.identity
    }
}

extension Supervision.Phase {
    fileprivate var shown: SupervisorStatus.Child.State {
        switch self {
        case .waiting: .waiting
        case .starting: .starting
        case .ready: .ready
        case .pausing: .pausing
        case .givenUp, .stopping, .killed: .stopping
        case .stopped: .stopped
        }
    }
}
