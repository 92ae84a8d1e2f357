//  What the local backend does apart from its calls: the shards say that there is something to do, and one
//  round goes through all of them.

import Model

/// Says that there is work.
final class WorkWakes: Sendable {
    let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

    func wake() { continuation.yield() }
}

/// What a shard wakes.
struct ShardWakes: Sendable {
    let garbage = WorkWakes()
    let compaction = WorkWakes()
}

/// Removes files that no version names.
struct GarbageWork: BackgroundWork {
    let name = "garbage"
    /// So that a busy store's garbage goes many files at a time.
    let rest = Duration.milliseconds(200)
    let shards: [Shard]
    let room: DiskRoom
    let wakes: AsyncStream<Void>

    func round(_ progress: any WorkProgress) async throws(Fault) -> String {
        room.adjustBallast()
        var (removed, failure) = (0, Fault?.none)
        for shard in shards {
            // One that fails leaves the others alone.
            do throws(Fault) { try await shard.collector.collect(progress, &removed) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
        return "\(removed) files removed"
    }
}

/// Gives back the room of segments that have lost most of their bodies.
struct CompactionWork: BackgroundWork {
    let name = "compaction"
    /// So that a busy store's segments are not looked at for each call.
    let rest = Duration.seconds(1)
    let shards: [Shard]
    let room: DiskRoom
    let wakes: AsyncStream<Void>

    func round(_ progress: any WorkProgress) async throws(Fault) -> String {
        room.adjustBallast()
        let isShort = room.isShort
        var (done, failure) = (Compaction(), Fault?.none)
        for shard in shards {
            // One that fails leaves the others alone.
            do throws(Fault) {
                if isShort { try await shard.giveBack() }
                try await shard.compactor.compactAll(progress, &done)
            } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
        return done.description
    }
}
