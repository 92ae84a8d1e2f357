//  A memory of signatures that were seen, for calls that must not be done twice. A signature alone
//  lets whoever overhears a request send it again within its fifteen minutes.

import Model

extension SignatureV4 {
    /// Signatures seen lately, bounded. A value: its owner decides how it is shared. A client that
    /// repeats a call within one second signs it alike, so a face asks only for calls without an
    /// idempotency token of their own.
    public struct ReplayWindow: Sendable {
        /// Half of a signature: 128 bits.
        private struct Mark: Hashable {
            var high: UInt64
            var low: UInt64
        }

        private let marksMax: Int
        private let grace: Duration
        private var seen: [Mark: (until: Instant, first: Instant)] = [:]
        /// In the order in which they came: a ring once it is full.
        private var order: [Mark] = []
        private var oldest = 0

        /// Remembers at most `marksMax` signatures; when full, the oldest are forgotten first.
        ///
        /// - Parameter grace: How long after the first a request with the same signature still counts as
        ///   the client's own: what it sends twice within one second it signs alike.
        public init(marksMax: Int = 65536, grace: Duration = .zero) {
            self.marksMax = max(1, marksMax)
            self.grace = grace
        }

        /// How many signatures are remembered.
        public var count: Int { seen.count }

        /// Notes the signature. False where it was seen before and would still be accepted.
        public mutating func admits(_ verified: Verified, now: Instant) -> Bool {
            let mark = ReplayWindow.mark(verified.claim.signature)
            if let known = seen[mark] {
                if now > known.until {
                    seen[mark] = (verified.validUntil, now)
                    return true
                }
                return grace > .zero && now - known.first <= grace
            }
            if order.count < marksMax {
                order.append(mark)
            } else {
                seen[order[oldest]] = nil
                order[oldest] = mark
                oldest = (oldest + 1) % marksMax
            }
            seen[mark] = (verified.validUntil, now)
            return true
        }

        private static func mark(_ signature: [UInt8]) -> Mark {
            func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
            return Mark(high: word(signature.prefix(8)), low: word(signature.dropFirst(8).prefix(8)))
        }
    }
}
