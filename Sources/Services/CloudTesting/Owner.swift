//  The hosts' twin. It learns what to hold as the cluster controller would tell a host, from the
//  store alone, does it at once, and reports as a node controller does. It looks and reports in two
//  transactions, as a real report comes later than what it is about. A script makes it misbehave.

import Compute
import Database
import Model
import Store
import Synchronization

/// Plays all hosts of a cloud.
public final class Owner: Sendable {
    /// How the hosts misbehave. By default they do not.
    public struct Script: Sendable {
        /// Hosts that do and say nothing, as when they are cut off.
        public var silent: Set<ID<Host>> = []
        /// Whether all are.
        public var isSilent = false
        /// Why a thing that should be made or started cannot be; nil where it can.
        public var failure: @Sendable (Holding) -> String? = { _ in nil }
        /// Machines that power themselves off when the hosts act next.
        public var poweringOff: Set<ID<Instance>> = []
        /// Machines whose process dies when the hosts act next.
        public var crashing: Set<ID<Instance>> = []

        public init() {}
    }

    private struct State {
        var script = Script()
        var complaints: [String] = []
        /// What really runs, whatever the store says: the host of each machine and its disks.
        var running: [ID<Instance>: (host: ID<Host>, disks: [ID<Volume>])] = [:]
    }

    private let engine: any Engine
    private let compute: ComputeService
    private let chance: Chance
    private let state = Mutex(State())

    init(engine: any Engine, compute: ComputeService, chance: Chance) {
        self.engine = engine
        self.compute = compute
        self.chance = chance
    }

    /// Changes the script.
    public func script(_ change: (inout Script) -> Void) { state.withLock { change(&$0.script) } }

    /// What an honest host could not have done with what it was told, in sentences.
    public var complaints: [String] { state.withLock { $0.complaints } }

    /// Lets every host look once and report.
    ///
    /// - Returns: How many reports said something new.
    @discardableResult
    public func act() async throws(Fault) -> Int {
        let script = state.withLock { state in
            defer {
                state.script.poweringOff = []
                state.script.crashing = []
            }
            return state.script
        }
        guard !script.isSilent else { return 0 }
        let hosts = try await engine.read { tx throws(Fault) in try tx.all(Host.table, where: "TRUE ORDER BY id") }
        var news = 0
        let fenced = try await engine.read { tx throws(Fault) in Set(try tx.fences().map(\.host)) }
        // A fenced host is not heard, whatever it does.
        for host in hosts where !script.silent.contains(host.id) && !fenced.contains(host.id) {
            news += try await remove(try await engine.read { tx throws(Fault) in try tx.remnants(on: host.id) })
            news += try await act(host, script)
        }
        return news
    }

    /// Acts until cancelled.
    public func run(pause: Duration = .milliseconds(5)) async throws {
        while !Task.isCancelled {
            try await act()
            try await Task.sleep(for: pause)
        }
    }

    /// Removes what is left of the time before a fence.
    private func remove(_ remnants: [Remnant]) async throws(Fault) -> Int {
        guard !remnants.isEmpty else { return 0 }
        state.withLock { state in
            for remnant in remnants where remnant.kind == .machine { state.running[ID(stored: remnant.thing)] = nil }
        }
        try await engine.write { tx throws(Fault) in for remnant in remnants { try tx.forget(remnant) } }
        return remnants.count
    }

    private func act(_ host: Host, _ script: Script) async throws(Fault) -> Int {
        let (words, disks) = try await engine.read { tx throws(Fault) in
            let words = try self.look(tx, host, script)
            var disks: [ID<Instance>: [ID<Volume>]] = [:]
            for (holding, word) in words where holding.kind == .machine && word.observed == .running {
                let id = ID<Instance>(stored: holding.thing)
                disks[id] = try tx.attachments(of: id).map(\.volume)
            }
            return (words, disks)
        }
        guard !words.isEmpty else { return 0 }
        remember(words, disks, on: host.id)
        let compute = compute
        let now = chance.now()
        let seed = chance.bits()
        return try await engine.write { tx throws(Fault) in
            var dice = Dice(seed: seed)
            var news = 0
            for (seen, word) in words {
                // A word about an earlier grant says nothing about this one.
                guard let holding = try tx.find(Holding.table, seen.id), holding.epoch == seen.epoch,
                    let noted = try tx.note(word, of: holding)
                else { continue }
                news += 1
                if noted.kind == .machine, noted.observed == .off, noted.wanted == .running {
                    try compute.poweredOff(tx, noted, now: now, dice: &dice)
                }
            }
            return news
        }
    }

    /// What the host has done, before it tells of it.
    private func remember(_ words: [(Holding, Observation)], _ disks: [ID<Instance>: [ID<Volume>]], on host: ID<Host>) {
        state.withLock { state in
            for (holding, word) in words where holding.kind == .machine {
                let id = ID<Instance>(stored: holding.thing)
                state.running[id] = word.observed == .running ? (host, disks[id] ?? []) : nil
            }
        }
    }

    /// What a host says of each thing that it should hold; of one that it is not told of, nothing.
    private func look(_ tx: Reading, _ host: Host, _ script: Script) throws(Fault) -> [(Holding, Observation)] {
        let holdings = try tx.holdings(on: host.id, pool: host.pool)
        var words: [(Holding, Observation)] = []
        for holding in holdings {
            let word: Observation?
            switch holding.kind {
            case .image: word = try image(tx, holding, script)
            case .disk: word = holding.granted ? try disk(tx, holding, script) : nil
            case .machine: word = holding.granted ? try machine(tx, holding, script) : nil
            }
            if let word { words.append((holding, word)) }
        }
        expectNamed(holdings, on: host.id)
        return words
    }

    /// A machine that runs is named to its host until it is gone.
    private func expectNamed(_ holdings: [Holding], on host: ID<Host>) {
        let named = Set(holdings.filter { $0.kind == .machine }.map(\.thing))
        let running = state.withLock(\.running)
        for (id, place) in running where place.host == host && !named.contains(id.stored) {
            complain("machine \(id) runs and its host is told nothing of it")
        }
    }

    private func image(_ tx: Reading, _ holding: Holding, _ script: Script) throws(Fault) -> Observation? {
        guard let image = try tx.find(Image.table, ID<Image>(stored: holding.thing)) else { return nil }
        if holding.wanted == .absent { return Observation(.absent) }
        if holding.observed == .ready || holding.observed == .failed { return nil }
        if let fault = script.failure(holding) { return Observation(.failed, fault: fault) }
        return Observation(
            .ready, digest: image.digest ?? String(repeating: image.id.hex, count: 4),
            size: image.size == .zero ? .mebibytes(512) : image.size)
    }

    private func disk(_ tx: Reading, _ holding: Holding, _ script: Script) throws(Fault) -> Observation? {
        let id = ID<Volume>(stored: holding.thing)
        guard let volume = try tx.find(Volume.table, id) else { return nil }
        if holding.wanted == .absent {
            expectUnused(id)
            return Observation(.absent)
        }
        if holding.observed == .ready || holding.observed == .failed { return nil }
        if let fault = script.failure(holding) { return Observation(.failed, fault: fault) }
        if let image = volume.image, try tx.holding(.image, image.stored, in: volume.pool)?.observed != .ready {
            return Observation(.failed, fault: "this pool has no copy of the image")
        }
        return Observation(.ready)
    }

    /// A disk must not go while its machine runs.
    private func expectUnused(_ id: ID<Volume>) {
        let running = state.withLock(\.running)
        for (machine, place) in running where place.disks.contains(id) {
            complain("disk \(id) was to go while machine \(machine) ran from it")
        }
    }

    private func machine(_ tx: Reading, _ holding: Holding, _ script: Script) throws(Fault) -> Observation? {
        let id = ID<Instance>(stored: holding.thing)
        guard let instance = try tx.find(Instance.table, id) else { return nil }
        switch holding.wanted {
        case .absent: return Observation(.absent, startsDone: holding.startsDone, rebootsDone: holding.rebootsDone)
        case .stopped:
            return Observation(
                .off, startsDone: holding.startsDone == 0 ? instance.startsWanted : holding.startsDone,
                rebootsDone: holding.rebootsDone)
        case .running, .present: return try running(tx, holding, instance, script)
        }
    }

    private func running(
        _ tx: Reading, _ holding: Holding, _ instance: Instance, _ script: Script
    ) throws(Fault) -> Observation? {
        guard holding.startsDone < instance.startsWanted else {
            if script.poweringOff.contains(instance.id) || script.crashing.contains(instance.id) {
                return Observation(
                    .off, fault: script.crashing.contains(instance.id) ? "the machine's process ended" : nil,
                    startsDone: holding.startsDone, rebootsDone: holding.rebootsDone)
            }
            // What ended by itself stays off until another start is wanted.
            guard holding.observed == .running else { return nil }
            return Observation(.running, startsDone: holding.startsDone, rebootsDone: instance.rebootsWanted)
        }
        if holding.observed == .failed { return nil }
        let disks = try disks(tx, instance)
        // A host makes a machine's disks before it starts it.
        if let fault = ([holding] + disks).lazy.compactMap(script.failure).first { return Observation(.failed, fault: fault) }
        try expectComplete(tx, holding, instance)
        return Observation(.running, startsDone: instance.startsWanted, rebootsDone: instance.rebootsWanted)
    }

    /// A machine's disks, which its host was told to make before or with the machine.
    private func disks(_ tx: Reading, _ instance: Instance) throws(Fault) -> [Holding] {
        var disks: [Holding] = []
        for attachment in try tx.attachments(of: instance.id) {
            guard let disk = try tx.holding(.disk, attachment.volume.stored), disk.granted, disk.wanted == .present else {
                complain("machine \(instance.id) was to start without its disk \(attachment.volume)")
                continue
            }
            disks.append(disk)
        }
        return disks
    }

    /// What else a machine needs is there before its host is told to start it.
    private func expectComplete(_ tx: Reading, _ holding: Holding, _ instance: Instance) throws(Fault) {
        if try tx.ports(of: instance.id).isEmpty { complain("machine \(instance.id) was to start without a port") }
        if holding.processors != instance.processors || holding.memory != instance.memory {
            complain("machine \(instance.id) was to start without its capacity")
        }
    }

    private func complain(_ sentence: String) {
        state.withLock { state in
            // One that repeats itself is told once.
            if state.complaints.count < 100, !state.complaints.contains(sentence) { state.complaints.append(sentence) }
        }
    }
}
