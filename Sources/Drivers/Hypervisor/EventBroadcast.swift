//  Hands one source's events to any number of readers, each with a bounded buffer. A reader that is
//  too slow loses the oldest and is told so.

import Synchronization

/// Safe to call from libvirt's event thread and from actors alike.
final class EventBroadcast: Sendable {
    private static let bufferMax = 1024

    private struct Readers {
        var next = 0
        var all: [Int: AsyncStream<MachineEvent>.Continuation] = [:]
    }

    private let readers = Mutex(Readers())

    /// A stream of what is sent from now on; it ends its place here when it is let go.
    func stream() -> AsyncStream<MachineEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: MachineEvent.self, bufferingPolicy: .bufferingNewest(Self.bufferMax))
        let number = readers.withLock { readers in
            readers.next += 1
            readers.all[readers.next] = continuation
            return readers.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.readers.withLock { _ = $0.all.removeValue(forKey: number) }
        }
        return stream
    }

    func send(_ event: MachineEvent) {
        let all = readers.withLock { Array($0.all.values) }
        for reader in all {
            // The second one displaces another old event, which is then lost for the same reason.
            if case .dropped = reader.yield(event) { reader.yield(.lost) }
        }
    }
}
