//  Removes the files of bodies that no version names any more, apart from the calls that make them garbage.

import Database
import Model

/// Removes the garbage of one shard.
struct GarbageCollector: Sendable {
    /// How many files are removed between two writes.
    private static let batch = 100

    let engine: SQLiteEngine
    let files: BodyFiles

    /// Files first, then the rows by which they are found.
    ///
    /// - Parameter removed: Counts them.
    func collect(_ progress: any WorkProgress, _ removed: inout Int) async throws(Fault) {
        while true {
            let garbage = try await engine.read { tx throws(Fault) in
                try tx.values(
                    "SELECT id FROM loose_file WHERE is_garbage ORDER BY id LIMIT $1", [GarbageCollector.batch.value],
                    as: Int64.self)
            }
            guard !garbage.isEmpty else { return }
            try await files.remove(garbage.map { UInt64($0) })
            try await engine.write { tx throws(Fault) in
                for id in garbage { try tx.run("DELETE FROM loose_file WHERE id = $1", [.integer(id)]) }
            }
            removed += garbage.count
            try await progress.step("\(removed) files removed")
        }
    }
}
