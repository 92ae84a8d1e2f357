//  Removes the files of bodies that no version names any more, apart from the calls that make them garbage.
//  Bodies of parts are taken apart first, once nobody reads them, and uploads end whose bucket is no more.

import Database
import Model

/// Removes the garbage of one shard.
struct GarbageCollector: Sendable {
    /// How many files are removed, and how many pieces or parts let go, between two writes.
    private static let batch = 100

    let engine: SQLiteEngine
    let files: BodyFiles
    let holds: ReadHolds
    let chance: Chance
    /// Where segments have lost bodies.
    let compaction: WorkWakes

    /// - Parameter removed: Counts files.
    func collect(_ progress: any WorkProgress, _ removed: inout Int) async throws(Fault) {
        // What can go at once goes first: it may be the room that the rest needs.
        try await removeFiles(progress, &removed)
        try await endUploads(progress, removed)
        try await takeApart(progress, removed)
        try await removeFiles(progress, &removed)
    }

    /// Files first, then the rows by which they are found.
    private func removeFiles(_ progress: any WorkProgress, _ removed: inout Int) async throws(Fault) {
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

    /// Ends the uploads of buckets that are no more.
    private func endUploads(_ progress: any WorkProgress, _ removed: Int) async throws(Fault) {
        let buckets = try await engine.read { tx throws(Fault) in
            try tx.values("SELECT id FROM gone_bucket ORDER BY id LIMIT $1", [GarbageCollector.batch.value], as: Int64.self)
        }
        for bucket in buckets {
            while try await !endUploads(ofGone: bucket) { try await progress.step("\(removed) files removed") }
        }
    }

    private func endUploads(ofGone bucket: Int64) async throws(Fault) -> Bool {
        try await dropping { tx, now, dropped throws(Fault) in
            try tx.endUploads(ofGone: bucket, most: GarbageCollector.batch, now: now, &dropped)
        }
    }

    /// Lets go of what bodies of parts consist of; what is being read waits for its readers.
    private func takeApart(_ progress: any WorkProgress, _ removed: Int) async throws(Fault) {
        var after = Int64.min
        while true {
            let start = after
            let loose = try await engine.read { tx throws(Fault) in
                try tx.values(
                    "SELECT detail FROM loose_pieces WHERE detail > $1 ORDER BY detail LIMIT $2",
                    [.integer(start), GarbageCollector.batch.value], as: Int64.self)
            }
            guard let last = loose.last else { return }
            after = last
            for detail in loose where holds.claim(detail) {
                while try await !takeApart(detail) { try await progress.step("\(removed) files removed") }
                holds.forget(detail)
            }
        }
    }

    private func takeApart(_ detail: Int64) async throws(Fault) -> Bool {
        try await dropping { tx, now, dropped throws(Fault) in
            try tx.takeApart(detail, most: GarbageCollector.batch, now: now, &dropped)
        }
    }

    /// Drops bodies in one write.
    ///
    /// - Returns: Whether none is left.
    private func dropping(
        _ some: @escaping @Sendable (Writing, Instant, inout DroppedBodies) throws(Fault) -> Bool
    ) async throws(Fault) -> Bool {
        let now = chance.now()
        let (isDone, dropped) = try await engine.write { tx throws(Fault) in
            var dropped = DroppedBodies()
            let isDone = try some(tx, now, &dropped)
            return (isDone, dropped)
        }
        if dropped.leavesSparse { compaction.wake() }
        return isDone
    }
}
