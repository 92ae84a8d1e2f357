//  Ids as AWS spells them: a prefix, `0` and the sixteen hex digits of the core's id, seventeen
//  digits as AWS's own. Both ways without a look-up.

import Model
import Store

/// Reading and writing ids.
enum AWSID {
    /// The id of one thing.
    ///
    /// - Throws: `.malformedId` for what is no id of that kind; `.notFound` for one that is well
    ///   formed but cannot be ours, such as AWS's old form of eight digits.
    static func parse<Thing: Owned>(_ text: String, _: Thing.Type = Thing.self) throws(Fault) -> ID<Thing> {
        switch read(text, prefixes: prefixes(of: Thing.self)) {
        case .ours(let bits): return ID(bits: bits)
        case .foreign: throw Fault(.notFound, Words.missing(Thing.kind, [text]), kind: Thing.kind)
        case nil:
            throw Fault(
                .malformedId, "Invalid id: \"\(text.prefix(64))\" (expecting \"\(Thing.idPrefix)-...\")", kind: Thing.kind)
        }
    }

    /// The most ids of one call.
    static let idsMax = 1000

    /// The ids of a list; none for no list.
    static func parse<Thing: Owned>(all texts: [String]?, _: Thing.Type = Thing.self) throws(Fault) -> [ID<Thing>] {
        guard let texts else { return [] }
        guard texts.count <= idsMax else {
            throw Fault(.invalidParameter, "The request names more than \(idsMax) resources", kind: nil)
        }
        var foreign: [String] = []
        var ids: [ID<Thing>] = []
        for text in texts {
            do throws(Fault) { ids.append(try parse(text)) } catch  where error.code == .notFound { foreign.append(text) }
        }
        guard foreign.isEmpty else { throw Fault(.notFound, Words.missing(Thing.kind, foreign), kind: Thing.kind) }
        return ids
    }

    /// The id of a thing of any kind that can be tagged.
    static func parse(resource text: String) throws(Fault) -> AnyID {
        let prefix = text.prefix { $0 != "-" }
        guard let kind = kinds[String(prefix)], let spelling = read(text, prefixes: [String(prefix)]) else {
            throw Fault(.malformedId, "The ID '\(text.prefix(64))' is not valid")
        }
        switch spelling {
        case .ours(let bits): return AnyID(kind: kind, bits: bits)
        case .foreign: throw Fault(.notFound, Words.missing(kind, [text]), kind: kind)
        }
    }

    /// An id of any kind. Images show as `ami-`: whether one is a kernel is not in its id.
    static func shown(_ id: AnyID) -> String { "\(prefix(of: id.kind))-0\(hexDigits(id.bits))" }

    /// A reservation's id.
    static func shown(_ id: ID<Reservation>) -> String { "r-0\(id.hex)" }

    /// An image's id with the prefix of its purpose: `ami-`, `aki-`, `ari-`.
    static func shown(_ id: ID<Image>, _ purpose: Image.Purpose) -> String {
        switch purpose {
        case .machine: id.shown
        case .kernel: "aki-0\(id.hex)"
        case .ramdisk: "ari-0\(id.hex)"
        }
    }

    /// EC2's word for a kind of thing in tags.
    static func resourceType(_ kind: Kind) -> String {
        switch kind {
        case .instance: Instance.noun
        case .image: Image.noun
        case .volume: Volume.noun
        case .keyPair: KeyPair.noun
        case .router: Router.noun
        case .subnet: Subnet.noun
        case .port: Port.noun
        case .group: Group.noun
        case .rule: Rule.noun
        default: kind.rawValue
        }
    }

    private enum Spelling {
        case ours(UInt64)
        case foreign
    }

    /// Nil for what has not the form of such an id.
    private static func read(_ text: String, prefixes: [String]) -> Spelling? {
        guard let prefix = prefixes.first(where: { text.hasPrefix($0 + "-") }) else { return nil }
        let digits = text.dropFirst(prefix.count + 1)
        guard digits.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else { return nil }
        switch digits.utf8.count {
        case 8: return .foreign
        case 17:
            guard digits.utf8.first == UInt8(ascii: "0") else { return .foreign }
            return ID<Instance>(hex: digits.dropFirst()).map { .ours($0.bits) }
        default: return nil
        }
    }

    private static func prefixes<Thing: Owned>(of _: Thing.Type) -> [String] {
        Thing.kind == .image ? ["ami", "aki", "ari"] : [Thing.idPrefix]
    }

    private static let kinds: [String: Kind] = [
        "i": .instance, "ami": .image, "aki": .image, "ari": .image, "vol": .volume, "key": .keyPair, "vpc": .router,
        "subnet": .subnet, "eni": .port, "sg": .group, "sgr": .rule,
    ]

    private static func prefix(of kind: Kind) -> String {
        switch kind {
        case .instance: Instance.idPrefix
        case .image: Image.idPrefix
        case .volume: Volume.idPrefix
        case .keyPair: KeyPair.idPrefix
        case .router: Router.idPrefix
        case .subnet: Subnet.idPrefix
        case .port: Port.idPrefix
        case .group: Group.idPrefix
        case .rule: Rule.idPrefix
        case .reservation: "r"
        default: kind.rawValue
        }
    }
}
