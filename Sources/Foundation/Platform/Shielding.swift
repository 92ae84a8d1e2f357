//  Work that must end in its own way: libraries that trap when they are cancelled at the wrong moment.

/// Runs work in a task that cancelling does not reach, and returns once it has ended in any case.
///
/// - Parameter onCancel: Asks the work to end where the caller is cancelled; it is given the work's task,
///   which it may cancel once that is safe. By default nothing is asked.
public func shielded<Result: Sendable>(
    _ work: @escaping @Sendable () async throws -> Result,
    onCancel: @escaping @Sendable (_ work: Task<Result, any Error>) async -> Void = { _ in }
) async throws -> Result {
    let task = Task { try await work() }
    return try await withTaskCancellationHandler {
        try await task.value
    } onCancel: {
        Task { await onCancel(task) }
    }
}
