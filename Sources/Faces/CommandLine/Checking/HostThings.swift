//  What a host has and what it should have, both as sets of the names that its things bear there,
//  and the difference in words.

import Dataplane
import Disks
import Fabric
import Model

/// Things of a host by the names that they have in its kernel and in its folders.
struct HostThings: Sendable, Hashable {
    /// Processes of QEMU for each machine, as it is named there (`i-0…`).
    var processes: [String: Int] = [:]
    var guestFolders: Set<String> = []
    /// Ids in hex of the machines that have a guest's user.
    var users: Set<String> = []
    /// Ids in hex.
    var disks: Set<String> = []
    /// `DIGEST.kind`.
    var images: Set<String> = []
    /// Ids in hex of images whose files have been handed over and not yet taken in.
    var uploads: Set<String> = []
    var taps: Set<String> = []
    var namespaces: Set<String> = []
    /// The host's ends of the domains' ways out.
    var hostLinks: Set<String> = []
}

/// What a host should have by the store.
struct HeldThings: Sendable, Hashable {
    /// All that may be there.
    var allowed = HostThings()
    /// As much of it as must be.
    var required = HostThings()
    /// Machines that the store holds to be off.
    var off: Set<String> = []

    init() {}

    init(_ reply: CheckReply, _ names: DataplaneNames) {
        for machine in reply.machines {
            let hex = hexDigits(machine.instance)
            let name = "i-0\(hex)"
            let taps = machine.ports.map { names.tap(ID(bits: $0)) }
            allowed.processes[name] = 1
            allowed.guestFolders.insert(name)
            allowed.users.insert(hex)
            allowed.taps.formUnion(taps)
            switch Holding.Observed(rawValue: machine.observed) {
            case .running:
                required.processes[name] = 1
                required.guestFolders.insert(name)
                required.users.insert(hex)
                required.taps.formUnion(taps)
            case .off: off.insert(name)
            default: break
            }
        }
        for disk in reply.disks {
            allowed.disks.insert(hexDigits(disk.volume))
            if disk.observed == Holding.Observed.ready.rawValue { required.disks.insert(hexDigits(disk.volume)) }
        }
        for image in reply.images {
            guard let purpose = Image.Purpose(rawValue: image.purpose), !image.digest.isEmpty else {
                allowed.uploads.insert(hexDigits(image.image))
                continue
            }
            allowed.images.insert("\(image.digest).\(ImageKind(purpose).rawValue)")
        }
        required.images = allowed.images
        for domain in reply.domains {
            allowed.namespaces.insert(names.namespace(ID(bits: domain.domain)))
            allowed.hostLinks.insert(names.hostLink(vni: Int64(domain.vni)))
        }
        if !required.taps.isEmpty { required.namespaces = allowed.namespaces }
    }

    /// What is held now and was held then: what a change in between explains is not complained of.
    func also(_ other: HeldThings) -> HeldThings {
        var both = HeldThings()
        both.allowed = allowed.union(other.allowed)
        both.required = required.intersection(other.required)
        both.off = off.intersection(other.off)
        return both
    }

    /// A sentence for each thing that is too many or missing, in order.
    func complaints(of things: HostThings) -> [String] {
        var found: [String] = []
        for (what, kind) in HostThings.kinds {
            found += things[keyPath: kind].subtracting(allowed[keyPath: kind]).sorted().map { "\(what) \($0) belongs to nothing" }
            found += required[keyPath: kind].subtracting(things[keyPath: kind]).sorted().map { "\(what) \($0) is missing" }
        }
        for (name, count) in things.processes.sorted(by: { $0.key < $1.key }) {
            if allowed.processes[name] == nil { found.append("QEMU runs for \(name), which this host does not hold") }
            if count > 1 { found.append("QEMU runs \(count) times for \(name)") }
            if off.contains(name) { found.append("QEMU runs for \(name), which is held to be off") }
        }
        found += required.processes.keys.filter { things.processes[$0] == nil }.sorted().map { "no QEMU runs for \($0)" }
        return found
    }
}

extension HostThings {
    /// The kinds that are plain sets, and what one is called.
    static let kinds: [(what: String, set: any WritableKeyPath<HostThings, Set<String>> & Sendable)] = [
        ("guest folder", \.guestFolders), ("guest user of", \.users), ("disk", \.disks), ("image copy", \.images),
        ("upload", \.uploads), ("link", \.taps), ("namespace", \.namespaces), ("link", \.hostLinks),
    ]

    func union(_ other: HostThings) -> HostThings {
        var all = self
        for (_, kind) in HostThings.kinds { all[keyPath: kind].formUnion(other[keyPath: kind]) }
        all.processes.merge(other.processes) { max($0, $1) }
        return all
    }

    func intersection(_ other: HostThings) -> HostThings {
        var both = self
        for (_, kind) in HostThings.kinds { both[keyPath: kind].formIntersection(other[keyPath: kind]) }
        both.processes = processes.filter { other.processes[$0.key] != nil }
        return both
    }
}
