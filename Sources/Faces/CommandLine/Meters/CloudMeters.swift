//  What `/metrics` shows of a cloud: what its parts counted, what the store holds now, and its
//  processes. Numbers of the whole cloud only: no account, machine or address is named.

import AWS
import Cluster
import Database
import Meters
import Model
import Operations
import Platform
import S3
import Store
import Supervisor

#if canImport(Glibc)
    import Glibc
#endif

/// Gathers the page; counts over the whole store are kept for a while, so that asking often costs little.
actor CloudMeters {
    private let engine: any Engine
    private let runner: Runner
    private let face: FaceMeters
    private let s3: S3Meters
    private let cluster: ClusterController
    private let installation: Installation
    private let chance: Chance
    private let started: Instant

    /// How old counts over the whole store may be.
    static let freshness = Duration.seconds(10)
    /// How long the store may take to say that it is there.
    static let readPatience = Duration.seconds(2)

    private struct Counts: Sendable {
        var at: Instant
        var overview: Overview
        var tally: Tally
    }

    private var counts: Counts?

    init(
        engine: any Engine, runner: Runner, face: FaceMeters, s3: S3Meters, cluster: ClusterController, installation: Installation,
        chance: Chance
    ) {
        self.engine = engine
        self.runner = runner
        self.face = face
        self.s3 = s3
        self.cluster = cluster
        self.installation = installation
        self.chance = chance
        started = chance.now()
    }

    /// Why the cloud cannot serve calls; nil when it can.
    static func unreadiness(of engine: any Engine) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask {
                do throws(Fault) {
                    _ = try await engine.read { tx throws(Fault) in try tx.zones() }
                    return nil
                } catch { return "the store: \(error.message)" }
            }
            group.addTask {
                // A cancelled sleep means that the store has answered.
                do { try await Task.sleep(for: readPatience) } catch { return nil }
                return "the store did not answer within \(readPatience)"
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// The page in Prometheus's text format.
    ///
    /// - Throws: What the store throws.
    func page() async throws(Fault) -> String {
        let now = chance.now()
        let counts = try await current(now)
        let heard = await cluster.lastHeard()
        var page = MeterPage()
        page.gauge(Families.build, [([Release.version, engine.name.rawValue], 1)])
        page.gauge(Families.started, [([], started.microseconds / 1_000_000)])
        face.calls.write(to: &page)
        face.spans.write(to: &page)
        s3.calls.write(to: &page)
        s3.spans.write(to: &page)
        engine.meters.commits.write(to: &page)
        engine.meters.writes.write(to: &page)
        runner.ended.write(to: &page)
        runner.refused.write(to: &page)
        CloudMeters.add(counts.tally, to: &page)
        CloudMeters.add(counts.overview, heard, to: &page)
        addProcesses(to: &page)
        return page.text
    }

    private func current(_ now: Instant) async throws(Fault) -> Counts {
        if let counts, now - counts.at < CloudMeters.freshness, now >= counts.at { return counts }
        let (overview, tally) = try await engine.read { tx throws(Fault) in (try tx.overview(at: now), try tx.tally()) }
        let fresh = Counts(at: now, overview: overview, tally: tally)
        counts = fresh
        return fresh
    }

    static func add(_ tally: Tally, to page: inout MeterPage) {
        // Every phase is shown, so that a graph has no holes.
        page.gauge(
            Families.machines,
            Instance.Phase.allCases.filter { $0 != .gone }.map { ([$0.rawValue], Int64(tally.machines[$0] ?? 0)) })
        page.gauge(
            Families.operations,
            tally.operations.flatMap { [([$0.kind, "running"], Int64($0.running)), ([$0.kind, "waiting"], Int64($0.waiting))] })
    }

    static func add(_ overview: Overview, _ heard: [ID<Host>: Instant], to page: inout MeterPage) {
        page.gauge(Families.overdue, [([], Int64(overview.operationsOverdue))])
        var states: [String: Int64] = [:]
        for line in overview.hosts { states[HostWords.state(line, heard[line.host.id]), default: 0] += 1 }
        page.gauge(Families.hosts, HostWords.states.map { ([$0], states[$0] ?? 0) })
        func shares(_ family: MeterFamily, _ all: (Overview.HostLine) -> Int64, _ free: (Overview.HostLine) -> Int64) {
            page.gauge(
                family,
                [(["all"], overview.hosts.reduce(0) { $0 &+ all($1) }), (["free"], overview.hosts.reduce(0) { $0 &+ free($1) })])
        }
        shares(Families.processors, { $0.host.processors }, { $0.host.processorsFree })
        shares(Families.memory, { $0.host.memory.bytes }, { $0.host.memoryFree.bytes })
        shares(Families.pools, { $0.pool.bytes.bytes }, { $0.pool.bytesFree.bytes })
        page.gauge(
            Families.things,
            [
                (["account"], Int64(overview.accounts)), (["image"], Int64(overview.images)), (["volume"], Int64(overview.volumes)),
            ])
    }

    private func addProcesses(to page: inout MeterPage) {
        // A status that cannot be read leaves the families empty, and is `karri status`'s to tell.
        let status = (try? SupervisorStatus.read(installation.supervisorStatus)).flatMap(\.self)
        let children = status?.children ?? []
        page.gauge(Families.processUp, children.map { ([$0.name], $0.state == .ready ? 1 : 0) })
        page.counter(Families.processRestarts, children.map { ([$0.name], Int64($0.restarts)) })
        page.gauge(
            Families.processMemory,
            children.compactMap { child in
                child.process.flatMap { CloudMeters.residentBytes(of: $0.pid) }.map { ([child.name], $0) }
            })
    }

    /// From proc(5)'s statm: its second number counts resident pages.
    static func residentBytes(of process: Int32) -> Int64? {
        guard let bytes = try? AtomicFile.read("/proc/\(process)/statm", limit: 4096) else { return nil }
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard words.count > 1, let pages = Int64(words[1]) else { return nil }
        return pages.multipliedReportingOverflow(by: Int64(sysconf(Int32(_SC_PAGESIZE)))).partialValue
    }
}

/// How a host is, in one word.
enum HostWords {
    static let states = ["up", "away", "lost", "fenced", "closed"]

    /// - Parameter heard: When its session last said something; nil without a session.
    static func state(_ line: Overview.HostLine, _ heard: Instant?) -> String {
        if line.isFenced { return "fenced" }
        return heard == nil && line.host.state == .up ? "away" : line.host.state.rawValue
    }
}

/// What is gathered besides what the parts count themselves.
private enum Families {
    static let build = MeterFamily("karri_build_info", "Which Karri this is.", labels: ["release", "store"])
    static let started = MeterFamily("karri_start_time_seconds", "When the cloud controller started, since 1970.")
    static let machines = MeterFamily("karri_machines", "Machines that are not gone, by state.", labels: ["state"])
    static let operations = MeterFamily("karri_operations", "Operations that have not ended.", labels: ["kind", "state"])
    static let overdue = MeterFamily("karri_operations_overdue", "Operations whose wait is over and that have not gone on.")
    static let hosts = MeterFamily("karri_hosts", "Hosts, by state.", labels: ["state"])
    static let processors = MeterFamily("karri_processors", "Virtual processors of all hosts.", labels: ["share"])
    static let memory = MeterFamily("karri_memory_bytes", "Memory of all hosts for machines.", labels: ["share"])
    static let pools = MeterFamily("karri_pool_bytes", "Bytes of all pools.", labels: ["share"])
    static let things = MeterFamily("karri_things", "Things of all accounts.", labels: ["kind"])
    static let processUp = MeterFamily("karri_process_up", "Whether a process of the cloud is ready.", labels: ["process"])
    static let processRestarts = MeterFamily(
        "karri_process_restarts_total", "Times that a process of the cloud was started again.", labels: ["process"])
    static let processMemory = MeterFamily(
        "karri_process_resident_bytes", "Memory that a process of the cloud holds.", labels: ["process"])
}
