//  Where tests kill and repeat: each step of each operation, before, after, and twice.

import Model

/// A place in the life of a step.
public struct FailPoint: Sendable, Hashable {
    public enum Place: String, Sendable, Hashable, CaseIterable { case before, after, twice }

    public var kind: String
    public var step: String
    public var place: Place

    public init(kind: String, step: String, place: Place) {
        self.kind = kind
        self.step = step
        self.place = place
    }
}

/// Decides, at each fail point, whether the worker dies there (or, at `twice`, whether the step is
/// run again although it has committed). The default never interferes.
public struct FailPoints: Sendable {
    public let strikes: @Sendable (FailPoint) -> Bool
    /// Whether it never interferes.
    let isNone: Bool

    public init(strikes: @escaping @Sendable (FailPoint) -> Bool) {
        self.strikes = strikes
        isNone = false
    }

    private init() {
        strikes = { _ in false }
        isNone = true
    }

    public static let none = FailPoints()
}

/// What a struck worker throws instead of dying with its process.
public struct Killed: Error {
    public let point: FailPoint
}
