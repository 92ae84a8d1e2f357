//  Security groups and their rules in the store.

import Database
import Model

extension Group {
    public static let table = Table(
        "security_group",
        Field("id", \Group.id),
        Field("account", \Group.account),
        Field("router", \Group.router),
        Field("name", \Group.name),
        Field("description", \Group.description),
        Field("created", \Group.created),
        Field("revision", \Group.revision),
        make: Group.init)
}

extension Rule {
    public static let table = Table(
        "group_rule",
        Field("id", \Rule.id),
        Field("account", \Rule.account),
        Field("security_group", \Rule.group),
        Field("is_egress", \Rule.isEgress),
        Field("protocol_number", \Rule.protocolNumber),
        Field("from_port", \Rule.fromPort),
        Field("to_port", \Rule.toPort),
        Field("prefix", \Rule.prefix),
        Field("peer", \Rule.peer),
        Field("description", \Rule.description),
        Field("created", \Rule.created),
        make: Rule.init)
}

extension Reading {
    public func groups(ofAccount account: ID<Account>, after: Int64, limit: Int) throws(Fault) -> [Group] {
        try all(Group.table, where: "account = $1 AND id > $2 ORDER BY id LIMIT $3", [account.value, after.value, limit.value])
    }

    public func group(named name: String, in router: ID<Router>) throws(Fault) -> Group? {
        try all(Group.table, where: "router = $1 AND name = $2", [router.value, .text(name)]).first
    }

    /// A group's rules in the order of their making.
    public func rules(of group: ID<Group>) throws(Fault) -> [Rule] {
        try all(Rule.table, where: "security_group = $1 ORDER BY created, id", [group.value])
    }

    public func rules(ofAccount account: ID<Account>, after: Int64, limit: Int) throws(Fault) -> [Rule] {
        try all(Rule.table, where: "account = $1 AND id > $2 ORDER BY id LIMIT $3", [account.value, after.value, limit.value])
    }
}

extension Writing {
    public func remove(_ rule: Rule) throws(Fault) {
        try removeTags(of: .rule, rule.id.stored)
        try run("DELETE FROM group_rule WHERE id = $1", [rule.id.value])
        changed("security_group", rule.group.stored)
    }

    /// Removes a group with its rules. Faults with `.conflict` while a port or a rule names it.
    public func remove(_ group: Group) throws(Fault) {
        try removeTags(of: .group, group.id.stored)
        for rule in try rules(of: group.id) { try remove(rule) }
        try run("DELETE FROM security_group WHERE id = $1", [group.id.value])
        changed("security_group", group.id.stored)
    }
}
