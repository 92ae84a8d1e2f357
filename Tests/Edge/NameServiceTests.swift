//  Names asked by real sockets in a guest's namespace, and a resolver in the host's that behaves
//  well or badly by the name it is asked for.

import Glibc
import Logging
import Model
import NIOCore
import NIOPosix
import Testing

@testable import Edge

/// Answers on a free port of 127.0.0.1, by datagram and by stream.
private final class FakeResolver: Sendable {
    let resolver: EdgeResolver
    private let channels: [any Channel]
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    init() async throws {
        let datagram = try await DatagramBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Datagrams()) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = datagram.localAddress?.port ?? 0
        let stream = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(ByteToMessageHandler(DNSFrameDecoder()), Streams())
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        channels = [datagram, stream]
        resolver = EdgeResolver(IPv4Address(127, 0, 0, 1), port: UInt16(port))
    }

    func stop() async throws {
        for channel in channels { try? await channel.close() }
        try await group.shutdownGracefully()
    }

    /// The messages that answer a question, by the first label of its name.
    fileprivate static func answers(to bytes: [UInt8], stream: Bool) -> [[UInt8]] {
        guard let query = DNSQuery(parsing: bytes), let name = query.question?.name else { return [] }
        func records(_ count: UInt8) -> [DNSRecord] {
            (0..<count).map { DNSRecord(name: name, content: .address(IPv4Address(192, 0, 2, $0))) }
        }
        let good = DNSAnswer(.noError, answers: records(1)).serialized(for: query, limit: 512)
        switch name.text.prefix(while: { $0 != "." }) {
        case "good": return [good]
        case "forged":
            var forged = good
            forged[0] ^= 0x55
            forged[forged.count - 1] = 66
            return [forged, good]
        case "big": return [DNSAnswer(.noError, answers: records(100)).serialized(for: query, limit: stream ? 65535 : 512)]
        case "failing": return [DNSAnswer(.serverFailure).serialized(for: query, limit: 512)]
        default: return []
        }
    }

    private final class Datagrams: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            for answer in FakeResolver.answers(to: Array(envelope.data.readableBytesView), stream: false) {
                let reply = AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: ByteBuffer(bytes: answer))
                context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
            }
        }
    }

    private final class Streams: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            for answer in FakeResolver.answers(to: Array(unwrapInboundIn(data).readableBytesView), stream: true) {
                var frame = ByteBuffer(integer: UInt16(answer.count))
                frame.writeBytes(answer)
                context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
            }
        }
    }
}

@Suite struct NameServiceTests {
    /// `ask(name, type, tcp)` prints code, number of answers, whether cut, the last address, and
    /// whether it took more than three seconds.
    private static let client = """
        import socket, struct, time
        def ask(name, kind=1, tcp=False, server="10.0.0.2", edns=False):
            labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".") if l) + b"\\0"
            q = struct.pack(">HHHHHH", 77, 0x100, 1, 0, 0, int(edns)) + labels + struct.pack(">HH", kind, 1)
            if edns: q += bytes([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0])
            start = time.time()
            if tcp:
                s = socket.create_connection((server, 53), 10)
                s.sendall(struct.pack(">H", len(q)) + q)
                f = s.makefile("rb"); a = f.read(struct.unpack(">H", f.read(2))[0])
            else:
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.connect((server, 53))
                s.send(q); a = s.recv(4096)
            assert a[:2] == q[:2]
            late = " late" if time.time() - start > 3 else ""
            n = struct.unpack(">H", a[6:8])[0]
            cut = " cut" if a[2] & 2 else ""
            last = " " + socket.inet_ntoa(a[-4:]) if n and kind == 1 and not edns else ""
            print(f"{a[3] & 15} {n}{cut}{last}{late}")

        """

    private func ask(_ questions: String, resolvers: [EdgeResolver]) async throws -> [String] {
        try await GuestNetwork.with { network in
            var limits = EdgeLimits()
            limits.resolverMilliseconds = 4000
            return try await Bench().withEdge(limits: limits) { link in
                var settings = Fixture.settings
                settings.resolvers = resolvers
                try await link.apply(EdgeDocument(generation: 1, settings: settings, domains: [network.domain()]))
                try await network.configure(network.guests[0])
                return try await network.python(in: network.guests[0], NameServiceTests.client + questions)
                    .split(separator: "\n").map(String.init)
            }
        }
    }

    @Test func ownNamesNeedNoResolver() async throws {
        let said = try await ask(
            """
            ask("ip-10-0-0-5.ec2.internal")
            ask("ip-10-0-0-5.ec2.internal", tcp=True)
            ask("ip-10-0-0-5.ec2.internal", server="169.254.169.253")
            ask("5.0.0.10.in-addr.arpa", 12)
            ask("nobody.ec2.internal")
            ask("www.example.com")
            ask("www.example.com", tcp=True)
            """, resolvers: [])
        #expect(said == ["0 1 10.0.0.5", "0 1 10.0.0.5", "0 1 10.0.0.5", "0 1", "3 0", "5 0", "5 0"])
    }

    @Test func otherNamesAreForwarded() async throws {
        let fake = try await FakeResolver()
        let said = try await ask(
            """
            ask("good.example.com")
            ask("good.example.com", tcp=True)
            ask("good.example.com", edns=True)
            ask("forged.example.com")
            ask("big.example.com")
            ask("big.example.com", tcp=True)
            ask("failing.example.com")
            """, resolvers: [fake.resolver])
        #expect(
            said == ["0 1 192.0.2.0", "0 1 192.0.2.0", "0 1", "0 1 192.0.2.0", "0 0 cut", "0 100 192.0.2.99", "2 0"])
        try await fake.stop()
    }

    /// Nobody listens at the first resolver: the second is asked at once. Nobody listens at all: an
    /// error at once. One that says nothing costs its time once, and is then left out for a while.
    @Test func deadResolversCostLittle() async throws {
        let fake = try await FakeResolver()
        let closed = EdgeResolver(IPv4Address(127, 0, 0, 1), port: 9)
        #expect(try await ask("ask('good.example.com')", resolvers: [closed, fake.resolver]) == ["0 1 192.0.2.0"])
        #expect(try await ask("ask('good.example.com')", resolvers: [closed]) == ["2 0"])
        let silent = try await ask("ask('silent.example.com'); ask('good.example.com')", resolvers: [fake.resolver])
        #expect(silent == ["2 0 late", "2 0"])
        try await fake.stop()
    }

    @Test func floodsAreLimited() {
        let limits = RateLimits<String>(perSecond: 10)
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let admitted = (0..<22).map { _ in limits.admit("a", now: start) }
        #expect(admitted == [Bool](repeating: true, count: 20) + [false, false])
        #expect(limits.admit("b", now: start), "another guest has its own")
        #expect(!limits.admit("a", now: start + .milliseconds(50)))
        #expect(limits.admit("a", now: start + .milliseconds(150)))
        let connections = ConnectionLimits(perGuest: 2, total: 3)
        #expect(connections.enter("a") && connections.enter("a") && !connections.enter("a"))
        #expect(connections.enter("b") && !connections.enter("c"), "all together")
        connections.leave("a")
        #expect(connections.enter("c"))
    }
}
