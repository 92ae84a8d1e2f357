//  Asks resolvers outside, from the host's own network. Each question has a socket of its own, so
//  that a forger must guess its port as well as its id, and a dead resolver's refusal ends just it.

import Model
import NIOCore
import NIOPosix
import Synchronization

final class DNSForwarder: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let chance: Chance
    private let questions: ConnectionLimits
    /// Resolvers that did not answer in time, and until when they are left out.
    private let silent = Mutex<[EdgeResolver: NIODeadline]>([:])

    private let answerTime: TimeAmount
    private static let attemptsMax = 2

    init(group: MultiThreadedEventLoopGroup, chance: Chance, limits: EdgeLimits) {
        questions = ConnectionLimits(perGuest: limits.forwardedPerGuest, total: limits.forwardedMax)
        answerTime = .milliseconds(limits.resolverMilliseconds)
        self.group = group
        self.chance = chance
    }

    /// The first good answer of the resolvers, tried in order, with the guest's own id.
    ///
    /// Fails at once when the guest or all together have too many questions out, or no resolver has
    /// answered lately: guests wait long for a silent server, and not at all for a refusal.
    func forward(_ query: DNSQuery, guest: String, resolvers: [EdgeResolver], stream: Bool) -> EventLoopFuture<[UInt8]> {
        let loop = group.next()
        let now = NIODeadline.now()
        let heard = silent.withLock { silent in resolvers.filter { (silent[$0] ?? now) <= now } }
        guard !heard.isEmpty else { return loop.makeFailedFuture(Fault(.unavailable, "no resolver answers")) }
        guard questions.enter(guest) else { return loop.makeFailedFuture(Fault(.rateExceeded, "too many questions at once")) }
        return ask(heard.prefix(DNSForwarder.attemptsMax), query, stream: stream, on: loop)
            .always { _ in self.questions.leave(guest) }
    }

    private func ask(
        _ resolvers: ArraySlice<EdgeResolver>, _ query: DNSQuery, stream: Bool, on loop: any EventLoop
    ) -> EventLoopFuture<[UInt8]> {
        guard let resolver = resolvers.first else { return loop.makeFailedFuture(Fault(.unavailable, "no resolver answered")) }
        return exchange(with: resolver, query, stream: false, on: loop)
            .flatMap { answer in
                stream && DNSForwardedAnswer.isTruncated(answer)
                    ? self.exchange(with: resolver, query, stream: true, on: loop) : loop.makeSucceededFuture(answer)
            }
            .flatMapError { error in
                if let fault = error as? Fault, fault.code == .timedOut {
                    self.silent.withLock { $0[resolver] = .now() + self.answerTime }
                }
                return self.ask(resolvers.dropFirst(), query, stream: stream, on: loop)
            }
    }

    private func exchange(
        with resolver: EdgeResolver, _ query: DNSQuery, stream: Bool, on loop: any EventLoop
    ) -> EventLoopFuture<[UInt8]> {
        let answer = loop.makePromise(of: [UInt8].self)
        let id = UInt16(truncatingIfNeeded: chance.bits())
        let address = SocketAddress(resolver.address, port: resolver.port)
        let add: @Sendable (any Channel) -> EventLoopFuture<Void> = { channel in
            channel.eventLoop.makeCompletedFuture {
                let pipeline = channel.pipeline.syncOperations
                if stream {
                    try pipeline.addHandler(ByteToMessageHandler(DNSFrameDecoder(), maximumBufferSize: 1 << 17))
                } else {
                    try pipeline.addHandler(EnvelopeOpener())
                }
                try pipeline.addHandler(DNSExchangeHandler(query: query, id: id, stream: stream, answer: answer))
            }
        }
        let connected =
            stream
            ? ClientBootstrap(group: loop).connectTimeout(answerTime).channelInitializer(add).connect(to: address)
            : DatagramBootstrap(group: loop).channelInitializer(add).connect(to: address)
        let timer = loop.scheduleTask(in: answerTime) {
            answer.fail(Fault(.timedOut, "the resolver \(resolver.address) did not answer"))
        }
        connected.whenFailure { answer.fail($0) }
        return answer.futureResult.always { _ in
            timer.cancel()
            connected.whenSuccess { $0.close(promise: nil) }
        }
    }
}

/// One question and its answer on a connected socket.
private final class DNSExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let query: DNSQuery
    private let id: UInt16
    private let stream: Bool
    private let answer: EventLoopPromise<[UInt8]>

    init(query: DNSQuery, id: UInt16, stream: Bool, answer: EventLoopPromise<[UInt8]>) {
        self.query = query
        self.id = id
        self.stream = stream
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        let question = query.forwarded(id: id)
        var buffer = ByteBuffer()
        if stream { buffer.writeInteger(UInt16(truncatingIfNeeded: question.count)) }
        buffer.writeBytes(question)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What does not fit is a late or forged answer: the right one may still come.
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        if let accepted = DNSForwardedAnswer.accept(bytes, forwardedId: id, query: query) { answer.succeed(accepted) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { answer.fail(error) }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(Fault(.unavailable, "the resolver closed the connection"))
    }
}

/// Takes datagrams of a connected socket out of their envelopes.
private final class EnvelopeOpener: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias InboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(wrapInboundOut(unwrapInboundIn(data).data))
    }
}
