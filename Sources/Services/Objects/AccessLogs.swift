//  Records of calls on their way to the buckets that are to keep them. They are gathered in memory and put
//  down now and then, so that no call waits for its record. As S3's own, they are a best effort: what a
//  crash or a full memory takes is gone, and what an owner has closed the target to is not kept.

import Logging
import Model
import ObjectStorage
import Platform
import Synchronization

/// The records that are yet to be delivered.
public final class AccessLogs: Sendable {
    private struct Route: Hashable {
        var bucket: ID<Bucket>
        var logging: AccessLogging
        /// When the day of its calls began, where records of several days are not to lie together.
        var day: Instant?
    }

    private struct Batch {
        var bucket: Bucket
        var text: [UInt8] = []
    }

    private struct State {
        var batches: [Route: Batch] = [:]
        var bytes = 0
        /// Records that there was no room for.
        var lost = 0
    }

    /// Of all that is yet to be delivered.
    static let bytesMax = 32 << 20
    /// How often it is looked whether there is so much already that it must not wait.
    private static let looking = Duration.seconds(1)

    private let objects: ObjectsService
    private let interval: Duration
    private let log: Logger
    private let state = Mutex(State())

    /// - Parameter interval: How long records wait for others at most.
    public init(objects: ObjectsService, interval: Duration, log: Logger) {
        self.objects = objects
        self.interval = interval
        self.log = log
    }

    /// Takes a record.
    ///
    /// - Parameters:
    ///   - line: Without its end.
    ///   - time: Of the call.
    public func add(_ line: String, at time: Instant, of bucket: Bucket, _ logging: AccessLogging) {
        let day = logging.partition == .event ? time.beginningOfDay : nil
        state.withLock { state in
            let size = line.utf8.count + 1
            guard state.bytes + size <= AccessLogs.bytesMax else {
                state.lost += 1
                return
            }
            state.bytes += size
            let route = Route(bucket: bucket.id, logging: logging, day: day)
            state.batches[route, default: Batch(bucket: bucket)].text += Array(line.utf8) + [0x0a]
        }
    }

    /// Delivers records until cancelled, and those that are left then.
    public func run() async throws {
        var last = ContinuousClock.now
        do {
            while true {
                try await Task.sleep(for: min(interval, AccessLogs.looking))
                let now = ContinuousClock.now
                guard now - last >= interval || isHalfFull else { continue }
                last = now
                await deliver()
            }
        } catch {
            try await shielded { await self.deliver() }
            throw error
        }
    }

    private var isHalfFull: Bool { state.withLock { $0.bytes > AccessLogs.bytesMax / 2 } }

    private func deliver() async {
        let taken = state.withLock { state in
            defer { state = State() }
            return state
        }
        if taken.lost > 0 { log.warning("records of calls were lost: there was no room", metadata: ["records": "\(taken.lost)"]) }
        for (route, batch) in taken.batches {
            do throws(Fault) {
                try await objects.deliver(batch.text, of: batch.bucket, route.logging, day: route.day)
            } catch {
                log.notice(
                    "records of calls could not be delivered",
                    metadata: ["bucket": "\(batch.bucket.name)", "target": "\(route.logging.bucket)", "fault": "\(error)"])
            }
        }
    }
}

extension Instant {
    fileprivate var beginningOfDay: Instant {
        let day: Int64 = 86_400 * 1_000_000
        return Instant(microseconds: microseconds - (microseconds % day + day) % day)
    }
}
