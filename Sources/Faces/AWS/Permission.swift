//  What a rule permits, from EC2's shapes and to them.

import EC2Model
import Model
import Networks
import Store

/// The old form of a permission: its parts beside the other parameters.
struct FlatPermission {
    var ipProtocol: String?
    var from: Int?
    var to: Int?
    var prefix: String?
    var groupName: String?
    var groupOwner: String?

    var isGiven: Bool { ipProtocol != nil || from != nil || to != nil || prefix != nil || groupName != nil }

    var permission: EC2.IpPermission {
        var permission = EC2.IpPermission()
        // A source group alone stands for all traffic of its members.
        permission.ipProtocol = ipProtocol ?? (groupName == nil ? nil : "-1")
        permission.fromPort = from
        permission.toPort = to
        permission.ipRanges = prefix.map { text in
            var range = EC2.IpRange()
            range.cidrIp = text
            return [range]
        }
        permission.userIdGroupPairs = groupName.map { name in
            var pair = EC2.UserIdGroupPair()
            pair.groupName = name
            pair.userId = groupOwner
            return [pair]
        }
        return permission
    }
}

enum PermissionWords {
    private static let numbers = ["tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "all": -1]

    /// EC2's word for a protocol.
    static func name(_ number: Int64) -> String {
        switch number {
        case 6: "tcp"
        case 17: "udp"
        case 1: "icmp"
        case 58: "icmpv6"
        default: String(number)
        }
    }

    /// Every peer of every permission is a rule of its own.
    static func read(
        _ given: [EC2.IpPermission], account: String
    ) throws(Fault) -> [(permission: Permission, description: String)] {
        var read: [(permission: Permission, description: String)] = []
        for permission in given {
            try refuseUnbuilt(!(permission.ipv6Ranges ?? []).isEmpty, !(permission.prefixListIds ?? []).isEmpty)
            let ports = try ports(permission.ipProtocol, permission.fromPort, permission.toPort)
            for range in permission.ipRanges ?? [] {
                read.append((make(ports, .prefix(try prefix(range.cidrIp))), try description(range.description)))
            }
            for pair in permission.userIdGroupPairs ?? [] {
                if let user = pair.userId, !user.isEmpty, user != account {
                    throw Fault(.notSupported, "Groups of other accounts cannot be referenced on this cloud.")
                }
                read.append((make(ports, .group(try AWSID.parse(pair.groupId ?? ""))), try description(pair.description)))
            }
        }
        guard !read.isEmpty else {
            throw Fault(.missingParameter, "The request must contain a CIDR block or a source security group")
        }
        return read
    }

    /// The single permission of ModifySecurityGroupRules.
    static func read(_ given: EC2.SecurityGroupRuleRequest) throws(Fault) -> Permission {
        try refuseUnbuilt(given.cidrIpv6 != nil, given.prefixListId != nil)
        let ports = try ports(given.ipProtocol, given.fromPort, given.toPort)
        switch (given.cidrIpv4, given.referencedGroupId) {
        case (let text?, nil): return make(ports, .prefix(try prefix(text)))
        case (nil, let group?): return make(ports, .group(try AWSID.parse(group)))
        case (nil, nil): throw Fault(.missingParameter, "The request must contain a CIDR block or a referenced security group")
        default: throw Fault(.conflictingParameters, "A rule has either a CIDR block or a referenced security group")
        }
    }

    /// A permission as EC2 shows it.
    static func shown(_ permission: Permission, _ account: String) -> EC2.IpPermission {
        var shown = EC2.IpPermission()
        shown.ipProtocol = name(permission.protocolNumber)
        if permission.protocolNumber != -1 {
            shown.fromPort = Int(permission.from)
            shown.toPort = Int(permission.to)
        }
        switch permission.peer {
        case .prefix(let prefix):
            var range = EC2.IpRange()
            range.cidrIp = prefix.description
            shown.ipRanges = [range]
        case .group(let group):
            var pair = EC2.UserIdGroupPair()
            pair.groupId = group.shown
            pair.userId = account
            shown.userIdGroupPairs = [pair]
        }
        return shown
    }

    /// A rule's description: up to 255 of EC2's characters.
    static func description(_ text: String?) throws(Fault) -> String {
        let text = text ?? ""
        guard text.utf8.count <= 255, text.unicodeScalars.allSatisfy(GroupReading.allowed.contains) else {
            throw Fault(
                .invalidParameter,
                "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: "
                    + "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*")
        }
        return text
    }

    private typealias Ports = (number: Int64, from: Int64, to: Int64)

    private static func make(_ ports: Ports, _ peer: Permission.Peer) -> Permission {
        Permission(protocolNumber: ports.number, from: ports.from, to: ports.to, peer: peer)
    }

    private static func ports(_ word: String?, _ from: Int?, _ to: Int?) throws(Fault) -> Ports {
        guard let word, !word.isEmpty else { throw Fault(.missingParameter, "The request must contain the parameter ipProtocol") }
        guard let number = numbers[word.lowercased()] ?? Int(word), (-1...255).contains(number) else {
            throw Fault(.invalidParameter, "Invalid value '\(word.prefix(64))' for IP protocol. Unknown protocol.", kind: .rule)
        }
        switch number {
        case 6, 17:
            guard let from, let to else {
                throw Fault(
                    .invalidParameter, "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
                    kind: .rule)
            }
            // All ports, as old clients say it.
            if from == -1, to == -1 { return (Int64(number), 0, 65535) }
            return (Int64(number), Int64(from), Int64(to))
        case 1, 58: return (Int64(number), Int64(from ?? -1), Int64(to ?? -1))
        // Others have no ports; what is given is left out, as EC2 does.
        default: return (Int64(number), -1, -1)
        }
    }

    private static func prefix(_ text: String?) throws(Fault) -> IPv4Prefix {
        guard let text, let prefix = IPv4Prefix(text, lenient: true) else {
            throw Fault(.invalidParameter, "CIDR block \((text ?? "").prefix(64)) is malformed", kind: .rule)
        }
        return prefix
    }

    private static func refuseUnbuilt(_ hasIPv6: Bool, _ hasLists: Bool) throws(Fault) {
        if hasIPv6 { throw Fault(.notSupported, "IPv6 ranges in rules are not supported by this cloud.") }
        if hasLists { throw Fault(.notSupported, "Prefix lists in rules are not supported by this cloud.") }
    }
}
