//  An instance as EC2's clients read it.

import Compute
import EC2Model
import Model
import Networks
import Store

extension EC2Face {
    /// Instances by the launch that made them, a reservation for each.
    func reservations(of views: [InstanceView], _ context: EC2Call) -> [EC2.Reservation] {
        var order: [ID<Reservation>] = []
        var members: [ID<Reservation>: [InstanceView]] = [:]
        for view in views {
            if members[view.instance.reservation] == nil { order.append(view.instance.reservation) }
            members[view.instance.reservation, default: []].append(view)
        }
        return order.map { id in
            let launched = (members[id] ?? []).sorted { $0.instance.launchIndex < $1.instance.launchIndex }
            var shown = EC2.Reservation()
            shown.reservationId = AWSID.shown(id)
            shown.ownerId = launched.first?.ownerNumber
            shown.groups = []
            shown.instances = launched.map(instance)
            return shown
        }
    }

    private func instance(_ view: InstanceView) -> EC2.Instance {
        let instance = view.instance
        var shown = EC2.Instance()
        shown.instanceId = instance.id.shown
        shown.imageId = instance.image.shown
        shown.state = EC2.InstanceState(instance.phase)
        shown.instanceType = instance.type
        shown.launchTime = instance.launched
        shown.amiLaunchIndex = Int(instance.launchIndex)
        shown.keyName = instance.keyName
        shown.clientToken = instance.clientToken ?? ""
        shown.kernelId = instance.kernel.map { AWSID.shown($0, .kernel) }
        shown.ramdiskId = instance.ramdisk.map { AWSID.shown($0, .ramdisk) }
        shown.architecture = InstanceWords.architecture
        shown.hypervisor = InstanceWords.hypervisor
        shown.virtualizationType = "hvm"
        shown.rootDeviceType = "ebs"
        shown.rootDeviceName = InstanceFilters.rootDevice(view)
        shown.platformDetails = InstanceWords.platform
        shown.usageOperation = InstanceWords.usage
        shown.usageOperationUpdateTime = instance.created
        shown.productCodes = []
        shown.tags = Wire.tags(view.tags)
        shown.ebsOptimized = instance.options.ebsOptimized
        shown.enaSupport = true
        shown.stateTransitionReason = InstanceWords.transition(instance)
        shown.stateReason = InstanceWords.reason(instance).map { reason in
            var shown = EC2.StateReason()
            shown.code = reason.code
            shown.message = reason.message
            return shown
        }
        shown.placement = placement(view)
        shown.monitoring = monitoring(instance)
        shown.cpuOptions = processors(instance)
        setOptions(&shown, instance)
        setNetwork(&shown, view)
        shown.blockDeviceMappings = blockDevices(view)
        return shown
    }

    private func placement(_ view: InstanceView) -> EC2.Placement {
        var placement = EC2.Placement()
        placement.availabilityZone = view.zone.name
        placement.availabilityZoneId = EC2Face.zoneId(view.zone)
        placement.groupName = ""
        placement.tenancy = "default"
        return placement
    }

    private func monitoring(_ instance: Instance) -> EC2.Monitoring {
        var monitoring = EC2.Monitoring()
        monitoring.state = instance.options.monitoring ? "enabled" : "disabled"
        return monitoring
    }

    private func processors(_ instance: Instance) -> EC2.CpuOptions {
        var options = EC2.CpuOptions()
        options.coreCount = Int(instance.processors)
        options.threadsPerCore = 1
        return options
    }

    private func setOptions(_ shown: inout EC2.Instance, _ instance: Instance) {
        var metadata = EC2.InstanceMetadataOptionsResponse()
        metadata.state = instance.phase == .launching ? "pending" : "applied"
        metadata.httpTokens = instance.options.metadataTokensRequired ? "required" : "optional"
        metadata.httpPutResponseHopLimit = instance.options.metadataHopLimit
        metadata.httpEndpoint = instance.options.metadataEnabled ? "enabled" : "disabled"
        metadata.httpProtocolIpv6 = "disabled"
        metadata.instanceMetadataTags = instance.options.metadataTags ? "enabled" : "disabled"
        shown.metadataOptions = metadata
        var capacity = EC2.CapacityReservationSpecificationResponse()
        capacity.capacityReservationPreference = "open"
        shown.capacityReservationSpecification = capacity
        var hibernation = EC2.HibernationOptions()
        hibernation.configured = false
        shown.hibernationOptions = hibernation
        var enclave = EC2.EnclaveOptions()
        enclave.enabled = false
        shown.enclaveOptions = enclave
        var maintenance = EC2.InstanceMaintenanceOptions()
        maintenance.autoRecovery = "default"
        shown.maintenanceOptions = maintenance
        var names = EC2.PrivateDnsNameOptionsResponse()
        names.hostnameType = "ip-name"
        names.enableResourceNameDnsARecord = false
        names.enableResourceNameDnsAAAARecord = false
        shown.privateDnsNameOptions = names
        shown.currentInstanceBootMode = "legacy-bios"
    }

    /// A machine that is gone has no network any more, and shows none.
    private func setNetwork(_ shown: inout EC2.Instance, _ view: InstanceView) {
        shown.privateDnsName = ""
        shown.publicDnsName = ""
        shown.securityGroups = []
        shown.networkInterfaces = view.ports.map { interface($0, of: view) }
        guard view.instance.phase != .gone else { return }
        shown.vpcId = view.instance.router?.shown
        shown.subnetId = view.instance.subnet?.shown
        guard let port = view.ports.first else { return }
        shown.privateIpAddress = port.port.address.description
        shown.privateDnsName = InstanceNames.privateName(port.port.address, region: region)
        shown.publicIpAddress = port.address?.address.description
        shown.publicDnsName = port.address.map { InstanceNames.publicName($0.address, region: region) } ?? ""
        shown.securityGroups = port.groups.map(EC2.GroupIdentifier.init)
        shown.sourceDestCheck = port.port.sourceCheck
    }

    private func interface(_ view: PortView, of machine: InstanceView) -> EC2.InstanceNetworkInterface {
        let port = view.port
        let name = InstanceNames.privateName(port.address, region: region)
        var shown = EC2.InstanceNetworkInterface()
        shown.networkInterfaceId = port.id.shown
        shown.ownerId = machine.ownerNumber
        shown.status = "in-use"
        shown.description = port.description
        shown.interfaceType = "interface"
        shown.macAddress = port.mac.description
        shown.subnetId = port.subnet.shown
        shown.vpcId = port.router.shown
        shown.groups = view.groups.map(EC2.GroupIdentifier.init)
        shown.sourceDestCheck = port.sourceCheck
        shown.ipv6Addresses = []
        shown.privateIpAddress = port.address.description
        shown.privateDnsName = name
        shown.association = view.address.map { association($0, machine.ownerNumber) }
        var address = EC2.InstancePrivateIpAddress()
        address.primary = true
        address.privateIpAddress = port.address.description
        address.privateDnsName = name
        address.association = shown.association
        shown.privateIpAddresses = [address]
        var attachment = EC2.InstanceNetworkInterfaceAttachment()
        attachment.attachmentId = PortWords.attachmentId(port)
        attachment.attachTime = port.created
        attachment.deleteOnTermination = port.deleteOnTermination
        attachment.deviceIndex = Int(port.deviceIndex)
        attachment.networkCardIndex = 0
        attachment.status = "attached"
        shown.attachment = attachment
        return shown
    }

    private func association(_ address: Address, _ owner: String) -> EC2.InstanceNetworkInterfaceAssociation {
        var shown = EC2.InstanceNetworkInterfaceAssociation()
        shown.ipOwnerId = PortWords.owner(address, owner)
        shown.publicIp = address.address.description
        shown.publicDnsName = InstanceNames.publicName(address.address, region: region)
        return shown
    }

    func blockDevices(_ view: InstanceView) -> [EC2.InstanceBlockDeviceMapping] {
        view.attachments.map { attachment in
            var disk = EC2.EbsInstanceBlockDevice()
            disk.volumeId = attachment.volume.shown
            disk.attachTime = attachment.created
            disk.deleteOnTermination = attachment.deleteOnTermination
            disk.status = InstanceFilters.diskStatus(view)
            var shown = EC2.InstanceBlockDeviceMapping()
            shown.deviceName = attachment.device
            shown.ebs = disk
            return shown
        }
    }
}
