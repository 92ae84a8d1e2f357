//  One zone's cluster controller: holds the sessions of its hosts, tells each what it should hold,
//  and alone writes what they report. What it tells is a pure function of the store; it may end at
//  any time.

import Authority
import Database
import Fabric
import GRPCCore
import Logging
import Model
import Store

/// A zone's sessions with its hosts.
public actor ClusterController: SessionHandler {
    let engine: any Engine
    let chance: Chance
    let log: Logger
    let zone: Zone
    let epoch: UInt64
    nonisolated let builder: DocumentBuilder
    nonisolated let reports: ReportWriter

    private var sessions: [ID<Host>: OwnerSession] = [:]
    private var domains: [ID<Domain>: SharedDomain] = [:]
    private var domainOfPort: [Int64: ID<Domain>] = [:]

    /// A routing domain as its hosts are told of it.
    private struct SharedDomain {
        var section: SharedSection
        /// Whether changes may have been missed since it was read.
        var isStale = false
        /// What each session was sent of it.
        var sent: [ObjectIdentifier: SectionMark] = [:]
    }

    /// Changes of a domain that are remembered for hosts which are slow to take them.
    static let domainChangesMax = 50_000

    /// A domain that is being read, and what was followed meanwhile.
    private struct DomainRead {
        var ports: Set<ID<Port>> = []
        var groups: Set<ID<Group>> = []
        var isLost = false
    }

    private var reads: [UInt64: DomainRead] = [:]
    private var nextRead: UInt64 = 0
    private var turns: [Int64: UInt64] = [:]

    /// How long a host may be without a session before it counts as lost: a restart of its node
    /// controller takes a second.
    static let grace = Duration.seconds(10)
    /// A host that says nothing for so long in its session, not even that it is well, hangs: six times
    /// its own interval.
    static let silence = Duration.seconds(30)

    /// Takes the zone's lease under a new epoch.
    public init(
        zone: Zone, engine: any Engine, chance: Chance, seal: Seal, region: String, log: Logger,
        poweredOff: @escaping ReportWriter.PoweredOff
    ) async throws(Fault) {
        self.engine = engine
        self.chance = chance
        self.log = log
        self.zone = zone
        let taken = try await engine.write { tx throws(Fault) in
            try tx.takeLease(ClusterController.lease(of: zone), holder: "control")
        }
        epoch = UInt64(taken)
        builder = DocumentBuilder(seal: seal, region: region)
        reports = ReportWriter(
            engine: engine, chance: chance, log: log, lease: ClusterController.lease(of: zone), epoch: taken, poweredOff: poweredOff
        )
    }

    static func lease(of zone: Zone) -> String { "cluster/\(zone.name)" }

    /// How long news of a domain's ports on other hosts may wait for company.
    static let gathering = Duration.milliseconds(200)

    /// Follows the store and tells the hosts, until cancelled.
    public func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.followChanges() }
            group.addTask {
                while true {
                    try await Task.sleep(for: ClusterController.gathering)
                    await self.hurry()
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func hurry() {
        for session in sessions.values { session.marks.hurry() }
    }

    private func followChanges() async throws {
        for await batch in engine.changes() {
            switch batch {
            case .lost: loseTrack()
            case .changes(let changes):
                do { try await follow(changes) } catch {
                    log.error("changes could not be followed", metadata: ["error": "\(error)"])
                    loseTrack()
                }
            }
        }
    }

    /// What changed is not known: nothing that was read before is good any more.
    func loseTrack() {
        // What was sent is still what was sent: only the difference to what is read anew is told.
        for domain in domains.keys { domains[domain]?.isStale = true }
        domainOfPort = [:]
        for number in reads.keys { reads[number]?.isLost = true }
        for session in sessions.values { session.marks.markEverything() }
    }

    private func follow(_ changes: [Database.Change]) async throws(Fault) {
        let holdings = changes.filter { $0.table == "holding" }.map { ID<Holding>(stored: $0.id) }
        if !holdings.isEmpty {
            let owners = try await engine.readNow { tx throws(Fault) in
                try holdings.map { id throws(Fault) in try tx.find(Holding.table, id).map { (host: $0.host, pool: $0.pool) } }
            }
            for (id, owner) in zip(holdings, owners) { mark(id, owner) }
        }
        for change in changes where change.table == "instance" {
            for session in sessions.values { session.marks.markGuest(ID(stored: change.id)) }
        }
        for change in changes where change.table == "port" { try await followPort(ID(stored: change.id)) }
        for change in changes where change.table == "security_group" { try await followGroup(ID(stored: change.id)) }
    }

    private func mark(_ id: ID<Holding>, _ owner: (host: ID<Host>?, pool: ID<Pool>?)?) {
        for session in sessions.values {
            // A row that is gone concerns whoever was sent it.
            guard let owner else {
                session.marks.markGone(id)
                continue
            }
            if session.host == owner.host || session.pool == owner.pool { session.marks.mark(id) }
        }
    }

    private func followPort(_ port: ID<Port>) async throws(Fault) {
        for number in reads.keys { reads[number]?.ports.insert(port) }
        let turn = takeTurn(port.stored)
        let builder = builder
        let entry = try await engine.readNow { tx throws(Fault) in try builder.port(tx, port) }
        guard isLast(turn, port.stored) else { return }
        guard let domain = entry?.domain ?? domainOfPort[port.stored], isCurrent(domain) else { return }
        domains[domain]?.section.set(DocumentBuilder.key(port), entry?.payload)
        domainOfPort[port.stored] = entry == nil ? nil : domain
        for session in sessions.values { session.marks.markDomain(domain, mayWait: entry?.host != session.host) }
        if let instance = entry?.instance { for session in sessions.values { session.marks.markGuest(instance) } }
    }

    private func followGroup(_ group: ID<Group>) async throws(Fault) {
        for number in reads.keys { reads[number]?.groups.insert(group) }
        let turn = takeTurn(group.stored)
        let builder = builder
        let entry = try await engine.readNow { tx throws(Fault) in try builder.group(tx, group) }
        guard isLast(turn, group.stored) else { return }
        let key = DocumentBuilder.key(group)
        for domain in domains.keys where isCurrent(domain) {
            guard entry.map({ $0.domain == domain }) ?? (domains[domain]?.section.has(key) == true) else { continue }
            domains[domain]?.section.set(key, entry?.payload)
            for session in sessions.values { session.marks.markDomain(domain) }
        }
    }

    /// Whether a domain was read and is kept up since.
    private func isCurrent(_ domain: ID<Domain>) -> Bool { domains[domain].map { !$0.isStale } ?? false }

    /// Reads a routing domain's entries, unless they are there; from then on they are kept up, for all
    /// its hosts.
    private func read(_ domain: ID<Domain>) async throws(Fault) {
        while !isCurrent(domain) {
            let number = nextRead
            nextRead += 1
            reads[number] = DomainRead()
            defer { reads[number] = nil }
            let builder = builder
            let (entries, ports) = try await engine.read { tx throws(Fault) in try builder.domain(tx, domain) }
            // Another session may have read it in the meantime.
            if isCurrent(domain) { return }
            guard let read = reads[number], !read.isLost else { continue }
            var shared = domains[domain] ?? SharedDomain(section: SharedSection(name: Section.domain(domain.hex)))
            shared.section.replace(with: entries)
            shared.isStale = false
            domains[domain] = shared
            for port in ports { domainOfPort[port.stored] = domain }
            // What was followed while this was read may be newer than what was read.
            do throws(Fault) {
                for port in read.ports { try await followPort(port) }
                for group in read.groups { try await followGroup(group) }
            } catch {
                domains[domain]?.isStale = true
                throw error
            }
        }
    }

    /// What a session is to be sent of a domain; from then on it counts as sent.
    func changes(of domain: ID<Domain>, for session: OwnerSession) async throws(Fault) -> SectionChanges {
        while true {
            try await read(domain)
            // Nobody needed it any more while it was read.
            guard let shared = domains[domain], !shared.isStale else { continue }
            let changes = try shared.section.changes(since: shared.sent[ObjectIdentifier(session)])
            note(shared.section.mark, of: domain, sentTo: session)
            return changes
        }
    }

    /// What takes the domains from a session that it was sent and needs no longer.
    func removals(keeping needed: Set<ID<Domain>>, for session: OwnerSession) throws(Fault) -> [SectionChanges] {
        var removals: [SectionChanges] = []
        for (domain, shared) in domains where !needed.contains(domain) {
            guard let mark = shared.sent[ObjectIdentifier(session)] else { continue }
            removals.append(try shared.section.removal(since: mark))
            note(nil, of: domain, sentTo: session)
        }
        return removals
    }

    private func note(_ mark: SectionMark?, of domain: ID<Domain>, sentTo session: OwnerSession) {
        domains[domain]?.sent[ObjectIdentifier(session)] = mark
        guard let shared = domains[domain] else { return }
        if shared.sent.isEmpty {
            domains[domain] = nil
            domainOfPort = domainOfPort.filter { $0.value != domain }
        } else if shared.section.changeCount > 1000 {
            domains[domain]?.section.forget(seenBy: shared.sent.values, keeping: ClusterController.domainChangesMax)
        }
    }

    /// Of two that read a row at once, the one that began last has seen the newer.
    private func takeTurn(_ row: Int64) -> UInt64 {
        nextRead += 1
        turns[row] = nextRead
        return nextRead
    }

    private func isLast(_ turn: UInt64, _ row: Int64) -> Bool {
        guard turns[row] == turn else { return false }
        turns[row] = nil
        return true
    }

    // MARK: - Sessions

    public nonisolated func serve(
        _ messages: RPCAsyncSequence<FromOwner, any Error>, send: @escaping @Sendable (ToOwner) async throws -> Void
    ) async throws {
        var iterator = messages.makeAsyncIterator()
        guard let first = try await iterator.next(), case .hello(let hello)? = first.kind else {
            throw RPCError(code: .failedPrecondition, message: "a session begins with hello")
        }
        let session = try await begin(hello)
        try await send(ToOwner.with { $0.welcome = session.welcome })
        let rest = SessionMessages(iterator: iterator)
        let outcome = await Result { try await session.run(rest, of: self, send: send) }
        await end(session)
        try outcome.get()
    }

    private func begin(_ hello: Hello) async throws -> OwnerSession {
        guard hello.zone == zone.name else {
            throw RPCError(code: .failedPrecondition, message: "this is zone \(zone.name), not \(hello.zone)")
        }
        guard let (host, pool) = try await register(hello) else {
            // In words that the node's log shows.
            throw RPCError(
                code: .failedPrecondition,
                message: "host \(hello.host) was fenced: look at what it holds, then karri host accept \(hello.host)")
        }
        sessions[host]?.cancel()
        let counter = hello.epoch == epoch ? hello.counter : 0
        let session = OwnerSession(
            host: host, pool: pool, name: hello.host, sender: DocumentSender(epoch: epoch, counter: counter), now: chance.now(),
            log: log)
        sessions[host] = session
        log.info("host in session", metadata: ["host": "\(hello.host)", "accelerator": "\(hello.accelerator)"])
        return session
    }

    /// The host's rows, made at its first session; its capacity is as it says. Nil for a fenced host.
    private func register(_ hello: Hello) async throws(Fault) -> (ID<Host>, ID<Pool>)? {
        let now = chance.now()
        let seed = chance.bits()
        let zone = zone
        return try await engine.write { tx throws(Fault) in
            var dice = Dice(seed: seed)
            let memory = ByteCount(hello.memory)
            let bytes = ByteCount(hello.poolBytes)
            if let host = try tx.host(named: hello.host) {
                guard try tx.fence(of: host.id) == nil else { return nil }
                try tx.resize(host.id, processors: hello.processors, memory: memory, accelerator: hello.accelerator)
                try tx.resize(host.pool, bytes: bytes)
                if host.state == .lost { try tx.set(.up, of: host.id) }
                return (host.id, host.pool)
            }
            let pool = Pool(
                id: dice.id(), zone: zone.id, host: nil, name: "\(hello.host)-disk", bytes: bytes, bytesFree: bytes, created: now,
                revision: 1)
            tx.insert(pool, into: Pool.table)
            let host = Host(
                id: dice.id(), zone: zone.id, name: hello.host, state: .up, processors: hello.processors, memory: memory,
                processorsFree: hello.processors, memoryFree: memory, pool: pool.id, accelerator: hello.accelerator, created: now,
                revision: 1)
            tx.insert(host, into: Host.table)
            try tx.run("UPDATE pool SET host = $2 WHERE id = $1", [pool.id.value, host.id.value])
            tx.tell(.host, host.id.stored, at: now, source: "cluster", "joined as \(hello.host)")
            return (host.id, pool.id)
        }
    }

    private func end(_ session: OwnerSession) {
        for domain in Array(domains.keys) where domains[domain]?.sent[ObjectIdentifier(session)] != nil {
            note(nil, of: domain, sentTo: session)
        }
        guard sessions[session.host] === session else { return }
        sessions[session.host] = nil
        log.warning("host out of session", metadata: ["host": "\(session.name)"])
    }

    /// Marks hosts that have been without a session, or silent in theirs, for the grace time. To be
    /// called now and then.
    public func markLostHosts(since: [ID<Host>: Instant]) async throws(Fault) -> [ID<Host>: Instant] {
        let now = chance.now()
        let zone = zone
        let hosts = try await engine.read { tx throws(Fault) in try tx.hosts(in: zone.id) }
        var absent: [ID<Host>: Instant] = [:]
        for host in hosts {
            if let session = sessions[host.id], now - session.lastHeard < ClusterController.silence {
                // Its session began while it was being marked, or it found its voice again.
                if host.state == .lost { try await set(.up, of: host) }
                continue
            }
            guard host.state == .up else { continue }
            let first = since[host.id] ?? now
            absent[host.id] = first
            if now - first >= ClusterController.grace {
                log.error("host is lost", metadata: ["host": "\(host.name)"])
                try await set(.lost, of: host)
            }
        }
        return absent
    }

    private func set(_ state: Host.State, of host: Host) async throws(Fault) {
        let lease = ClusterController.lease(of: zone)
        let epoch = Int64(epoch)
        try await engine.write { tx throws(Fault) in
            try tx.require(lease, epoch: epoch)
            try tx.set(state, of: host.id)
        }
    }

    /// When each host was heard last.
    public func lastHeard() -> [ID<Host>: Instant] { sessions.mapValues { $0.lastHeard } }

    /// Asks a host about a machine's console.
    ///
    /// - Throws: `.unavailable` when the host is not in session, `.timedOut`.
    public func consoleOutput(of instance: ID<Instance>) async throws(Fault) -> (content: [UInt8], at: Instant) {
        let holding = try await engine.readNow { tx throws(Fault) in try tx.holding(.machine, instance.stored) }
        guard let host = holding?.host, let session = sessions[host] else {
            throw Fault(.unavailable, "The machine's host cannot be asked at the moment.", kind: .host)
        }
        let answer = try await session.ask(Question.with { $0.consoleOutput.instance = instance.bits })
        guard answer.fault.isEmpty else { throw Fault(.unavailable, answer.fault, kind: .instance) }
        return (Array(answer.content), Instant(microseconds: answer.at))
    }
}

/// The rest of a session's messages, for the one task that reads them.
struct SessionMessages: @unchecked Sendable {
    // Sound: handed once from `serve` to the reading task and used by it alone.
    var iterator: RPCAsyncSequence<FromOwner, any Error>.AsyncIterator
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
