//  The compute service: machines, their keys, and the operations that make and remove them.

import Authority
import Database
import Images
import Model
import Networks
import Operations
import Store
import Volumes

extension Action where Thing == Instance {
    public static let describe = Action("ec2:DescribeInstances")
    public static let describeStatus = Action("ec2:DescribeInstanceStatus")
    public static let describeAttribute = Action("ec2:DescribeInstanceAttribute")
    public static let modifyAttribute = Action("ec2:ModifyInstanceAttribute")
    public static let run = Action("ec2:RunInstances")
    public static let start = Action("ec2:StartInstances")
    public static let stop = Action("ec2:StopInstances")
    public static let reboot = Action("ec2:RebootInstances")
    public static let terminate = Action("ec2:TerminateInstances")
    public static let readConsole = Action("ec2:GetConsoleOutput")
    public static let describeTypes = Action("ec2:DescribeInstanceTypes")
    public static let describeOfferings = Action("ec2:DescribeInstanceTypeOfferings")
    public static let describeCredits = Action("ec2:DescribeInstanceCreditSpecifications")
}

extension Action where Thing == Zone {
    public static let describe = Action("ec2:DescribeAvailabilityZones")
    public static let describeRegions = Action("ec2:DescribeRegions")
    public static let describeOfferings = Action("ec2:DescribeInstanceTypeOfferings")
    public static let describeAccount = Action("ec2:DescribeAccountAttributes")
}

/// The compute service.
public struct ComputeService: Sendable {
    let engine: any Engine
    let chance: Chance
    let seal: Seal
    let networks: NetworksService
    let images: ImagesService
    let volumes: VolumesService

    public init(
        engine: any Engine, chance: Chance, seal: Seal, networks: NetworksService, images: ImagesService, volumes: VolumesService
    ) {
        self.engine = engine
        self.chance = chance
        self.seal = seal
        self.networks = networks
        self.images = images
        self.volumes = volumes
    }

    /// The operations of this service.
    public var programs: [Program] {
        [launching, terminating, starting, stopping, ImagesService.importing, ImagesService.removing]
    }

    /// How long a list keeps showing a machine that is gone, as EC2 does.
    public static let memory = Duration.seconds(3600)

    /// What a user data's seal belongs to.
    static func belonging(_ instance: ID<Instance>) -> String { "user-data/\(instance.hex)" }
}

/// A machine with what a list shows of it.
public struct InstanceView: Sendable {
    public var instance: Instance
    public var zone: Zone
    public var tags: [Tag]
    public var ports: [PortView]
    public var attachments: [Attachment]
    public var holding: Holding?
    public var ownerNumber: String
}

extension ComputeService {
    /// A page of machines in order of id.
    public func instances(
        _ selection: InstanceSelection, for action: Action<Instance> = .describe, after: Int64, limit: Int, by call: Call
    ) async throws(Fault) -> [InstanceView] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(action)
            return try views(tx, of: tx.instances(selection, after: after, limit: limit), by: call)
        }
    }

    /// The named machines.
    ///
    /// - Throws: `.notFound` about all that do not exist for the caller.
    public func instances(
        _ ids: [ID<Instance>], for action: Action<Instance> = .describe, by call: Call
    ) async throws(Fault) -> [InstanceView] {
        let look: @Sendable (Reading) throws(Fault) -> [InstanceView] = { tx throws(Fault) in
            try views(tx, of: tx.find(ids, for: action, by: call).sorted { $0.id < $1.id }, by: call)
        }
        // Many would hold up the caller's executor.
        return ids.count <= 8 ? try await engine.readNow(look) : try await engine.read(look)
    }

    func views(_ tx: Reading, of instances: [Instance], by call: Call) throws(Fault) -> [InstanceView] {
        let parts = try tx.parts(of: instances)
        let zones = Dictionary(try tx.zones().map { ($0.id, $0) }) { first, _ in first }
        var numbers: [ID<Account>: String] = [:]
        return try instances.map { instance throws(Fault) in
            guard let zone = zones[instance.zone] else { throw Fault(missing: instance.zone.erased) }
            if numbers[instance.account] == nil {
                numbers[instance.account] = try tx.find(Account.table, instance.account)?.number ?? ""
            }
            let ports = (parts.ports[instance.id] ?? []).map { port in
                PortView(port: port, zone: zone, groups: parts.groups[port.id] ?? [], address: parts.addresses[port.id], tags: [])
            }
            return InstanceView(
                instance: instance, zone: zone, tags: parts.tags[instance.id] ?? [], ports: ports,
                attachments: parts.attachments[instance.id] ?? [], holding: parts.holdings[instance.id],
                ownerNumber: numbers[instance.account] ?? "")
        }
    }

    /// A machine's user data, as it was given.
    public func userData(of id: ID<Instance>, by call: Call) async throws(Fault) -> [UInt8]? {
        let sealed: [UInt8]? = try await engine.read { tx throws(Fault) in
            _ = try tx.find(id, for: .describeAttribute, by: call)
            return try tx.value("SELECT sealed FROM user_data WHERE instance = $1", [id.value])
        }
        guard let sealed else { return nil }
        return try seal.open(sealed, belonging: ComputeService.belonging(id))
    }

    /// The zones of the cloud.
    public func zones(for action: Action<Zone> = .describe, by call: Call) async throws(Fault) -> [Zone] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(action)
            return try tx.zones()
        }
    }

    /// The hosts whose word on their machines is out of date: their session ended unasked.
    public func lostHosts() async throws(Fault) -> Set<ID<Host>> {
        try await engine.read { tx throws(Fault) in
            Set(try tx.values("SELECT id FROM host WHERE state = 'lost'", [], as: ID<Host>.self))
        }
    }
}
