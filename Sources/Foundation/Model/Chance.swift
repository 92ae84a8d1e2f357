//  Time and chance as values. Nothing below the processes' entry points reads a clock or rolls a
//  die by itself: both are handed in, so that a transaction may run twice and a test may choose.

/// Where a component gets the time and its random bits from.
public struct Chance: Sendable {
    public var now: @Sendable () -> Instant
    /// 64 unpredictable bits.
    public var bits: @Sendable () -> UInt64

    public init(now: @escaping @Sendable () -> Instant, bits: @escaping @Sendable () -> UInt64) {
        self.now = now
        self.bits = bits
    }

    /// The system's clock and its random source.
    public static var system: Chance {
        let bits: @Sendable () -> UInt64 = {
            var generator = SystemRandomNumberGenerator()
            return generator.next()
        }
        return Chance(now: { Instant.ofSystemClock() }, bits: bits)
    }

    /// A fresh id.
    public func id<Thing>(_: Thing.Type = Thing.self) -> ID<Thing> { ID(bits: bits()) }

    /// A random UUID (RFC 9562, version 4).
    public func uuid() -> String {
        let digits = Array(hexDigits(bits() & ~0xf000 | 0x4000) + hexDigits(bits() & ~(0b11 << 62) | 0b10 << 62))
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }.joined(separator: "-")
    }

    /// A generator for use inside a transaction: a value, seeded here once.
    public func dice() -> Dice { Dice(seed: bits()) }
}

/// A seeded generator (SplitMix64): the same seed gives the same throws, so a closure that runs
/// again decides the same. Not for secrets.
public struct Dice: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    public mutating func id<Thing>(_: Thing.Type = Thing.self) -> ID<Thing> { ID(bits: next()) }
}
