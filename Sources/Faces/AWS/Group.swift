//  Security groups: made, listed, removed.

import EC2Model
import Model
import Networks
import Store

extension EC2Face {
    func createSecurityGroup(
        _ request: EC2.CreateSecurityGroupRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.CreateSecurityGroupResult {
        let tags = try TagReading.new(request.tagSpecifications, for: "security-group")
        let name = try GroupReading.text(request.groupName, "GroupName")
        let description = try GroupReading.text(request.description, "GroupDescription")
        if name.hasPrefix("sg-") {
            throw Fault(.invalidParameter, "Value (\(name)) for parameter GroupName is invalid. It may not begin with 'sg-'.")
        }
        let router = try request.vpcId.map { id throws(Fault) in try AWSID.parse(id, Router.self) }
        let group = try await networks.createGroup(
            name: name, description: description, router: router, tags: tags, by: context.call)
        var result = EC2.CreateSecurityGroupResult()
        result.groupId = group.id.shown
        result.securityGroupArn = GroupWords.name(group, region, context.accountNumber)
        result.tags = tags.isEmpty ? nil : wire(tags)
        return result
    }

    func deleteSecurityGroup(
        _ request: EC2.DeleteSecurityGroupRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DeleteSecurityGroupResult {
        let id = try await groupId(request.groupId, request.groupName, context)
        try await networks.deleteGroup(id, by: context.call)
        var result = EC2.DeleteSecurityGroupResult()
        result.return = true
        result.groupId = id.shown
        return result
    }

    /// The group that a call names by id, or by name in the default network.
    func groupId(_ id: String?, _ name: String?, _ context: EC2Call) async throws(Fault) -> ID<Group> {
        if let id, !id.isEmpty { return try AWSID.parse(id) }
        guard let name, !name.isEmpty else {
            throw Fault(.missingParameter, "The request must contain the parameter GroupName or GroupId")
        }
        guard let group = try await networks.group(named: name, by: context.call) else {
            throw Fault(.notFound, "The security group '\(name)' does not exist in default VPC", kind: .group)
        }
        return group.id
    }

    func describeSecurityGroups(
        _ request: EC2.DescribeSecurityGroupsRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeSecurityGroupsResult {
        var ids: [ID<Group>] = try AWSID.parse(all: request.groupIds)
        for name in (request.groupNames ?? []).prefix(AWSID.idsMax) { ids.append(try await groupId(nil, name, context)) }
        let chosen = ids
        let owner = context.accountNumber
        let filter = try RowFilter(request.filters, EC2Face.groupFilters(owner: owner))
        let paging = try Paging(
            max: request.maxResults, token: request.nextToken, hasIds: !ids.isEmpty, idsName: "groupIdSet", context)
        let page = try await paging.collect(place: { $0.group.id.hex }, passes: filter.passes) { after, limit throws(Fault) in
            if !chosen.isEmpty {
                return try await after == nil ? networks.groups(chosen, after: .min, limit: limit, by: context.call) : []
            }
            return try await networks.groups([], after: Paging.after(after), limit: limit, by: context.call)
        }
        var result = EC2.DescribeSecurityGroupsResult()
        result.securityGroups = page.rows.map { group($0, owner) }
        result.nextToken = page.next
        return result
    }

    private func group(_ view: GroupView, _ owner: String) -> EC2.SecurityGroup {
        var shown = EC2.SecurityGroup()
        shown.groupId = view.group.id.shown
        shown.groupName = view.group.name
        shown.description = view.group.description
        shown.ownerId = owner
        shown.vpcId = view.group.router.shown
        shown.securityGroupArn = GroupWords.name(view.group, region, owner)
        shown.tags = Wire.tags(view.tags)
        shown.ipPermissions = GroupWords.permissions(view.rules.filter { !$0.isEgress }, owner)
        shown.ipPermissionsEgress = GroupWords.permissions(view.rules.filter(\.isEgress), owner)
        return shown
    }

    func wire(_ tags: [String: String]) -> [EC2.Tag] {
        tags.sorted { $0.key < $1.key }.map { key, value in
            var tag = EC2.Tag()
            tag.key = key
            tag.value = value
            return tag
        }
    }

    private static func groupFilters(owner: String) -> FilterTable<GroupView> {
        var fields: [String: @Sendable (GroupView) -> [String]] = [
            "description": { [$0.group.description] },
            "group-id": { [$0.group.id.shown] },
            "group-name": { [$0.group.name] },
            "owner-id": { _ in [owner] },
            "vpc-id": { [$0.group.router.shown] },
        ]
        for (prefix, isEgress) in [("ip-permission", false), ("egress.ip-permission", true)] {
            func rules(_ read: @escaping @Sendable (Rule) -> String?) -> @Sendable (GroupView) -> [String] {
                { view in view.rules.filter { $0.isEgress == isEgress }.compactMap(read) }
            }
            fields["\(prefix).cidr"] = rules { $0.prefix?.description }
            fields["\(prefix).from-port"] = rules { $0.protocolNumber == -1 ? nil : String($0.fromPort) }
            fields["\(prefix).to-port"] = rules { $0.protocolNumber == -1 ? nil : String($0.toPort) }
            fields["\(prefix).protocol"] = rules { PermissionWords.name($0.protocolNumber) }
            fields["\(prefix).group-id"] = rules { $0.peer?.shown }
            fields["\(prefix).user-id"] = rules { $0.peer == nil ? nil : owner }
            // The name of another group is not in this one's row.
            fields["\(prefix).group-name"] = { view in
                view.rules.contains { $0.isEgress == isEgress && $0.peer == view.group.id } ? [view.group.name] : []
            }
            fields["\(prefix).ipv6-cidr"] = { _ in [] }
            fields["\(prefix).prefix-list-id"] = { _ in [] }
        }
        return FilterTable(fields, tags: { $0.tags })
    }
}

/// The texts of a group.
enum GroupReading {
    static let allowed = Set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-:/()#,@[]+=&;{}!$*".unicodeScalars)

    /// A name or description, of up to 255 of EC2's characters.
    static func text(_ text: String?, _ parameter: String) throws(Fault) -> String {
        guard let text, !text.isEmpty else {
            throw Fault(.missingParameter, "The request must contain the parameter \(parameter)")
        }
        guard text.utf8.count <= 255, text.unicodeScalars.allSatisfy(allowed.contains) else {
            throw Fault(
                .invalidParameter,
                "Value (\(text.prefix(64))) for parameter \(parameter) is invalid. Character sets beyond ASCII are not supported.")
        }
        return text
    }
}

/// EC2's shapes of groups and rules.
enum GroupWords {
    static func name(_ group: Group, _ region: String, _ owner: String) -> String {
        "arn:aws:ec2:\(region):\(owner):security-group/\(group.id.shown)"
    }

    /// Rules of the same protocol and ports stand in one entry, in the order of the first of them.
    static func permissions(_ rules: [Rule], _ owner: String) -> [EC2.IpPermission] {
        struct Key: Hashable {
            var number: Int64
            var from: Int64
            var to: Int64
        }
        var order: [Key] = []
        var members: [Key: [Rule]] = [:]
        for rule in rules {
            let key = Key(number: rule.protocolNumber, from: rule.fromPort, to: rule.toPort)
            if members[key] == nil { order.append(key) }
            members[key, default: []].append(rule)
        }
        return order.map { key in
            var shown = EC2.IpPermission()
            shown.ipProtocol = PermissionWords.name(key.number)
            if key.number != -1 {
                shown.fromPort = Int(key.from)
                shown.toPort = Int(key.to)
            }
            let rules = members[key] ?? []
            shown.ipRanges = rules.compactMap(range)
            shown.userIdGroupPairs = rules.compactMap { pair($0, owner) }
            shown.ipv6Ranges = []
            shown.prefixListIds = []
            return shown
        }
    }

    private static func range(_ rule: Rule) -> EC2.IpRange? {
        guard let prefix = rule.prefix else { return nil }
        var range = EC2.IpRange()
        range.cidrIp = prefix.description
        range.description = rule.description.isEmpty ? nil : rule.description
        return range
    }

    private static func pair(_ rule: Rule, _ owner: String) -> EC2.UserIdGroupPair? {
        guard let peer = rule.peer else { return nil }
        var pair = EC2.UserIdGroupPair()
        pair.groupId = peer.shown
        pair.userId = owner
        pair.description = rule.description.isEmpty ? nil : rule.description
        return pair
    }
}
