//  A session between an owner and its cluster controller over gRPC: on a Unix socket on one
//  machine, the same calls over mutual TLS between machines.

import GRPCCore
import GRPCNIOTransportHTTP2
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// What the cluster controller does with a session.
public protocol SessionHandler: Sendable {
    /// Serves one owner until the stream ends or this returns. `send` waits while the owner is slow.
    func serve(
        _ messages: RPCAsyncSequence<FromOwner, any Error>, send: @escaping @Sendable (ToOwner) async throws -> Void
    ) async throws
}

/// Listens on a Unix socket for owners, or for the command line.
public struct FabricServer: Sendable {
    private let server: GRPCServer<HTTP2ServerTransport.Posix>
    private let path: String

    /// - Parameter path: The socket's path; what lay there from an earlier run is removed.
    /// - Parameter services: What else hosts may ask.
    public init(path: String, sessions: any SessionHandler, services: [any RegistrableRPCService] = []) {
        self.init(path: path, services: [SessionService(handler: sessions)] + services)
    }

    public init(path: String, services: [any RegistrableRPCService]) {
        self.path = path
        let transport = HTTP2ServerTransport.Posix(
            address: .unixDomainSocket(path: path), transportSecurity: .plaintext,
            config: .defaults { $0.rpc.maxRequestPayloadSize = 64 << 20 })
        server = GRPCServer(transport: transport, services: services)
    }

    /// Serves until cancelled. `mode` is the socket's permissions.
    public func run(mode: UInt32 = 0o660) async throws {
        unlink(path)
        defer { unlink(path) }
        // A server that is cancelled traps when a connection comes in at that moment (NIO's writer is let
        // go unfinished): it closes its door first.
        try await shielded {
            async let serving: Void = server.serve()
            // What keeps it from listening is thrown by the serving.
            do {
                try await waitUntilListening()
                chmod(path, mode_t(mode))
            } catch {}
            try await serving
        } onCancel: { serving in
            server.beginGracefulShutdown()
            try? await Task.sleep(for: FabricServer.closing)
            serving.cancel()
        }
    }

    /// How long the door takes to close before sessions are ended, which would never end by themselves.
    private static let closing = Duration.milliseconds(200)

    /// Returns once connections are accepted: the socket's name is there some moments before.
    public func waitUntilListening() async throws { _ = try await server.listeningAddress }

    public func stop() { server.beginGracefulShutdown() }
}

private struct SessionService: ClusterFabric.SimpleServiceProtocol {
    let handler: any SessionHandler

    func session(
        request: RPCAsyncSequence<FromOwner, any Error>, response: RPCWriter<ToOwner>, context: ServerContext
    ) async throws {
        try await handler.serve(request) { try await response.write($0) }
    }
}

/// Dials over a Unix socket.
public enum FabricClient {
    /// Runs `body` with a client of the services behind a socket, then hangs up.
    public static func with<Result: Sendable>(
        path: String, _ body: @escaping @Sendable (GRPCClient<HTTP2ClientTransport.Posix>) async throws -> Result
    ) async throws -> Result {
        let transport = try HTTP2ClientTransport.Posix(
            target: .unixDomainSocket(path: path, authority: "karri"), transportSecurity: .plaintext)
        let client = GRPCClient(transport: transport)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await client.runConnections()
                return nil
            }
            group.addTask { try await body(client) }
            // Cancelled, the connections close at once; a graceful end would wait for the other side.
            defer { group.cancelAll() }
            while let ended = try await group.next() {
                if let result = ended { return result }
            }
            throw Fault(.unavailable, "The connection to \(path) ended.")
        }
    }

    /// One session: `outgoing` is sent as it comes, `receive` sees each message in order. Ends
    /// when either side does.
    public static func session(
        path: String, outgoing: AsyncStream<FromOwner>, receive: @escaping @Sendable (ToOwner) async throws -> Void
    ) async throws {
        try await with(path: path) { client in
            try await ClusterFabric.Client(wrapping: client).session(
                options: .defaults,
                requestProducer: { writer in for await message in outgoing { try await writer.write(message) } },
                onResponse: { response in for try await message in response.messages { try await receive(message) } })
        }
    }
}
