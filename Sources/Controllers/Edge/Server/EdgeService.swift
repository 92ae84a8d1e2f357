//  What the handlers of all channels share, and how a channel is made of a socket from node.

import CLinux
import Glibc
import Logging
import Model
import NIOCore
import NIOHTTP1
import NIOPosix
import Platform
import Synchronization

/// Shared by all channels of one edge.
final class EdgeService: Sendable {
    let state = EdgeState()
    let chance: Chance
    let log: Logger
    let forwarder: DNSForwarder
    let limits: EdgeLimits
    let nameLimits: RateLimits<String>
    let metadataLimits: RateLimits<String>
    let connections: ConnectionLimits
    private let counters = Mutex(EdgeCounters())
    private let metadata = Mutex<MetadataResponder?>(nil)

    init(limits: EdgeLimits, chance: Chance, group: MultiThreadedEventLoopGroup, log: Logger) {
        self.limits = limits
        self.chance = chance
        self.log = log
        forwarder = DNSForwarder(group: group, chance: chance, limits: limits)
        nameLimits = RateLimits(perSecond: limits.namesPerSecond)
        metadataLimits = RateLimits(perSecond: limits.metadataPerSecond)
        connections = ConnectionLimits(perGuest: limits.connectionsPerGuest, total: limits.connectionsMax)
    }

    func count(_ change: (inout EdgeCounters) -> Void) { counters.withLock { change(&$0) } }

    func health() -> EdgeHealth {
        EdgeHealth(generation: state.generation, domains: state.domainIds.count, counters: counters.withLock { $0 })
    }

    /// Made once for each change of the settings, since it holds the tokens' key.
    func settingsChanged() {
        guard let settings = state.settings else { return }
        let secret = settings.tokenKey ?? Secret((0..<8).flatMap { _ in bigEndianBytes(UInt32(truncatingIfNeeded: chance.bits())) })
        metadata.withLock { $0 = MetadataResponder(settings: settings, tokens: MetadataTokens(secret: secret)) }
    }

    var metadataResponder: MetadataResponder? { metadata.withLock { $0 } }

    /// Serves a socket, which this takes over whether it succeeds or not.
    func open(
        _ socket: EdgeSocket, descriptor: CInt, domain: String, on group: MultiThreadedEventLoopGroup
    ) async throws -> any Channel {
        switch socket.service {
        case .dhcp:
            let sender = try DatagramSender(duplicating: descriptor)
            return try await DatagramBootstrap(group: group)
                .channelOption(.receivePacketInfo, value: true)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DHCPHandler(service: self, domain: domain, sender: sender))
                    }
                }
                .withBoundSocket(descriptor).get()
        case .nameDatagram:
            return try await DatagramBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DNSDatagramHandler(service: self, domain: domain))
                    }
                }
                .withBoundSocket(descriptor).get()
        case .nameStream:
            return try await server(on: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let decoder = ByteToMessageHandler(DNSFrameDecoder(), maximumBufferSize: 1 << 17)
                        try channel.pipeline.syncOperations.addHandlers(
                            GuestConnectionHandler(service: self, domain: domain, seconds: self.limits.requestSeconds), decoder,
                            DNSStreamHandler(service: self, domain: domain))
                    }
                }
                .withBoundSocket(descriptor).get()
        case .metadata:
            return try await server(on: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(
                            GuestConnectionHandler(service: self, domain: domain, seconds: self.limits.requestSeconds))
                        try pipeline.configureHTTPServerPipeline(
                            withErrorHandling: true, withEncoderConfiguration: HTTPResponseEncoder.Configuration(),
                            withDecoderLimitConfiguration: MetadataHandler.limits)
                        try pipeline.addHandler(MetadataHandler(service: self, domain: domain))
                    }
                }
                .withBoundSocket(descriptor).get()
        }
    }

    private func server(on group: MultiThreadedEventLoopGroup) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
    }
}

/// Sends datagrams from a socket's duplicate, with the interface and the source address chosen, which
/// NIO's datagram channels cannot do.
final class DatagramSender: Sendable {
    private let descriptor: CInt

    init(duplicating original: CInt) throws(Fault) {
        descriptor = fcntl(original, F_DUPFD_CLOEXEC, 3)
        guard descriptor >= 0 else {
            close(original)
            throw Fault(.driver, "a socket could not be duplicated", cause: systemError())
        }
    }

    deinit { close(descriptor) }

    /// - Returns: False if the datagram was not sent. UDP may lose it anyway; clients ask again.
    func send(_ bytes: [UInt8], to address: IPv4Address, port: UInt16, from source: IPv4Address, interface: Int) -> Bool {
        karri_send_datagram(
            descriptor, bytes, bytes.count, address.bits, port, source.bits, CInt(truncatingIfNeeded: interface)) == bytes.count
    }
}

extension SocketAddress {
    /// The IPv4 address; nil for any other family.
    var ipv4: Model.IPv4Address? {
        guard case .v4(let address) = self else { return nil }
        return Model.IPv4Address(bits: UInt32(bigEndian: address.address.sin_addr.s_addr))
    }

    init(_ address: Model.IPv4Address, port: UInt16) {
        var bits = sockaddr_in()
        bits.sin_family = sa_family_t(AF_INET)
        bits.sin_port = port.bigEndian
        bits.sin_addr.s_addr = address.bits.bigEndian
        self.init(bits)
    }
}
