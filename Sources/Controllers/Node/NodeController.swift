//  One host's node controller: makes the host match its document. It is level-triggered, has no
//  other input, and may be ended at any time; guests run on without it.

import Dataplane
import Disks
import Edge
import Fabric
import Hypervisor
import Logging
import Model
import Platform

/// Keeps one host as its document says.
public struct NodeController: Sendable {
    let configuration: NodeConfiguration
    let hypervisor: any HypervisorDriver
    let disks: any DiskDriver
    let dataplane: any DataplaneDriver
    let names: DataplaneNames
    let services: any GuestServices
    let chance: Chance
    let log: Logger

    let state: NodeState
    let marks: RunMarks
    let slots: GuestSlots
    let reporter = Reporter()
    let graces = Graces()
    /// Disks, domains and *edge* are looked at in turns of their own: a machine's start looks at them too,
    /// and what it read before must not be done after what was read since.
    let turns = Turnstile()

    /// How many entries are worked on side by side.
    static let runningMax = 16
    /// How long a booting host waits for its document before it obeys the kept one.
    static let documentPatience = Duration.seconds(15)
    static let heartbeat = Duration.seconds(5)
    /// How often everything is looked at although nothing was heard.
    static let round = Duration.seconds(30)

    /// - Parameter stock: Where the documents of several hosts in one process share their entries.
    public init(
        _ configuration: NodeConfiguration, hypervisor: any HypervisorDriver, disks: any DiskDriver, dataplane: any DataplaneDriver,
        names: DataplaneNames, guests: any GuestServices, stock: EntryStock? = nil, chance: Chance, log: Logger
    ) {
        self.configuration = configuration
        self.hypervisor = hypervisor
        self.disks = disks
        self.dataplane = dataplane
        self.names = names
        services = guests
        self.chance = chance
        self.log = log
        state = NodeState(kept: configuration.isDurable ? configuration.keptDocument : nil, sharing: stock)
        marks = RunMarks(folder: configuration.isDurable ? configuration.runMarks : nil)
        slots = GuestSlots(folder: configuration.isDurable ? configuration.slots : nil)
    }

    private enum Event: Sendable {
        case woken([Work])
        case finished(Work)
    }

    /// Serves until cancelled.
    ///
    /// - Throws: What keeps the host from serving at all: a hypervisor that cannot be had, a pool
    ///   that cannot be opened, a network that cannot be prepared.
    public func run() async throws {
        if configuration.isDurable {
            try Folder.make(configuration.installation.node, mode: 0o755)
            try Folder.make(configuration.uploads, mode: 0o755)
        }
        try await state.open()
        try await marks.open()
        try await slots.open()
        try await disks.open()
        try await dataplane.prepareHost(configuration.host)
        for obstacle in try await dataplane.obstacles() {
            log.notice("forwarded packets are let through", metadata: ["obstacle": "\(obstacle)"])
            try await dataplane.overcome(obstacle)
        }
        try await hypervisor.prepare()
        let (events, source) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .unbounded)
        let wake: @Sendable ([Work]) -> Void = { work in if !work.isEmpty { source.yield(.woken(work)) } }
        let happenings = await hypervisor.events()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await hypervisor.run() }
            group.addTask { try await dispatch(events, source) }
            group.addTask { for await happening in happenings { await notice(happening, wake) } }
            group.addTask { try await converse(wake) }
            group.addTask { try await sendReports() }
            group.addTask {
                while true {
                    try await Task.sleep(for: NodeController.heartbeat)
                    reporter.beat()
                }
            }
            group.addTask {
                try await Task.sleep(for: NodeController.documentPatience)
                wake(await state.obeyKept())
                while true {
                    try await Task.sleep(for: NodeController.round)
                    if await state.isObeyed { wake(await inspect()) }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    // MARK: - Work

    private func dispatch(_ events: AsyncStream<Event>, _ source: AsyncStream<Event>.Continuation) async throws {
        var queue = KeyQueue<Work>()
        try await withThrowingDiscardingTaskGroup { group in
            for await event in events {
                switch event {
                case .woken(let work): queue.add(work)
                case .finished(let work): queue.finished(work)
                }
                while let work = queue.next(runningMax: NodeController.runningMax) {
                    group.addTask {
                        let pause = await look(at: work)
                        source.yield(.finished(work))
                        if let pause {
                            try await Task.sleep(for: pause)
                            source.yield(.woken([work]))
                        }
                    }
                }
            }
        }
    }

    /// Makes one thing match.
    ///
    /// - Returns: When to look again, if it does not yet.
    private func look(at work: Work) async -> Duration? {
        do throws(Fault) {
            switch work {
            case .image(let key): return try await lookAtImage(key)
            case .disk(let key): return try await lookAtDisk(key)
            case .machine(let key): return try await lookAtMachine(key)
            case .domain(let id): return try await lookAtDomain(id)
            case .edge: return try await lookAtEdge()
            }
        } catch {
            log.error("not as wanted", metadata: ["work": "\(work)", "fault": "\(error)"])
            return .seconds(2)
        }
    }

    private func notice(_ happening: MachineEvent, _ wake: @Sendable ([Work]) -> Void) async {
        switch happening {
        case .lost: wake(await state.machineKeys.map { .machine($0) })
        case .started(let name), .resumed(let name), .paused(let name, _), .stopped(let name, _), .rebooted(let name),
            .diskError(let name, _, _):
            if let key = NodeController.key(of: name) { wake([.machine(key)]) }
        }
    }

    /// A machine's name at the hypervisor: the instance's id as AWS spells it.
    static func name(of key: String) -> String { "i-0\(key)" }
    static func key(of name: String) -> String? { name.hasPrefix("i-0") ? String(name.dropFirst(3)) : nil }

    /// What is to be looked at although nothing was heard: machines, and networks that somebody
    /// else changed.
    private func inspect() async -> [Work] {
        var work: [Work] = await state.machineKeys.map { .machine($0) }
        do throws(Fault) {
            if try await !dataplane.inspect(nil).isEmpty { try await dataplane.prepareHost(configuration.host) }
            for domain in await state.domains {
                guard let id = ID<Domain>(hex: domain) else { continue }
                let discrepancies = try await dataplane.inspect(id)
                guard !discrepancies.isEmpty else { continue }
                log.warning(
                    "a network was changed by others", metadata: ["domain": "\(domain)", "what": "\(discrepancies.prefix(5))"])
                work.append(.domain(domain))
            }
        } catch { log.error("the networks could not be inspected", metadata: ["fault": "\(error)"]) }
        return work
    }

    /// Routing domains that this host has and the document has not: they are removed.
    private func strayDomains() async throws(Fault) -> [Work] {
        let wanted = Set(await state.domains)
        return try await dataplane.domains().map(\.hex).filter { !wanted.contains($0) }.map { .domain($0) }
    }

    // MARK: - The session

    private func converse(_ wake: @escaping @Sendable ([Work]) -> Void) async throws {
        var pause = Duration.milliseconds(50)
        while !Task.isCancelled {
            let began = ContinuousClock.now
            do {
                try await converseOnce(wake)
                log.info("the session ended")
            } catch {
                log.notice("no session with the cluster controller", metadata: ["error": "\(error)"])
            }
            reporter.detach()
            pause = ContinuousClock.now - began > .seconds(5) ? .milliseconds(50) : min(pause * 2, .seconds(2))
            try await Task.sleep(for: pause)
        }
    }

    private func converseOnce(_ wake: @escaping @Sendable ([Work]) -> Void) async throws {
        let hello = try await hello()
        let (outgoing, source) = AsyncStream.makeStream(of: FromOwner.self, bufferingPolicy: .bufferingOldest(4096))
        defer { source.finish() }
        source.yield(FromOwner.with { $0.hello = hello })
        try await FabricClient.session(path: configuration.fabricSocket, outgoing: outgoing) { message in
            switch message.kind {
            case .welcome(let welcome):
                try await state.welcome(ID(bits: welcome.host))
                reporter.attach(source)
            case .update(let update): try await take(update, source, wake)
            case .question(let question):
                let answer = await answer(question)
                source.yield(FromOwner.with { $0.answer = answer })
            case nil: break
            }
        }
    }

    private func answer(_ question: Question) async -> Answer {
        var answer = Answer()
        answer.number = question.number
        do throws(Fault) {
            switch question.kind {
            case .consoleOutput(let console):
                let name = NodeController.name(of: hexDigits(console.instance))
                answer.content = .init(try await hypervisor.consoleOutput(of: name, limit: consoleOutputBytesMax))
                answer.at = chance.now().microseconds
            case nil: answer.fault = "This host does not know the question."
            }
        } catch { answer.fault = error.message }
        return answer
    }

    private func take(
        _ update: DocumentUpdate, _ outgoing: AsyncStream<FromOwner>.Continuation, _ wake: @Sendable ([Work]) -> Void
    ) async throws {
        var applied = Applied()
        applied.epoch = update.epoch
        applied.counter = update.counter
        do throws(Fault) {
            wake(try await state.apply(update))
            if update.whole { wake(try await strayDomains()) }
        } catch {
            log.error("a document was refused", metadata: ["fault": "\(error)"])
            applied.refused = error.message
        }
        outgoing.yield(FromOwner.with { $0.applied = applied })
    }

    private func hello() async throws(Fault) -> Hello {
        let capacity = try await hypervisor.capacity()
        let pool = try await disks.capacity()
        var hello = Hello()
        hello.host = configuration.hostName
        hello.zone = configuration.zone
        hello.processors = Int64(capacity.cpus) * configuration.overcommitment
        hello.memory = max(0, capacity.memory.bytes - configuration.memoryReserve.bytes)
        hello.poolBytes = pool.room.bytes * NodeController.poolOvercommitment
        hello.accelerator = capacity.accelerator.rawValue
        let generation = await state.generation
        hello.epoch = generation.epoch
        hello.counter = generation.counter
        hello.digest = .init(await state.digest)
        return hello
    }

    /// Disks are thin: so many times the room for them is promised.
    static let poolOvercommitment: Int64 = 3

    private func sendReports() async throws {
        for await _ in reporter.wakes {
            reporter.flush()
            // What follows within a moment goes in one batch.
            try await Task.sleep(for: .milliseconds(3))
        }
    }
}
