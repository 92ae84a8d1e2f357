//  Machines in the store.

import Database
import Model

extension Instance {
    public static let table = Table(
        "instance",
        Field("id", \Instance.id),
        Field("account", \Instance.account),
        Field("zone", \Instance.zone),
        Field("reservation", \Instance.reservation),
        Field("launch_index", \Instance.launchIndex),
        Field("desired", \Instance.desired),
        Field("power", \Instance.power),
        Field("task", \Instance.task),
        Field("fault", \Instance.fault),
        Field("type", \Instance.type),
        Field("processors", \Instance.processors),
        Field("memory", \Instance.memory),
        Field("image", \Instance.image),
        Field("kernel", \Instance.kernel),
        Field("ramdisk", \Instance.ramdisk),
        Field("key_name", \Instance.keyName),
        Field("router", \Instance.router),
        Field("subnet", \Instance.subnet),
        Field("starts_wanted", \Instance.startsWanted),
        Field("reboots_wanted", \Instance.rebootsWanted),
        Field("options", \Instance.options),
        Field("client_token", \Instance.clientToken),
        Field("launched", \Instance.launched),
        Field("state_changed", \Instance.stateChanged),
        Field("ended", \Instance.ended),
        Field("created", \Instance.created),
        Field("revision", \Instance.revision),
        make: Instance.init)
}

extension Instance {
    /// Writes all columns of a row that still has the revision of the last argument.
    fileprivate static let replacement: String = {
        let columns = table.columns.dropFirst().enumerated().map { "\($0.element) = $\($0.offset + 2)" }
        return "UPDATE instance SET \(columns.joined(separator: ", ")) WHERE id = $1 AND revision = $\(columns.count + 2)"
    }()
}

/// Which machines a list holds. What an index decides is decided here; the rest is the caller's.
public struct InstanceSelection: Sendable, Hashable {
    public var account: ID<Account>
    public var router: ID<Router>?
    /// Machines that have a tag with this key and one of these values (nil: any value).
    public var tag: (key: String, value: String?)? {
        get { tagKey.map { ($0, tagValue) } }
        set { (tagKey, tagValue) = (newValue?.key, newValue?.value) }
    }
    private var tagKey: String?
    private var tagValue: String?

    public init(account: ID<Account>) { self.account = account }

    fileprivate var condition: (text: String, arguments: [Value]) {
        var text = "i.account = $1"
        var arguments: [Value] = [account.value]
        if let router {
            arguments.append(router.value)
            text += " AND i.router = $\(arguments.count)"
        }
        return (text, arguments)
    }

    fileprivate var hasTag: Bool { tagKey != nil }

    fileprivate func tagCondition(_ arguments: inout [Value]) -> String {
        guard let tagKey else { return "" }
        arguments.append(account.value)
        var text = "t.account = $\(arguments.count) AND t.kind = 'instance'"
        arguments.append(.text(tagKey))
        text += " AND t.key = $\(arguments.count)"
        if let tagValue {
            arguments.append(.text(tagValue))
            text += " AND t.value = $\(arguments.count)"
        }
        return text
    }
}

extension Reading {
    /// A page of machines in order of id.
    public func instances(_ selection: InstanceSelection, after: Int64, limit: Int) throws(Fault) -> [Instance] {
        var (text, arguments) = selection.condition
        var from = "instance i"
        if selection.hasTag {
            // The tag's index names few rows; the machine is then found by key.
            from = "tag t JOIN instance i ON i.id = t.thing"
            text += " AND " + selection.tagCondition(&arguments) + " AND t.thing > $\(arguments.count + 1)"
            arguments.append(after.value)
            arguments.append(limit.value)
            return try rows(
                "SELECT \(Instance.table.list(of: "i")) FROM \(from) WHERE \(text) ORDER BY t.thing LIMIT $\(arguments.count)",
                arguments, Instance.table.decode)
        }
        arguments.append(after.value)
        text += " AND i.id > $\(arguments.count)"
        arguments.append(limit.value)
        return try rows(
            "SELECT \(Instance.table.list(of: "i")) FROM \(from) WHERE \(text) ORDER BY i.id LIMIT $\(arguments.count)",
            arguments, Instance.table.decode)
    }

    /// How many machines exist, by whether they run.
    public func machineCounts() throws(Fault) -> (running: Int, unsettled: Int) {
        let running = try count("SELECT count(*) FROM instance WHERE desired = 'running' AND power = 'running' AND ended IS NULL")
        let unsettled = try count("SELECT count(*) FROM instance WHERE task IS NOT NULL")
        return (running, unsettled)
    }
}

/// What a machine's row does not hold, for a page of machines at once.
public struct InstanceParts: Sendable {
    public var tags: [ID<Instance>: [Tag]] = [:]
    public var ports: [ID<Instance>: [Port]] = [:]
    public var groups: [ID<Port>: [(id: ID<Group>, name: String)]] = [:]
    public var addresses: [ID<Port>: Address] = [:]
    public var attachments: [ID<Instance>: [Attachment]] = [:]
    public var holdings: [ID<Instance>: Holding] = [:]
}

extension Reading {
    /// The parts of some machines, read by their ids, a hundred machines at a time.
    public func parts(of instances: [Instance]) throws(Fault) -> InstanceParts {
        var parts = InstanceParts()
        for start in stride(from: 0, to: instances.count, by: InstanceParts.gatheredMax) {
            var ids = instances[start..<min(start + InstanceParts.gatheredMax, instances.count)].map(\.id.value)
            // Few widths make few texts of each statement, which the engines keep prepared.
            let width = ids.count == 1 ? 1 : ids.count <= 10 ? 10 : InstanceParts.gatheredMax
            while ids.count < width, let last = ids.last { ids.append(last) }
            switch width {
            case 1: try gather(&parts, InstanceParts.one, ids)
            case 10: try gather(&parts, InstanceParts.few, ids)
            default: try gather(&parts, InstanceParts.many, ids)
            }
        }
        return parts
    }

    private func gather(_ parts: inout InstanceParts, _ queries: InstanceParts.Queries, _ ids: [Value]) throws(Fault) {
        for tag in try rows(queries.tags, ids, Tag.init) { parts.tags[ID(stored: tag.thing), default: []].append(tag) }
        for port in try rows(queries.ports, ids, Port.table.decode) {
            if let instance = port.instance { parts.ports[instance, default: []].append(port) }
        }
        for (port, group, name) in try rows(
            queries.groups, ids,
            { row throws(Fault) in (try row.take(ID<Port>.self), try row.take(ID<Group>.self), try row.take(String.self)) })
        { parts.groups[port, default: []].append((group, name)) }
        for address in try rows(queries.addresses, ids, Address.table.decode) {
            if let port = address.port { parts.addresses[port] = address }
        }
        for attachment in try rows(queries.attachments, ids, Attachment.table.decode) {
            parts.attachments[attachment.instance, default: []].append(attachment)
        }
        for holding in try rows(queries.holdings, ids, Holding.table.decode) { parts.holdings[ID(stored: holding.thing)] = holding }
    }
}

extension InstanceParts {
    /// How many machines' parts are read at a time.
    static let gatheredMax = 100

    fileprivate static let one = Queries(1)
    fileprivate static let few = Queries(10)
    fileprivate static let many = Queries(gatheredMax)

    /// The statements for a number of ids. Each names its rows by an index's first columns and by
    /// nothing else: over a range of ids an engine may read other accounts' rows, or whole tables.
    fileprivate struct Queries {
        let tags: String
        let ports: String
        let groups: String
        let addresses: String
        let attachments: String
        let holdings: String

        init(_ width: Int) {
            let ids = "IN (\((1...width).map { "$\($0)" }.joined(separator: ", ")))"
            tags = "SELECT \(Tag.list(of: "x")) FROM tag x WHERE x.kind = 'instance' AND x.thing \(ids) ORDER BY x.thing, x.key"
            ports = "SELECT \(Port.table.list(of: "x")) FROM port x WHERE x.instance \(ids) ORDER BY x.instance, x.device_index"
            groups = """
                SELECT x.port, x.security_group, g.name FROM port p JOIN port_group x ON x.port = p.id
                JOIN security_group g ON g.id = x.security_group WHERE p.instance \(ids) ORDER BY x.port, x.place
                """
            addresses = """
                SELECT \(Address.table.list(of: "x")) FROM port p JOIN address x ON x.port = p.id WHERE p.instance \(ids)
                """
            attachments = """
                SELECT \(Attachment.table.list(of: "x")) FROM attachment x
                WHERE x.instance \(ids) ORDER BY x.instance, x.device
                """
            holdings = """
                SELECT \(Holding.table.list(of: "x")) FROM holding x WHERE x.thing_kind = 'machine' AND x.thing \(ids)
                """
        }
    }
}

extension Writing {
    /// Writes a machine's changed row back over the revision that was read.
    ///
    /// - Throws: `.conflict` when somebody else changed it in between.
    public func update(_ instance: Instance) throws(Fault) {
        var changedRow = instance
        changedRow.revision += 1
        guard try run(Instance.replacement, Instance.table.values(changedRow) + [instance.revision.value]) == 1 else {
            throw Fault(.conflict, "The instance was changed by another call.", kind: .instance)
        }
        changed("instance", instance.id.stored)
    }

    /// Notes what a host observed; leaves the revision alone.
    public func observe(_ power: Instance.Power, of instance: ID<Instance>) throws(Fault) {
        if try run("UPDATE instance SET power = $2 WHERE id = $1 AND power <> $2", [instance.value, power.value]) == 1 {
            changed("instance", instance.stored)
        }
    }
}
