//  Node's side of edge: it opens edge's sockets in the namespaces, keeps them, and tells edge what
//  changed. When edge was restarted it is told everything again, with the same sockets, so that what
//  guests sent meanwhile is answered late rather than lost.

import CLinux
import Glibc
import Logging
import Model
import Platform

/// What node makes of edge. It is level-triggered: `apply` may be called with the same document any
/// number of times, and once more after a fault.
public actor EdgeLink {
    private let namespacePath: @Sendable (String) -> String
    private let log: Logger
    private let executor = BlockingExecutor(name: "karri.edge.link")
    private let ownTokenKey: Secret

    private var wire: EdgeWire?
    private var sockets: [String: NamespaceSockets] = [:]
    private var document: EdgeDocument?
    /// What the present edge has been told; nil until it was told all.
    private var told: EdgeDocument?
    /// The sockets that it holds, by the object that opened them.
    private var handedOver: [String: NamespaceSockets] = [:]

    /// How long edge may take for one document or question.
    public static let answerSecondsMax = 15

    /// - Parameter namespacePath: The file of a domain's network namespace, by the domain's id.
    public init(namespacePath: @escaping @Sendable (String) -> String, chance: Chance = .system, log: Logger) {
        self.namespacePath = namespacePath
        self.log = log
        ownTokenKey = Secret((0..<8).flatMap { _ in bigEndianBytes(UInt32(truncatingIfNeeded: chance.bits())) })
    }

    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Takes over a connected Unix socket with a fresh edge at its other end, and tells it the last
    /// document, if there is one. A connection that was there before is closed.
    public func attach(socket: CInt) throws(Fault) {
        let wire = EdgeWire(socket: socket)
        wire.limitWaits(sendSeconds: EdgeLink.answerSecondsMax, receiveSeconds: EdgeLink.answerSecondsMax)
        self.wire = wire
        forgetWhatWasTold()
        guard let document else { return }
        let problems = try tell(document)
        log.info("edge was told everything", metadata: ["generation": "\(document.generation)", "problems": "\(problems.count)"])
    }

    /// Whether an edge is attached. One that has died counts until the next call finds out.
    public var attached: Bool { wire != nil }

    /// Makes edge serve `document`; returns when it does.
    ///
    /// - Returns: The domains that could not be served, with the reason: mostly a namespace that is
    ///   not there yet. The others are served all the same.
    /// - Throws: `Fault.unavailable` when no edge is attached or it does not answer. The document is
    ///   kept and told to the next edge.
    @discardableResult
    public func apply(_ document: EdgeDocument) throws(Fault) -> [EdgeProblem] {
        var document = document
        if document.settings.tokenKey == nil { document.settings.tokenKey = ownTokenKey }
        self.document = document
        return try tell(document)
    }

    /// Asks edge how it is.
    ///
    /// - Throws: `Fault.unavailable` when no edge is attached or it does not answer.
    public func health() throws(Fault) -> EdgeHealth {
        guard case .health(let health) = try ask(.health) else {
            drop()
            throw Fault(.internalError, "edge answered another question")
        }
        return health
    }

    /// Closes the connection and all sockets.
    public func close() {
        drop()
        sockets = [:]
        document = nil
    }

    // MARK: Telling

    private func tell(_ document: EdgeDocument) throws(Fault) -> [EdgeProblem] {
        var problems = openSockets(for: document)
        var unserved = Set(problems.map(\.domain))
        let before = Dictionary((told?.domains ?? []).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        if told == nil { try say(.begin(version: EdgeRequest.version)) }
        if told?.settings != document.settings { try say(.settings(document.settings)) }
        for domain in document.domains where !unserved.contains(domain.id) {
            let opened = sockets[domain.id]
            let fresh = opened === handedOver[domain.id] ? [:] : opened?.descriptors ?? [:]
            guard before[domain.id] != domain || !fresh.isEmpty else { continue }
            let carried = fresh.keys.sorted { ($0.service.rawValue, $0.address) < ($1.service.rawValue, $1.address) }
            do throws(Fault) {
                try say(.domain(domain, carried: carried), descriptors: carried.compactMap { fresh[$0] })
                handedOver[domain.id] = opened
            } catch  where error.code == .tooLarge {
                unserved.insert(domain.id)
                problems.append(EdgeProblem(domain: domain.id, reason: error.description))
            }
        }
        let served = document.domains.filter { !unserved.contains($0.id) }
        let kept = Set(served.map(\.id))
        for id in handedOver.keys where !kept.contains(id) {
            try say(.remove(domain: id))
            handedOver[id] = nil
        }
        guard case .applied(document.generation, let found) = try ask(.commit(generation: document.generation)) else {
            drop()
            throw Fault(.internalError, "edge confirmed another generation")
        }
        told = document
        told?.domains = served
        return problems + found
    }

    private func say(_ request: EdgeRequest, descriptors: [CInt] = []) throws(Fault) {
        guard let wire else { throw Fault(.unavailable, "edge is not running") }
        do throws(Fault) { try wire.send(request, descriptors: descriptors) } catch {
            if error.code != .tooLarge { drop() }
            throw error
        }
    }

    private func ask(_ request: EdgeRequest) throws(Fault) -> EdgeAnswer {
        try say(request)
        guard let wire else { throw Fault(.unavailable, "edge is not running") }
        do throws(Fault) {
            guard let (answer, strays) = try wire.receive(EdgeAnswer.self) else { throw Fault(.unavailable, "edge has ended") }
            for stray in strays { Glibc.close(stray) }
            return answer
        } catch {
            drop()
            throw error
        }
    }

    private func drop() {
        wire = nil
        forgetWhatWasTold()
    }

    private func forgetWhatWasTold() {
        told = nil
        handedOver = [:]
    }

    // MARK: Sockets

    /// Opens what is missing, and closes what no domain needs any more.
    private func openSockets(for document: EdgeDocument) -> [EdgeProblem] {
        var problems: [EdgeProblem] = []
        for domain in document.domains {
            let path = namespacePath(domain.id)
            let wanted = DomainTable(domain).sockets
            let present = sockets[domain.id]
            if let present, NamespaceSockets.Identity(path: path) == present.identity, Set(present.descriptors.keys) == wanted {
                continue
            }
            do throws(Fault) {
                sockets[domain.id] = try NamespaceSockets(opening: wanted, inNamespaceAt: path)
            } catch {
                sockets[domain.id] = nil
                problems.append(EdgeProblem(domain: domain.id, reason: error.description))
                log.warning("edge's sockets could not be opened", metadata: ["domain": "\(domain.id)", "fault": "\(error)"])
            }
        }
        let named = Set(document.domains.map(\.id))
        sockets = sockets.filter { named.contains($0.key) }
        return problems
    }
}
