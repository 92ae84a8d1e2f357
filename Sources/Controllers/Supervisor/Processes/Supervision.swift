//  The supervisor's decisions, apart from processes and clocks: events and the time go in, actions
//  come out. Children start in order, each when those before it were up once; they stop in the
//  opposite order; what ends by itself is started again after a growing pause.

import Model

/// How a process ended.
public enum ChildExit: Sendable, Hashable, Codable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)
    /// It never became the program; the text says what failed.
    case notStarted(String)
    /// It is gone, but something else took the kernel's word about it.
    case unknown(String)

    public var description: String {
        switch self {
        case .code(let code): "ended with status \(code)"
        case .signal(let signal): "was ended by signal \(signal)"
        case .notStarted(let reason): "could not be started: \(reason)"
        case .unknown(let reason): "ended, it is not known how: \(reason)"
        }
    }
}

/// The state machine of one run over all children. Times are spans since its beginning.
struct Supervision: Equatable {
    enum Phase: Equatable {
        /// Those before it were not up yet.
        case waiting
        /// Told to be spawned, or spawned and not yet up.
        case starting(killAt: Duration)
        case ready(since: Duration)
        /// Killed because it was not up in time; not gone yet.
        case givenUp
        case pausing(until: Duration)
        /// Told to stop.
        case stopping(killAt: Duration)
        case killed
        case stopped
    }

    struct Child: Equatable {
        var name: String
        var readyWithin: Duration
        var stopWithin: Duration
        var phase = Phase.waiting
        var wasReady = false
        var failuresInARow = 0
        var restarts = 0
        var lastExit: ChildExit?
    }

    enum Event: Equatable {
        case becameReady(Int)
        case ended(Int, ChildExit)
        case stop
    }

    enum Action: Equatable {
        case spawn(Int)
        case terminate(Int)
        case kill(Int)
    }

    private(set) var children: [Child]
    let policy: RestartPolicy
    private(set) var isStopping = false
    /// Why the whole ends, unless it was told to.
    private(set) var failure: Fault?

    init(_ specifications: [ChildSpecification], policy: RestartPolicy) {
        children = specifications.map { Child(name: $0.name, readyWithin: $0.readyWithin, stopWithin: $0.stopWithin) }
        self.policy = policy
    }

    var isFinished: Bool { isStopping && children.allSatisfy { $0.phase == .stopped } }
    var isReady: Bool { children.allSatisfy { if case .ready = $0.phase { true } else { false } } }

    mutating func handle(_ event: Event, at now: Duration) {
        switch event {
        case .becameReady(let index):
            guard case .starting = children[index].phase else { return }
            children[index].phase = .ready(since: now)
            children[index].wasReady = true
        case .ended(let index, let exit):
            ended(index, exit, at: now)
        case .stop:
            isStopping = true
        }
    }

    private mutating func ended(_ index: Int, _ exit: ChildExit, at now: Duration) {
        if case .ready(let since) = children[index].phase, now - since >= policy.healthyAfter {
            children[index].failuresInARow = 0
        }
        children[index].lastExit = exit
        if isStopping {
            children[index].phase = .stopped
            return
        }
        children[index].failuresInARow += 1
        let child = children[index]
        children[index].phase = .pausing(until: now + policy.pause(afterFailures: child.failuresInARow))
        if !child.wasReady, child.failuresInARow >= policy.startFailuresMax {
            failure = Fault(
                .unavailable, "\(child.name) did not come up in \(child.failuresInARow) attempts; it \(exit) the last time")
            isStopping = true
        }
    }

    /// What is due at `now`. Each action is returned once.
    mutating func advance(at now: Duration) -> [Action] {
        isStopping ? stopNext(at: now) : startAndWatch(at: now)
    }

    private mutating func startAndWatch(at now: Duration) -> [Action] {
        var actions: [Action] = []
        for index in children.indices {
            switch children[index].phase {
            case .waiting where children[..<index].allSatisfy(\.wasReady):
                actions.append(start(index, at: now))
            case .pausing(let until) where until <= now:
                children[index].restarts += 1
                actions.append(start(index, at: now))
            case .starting(let killAt) where killAt <= now:
                children[index].phase = .givenUp
                actions.append(.kill(index))
            default:
                break
            }
        }
        return actions
    }

    private mutating func start(_ index: Int, at now: Duration) -> Action {
        children[index].phase = .starting(killAt: now + children[index].readyWithin)
        return .spawn(index)
    }

    private mutating func stopNext(at now: Duration) -> [Action] {
        for index in children.indices.reversed() {
            switch children[index].phase {
            case .waiting, .pausing:
                children[index].phase = .stopped
            case .starting, .ready:
                children[index].phase = .stopping(killAt: now + children[index].stopWithin)
                return [.terminate(index)]
            case .stopping(let killAt) where killAt <= now:
                children[index].phase = .killed
                return [.kill(index)]
            case .stopping, .killed, .givenUp:
                return []
            case .stopped:
                break
            }
        }
        return []
    }

    /// When `advance` has something to do even if nothing happens, or nil. While stopping, what a
    /// child was to do otherwise is no deadline: nobody acts on it, and its passing would end each wait
    /// at once.
    var nextDeadline: Duration? {
        children.compactMap { child in
            switch child.phase {
            case .stopping(let killAt): killAt
            case .starting(let killAt) where !isStopping: killAt
            case .pausing(let until) where !isStopping: until
            default: nil
            }
        }.min()
    }
}
