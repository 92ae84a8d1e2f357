//  What an owner should hold, as entries of its document: a pure function of the store.

import Authority
import Database
import Fabric
import Model
import Store
import SwiftProtobuf

/// Builds entries.
struct DocumentBuilder: Sendable {
    let seal: Seal
    let region: String

    typealias Entry = (section: String, key: String, payload: [UInt8]?)

    static func key(_ port: ID<Port>) -> String { "port/\(port.hex)" }
    static func key(_ group: ID<Group>) -> String { "group/\(group.hex)" }

    /// What marks of a session stand for, as it is now: entries of the host's own, and changes of the
    /// domains that it shares with others.
    func entries(
        for marked: Marks.Marked, of session: OwnerSession, _ controller: ClusterController
    ) async throws(Fault) -> (own: [Entry], shared: [SectionChanges]) {
        var marked = marked
        var entries: [Entry] = []
        if marked.everything {
            try await markAll(&marked, session, controller.engine)
            entries += try await remnants(session, controller.engine)
        }
        let before = session.marks.neededDomains()
        let things = marked.holdings
        let guests = marked.guests
        // Most changes are of domains alone, which are kept in memory.
        if !things.isEmpty || !guests.isEmpty {
            let built = try await controller.engine.read { tx throws(Fault) in
                try (
                    things.map { id throws(Fault) in
                        // Read here and not where the mark was made: all that is told at once is of one moment.
                        let row = try tx.find(Holding.table, id)
                        return (id, row, try row.flatMap { row throws(Fault) in try holding(tx, row) })
                    },
                    guests.map { instance throws(Fault) in (instance, try guest(tx, instance, on: session.host)) }
                )
            }
            for (id, row, entry) in built.0 { entries += note(id, row, entry, session) }
            for (instance, facts) in built.1 { entries.append((Section.edge, instance.hex, facts)) }
        }
        return (entries, try await domains(marked, before, session, controller))
    }

    /// What the host is to remove of what it held when it was fenced.
    private func remnants(_ session: OwnerSession, _ engine: any Engine) async throws(Fault) -> [Entry] {
        let rows = try await engine.read { tx throws(Fault) in try tx.remnants(on: session.host) }
        return try rows.map { row throws(Fault) in
            let bits = UInt64(bitPattern: row.thing)
            let key = hexDigits(bits)
            switch row.kind {
            case .machine:
                let entry = MachineEntry.with {
                    $0.instance = bits
                    $0.epoch = UInt64(row.epoch)
                    $0.wanted = .absent
                }
                return (Section.machines, key, try bytes(entry))
            case .disk:
                let entry = DiskEntry.with {
                    $0.volume = bits
                    $0.epoch = UInt64(row.epoch)
                    $0.absent = true
                }
                return (Section.disks, key, try bytes(entry))
            case .image:
                let entry = ImageEntry.with {
                    $0.image = bits
                    $0.epoch = UInt64(row.epoch)
                    $0.absent = true
                    $0.purpose = row.purpose?.rawValue ?? ""
                    $0.digest = row.digest ?? ""
                }
                return (Section.images, key, try bytes(entry))
            }
        }
    }

    /// Everything that the host and its pool hold, and what was told and is no longer so.
    private func markAll(_ marked: inout Marks.Marked, _ session: OwnerSession, _ engine: any Engine) async throws(Fault) {
        let rows = try await engine.read { tx throws(Fault) in try tx.holdings(on: session.host, pool: session.pool) }
        marked.holdings.formUnion(session.marks.toldHoldings())
        marked.holdings.formUnion(rows.map(\.id))
        marked.domains.formUnion(session.marks.neededDomains())
        for instance in session.sentKeys(of: Section.edge) { if let id = ID<Instance>(hex: instance) { marked.guests.insert(id) } }
    }

    /// What one holding comes to, with the domains that it needs.
    struct Built: Sendable {
        var section: String
        var key: String
        var payload: [UInt8]
        var instance: ID<Instance>?
        var domains: Set<ID<Domain>> = []
        var facts: [UInt8]?
    }

    private func note(_ id: ID<Holding>, _ row: Holding?, _ built: Built?, _ session: OwnerSession) -> [Entry] {
        guard row != nil, let built else {
            // Gone, or not yet granted: nothing of it is in the document.
            guard let (kind, thing) = session.marks.forget(id) else { return [] }
            let key = hexDigits(UInt64(bitPattern: thing))
            guard kind == .machine else { return [(kind == .disk ? Section.disks : Section.images, key, nil)] }
            session.marks.noLongerNeeds(ID(stored: thing))
            return [(Section.machines, key, nil), (Section.edge, key, nil)]
        }
        if let row { session.marks.told(id, row.kind, row.thing) }
        var entries: [Entry] = [(built.section, built.key, built.payload)]
        if let instance = built.instance {
            session.marks.needs(instance, built.domains)
            entries.append((Section.edge, built.key, built.facts))
        }
        return entries
    }

    private func domains(
        _ marked: Marks.Marked, _ before: Set<ID<Domain>>, _ session: OwnerSession, _ controller: ClusterController
    ) async throws(Fault) -> [SectionChanges] {
        let needed = session.marks.neededDomains()
        var changes: [SectionChanges] = []
        for domain in needed where !before.contains(domain) || marked.domains.contains(domain) {
            changes.append(try await controller.changes(of: domain, for: session))
        }
        guard marked.everything || !before.isSubset(of: needed) else { return changes }
        return changes + (try await controller.removals(keeping: needed, for: session))
    }

    // MARK: - Holdings

    private func holding(_ tx: Reading, _ holding: Holding) throws(Fault) -> Built? {
        switch holding.kind {
        case .machine: return holding.granted ? try machine(tx, holding) : nil
        case .disk: return holding.granted ? try disk(tx, holding) : nil
        case .image: return try image(tx, holding)
        }
    }

    private func machine(_ tx: Reading, _ holding: Holding) throws(Fault) -> Built? {
        let id = ID<Instance>(stored: holding.thing)
        guard let instance = try tx.find(Instance.table, id) else { return nil }
        var entry = MachineEntry()
        entry.instance = id.bits
        entry.epoch = UInt64(holding.epoch)
        entry.startsWanted = UInt64(instance.startsWanted)
        entry.rebootsWanted = UInt64(instance.rebootsWanted)
        switch holding.wanted {
        case .running, .present: entry.wanted = .running
        case .stopped: entry.wanted = .stopped
        case .absent: entry.wanted = .absent
        }
        entry.processors = instance.processors
        entry.memory = instance.memory.bytes
        if let kernel = instance.kernel { entry.kernel = try tx.find(Image.table, kernel)?.digest ?? "" }
        if let ramdisk = instance.ramdisk { entry.ramdisk = try tx.find(Image.table, ramdisk)?.digest ?? "" }
        entry.disks = try tx.attachments(of: id).map { attachment in
            MachineDisk.with {
                $0.volume = attachment.volume.bits
                $0.device = attachment.device
            }
        }
        var domains: Set<ID<Domain>> = []
        for port in try tx.ports(of: id) {
            domains.insert(port.domain)
            let mtu = try tx.find(Network.table, port.network)?.mtu ?? 1450
            entry.ports.append(
                MachinePort.with {
                    $0.port = port.id.bits
                    $0.mac = port.mac.bits
                    $0.domain = port.domain.bits
                    $0.mtu = mtu
                })
        }
        let facts = holding.wanted == .absent ? nil : try guestFacts(tx, instance)
        return Built(
            section: Section.machines, key: id.hex, payload: try bytes(entry), instance: id, domains: domains, facts: facts)
    }

    private func disk(_ tx: Reading, _ holding: Holding) throws(Fault) -> Built? {
        let id = ID<Volume>(stored: holding.thing)
        guard let volume = try tx.find(Volume.table, id) else { return nil }
        var entry = DiskEntry()
        entry.volume = id.bits
        entry.epoch = UInt64(holding.epoch)
        entry.absent = holding.wanted == .absent
        entry.size = volume.size.bytes
        if let image = volume.image { entry.image = try tx.find(Image.table, image)?.digest ?? "" }
        return Built(section: Section.disks, key: id.hex, payload: try bytes(entry))
    }

    private func image(_ tx: Reading, _ holding: Holding) throws(Fault) -> Built? {
        let id = ID<Image>(stored: holding.thing)
        guard let image = try tx.find(Image.table, id) else { return nil }
        var entry = ImageEntry()
        entry.image = id.bits
        entry.epoch = UInt64(holding.epoch)
        entry.absent = holding.wanted == .absent
        entry.purpose = image.purpose.rawValue
        // Its file stays for another image that is the same.
        entry.digest = image.digest ?? ""
        if holding.wanted == .absent, let pool = holding.pool, try tx.shares(image, in: pool) { entry.digest = "" }
        return Built(section: Section.images, key: id.hex, payload: try bytes(entry))
    }

    /// What edge tells a guest; nil when the guest is not on this host.
    private func guest(_ tx: Reading, _ id: ID<Instance>, on host: ID<Host>) throws(Fault) -> [UInt8]? {
        guard let instance = try tx.find(Instance.table, id), let holding = try tx.holding(.machine, id.stored, on: host),
            holding.granted, holding.wanted != .absent
        else { return nil }
        return try guestFacts(tx, instance)
    }

    // MARK: - Routing domains

    /// All entries of a domain, and its ports.
    func domain(_ tx: Reading, _ id: ID<Domain>) throws(Fault) -> (entries: [String: [UInt8]], ports: [ID<Port>]) {
        guard let domain = try tx.find(Domain.table, id) else { return ([:], []) }
        var entries: [String: [UInt8]] = [:]
        let routers = try tx.all(Router.table, where: "account = $1 AND domain = $2 ORDER BY id", [domain.account.value, id.value])
        let networks = try tx.all(Network.table, where: "account = $1 AND domain = $2", [domain.account.value, id.value])
        entries["domain"] = try bytes(
            DomainEntry.with {
                $0.domain = id.bits
                $0.vni = UInt32(domain.vni)
                $0.mtu = networks.map(\.mtu).min() ?? 1450
                $0.prefix = routers.first?.prefix.description ?? ""
            })
        for router in routers {
            for subnet in try tx.subnets(in: router.id) {
                entries["subnet/\(subnet.id.hex)"] = try bytes(
                    SubnetEntry.with {
                        $0.subnet = subnet.id.bits
                        $0.prefix = subnet.prefix.description
                    })
            }
            for group in try tx.all(Group.table, where: "router = $1", [router.id.value]) {
                entries[DocumentBuilder.key(group.id)] = try bytes(groupEntry(tx, group))
            }
        }
        let ports = try tx.all(Port.table, where: "domain = $1 ORDER BY id", [id.value])
        for port in ports { entries[DocumentBuilder.key(port.id)] = try bytes(portEntry(tx, port)) }
        return (entries, ports.map(\.id))
    }

    /// A port's entry, its domain, machine and host; nil when it is gone.
    func port(
        _ tx: Reading, _ id: ID<Port>
    ) throws(Fault) -> (domain: ID<Domain>, instance: ID<Instance>?, host: ID<Host>?, payload: [UInt8])? {
        guard let port = try tx.find(Port.table, id) else { return nil }
        let entry = try portEntry(tx, port)
        return (port.domain, port.instance, entry.host == 0 ? nil : ID(bits: entry.host), try bytes(entry))
    }

    /// A group's entry and its domain; nil when it is gone.
    func group(_ tx: Reading, _ id: ID<Group>) throws(Fault) -> (domain: ID<Domain>, payload: [UInt8])? {
        guard let group = try tx.find(Group.table, id), let router = try tx.find(Router.table, group.router) else { return nil }
        return (router.domain, try bytes(groupEntry(tx, group)))
    }

    private func portEntry(_ tx: Reading, _ port: Port) throws(Fault) -> PortEntry {
        var entry = PortEntry()
        entry.port = port.id.bits
        entry.mac = port.mac.bits
        entry.address = port.address.bits
        entry.publicAddress = try tx.address(of: port.id)?.address.bits ?? 0
        entry.groups = try tx.groups(of: port.id).map(\.bits)
        entry.sourceCheck = port.sourceCheck
        entry.subnet = port.subnet.bits
        if let instance = port.instance, let holding = try tx.holding(.machine, instance.stored) {
            entry.host = holding.host?.bits ?? 0
        }
        return entry
    }

    private func groupEntry(_ tx: Reading, _ group: Group) throws(Fault) -> GroupEntry {
        var entry = GroupEntry()
        entry.group = group.id.bits
        for rule in try tx.rules(of: group.id) {
            entry.rules.append(
                RuleEntry.with {
                    $0.egress = rule.isEgress
                    $0.protocol = Int32(rule.protocolNumber)
                    $0.from = Int32(rule.fromPort)
                    $0.to = Int32(rule.toPort)
                    $0.prefix = rule.prefix?.description ?? ""
                    $0.peer = rule.peer?.bits ?? 0
                })
        }
        return entry
    }

    private func bytes(_ message: some SwiftProtobuf.Message) throws(Fault) -> [UInt8] {
        do { return try message.serializedBytes() } catch {
            throw Fault(.internalError, "A document's entry could not be written.", because: error)
        }
    }
}
