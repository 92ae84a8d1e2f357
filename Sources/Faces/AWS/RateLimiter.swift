//  Token buckets by name: how many calls one source address or one access key may make.

import Model
import Synchronization

/// Buckets that fill at a steady rate. Bounded: when there are too many, those that are full again
/// are forgotten, which changes nothing, and if none is, all are.
final class RateLimiter: Sendable {
    /// How fast calls may come.
    struct Rate: Sendable, Hashable {
        var perSecond: Double
        /// How many may come at once.
        var burst: Double
    }

    private struct Bucket {
        var tokens: Double
        var at: Instant
    }

    private let rate: Rate
    private let bucketsMax: Int
    private let buckets = Mutex<[String: Bucket]>([:])

    init(_ rate: Rate, bucketsMax: Int = 65536) {
        self.rate = rate
        self.bucketsMax = bucketsMax
    }

    /// How many buckets are remembered.
    var count: Int { buckets.withLock { $0.count } }

    /// Whether one more call would be let through; takes nothing.
    func wouldAdmit(_ name: String, now: Instant) -> Bool {
        buckets.withLock { buckets in
            guard let bucket = buckets[name] else { return rate.burst >= 1 }
            return filled(bucket, now: now).tokens >= 1
        }
    }

    /// Takes a token; false where there is none.
    func admit(_ name: String, now: Instant) -> Bool {
        buckets.withLock { buckets in
            if buckets[name] == nil, buckets.count >= bucketsMax { forget(&buckets, now: now) }
            var bucket = buckets[name].map { filled($0, now: now) } ?? Bucket(tokens: rate.burst, at: now)
            let isAdmitted = bucket.tokens >= 1
            if isAdmitted { bucket.tokens -= 1 }
            buckets[name] = bucket
            return isAdmitted
        }
    }

    private func filled(_ bucket: Bucket, now: Instant) -> Bucket {
        // A clock that was set back must not take tokens away.
        let seconds = Double(max(0, now.microseconds - bucket.at.microseconds)) / 1_000_000
        return Bucket(tokens: min(rate.burst, bucket.tokens + seconds * rate.perSecond), at: now)
    }

    private func forget(_ buckets: inout [String: Bucket], now: Instant) {
        buckets = buckets.filter { filled($0.value, now: now).tokens < rate.burst }
        if buckets.count >= bucketsMax { buckets.removeAll() }
    }
}
