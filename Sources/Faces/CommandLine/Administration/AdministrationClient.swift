//  The command line's end of the administration socket: dials, asks, and turns what went wrong into
//  a fault that says what to do.

import Fabric
import GRPCCore
import GRPCNIOTransportHTTP2
import Model
import Platform
import Supervisor

#if canImport(Glibc)
    import Glibc
#endif

/// Asks control, as root.
struct AdministrationClient: Sendable {
    typealias Stub = Administration.Client<HTTP2ClientTransport.Posix>

    /// The metadata in which a fault's code travels.
    static let faultKey = "karri-fault"
    /// The longest that an answer may take.
    static let patience = Duration.seconds(60)

    let installation: Installation

    /// One question.
    ///
    /// - Throws: `.denied` to who may not ask; `.unavailable` when control, or a store that stands alone, does not
    ///   run; the fault that was answered.
    func ask<Reply: Sendable>(
        _ question: @escaping @Sendable (Stub, CallOptions) async throws -> Reply
    ) async throws(Fault) -> Reply {
        try await call { client, options in try await question(Administration.Client(wrapping: client), options) }
    }

    /// One question to the object store, which answers where the cloud does.
    func askObjects<Reply: Sendable>(
        _ question: @escaping @Sendable (ObjectAdministration.Client<HTTP2ClientTransport.Posix>, CallOptions) async throws -> Reply
    ) async throws(Fault) -> Reply {
        try await call { client, options in try await question(ObjectAdministration.Client(wrapping: client), options) }
    }

    /// Shows events as they come.
    func readEvents(
        _ request: ReadEventsRequest, _ show: @escaping @Sendable (_ number: Int64, _ body: String) throws -> Void
    ) async throws(Fault) {
        try await call(patience: nil) { client, options in
            try await EventAdministration.Client(wrapping: client).readEvents(request, options: options) { response in
                for try await event in response.messages { try show(event.number, event.body) }
            }
        }
    }

    /// - Parameter patience: Nil: the answer has no end.
    private func call<Reply: Sendable>(
        patience: Duration? = AdministrationClient.patience,
        _ question: @escaping @Sendable (GRPCClient<HTTP2ClientTransport.Posix>, CallOptions) async throws -> Reply
    ) async throws(Fault) -> Reply {
        let path = installation.adminSocket
        guard access(path, R_OK | W_OK) == 0 else {
            if errno == EACCES {
                throw Fault(.denied, "only root, or who runs it, may ask \(AdministrationClient.asked(installation)): sudo karri …")
            }
            throw AdministrationClient.away(installation)
        }
        var options = CallOptions.defaults
        options.timeout = patience
        let asked = options
        do {
            return try await FabricClient.with(path: path) { client in
                try await question(client, asked)
            }
        } catch let error as RPCError {
            throw AdministrationClient.fault(error, installation)
        } catch let fault as Fault {
            throw fault
        } catch {
            throw Fault(.unavailable, "\(AdministrationClient.asked(installation)) could not be asked", because: error)
        }
    }

    /// What went wrong with a call, as a fault that says what to do.
    static func fault(_ error: RPCError, _ installation: Installation) -> Fault {
        if let fault = Fault(error) { return fault }
        switch error.code {
        case .unavailable: return away(installation)
        case .deadlineExceeded: return Fault(.timedOut, "\(asked(installation)) did not answer within \(patience)")
        default: return Fault(.internalError, "\(asked(installation)) refused: \(error.message)", because: error)
        }
    }

    private static func asked(_ installation: Installation) -> String {
        installation.isStoreAlone ? "the object store" : "the cloud controller"
    }

    private static func away(_ installation: Installation) -> Fault {
        if installation.isStoreAlone {
            let place = installation.root.isEmpty ? "" : " --root \(installation.root)"
            return Fault(.unavailable, "the object store does not answer: karri start --role objects\(place) starts it")
        }
        return Supervisor.running(installation) == nil
            ? Fault(.unavailable, "the cloud does not run: sudo karri up")
            : Fault(.unavailable, "the cloud controller does not answer: karri logs control")
    }
}

extension Installation {
    /// Whether an object store lies here that `karri start` runs, and no cloud.
    var isStoreAlone: Bool { exists(objects) && !exists(Configuration.path(self)) }
}
