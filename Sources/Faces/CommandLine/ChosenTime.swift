//  The times of the object store that its operator may choose: what they are else and what they can be, for
//  the cloud's configuration and for a store that runs alone.

import Model
import Objects

/// A time that an operator may choose, in seconds.
struct ChosenTime: Sendable {
    /// Says what so many seconds are.
    private let what: String
    let standard: Int64

    private static let bounds: ClosedRange<Int64> = 1...86_400

    /// How long a day of lifecycle rules is. Shorter ones show what rules do.
    static let lifecycleDay = ChosenTime(
        what: "a day of lifecycle rules", standard: LifecycleClock.standardDay.components.seconds)
    /// How long records of calls wait for others before they are put into a bucket.
    static let accessLogInterval = ChosenTime(what: "the time between access logs", standard: 300)

    /// - Throws: `.invalidParameter`.
    func check(_ seconds: Int64) throws(Fault) {
        guard ChosenTime.bounds.contains(seconds) else {
            let (least, most) = (ChosenTime.bounds.lowerBound, ChosenTime.bounds.upperBound)
            throw Fault(.invalidParameter, "\(what) is \(least) to \(most) seconds, not \(seconds)")
        }
    }
}
