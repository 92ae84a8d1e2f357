//  The times of the object store that its operator may choose: what they are else and what they can be, for
//  the cloud's configuration and for a store that runs alone.

import ArgumentParser
import Model
import Objects

/// A time that an operator may choose, in seconds.
struct ChosenTime {
    /// Says what so many seconds are.
    private let what: String
    let standard: Int64
    /// For the options by which it is chosen.
    let help: ArgumentHelp

    private static let bounds: ClosedRange<Int64> = 1...86_400

    /// How long a day of lifecycle rules is.
    static var lifecycleDay: ChosenTime {
        ChosenTime(
            what: "a day of lifecycle rules", standard: LifecycleClock.standardDay.components.seconds,
            help: ArgumentHelp(
                "How long a day of lifecycle rules is: shorter than a real one to see what rules do.", valueName: "seconds"))
    }

    /// How long records of calls wait for others.
    static var accessLogInterval: ChosenTime {
        ChosenTime(
            what: "the time between access logs", standard: 300,
            help: ArgumentHelp(
                "How often access logs are put into the buckets that keep them: every five minutes as a rule.",
                valueName: "seconds"))
    }

    /// - Throws: `.invalidParameter`.
    func check(_ seconds: Int64) throws(Fault) {
        guard ChosenTime.bounds.contains(seconds) else {
            let (least, most) = (ChosenTime.bounds.lowerBound, ChosenTime.bounds.upperBound)
            throw Fault(.invalidParameter, "\(what) is \(least) to \(most) seconds, not \(seconds)")
        }
    }
}
