//  VPCs and subnets: listed.

import Authority
import EC2Model
import Model
import Networks
import Store

extension EC2Face {
    func describeVpcs(_ request: EC2.DescribeVpcsRequest, _ context: EC2Call) async throws(Fault) -> EC2.DescribeVpcsResult {
        let ids: [ID<Router>] = try AWSID.parse(all: request.vpcIds)
        let owner = context.accountNumber
        let filter = try RowFilter(request.filters, EC2Face.routerFilters(owner: owner))
        let paging = try Paging(max: request.maxResults, token: request.nextToken, hasIds: !ids.isEmpty, idsName: "vpcSet", context)
        let all = try await networks.routers(by: context.call).map { RouterView(router: $0.router, tags: $0.tags) }
        let named = try Chosen.named(ids, among: all, by: \.router.id)
        let page = try await paging.collect(named, place: { $0.router.id.hex }, passes: filter.passes)
        var result = EC2.DescribeVpcsResult()
        result.vpcs = page.rows.map { vpc($0, owner) }
        result.nextToken = page.next
        return result
    }

    private func vpc(_ view: RouterView, _ owner: String) -> EC2.Vpc {
        var block = EC2.VpcCidrBlockAssociation()
        block.associationId = RouterWords.associationId(view.router)
        block.cidrBlock = view.router.prefix.description
        var state = EC2.VpcCidrBlockState()
        state.state = "associated"
        block.cidrBlockState = state
        var shown = EC2.Vpc()
        shown.vpcId = view.router.id.shown
        shown.ownerId = owner
        shown.state = "available"
        shown.cidrBlock = view.router.prefix.description
        shown.cidrBlockAssociationSet = [block]
        shown.ipv6CidrBlockAssociationSet = []
        shown.dhcpOptionsId = RouterWords.dhcpOptionsId(view.router)
        shown.instanceTenancy = "default"
        shown.isDefault = view.router.isDefault
        shown.tags = Wire.tags(view.tags)
        return shown
    }

    func describeVpcAttribute(
        _ request: EC2.DescribeVpcAttributeRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeVpcAttributeResult {
        let router = try await networks.router(AWSID.parse(request.vpcId ?? ""), for: .describeAttribute, by: context.call)
        var result = EC2.DescribeVpcAttributeResult()
        result.vpcId = router.id.shown
        switch request.attribute {
        // Every network here has names for its machines.
        case "enableDnsSupport": result.enableDnsSupport = .init(true)
        case "enableDnsHostnames": result.enableDnsHostnames = .init(true)
        case "enableNetworkAddressUsageMetrics": result.enableNetworkAddressUsageMetrics = .init(false)
        default: throw Fault(.invalidParameter, "Value (\(request.attribute ?? "")) for parameter attribute is invalid.")
        }
        return result
    }

    func describeSubnets(_ request: EC2.DescribeSubnetsRequest, _ context: EC2Call) async throws(Fault) -> EC2.DescribeSubnetsResult
    {
        let ids: [ID<Subnet>] = try AWSID.parse(all: request.subnetIds)
        let owner = context.accountNumber
        let filter = try RowFilter(request.filters, EC2Face.subnetFilters(region: region, owner: owner))
        let paging = try Paging(
            max: request.maxResults, token: request.nextToken, hasIds: !ids.isEmpty, idsName: "subnetSet", context)
        let named = try Chosen.named(ids, among: await networks.subnets(by: context.call), by: \.subnet.id)
        let page = try await paging.collect(named, place: { $0.subnet.id.hex }, passes: filter.passes)
        var result = EC2.DescribeSubnetsResult()
        result.subnets = page.rows.map { subnet($0, owner) }
        result.nextToken = page.next
        return result
    }

    private func subnet(_ view: NetworksService.SubnetView, _ owner: String) -> EC2.Subnet {
        var shown = EC2.Subnet()
        shown.subnetId = view.subnet.id.shown
        shown.subnetArn = SubnetWords.name(view.subnet, region, owner)
        shown.ownerId = owner
        shown.vpcId = view.subnet.router.shown
        shown.state = "available"
        shown.cidrBlock = view.subnet.prefix.description
        shown.availableIpAddressCount = view.freeAddresses
        shown.availabilityZone = view.zone.name
        shown.availabilityZoneId = EC2Face.zoneId(view.zone)
        shown.defaultForAz = view.subnet.isDefault
        shown.mapPublicIpOnLaunch = view.subnet.mapPublicAddress
        shown.mapCustomerOwnedIpOnLaunch = false
        shown.assignIpv6AddressOnCreation = false
        shown.ipv6CidrBlockAssociationSet = []
        shown.enableDns64 = false
        shown.ipv6Native = false
        var names = EC2.PrivateDnsNameOptionsOnLaunch()
        names.hostnameType = "ip-name"
        names.enableResourceNameDnsARecord = false
        names.enableResourceNameDnsAAAARecord = false
        shown.privateDnsNameOptionsOnLaunch = names
        shown.tags = Wire.tags(view.tags)
        return shown
    }

    private static func routerFilters(owner: String) -> FilterTable<RouterView> {
        FilterTable(
            [
                "cidr": { [$0.router.prefix.description] },
                "cidr-block-association.association-id": { [RouterWords.associationId($0.router)] },
                "cidr-block-association.cidr-block": { [$0.router.prefix.description] },
                "cidr-block-association.state": { _ in ["associated"] },
                "dhcp-options-id": { [RouterWords.dhcpOptionsId($0.router)] },
                "ipv6-cidr-block-association.association-id": { _ in [] },
                "ipv6-cidr-block-association.ipv6-cidr-block": { _ in [] },
                "ipv6-cidr-block-association.ipv6-pool": { _ in [] },
                "ipv6-cidr-block-association.state": { _ in [] },
                "is-default": { [Wire.word($0.router.isDefault)] },
                "isDefault": { [Wire.word($0.router.isDefault)] },
                "owner-id": { _ in [owner] },
                "state": { _ in ["available"] },
                "vpc-id": { [$0.router.id.shown] },
            ], tags: { $0.tags })
    }

    private static func subnetFilters(region: String, owner: String) -> FilterTable<NetworksService.SubnetView> {
        let zone: @Sendable (NetworksService.SubnetView) -> [String] = { [$0.zone.name] }
        let zoneId: @Sendable (NetworksService.SubnetView) -> [String] = { [EC2Face.zoneId($0.zone)] }
        let prefix: @Sendable (NetworksService.SubnetView) -> [String] = { [$0.subnet.prefix.description] }
        let isDefault: @Sendable (NetworksService.SubnetView) -> [String] = { [Wire.word($0.subnet.isDefault)] }
        return FilterTable(
            [
                "availability-zone": zone, "availabilityZone": zone,
                "availability-zone-id": zoneId, "availabilityZoneId": zoneId,
                "available-ip-address-count": { [String($0.freeAddresses)] },
                "cidr": prefix, "cidr-block": prefix, "cidrBlock": prefix,
                "customer-owned-ipv4-pool": { _ in [] },
                "default-for-az": isDefault, "defaultForAz": isDefault,
                "enable-dns64": { _ in ["false"] },
                "ipv6-cidr-block-association.association-id": { _ in [] },
                "ipv6-cidr-block-association.ipv6-cidr-block": { _ in [] },
                "ipv6-cidr-block-association.state": { _ in [] },
                "ipv6-native": { _ in ["false"] },
                "map-customer-owned-ip-on-launch": { _ in ["false"] },
                "map-public-ip-on-launch": { [Wire.word($0.subnet.mapPublicAddress)] },
                "outpost-arn": { _ in [] },
                "owner-id": { _ in [owner] },
                "private-dns-name-options-on-launch.hostname-type": { _ in ["ip-name"] },
                "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": { _ in ["false"] },
                "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": { _ in ["false"] },
                "state": { _ in ["available"] },
                "subnet-arn": { [SubnetWords.name($0.subnet, region, owner)] },
                "subnet-id": { [$0.subnet.id.shown] },
                "vpc-id": { [$0.subnet.router.shown] },
            ], tags: { $0.tags })
    }
}

/// A VPC with its tags.
struct RouterView: Sendable {
    var router: Router
    var tags: [Tag]
}

/// EC2's ids for what belongs to a VPC.
enum RouterWords {
    static func associationId(_ router: Router) -> String { Wire.derived("vpc-cidr-assoc", router.id.hex) }
    static func dhcpOptionsId(_ router: Router) -> String { Wire.derived("dopt", router.domain.hex) }
}

enum SubnetWords {
    static func name(_ subnet: Subnet, _ region: String, _ owner: String) -> String {
        "arn:aws:ec2:\(region):\(owner):subnet/\(subnet.id.shown)"
    }
}

/// The named rows of a list that a service gives whole.
enum Chosen {
    /// Throws `.notFound` about all ids that no row has.
    static func named<Row, Thing: Owned>(
        _ ids: [ID<Thing>], among rows: [Row], by id: (Row) -> ID<Thing>
    ) throws(Fault) -> [Row] {
        guard !ids.isEmpty else { return rows }
        let found = rows.filter { ids.contains(id($0)) }
        let known = Set(found.map(id))
        let missing = ids.filter { !known.contains($0) }
        guard missing.isEmpty else { throw Fault(missing: missing.map(\.erased), kind: Thing.kind) }
        return found
    }
}
