//  A host at the other end of a session: it keeps the document that it is sent, and nothing else.

import Cluster
import Fabric
import GRPCCore
import Model
import Synchronization

/// One session of a host, over streams in place of a socket.
final class TestHost: Sendable {
    private struct State {
        var document = Document()
        var welcome: Welcome?
        var refused: Fault?
    }

    private let state = Mutex(State())
    private let messages: AsyncThrowingStream<FromOwner, any Error>
    private let source: AsyncThrowingStream<FromOwner, any Error>.Continuation
    let name: String

    init(_ name: String) {
        self.name = name
        (messages, source) = AsyncThrowingStream.makeStream(of: FromOwner.self, bufferingPolicy: .bufferingOldest(1000))
    }

    var document: Document { state.withLock(\.document) }
    var welcome: Welcome? { state.withLock(\.welcome) }
    /// Why an update could not be applied.
    var refused: Fault? { state.withLock(\.refused) }

    /// Dials, and stays in session until cancelled.
    func run(_ controller: ClusterController, zone: String, processors: Int64, memory: ByteCount, pool: ByteCount) async throws {
        source.yield(
            FromOwner.with {
                $0.hello = Hello.with {
                    $0.host = name
                    $0.zone = zone
                    $0.processors = processors
                    $0.memory = memory.bytes
                    $0.poolBytes = pool.bytes
                    $0.accelerator = "tcg"
                }
            })
        try await controller.serve(RPCAsyncSequence(wrapping: messages)) { message in
            self.state.withLock { state in
                switch message.kind {
                case .welcome(let welcome): state.welcome = welcome
                case .update(let update):
                    do throws(Fault) { _ = try state.document.apply(update) } catch { state.refused = error }
                case .question, nil: break
                }
            }
        }
    }

    func send(_ reports: [Report]) {
        source.yield(FromOwner.with { $0.reports = Reports.with { $0.reports = reports } })
    }

    func hangUp() { source.finish() }
}
