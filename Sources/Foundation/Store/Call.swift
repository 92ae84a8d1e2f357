//  One call of a face, and the one way to a tenant's row: load, authorize, and return row and
//  permit together. Another account's row does not exist.

import Authority
import Database
import Model

/// Who calls, for what, and the values that a transaction may not get by itself.
public struct Call: Sendable {
    public let session: Session
    /// The request's id: in every story line and operation that it causes.
    public let request: String
    public let now: Instant
    /// Seeds the dice of the call's transactions.
    public let seed: UInt64
    /// Whether to stop, with `.dryRun`, where the call would begin to change something.
    public let isDryRun: Bool

    public init(session: Session, request: String, now: Instant, seed: UInt64, isDryRun: Bool = false) {
        self.session = session
        self.request = request
        self.now = now
        self.seed = seed
        self.isDryRun = isDryRun
    }

    /// The account that the call acts in.
    public func account() throws(Fault) -> ID<Account> {
        guard let account = session.account else {
            throw Fault(.invalidParameter, "This needs an account to act in.", kind: .account)
        }
        return account.id
    }

    public var dice: Dice { Dice(seed: seed) }
    public var principal: String { session.principal.name.description }
    public var contending: [String] { session.account.map { ["account/\($0.id.hex)"] } ?? [] }

    /// Throws `.dryRun` once everything is authorized, if the caller only asked.
    public func endIfDryRun() throws(Fault) {
        if isDryRun { throw Fault(.dryRun, "Request would have succeeded, but DryRun flag is set.") }
    }

    /// Proof that the call may make or list something in its account.
    @discardableResult
    public func permit<Thing: Owned>(
        _ action: Action<Thing>, context: [String: ConditionValue] = [:]
    ) throws(Fault) -> Permit<Account> {
        try session.authorizeAll(action, on: resourceName(Thing.noun, "*"), context: context)
    }

    /// Checks an action that lists: its resource is `*`.
    public func permitList<Thing: Identified>(_ action: Action<Thing>) throws(Fault) {
        _ = try session.authorizeAll(action)
    }

    func resourceName(_ noun: String, _ id: String) -> ResourceName {
        ResourceName(
            service: "ec2", region: session.circumstances.region ?? "", account: session.account?.number ?? "",
            resource: "\(noun)/\(id)")
    }
}

/// A row that an account owns, and how policies name it.
public protocol Owned: Identified, Sendable {
    static var table: Table<Self> { get }
    /// Such as `instance`, and the prefix of its ids, `i`.
    static var noun: String { get }
    static var idPrefix: String { get }
    var id: ID<Self> { get }
    var account: ID<Account> { get }
    /// Whether every account may use it.
    var isShared: Bool { get }
    /// What others than its owner may do with what is shared, by the actions' names.
    static var sharedActions: Set<String> { get }
    /// Whether only its own removal still knows the row.
    var isRemoved: Bool { get }
}

extension Owned {
    public var isShared: Bool { false }
    public static var sharedActions: Set<String> { [] }
    public var isRemoved: Bool { false }
}

extension Reading {
    /// The row and the permit to do `action` to it.
    ///
    /// - Throws: `.notFound` when there is none or it is another account's, `.notOwner` when it is
    ///   shared but not for this, `.denied`.
    public func find<Thing: Owned>(
        _ id: ID<Thing>, for action: Action<Thing>, by call: Call, context: [String: ConditionValue] = [:]
    ) throws(Fault) -> (row: Thing, permit: Permit<Thing>) {
        let isOwn = { (row: Thing) in call.session.isSystem || row.account == call.session.account?.id }
        guard let row = try find(Thing.table, id), !row.isRemoved, row.isShared || isOwn(row) else {
            throw Fault(missing: id.erased)
        }
        guard isOwn(row) || Thing.sharedActions.contains(action.name) else {
            throw Fault(.notOwner, "Not authorized for \(Thing.noun):\(id.shown)", kind: Thing.kind)
        }
        var context = context
        for tag in try tags(of: Thing.kind, id.stored) { context["aws:ResourceTag/\(tag.key)"] = .text(tag.value) }
        do throws(Fault) {
            let permit = try call.session.authorize(
                action, call.resourceName(Thing.noun, "\(Thing.idPrefix)-0\(id.hex)"), id: id, owner: row.account,
                shared: row.isShared,
                context: context)
            return (row, permit)
        } catch { throw error.about(id.erased) }
    }

    /// The named rows and the permits to do `action` to them, in the order of the names; a name that
    /// is given twice counts once.
    ///
    /// - Throws: `.notFound` about all that do not exist or are another account's, `.denied`.
    public func find<Thing: Owned>(
        _ ids: [ID<Thing>], for action: Action<Thing>, by call: Call
    ) throws(Fault) -> [Thing] {
        var found: [Thing] = []
        var missing: [AnyID] = []
        var seen: Set<ID<Thing>> = []
        for id in ids where seen.insert(id).inserted {
            do throws(Fault) {
                found.append(try find(id, for: action, by: call).row)
            } catch  where error.code == .notFound {
                missing.append(id.erased)
            }
        }
        guard missing.isEmpty else { throw Fault(missing: missing, kind: Thing.kind) }
        return found
    }
}

extension Instance: Owned {
    public static let noun = "instance"
    public static let idPrefix = "i"
}

extension Image: Owned {
    public static let noun = "image"
    public static let idPrefix = "ami"
    public var isShared: Bool { isPublic }
    public static let sharedActions: Set<String> = ["ec2:DescribeImages", "ec2:RunInstances"]
    public var isRemoved: Bool { state == .absent }
}

extension Volume: Owned {
    public static let noun = "volume"
    public static let idPrefix = "vol"
}

extension KeyPair: Owned {
    public static let noun = "key-pair"
    public static let idPrefix = "key"
}

extension Router: Owned {
    public static let noun = "vpc"
    public static let idPrefix = "vpc"
}

extension Subnet: Owned {
    public static let noun = "subnet"
    public static let idPrefix = "subnet"
}

extension Port: Owned {
    public static let noun = "network-interface"
    public static let idPrefix = "eni"
}

extension Group: Owned {
    public static let noun = "security-group"
    public static let idPrefix = "sg"
}

extension Rule: Owned {
    public static let noun = "security-group-rule"
    public static let idPrefix = "sgr"
}

extension ID where Thing: Owned {
    /// The id as AWS spells it: prefix, `0`, 16 hex digits. Seventeen digits, as AWS's are.
    public var shown: String { "\(Thing.idPrefix)-0\(hex)" }
}

/// The names of guests, as EC2 spells them.
public enum InstanceNames {
    /// `ip-10-0-0-5.ec2.internal`, or with the region elsewhere than in us-east-1.
    public static func privateName(_ address: IPv4Address, region: String) -> String {
        "ip-\(dashed(address)).\(region == "us-east-1" ? "ec2.internal" : "\(region).compute.internal")"
    }

    /// `ec2-198-51-100-7.REGION.compute.amazonaws.com` is not ours to give: the name is local.
    public static func publicName(_ address: IPv4Address, region: String) -> String {
        "ec2-\(dashed(address)).\(region).compute.karri.internal"
    }

    private static func dashed(_ address: IPv4Address) -> String {
        address.bytes.map(String.init).joined(separator: "-")
    }
}
