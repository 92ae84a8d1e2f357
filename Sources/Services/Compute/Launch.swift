//  RunInstances: one transaction that claims everything a machine needs, and the operation that
//  waits for the owners to make it so.

import Authority
import Database
import Model
import Networks
import Operations
import Store
import Volumes

/// What a launch asks for, in the core's words.
public struct LaunchRequest: Sendable {
    public var image: ID<Image>
    public var type: InstanceType
    public var least: Int
    public var most: Int
    public var keyName: String?
    public var subnet: ID<Subnet>?
    public var zone: String?
    /// Groups by id, and by name in the network of the launch. None: the network's default group.
    public var groups: [ID<Group>] = []
    public var groupNames: [String] = []
    public var address: IPv4Address?
    public var portDescription = ""
    public var deletePortOnTermination = true
    /// Nil: as the subnet says.
    public var withPublicAddress: Bool?
    public var userData: [UInt8]?
    /// Nil: the image's size.
    public var rootSize: ByteCount?
    public var rootType = "gp3"
    public var rootDevice = "/dev/sda1"
    public var deleteRootOnTermination = true
    public var kernel: ID<Image>?
    public var ramdisk: ID<Image>?
    public var options = Instance.Options()
    public var instanceTags: [String: String] = [:]
    public var volumeTags: [String: String] = [:]
    public var portTags: [String: String] = [:]
    public var token: String?
    /// Stands for all parameters, so that a token cannot be used for another launch.
    public var digest: [UInt8] = []

    public init(image: ID<Image>, type: InstanceType, least: Int, most: Int) {
        self.image = image
        self.type = type
        self.least = least
        self.most = most
    }
}

/// What a launch finds before it makes anything.
private struct LaunchPlan {
    var account: ID<Account>
    var image: Image
    var kernel: Image?
    var ramdisk: Image?
    var subnet: Subnet
    var groups: [ID<Group>]
    var rootSize: ByteCount
    /// The hosts that were up before the transaction began, less what it has claimed of them since.
    var hosts: [Host]
    /// Whether they are all hosts, read in this transaction.
    var isFresh = false

    /// All that a machine's pool needs a copy of.
    var images: [Image] { [image, kernel, ramdisk].compactMap(\.self) }
}

extension ComputeService {
    /// How long a client token is remembered.
    static let tokenLife = Duration.seconds(24 * 3600)
    /// The most machines of one call.
    public static let launchMax = 500

    /// Launches between `least` and `most` machines; as many as there is room for.
    ///
    /// - Returns: The machines of the reservation. A repeated token gives the same ones.
    /// - Throws: `.noCapacity`, `.noAddress` or `.limitExceeded` when not even `least` fit;
    ///   `.tokenMismatch` when the token was used for another launch. Nothing is made then.
    public func launch(_ request: LaunchRequest, by call: Call) async throws(Fault) -> [InstanceView] {
        guard request.least >= 1, request.least <= request.most, request.most <= ComputeService.launchMax else {
            throw Fault(
                .invalidParameter,
                "A launch is of 1 to \(ComputeService.launchMax) instances, and of at least as many as its least number.",
                kind: .instance)
        }
        // Ids and seals need chance, which a transaction may not have.
        let ids: [ID<Instance>] = (0..<request.most).map { _ in chance.id() }
        var sealed: [[UInt8]?] = []
        for id in ids {
            sealed.append(
                try request.userData.map { data throws(Fault) in
                    try seal.seal(data, belonging: ComputeService.belonging(id), chance: chance)
                })
        }
        let seals = sealed
        let reservation: ID<Reservation> = chance.id()
        // Read apart from the transaction: whoever reads all hosts in it conflicts with everybody who
        // claims of one. The claim's guard repeats what matters.
        let hosts = try await engine.readNow { tx throws(Fault) in try tx.hostsThatAreUp() }
        return try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            if let before = try repeated(tx, request, call) { return try views(tx, of: before, by: call) }
            let plans = try plans(tx, request, hosts, call, &dice)
            try call.endIfDryRun()
            var made: [Instance] = []
            for (place, plan) in plans.enumerated() {
                do throws(Fault) {
                    made = try tx.savepoint { () throws(Fault) in
                        try launch(tx, request, plan, ids, seals, reservation, call, &dice)
                    }
                    break
                } catch {
                    // Another zone may have what this one lacks.
                    guard ComputeService.isShortage(error), error.code != .limitExceeded, place < plans.count - 1 else {
                        throw error
                    }
                }
            }
            if let token = request.token {
                try tx.remember(
                    call.account(), "RunInstances", token, digest: request.digest, result: reservation.stored,
                    expires: call.now + ComputeService.tokenLife)
            }
            return try views(tx, of: made, by: call)
        }
    }

    private static func isShortage(_ fault: Fault) -> Bool {
        [Fault.Code.noCapacity, .noAddress, .limitExceeded].contains(fault.code)
    }

    /// As many machines as there is room for in one subnet.
    private func launch(
        _ tx: Writing, _ request: LaunchRequest, _ plan: LaunchPlan, _ ids: [ID<Instance>], _ seals: [[UInt8]?],
        _ reservation: ID<Reservation>, _ call: Call, _ dice: inout Dice
    ) throws(Fault) -> [Instance] {
        var plan = plan
        var made: [Instance] = []
        for (index, id) in ids.enumerated() {
            do throws(Fault) {
                made.append(
                    try tx.savepoint { () throws(Fault) in
                        try launchOne(tx, request, &plan, id, index, seals[index], reservation, call, &dice)
                    })
            } catch {
                guard ComputeService.isShortage(error), made.count >= request.least else { throw error }
                break
            }
        }
        return made
    }

    private func repeated(_ tx: Writing, _ request: LaunchRequest, _ call: Call) throws(Fault) -> [Instance]? {
        guard let token = request.token,
            let before = try tx.clientToken(call.account(), "RunInstances", token, now: call.now)
        else { return nil }
        guard before.digest == request.digest else {
            throw Fault(
                .tokenMismatch, "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
                kind: .instance)
        }
        return try tx.all(Instance.table, where: "reservation = $1 ORDER BY launch_index", [before.result.value])
    }

    /// The ways in which a launch can be made, the best first: one for each subnet that it may go to.
    private func plans(
        _ tx: Writing, _ request: LaunchRequest, _ hosts: [Host], _ call: Call, _ dice: inout Dice
    ) throws(Fault) -> [LaunchPlan] {
        try call.permit(Action<Instance>.run, context: call.requestTags(request.instanceTags))
        let account = try call.account()
        let image = try tx.find(request.image, for: .use, by: call).row
        guard image.state == .available, image.purpose == .machine else {
            throw Fault(
                image.purpose == .machine ? .wrongState : .invalidParameter,
                image.purpose == .machine
                    ? "The image is not in state 'available'; it is '\(image.state.rawValue)'."
                    : "The image is a \(image.purpose.rawValue), not a machine image.",
                kind: .image
            ).about(image.id.erased)
        }
        let kernel = try (request.kernel ?? image.kernel).map { id throws(Fault) in try tx.find(id, for: .use, by: call).row }
        let ramdisk = try (request.ramdisk ?? image.ramdisk).map { id throws(Fault) in try tx.find(id, for: .use, by: call).row }
        if let name = request.keyName, try tx.keyPair(named: name, of: account) == nil {
            throw Fault(.notFound, "The key pair '\(name)' does not exist", kind: .keyPair)
        }
        let rootSize = request.rootSize ?? ByteCount.gibibytes(image.size.gibibytesRoundedUp)
        guard rootSize >= image.size else {
            throw Fault(
                .invalidParameter,
                "Volume of size \(rootSize.gibibytesRoundedUp)GB is smaller than the image, expect size >= \(image.size.gibibytesRoundedUp)GB",
                kind: .volume)
        }
        let plans = try subnets(tx, request, account, call).map { subnet throws(Fault) in
            LaunchPlan(
                account: account, image: image, kernel: kernel, ramdisk: ramdisk, subnet: subnet,
                groups: try groups(tx, request, subnet, call), rootSize: rootSize, hosts: hosts.filter { $0.zone == subnet.zone })
        }
        guard plans.count > 1 else { return plans }
        let need = Need(processors: request.type.processors, memory: request.type.memory)
        let order = ZoneRoom.order(
            plans.map { ZoneRoom(zone: $0.subnet.zone, need: need, hosts: $0.hosts) }, for: request.most, dice: &dice)
        return order.compactMap { zone in plans.first { $0.subnet.zone == zone } }
    }

    /// The subnets that a launch may go to; at least one.
    private func subnets(_ tx: Writing, _ request: LaunchRequest, _ account: ID<Account>, _ call: Call) throws(Fault) -> [Subnet] {
        if let id = request.subnet {
            let subnet = try tx.find(id, for: .describe, by: call).row
            if let name = request.zone, try tx.find(Zone.table, subnet.zone)?.name != name {
                throw Fault(.invalidParameter, "The subnet is not in the availability zone '\(name)'.", kind: .zone)
            }
            return [subnet]
        }
        guard let router = try tx.defaultRouter(of: account) else {
            throw Fault(.missingParameter, "No default VPC for this user.", kind: .router)
        }
        var zone: ID<Zone>?
        if let name = request.zone {
            guard let named = try tx.zone(named: name) else {
                throw Fault(.invalidParameter, "Invalid availability zone: [\(name)]", kind: .zone)
            }
            zone = named.id
        }
        let subnets = try tx.subnets(in: router.id).filter { $0.isDefault && (zone == nil || $0.zone == zone) }
        guard !subnets.isEmpty else {
            throw Fault(.missingParameter, "No default subnet for availability zone: '\(request.zone ?? "any")'.", kind: .subnet)
        }
        return subnets
    }

    private func groups(_ tx: Writing, _ request: LaunchRequest, _ subnet: Subnet, _ call: Call) throws(Fault) -> [ID<Group>] {
        var groups: [ID<Group>] = []
        for id in request.groups {
            let group = try tx.find(id, for: .describe, by: call).row
            guard group.router == subnet.router else {
                throw Fault(.invalidParameter, "The security group and the subnet belong to different networks.", kind: .group)
            }
            if !groups.contains(id) { groups.append(id) }
        }
        let names = request.groups.isEmpty && request.groupNames.isEmpty ? [Group.defaultName] : request.groupNames
        for name in names {
            guard let group = try tx.group(named: name, in: subnet.router) else {
                throw Fault(.notFound, "The security group '\(name)' does not exist in the default VPC", kind: .group)
            }
            if !groups.contains(group.id) { groups.append(group.id) }
        }
        return groups
    }

    private func launchOne(
        _ tx: Writing, _ request: LaunchRequest, _ plan: inout LaunchPlan, _ id: ID<Instance>, _ index: Int, _ sealed: [UInt8]?,
        _ reservation: ID<Reservation>, _ call: Call, _ dice: inout Dice
    ) throws(Fault) -> Instance {
        try tx.charge("instances", 1, to: plan.account)
        try tx.charge("processors", request.type.processors, to: plan.account)
        let host = try place(tx, request, &plan, &dice)
        let instance = Instance(
            id: id, account: plan.account, zone: plan.subnet.zone, reservation: reservation, launchIndex: Int64(index),
            desired: .running, power: .unknown, task: .launching, fault: nil, type: request.type.name,
            processors: request.type.processors, memory: request.type.memory, image: plan.image.id, kernel: plan.kernel?.id,
            ramdisk: plan.ramdisk?.id, keyName: request.keyName, router: plan.subnet.router, subnet: plan.subnet.id,
            startsWanted: 1,
            rebootsWanted: 0, options: request.options, clientToken: request.token, launched: call.now, stateChanged: call.now,
            ended: nil, created: call.now, revision: 1)
        tx.insert(instance, into: Instance.table)
        if let sealed { tx.post("INSERT INTO user_data (instance, sealed) VALUES ($1, $2)", [id.value, .blob(sealed)]) }
        for part in plan.images {
            try images.addCopy(tx, of: part, in: host.pool, zone: instance.zone, now: call.now, dice: &dice)
        }
        let volume = volumes.addDisk(
            tx,
            .init(
                pool: host.pool, size: plan.rootSize, type: request.rootType, image: plan.image, device: request.rootDevice,
                isRoot: true, deleteOnTermination: request.deleteRootOnTermination), to: instance, now: call.now, dice: &dice)
        let port = try networks.addPort(
            tx,
            .init(
                subnet: plan.subnet, address: request.address, groups: plan.groups, instance: id, deviceIndex: 0,
                deleteOnTermination: request.deletePortOnTermination, description: request.portDescription,
                withPublicAddress: request.withPublicAddress ?? plan.subnet.mapPublicAddress), now: call.now, dice: &dice)
        tx.add(
            Holding(
                id: dice.id(), kind: .machine, thing: id.stored, account: plan.account, zone: instance.zone, host: host.id,
                pool: nil,
                epoch: 1, wanted: .running, granted: false, observed: .unknown, fault: nil, startsDone: 0, rebootsDone: 0,
                processors: request.type.processors, memory: request.type.memory, bytes: .zero, created: call.now))
        addTags(tx, request, instance, volume, port)
        let operation = try launching.operation(
            id: dice.id(), account: plan.account, zone: instance.zone, subject: id.erased, inputs: Launch(volumes: [volume.id]),
            request: call.request, principal: call.principal, now: call.now)
        try tx.begin(operation, holding: [id.erased])
        tx.tell(
            .instance, id.stored, at: call.now, source: "cloud", request: call.request,
            "launch accepted: \(request.type.name) on \(host.name)")
        tx.changed("instance", id.stored)
        return instance
    }

    /// Claims a host and the bytes of its pool.
    private func place(_ tx: Writing, _ request: LaunchRequest, _ plan: inout LaunchPlan, _ dice: inout Dice) throws(Fault) -> Host
    {
        do throws(Fault) { return try claim(tx, request, &plan, &dice) } catch {
            guard error.code == .noCapacity, !plan.isFresh else { throw error }
        }
        // Room may have come since; and a refusal tells of every host.
        plan.hosts = try tx.hosts(in: plan.subnet.zone)
        plan.isFresh = true
        return try claim(tx, request, &plan, &dice)
    }

    /// Claims of the plan's hosts in the order of placement. They are kept as the claims leave them.
    private func claim(_ tx: Writing, _ request: LaunchRequest, _ plan: inout LaunchPlan, _ dice: inout Dice) throws(Fault) -> Host
    {
        let need = Need(processors: request.type.processors, memory: request.type.memory)
        let placement = Placement.choose(need, among: plan.hosts, dice: &dice)
        var refusals = placement.refusals
        for id in placement.candidates {
            guard let place = plan.hosts.firstIndex(where: { $0.id == id }) else { continue }
            let host = plan.hosts[place]
            guard try tx.claim(host: id, processors: need.processors, memory: need.memory) else {
                refusals[host.name] = "another launch was faster"
                continue
            }
            let bytes = try plan.rootSize + images.missing(tx, plan.images, in: host.pool)
            if try tx.claim(pool: host.pool, bytes: bytes) {
                plan.hosts[place].processorsFree -= need.processors
                plan.hosts[place].memoryFree = host.memoryFree - need.memory
                return host
            }
            try tx.unclaim(host: id, processors: need.processors, memory: need.memory)
            refusals[host.name] = "its pool has not \(bytes) left"
        }
        throw Fault(
            .noCapacity,
            "We currently do not have sufficient \(request.type.name) capacity. \(Placement(candidates: [], refusals: refusals).explanation)",
            kind: .instance)
    }

    private func addTags(_ tx: Writing, _ request: LaunchRequest, _ instance: Instance, _ volume: Volume, _ port: Port) {
        for (kind, thing, tags) in [
            (Kind.instance, instance.id.stored, request.instanceTags), (.volume, volume.id.stored, request.volumeTags),
            (.port, port.id.stored, request.portTags),
        ] {
            for (key, value) in tags { tx.set(Tag(account: instance.account, kind: kind, thing: thing, key: key, value: value)) }
        }
    }
}

// MARK: - The operation

struct Launch: Codable, Sendable {
    var volumes: [ID<Volume>]
}

extension ComputeService {
    /// How long an owner may take over each part of a launch.
    static let imagePatience = Duration.seconds(1800)
    static let startPatience = Duration.seconds(300)

    /// From a launch's claims to a running machine.
    var launching: Program {
        Program(
            "instance.launch",
            steps: [
                Step("images") { tx, context throws(Fault) in
                    try whenCopied(tx, context, then: "start")
                },
                Step("start") { tx, context throws(Fault) in
                    let (_, holding) = try subject(tx, context)
                    if let host = holding.host, try tx.fence(of: host) != nil {
                        return try abandon(tx, context, ComputeService.fenceReason)
                    }
                    // Disks and machine are granted at once: a host makes a machine's disks before it starts it.
                    for volume in try context.inputs(Launch.self).volumes { try volumes.grant(tx, volume) }
                    try tx.want(.running, granted: true, of: holding)
                    return .go(to: "running")
                },
                Step("running") { tx, context throws(Fault) in
                    try reachedRunning(tx, context)
                },
            ],
            refused: { tx, context, fault throws(Fault) in try abandon(tx, context, fault.message) })
    }

    /// The machine of an operation and its holding.
    func subject(_ tx: Writing, _ context: StepContext) throws(Fault) -> (Instance, Holding) {
        let id = ID<Instance>(stored: context.operation.subject)
        guard let instance = try tx.find(Instance.table, id), let holding = try tx.holding(.machine, id.stored) else {
            throw Fault(missing: id.erased)
        }
        return (instance, holding)
    }

    /// Goes on once the machine's pool has a copy of all its images; gives up when one failed or time is up.
    private func whenCopied(_ tx: Writing, _ context: StepContext, then next: String) throws(Fault) -> StepOutcome {
        let (instance, machine) = try subject(tx, context)
        guard let host = try machine.host.flatMap({ host throws(Fault) in try tx.find(Host.table, host) }) else {
            throw Fault(.internalError, "The machine has no host.")
        }
        var open: [AwaitedRow] = []
        for image in [instance.image, instance.kernel, instance.ramdisk].compactMap(\.self) {
            guard let holding = try tx.holding(.image, image.stored, in: host.pool) else {
                return try abandon(tx, context, "Server.InternalError: what the machine needs is no longer in the pool")
            }
            switch holding.observed {
            case .ready: continue
            case .failed: return try abandon(tx, context, "Server.InternalError: \(holding.fault ?? "the pool gave no reason")")
            default: open.append(.holding(holding))
            }
        }
        if open.isEmpty { return .go(to: next) }
        if context.isOverdue {
            return try abandon(tx, context, "Server.InternalError: the pool did not copy the image in time")
        }
        return .wait(for: open, until: context.now + ComputeService.imagePatience)
    }

    /// Waits until the host says that the machine runs; clears the task then.
    func reachedRunning(_ tx: Writing, _ context: StepContext) throws(Fault) -> StepOutcome {
        var (instance, holding) = try subject(tx, context)
        if holding.observed == .running, holding.startsDone >= instance.startsWanted {
            instance.task = nil
            instance.power = .running
            instance.fault = nil
            instance.stateChanged = context.now
            try tx.update(instance)
            tx.tell(.instance, instance.id.stored, at: context.now, source: "cloud", "running")
            tx.meter(
                "instance.running", .instance, instance.id.stored, account: instance.account, zone: instance.zone, at: context.now,
                facts: "{\"type\":\"\(instance.type)\"}")
            return .finished
        }
        if holding.observed == .off, holding.startsDone >= instance.startsWanted {
            // It ran, and was off before anybody looked.
            var dice = context.dice
            try tx.letGo(context.operation.id)
            try actOnPowerOff(
                tx, instance, holding, request: context.operation.request, principal: context.operation.principal, now: context.now,
                dice: &dice)
            return .finished
        }
        if holding.observed == .failed {
            return try abandon(tx, context, "Server.InternalError: \(holding.fault ?? "the host gave no reason")")
        }
        if context.isOverdue { return try abandon(tx, context, "Server.InternalError: the host did not start the machine in time") }
        return .wait(for: [.holding(holding)], until: context.now + ComputeService.startPatience)
    }

    /// Gives a launch or a start up: the machine goes the way of every removed one, with the reason.
    func abandon(_ tx: Writing, _ context: StepContext, _ reason: String) throws(Fault) -> StepOutcome {
        var dice = context.dice
        let id = ID<Instance>(stored: context.operation.subject)
        try tx.letGo(context.operation.id)
        if let instance = try tx.find(Instance.table, id), instance.desired != .absent {
            try beginTermination(
                tx, instance, reason: reason, request: context.operation.request, principal: context.operation.principal,
                now: context.now, dice: &dice)
        }
        return .failed(reason)
    }
}
