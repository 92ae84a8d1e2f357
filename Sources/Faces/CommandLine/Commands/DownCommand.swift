//  `karri down` stops the cloud's processes; `karri uninstall` removes every trace of it.

import ArgumentParser
import Dataplane
import Fabric
import Hypervisor
import Logging
import Model
import Platform
import Supervisor

#if canImport(Glibc)
    import Glibc
#endif

struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Stops the cloud; machines run on unless told otherwise.",
        discussion: "karri up brings it back.")
    @OptionGroup var place: PlaceOptions
    @Flag(name: .long, help: "Stops the machines first.") var stopMachines = false
    @Flag(name: .long, help: "Lets the machines run on; what happens where nobody can be asked.") var leaveMachines = false

    /// How long guests may take to shut down.
    static let patience = Duration.seconds(180)

    func validate() throws {
        if stopMachines, leaveMachines { throw ValidationError("--stop-machines and --leave-machines exclude each other") }
    }

    func run() async throws {
        try requireRoot("down")
        let installation = try place.installation()
        guard Supervisor.running(installation) != nil else {
            Output.remark("the cloud does not run")
            return
        }
        if try await wantsMachinesStopped(installation) { try await DownCommand.stopMachines(installation) }
        Output.remark("stops the cloud's processes")
        try await Up.stopSupervisor(installation)
        Output.remark("stopped; karri up brings it back")
    }

    private func wantsMachinesStopped(_ installation: Installation) async throws(Fault) -> Bool {
        if stopMachines || leaveMachines { return stopMachines }
        let client = AdministrationClient(installation: installation)
        let running: Int64
        do throws(Fault) {
            running = try await client.ask { stub, options in
                try await stub.status(StatusRequest(), options: options).instancesRunning
            }
        } catch  where error.code == .unavailable { return false }
        guard running > 0 else { return false }
        let answer = Output.ask(
            "\(running) machines run. Stop them, or leave them running without the cloud?", among: ["leave", "stop"])
        if answer == nil { Output.remark("leaves \(running) machines running") }
        return answer == "stop"
    }

    static func stopMachines(_ installation: Installation) async throws(Fault) {
        let client = AdministrationClient(installation: installation)
        let count = try await client.ask { stub, options in
            try await stub.stopMachines(StopMachinesRequest(), options: options).count
        }
        Output.remark("stops \(count) machines")
        let end = ContinuousClock.now + patience
        var shown: Int64 = -1
        while true {
            let status = try await client.ask { stub, options in try await stub.status(StatusRequest(), options: options) }
            let left = status.instancesPending
            if left == 0 { return }
            if left != shown { Output.remark("  \(left) are shutting down") }
            shown = left
            guard ContinuousClock.now < end else {
                Output.remark("\(left) machines have not stopped after \(spoken(patience)); they are left as they are")
                return
            }
            do { try await Task.sleep(for: .milliseconds(500)) } catch { throw Fault(.cancelled, "the wait was cancelled") }
        }
    }
}

struct UninstallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uninstall", abstract: "Removes the cloud with all its machines, disks and accounts.")
    @OptionGroup var place: PlaceOptions
    @Flag(help: "Asks nothing.") var yes = false

    func run() async throws {
        try requireRoot("uninstall")
        let installation = try place.installation()
        if !yes {
            let question = "Remove the cloud \(installation.mark) with every machine, disk, image and account of it?"
            guard Output.ask(question, among: ["yes", "no"]) == "yes" else {
                throw Fault(.cancelled, "nothing was removed; karri uninstall --yes asks nothing")
            }
        }
        try await Uninstalling(installation: installation, log: Log.start("uninstall")).run()
    }
}

/// Removes an installation, from what runs to what lies on the disk. Each step may find its work done.
struct Uninstalling: Sendable {
    let installation: Installation
    let log: Logger

    func run() async throws(Fault) {
        if let mark = try InstallationFolders.mark(of: installation), mark.mark != installation.mark {
            throw Fault(.denied, "\(installation.state) belongs to the installation marked \(mark.mark)")
        }
        // A configuration that cannot be read must not keep what is to go.
        let configuration = (try? Configuration.read(installation)).flatMap { $0 }
        Output.remark("stops the cloud's processes")
        try await Up.stopSupervisor(installation)
        try await endMachines()
        Output.remark("removes networks")
        try await LinuxDataplane(installation: installation, log: log).removeEverything()
        Output.remark("removes the service, users and files")
        try await SystemService(installation, program: "/nonexistent", arguments: []).remove()
        if let owner = configuration?.profileOwner, let user = CallingUser(named: owner) {
            try UserProfile.remove(installation.mark, for: user)
        }
        try await InstallationFolders.uninstall(installation)
        Output.remark("removed")
    }

    /// Ends every machine and the libvirtd over them, if there ever was one here.
    private func endMachines() async throws(Fault) {
        guard exists(installation.node + "/libvirt") else { return }
        Output.remark("ends machines")
        let groups = ControlGroups.ofThisHost(mark: installation.mark)
        let daemon = LibvirtDaemon(installation: installation, reaper: [try ownProgram(), ReapRole.name], groups: groups)
        let hypervisor = LibvirtHypervisor(
            installation: installation, daemon: daemon, accelerator: AcceleratorFinding(accelerator: .tcg, reason: "uninstall"),
            groups: groups, log: log)
        // Their folders go with the installation's.
        for machine in try await hypervisor.list() {
            do throws(Fault) { try await hypervisor.destroy(machine.name) } catch {
                log.warning("a machine is ended without libvirt", metadata: ["fault": "\(error)"])
            }
        }
        try await daemon.stop()
        // What libvirt could not end, or did not know.
        for process in HostListing.emulators(of: installation) { kill(process.id, SIGKILL) }
    }
}
