//  What several of these tests use: a seeded generator for closures that must be Sendable, and the
//  time that a piece of work costs whatever else the machine does.

import Model
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

final class SharedDice: Sendable {
    private let dice: Mutex<Dice>
    init(_ seed: UInt64) { dice = Mutex(Dice(seed: seed)) }
    func next() -> UInt64 { dice.withLock { $0.next() } }
}

/// The processor time of this thread that `work` uses.
func threadTime(_ work: () -> Void) -> Duration {
    func used() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
    let before = used()
    work()
    return used() - before
}
