//  Edge's process: hears from node what to serve, keeps the channels of every domain, and answers.
//  It holds no privilege and opens no socket in a namespace; all of them are handed to it.

import Glibc
import Logging
import Model
import NIOCore
import NIOPosix
import Platform

/// The server behind DHCP, DNS and metadata of one host.
public final class EdgeServer: Sendable {
    private let service: EdgeService
    private let listeners: EdgeListeners
    private let log: Logger
    private let group: MultiThreadedEventLoopGroup

    /// - Parameter threads: Event loops; two serve hundreds of domains.
    public init(limits: EdgeLimits = EdgeLimits(), chance: Chance = .system, threads: Int = 2, log: Logger) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        service = EdgeService(limits: limits, chance: chance, group: group, log: log)
        listeners = EdgeListeners(service: service, group: group)
        self.log = log
    }

    /// Serves what node says on a connected Unix socket, which this takes over. Guests are served on
    /// when the connection ends, with what was said last.
    ///
    /// - Returns: When node closed the connection, or the task was cancelled.
    /// - Throws: `Fault` when the connection broke off or node speaks another version.
    public func run(socket: CInt) async throws(Fault) {
        let inbox = EdgeInbox(wire: EdgeWire(socket: socket))
        let outcome: Result<Void, Fault> = await withTaskCancellationHandler {
            do throws(Fault) {
                try await serve(inbox)
                return .success(())
            } catch { return .failure(error) }
        } onCancel: {
            inbox.end()
        }
        if !Task.isCancelled { try outcome.get() }
    }

    /// Dials node's socket, serves, and dials again when the connection ends, until cancelled.
    public func run(dialing path: String) async throws(Fault) {
        while !Task.isCancelled {
            do throws(Fault) {
                try await run(socket: try UnixSocket.dial(path))
                log.info("node closed the connection")
            } catch {
                log.warning("no connection to node", metadata: ["fault": "\(error)"])
            }
            try? await Task.sleep(for: .milliseconds(250))
        }
    }

    /// Closes all channels and ends the threads.
    public func shutdown() async {
        await listeners.closeAll()
        try? await group.shutdownGracefully()
    }

    private func serve(_ inbox: EdgeInbox) async throws(Fault) {
        var begun = false
        var named: Set<String>?
        var problems: [EdgeProblem] = []
        while let (request, descriptors) = try await inbox.next() {
            var unclaimed = descriptors
            defer { for descriptor in unclaimed { close(descriptor) } }
            guard begun || request.begins else { throw Fault(.internalError, "node did not begin with the whole document") }
            switch request {
            case .begin(let version):
                guard version == EdgeRequest.version else {
                    throw Fault(.notSupported, "node speaks version \(version) of edge's protocol, not \(EdgeRequest.version)")
                }
                begun = true
                named = []
            case .settings(let settings):
                service.state.update { $0.settings = settings }
                service.settingsChanged()
            case .domain(let domain, let carried):
                guard carried.count == descriptors.count else { throw Fault(.internalError, "node sent too few sockets") }
                unclaimed = []
                named?.insert(domain.id)
                let table = DomainTable(domain)
                service.state.update { $0.domains[domain.id] = table }
                problems += await listeners.serve(table, with: Array(zip(carried, descriptors)))
            case .remove(let id):
                await forget(id)
            case .commit(let generation):
                for id in service.state.domainIds where named?.contains(id) == false { await forget(id) }
                named = nil
                service.state.update { $0.generation = generation }
                try await inbox.answer(.applied(generation: generation, problems: problems))
                problems = []
            case .health:
                try await inbox.answer(.health(service.health()))
            }
        }
    }

    private func forget(_ domain: String) async {
        service.state.update { $0.domains[domain] = nil }
        await listeners.stop(domain)
    }
}

extension EdgeRequest {
    fileprivate var begins: Bool {
        switch self {
        case .begin, .health: true
        case .settings, .domain, .remove, .commit: false
        }
    }
}

/// The connection to node, on a thread that may block.
private actor EdgeInbox {
    private let wire: EdgeWire
    private let executor = BlockingExecutor(name: "karri.edge.inbox")

    init(wire: EdgeWire) { self.wire = wire }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// The next request; nil when node closed the connection.
    func next() throws(Fault) -> (EdgeRequest, [CInt])? {
        guard let (message, descriptors) = try wire.receive(EdgeRequest.self) else { return nil }
        return (message, descriptors)
    }

    func answer(_ answer: EdgeAnswer) throws(Fault) { try wire.send(answer) }

    /// Ends a wait in `next`, from any thread.
    nonisolated func end() { wire.end() }
}

/// The open channels of each domain.
private actor EdgeListeners {
    private let service: EdgeService
    private let group: MultiThreadedEventLoopGroup
    private var channels: [String: [EdgeSocket: any Channel]] = [:]

    init(service: EdgeService, group: MultiThreadedEventLoopGroup) {
        self.service = service
        self.group = group
    }

    /// Takes new sockets of a domain into service and closes the channels that it needs no more.
    func serve(_ table: DomainTable, with sockets: [(EdgeSocket, CInt)]) async -> [EdgeProblem] {
        let id = table.domain.id
        var open = channels[id] ?? [:]
        var problems: [EdgeProblem] = []
        for (socket, descriptor) in sockets {
            // The new one first: between the two, somebody always listens.
            let old = open[socket]
            do {
                open[socket] = try await service.open(socket, descriptor: descriptor, domain: id, on: group)
                try? await old?.close()
            } catch {
                problems.append(EdgeProblem(domain: id, reason: "\(socket.service.rawValue) on \(socket.address): \(error)"))
            }
        }
        let wanted = table.sockets
        for (socket, channel) in open where !wanted.contains(socket) {
            open[socket] = nil
            try? await channel.close()
        }
        channels[id] = open
        return problems
    }

    func stop(_ id: String) async {
        for channel in (channels.removeValue(forKey: id) ?? [:]).values { try? await channel.close() }
    }

    func closeAll() async {
        for id in Array(channels.keys) { await stop(id) }
    }
}
