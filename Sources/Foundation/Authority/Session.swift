//  One authenticated caller. Access keys, tokens, assumed roles and cookies all become a Session;
//  services know nothing else of who calls. A system session is made by another initializer with a
//  name that no one writes by accident.

import Model

/// Who calls, for which account, with which policies in force, until when.
public struct Session: Sendable {
    public let principal: Principal
    /// The account whose things the call is about; nil where the cloud itself works on no one's behalf.
    public let account: AccountScope?
    public let policies: PolicySet
    /// The access key that signed, or nil.
    public let accessKey: String?
    /// Nil: does not end by itself.
    public let expires: Instant?
    /// What the face knows of the call.
    public var circumstances: Circumstances

    /// Whether this is the cloud's own work, which no policy restricts.
    public let isSystem: Bool

    /// The session of an account's root, user or role. The root is bound by no identity policy, so
    /// what `identity` holds for it is ignored; a session policy binds it as any other.
    public init(
        of principal: Principal, identity: [PolicyDocument], session: [PolicyDocument]? = nil, accessKey: String? = nil,
        expires: Instant? = nil, circumstances: Circumstances
    ) {
        self.principal = principal
        account = principal.account
        isSystem = false
        self.policies = PolicySet(
            identity: principal.kind == .root ? [ManagedPolicy.administratorAccess.document] : identity, session: session)
        self.accessKey = accessKey
        self.expires = expires
        self.circumstances = circumstances
    }

    /// A caller who has not signed: only what is granted to everyone is allowed.
    public init(anonymousIn circumstances: Circumstances) {
        self.init(of: .anonymous, identity: [], circumstances: circumstances)
    }

    /// The cloud's own work (the operator at the machine, background workers): everything is
    /// allowed, in every account. `purpose` is a literal, so that nothing from outside names it.
    public init(unrestrictedSystemWorkFor purpose: StaticString, onBehalfOf account: AccountScope? = nil, now: Instant) {
        principal = .system(purpose.description)
        isSystem = true
        self.account = account
        policies = PolicySet(identity: [ManagedPolicy.administratorAccess.document])
        accessKey = nil
        expires = nil
        circumstances = Circumstances(now: now)
    }
}
