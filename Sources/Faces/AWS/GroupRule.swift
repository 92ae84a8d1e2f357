//  Rules of security groups: added, removed, replaced, described, listed.

import EC2Model
import Model
import Networks
import Store

extension EC2Face {
    func authorizeSecurityGroupIngress(
        _ request: EC2.AuthorizeSecurityGroupIngressRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.AuthorizeSecurityGroupIngressResult {
        let group = try await groupId(request.groupId, request.groupName, context)
        let flat = FlatPermission(
            ipProtocol: request.ipProtocol, from: request.fromPort, to: request.toPort, prefix: request.cidrIp,
            groupName: request.sourceSecurityGroupName, groupOwner: request.sourceSecurityGroupOwnerId)
        let rules = try await authorize(request.ipPermissions, flat, request.tagSpecifications, isEgress: false, on: group, context)
        var result = EC2.AuthorizeSecurityGroupIngressResult()
        result.return = true
        result.securityGroupRules = rules
        return result
    }

    func authorizeSecurityGroupEgress(
        _ request: EC2.AuthorizeSecurityGroupEgressRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.AuthorizeSecurityGroupEgressResult {
        let group = try await groupId(request.groupId, nil, context)
        let flat = FlatPermission(
            ipProtocol: request.ipProtocol, from: request.fromPort, to: request.toPort, prefix: request.cidrIp,
            groupName: request.sourceSecurityGroupName, groupOwner: request.sourceSecurityGroupOwnerId)
        let rules = try await authorize(request.ipPermissions, flat, request.tagSpecifications, isEgress: true, on: group, context)
        var result = EC2.AuthorizeSecurityGroupEgressResult()
        result.return = true
        result.securityGroupRules = rules
        return result
    }

    private func authorize(
        _ given: [EC2.IpPermission]?, _ flat: FlatPermission, _ tags: [EC2.TagSpecification]?, isEgress: Bool, on group: ID<Group>,
        _ context: EC2Call
    ) async throws(Fault) -> [EC2.SecurityGroupRule] {
        let permissions = try await permissions(given, flat, context)
        let tags = try TagReading.new(tags, for: "security-group-rule")
        let rules = try await networks.authorize(permissions, isEgress: isEgress, on: group, tags: tags, by: context.call)
        return rules.map { rule in
            var shown = self.rule(rule, context.accountNumber)
            shown.tags = tags.isEmpty ? nil : wire(tags)
            return shown
        }
    }

    func revokeSecurityGroupIngress(
        _ request: EC2.RevokeSecurityGroupIngressRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.RevokeSecurityGroupIngressResult {
        let group = try await groupId(request.groupId, request.groupName, context)
        let flat = FlatPermission(
            ipProtocol: request.ipProtocol, from: request.fromPort, to: request.toPort, prefix: request.cidrIp,
            groupName: request.sourceSecurityGroupName, groupOwner: request.sourceSecurityGroupOwnerId)
        let gone = try await revoke(request.ipPermissions, flat, request.securityGroupRuleIds, isEgress: false, on: group, context)
        var result = EC2.RevokeSecurityGroupIngressResult()
        result.return = true
        result.unknownIpPermissions = gone.unknown
        result.revokedSecurityGroupRules = gone.revoked
        return result
    }

    func revokeSecurityGroupEgress(
        _ request: EC2.RevokeSecurityGroupEgressRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.RevokeSecurityGroupEgressResult {
        let group = try await groupId(request.groupId, nil, context)
        let flat = FlatPermission(
            ipProtocol: request.ipProtocol, from: request.fromPort, to: request.toPort, prefix: request.cidrIp,
            groupName: request.sourceSecurityGroupName, groupOwner: request.sourceSecurityGroupOwnerId)
        let gone = try await revoke(request.ipPermissions, flat, request.securityGroupRuleIds, isEgress: true, on: group, context)
        var result = EC2.RevokeSecurityGroupEgressResult()
        result.return = true
        result.unknownIpPermissions = gone.unknown
        result.revokedSecurityGroupRules = gone.revoked
        return result
    }

    private func revoke(
        _ given: [EC2.IpPermission]?, _ flat: FlatPermission, _ ids: [String]?, isEgress: Bool, on group: ID<Group>,
        _ context: EC2Call
    ) async throws(Fault) -> (revoked: [EC2.RevokedSecurityGroupRule], unknown: [EC2.IpPermission]?) {
        let rules: [ID<Rule>] = try AWSID.parse(all: ids)
        let permissions = rules.isEmpty ? try await permissions(given, flat, context).map(\.permission) : []
        let gone = try await networks.revoke(permissions, ids: rules, isEgress: isEgress, on: group, by: context.call)
        return (
            gone.revoked.map(revokedRule),
            gone.unknown.isEmpty ? nil : gone.unknown.map { PermissionWords.shown($0, context.accountNumber) }
        )
    }

    /// The permissions of a request, in either of its forms.
    private func permissions(
        _ given: [EC2.IpPermission]?, _ flat: FlatPermission, _ context: EC2Call
    ) async throws(Fault) -> [(permission: Permission, description: String)] {
        var given = given ?? []
        if flat.isGiven {
            guard given.isEmpty else {
                throw Fault(
                    .conflictingParameters, "The parameter ipPermissions cannot be used with the parameter ipProtocol")
            }
            given = [flat.permission]
        }
        guard !given.isEmpty else { throw Fault(.missingParameter, "The request must contain the parameter ipPermissions") }
        // A peer may be named instead of numbered, in the default network.
        for (place, permission) in given.enumerated() {
            for (pairPlace, pair) in (permission.userIdGroupPairs ?? []).enumerated() where (pair.groupId ?? "").isEmpty {
                let id = try await groupId(nil, pair.groupName, context)
                given[place].userIdGroupPairs?[pairPlace].groupId = id.shown
            }
        }
        return try PermissionWords.read(given, account: context.accountNumber)
    }

    func modifySecurityGroupRules(
        _ request: EC2.ModifySecurityGroupRulesRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.ModifySecurityGroupRulesResult {
        let group: ID<Group> = try AWSID.parse(request.groupId ?? "")
        let changes = try (request.securityGroupRules ?? []).map { update throws(Fault) in
            let id: ID<Rule> = try AWSID.parse(update.securityGroupRuleId ?? "")
            guard let rule = update.securityGroupRule else {
                throw Fault(.missingParameter, "The request must contain the parameter SecurityGroupRule")
            }
            return (
                rule: id, permission: try PermissionWords.read(rule), description: try PermissionWords.description(rule.description)
            )
        }
        guard !changes.isEmpty else { throw Fault(.missingParameter, "The request must contain the parameter SecurityGroupRule") }
        try await networks.modify(changes, on: group, by: context.call)
        var result = EC2.ModifySecurityGroupRulesResult()
        result.return = true
        return result
    }

    func updateSecurityGroupRuleDescriptionsIngress(
        _ request: EC2.UpdateSecurityGroupRuleDescriptionsIngressRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.UpdateSecurityGroupRuleDescriptionsIngressResult {
        try await describe(
            request.securityGroupRuleDescriptions, request.ipPermissions, isEgress: false,
            on: groupId(request.groupId, request.groupName, context), context)
        var result = EC2.UpdateSecurityGroupRuleDescriptionsIngressResult()
        result.return = true
        return result
    }

    func updateSecurityGroupRuleDescriptionsEgress(
        _ request: EC2.UpdateSecurityGroupRuleDescriptionsEgressRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.UpdateSecurityGroupRuleDescriptionsEgressResult {
        try await describe(
            request.securityGroupRuleDescriptions, request.ipPermissions, isEgress: true,
            on: groupId(request.groupId, request.groupName, context), context)
        var result = EC2.UpdateSecurityGroupRuleDescriptionsEgressResult()
        result.return = true
        return result
    }

    private func describe(
        _ named: [EC2.SecurityGroupRuleDescription]?, _ given: [EC2.IpPermission]?, isEgress: Bool, on group: ID<Group>,
        _ context: EC2Call
    ) async throws(Fault) {
        let named = try (named ?? []).map { given throws(Fault) in
            (
                rule: try AWSID.parse(given.securityGroupRuleId ?? "", Rule.self),
                description: try PermissionWords.description(given.description)
            )
        }
        let permitted = named.isEmpty ? try await permissions(given, FlatPermission(), context) : []
        try await networks.describe(named, permitted, isEgress: isEgress, on: group, by: context.call)
    }

    func describeSecurityGroupRules(
        _ request: EC2.DescribeSecurityGroupRulesRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeSecurityGroupRulesResult {
        let ids: [ID<Rule>] = try AWSID.parse(all: request.securityGroupRuleIds)
        let filter = try RowFilter(request.filters, EC2Face.ruleFilters)
        let paging = try Paging(
            max: request.maxResults, token: request.nextToken, hasIds: !ids.isEmpty, idsName: "securityGroupRuleIds", context)
        let groups = filter.exact("group-id").map { texts in texts.compactMap { text in try? AWSID.parse(text, Group.self) } }
        let page = try await paging.collect(place: { $0.rule.id.hex }, passes: filter.passes) { after, limit throws(Fault) in
            let rules: [(rule: Rule, tags: [Tag])]
            if !ids.isEmpty || groups != nil {
                guard after == nil else { return [] }
                rules =
                    ids.isEmpty
                    ? try await networks.rules(ofGroups: groups ?? [], by: context.call)
                    : try await networks.rules(ids, after: .min, limit: limit, by: context.call)
            } else {
                rules = try await networks.rules([], after: Paging.after(after), limit: limit, by: context.call)
            }
            return rules.map { RuleView(rule: $0.rule, tags: $0.tags) }
        }
        var result = EC2.DescribeSecurityGroupRulesResult()
        result.securityGroupRules = page.rows.map { view in
            var shown = rule(view.rule, context.accountNumber)
            shown.tags = Wire.tags(view.tags)
            return shown
        }
        result.nextToken = page.next
        return result
    }

    private func rule(_ rule: Rule, _ owner: String) -> EC2.SecurityGroupRule {
        var shown = EC2.SecurityGroupRule()
        shown.securityGroupRuleId = rule.id.shown
        shown.securityGroupRuleArn = "arn:aws:ec2:\(region):\(owner):security-group-rule/\(rule.id.shown)"
        shown.groupId = rule.group.shown
        shown.groupOwnerId = owner
        shown.isEgress = rule.isEgress
        shown.ipProtocol = PermissionWords.name(rule.protocolNumber)
        shown.fromPort = Int(rule.fromPort)
        shown.toPort = Int(rule.toPort)
        shown.cidrIpv4 = rule.prefix?.description
        shown.referencedGroupInfo = rule.peer.map { peer in
            var group = EC2.ReferencedSecurityGroup()
            group.groupId = peer.shown
            group.userId = owner
            return group
        }
        shown.description = rule.description.isEmpty ? nil : rule.description
        return shown
    }

    private func revokedRule(_ rule: Rule) -> EC2.RevokedSecurityGroupRule {
        var shown = EC2.RevokedSecurityGroupRule()
        shown.securityGroupRuleId = rule.id.shown
        shown.groupId = rule.group.shown
        shown.isEgress = rule.isEgress
        shown.ipProtocol = PermissionWords.name(rule.protocolNumber)
        shown.fromPort = Int(rule.fromPort)
        shown.toPort = Int(rule.toPort)
        shown.cidrIpv4 = rule.prefix?.description
        shown.referencedGroupId = rule.peer?.shown
        shown.description = rule.description.isEmpty ? nil : rule.description
        return shown
    }

    private static let ruleFilters = FilterTable<RuleView>(
        [
            "group-id": { [$0.rule.group.shown] },
            "security-group-rule-id": { [$0.rule.id.shown] },
        ], tags: { $0.tags })
}

/// A rule with its tags.
struct RuleView: Sendable {
    var rule: Rule
    var tags: [Tag]
}
