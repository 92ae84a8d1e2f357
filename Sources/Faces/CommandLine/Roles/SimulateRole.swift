//  The process *simulate*, which stands for node and edge in a cloud of simulated hosts: many node
//  controllers over simulated drivers. It makes nothing on the machine, and forgets all when it ends.

import ArgumentParser
import Dataplane
import Disks
import Fabric
import Hypervisor
import Logging
import Model
import Node
import Platform
import Supervisor

struct SimulateRole: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "simulate", abstract: "Simulated hosts.", shouldDisplay: false)
    @OptionGroup var place: PlaceOptions

    func run() async throws {
        let installation = try place.installation()
        let configuration = try Configuration.require(installation)
        let log = Log.start("simulate")
        try await Termination.during {
            try await SimulateRole.hosts(of: installation, configuration, chance: .system, log)
        }
    }

    /// What every simulated host has.
    static let capacity = HostCapacity(
        cpus: 64, memory: .gibibytes(512), accelerator: .tcg, acceleratorReason: "simulated", hypervisor: "simulated")
    static let poolSize = ByteCount.gibibytes(16 << 10)

    static func name(of number: Int) -> String {
        let digits = String(number)
        return "sim-" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    private static func hosts(
        of installation: Installation, _ configuration: Configuration, chance: Chance, _ log: Logger
    ) async throws {
        let names = try DataplaneNames(installation)
        let stock = EntryStock()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...max(1, configuration.simulatedHosts) {
                let settings = NodeConfiguration(
                    installation: installation, hostName: name(of: number), zone: configuration.zone, region: configuration.region,
                    fabricSocket: installation.fabricSocket, overcommitment: configuration.overcommitment,
                    memoryReserve: .gibibytes(4), host: HostPlan(publicRanges: configuration.ranges), isDurable: false)
                var quiet = log
                quiet[metadataKey: "host"] = "\(settings.hostName)"
                let node = NodeController(
                    settings, hypervisor: SimulatedHypervisor(host: capacity, chance: chance),
                    disks: SimulatedPool(total: poolSize, holdsEveryImage: true), dataplane: SimulatedDataplane(names: names),
                    names: names, guests: SimulatedGuestServices(), stock: stock, chance: chance, log: quiet)
                group.addTask { try await node.run() }
            }
            group.addTask { try await HeapTrim.run() }
            Inheritance.announceReady()
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
