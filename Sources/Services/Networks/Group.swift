//  Security groups and their rules.

import Authority
import Database
import Model
import Store

extension Action where Thing == Group {
    public static let describe = Action("ec2:DescribeSecurityGroups")
    public static let create = Action("ec2:CreateSecurityGroup")
    public static let delete = Action("ec2:DeleteSecurityGroup")
    public static let authorizeIn = Action("ec2:AuthorizeSecurityGroupIngress")
    public static let authorizeOut = Action("ec2:AuthorizeSecurityGroupEgress")
    public static let revokeIn = Action("ec2:RevokeSecurityGroupIngress")
    public static let revokeOut = Action("ec2:RevokeSecurityGroupEgress")
    public static let modifyRules = Action("ec2:ModifySecurityGroupRules")
    public static let describeIn = Action("ec2:UpdateSecurityGroupRuleDescriptionsIngress")
    public static let describeOut = Action("ec2:UpdateSecurityGroupRuleDescriptionsEgress")
}

extension Action where Thing == Rule {
    public static let describe = Action("ec2:DescribeSecurityGroupRules")
}

/// What a rule permits: two rules of a group that permit the same are one.
public struct Permission: Sendable, Hashable {
    /// IANA's protocol number, or -1 for all.
    public var protocolNumber: Int64
    /// First port, or ICMP type; -1 for all.
    public var from: Int64
    /// Last port, or ICMP code; -1 for all.
    public var to: Int64
    public var peer: Peer

    public enum Peer: Sendable, Hashable {
        case prefix(IPv4Prefix)
        case group(ID<Group>)
    }

    public init(protocolNumber: Int64, from: Int64, to: Int64, peer: Peer) {
        self.protocolNumber = protocolNumber
        self.from = from
        self.to = to
        self.peer = peer
    }

    /// Whether the ports make sense for the protocol; the sentence says why not.
    public var problem: String? {
        switch protocolNumber {
        case 6, 17:
            guard (0...65535).contains(from), (0...65535).contains(to) else {
                return "Invalid value for portRange. Must be between 0 and 65535."
            }
            return from <= to ? nil : "Invalid value for portRange. From port must not be greater than to port."
        case 1, 58:
            return (-1...255).contains(from) && (-1...255).contains(to) ? nil : "ICMP type and code must be between -1 and 255."
        case -1...255: return nil
        default: return "Invalid value '\(protocolNumber)' for protocol."
        }
    }
}

extension Permission {
    /// As EC2's errors show a rule: `peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW`.
    var shown: String {
        let other =
            switch peer {
            case .prefix(let prefix): prefix.description
            case .group(let group): group.shown
            }
        let name = [-1: "ALL", 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"][protocolNumber] ?? String(protocolNumber)
        guard [6, 17].contains(protocolNumber) else { return "peer: \(other), \(name), ALLOW" }
        return "peer: \(other), \(name), from port: \(from), to port: \(to), ALLOW"
    }
}

extension Rule {
    public var permission: Permission {
        let other: Permission.Peer = peer.map { .group($0) } ?? .prefix(prefix ?? .everything)
        return Permission(protocolNumber: protocolNumber, from: fromPort, to: toPort, peer: other)
    }
}

/// A group with its rules and tags.
public struct GroupView: Sendable {
    public var group: Group
    public var rules: [Rule]
    public var tags: [Tag]
}

extension NetworksService {
    /// EC2's default limit, both ways together.
    static let rulesMax = 120

    /// A page of the account's groups in order of id, or the named ones.
    public func groups(_ ids: [ID<Group>], after: Int64, limit: Int, by call: Call) async throws(Fault) -> [GroupView] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Group>.describe)
            let groups =
                ids.isEmpty
                ? try tx.groups(ofAccount: call.account(), after: after, limit: limit)
                : try tx.find(ids, for: .describe, by: call)
            return try groups.map { group throws(Fault) in
                GroupView(group: group, rules: try tx.rules(of: group.id), tags: try tx.tags(of: .group, group.id.stored))
            }
        }
    }

    /// The group with this name in the account's default network.
    public func group(named name: String, by call: Call) async throws(Fault) -> Group? {
        try await engine.read { tx throws(Fault) in
            guard let router = try tx.defaultRouter(of: call.account()) else { return nil }
            return try tx.group(named: name, in: router.id)
        }
    }

    /// A page of the account's rules in order of id, or the named ones.
    public func rules(_ ids: [ID<Rule>], after: Int64, limit: Int, by call: Call) async throws(Fault) -> [(rule: Rule, tags: [Tag])]
    {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Rule>.describe)
            let account = try call.account()
            let rules =
                ids.isEmpty
                ? try tx.rules(ofAccount: account, after: after, limit: limit)
                : try tx.find(ids, for: .describe, by: call)
            return try rules.map { rule throws(Fault) in (rule, try tx.tags(of: .rule, rule.id.stored)) }
        }
    }

    /// The rules of some of the account's groups, in order of id; a group that is not there has none.
    public func rules(ofGroups ids: [ID<Group>], by call: Call) async throws(Fault) -> [(rule: Rule, tags: [Tag])] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Rule>.describe)
            let account = try call.account()
            var rules: [Rule] = []
            for id in Set(ids) { rules += try tx.rules(of: id).filter { $0.account == account } }
            return try rules.sorted { $0.id < $1.id }.map { rule throws(Fault) in (rule, try tx.tags(of: .rule, rule.id.stored)) }
        }
    }

    /// Makes a group that lets everything out and nothing in.
    ///
    /// - Parameter router: Nil for the account's default network.
    public func createGroup(
        name: String, description: String, router: ID<Router>?, tags: [String: String], by call: Call
    ) async throws(Fault) -> Group {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            try call.permit(Action<Group>.create, context: call.requestTags(tags))
            let account = try call.account()
            let home: Router
            if let router {
                home = try tx.find(router, for: .describe, by: call).row
            } else {
                guard let found = try tx.defaultRouter(of: account) else {
                    throw Fault(.missingParameter, "No default VPC for this user.", kind: .router)
                }
                home = found
            }
            try call.endIfDryRun()
            let group = Group(
                id: dice.id(), account: account, router: home.id, name: name, description: description, created: call.now,
                revision: 1)
            guard try tx.claim(group, in: Group.table) else {
                throw Fault(.alreadyExists, "The security group '\(name)' already exists for this VPC.", kind: .group)
            }
            try tx.charge("groups", 1, to: account)
            tx.insert(Rule.allowingAllOut(of: group, id: dice.id(), now: call.now), into: Rule.table)
            for (key, value) in tags { tx.set(Tag(account: account, kind: .group, thing: group.id.stored, key: key, value: value)) }
            tx.changed("security_group", group.id.stored)
            return group
        }
    }

    /// Removes a group that nothing uses.
    ///
    /// - Throws: `.inUse` while a port or another group's rule names it; `.protected` for the default.
    public func deleteGroup(_ id: ID<Group>, by call: Call) async throws(Fault) {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            let group = try tx.find(id, for: .delete, by: call).row
            guard group.name != Group.defaultName else {
                throw Fault(
                    .protected, "the specified group: \"\(id.shown)\" name: \"default\" cannot be deleted by a user", kind: .group
                )
            }
            let isUsed = try tx.exists("SELECT 1 FROM port_group WHERE security_group = $1 LIMIT 1", [id.value])
            let isNamed = try tx.exists("SELECT 1 FROM group_rule WHERE peer = $1 AND security_group <> $1 LIMIT 1", [id.value])
            if isUsed || isNamed {
                throw Fault(.inUse, "has a dependent object", kind: .group).about(id.erased)
            }
            try call.endIfDryRun()
            try tx.remove(group)
            try tx.discharge("groups", 1, from: group.account)
        }
    }

    /// Adds rules to a group; all of them or none.
    public func authorize(
        _ permissions: [(permission: Permission, description: String)], isEgress: Bool, on id: ID<Group>, tags: [String: String],
        by call: Call
    ) async throws(Fault) -> [Rule] {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            let group = try tx.find(id, for: isEgress ? .authorizeOut : .authorizeIn, by: call).row
            var rules: [Rule] = []
            for (permission, description) in permissions {
                rules.append(try add(tx, permission, description, isEgress: isEgress, to: group, now: call.now, dice: &dice))
            }
            try call.endIfDryRun()
            guard try tx.count("SELECT count(*) FROM group_rule WHERE security_group = $1", [id.value]) <= NetworksService.rulesMax
            else {
                throw Fault(.limitExceeded, "The maximum number of rules per security group has been reached.", kind: .rule)
            }
            for rule in rules {
                for (key, value) in tags {
                    tx.set(Tag(account: group.account, kind: .rule, thing: rule.id.stored, key: key, value: value))
                }
            }
            tx.changed("security_group", group.id.stored)
            return rules
        }
    }

    @discardableResult
    func add(
        _ tx: Writing, _ permission: Permission, _ description: String, isEgress: Bool, to group: Group, now: Instant,
        dice: inout Dice
    ) throws(Fault) -> Rule {
        if let problem = permission.problem { throw Fault(.invalidParameter, problem, kind: .rule) }
        var prefix: IPv4Prefix?
        var peer: ID<Group>?
        switch permission.peer {
        case .prefix(let range): prefix = range
        case .group(let other):
            guard let named = try tx.find(Group.table, other), named.account == group.account, named.router == group.router else {
                throw Fault(missing: other.erased)
            }
            peer = other
        }
        let rule = Rule(
            id: dice.id(), account: group.account, group: group.id, isEgress: isEgress, protocolNumber: permission.protocolNumber,
            fromPort: permission.from, toPort: permission.to, prefix: prefix, peer: peer, description: description,
            created: now)
        guard try tx.claim(rule, in: Rule.table) else {
            throw Fault(.alreadyExists, "the specified rule \"\(permission.shown)\" already exists", kind: .rule)
        }
        return rule
    }

    /// Removes rules by what they permit. What was not there is returned, as EC2 does.
    public func revoke(
        _ permissions: [Permission], ids: [ID<Rule>], isEgress: Bool, on id: ID<Group>, by call: Call
    ) async throws(Fault) -> (revoked: [Rule], unknown: [Permission]) {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            let group = try tx.find(id, for: isEgress ? .revokeOut : .revokeIn, by: call).row
            try call.endIfDryRun()
            let rules = try tx.rules(of: group.id).filter { $0.isEgress == isEgress }
            var revoked: [Rule] = []
            var unknown: [Permission] = []
            for rule in ids {
                guard let found = rules.first(where: { $0.id == rule }) else { throw Fault(missing: rule.erased) }
                revoked.append(found)
            }
            for permission in permissions {
                if let found = rules.first(where: { $0.permission == permission }) {
                    revoked.append(found)
                } else {
                    unknown.append(permission)
                }
            }
            for rule in Set(revoked) { try tx.remove(rule) }
            tx.changed("security_group", group.id.stored)
            return (revoked, unknown)
        }
    }

    /// Sets the descriptions of rules, named by id or by what they permit.
    public func describe(
        _ named: [(rule: ID<Rule>, description: String)], _ permitted: [(permission: Permission, description: String)],
        isEgress: Bool,
        on id: ID<Group>, by call: Call
    ) async throws(Fault) {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            let group = try tx.find(id, for: isEgress ? .describeOut : .describeIn, by: call).row
            try call.endIfDryRun()
            let rules = try tx.rules(of: group.id).filter { $0.isEgress == isEgress }
            var changes: [(ID<Rule>, String)] = []
            for (rule, description) in named {
                guard rules.contains(where: { $0.id == rule }) else { throw Fault(missing: rule.erased) }
                changes.append((rule, description))
            }
            for (permission, description) in permitted {
                guard let rule = rules.first(where: { $0.permission == permission }) else {
                    throw Fault(.notFound, "The specified rule does not exist in this security group.", kind: .rule)
                }
                changes.append((rule.id, description))
            }
            for (rule, description) in changes {
                try tx.run("UPDATE group_rule SET description = $2 WHERE id = $1", [rule.value, .text(description)])
            }
        }
    }

    /// Replaces what rules permit; the rules keep their ids.
    public func modify(
        _ changes: [(rule: ID<Rule>, permission: Permission, description: String)], on id: ID<Group>, by call: Call
    ) async throws(Fault) {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            let group = try tx.find(id, for: .modifyRules, by: call).row
            try call.endIfDryRun()
            for (rule, permission, description) in changes {
                guard let old = try tx.find(Rule.table, rule), old.group == id else { throw Fault(missing: rule.erased) }
                let tags = try tx.tags(of: .rule, rule.stored)
                try tx.remove(old)
                let new = try add(tx, permission, description, isEgress: old.isEgress, to: group, now: call.now, dice: &dice)
                try tx.run("UPDATE group_rule SET id = $2 WHERE id = $1", [new.id.value, rule.value])
                for tag in tags { tx.set(tag) }
            }
            tx.changed("security_group", id.stored)
        }
    }
}

extension Call {
    /// What policies see of the tags that a request sets.
    public func requestTags(_ tags: [String: String]) -> [String: ConditionValue] {
        var context: [String: ConditionValue] = ["aws:TagKeys": .texts(tags.keys.sorted())]
        for (key, value) in tags { context["aws:RequestTag/\(key)"] = .text(value) }
        return context
    }
}
