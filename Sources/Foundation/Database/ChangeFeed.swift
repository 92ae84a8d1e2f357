//  The change feed within the process: each reader has a bounded set of changes that it has not
//  yet taken. A change that is announced again before it is taken is one change; a reader that
//  falls behind is told that it lost some, and reads everything anew.

import Model
import Synchronization

/// Says that a row was written, not how.
public struct Change: Sendable, Hashable {
    public var table: String
    public var id: Int64
    public var account: Int64?
    public var zone: Int64?
    /// Rises within one reader's stream; of changes that were coalesced, the last.
    public var sequence: Int64

    public init(table: String, id: Int64, account: Int64?, zone: Int64?, sequence: Int64) {
        self.table = table
        self.id = id
        self.account = account
        self.zone = zone
        self.sequence = sequence
    }
}

/// What a reader of the feed is told at once.
public enum ChangeBatch: Sendable, Hashable {
    /// Changes may have been missed: read everything.
    case lost
    case changes([Change])
}

/// Hands changes to this process's readers.
final class ChangeHub: Sendable {
    private struct Weak { weak var reader: ChangeReader? }
    private struct State {
        var readers: [Weak] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let pendingMax: Int

    /// - Parameter pendingMax: How many changes a reader may leave untaken before it is told `.lost`.
    init(pendingMax: Int) { self.pendingMax = pendingMax }

    func subscribe() -> AsyncStream<ChangeBatch> {
        let reader = ChangeReader(pendingMax: pendingMax)
        let isClosed = state.withLock { state in
            state.readers.removeAll { $0.reader == nil }
            state.readers.append(Weak(reader: reader))
            return state.isClosed
        }
        if isClosed { reader.close() }
        return AsyncStream { await reader.next() }
    }

    func publish(_ changes: [Change]) {
        guard !changes.isEmpty else { return }
        for reader in readers { reader.offer(changes) }
    }

    func publishLost() {
        for reader in readers { reader.lose() }
    }

    func close() {
        state.withLock { $0.isClosed = true }
        for reader in readers { reader.close() }
    }

    private var readers: [ChangeReader] { state.withLock { $0.readers.compactMap(\.reader) } }
}

/// One reader's changes that are not yet taken.
final class ChangeReader: Sendable {
    private struct Row: Hashable {
        var table: String
        var id: Int64
    }

    private struct State {
        // A stream begins with `.lost`: what was before is not in it.
        var isLost = true
        var isClosed = false
        var order: [Row] = []
        var pending: [Row: Change] = [:]
        var waiting: CheckedContinuation<ChangeBatch?, Never>?

        /// What there is to tell, if anything.
        mutating func take() -> ChangeBatch?? {
            if isLost {
                isLost = false
                return .some(.lost)
            }
            if !order.isEmpty {
                let batch = order.compactMap { pending[$0] }.sorted { $0.sequence < $1.sequence }
                order = []
                pending = [:]
                return .some(.changes(batch))
            }
            return isClosed ? .some(nil) : nil
        }
    }

    private let state = Mutex(State())
    private let pendingMax: Int

    init(pendingMax: Int) { self.pendingMax = pendingMax }

    func offer(_ changes: [Change]) {
        update { state in
            // Who will read everything needs no list of what changed before.
            guard !state.isLost else { return }
            for change in changes {
                let row = Row(table: change.table, id: change.id)
                if state.pending.updateValue(change, forKey: row) == nil { state.order.append(row) }
            }
            if state.order.count > pendingMax {
                state.order = []
                state.pending = [:]
                state.isLost = true
            }
        }
    }

    func lose() {
        update { state in
            state.order = []
            state.pending = [:]
            state.isLost = true
        }
    }

    func close() { update { $0.isClosed = true } }

    /// The next batch; nil when the feed is closed or the reader's task is cancelled.
    func next() async -> ChangeBatch? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready: ChangeBatch?? = state.withLock { state in
                    if let ready = state.take() { return .some(ready) }
                    // The stream has one consumer; a second one ends the first's wait.
                    state.waiting?.resume(returning: nil)
                    state.waiting = continuation
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            close()
        }
    }

    private func update(_ change: (inout sending State) -> Void) {
        let woken: (CheckedContinuation<ChangeBatch?, Never>, ChangeBatch?)? = state.withLock { state in
            change(&state)
            guard let waiting = state.waiting, let ready = state.take() else { return nil }
            state.waiting = nil
            return (waiting, ready)
        }
        if let (waiting, ready) = woken { waiting.resume(returning: ready) }
    }
}
