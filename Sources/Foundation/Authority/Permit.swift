//  Proof that a call may do a thing. Only `Session.authorize` makes a permit, and whatever writes a
//  tenant's row asks for one, so that no path to the row forgets the check.

import Model

/// Something that can be done to a `Thing`, by the name that policies know it by. The services
/// declare them: `extension Action where Thing == Instance { static let stop = Action("ec2:StopInstances") }`.
public struct Action<Thing: Identified>: Sendable, Hashable, CustomStringConvertible {
    /// Such as `ec2:StopInstances`.
    public let name: String

    public init(_ name: StaticString) { self.name = name.description }

    public var description: String { name }
}

/// Proof that `principal` may do `action` to the thing `id`. Writers take the id from the permit.
/// The synthesized initializer is internal to this target, and that is the point.
public struct Permit<Thing: Identified>: Sendable, Hashable {
    public let id: ID<Thing>
    /// The account that owns the thing.
    public let owner: ID<Account>
    /// Such as `ec2:StopInstances`.
    public let action: String
    /// The principal's name, for records.
    public let principal: String
}

/// Proof that a list may be made, and of what: the store makes a WHERE clause of it.
public struct Visibility<Thing: Identified>: Sendable, Hashable {
    public enum Reach: Sendable, Hashable {
        /// Every account's: only for the cloud's own work.
        case everything
        /// This account's own things and, where the caller of the store asks for them, things that
        /// others share with it or with all.
        case account(ID<Account>)
    }

    public let reach: Reach

    /// Whether a row of `owner` is seen; `shared` where a grant or the public flag covers the account.
    public func sees(owner: ID<Account>, shared: Bool = false) -> Bool {
        switch reach {
        case .everything: true
        case .account(let account): owner == account || shared
        }
    }
}

extension Session {
    /// Proof that this session may do `action` to the thing `id`, which `owner` owns. `shared` says
    /// that the row lets this account use it (a public image). Throws `notFound` of the thing's kind
    /// for another account's row, `denied` with IAM's sentence, and `expired`.
    public func authorize<Thing>(
        _ action: Action<Thing>, _ resource: ResourceName, id: ID<Thing>, owner: ID<Account>, shared: Bool = false,
        context: [String: ConditionValue] = [:]
    ) throws(Fault) -> Permit<Thing> {
        if !isSystem, !shared, account?.id != owner {
            throw Fault(.notFound, "The \(Thing.kind.rawValue) \(id.hex) does not exist", kind: Thing.kind)
        }
        try check(action.name, resource.description, context)
        return Permit(id: id, owner: owner, action: action.name, principal: principal.name.description)
    }

    /// Proof that this session may do `action` in its account at large: what creates a thing, or
    /// concerns no one thing. `resource` is what the policies see, by default `*`. Throws `denied`,
    /// `expired`, and `invalidParameter` for a system session that works on no account's behalf.
    public func authorizeAll<Thing>(
        _ action: Action<Thing>, on resource: ResourceName? = nil, context: [String: ConditionValue] = [:]
    ) throws(Fault) -> Permit<Account> {
        guard let account else {
            throw Fault(.invalidParameter, "\(action.name) needs an account to act in", kind: .account)
        }
        try check(action.name, resource?.description ?? "*", context)
        return Permit(id: account.id, owner: account.id, action: action.name, principal: principal.name.description)
    }

    /// What a list made with `action` may show. Throws `denied` and `expired`.
    public func visibility<Thing>(
        _ action: Action<Thing>, context: [String: ConditionValue] = [:]
    ) throws(Fault) -> Visibility<Thing> {
        try check(action.name, "*", context)
        if let account { return Visibility(reach: .account(account.id)) }
        guard isSystem else { throw Fault(.denied, refusal(.implicitDeny(.identity), action.name, "*")) }
        return Visibility(reach: .everything)
    }

    /// What the policies in force say, without a permit: for simulations and explanations.
    public func decide(_ action: String, on resource: String, context: [String: ConditionValue] = [:]) -> Decision {
        let facts = PolicyContext(context, principal: principal, circumstances: circumstances)
        return policies.evaluate(PolicyRequest(action: action, resource: resource, context: facts))
    }

    private func check(_ action: String, _ resource: String, _ context: [String: ConditionValue]) throws(Fault) {
        if let expires, circumstances.now >= expires {
            throw Fault(.expired, "The security token included in the request is expired")
        }
        let decision = decide(action, on: resource, context: context)
        guard !decision.isAllowed else { return }
        throw Fault(.denied, refusal(decision, action, resource))
    }

    /// IAM's sentence (IAM User Guide, "Troubleshoot access denied error messages").
    private func refusal(_ decision: Decision, _ action: String, _ resource: String) -> String {
        let what = "User: \(principal.name) is not authorized to perform: \(action)"
        let which = resource == "*" ? what : "\(what) on resource: \(resource)"
        switch decision {
        case .allow: return which
        case .explicitDeny(let kind, _):
            return "\(which) with an explicit deny in \(kind == .identity ? "an" : "a") \(kind.rawValue)"
        case .implicitDeny(let kind):
            return "\(which) because no \(kind.rawValue) allows the \(action) action"
        }
    }
}
