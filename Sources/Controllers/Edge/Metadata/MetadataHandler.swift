//  The metadata service's connections: HTTP/1.0 and 1.1 with keep-alive, one request at a time.

import Glibc
import Logging
import Model
import NIOCore
import NIOHTTP1

final class MetadataHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    static let bodyMax = 16 << 10

    static var limits: NIOHTTPDecoderLimitConfiguration {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 4 << 10
        limits.maxHeaderListSize = 16 << 10
        limits.maxHeaderFieldCount = 64
        return limits
    }

    private let service: EdgeService
    private let domain: String
    private var head: HTTPRequestHead?
    private var bodyLength = 0
    /// Ends when the last answer has gone out; nil before the first.
    private var written: EventLoopFuture<Void>?
    private var answering = false
    private var inputEnded = false

    init(service: EdgeService, domain: String) {
        self.service = service
        self.domain = domain
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            bodyLength = 0
        case .body(let part):
            bodyLength += part.readableBytes
            guard bodyLength > MetadataHandler.bodyMax, let head, let responder = service.metadataResponder else { return }
            self.head = nil
            write(responder.failure(413), to: head, keepAlive: false, context)
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context)
        }
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        guard let responder = service.metadataResponder else {
            context.close(promise: nil)
            return
        }
        let request = MetadataRequest(
            method: head.method.rawValue, target: head.uri, headers: head.headers.map { ($0.name, $0.value) })
        let table = service.state.domain(domain)
        let entry = context.remoteAddress?.ipv4.flatMap { table?.entry(address: $0) }
        let admitted = service.metadataLimits.admit(entry?.guest.id ?? domain)
        let response =
            admitted
            ? responder.respond(to: request, from: entry, in: table, now: service.chance.now(), random: service.chance.bits())
            : responder.failure(503)
        service.count {
            $0.metadataRequests += 1
            if [401, 403, 503].contains(response.status) || entry == nil { $0.metadataRefused += 1 }
        }
        guard let hopLimit = response.hopLimit else {
            write(response, to: head, keepAlive: head.isKeepAlive, context)
            return
        }
        // It stays for the connection's life: set back at once, a retransmission of the token's packet
        // would go further than the token may.
        answering = true
        let set = context.channel.setOption(
            ChannelOptions.Types.SocketOption(level: SocketOptionLevel(IPPROTO_IP), name: SocketOptionName(IP_TTL)),
            value: SocketOptionValue(hopLimit))
        set.assumeIsolated().whenComplete { outcome in
            self.answering = false
            switch outcome {
            case .success: self.write(response, to: head, keepAlive: head.isKeepAlive, context)
            case .failure: context.close(promise: nil)
            }
        }
    }

    private func write(_ response: MetadataResponse, to head: HTTPRequestHead, keepAlive: Bool, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders()
        for (name, value) in response.headers.sorted(by: { $0.key < $1.key }) { headers.add(name: name, value: value) }
        headers.add(name: "Content-Length", value: String(response.body.count))
        headers.add(name: "Server", value: "EC2ws")
        headers.add(name: "Connection", value: keepAlive ? "keep-alive" : "close")
        let version: HTTPVersion = head.version.major == 1 && head.version.minor == 0 ? .http1_0 : .http1_1
        let answer = HTTPResponseHead(version: version, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(answer)), promise: nil)
        if head.method != .HEAD, !response.body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil)
        }
        let written = context.writeAndFlush(wrapOutboundOut(.end(nil)))
        self.written = written
        context.triggerUserOutboundEvent(GuestConnectionHandler.Answered(), promise: nil)
        if !keepAlive || inputEnded { written.assumeIsolated().whenComplete { _ in context.close(promise: nil) } }
    }

    /// The guest sends no more: once it has what it asked for, the connection is of no use.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent {
            inputEnded = true
            if let written, !answering {
                written.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
            } else if !answering {
                context.close(promise: nil)
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
