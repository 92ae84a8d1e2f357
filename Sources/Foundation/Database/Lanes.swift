//  A fixed set of connections, each with a thread of its own, and one bounded queue before them.
//  Blocking C never runs on the cooperative pool, but for a short read that borrows a free one.

import Dispatch
import Model
import Synchronization

/// Connections that are used by one thread at a time.
final class Lanes<Resource>: Sendable {
    typealias Work = @Sendable (Resource) -> Void

    /// `@unchecked`: its resource is touched only by who took the lane out of `free`, and the mutex
    /// orders one holder after the other.
    private final class Lane: @unchecked Sendable {
        let resource: Resource
        let thread: DispatchQueue

        init(_ resource: Resource, _ thread: DispatchQueue) {
            self.resource = resource
            self.thread = thread
        }
    }

    private struct State {
        var free: [Lane]
        var waiting = Fifo<Work>()
        var isClosed = false
        var closing: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>
    private let count: Int
    private let waitingMax: Int

    init(_ name: String, _ resources: [Resource], waitingMax: Int) {
        let lanes = resources.enumerated().map { Lane($1, DispatchQueue(label: "\(name).\($0)")) }
        state = Mutex(State(free: lanes))
        self.waitingMax = waitingMax
        count = resources.count
    }

    /// Runs `work` on a lane's thread, now or when one is free.
    func submit(_ work: @escaping Work) throws(Fault) {
        let lane: Result<Lane?, Fault> = state.withLock { state in
            if state.isClosed { return .failure(.storeIsClosed) }
            if let lane = state.free.popLast() { return .success(lane) }
            guard state.waiting.count < waitingMax else { return .failure(.storeIsBusy) }
            state.waiting.append(work)
            return .success(nil)
        }
        guard let lane = try lane.get() else { return }
        start(work, on: lane)
    }

    /// Runs `body` on this thread if a lane is free and nobody waits; else nil.
    func borrow<T>(_ body: (Resource) -> T) throws(Fault) -> T? {
        let borrowed: Result<Lane?, Fault> = state.withLock { state in
            state.isClosed ? .failure(.storeIsClosed) : .success(state.free.popLast())
        }
        guard let lane = try borrowed.get() else { return nil }
        let result = body(lane.resource)
        if let next = release(lane) { start(next, on: lane) }
        return result
    }

    /// Refuses what comes, waits until all lanes are free, then gives each resource to `dispose`.
    func close(_ dispose: (Resource) -> Void) async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                state.isClosed = true
                if state.free.count < count { state.closing.append(continuation) }
                return state.free.count == count
            }
            if isIdle { continuation.resume() }
        }
        for lane in state.withLock({ $0.free }) { dispose(lane.resource) }
    }

    private func start(_ work: @escaping Work, on lane: Lane) {
        lane.thread.async {
            var work = work
            while true {
                work(lane.resource)
                guard let next = self.release(lane) else { return }
                work = next
            }
        }
    }

    /// The next work for the lane, which is free if there is none.
    private func release(_ lane: Lane) -> Work? {
        let (next, closing): (Work?, [CheckedContinuation<Void, Never>]) = state.withLock { state in
            if let next = state.waiting.popFirst() { return (next, []) }
            state.free.append(lane)
            guard state.isClosed, state.free.count == count else { return (nil, []) }
            defer { state.closing = [] }
            return (nil, state.closing)
        }
        for continuation in closing { continuation.resume() }
        return next
    }
}

/// A queue whose both ends are cheap.
struct Fifo<Element: Sendable>: Sendable {
    private var elements: [Element?] = []
    private var start = 0

    var count: Int { elements.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard start < elements.count else { return nil }
        let first = elements[start]
        elements[start] = nil
        start += 1
        // Moving the rest once in a while keeps both the cost and the waste bounded.
        if start > 32, start * 2 > elements.count {
            elements.removeFirst(start)
            start = 0
        }
        return first
    }
}
