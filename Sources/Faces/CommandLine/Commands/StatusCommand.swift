//  `karri status`: what runs, where, and how well.

import ArgumentParser
import Fabric
import Model
import Platform
import Supervisor

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Says what runs, where and how well.",
        discussion: "Ends with 0 when all is well, and with 3 when the cloud does not run.")

    @OptionGroup var place: PlaceOptions
    @Flag(help: "Answers in JSON.") var json = false

    func run() async throws {
        let installation = try place.installation()
        let report = try await StatusReport.now(installation, chance: .system)
        if json {
            Output.write(try encoded(report), to: 1)
        } else {
            Output.line(report.text)
        }
        if !report.isWell { throw ExitCode(3) }
    }
}

/// All that `karri status` knows, as values.
struct StatusReport: Sendable, Hashable, Codable {
    struct Process: Sendable, Hashable, Codable {
        var name: String
        var state: String
        var pid: Int32?
        var sinceMicroseconds: Int64
        var restarts: Int
        var lastExit: String?
    }

    struct HostLine: Sendable, Hashable, Codable {
        var name: String
        var state: String
        var zone: String
        var accelerator: String
        var machines: Int64
        var processors: Int64
        var processorsFree: Int64
        var memory: ByteCount
        var memoryFree: ByteCount
        var pool: ByteCount
        var poolFree: ByteCount
        var heardMicroseconds: Int64

        init(_ host: HostStatus) {
            name = host.name
            state = host.state
            zone = host.zone
            accelerator = host.accelerator
            machines = host.machines
            processors = host.processors
            processorsFree = host.processorsFree
            memory = ByteCount(host.memory)
            memoryFree = ByteCount(host.memoryFree)
            pool = ByteCount(host.poolBytes)
            poolFree = ByteCount(host.poolBytesFree)
            heardMicroseconds = host.lastReportAt
        }
    }

    struct Cloud: Sendable, Hashable, Codable {
        var release: String
        var region: String
        var endpoint: String
        var store: String
        var accounts: Int64
        var machinesRunning: Int64
        var machinesChanging: Int64
        var images: Int64
        var volumes: Int64
        var operationsRunning: Int64
        var operationsLate: Int64
        var hosts: [HostLine]
        var warnings: [String]

        init(_ reply: StatusReply) {
            release = reply.release
            region = reply.region
            endpoint = reply.endpoint
            store = reply.store
            accounts = reply.accounts
            machinesRunning = reply.instancesRunning
            machinesChanging = reply.instancesPending
            images = reply.images
            volumes = reply.volumes
            operationsRunning = reply.operationsRunning
            operationsLate = reply.operationsOverdue
            hosts = reply.hosts.map { HostLine($0) }
            warnings = reply.warnings
        }
    }

    var nowMicroseconds: Int64
    var isInstalled: Bool
    var supervisor: Int32?
    var processes: [Process]
    /// Nil while control does not answer; `fault` says why.
    var cloud: Cloud?
    var fault: String?

    /// Whether everything is up that should be.
    var isWell: Bool {
        supervisor != nil && processes.allSatisfy { $0.state == SupervisorStatus.Child.State.ready.rawValue }
            && cloud.map { !$0.hosts.isEmpty && $0.hosts.allSatisfy { $0.state == "up" } } ?? false
    }

    static func now(_ installation: Installation, chance: Chance) async throws(Fault) -> StatusReport {
        let status = try SupervisorStatus.read(installation.supervisorStatus)
        let isCurrent = status?.isCurrent ?? false
        var report = StatusReport(
            nowMicroseconds: chance.now().microseconds, isInstalled: exists(installation.state),
            supervisor: isCurrent ? status?.supervisor?.pid : nil,
            processes: isCurrent ? (status?.children ?? []).map { Process($0) } : [], cloud: nil, fault: nil)
        guard report.supervisor != nil else { return report }
        do throws(Fault) {
            let client = AdministrationClient(installation: installation)
            let reply = try await client.ask { stub, options in try await stub.status(StatusRequest(), options: options) }
            report.cloud = Cloud(reply)
        } catch { report.fault = error.message }
        return report
    }

    // MARK: - For people

    var text: String {
        guard isInstalled else { return "There is no cloud on this machine. sudo karri up makes one." }
        guard supervisor != nil else { return "The cloud does not run. sudo karri up starts it; machines that run are left alone." }
        var lines: [String] = []
        if let cloud {
            lines += ["\(cloud.endpoint)  region \(cloud.region)  store \(cloud.store)  release \(cloud.release)", ""]
        }
        lines += ["Processes"] + columns(processes.map { row($0) }, indent: 2)
        guard let cloud else { return (lines + ["", "! \(fault ?? "control does not answer")"]).joined(separator: "\n") }
        lines += ["", "Hosts"] + StatusReport.table(of: cloud.hosts, now: now).map { "  " + $0 }
        lines += ["", "Things"] + columns(things(cloud), indent: 2)
        if !cloud.warnings.isEmpty { lines += [""] + cloud.warnings.map { "! \($0)" } }
        return lines.joined(separator: "\n")
    }

    private var now: Instant { Instant(microseconds: nowMicroseconds) }

    private func row(_ process: Process) -> [String] {
        let since = spoken(now - Instant(microseconds: process.sinceMicroseconds))
        let restarts =
            process.restarts == 0 ? "" : "\(process.restarts) restarts\(process.lastExit.map { ", the last one: \($0)" } ?? "")"
        return [process.name, process.state, process.pid.map { "pid \($0)" } ?? "", "for \(since)", restarts]
    }

    private func things(_ cloud: Cloud) -> [[String]] {
        [
            ["machines", "\(cloud.machinesRunning) running, \(cloud.machinesChanging) changing"],
            ["images", "\(cloud.images)"], ["volumes", "\(cloud.volumes)"], ["accounts", "\(cloud.accounts)"],
            ["operations", "\(cloud.operationsRunning) running, \(cloud.operationsLate) late"],
        ]
    }

    static func table(of hosts: [HostLine], now: Instant) -> [String] {
        guard !hosts.isEmpty else { return ["none"] }
        let head = ["NAME", "STATE", "ZONE", "RUNS BY", "MACHINES", "PROCESSORS FREE", "MEMORY FREE", "DISK FREE", "HEARD"]
        let rows = hosts.map { host in
            [
                host.name, host.state, host.zone, host.accelerator, "\(host.machines)",
                "\(host.processorsFree) of \(host.processors)", "\(host.memoryFree) of \(host.memory)",
                "\(host.poolFree) of \(host.pool)",
                host.heardMicroseconds == 0 ? "never" : "\(spoken(now - Instant(microseconds: host.heardMicroseconds))) ago",
            ]
        }
        return columns([head] + rows)
    }
}

extension StatusReport.Process {
    init(_ child: SupervisorStatus.Child) {
        self.init(
            name: child.name, state: child.state.rawValue, pid: child.process?.pid, sinceMicroseconds: child.since.microseconds,
            restarts: child.restarts, lastExit: child.lastExit.map { "\($0)" })
    }
}
