//  The one client by which Karri calls addresses that others chose. It resolves a name itself and dials the
//  very address that it has looked at, so that no second answer of a name server leads elsewhere; it
//  follows no redirect.

import Model
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Platform

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An address in the web that is called.
public struct OutboundAddress: Sendable, Hashable {
    public let isSecure: Bool
    public let host: String
    public let port: Int
    /// With the query.
    public let target: String

    /// Nil unless it is `http` or `https` with a host and without a user.
    public init?(_ text: String) {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(), ["http", "https"].contains(scheme),
            let host = parts.host, !host.isEmpty, parts.user == nil, parts.password == nil,
            text.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else { return nil }
        isSecure = scheme == "https"
        // The brackets of an address of IPv6 are the URL's.
        self.host = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        port = parts.port ?? (isSecure ? 443 : 80)
        guard (1...65535).contains(port) else { return nil }
        let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
        target = parts.percentEncodedQuery.map { "\(path)?\($0)" } ?? path
    }

    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }
}

/// Calls addresses that its guard allows.
public struct OutboundClient: Sendable {
    private let underlay: [IPv4Prefix]
    private let timeout: Duration
    private let resolver = Resolver()

    /// - Parameters:
    ///   - underlay: Networks by which the hosts reach each other.
    ///   - timeout: For the whole of a call, but for looking up a name.
    public init(underlay: [IPv4Prefix] = [], timeout: Duration = .seconds(5)) {
        self.underlay = underlay
        self.timeout = timeout
    }

    /// Posts a document.
    ///
    /// - Parameter exceptions: Addresses that may be dialled whatever the guard says, as an operator names them.
    /// - Returns: The answer's status.
    /// - Throws: `denied` for an address that may not be dialled; `unavailable`, `timedOut`.
    public func post(
        _ body: [UInt8], contentType: String, to address: OutboundAddress, exceptions: Set<String> = []
    ) async throws(Fault) -> Int {
        let found = try await resolver.resolve(address)
        guard exceptions.contains(found.ipAddress ?? "") || guardian.allows(found.bytes) else {
            throw Fault(.denied, "\(address.host) leads to an address that may not be called.")
        }
        let call = OutboundCall(address, contentType: contentType, body: body)
        do { return try await call.perform(at: found, timeout: timeout) } catch let fault as Fault { throw fault } catch {
            throw Fault(.unavailable, "\(address.authority) does not answer.", because: error)
        }
    }

    /// Made anew for each call: addresses of hosts come and go.
    private var guardian: OutboundGuard {
        let own = (try? System.enumerateDevices().compactMap { $0.address?.bytes }) ?? []
        return OutboundGuard(own: Set(own), underlay: underlay)
    }

    /// Looks up names, which blocks.
    private actor Resolver {
        private let executor = BlockingExecutor(name: "karri.outbound")
        nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

        func resolve(_ address: OutboundAddress) throws(Fault) -> SocketAddress {
            do { return try SocketAddress.makeAddressResolvingHost(address.host, port: address.port) } catch {
                throw Fault(.unavailable, "\(address.host) cannot be found.", because: error)
            }
        }
    }
}

/// One call over a connection of its own.
private struct OutboundCall: Sendable {
    let address: OutboundAddress
    let head: HTTPRequestHead
    let body: [UInt8]

    init(_ address: OutboundAddress, contentType: String, body: [UInt8]) {
        self.address = address
        self.body = body
        head = HTTPRequestHead(
            version: .http1_1, method: .POST, uri: address.target,
            headers: [
                "Host": address.authority, "User-Agent": "Karri", "Content-Type": contentType, "Content-Length": String(body.count),
                "Connection": "close",
            ])
    }

    func perform(at found: SocketAddress, timeout: Duration) async throws -> Int {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = loop.makePromise(of: Int.self)
        let limit = loop.scheduleTask(in: TimeAmount(timeout)) {
            answer.fail(Fault(.timedOut, "\(address.authority) takes too long to answer."))
        }
        defer { limit.cancel() }
        let security = try address.isSecure ? NIOSSLContext(configuration: .makeClientConfiguration()) : nil
        let isName = found.ipAddress != address.host
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop).connectTimeout(TimeAmount(timeout)).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let security {
                        try pipeline.addHandler(
                            NIOSSLClientHandler(context: security, serverHostname: isName ? address.host : nil))
                    }
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(AnswerHandler(answer))
                }
            }.connect(to: found).get()
        } catch {
            answer.fail(error)
            return try await answer.futureResult.get()
        }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        defer { channel.close(promise: nil) }
        return try await answer.futureResult.get()
    }
}

/// Hears the status; what follows it does not matter.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let answer: EventLoopPromise<Int>

    init(_ answer: EventLoopPromise<Int>) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = unwrapInboundIn(data) { answer.succeed(Int(head.status.code)) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(Fault(.unavailable, "The connection ended before the answer."))
    }
}

extension SocketAddress {
    /// Four or sixteen bytes in network order; none of a socket in the file system.
    fileprivate var bytes: [UInt8] {
        switch self {
        case .v4(let address):
            var address = address.address.sin_addr
            return withUnsafeBytes(of: &address) { Array($0) }
        case .v6(let address):
            var address = address.address.sin6_addr
            return withUnsafeBytes(of: &address) { Array($0) }
        case .unixDomainSocket: return []
        }
    }
}
