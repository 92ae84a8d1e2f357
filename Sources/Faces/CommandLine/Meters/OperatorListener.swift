//  The operator's HTTP listener: `/metrics` for Prometheus, `/health/live` and `/health/ready`. It
//  listens on loopback only and asks nobody who they are: what it tells names no account and no
//  machine. Who wants it elsewhere puts a proxy with its own rules before it.

import Hummingbird
import Listening
import Logging
import Meters
import Model
import NIOCore

/// Serves the operator's pages.
struct OperatorListener: Sendable {
    static let address = "127.0.0.1"

    let port: Int
    let meters: CloudMeters
    let readiness: @Sendable () async -> String?
    let log: Logger

    /// Serves until the task is cancelled.
    ///
    /// - Throws: What the listener throws, such as that the port is taken.
    func run() async throws {
        var listener = HTTPListener(address: OperatorListener.address, port: port)
        listener.idleTimeout = .seconds(60)
        listener.connectionsMax = 64
        let responder = CallbackResponder { (request: Request, _: BasicRequestContext) in await answer(request) }
        try await listener.serve(responder, logger: log)
    }

    private func answer(_ request: Request) async -> Response {
        guard request.method == .get else { return response(.methodNotAllowed, "GET only\n") }
        switch request.uri.path {
        case "/metrics":
            do throws(Fault) {
                return response(.ok, try await meters.page(), type: MeterPage.contentType)
            } catch {
                log.warning("the meters could not be read", metadata: ["fault": "\(error)"])
                return response(.serviceUnavailable, "\(error.message)\n")
            }
        case "/health/live": return response(.ok, "ok\n")
        case "/health/ready":
            guard let reason = await readiness() else { return response(.ok, "ok\n") }
            return response(.serviceUnavailable, "not ready: \(reason)\n")
        default: return response(.notFound, "/metrics, /health/live, /health/ready\n")
        }
    }

    private func response(_ status: HTTPResponse.Status, _ text: String, type: String = "text/plain;charset=UTF-8") -> Response {
        var fields = HTTPFields()
        fields[.contentType] = type
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}
