//  Where long bodies are hashed: one thread, which takes what is there of several uploads side by side. The
//  more of them there are, the less each one costs.

import Checksums
import Dispatch
import NIOCore
import Synchronization

/// Makes the digests of bodies, some of each at a time.
final class HashLanes: Sendable {
    private struct Request: Sendable {
        var digest: MD5
        var pieces: [ByteBuffer]
        var answer: @Sendable (MD5) -> Void
    }

    private struct State {
        var waiting: [Request] = []
        var isRunning = false
    }

    private let thread = DispatchQueue(label: "karri.objects.hash")
    private let state = Mutex(State())

    /// Takes some of a body into its digest, beside whatever the caller does next.
    ///
    /// - Parameter answer: Is told the digest then, on the lanes' own thread: it must not wait for anything.
    func take(_ pieces: [ByteBuffer], into digest: MD5, answer: @escaping @Sendable (MD5) -> Void) {
        let starts = state.withLock { state in
            state.waiting.append(Request(digest: digest, pieces: pieces, answer: answer))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if starts { thread.async { self.run() } }
    }

    /// Goes on until nothing waits. What comes meanwhile joins what is under way.
    private func run() {
        var going: [HashedPieces] = []
        while true {
            let joining = state.withLock { state in
                let joining = Array(state.waiting.prefix(MD5Lane.countMax - going.count))
                state.waiting.removeFirst(joining.count)
                state.isRunning = !joining.isEmpty || !going.isEmpty
                return joining
            }
            if going.isEmpty, joining.isEmpty { return }
            going += joining.map { HashedPieces($0.pieces, into: $0.digest, answer: $0.answer) }
            going.removeAll { $0.isDone() }
            if going.isEmpty { continue }
            var lanes = going.map(\.lane)
            MD5Lane.advance(&lanes)
            for (pieces, lane) in zip(going, lanes) { pieces.lane = lane }
        }
    }
}

/// Pieces of one body on their way into its digest.
private final class HashedPieces {
    var lane: MD5Lane
    private var left: ArraySlice<ByteBuffer>
    /// Has the bytes stay where the lane reads them.
    private var read: Unmanaged<AnyObject>?
    private let answer: @Sendable (MD5) -> Void

    init(_ pieces: [ByteBuffer], into digest: MD5, answer: @escaping @Sendable (MD5) -> Void) {
        lane = MD5Lane(digest)
        left = pieces[...]
        self.answer = answer
    }

    deinit { read?.release() }

    /// Goes on to the next piece where the lane has taken the one before; after the last one, who asked is answered.
    func isDone() -> Bool {
        while lane.isDone {
            read?.release()
            read = nil
            guard let piece = left.popFirst() else {
                answer(lane.digest)
                return true
            }
            piece.withUnsafeReadableBytesWithStorageManagement { bytes, storage in
                read = storage.retain()
                lane.take(bytes)
            }
        }
        return false
    }
}
