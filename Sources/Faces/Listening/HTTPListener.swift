//  The HTTP listener under every face: what it bears, how it is secured, and how it ends.

import Certificates
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Platform
import ServiceLifecycle

/// One listening address.
public struct HTTPListener: Sendable {
    public var address: String
    /// Port 0: any that is free.
    public var port: Int
    /// What connections are secured with; nil for plain HTTP, which is for loopback addresses.
    public var security: ListenerContext?
    /// A connection that is silent for so long is closed.
    public var idleTimeout = Duration.seconds(120)
    /// Connections that are served at a time; more wait.
    public var connectionsMax = 4096
    /// How long calls that are being answered may take once the listener is to end.
    public var endingPatience = Duration.seconds(5)

    public init(address: String, port: Int) {
        self.address = address
        self.port = port
    }

    /// Serves until the task is cancelled; what is being answered then is answered first.
    ///
    /// - Parameter onListening: Called once with the port, when calls are taken.
    /// - Throws: What the listener throws, such as that the port is taken.
    public func serve<Responder: HTTPResponder>(
        _ responder: Responder, logger: Logger, onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) async throws where Responder.Context: InitializableFromSource<ApplicationRequestContextSource> {
        var settings = ApplicationConfiguration(
            address: .hostname(address, port: port), serverName: nil,
            availableConnectionsDelegate: MaximumAvailableConnections(connectionsMax, logger: logger))
        settings.reuseAddress = true
        let application = Application(
            responder: responder,
            server: .listener(.init(idleTimeout: .nanoseconds(nanoseconds(idleTimeout))), security),
            configuration: settings,
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) }, logger: logger)
        try await run(application, logger)
    }

    /// Asks the server to end in order where the task is cancelled. A server that is itself cancelled
    /// traps when a connection comes in at that moment (NIO's writer is let go unfinished).
    private func run(_ application: some ApplicationProtocol, _ logger: Logger) async throws {
        var settings = ServiceGroupConfiguration(services: [application], logger: logger)
        settings.maximumGracefulShutdownDuration = endingPatience
        let group = ServiceGroup(configuration: settings)
        try await shielded {
            try await group.run()
        } onCancel: { _ in
            await group.triggerGracefulShutdown()
        }
    }

    private func nanoseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
