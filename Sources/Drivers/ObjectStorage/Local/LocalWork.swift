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
        room.look()
        var removed = 0
        for shard in shards { try await shard.collector.collect(progress, &removed) }
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
        room.look()
        if room.isShort { for shard in shards { try await shard.giveBack() } }
        var done = Compaction()
        for shard in shards { try await shard.compactor.compactAll(progress, &done) }
        return done.description
    }
}
