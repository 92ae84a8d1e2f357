//  May this principal do this to that? A pure function of the policies in force and the request
//  (IAM User Guide, "Policy evaluation logic"): a denial anywhere wins, and each set of policies
//  that is in force has to allow.

import Model

/// One action on one resource, with the facts that conditions look at.
public struct PolicyRequest: Sendable {
    /// In lower case.
    let action: [UInt8]
    let resource: [UInt8]
    let context: PolicyContext

    /// `action` such as `ec2:StopInstances`; `resource` a name, or `*` for a call about no one thing.
    public init(action: String, resource: String, context: PolicyContext = PolicyContext()) {
        self.action = Array(action.lowercased().utf8)
        self.resource = Array(resource.utf8)
        self.context = context
    }
}

/// The policies that bear on a principal.
public struct PolicySet: Sendable, Hashable {
    /// Attached to the user, its groups or the role.
    public var identity: [PolicyDocument]
    /// Given when the session was made; where present, only what it allows too is allowed.
    public var session: [PolicyDocument]?

    public init(identity: [PolicyDocument], session: [PolicyDocument]? = nil) {
        self.identity = identity
        self.session = session
    }

    /// What the policies say about `request`.
    public func evaluate(_ request: PolicyRequest) -> Decision {
        let identity = verdict(of: self.identity, request)
        let session = self.session.map { verdict(of: $0, request) }
        if case .denies(let statement) = identity { return .explicitDeny(.identity, statement: statement) }
        if case .denies(let statement) = session { return .explicitDeny(.session, statement: statement) }
        guard case .allows = identity else { return .implicitDeny(.identity) }
        switch session {
        case nil, .allows: return .allow
        default: return .implicitDeny(.session)
        }
    }

    private enum Verdict {
        case allows
        case denies(statement: String?)
        case silent
    }

    private func verdict(of documents: [PolicyDocument], _ request: PolicyRequest) -> Verdict {
        var allowed = false
        for document in documents {
            for statement in document.statements {
                // A second permission says nothing new; a denial may still come.
                guard statement.effect == .deny || !allowed, statement.applies(to: request) else { continue }
                guard statement.effect == .allow else { return .denies(statement: statement.id) }
                allowed = true
            }
        }
        return allowed ? .allows : .silent
    }
}

/// What the policies in force say about a request.
public enum Decision: Sendable, Hashable {
    case allow
    /// A statement denies it; its Sid, where it has one.
    case explicitDeny(PolicyKind, statement: String?)
    /// No policy of that kind allows it.
    case implicitDeny(PolicyKind)

    /// The kinds of policies, in IAM's words.
    public enum PolicyKind: String, Sendable, Hashable {
        case identity = "identity-based policy"
        case session = "session policy"
    }

    public var isAllowed: Bool { self == .allow }
}
