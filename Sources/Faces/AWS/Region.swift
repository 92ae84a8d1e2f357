//  Regions, zones and what an account is.

import Authority
import Compute
import EC2Model
import Model
import Networks
import Store

extension EC2Face {
    func describeRegions(_ request: EC2.DescribeRegionsRequest, _ context: EC2Call) async throws(Fault) -> EC2.DescribeRegionsResult
    {
        _ = try await compute.zones(for: .describeRegions, by: context.call)
        var shown = EC2.Region()
        shown.regionName = region
        shown.endpoint = endpoint
        shown.optInStatus = "opt-in-not-required"
        for name in request.regionNames ?? [] where name != region {
            throw Fault(.invalidParameter, "Invalid region name: '\(name.prefix(64))'")
        }
        let filter = try RowFilter(request.filters, EC2Face.regionFilters)
        var result = EC2.DescribeRegionsResult()
        result.regions = [shown].filter(filter.passes)
        return result
    }

    func describeAvailabilityZones(
        _ request: EC2.DescribeAvailabilityZonesRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeAvailabilityZonesResult {
        let zones = try await compute.zones(by: context.call).map(zone)
        let known = (name: zones.compactMap(\.zoneName), id: zones.compactMap(\.zoneId))
        if let name = request.zoneNames?.first(where: { !known.name.contains($0) }) {
            throw Fault(.invalidParameter, "Invalid availability zone: [\(name.prefix(64))]")
        }
        if let id = request.zoneIds?.first(where: { !known.id.contains($0) }) {
            throw Fault(.invalidParameter, "Invalid availability zone-id: [\(id.prefix(64))]")
        }
        let filter = try RowFilter(request.filters, EC2Face.zoneFilters)
        var result = EC2.DescribeAvailabilityZonesResult()
        result.availabilityZones = zones.filter { zone in
            (request.zoneNames ?? []).isEmpty || request.zoneNames?.contains(zone.zoneName ?? "") == true
        }
        .filter { zone in (request.zoneIds ?? []).isEmpty || request.zoneIds?.contains(zone.zoneId ?? "") == true }
        .filter(filter.passes)
        return result
    }

    private func zone(_ zone: Zone) -> EC2.AvailabilityZone {
        var shown = EC2.AvailabilityZone()
        shown.zoneName = zone.name
        shown.zoneId = EC2Face.zoneId(zone)
        shown.regionName = zone.region
        shown.state = "available"
        shown.optInStatus = "opt-in-not-required"
        shown.groupName = zone.region
        shown.networkBorderGroup = zone.region
        shown.zoneType = "availability-zone"
        shown.messages = []
        return shown
    }

    /// AWS's zone ids are the same in every account while names are not; here both are.
    static func zoneId(_ zone: Zone) -> String { "\(zone.name)-id" }

    func describeAccountAttributes(
        _ request: EC2.DescribeAccountAttributesRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeAccountAttributesResult {
        _ = try await compute.zones(for: .describeAccount, by: context.call)
        let wanted = request.attributeNames ?? []
        let values = [
            "supported-platforms": "VPC", "default-vpc": try await networks.defaultRouter(by: context.call)?.shown ?? "none",
        ]
        var result = EC2.DescribeAccountAttributesResult()
        result.accountAttributes = values.sorted { $0.key > $1.key }.filter { wanted.isEmpty || wanted.contains($0.key) }
            .map { name, value in
                var attribute = EC2.AccountAttribute()
                var shown = EC2.AccountAttributeValue()
                shown.attributeValue = value
                attribute.attributeName = name
                attribute.attributeValues = [shown]
                return attribute
            }
        return result
    }

    private static let regionFilters = FilterTable<EC2.Region>([
        "region-name": { [$0.regionName ?? ""] },
        "endpoint": { [$0.endpoint ?? ""] },
        "opt-in-status": { [$0.optInStatus ?? ""] },
    ])

    private static let zoneFilters = FilterTable<EC2.AvailabilityZone>([
        "group-name": { [$0.groupName ?? ""] },
        "group-long-name": { [$0.groupLongName ?? ""] },
        "message": { _ in [] },
        "opt-in-status": { [$0.optInStatus ?? ""] },
        "parent-zone-id": { _ in [] },
        "parent-zone-name": { _ in [] },
        "region-name": { [$0.regionName ?? ""] },
        "state": { [$0.state ?? ""] },
        "zone-id": { [$0.zoneId ?? ""] },
        "zone-name": { [$0.zoneName ?? ""] },
        "zone-type": { [$0.zoneType ?? ""] },
    ])
}
