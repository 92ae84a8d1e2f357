//  What one guest may take of edge: questions a second, open connections, and time.

import NIOCore
import Synchronization

/// What one guest may take. The defaults leave a busy guest alone and a flooding one without harm to
/// its neighbours, since all guests of a host share edge's threads.
public struct EdgeLimits: Sendable {
    /// DHCP messages by link.
    public var leasesPerSecond = 20.0
    public var namesPerSecond = 512.0
    public var metadataPerSecond = 256.0
    /// TCP connections of one guest, for names and metadata together, and of all.
    public var connectionsPerGuest = 64
    public var connectionsMax = 4096
    /// Questions of one guest that wait for a resolver, and of all.
    public var forwardedPerGuest = 64
    public var forwardedMax = 512
    /// A resolver's time for one answer, and how long it is left out after it gave none. Guests ask again
    /// after five seconds at the earliest, and two resolvers are tried within that.
    public var resolverMilliseconds: Int64 = 1500
    /// The time for one whole request on a connection; an idle one is closed after it.
    public var requestSeconds: Int64 = 20

    public init() {}
}

/// Token buckets by guest or link. A bucket holds two seconds' worth.
final class RateLimits<Key: Hashable & Sendable>: Sendable {
    private struct Bucket {
        var tokens: Double
        var filled: NIODeadline
    }

    private let perSecond: Double
    private let burst: Double
    private let buckets = Mutex<[Key: Bucket]>([:])

    init(perSecond: Double) {
        self.perSecond = perSecond
        burst = perSecond * 2
    }

    /// Takes one token of `guest`'s; false when there is none.
    func admit(_ guest: Key, now: NIODeadline = .now()) -> Bool {
        buckets.withLock { buckets in
            // Full buckets are forgotten now and then, which changes nothing for their owners.
            if buckets.count > 8192 { buckets = buckets.filter { level($0.value, at: now) < burst } }
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

    /// - Parameter seconds: The time for one whole request and its answer.
    init(service: EdgeService, domain: String, seconds: Int64) {
        self.service = service
        self.domain = domain
        idle = .seconds(seconds)
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
