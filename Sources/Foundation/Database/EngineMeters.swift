//  What an engine counts about itself.

import Meters

/// How long an engine's commits take, and how its writes end.
public struct EngineMeters: Sendable {
    /// The COMMIT alone, sync of the disk included; on SQLite one commit ends many writes.
    public let commits = Histogram(MeterFamily("karri_store_commit_seconds", "How long the store's commits take."))
    /// By `committed`, `refused` (the write's own fault) or `lost` (the engine's).
    public let writes = Counter(
        MeterFamily("karri_store_writes_total", "Writes to the store, by how each ended.", labels: ["outcome"]))

    public init() {}
}
