//  The name server's channels: datagrams, and streams with a length before each message.

import Logging
import Model
import NIOCore

extension EdgeService {
    /// Answers one message from a guest.
    ///
    /// - Parameter stream: The answer may be as long as it likes.
    /// - Returns: Nil for what deserves no answer: unknown askers, and what is no query.
    func answerName(
        _ bytes: [UInt8], from address: IPv4Address?, domain: String, stream: Bool, on loop: any EventLoop
    ) -> EventLoopFuture<[UInt8]>? {
        count { $0.namesReceived += 1 }
        guard let settings = state.settings, let table = state.domain(domain),
            let entry = address.flatMap({ table.entry(address: $0) }),
            let query = DNSQuery(parsing: bytes)
        else {
            count { $0.dropped += 1 }
            return nil
        }
        let limit = stream ? 65535 : query.datagramMax
        let refuse = { @Sendable (code: DNSCode) in DNSAnswer(code).serialized(for: query, limit: limit) }
        guard nameLimits.admit(entry.guest.id) else {
            count { $0.namesLimited += 1 }
            return loop.makeSucceededFuture(refuse(.refused))
        }
        switch DNSResponder.decide(query, in: table, settings: settings) {
        case .answer(let answer): return loop.makeSucceededFuture(answer.serialized(for: query, limit: limit))
        case .forward:
            count { $0.namesForwarded += 1 }
            return forwarder.forward(query, guest: entry.guest.id, resolvers: settings.resolvers, stream: stream)
                .hop(to: loop)
                .map { answer in
                    // An answer too long for the guest's datagram makes it come again by stream.
                    answer.count <= limit ? answer : DNSForwardedAnswer.truncated(for: query)
                }
                .flatMapErrorThrowing { _ in
                    self.count { $0.namesFailed += 1 }
                    return refuse(.serverFailure)
                }
        }
    }
}

final class DNSDatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let service: EdgeService
    private let domain: String

    init(service: EdgeService, domain: String) {
        self.service = service
        self.domain = domain
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        let asker = envelope.remoteAddress
        let answer = service.answerName(
            Array(envelope.data.readableBytesView), from: asker.ipv4, domain: domain, stream: false, on: context.eventLoop)
        answer?.assumeIsolated().whenSuccess { bytes in
            let reply = AddressedEnvelope(remoteAddress: asker, data: ByteBuffer(bytes: bytes))
            context.writeAndFlush(self.wrapOutboundOut(reply), promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        service.log.debug("DNS socket", metadata: ["domain": "\(domain)", "error": "\(error)"])
    }
}

/// Takes the two bytes of length off each message (RFC 1035 section 4.2.2).
struct DNSFrameDecoder: ByteToMessageDecoder {
    typealias InboundOut = ByteBuffer

    mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: UInt16.self), buffer.readableBytes >= 2 + Int(length)
        else {
            return .needMoreData
        }
        buffer.moveReaderIndex(forwardBy: 2)
        guard let message = buffer.readSlice(length: Int(length)) else { return .needMoreData }
        context.fireChannelRead(wrapInboundOut(message))
        return .continue
    }

    mutating func decodeLast(context: ChannelHandlerContext, buffer: inout ByteBuffer, seenEOF: Bool) throws -> DecodingState {
        .needMoreData
    }
}

final class DNSStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let service: EdgeService
    private let domain: String
    private var waiting = 0
    private var inputEnded = false
    private static let waitingMax = 32

    init(service: EdgeService, domain: String) {
        self.service = service
        self.domain = domain
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let message = Array(unwrapInboundIn(data).readableBytesView)
        guard waiting < DNSStreamHandler.waitingMax,
            let answer = service.answerName(
                message, from: context.remoteAddress?.ipv4, domain: domain, stream: true, on: context.eventLoop)
        else {
            context.close(promise: nil)
            return
        }
        waiting += 1
        answer.assumeIsolated().whenSuccess { bytes in
            self.waiting -= 1
            var frame = ByteBuffer(integer: UInt16(truncatingIfNeeded: bytes.count))
            frame.writeBytes(bytes)
            context.writeAndFlush(self.wrapOutboundOut(frame), promise: nil)
            context.triggerUserOutboundEvent(GuestConnectionHandler.Answered(), promise: nil)
            self.closeIfDone(context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            inputEnded = true
            closeIfDone(context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func closeIfDone(_ context: ChannelHandlerContext) {
        if inputEnded, waiting == 0 { context.close(promise: nil) }
    }
}
