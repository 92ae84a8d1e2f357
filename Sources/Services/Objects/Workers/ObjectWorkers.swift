//  The object store's background work: each worker has a name, does its rounds, says how far it is, and
//  can be paused and slowed down. What an operator has said of a worker outlives the process.

import FoundationEssentials
import Model
import ObjectStorage
import Platform
import Synchronization

/// Work that is done in rounds.
public protocol ObjectWorker: Sendable {
    var name: String { get }
    /// From the end of one round to the beginning of the next, where nothing wakes it before.
    var interval: Duration { get }
    /// What wakes it; nil: nothing does.
    var wakes: AsyncStream<Void>? { get }
    /// The least time from the end of one round to the beginning of another.
    var rest: Duration { get }
    /// Does a round; it calls `step` often.
    ///
    /// - Returns: What the round did, for people.
    func round(_ progress: WorkerProgress) async throws(Fault) -> String
}

extension ObjectWorker {
    public var wakes: AsyncStream<Void>? { nil }
    public var rest: Duration { .zero }
}

/// How a worker is doing.
public struct WorkerStatus: Sendable, Hashable {
    public enum State: String, Sendable, Hashable { case idle, running, paused }

    public var name: String
    public var state: State
    public var progress: String
    /// How many rounds have ended since the process began, and what the last of them did.
    public var rounds: Int
    public var last: String
    public var lastEnded: Instant?
    /// Why the last round ended early.
    public var failure: String?
    /// Hundredths of its full speed.
    public var pace: Int
}

/// Where a worker that does a round says how far it is, and is held up.
public final class WorkerProgress: WorkProgress {
    private let current: Mutex<String>
    private let wishes: @Sendable () -> (isPaused: Bool, pace: Int)
    private let began = Mutex(ContinuousClock.now)

    /// How often a worker that is paused looks whether it still is.
    private static let pauseInterval = Duration.milliseconds(200)

    init(wishes: @escaping @Sendable () -> (isPaused: Bool, pace: Int)) {
        current = Mutex("")
        self.wishes = wishes
    }

    var text: String { current.withLock(\.self) }

    /// Notes how far the round is, and rests as long as the worker's pace wants after what it has just done.
    ///
    /// - Throws: `cancelled` when the store is being closed.
    public func step(_ text: String) async throws(Fault) {
        current.withLock { $0 = text }
        let busy = began.withLock { ContinuousClock.now - $0 }
        let pace = max(1, wishes().pace)
        do {
            if pace < 100 { try await Task.sleep(for: busy * (100 - pace) / pace) }
            while wishes().isPaused { try await Task.sleep(for: WorkerProgress.pauseInterval) }
            try Task.checkCancellation()
        } catch { throw Fault(.cancelled, "The object store is being closed.") }
        began.withLock { $0 = ContinuousClock.now }
    }
}

/// All workers of an object store.
public final class ObjectWorkers: Sendable {
    /// What the operator has said, and when a round ended: kept in a file.
    private struct Wish: Codable {
        var isPaused = false
        var pace = 100
        var lastEnded: Instant?
    }

    private struct State {
        var wishes: [String: Wish]
        var rounds: [String: Int] = [:]
        var last: [String: String] = [:]
        var failures: [String: String] = [:]
        var running: [String: WorkerProgress] = [:]
        var wakes: [String: AsyncStream<Void>.Continuation] = [:]
    }

    private let workers: [any ObjectWorker]
    private let path: String
    private let chance: Chance
    private let report: @Sendable (String, Fault) -> Void
    private let state: Mutex<State>
    /// Held while the file is written.
    private let writing = Mutex(())

    /// - Parameters:
    ///   - path: The file that wishes are kept in.
    ///   - report: Told when a worker's round fails.
    /// - Throws: `storage` where the file cannot be read.
    public init(
        _ workers: [any ObjectWorker], path: String, chance: Chance, report: @escaping @Sendable (String, Fault) -> Void
    ) throws(Fault) {
        self.workers = workers
        self.path = path
        self.chance = chance
        self.report = report
        var wishes: [String: Wish] = [:]
        if let bytes = try AtomicFile.read(path) {
            do { wishes = try JSONDecoder().decode([String: Wish].self, from: Data(bytes)) } catch {
                throw Fault(.storage, "\(path) cannot be read: mend or remove it.", because: error)
            }
        }
        state = Mutex(State(wishes: wishes))
    }

    /// Works until cancelled.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            for worker in workers {
                let (stream, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
                state.withLock { $0.wakes[worker.name] = wake }
                group.addTask { await self.run(worker, stream, wake) }
                if let wakes = worker.wakes { group.addTask { for await _ in wakes { wake.yield() } } }
            }
        }
    }

    private func run(_ worker: any ObjectWorker, _ stream: AsyncStream<Void>, _ wake: AsyncStream<Void>.Continuation) async {
        var wakes = stream.makeAsyncIterator()
        while !Task.isCancelled {
            let left = left(of: worker)
            let isWoken = await withTaskGroup(of: Void.self) { group in
                group.addTask { if (try? await Task.sleep(for: left)) != nil { wake.yield() } }
                defer { group.cancelAll() }
                return await wakes.next() != nil
            }
            // The stream ends when the task is cancelled.
            guard isWoken else { return }
            await doRound(worker)
            if worker.rest > .zero { try? await Task.sleep(for: worker.rest) }
        }
    }

    /// How long it is until a worker's next round.
    private func left(of worker: any ObjectWorker) -> Duration {
        guard let last = state.withLock({ $0.wishes[worker.name]?.lastEnded }) else { return .zero }
        return max(.zero, worker.interval - .microseconds(max(0, chance.now().microseconds - last.microseconds)))
    }

    private func doRound(_ worker: any ObjectWorker) async {
        let name = worker.name
        let progress = WorkerProgress { [self] in
            state.withLock { state in (state.wishes[name]?.isPaused ?? false, state.wishes[name]?.pace ?? 100) }
        }
        state.withLock { $0.running[name] = progress }
        var failure: Fault?
        do throws(Fault) {
            try await progress.step("begins")
            let did = try await worker.round(progress)
            state.withLock { $0.last[name] = did }
        } catch { failure = error }
        let now = chance.now()
        state.withLock { state in
            state.running[name] = nil
            state.failures[name] = failure?.message
            guard failure?.code != .cancelled else { return }
            state.rounds[name, default: 0] += 1
            state.wishes[name, default: Wish()].lastEnded = now
        }
        if let failure, failure.code != .cancelled { report(name, failure) }
        // What is woken may be so often, and is at each start.
        if worker.wakes == nil { await save() }
    }

    /// Writes wishes as they are when their turn has come, so that the last writer writes the newest.
    private func save() async {
        // Also what ended as the store was closed.
        do {
            try await shielded { try await BlockingPool.run { [self] () throws(Fault) in try saveNow() } }
        } catch { report("workers", error as? Fault ?? Fault(.storage, "\(path) could not be written.", because: error)) }
    }

    private func saveNow() throws(Fault) {
        let outcome: Result<Void, Fault> = writing.withLock { _ in
            do {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                try AtomicFile.write(Array(try encoder.encode(state.withLock(\.wishes))), to: path)
                return .success(())
            } catch { return .failure(Fault(.storage, "\(path) could not be written.", because: error)) }
        }
        try outcome.get()
    }

    // MARK: The operator

    public var statuses: [WorkerStatus] {
        state.withLock { state in
            workers.map(\.name).map { name in
                let wish = state.wishes[name] ?? Wish()
                let running = state.running[name]
                return WorkerStatus(
                    name: name, state: wish.isPaused ? .paused : running == nil ? .idle : .running, progress: running?.text ?? "",
                    rounds: state.rounds[name] ?? 0, last: state.last[name] ?? "", lastEnded: wish.lastEnded,
                    failure: state.failures[name], pace: wish.pace)
            }
        }
    }

    /// Pauses a worker, lets it go on, slows it down or has it begin a round at once.
    ///
    /// - Parameter pace: Hundredths of its full speed.
    /// - Throws: `notFound` where there is none of that name; `invalidParameter`.
    public func change(_ name: String, isPaused: Bool?, pace: Int?, now: Bool) async throws(Fault) {
        guard workers.contains(where: { $0.name == name }) else {
            throw Fault(.notFound, "there is no worker \(name): \(workers.map(\.name).joined(separator: ", "))")
        }
        if let pace, !(1...100).contains(pace) { throw Fault(.invalidParameter, "a pace is 1 to 100 hundredths of full speed") }
        state.withLock { state in
            if let isPaused { state.wishes[name, default: Wish()].isPaused = isPaused }
            if let pace { state.wishes[name, default: Wish()].pace = pace }
            if now { state.wakes[name]?.yield() }
        }
        await save()
    }
}
