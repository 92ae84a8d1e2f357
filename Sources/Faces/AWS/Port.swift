//  Network interfaces: listed.

import EC2Model
import Model
import Networks
import Store

extension EC2Face {
    func describeNetworkInterfaces(
        _ request: EC2.DescribeNetworkInterfacesRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeNetworkInterfacesResult {
        let ids: [ID<Port>] = try AWSID.parse(all: request.networkInterfaceIds)
        let filter = try RowFilter(request.filters, EC2Face.portFilters(region: region, owner: context.accountNumber))
        let paging = try Paging(
            max: request.maxResults, token: request.nextToken, hasIds: !ids.isEmpty, idsName: "networkInterfaceIdSet", context)
        let page = try await paging.collect(place: { $0.port.id.hex }, passes: filter.passes) { after, limit throws(Fault) in
            if !ids.isEmpty {
                return try await after == nil ? networks.ports(ids, after: .min, limit: limit, by: context.call) : []
            }
            return try await networks.ports([], after: Paging.after(after), limit: limit, by: context.call)
        }
        var result = EC2.DescribeNetworkInterfacesResult()
        result.networkInterfaces = page.rows.map { interface($0, context.accountNumber) }
        result.nextToken = page.next
        return result
    }

    private func interface(_ view: PortView, _ owner: String) -> EC2.NetworkInterface {
        let port = view.port
        let name = InstanceNames.privateName(port.address, region: region)
        var shown = EC2.NetworkInterface()
        shown.networkInterfaceId = port.id.shown
        shown.ownerId = owner
        shown.status = PortWords.status(port)
        shown.description = port.description
        shown.interfaceType = "interface"
        shown.requesterManaged = false
        shown.availabilityZone = view.zone.name
        shown.availabilityZoneId = EC2Face.zoneId(view.zone)
        shown.macAddress = port.mac.description
        shown.subnetId = port.subnet.shown
        shown.vpcId = port.router.shown
        shown.groups = view.groups.map(EC2.GroupIdentifier.init)
        shown.sourceDestCheck = port.sourceCheck
        shown.ipv6Addresses = []
        shown.tagSet = Wire.tags(view.tags)
        shown.privateIpAddress = port.address.description
        shown.privateDnsName = name
        shown.association = view.address.map { association($0, owner) }
        var address = EC2.NetworkInterfacePrivateIpAddress()
        address.primary = true
        address.privateIpAddress = port.address.description
        address.privateDnsName = name
        address.association = shown.association
        shown.privateIpAddresses = [address]
        shown.attachment = port.instance.map { attachment(port, to: $0, owner) }
        return shown
    }

    private func attachment(_ port: Port, to instance: ID<Instance>, _ owner: String) -> EC2.NetworkInterfaceAttachment {
        var shown = EC2.NetworkInterfaceAttachment()
        shown.attachmentId = PortWords.attachmentId(port)
        shown.attachTime = port.created
        shown.deleteOnTermination = port.deleteOnTermination
        shown.deviceIndex = Int(port.deviceIndex)
        shown.networkCardIndex = 0
        shown.instanceId = instance.shown
        shown.instanceOwnerId = owner
        shown.status = "attached"
        return shown
    }

    private func association(_ address: Address, _ owner: String) -> EC2.NetworkInterfaceAssociation {
        var shown = EC2.NetworkInterfaceAssociation()
        shown.ipOwnerId = PortWords.owner(address, owner)
        shown.publicIp = address.address.description
        shown.publicDnsName = InstanceNames.publicName(address.address, region: region)
        return shown
    }

    private static func portFilters(region: String, owner: String) -> FilterTable<PortView> {
        let publicAddress: @Sendable (PortView) -> [String] = { view in view.address.map { [$0.address.description] } ?? [] }
        let privateName: @Sendable (PortView) -> [String] = { [InstanceNames.privateName($0.port.address, region: region)] }
        let publicName: @Sendable (PortView) -> [String] = { view in
            view.address.map { [InstanceNames.publicName($0.address, region: region)] } ?? []
        }
        let ipOwner: @Sendable (PortView) -> [String] = { view in view.address.map { [PortWords.owner($0, owner)] } ?? [] }
        /// A fact that only an attached port has.
        func attached(_ read: @escaping @Sendable (Port) -> String) -> @Sendable (PortView) -> [String] {
            { view in view.port.instance == nil ? [] : [read(view.port)] }
        }
        return FilterTable(
            [
                "addresses.association.owner-id": ipOwner,
                "addresses.association.public-ip": publicAddress,
                "addresses.primary": { _ in ["true"] },
                "addresses.private-ip-address": { [$0.port.address.description] },
                "association.allocation-id": { _ in [] },
                "association.association-id": { _ in [] },
                "association.ip-owner-id": ipOwner,
                "association.public-dns-name": publicName,
                "association.public-ip": publicAddress,
                "attachment.attach-time": attached { Wire.time($0.created) },
                "attachment.attachment-id": attached { PortWords.attachmentId($0) },
                "attachment.delete-on-termination": attached { Wire.word($0.deleteOnTermination) },
                "attachment.device-index": attached { String($0.deviceIndex) },
                "attachment.instance-id": { view in view.port.instance.map { [$0.shown] } ?? [] },
                "attachment.instance-owner-id": attached { _ in owner },
                "attachment.status": attached { _ in "attached" },
                "availability-zone": { [$0.zone.name] },
                "availability-zone-id": { [EC2Face.zoneId($0.zone)] },
                "description": { [$0.port.description] },
                "group-id": { $0.groups.map(\.id.shown) },
                "group-name": { $0.groups.map(\.name) },
                "interface-type": { _ in ["interface"] },
                "ipv6-addresses.ipv6-address": { _ in [] },
                "mac-address": { [$0.port.mac.description] },
                "network-interface-id": { [$0.port.id.shown] },
                "owner-id": { _ in [owner] },
                "private-dns-name": privateName,
                "private-ip-address": { [$0.port.address.description] },
                "requester-id": { _ in [] },
                "requester-managed": { _ in ["false"] },
                "source-dest-check": { [Wire.word($0.port.sourceCheck)] },
                "status": { [PortWords.status($0.port)] },
                "subnet-id": { [$0.port.subnet.shown] },
                "vpc-id": { [$0.port.router.shown] },
            ], tags: { $0.tags })
    }
}

/// EC2's words for ports.
enum PortWords {
    static func status(_ port: Port) -> String { port.instance == nil ? "available" : "in-use" }

    /// A port has one attachment at a time, so its id names it.
    static func attachmentId(_ port: Port) -> String { Wire.derived("eni-attach", port.id.hex) }

    /// AWS shows itself as the owner of an address that came with a launch.
    static func owner(_ address: Address, _ account: String) -> String { address.isAutomatic ? "amazon" : account }
}
