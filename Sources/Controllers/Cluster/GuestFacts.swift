//  What the metadata service tells a guest of itself: EC2's facts in EC2's spelling, because that
//  is what the service speaks whichever face launched the guest.

import Authority
import Database
import Edge
import FoundationEssentials
import Model
import Store

extension DocumentBuilder {
    /// A machine's facts for *edge*, as JSON of `EdgeGuest`.
    func guestFacts(_ tx: Reading, _ instance: Instance) throws(Fault) -> [UInt8] {
        let number = try tx.find(Account.table, instance.account)?.number ?? ""
        let zone = try tx.find(Zone.table, instance.zone)?.name ?? ""
        let attachments = try tx.attachments(of: instance.id)
        var devices: [String: String] = [:]
        if let root = attachments.first(where: \.isRoot)?.device {
            devices["root"] = root
            devices["ami"] = root
        }
        for (place, attachment) in attachments.filter({ !$0.isRoot }).enumerated() {
            devices["ebs\(place + 1)"] = attachment.device
        }
        let tags = try tx.tags(of: .instance, instance.id.stored)
        var guest = EdgeGuest(
            id: instance.id.shown,
            ports: try tx.ports(of: instance.id).map { port throws(Fault) in try edgePort(tx, port, number) },
            metadata: EdgeMetadata(
                accountId: number, imageId: instance.image.shown, launchIndex: Int(instance.launchIndex),
                reservationId: "r-0\(instance.reservation.hex)", instanceType: instance.type, launchTime: instance.launched,
                availabilityZone: zone, availabilityZoneId: zone, blockDevices: devices,
                tags: Dictionary(tags.map { ($0.key, $0.value) }) { first, _ in first },
                kernelId: instance.kernel.map { "aki-0\($0.hex)" }, ramdiskId: instance.ramdisk.map { "ari-0\($0.hex)" }),
            options: EdgeMetadataOptions(
                endpointEnabled: instance.options.metadataEnabled, tokensRequired: instance.options.metadataTokensRequired,
                hopLimit: instance.options.metadataHopLimit, tagsInMetadata: instance.options.metadataTags))
        if let name = instance.keyName, let pair = try tx.keyPair(named: name, of: instance.account) {
            guest.keys = [EdgeKey(name: name, material: pair.publicKey)]
        }
        if let sealed = try tx.value("SELECT sealed FROM user_data WHERE instance = $1", [instance.id.value], as: [UInt8].self) {
            guest.userData = Secret(try seal.open(sealed, belonging: "user-data/\(instance.id.hex)"))
        }
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            return Array(try encoder.encode(guest))
        } catch { throw Fault(.internalError, "A guest's facts could not be written.", because: error) }
    }

    private func edgePort(_ tx: Reading, _ port: Port, _ owner: String) throws(Fault) -> EdgePort {
        guard let subnet = try tx.find(Subnet.table, port.subnet), let router = try tx.find(Router.table, port.router) else {
            throw Fault(missing: port.subnet.erased)
        }
        let address = try tx.address(of: port.id)?.address
        let groups = try tx.groups(of: port.id).map { id throws(Fault) in
            EdgeGroup(id: id.shown, name: try tx.find(Group.table, id)?.name ?? "")
        }
        return EdgePort(
            id: port.id.shown, mac: port.mac, addresses: [port.address], prefix: subnet.prefix, deviceNumber: Int(port.deviceIndex),
            ownerId: owner, subnetId: subnet.id.shown, vpcId: router.id.shown, vpcPrefixes: [router.prefix], groups: groups,
            publicAddress: address, publicHostName: address.map { InstanceNames.publicName($0, region: region) })
    }
}
