//  Volumes: listed.

import EC2Model
import Model
import Store
import Volumes

extension EC2Face {
    func describeVolumes(_ request: EC2.DescribeVolumesRequest, _ context: EC2Call) async throws(Fault) -> EC2.DescribeVolumesResult
    {
        let ids: [ID<Volume>] = try AWSID.parse(all: request.volumeIds)
        let filter = try RowFilter(request.filters, EC2Face.volumeFilters)
        let paging = try Paging(
            max: request.maxResults, token: request.nextToken, hasIds: !ids.isEmpty, idsName: "volumeSet", context)
        let page = try await paging.collect(place: { $0.volume.id.hex }, passes: filter.passes) { after, limit throws(Fault) in
            if !ids.isEmpty {
                return try await after == nil ? volumes.volumes(ids, after: .min, limit: limit, by: context.call) : []
            }
            return try await volumes.volumes([], after: Paging.after(after), limit: limit, by: context.call)
        }
        var result = EC2.DescribeVolumesResult()
        result.volumes = page.rows.map { volume($0, context) }
        result.nextToken = page.next
        return result
    }

    private func volume(_ view: VolumeView, _ context: EC2Call) -> EC2.Volume {
        var shown = EC2.Volume()
        shown.volumeId = view.volume.id.shown
        shown.ownerId = context.accountNumber
        shown.volumeArn = "arn:aws:ec2:\(region):\(context.accountNumber):volume/\(view.volume.id.shown)"
        shown.size = Int(view.volume.size.gibibytesRoundedUp)
        shown.snapshotId = ""
        shown.availabilityZone = view.zone.name
        shown.availabilityZoneId = EC2Face.zoneId(view.zone)
        shown.state = VolumeWords.state(view)
        shown.createTime = view.volume.created
        shown.encrypted = false
        shown.multiAttachEnabled = false
        shown.volumeType = view.volume.type
        shown.iops = VolumeWords.operationsPerSecond(view.volume)
        shown.throughput = view.volume.type == "gp3" ? 125 : nil
        shown.tags = Wire.tags(view.tags)
        shown.attachments =
            view.attachment.map { attachment in
                var shown = EC2.VolumeAttachment()
                shown.volumeId = attachment.volume.shown
                shown.instanceId = attachment.instance.shown
                shown.device = attachment.device
                shown.state = VolumeWords.attachment(view)
                shown.attachTime = attachment.created
                shown.deleteOnTermination = attachment.deleteOnTermination
                return [shown]
            } ?? []
        return shown
    }

    private static let volumeFilters = FilterTable<VolumeView>(
        [
            "attachment.attach-time": { view in view.attachment.map { [Wire.time($0.created)] } ?? [] },
            "attachment.delete-on-termination": { view in view.attachment.map { [Wire.word($0.deleteOnTermination)] } ?? [] },
            "attachment.device": { view in view.attachment.map { [$0.device] } ?? [] },
            "attachment.instance-id": { view in view.attachment.map { [$0.instance.shown] } ?? [] },
            "attachment.status": { view in view.attachment == nil ? [] : [VolumeWords.attachment(view)] },
            "availability-zone": { [$0.zone.name] },
            "availability-zone-id": { [EC2Face.zoneId($0.zone)] },
            "create-time": { [Wire.time($0.volume.created)] },
            "encrypted": { _ in ["false"] },
            "fast-restored": { _ in ["false"] },
            "multi-attach-enabled": { _ in ["false"] },
            "size": { [String($0.volume.size.gibibytesRoundedUp)] },
            "snapshot-id": { _ in [""] },
            "status": { [VolumeWords.state($0)] },
            "volume-id": { [$0.volume.id.shown] },
            "volume-type": { [$0.volume.type] },
        ], tags: { $0.tags })
}

/// EC2's words for where a volume is in its life.
enum VolumeWords {
    static func state(_ view: VolumeView) -> String {
        if view.volume.desired == .absent { return "deleting" }
        switch view.holding?.observed {
        case .failed: return "error"
        case .ready: return view.attachment == nil ? "available" : "in-use"
        // A machine's disk counts as in use while it is made, as EC2's does.
        default: return view.attachment == nil ? "creating" : "in-use"
        }
    }

    static func attachment(_ view: VolumeView) -> String {
        if view.volume.desired == .absent { return "detaching" }
        return view.holding?.observed == .ready ? "attached" : "attaching"
    }

    /// What AWS shows for the type and size ("Amazon EBS volume types"); nil where it shows none.
    static func operationsPerSecond(_ volume: Volume) -> Int? {
        switch volume.type {
        case "gp3": 3000
        case "gp2": Int(min(16_000, max(100, 3 * volume.size.gibibytesRoundedUp)))
        default: nil
        }
    }
}
