//  A seeded generator behind a lock, for closures that must be Sendable.

import Model
import Synchronization

final class SharedDice: Sendable {
    private let dice: Mutex<Dice>
    init(_ seed: UInt64) { dice = Mutex(Dice(seed: seed)) }
    func next() -> UInt64 { dice.withLock { $0.next() } }
}
