//  The document that this host obeys, and the views that are kept up from it.

import Edge
import Fabric
import FoundationEssentials
import Model
import Platform

/// One thing to look at: an entry of the document, or what several entries make up.
enum Work: Sendable, Hashable {
    case image(String)
    case disk(String)
    case machine(String)
    case domain(String)
    case edge
}

/// Holds the document; says what an update touches.
actor NodeState {
    private var document: Document
    private var views: [String: DomainView] = [:]
    /// Guests' facts as they were read, by entry, with the domain that serves each: a busy host's are
    /// asked for at every start.
    private var guestFacts: [String: (domain: String, guest: EdgeGuest)] = [:]
    private(set) var host: ID<Host>?
    /// Whether the document may be acted on: it came in this session, or the wait for one is over.
    private(set) var isObeyed = false
    private let kept: String?
    private let stock: EntryStock?

    /// - Parameters:
    ///   - kept: Where the document is kept; nil for memory only.
    ///   - stock: Where it shares its entries with other hosts of this process.
    init(kept: String?, sharing stock: EntryStock? = nil) {
        self.kept = kept
        self.stock = stock
        document = Document(sharing: stock)
    }

    /// Reads the kept document. A damaged one is as good as none: the next session sends all.
    func open() throws(Fault) {
        guard let kept else { return }
        if let bytes = try AtomicFile.read(kept + ".host", limit: 16) { host = ID(hex: String(decoding: bytes, as: UTF8.self)) }
        guard let bytes = try AtomicFile.read(kept) else { return }
        do throws(Fault) { document = try Document(kept: bytes, sharing: stock) } catch { document = Document(sharing: stock) }
    }

    var generation: Generation { document.generation }
    var digest: [UInt8] { document.digestBytes }

    /// Takes the host's id, which entries name it by; kept with the document.
    func welcome(_ id: ID<Host>) throws(Fault) {
        guard host != id else { return }
        views = [:]
        host = id
        if let kept { try AtomicFile.write(Array(id.hex.utf8), to: kept + ".host") }
    }

    /// Takes an update, keeps it, and says what to look at.
    func apply(_ update: DocumentUpdate) throws(Fault) -> [Work] {
        let touched = try document.apply(update)
        if let kept { try AtomicFile.write(try document.kept(), to: kept) }
        let wasObeyed = isObeyed
        isObeyed = true
        guard wasObeyed, !update.whole else { return everything(and: touched) }
        return touched.flatMap { work(for: $0) }
    }

    /// Obeys the kept document although no session gave one.
    func obeyKept() -> [Work] {
        guard !isObeyed, host != nil, document.generation > Generation(epoch: 0, counter: 0) else { return [] }
        isObeyed = true
        return everything(and: [])
    }

    /// Keeps the views up, and says what to look at.
    private func work(for touched: Document.Touched) -> [Work] {
        // A view that is not yet made reads everything when it is.
        if let domain = Section.domain(of: touched.section), views[domain] != nil {
            let now = document.payload(touched.section, touched.key)
            do throws(Fault) { try views[domain]?.set(touched.key, now, before: touched.before?.payload) } catch {
                views[domain] = nil
            }
        }
        if touched.section == Section.machines || touched.section == Section.edge { guestFacts[touched.key] = nil }
        return NodeState.work(touched.section, touched.key)
    }

    private static func work(_ section: String, _ key: String) -> [Work] {
        switch section {
        case Section.images: return [.image(key)]
        case Section.disks: return [.disk(key)]
        case Section.machines: return [.machine(key)]
        case Section.edge: return [.edge]
        default:
            guard let domain = Section.domain(of: section) else { return [] }
            return key.hasPrefix("subnet/") || key == "domain" ? [.domain(domain), .edge] : [.domain(domain)]
        }
    }

    /// All that the document names, and what it named until now.
    func everything(and touched: [Document.Touched] = []) -> [Work] {
        views = [:]
        guestFacts = [:]
        var work = Set(touched.flatMap { self.work(for: $0) })
        for section in document.sectionNames {
            if let domain = Section.domain(of: section) {
                work.insert(.domain(domain))
                continue
            }
            for entry in document.entries(of: section) ?? [] {
                work.formUnion(NodeState.work(section, entry.key))
            }
        }
        work.insert(.edge)
        return Array(work)
    }

    func machine(_ key: String) throws(Fault) -> MachineEntry? { try document.entry(MachineEntry.self, Section.machines, key) }
    func disk(_ key: String) throws(Fault) -> DiskEntry? { try document.entry(DiskEntry.self, Section.disks, key) }
    func image(_ key: String) throws(Fault) -> ImageEntry? { try document.entry(ImageEntry.self, Section.images, key) }
    var machineKeys: [String] { (document.entries(of: Section.machines) ?? []).map(\.key) }

    /// A domain's view; nil when the document does not have the domain.
    func view(_ domain: String) throws(Fault) -> DomainView? {
        if let view = views[domain] { return view }
        guard let host else { throw Fault(.unavailable, "this host does not know its id") }
        guard let entries = document.entries(of: Section.domain(domain)) else { return nil }
        var view = DomainView(host: host)
        for entry in entries { try view.set(entry.key, entry.payload, before: nil) }
        views[domain] = view
        return view
    }

    var domains: [String] { document.sectionNames.compactMap { Section.domain(of: $0) }.sorted() }

    /// What *edge* should serve.
    func edgeDocument(_ settings: EdgeSettings) throws(Fault) -> EdgeDocument {
        let guests = try guests()
        var served: [EdgeDomain] = []
        for id in domains {
            guard let here = guests[id], let view = try view(id), !view.isEmpty else { continue }
            let subnets = view.subnetPrefixes.map { subnet in
                EdgeSubnet(
                    id: "subnet-0\(subnet.id.hex)", prefix: subnet.prefix, gateway: subnet.prefix.gateway,
                    server: subnet.prefix.gateway, nameServers: [subnet.prefix.nameServer], served: [subnet.prefix.nameServer],
                    domainName: settings.privateZone)
            }
            served.append(EdgeDomain(id: id, mtu: view.mtu, subnets: subnets, guests: here))
        }
        return EdgeDocument(generation: Int64(generation.counter), settings: settings, domains: served)
    }

    /// The guests of this host as *edge* should serve them, by the domain of their first port.
    private func guests() throws(Fault) -> [String: [EdgeGuest]] {
        var guests: [String: [EdgeGuest]] = [:]
        for entry in document.entries(of: Section.edge) ?? [] {
            var known = guestFacts[entry.key]
            if known == nil { known = try read(entry.key, entry.payload) }
            guard let known else { continue }
            guests[known.domain, default: []].append(known.guest)
        }
        return guests
    }

    private func read(_ key: String, _ payload: [UInt8]) throws(Fault) -> (domain: String, guest: EdgeGuest)? {
        guard let machine = try machine(key), let domain = machine.ports.first?.domain else { return nil }
        do {
            let facts = (domain: hexDigits(domain), guest: try JSONDecoder().decode(EdgeGuest.self, from: Data(payload)))
            guestFacts[key] = facts
            return facts
        } catch { throw Fault(.internalError, "A guest's facts cannot be read.", because: error) }
    }
}
