//  One host's session: what it is still to be told, the sending of it, and questions to it.

import Database
import Fabric
import Logging
import Model
import Store
import Synchronization

/// One session. Three tasks share it: one sends what is marked, one reads what comes, one asks.
final class OwnerSession: Sendable {
    let host: ID<Host>
    let pool: ID<Pool>
    let name: String
    let marks = Marks()
    private let log: Logger
    private let sender: Mutex<DocumentSender>
    private let heard: Mutex<Instant>
    private let questions = Questions()

    /// Changes are gathered for this long, so that a busy zone sends many in one update.
    static let gathering = Duration.milliseconds(4)

    init(host: ID<Host>, pool: ID<Pool>, name: String, sender: DocumentSender, now: Instant, log: Logger) {
        self.host = host
        self.pool = pool
        self.name = name
        self.log = log
        self.sender = Mutex(sender)
        heard = Mutex(now)
    }

    /// The answer to its hello.
    var welcome: Welcome {
        Welcome.with {
            $0.host = host.bits
            $0.pool = pool.bits
        }
    }

    var lastHeard: Instant { heard.withLock(\.self) }

    func cancel() { marks.close() }

    func run(
        _ messages: SessionMessages, of controller: ClusterController, send: @escaping @Sendable (ToOwner) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await tell(controller, send) }
            group.addTask { [self] in try await listen(messages, controller) }
            group.addTask { [self] in for await question in questions.stream { try await send(question) } }
            defer {
                group.cancelAll()
                questions.close()
                marks.close()
            }
            try await group.next()
        }
    }

    // MARK: - What it should hold

    private func tell(_ controller: ClusterController, _ send: @Sendable (ToOwner) async throws -> Void) async throws {
        marks.markEverything()
        for await _ in marks.wakes {
            let marked = marks.take()
            let entries = try await controller.builder.entries(for: marked, of: self, controller)
            marks.built()
            if let update = sender.withLock({ $0.update(entries.own, shared: entries.shared) }) {
                try await send(ToOwner.with { $0.update = update })
            }
            try await Task.sleep(for: OwnerSession.gathering)
        }
    }

    /// What the owner was sent of a section of its own.
    func sentKeys(of section: String) -> Set<String> { sender.withLock { $0.keys(of: section) } }

    // MARK: - What it holds

    private func listen(_ messages: SessionMessages, _ controller: ClusterController) async throws {
        var messages = messages
        while let message = try await messages.iterator.next() {
            heard.withLock { $0 = controller.chance.now() }
            switch message.kind {
            case .reports(let reports):
                try await controller.reports.write(reports.reports, from: self)
            case .answer(let answer):
                questions.settle(answer)
            case .applied(let applied) where !applied.refused.isEmpty:
                // Ending the session has the owner dial again and be sent the whole.
                throw Fault(.conflict, "\(name) refused its document: \(applied.refused)")
            case .applied, .hello, nil: continue
            }
        }
    }

    func ask(_ question: Question) async throws(Fault) -> Answer { try await questions.ask(question) }
}

/// What of an owner's document may have changed.
final class Marks: Sendable {
    struct Marked: Sendable {
        var everything = false
        var holdings: Set<ID<Holding>> = []
        var guests: Set<ID<Instance>> = []
        var domains: Set<ID<Domain>> = []
    }

    private struct State {
        var marked = Marked()
        /// What the owner was told of: holdings, and the domains that its machines need.
        var told: [ID<Holding>: (Holding.Thing, Int64)] = [:]
        var domainsOf: [ID<Instance>: Set<ID<Domain>>] = [:]
        /// Whether entries are being built: what they will be told of is not yet noted above.
        var isBuilding = false
        /// How many of its machines need each domain: asked at every change of every domain.
        var needs: [ID<Domain>: Int] = [:]
        /// Whether something is marked that may wait for company.
        var isPatient = false

        mutating func setDomains(_ domains: Set<ID<Domain>>?, of instance: ID<Instance>) {
            let before = domainsOf[instance] ?? []
            guard before != domains ?? [] || domainsOf[instance] == nil else { return }
            domainsOf[instance] = domains
            for domain in domains ?? [] { needs[domain, default: 0] += 1 }
            for domain in before {
                let left = (needs[domain] ?? 1) - 1
                needs[domain] = left > 0 ? left : nil
            }
        }
    }

    private let state = Mutex(State())
    let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init() { (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

    func close() { wake.finish() }

    func markEverything() { mark({ _ in true }, { $0.marked.everything = true }) }
    func mark(_ id: ID<Holding>) { mark({ _ in true }, { $0.marked.holdings.insert(id) }) }
    func markGone(_ id: ID<Holding>) {
        mark({ $0.isBuilding || $0.told[id] != nil }, { $0.marked.holdings.insert(id) })
    }
    func markGuest(_ instance: ID<Instance>) {
        mark({ $0.isBuilding || $0.domainsOf[instance] != nil }, { $0.marked.guests.insert(instance) })
    }
    /// Marks a domain of which something changed.
    ///
    /// - Parameter mayWait: Whether it is told with the next change, or soon: what happens on other
    ///   hosts comes often in a busy domain, and costs each host little when it comes in numbers.
    func markDomain(_ domain: ID<Domain>, mayWait: Bool = false) {
        mark({ $0.isBuilding || $0.needs[domain] != nil }, { $0.marked.domains.insert(domain) }, mayWait: mayWait)
    }

    private func mark(_ concerned: (State) -> Bool, _ change: (inout State) -> Void, mayWait: Bool = false) {
        let wakes = state.withLock { state in
            guard concerned(state) else { return false }
            change(&state)
            if mayWait { state.isPatient = true }
            return !mayWait
        }
        if wakes { wake.yield() }
    }

    /// Has what may wait told now.
    func hurry() {
        let wakes = state.withLock { state in
            defer { state.isPatient = false }
            return state.isPatient
        }
        if wakes { wake.yield() }
    }

    /// What is marked; until `built`, everything counts as told.
    func take() -> Marked {
        state.withLock { state in
            defer {
                state.marked = Marked()
                state.isPatient = false
            }
            state.isBuilding = true
            return state.marked
        }
    }

    func built() { state.withLock { $0.isBuilding = false } }

    func told(_ id: ID<Holding>, _ kind: Holding.Thing, _ thing: Int64) { state.withLock { $0.told[id] = (kind, thing) } }
    func forget(_ id: ID<Holding>) -> (Holding.Thing, Int64)? { state.withLock { $0.told.removeValue(forKey: id) } }
    func thing(of id: ID<Holding>) -> (Holding.Thing, Int64)? { state.withLock { $0.told[id] } }
    func toldHoldings() -> [ID<Holding>] { state.withLock { Array($0.told.keys) } }

    func needs(_ instance: ID<Instance>, _ domains: Set<ID<Domain>>) { state.withLock { $0.setDomains(domains, of: instance) } }
    func noLongerNeeds(_ instance: ID<Instance>) { state.withLock { $0.setDomains(nil, of: instance) } }
    func neededDomains() -> Set<ID<Domain>> { state.withLock { Set($0.needs.keys) } }
}

/// Questions under way: each is answered, or times out.
final class Questions: Sendable {
    private struct State {
        var next: UInt64 = 1
        var waiting: [UInt64: AsyncStream<Answer>.Continuation] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())
    let stream: AsyncStream<ToOwner>
    private let outgoing: AsyncStream<ToOwner>.Continuation

    static let patience = Duration.seconds(10)
    static let waitingMax = 64

    init() {
        (stream, outgoing) = AsyncStream.makeStream(of: ToOwner.self, bufferingPolicy: .bufferingOldest(Questions.waitingMax))
    }

    func ask(_ question: Question) async throws(Fault) -> Answer {
        let (answers, continuation) = AsyncStream.makeStream(of: Answer.self, bufferingPolicy: .bufferingOldest(1))
        let number: UInt64? = state.withLock { state in
            guard !state.isClosed, state.waiting.count < Questions.waitingMax else { return nil }
            defer { state.next += 1 }
            state.waiting[state.next] = continuation
            return state.next
        }
        guard let number else { throw Fault(.unavailable, "The host has too many questions to answer.", kind: .host) }
        defer { state.withLock { _ = $0.waiting.removeValue(forKey: number) } }
        var numbered = question
        numbered.number = number
        outgoing.yield(ToOwner.with { $0.question = numbered })
        let answer: Answer? = await withTaskGroup(of: Answer?.self) { group in
            group.addTask { await answers.first { _ in true } }
            group.addTask {
                // A cancelled sleep is as good as one that ended: the other task was first.
                do { try await Task.sleep(for: Questions.patience) } catch {}
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        guard let answer else { throw Fault(.timedOut, "The host did not answer in time.", kind: .host) }
        return answer
    }

    func settle(_ answer: Answer) {
        let continuation = state.withLock { $0.waiting.removeValue(forKey: answer.number) }
        continuation?.yield(answer)
        continuation?.finish()
    }

    func close() {
        outgoing.finish()
        let left = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [:] }
            return state.waiting
        }
        for continuation in left.values { continuation.finish() }
    }
}
