//  What DescribeInstances can be filtered by. Source: EC2 API Reference, DescribeInstances. Names of
//  features that no machine here has are known and match nothing.

import Compute
import EC2Model
import Model
import Networks
import Store

enum InstanceFilters {
    static func table(region: String) -> FilterTable<InstanceView> {
        var fields = own
        fields.merge(network(region)) { first, _ in first }
        return FilterTable(fields, tags: { $0.tags })
    }

    static func rootDevice(_ view: InstanceView) -> String {
        view.attachments.first { $0.isRoot }?.device ?? InstanceWords.rootDevice
    }

    static func diskStatus(_ view: InstanceView) -> String {
        switch view.instance.phase {
        case .launching: "attaching"
        case .terminating, .gone: "detaching"
        default: "attached"
        }
    }

    private static let own: [String: @Sendable (InstanceView) -> [String]] = [
        "affinity": { _ in [] },
        "architecture": { _ in [InstanceWords.architecture] },
        "availability-zone": { [$0.zone.name] },
        "availability-zone-id": { [EC2Face.zoneId($0.zone)] },
        "block-device-mapping.attach-time": { $0.attachments.map { Wire.time($0.created) } },
        "block-device-mapping.delete-on-termination": { $0.attachments.map { Wire.word($0.deleteOnTermination) } },
        "block-device-mapping.device-name": { $0.attachments.map(\.device) },
        "block-device-mapping.status": { $0.attachments.isEmpty ? [] : [diskStatus($0)] },
        "block-device-mapping.volume-id": { $0.attachments.map(\.volume.shown) },
        "boot-mode": { _ in [] },
        "capacity-reservation-id": { _ in [] },
        "capacity-reservation-specification.capacity-reservation-preference": { _ in ["open"] },
        "client-token": { [$0.instance.clientToken ?? ""] },
        "current-instance-boot-mode": { _ in ["legacy-bios"] },
        "ebs-optimized": { [Wire.word($0.instance.options.ebsOptimized)] },
        "ena-support": { _ in ["true"] },
        "enclave-options.enabled": { _ in ["false"] },
        "hibernation-options.configured": { _ in ["false"] },
        "host-id": { _ in [] },
        "hypervisor": { _ in [InstanceWords.hypervisor] },
        "iam-instance-profile.arn": { _ in [] },
        "iam-instance-profile.id": { _ in [] },
        "image-id": { [$0.instance.image.shown] },
        "instance-id": { [$0.instance.id.shown] },
        "instance-lifecycle": { _ in [] },
        "instance-state-code": { [String(InstanceWords.state($0.instance.phase).code)] },
        "instance-state-name": { [InstanceWords.state($0.instance.phase).name] },
        "instance-type": { [$0.instance.type] },
        "kernel-id": { view in view.instance.kernel.map { [AWSID.shown($0, .kernel)] } ?? [] },
        "key-name": { view in view.instance.keyName.map { [$0] } ?? [] },
        "launch-index": { [String($0.instance.launchIndex)] },
        "launch-time": { [Wire.time($0.instance.launched)] },
        "maintenance-options.auto-recovery": { _ in ["default"] },
        "metadata-options.http-endpoint": { [$0.instance.options.metadataEnabled ? "enabled" : "disabled"] },
        "metadata-options.http-protocol-ipv4": { _ in ["enabled"] },
        "metadata-options.http-protocol-ipv6": { _ in ["disabled"] },
        "metadata-options.http-put-response-hop-limit": { [String($0.instance.options.metadataHopLimit)] },
        "metadata-options.http-tokens": { [$0.instance.options.metadataTokensRequired ? "required" : "optional"] },
        "metadata-options.instance-metadata-tags": { [$0.instance.options.metadataTags ? "enabled" : "disabled"] },
        "monitoring-state": { [$0.instance.options.monitoring ? "enabled" : "disabled"] },
        "outpost-arn": { _ in [] },
        "owner-id": { [$0.ownerNumber] },
        "placement-group-name": { _ in [] },
        "placement-partition-number": { _ in [] },
        "platform": { _ in [] },
        "platform-details": { _ in [InstanceWords.platform] },
        "product-code": { _ in [] },
        "product-code.type": { _ in [] },
        "ramdisk-id": { view in view.instance.ramdisk.map { [AWSID.shown($0, .ramdisk)] } ?? [] },
        "reason": { [InstanceWords.transition($0.instance)] },
        "requester-id": { _ in [] },
        "reservation-id": { [AWSID.shown($0.instance.reservation)] },
        "root-device-name": { [rootDevice($0)] },
        "root-device-type": { _ in ["ebs"] },
        "spot-instance-request-id": { _ in [] },
        "state-reason-code": { view in InstanceWords.reason(view.instance).map { [$0.code] } ?? [] },
        "state-reason-message": { view in InstanceWords.reason(view.instance).map { [$0.message] } ?? [] },
        "subnet-id": { view in isOnline(view) ? view.instance.subnet.map { [$0.shown] } ?? [] : [] },
        "tenancy": { _ in ["default"] },
        "tpm-support": { _ in [] },
        "usage-operation": { _ in [InstanceWords.usage] },
        "virtualization-type": { _ in ["hvm"] },
        "vpc-id": { view in isOnline(view) ? view.instance.router.map { [$0.shown] } ?? [] : [] },
    ]

    /// A machine that is gone is in no network.
    private static func isOnline(_ view: InstanceView) -> Bool { view.instance.phase != .gone }

    private static func network(_ region: String) -> [String: @Sendable (InstanceView) -> [String]] {
        let privateNames: @Sendable (InstanceView) -> [String] = { view in
            view.ports.map { InstanceNames.privateName($0.port.address, region: region) }
        }
        let publicNames: @Sendable (InstanceView) -> [String] = { view in
            view.ports.compactMap(\.address).map { InstanceNames.publicName($0.address, region: region) }
        }
        let privateAddresses: @Sendable (InstanceView) -> [String] = { $0.ports.map(\.port.address.description) }
        let publicAddresses: @Sendable (InstanceView) -> [String] = { $0.ports.compactMap(\.address?.address.description) }
        let groupIds: @Sendable (InstanceView) -> [String] = { $0.ports.flatMap(\.groups).map(\.id.shown) }
        let groupNames: @Sendable (InstanceView) -> [String] = { $0.ports.flatMap(\.groups).map(\.name) }
        return [
            "dns-name": publicNames,
            "group-id": groupIds,
            "group-name": groupNames,
            "instance.group-id": groupIds,
            "instance.group-name": groupNames,
            "ip-address": publicAddresses,
            "ipv6-address": { _ in [] },
            "network-interface.addresses.association.allocation-id": { _ in [] },
            "network-interface.addresses.association.public-ip": publicAddresses,
            "network-interface.addresses.primary": { $0.ports.isEmpty ? [] : ["true"] },
            "network-interface.addresses.private-ip-address": privateAddresses,
            "network-interface.association.ip-owner-id": { view in
                view.ports.compactMap(\.address).map { PortWords.owner($0, view.ownerNumber) }
            },
            "network-interface.association.public-ip": publicAddresses,
            "network-interface.attachment.attach-time": { $0.ports.map { Wire.time($0.port.created) } },
            "network-interface.attachment.attachment-id": { $0.ports.map { PortWords.attachmentId($0.port) } },
            "network-interface.attachment.delete-on-termination": { $0.ports.map { Wire.word($0.port.deleteOnTermination) } },
            "network-interface.attachment.device-index": { $0.ports.map { String($0.port.deviceIndex) } },
            "network-interface.attachment.instance-id": { $0.ports.isEmpty ? [] : [$0.instance.id.shown] },
            "network-interface.attachment.instance-owner-id": { $0.ports.isEmpty ? [] : [$0.ownerNumber] },
            "network-interface.attachment.status": { $0.ports.isEmpty ? [] : ["attached"] },
            "network-interface.availability-zone": { $0.ports.map(\.zone.name) },
            "network-interface.description": { $0.ports.map(\.port.description) },
            "network-interface.group-id": groupIds,
            "network-interface.group-name": groupNames,
            "network-interface.ipv6-addresses.ipv6-address": { _ in [] },
            "network-interface.mac-address": { $0.ports.map(\.port.mac.description) },
            "network-interface.network-interface-id": { $0.ports.map(\.port.id.shown) },
            "network-interface.owner-id": { $0.ports.isEmpty ? [] : [$0.ownerNumber] },
            "network-interface.private-dns-name": privateNames,
            "network-interface.requester-id": { _ in [] },
            "network-interface.requester-managed": { $0.ports.isEmpty ? [] : ["false"] },
            "network-interface.source-dest-check": { $0.ports.map { Wire.word($0.port.sourceCheck) } },
            "network-interface.status": { $0.ports.isEmpty ? [] : ["in-use"] },
            "network-interface.subnet-id": { $0.ports.map(\.port.subnet.shown) },
            "network-interface.vpc-id": { $0.ports.map(\.port.router.shown) },
            "private-dns-name": privateNames,
            "private-ip-address": privateAddresses,
            "source-dest-check": { $0.ports.prefix(1).map { Wire.word($0.port.sourceCheck) } },
        ]
    }
}
