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
    private var document = Document()
    private var views: [String: DomainView] = [:]
    /// Guests' facts as they were read, by entry, with the domain that serves each: a busy host's are
    /// asked for at every start.
    private var guestFacts: [String: (domain: String, guest: EdgeGuest)] = [:]
    private(set) var host: ID<Host>?
    /// Whether the document may be acted on: it came in this session, or the wait for one is over.
    private(set) var isObeyed = false
    private let kept: String?

    /// - Parameter kept: Where the document is kept; nil for memory only.
    init(kept: String?) { self.kept = kept }

    /// Reads the kept document. A damaged one is as good as none: the next session sends all.
    func open() throws(Fault) {
        guard let kept else { return }
        if let bytes = try AtomicFile.read(kept + ".host", limit: 16) { host = ID(hex: String(decoding: bytes, as: UTF8.self)) }
        guard let bytes = try AtomicFile.read(kept) else { return }
        do throws(Fault) { document = try Document(kept: bytes) } catch { document = Document() }
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

    private func work(for touched: Document.Touched) -> [Work] {
        switch touched.section {
        case Section.images: return [.image(touched.key)]
        case Section.disks: return [.disk(touched.key)]
        case Section.machines:
            guestFacts[touched.key] = nil
            return [.machine(touched.key)]
        case Section.edge:
            guestFacts[touched.key] = nil
            return [.edge]
        default:
            guard let domain = Section.domain(of: touched.section) else { return [] }
            // A view that is not yet made reads everything when it is.
            if views[domain] != nil {
                do throws(Fault) { try views[domain]?.set(touched.key, document.sections[touched.section]?[touched.key]) } catch {
                    views[domain] = nil
                }
            }
            return touched.key.hasPrefix("subnet/") || touched.key == "domain" ? [.domain(domain), .edge] : [.domain(domain)]
        }
    }

    /// All that the document names, and what it named until now.
    func everything(and touched: [Document.Touched] = []) -> [Work] {
        views = [:]
        guestFacts = [:]
        var work = Set(touched.flatMap { self.work(for: $0) })
        for (section, entries) in document.sections {
            for key in entries.keys { work.formUnion(self.work(for: Document.Touched(section: section, key: key))) }
        }
        work.insert(.edge)
        return Array(work)
    }

    func machine(_ key: String) throws(Fault) -> MachineEntry? { try document.entry(MachineEntry.self, Section.machines, key) }
    func disk(_ key: String) throws(Fault) -> DiskEntry? { try document.entry(DiskEntry.self, Section.disks, key) }
    func image(_ key: String) throws(Fault) -> ImageEntry? { try document.entry(ImageEntry.self, Section.images, key) }
    var machineKeys: [String] { Array((document.sections[Section.machines] ?? [:]).keys) }

    /// A domain's view; nil when the document does not have the domain.
    func view(_ domain: String) throws(Fault) -> DomainView? {
        if let view = views[domain] { return view }
        guard let host else { throw Fault(.unavailable, "this host does not know its id") }
        guard let entries = document.sections[Section.domain(domain)] else { return nil }
        var view = DomainView(host: host)
        for (key, payload) in entries { try view.set(key, payload) }
        views[domain] = view
        return view
    }

    var domains: [String] { document.sections.keys.compactMap { Section.domain(of: $0) }.sorted() }

    /// The guests of this host as *edge* should serve them, by the domain of their first port.
    func guests() throws(Fault) -> [String: [EdgeGuest]] {
        var guests: [String: [EdgeGuest]] = [:]
        for (key, payload) in (document.sections[Section.edge] ?? [:]).sorted(by: { $0.key < $1.key }) {
            var known = guestFacts[key]
            if known == nil { known = try read(key, payload) }
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
