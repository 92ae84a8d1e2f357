//  What the backend has to do by itself, as a worker among the others.

import Model
import ObjectStorage

/// A backend's work, done when the backend wakes it.
public struct BackendWorker: ObjectWorker {
    private let work: any BackgroundWork

    public init(_ work: any BackgroundWork) { self.work = work }

    public var name: String { work.name }
    public var wakes: AsyncStream<Void>? { work.wakes }
    public var rest: Duration { work.rest }
    /// What a round could not do, or nobody woke it for, is done then.
    public let interval = Duration.seconds(3600)

    public func round(_ progress: WorkerProgress) async throws(Fault) -> String { try await work.round(progress) }
}
