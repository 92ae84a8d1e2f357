//  A policy, compiled: what IAM's JSON says, in the form in which it is evaluated.

import Model

extension Fault.Code {
    /// A policy document that breaks the language (IAM's MalformedPolicyDocument).
    public static let malformedPolicy = Fault.Code(rawValue: "malformedPolicy")
}

extension Fault {
    static func malformedPolicy(_ message: String) -> Fault { Fault(.malformedPolicy, message, kind: .policy) }
}

/// A policy document (IAM User Guide, "IAM JSON policy reference"), compiled. A value: two sessions
/// may share it.
public struct PolicyDocument: Sendable, Hashable {
    /// Where a document is attached decides which elements it must and must not have.
    public enum Use: Sendable, Hashable {
        /// To a user, group, role or session: no Principal, a Resource in each statement.
        case identity
        /// To a thing: a Principal in each statement; Resource may be left out.
        case resource
    }

    public let version: String
    public let id: String?
    /// The JSON that it was read from.
    public internal(set) var text = ""
    let statements: [PolicyStatement]

    init(version: String, id: String?, statements: [PolicyStatement], text: String = "") {
        self.text = text
        self.version = version
        self.id = id
        self.statements = statements
    }

    /// The Sids, in order; nil for statements without.
    public var statementIds: [String?] { statements.map(\.id) }
}

/// One statement, compiled.
struct PolicyStatement: Sendable, Hashable {
    enum Effect: Sendable, Hashable { case allow, deny }

    /// An element and its `Not…` form.
    enum Elements<Element: Sendable & Hashable>: Sendable, Hashable {
        case these([Element])
        case allBut([Element])
    }

    /// Whom a statement of a resource's policy names.
    enum PrincipalName: Sendable, Hashable {
        case everyone
        case aws(String)
        case service(String)
        case federated(String)
        case canonicalUser(String)
    }

    var id: String?
    var effect: Effect
    var actions: Elements<PolicyPattern>
    /// Nil in a resource's policy that leaves it out: then it is that resource.
    var resources: Elements<PolicyPattern>?
    var principals: Elements<PrincipalName>?
    var conditions: [PolicyCondition]

    /// Whether the statement says anything about the request.
    func applies(to request: PolicyRequest) -> Bool {
        covers(actions, request.action, request.context) && covers(resources, request.resource, request.context)
            && conditions.allSatisfy { $0.holds(in: request.context, forAllow: effect == .allow) }
    }

    private func covers(_ elements: Elements<PolicyPattern>?, _ text: [UInt8], _ context: PolicyContext) -> Bool {
        switch elements {
        case nil: true
        case .these(let patterns): patterns.contains { $0.matches(text, context) == true }
        // A pattern whose variable has no value excepts all in an allowing statement and nothing in
        // a denying one.
        case .allBut(let patterns): !patterns.contains { $0.matches(text, context) ?? (effect == .allow) }
        }
    }
}
