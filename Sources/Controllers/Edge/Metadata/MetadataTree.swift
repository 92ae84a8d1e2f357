//  The tree that a guest sees at 169.254.169.254, and how AWS lists it: what cloud-init, the SDKs
//  and Kubernetes read. Pure.

import FoundationEssentials
import Model

/// A part of the tree.
indirect enum MetadataNode: Sendable, Equatable {
    case leaf([UInt8])
    case folder([String: MetadataNode])
    /// Ssh keys: listed as `0=name`, read as folders `0`, `1`, …
    case keys([EdgeKey])
    /// The first levels, which AWS lists in its own order and without a slash behind folders.
    case plain([(name: String, node: MetadataNode)])

    static func text(_ text: String) -> MetadataNode { .leaf(Array(text.utf8)) }
    static func lines(_ lines: [String]) -> MetadataNode { .text(lines.joined(separator: "\n")) }

    /// The node at a path of non-empty parts.
    func node(at path: ArraySlice<String>) -> MetadataNode? {
        guard let first = path.first else { return self }
        let next: MetadataNode?
        switch self {
        case .leaf: next = nil
        case .folder(let children): next = children[first]
        case .plain(let children): next = children.first { $0.name == first }?.node
        case .keys(let keys):
            let number = Int(first).flatMap { keys.indices.contains($0) && String($0) == first ? $0 : nil }
            next = number.map { .folder(["openssh-key": .text(keys[$0].material.trimmedEnd + "\n")]) }
        }
        return next?.node(at: path.dropFirst())
    }

    /// What a GET of this node answers: a leaf's bytes, or a folder's list.
    var content: [UInt8] {
        switch self {
        case .leaf(let bytes): return bytes
        case .plain(let children): return Array(children.map(\.name).joined(separator: "\n").utf8)
        case .keys(let keys):
            return Array(keys.enumerated().map { "\($0.offset)=\($0.element.name)" }.joined(separator: "\n").utf8)
        case .folder(let children):
            let names = children.sorted { $0.key < $1.key }.map { $0.value.isLeaf ? $0.key : $0.key + "/" }
            return Array(names.joined(separator: "\n").utf8)
        }
    }

    private var isLeaf: Bool {
        if case .leaf = self { true } else { false }
    }

    static func == (left: MetadataNode, right: MetadataNode) -> Bool { left.content == right.content }
}

extension String {
    fileprivate var trimmedEnd: String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text = text.dropLast() }
        return String(text)
    }
}

/// Builds the tree of one guest.
struct MetadataTree {
    let guest: EdgeGuest
    /// The domain's subnets, by which interfaces tell their subnet's range.
    let domain: DomainTable
    let settings: EdgeSettings

    /// The versions that AWS answers to; all show the newest tree.
    static let versions = [
        "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01", "2009-04-04",
        "2011-01-01", "2011-05-01", "2012-01-12", "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30",
        "2016-09-02", "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23",
        "2021-07-15", "2022-09-24", "2024-04-11", "latest",
    ]

    /// The whole: versions, and each version's three parts.
    var root: MetadataNode {
        let version = self.version
        return .plain(MetadataTree.versions.map { (name: $0, node: version) })
    }

    private var version: MetadataNode {
        var parts: [(name: String, node: MetadataNode)] = [
            ("dynamic", .folder(["instance-identity": .folder(["document": .text(IdentityDocument(self).json)])])),
            ("meta-data", .folder(metadata)),
        ]
        if let userData = guest.userData { parts.append(("user-data", .leaf(userData.bytes))) }
        return .plain(parts)
    }

    private var facts: EdgeMetadata { guest.metadata }
    var primary: EdgePort? { guest.ports.first }

    private func privateName(_ port: EdgePort) -> String? {
        guard let entry = domain.entry(mac: port.mac) else { return nil }
        return "\(entry.hostName).\(entry.subnet.domainName.isEmpty ? settings.privateZone : entry.subnet.domainName)"
    }

    private var metadata: [String: MetadataNode] {
        var tree: [String: MetadataNode] = [
            "ami-id": .text(facts.imageId),
            "ami-launch-index": .text(String(facts.launchIndex)),
            "ami-manifest-path": .text("(unknown)"),
            "block-device-mapping": .folder(facts.blockDevices.mapValues { .text($0) }),
            "events": .folder([
                "maintenance": .folder(["history": .text("[]"), "scheduled": .text("[]")]),
                "recommendations": .folder([:]),
            ]),
            "instance-action": .text("none"),
            "instance-id": .text(guest.id),
            "instance-life-cycle": .text(facts.lifeCycle),
            "instance-type": .text(facts.instanceType),
            "metrics": .folder(["vhostmd": .text("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")]),
            "network": .folder(["interfaces": .folder(["macs": .folder(interfaces)])]),
            "placement": .folder(placement),
            "profile": .text("default-hvm"),
            "reservation-id": .text(facts.reservationId),
            "services": .folder(["domain": .text(settings.servicesDomain), "partition": .text(settings.partition)]),
            "system": .text("nitro"),
        ]
        tree["kernel-id"] = facts.kernelId.map { .text($0) }
        tree["ramdisk-id"] = facts.ramdiskId.map { .text($0) }
        if !facts.productCodes.isEmpty { tree["product-codes"] = .lines(facts.productCodes) }
        if !guest.keys.isEmpty { tree["public-keys"] = .keys(guest.keys) }
        if let profile = facts.profile { tree["iam"] = .folder(iam(profile)) }
        if guest.options.tagsInMetadata, !facts.tags.isEmpty {
            tree["tags"] = .folder(["instance": .folder(facts.tags.mapValues { .text($0) })])
        }
        if let primary { tree.merge(network(primary)) { _, new in new } }
        return tree
    }

    /// The leaves about the primary interface at the tree's top.
    private func network(_ port: EdgePort) -> [String: MetadataNode] {
        var tree: [String: MetadataNode] = [
            "mac": .text(port.mac.description),
            "security-groups": .lines(port.groups.map(\.name)),
        ]
        tree["local-ipv4"] = port.addresses.first.map { .text($0.description) }
        let name = privateName(port)
        tree["hostname"] = name.map { .text($0) }
        tree["local-hostname"] = name.map { .text($0) }
        if let publicAddress = port.publicAddress {
            tree["public-ipv4"] = .text(publicAddress.description)
            // Empty where the cloud gives no public names, as AWS answers for a VPC without them.
            tree["public-hostname"] = .text(port.publicHostName ?? "")
        }
        return tree
    }

    private var interfaces: [String: MetadataNode] {
        Dictionary(guest.ports.map { ($0.mac.description, .folder(interface($0))) }, uniquingKeysWith: { first, _ in first })
    }

    private func interface(_ port: EdgePort) -> [String: MetadataNode] {
        var tree: [String: MetadataNode] = [
            "device-number": .text(String(port.deviceNumber)),
            "interface-id": .text(port.id),
            "local-ipv4s": .lines(port.addresses.map(\.description)),
            "mac": .text(port.mac.description),
            "owner-id": .text(port.ownerId),
            "security-group-ids": .lines(port.groups.map(\.id)),
            "security-groups": .lines(port.groups.map(\.name)),
            "subnet-id": .text(port.subnetId),
            "subnet-ipv4-cidr-block": .text(port.prefix.description),
            "vpc-id": .text(port.vpcId),
            "vpc-ipv4-cidr-blocks": .lines(port.vpcPrefixes.map(\.description)),
        ]
        tree["vpc-ipv4-cidr-block"] = port.vpcPrefixes.first.map { .text($0.description) }
        tree["local-hostname"] = privateName(port).map { .text($0) }
        if let publicAddress = port.publicAddress, let target = port.publicAddressTarget ?? port.addresses.first {
            tree["public-ipv4s"] = .text(publicAddress.description)
            tree["public-hostname"] = .text(port.publicHostName ?? "")
            tree["ipv4-associations"] = .folder([publicAddress.description: .text(target.description)])
        }
        return tree
    }

    private var placement: [String: MetadataNode] {
        var tree: [String: MetadataNode] = [
            "availability-zone": .text(facts.availabilityZone), "region": .text(settings.region),
        ]
        tree["availability-zone-id"] = facts.availabilityZoneId.map { .text($0) }
        tree["group-name"] = facts.placementGroup.map { .text($0) }
        return tree
    }

    private func iam(_ profile: EdgeProfile) -> [String: MetadataNode] {
        let info = [
            ("Code", "Success"), ("LastUpdated", isoSeconds(facts.launchTime)), ("InstanceProfileArn", profile.arn),
            ("InstanceProfileId", profile.id),
        ]
        var credentials: [String: MetadataNode] = [:]
        credentials[profile.role] = profile.credentials.map { .leaf($0.bytes) }
        return ["info": .text(json(info.map { ($0.0, .some($0.1)) })), "security-credentials": .folder(credentials)]
    }
}

/// `dynamic/instance-identity/document`, with every field that AWS's has.
struct IdentityDocument {
    let json: String

    init(_ tree: MetadataTree) {
        let facts = tree.guest.metadata
        json = Edge.json([
            ("accountId", facts.accountId), ("architecture", facts.architecture), ("availabilityZone", facts.availabilityZone),
            ("billingProducts", nil), ("devpayProductCodes", nil), ("marketplaceProductCodes", nil), ("imageId", facts.imageId),
            ("instanceId", tree.guest.id), ("instanceType", facts.instanceType), ("kernelId", facts.kernelId),
            ("pendingTime", isoSeconds(facts.launchTime)), ("privateIp", tree.primary?.addresses.first?.description),
            ("ramdiskId", facts.ramdiskId), ("region", tree.settings.region), ("version", "2017-09-30"),
        ])
    }
}

/// A flat JSON object in the given order, laid out as AWS does; nil is null.
private func json(_ fields: [(String, String?)]) -> String {
    let lines = fields.map { name, value in "  \(quoted(name)) : \(value.map { quoted($0) } ?? "null")" }
    return "{\n" + lines.joined(separator: ",\n") + "\n}"
}

private func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": quoted += "\\" + String(scalar)
        case _ where scalar.value < 0x20: quoted += "\\u00" + hexDigits(CollectionOfOne(UInt8(truncatingIfNeeded: scalar.value)))
        default: quoted.unicodeScalars.append(scalar)
        }
    }
    return quoted + "\""
}

/// `2026-01-31T12:00:00Z`.
private func isoSeconds(_ instant: Instant) -> String {
    Date(timeIntervalSince1970: Double(instant.microseconds / 1_000_000)).formatted(.iso8601)
}
