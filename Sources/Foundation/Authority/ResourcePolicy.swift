//  Policies that are attached to a thing and name whom they concern (IAM User Guide, "Identity-based
//  policies and resource-based policies").

import Model

extension PolicyDocument {
    /// What a thing's policy says to a principal's request.
    public enum Stance: Sendable, Hashable {
        /// The principal's account is named, which may hand on what it is allowed.
        case allowsAccount
        /// The principal itself is named, or everyone.
        case allows
        /// A statement's Sid, where it has one.
        case denies(statement: String?)
        case silent
    }

    /// What this policy of a thing says.
    ///
    /// - Parameter canonicalID: The principal's account as `CanonicalUser` names it.
    public func stance(toward principal: Principal, canonicalID: String?, _ request: PolicyRequest) -> Stance {
        stance(request) { $0.naming(of: principal, canonicalID: canonicalID) }
    }

    /// What this policy of a thing says to a service's request, such as `logging.s3.amazonaws.com`.
    public func stance(towardService name: String, _ request: PolicyRequest) -> Stance {
        stance(request) { $0 == .everyone || $0 == .service(name) ? .itself : nil }
    }

    private func stance(
        _ request: PolicyRequest, _ naming: (PolicyStatement.PrincipalName) -> PolicyStatement.Naming?
    ) -> Stance {
        var stance = Stance.silent
        for statement in statements where statement.applies(to: request) {
            guard let naming = statement.naming(naming) else { continue }
            switch (statement.effect, naming) {
            case (.deny, _): return .denies(statement: statement.id)
            case (.allow, .itself): stance = .allows
            case (.allow, .account): if stance == .silent { stance = .allowsAccount }
            }
        }
        return stance
    }

    /// Whether it allows anything to everyone, without a condition that confines who that is (Amazon S3 User
    /// Guide, "The meaning of public").
    public var isPublic: Bool {
        statements.contains { statement in
            guard statement.effect == .allow else { return false }
            switch statement.principals {
            case .these(let names) where names.contains(.everyone): break
            case .allBut: break
            case .these, nil: return false
            }
            return !statement.conditions.contains(where: \.confinesCallers)
        }
    }

    /// Whether a statement allows something to all but those whom it names.
    public var allowsAllBut: Bool {
        statements.contains { statement in
            if case .allBut = statement.principals { statement.effect == .allow } else { false }
        }
    }

    /// The numbers of the accounts whose principals it names; nil where a name is none of an account's.
    public var principalAccounts: Set<String>? {
        var accounts: Set<String> = []
        for statement in statements {
            switch statement.principals {
            case nil: continue
            case .these(let names), .allBut(let names):
                for case .aws(let text) in names {
                    let number = text.hasPrefix("arn:") ? ResourceName(text)?.account : text
                    guard let number, number.utf8.count == 12, number.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                        return nil
                    }
                    accounts.insert(number)
                }
            }
        }
        return accounts
    }

    /// Whether every statement is about actions of a service, as names that begin with `service:` say.
    public func concernsOnly(service: String) -> Bool {
        let allowed = Array("\(service.lowercased()):".utf8)
        return statements.allSatisfy { statement in
            statement.actions.all { $0.beginning.starts(with: allowed) || allowed.starts(with: $0.beginning) && !$0.isWhole }
        }
    }

    /// Whether every statement names things, all of which may be `name` or lie under it.
    public func concernsOnly(resource name: String) -> Bool {
        let whole = Array(name.utf8)
        let under = whole + [UInt8(ascii: "/")]
        return statements.allSatisfy { statement in
            guard let resources = statement.resources else { return false }
            return resources.all { pattern in
                let beginning = pattern.beginning
                return beginning.starts(with: under) || beginning == whole && pattern.isWhole
                    || under.starts(with: beginning) && !pattern.isWhole
            }
        }
    }
}

extension PolicyStatement {
    fileprivate enum Naming { case itself, account }

    /// How the statement names who asks; nil where it does not.
    ///
    /// - Parameter naming: How one name does.
    fileprivate func naming(_ naming: (PrincipalName) -> Naming?) -> Naming? {
        switch principals {
        case nil: return nil
        case .these(let names):
            let found = names.compactMap(naming)
            return found.contains(.itself) ? .itself : found.first
        case .allBut(let names):
            return names.contains { naming($0) != nil } ? nil : .itself
        }
    }
}

extension PolicyStatement.PrincipalName {
    fileprivate func naming(of principal: Principal, canonicalID: String?) -> PolicyStatement.Naming? {
        switch self {
        case .everyone: return .itself
        case .canonicalUser(let id): return id == canonicalID ? .account : nil
        case .service, .federated: return nil
        case .aws(let text):
            guard let number = principal.account?.number else { return nil }
            if text == number || text == ResourceName.identity("root", account: number).description {
                return principal.kind == .root ? .itself : .account
            }
            return text == principal.policyName.description || text == principal.name.description ? .itself : nil
        }
    }
}

extension PolicyStatement.Elements {
    fileprivate func all(_ holds: (Element) -> Bool) -> Bool {
        switch self {
        case .these(let elements), .allBut(let elements): elements.allSatisfy(holds)
        }
    }
}

extension PolicyCondition {
    /// Keys whose fixed values keep a statement for everyone from being for the public.
    private static let confiningKeys: Set<String> = [
        "aws:sourceip", "aws:sourcearn", "aws:sourceaccount", "aws:sourcevpc", "aws:sourcevpce", "aws:userid",
        "aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:username",
    ]

    fileprivate var confinesCallers: Bool {
        guard PolicyCondition.confiningKeys.contains(key), !negated else { return false }
        if case .address(let ranges) = test { return ranges.allSatisfy { !$0.isPublic } }
        return true
    }
}
