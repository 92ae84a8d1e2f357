//  What one guest may take of edge: questions a second, and open connections.

import NIOCore
import Synchronization

/// Token buckets by guest.
final class RateLimits: Sendable {
    private struct Bucket {
        var tokens: Double
        var filled: NIODeadline
    }

    private let perSecond: Double
    private let burst: Double
    private let buckets = Mutex<[String: Bucket]>([:])
    /// Beyond this many guests the full buckets are forgotten, which changes nothing for their owners.
    private static let bucketsMax = 8192

    init(perSecond: Double, burst: Double) {
        self.perSecond = perSecond
        self.burst = burst
    }

    /// Takes one token of `guest`'s; false when there is none.
    func admit(_ guest: String, now: NIODeadline = .now()) -> Bool {
        buckets.withLock { buckets in
            if buckets.count > RateLimits.bucketsMax { buckets = buckets.filter { level($0.value, at: now) < burst } }
            let tokens = buckets[guest].map { level($0, at: now) } ?? burst
            buckets[guest] = Bucket(tokens: max(tokens - 1, 0), filled: now)
            return tokens >= 1
        }
    }

    private func level(_ bucket: Bucket, at now: NIODeadline) -> Double {
        min(burst, bucket.tokens + Double((now - bucket.filled).nanoseconds) / 1e9 * perSecond)
    }
}

/// Counts of things that are open: connections, or queries on their way.
final class ConnectionLimits: Sendable {
    private struct Open {
        var total = 0
        var byGuest: [String: Int] = [:]
    }

    private let perGuest: Int
    private let total: Int
    private let open = Mutex(Open())

    init(perGuest: Int, total: Int) {
        self.perGuest = perGuest
        self.total = total
    }

    /// Counts one more; false when there are too many. Each true wants one `leave`.
    func enter(_ guest: String) -> Bool {
        open.withLock { open in
            let own = open.byGuest[guest] ?? 0
            guard open.total < total, own < perGuest else { return false }
            open.total += 1
            open.byGuest[guest] = own + 1
            return true
        }
    }

    func leave(_ guest: String) {
        open.withLock { open in
            guard let own = open.byGuest[guest] else { return }
            open.total -= 1
            open.byGuest[guest] = own > 1 ? own - 1 : nil
        }
    }
}

/// Stands first in each TCP connection of a guest: closes those of unknown addresses, those beyond the
/// guest's share, and those that sit idle or dawdle.
final class GuestConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Triggered by the handler behind this one when it has answered; the clock starts again.
    struct Answered: Sendable {}

    private let service: EdgeService
    private let domain: String
    private let idle: TimeAmount
    private var guest: String?
    private var timer: Scheduled<Void>?

    /// - Parameter idleSeconds: The time for one whole request and its answer.
    init(service: EdgeService, domain: String, idleSeconds: Int64) {
        self.service = service
        self.domain = domain
        idle = .seconds(idleSeconds)
    }

    func channelActive(context: ChannelHandlerContext) {
        // Unknown addresses share one allowance: the services behind answer them, or say nothing.
        let address = context.channel.remoteAddress?.ipv4
        let entry = address.flatMap { service.state.domain(domain)?.entry(address: $0) }
        let guest = entry?.guest.id ?? "unknown in \(domain)"
        guard service.connections.enter(guest) else {
            service.count { $0.dropped += 1 }
            context.close(promise: nil)
            return
        }
        self.guest = guest
        wind(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        if let guest { service.connections.leave(guest) }
        guest = nil
        context.fireChannelInactive()
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        if event is Answered {
            wind(context)
            promise?.succeed()
        } else {
            context.triggerUserOutboundEvent(event, promise: promise)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func wind(_ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: idle) { context.close(promise: nil) }
    }
}
