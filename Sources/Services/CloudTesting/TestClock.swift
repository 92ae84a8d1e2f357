//  A test's own time and dice: time passes as on the real clock and may be pushed on, and all that
//  is drawn follows from one seed.

import Model
import Synchronization

/// A clock that a test pushes on, and a seeded source of bits.
public final class TestClock: Sendable {
    private struct State {
        var ahead = Duration.zero
        var dice: Dice
    }

    private let state: Mutex<State>

    public init(seed: UInt64) { state = Mutex(State(dice: Dice(seed: seed))) }

    public func advance(by span: Duration) { state.withLock { $0.ahead += span } }

    public var now: Instant { Instant.ofSystemClock() + state.withLock { $0.ahead } }

    /// Draws from one sequence, whoever asks.
    public var chance: Chance {
        Chance(now: { self.now }, bits: { self.state.withLock { $0.dice.next() } })
    }
}
