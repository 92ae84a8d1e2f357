//  What RunInstances may ask of AWS and not of this cloud. A value that asks for nothing more than
//  what every machine here has is taken; anything else is refused, never ignored.

import EC2Model
import Model

extension LaunchTranslation {
    /// Throws `.notSupported` with the name of the first such parameter.
    func refuseUnbuilt() throws(Fault) {
        let placement = request.placement
        let asked: [(name: String, isAsked: Bool)] = [
            ("LaunchTemplate", request.launchTemplate != nil),
            ("InstanceMarketOptions", request.instanceMarketOptions != nil),
            ("IamInstanceProfile", request.iamInstanceProfile != nil),
            ("Ipv6Address", !(request.ipv6Addresses ?? []).isEmpty),
            ("Ipv6AddressCount", (request.ipv6AddressCount ?? 0) > 0),
            ("EnablePrimaryIpv6", request.enablePrimaryIpv6 == true),
            ("ElasticGpuSpecification", !(request.elasticGpuSpecification ?? []).isEmpty),
            ("ElasticInferenceAccelerator", !(request.elasticInferenceAccelerators ?? []).isEmpty),
            ("CpuOptions", request.cpuOptions != nil),
            (
                "CapacityReservationSpecification",
                request.capacityReservationSpecification?.capacityReservationTarget != nil
                    || !["open", "none", nil].contains(request.capacityReservationSpecification?.capacityReservationPreference)
            ),
            ("HibernationOptions", request.hibernationOptions?.configured == true),
            ("LicenseSpecification", !(request.licenseSpecifications ?? []).isEmpty),
            ("EnclaveOptions", request.enclaveOptions?.enabled == true),
            (
                "PrivateDnsNameOptions",
                request.privateDnsNameOptions.map {
                    !["ip-name", nil].contains($0.hostnameType) || $0.enableResourceNameDnsARecord == true
                        || $0.enableResourceNameDnsAAAARecord == true
                } ?? false
            ),
            ("MaintenanceOptions", !["default", nil].contains(request.maintenanceOptions?.autoRecovery)),
            ("NetworkPerformanceOptions", !["default", nil].contains(request.networkPerformanceOptions?.bandwidthWeighting)),
            ("Operator", request.operator != nil),
            ("SecondaryInterface", !(request.secondaryInterfaces ?? []).isEmpty),
            ("AdditionalInfo", !(request.additionalInfo ?? "").isEmpty),
            ("CreditSpecification", isUnusualCredit),
            ("Placement.Tenancy", !["default", nil].contains(placement?.tenancy)),
            ("Placement.GroupName", !(placement?.groupName ?? "").isEmpty || placement?.groupId != nil),
            ("Placement.HostId", placement?.hostId != nil || placement?.hostResourceGroupArn != nil),
            ("Placement.Affinity", !["default", nil].contains(placement?.affinity)),
            ("Placement.PartitionNumber", placement?.partitionNumber != nil),
            ("Placement.AvailabilityZoneId", placement?.availabilityZoneId != nil),
            ("Placement.SpreadDomain", placement?.spreadDomain != nil),
        ]
        if let first = asked.first(where: \.isAsked) { throw unbuilt(first.name) }
    }

    /// Machines are never slowed for want of credits, so only what AWS would give by itself is taken.
    private var isUnusualCredit: Bool {
        guard let credits = request.creditSpecification?.cpuCredits else { return false }
        return credits != EC2Face.credits(of: request.instanceType ?? "")
    }

    func refuseUnbuilt(of interface: EC2.InstanceNetworkInterfaceSpecification) throws(Fault) {
        let asked: [(name: String, isAsked: Bool)] = [
            ("NetworkInterfaceId", interface.networkInterfaceId != nil),
            ("Ipv6AddressCount", (interface.ipv6AddressCount ?? 0) > 0),
            ("Ipv6Addresses", !(interface.ipv6Addresses ?? []).isEmpty),
            ("SecondaryPrivateIpAddressCount", (interface.secondaryPrivateIpAddressCount ?? 0) > 0),
            ("AssociateCarrierIpAddress", interface.associateCarrierIpAddress == true),
            ("InterfaceType", !["interface", nil].contains(interface.interfaceType)),
            ("NetworkCardIndex", (interface.networkCardIndex ?? 0) != 0),
            ("Ipv4Prefix", !(interface.ipv4Prefixes ?? []).isEmpty || (interface.ipv4PrefixCount ?? 0) > 0),
            ("Ipv6Prefix", !(interface.ipv6Prefixes ?? []).isEmpty || (interface.ipv6PrefixCount ?? 0) > 0),
            ("PrimaryIpv6", interface.primaryIpv6 == true),
            ("EnaSrdSpecification", interface.enaSrdSpecification?.enaSrdEnabled == true),
            ("ConnectionTrackingSpecification", interface.connectionTrackingSpecification != nil),
            ("EnaQueueCount", interface.enaQueueCount != nil),
        ]
        if let first = asked.first(where: \.isAsked) { throw unbuilt("NetworkInterface.1.\(first.name)") }
    }

    func refuseUnbuilt(of disk: EC2.EbsBlockDevice) throws(Fault) {
        let asked: [(name: String, isAsked: Bool)] = [
            ("SnapshotId", disk.snapshotId != nil),
            ("Encrypted", disk.encrypted == true),
            ("KmsKeyId", disk.kmsKeyId != nil),
            ("Iops", disk.iops.map { $0 != 3000 } ?? false),
            ("Throughput", disk.throughput.map { $0 != 125 } ?? false),
            ("OutpostArn", disk.outpostArn != nil),
            ("VolumeInitializationRate", disk.volumeInitializationRate != nil),
            ("EbsCardIndex", (disk.ebsCardIndex ?? 0) != 0),
        ]
        if let first = asked.first(where: \.isAsked) { throw unbuilt("BlockDeviceMapping.Ebs.\(first.name)") }
    }
}
