//  Which bodies of parts are being read. A body that came whole is opened at once, and an open file stays
//  readable whatever becomes of its name; of parts there may be thousands, which are opened one after the
//  other. So a reader holds the body, and garbage collection leaves it together as long as somebody does.
//  Readers end with the process, and so do holds.

import Model
import NIOCore
import Synchronization

/// The bodies of parts of a shard that are being read, by the number of their detail.
final class ReadHolds: Sendable {
    private struct State {
        /// How many readers each has.
        var readers: [Int64: Int] = [:]
        /// What is being taken apart: nobody begins to read it.
        var claimed: Set<Int64> = []
        /// What would have been taken apart if nobody read it.
        var awaited: Set<Int64> = []
    }

    private let state = Mutex(State())
    /// Called when what was awaited has lost its last reader.
    private let ended: @Sendable () -> Void

    init(ended: @escaping @Sendable () -> Void) { self.ended = ended }

    /// Keeps a body together for as long as what is returned lives; nil where it is being taken apart.
    func hold(_ detail: Int64) -> ReadHold? {
        let isHeld = state.withLock { state in
            guard !state.claimed.contains(detail) else { return false }
            state.readers[detail, default: 0] += 1
            return true
        }
        return isHeld ? ReadHold(of: detail, among: self) : nil
    }

    fileprivate func release(_ detail: Int64) {
        let isAwaited = state.withLock { state in
            let left = (state.readers[detail] ?? 1) - 1
            state.readers[detail] = left > 0 ? left : nil
            return left <= 0 && state.awaited.remove(detail) != nil
        }
        if isAwaited { ended() }
    }

    /// Takes a body from readers to come.
    ///
    /// - Returns: False where somebody reads it, whose end will be told.
    func claim(_ detail: Int64) -> Bool {
        state.withLock { state in
            guard state.readers[detail] == nil else {
                state.awaited.insert(detail)
                return false
            }
            state.claimed.insert(detail)
            return true
        }
    }

    /// Says that nothing is left of a body that was claimed.
    func forget(_ detail: Int64) { state.withLock { _ = $0.claimed.remove(detail) } }
}

/// Keeps one body together for one reader.
final class ReadHold: Sendable {
    private let detail: Int64
    private let holds: ReadHolds

    fileprivate init(of detail: Int64, among holds: ReadHolds) {
        self.detail = detail
        self.holds = holds
    }
    deinit { holds.release(detail) }
}
