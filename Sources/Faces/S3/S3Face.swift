//  The S3 face: one HTTP server for the object store.

import Authority
import Hummingbird
import Listening
import Logging
import Meters
import Model
import Objects

/// What the face counts of its calls.
public struct S3Meters: Sendable {
    /// A call that succeeds has the code `OK`.
    public let calls = Counter(
        MeterFamily(
            "karri_s3_requests_total", "Calls of the object store, by the code of their answers.", labels: ["operation", "code"]))
    public let spans = Histogram(
        MeterFamily("karri_s3_request_seconds", "How long calls of the object store take.", labels: ["operation"]))

    public init() {}
}

/// The S3 face over the object store's service. It answers where another face hands it a request, and
/// needs no port of its own.
public struct S3Face: Sendable {
    private let responder: S3Responder
    public var meters: S3Meters { responder.meters }

    /// - Parameter isSecure: Whether it is reached over TLS, which policies may ask for.
    public init(
        identity: any KeyDirectory, objects: ObjectsService, accessLogs: AccessLogs, isSecure: Bool, chance: Chance, logger: Logger
    ) {
        responder = S3Responder(
            identity: identity, objects: objects, accessLogs: accessLogs, isSecure: isSecure, chance: chance, logger: logger)
    }

    /// Serves by itself until the task is cancelled.
    ///
    /// - Parameter onListening: Called once with the port, when calls are taken.
    public func run(
        on listener: HTTPListener, logger: Logger, onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) async throws {
        try await listener.serve(LoneResponder(face: self), logger: logger, onListening: onListening)
    }

    public func respond(to request: Request, context: HTTPConnection) async -> Response {
        await responder.respond(to: request, context: context)
    }
}

/// Answers where no other face does.
private struct LoneResponder: HTTPResponder {
    let face: S3Face

    func respond(to request: Request, context: HTTPConnection) async throws -> Response {
        await face.respond(to: request, context: context)
    }
}
