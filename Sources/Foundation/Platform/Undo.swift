//  The small-scale saga: what was done so far is undone, last first, unless the whole succeeded.

/// Collects undo steps while several things of the world are made in order.
///
/// ```swift
/// var undo = Undo()
/// do {
///     try await makeLink(); undo.add { await removeLink() }
///     try await addRoutes()
/// } catch { await undo.run(); throw error }
/// ```
public struct Undo: Sendable {
    private var steps: [@Sendable () async -> Void] = []

    public init() {}

    public mutating func add(_ step: @escaping @Sendable () async -> Void) { steps.append(step) }

    /// Runs the steps, last first. Steps report their own failures; none stops the others.
    public func run() async {
        for step in steps.reversed() { await step() }
    }
}
