//  Images: listed and deregistered.

import EC2Model
import Images
import Model
import Store

extension EC2Face {
    func describeImages(_ request: EC2.DescribeImagesRequest, _ context: EC2Call) async throws(Fault) -> EC2.DescribeImagesResult {
        let ids: [ID<Image>] = try AWSID.parse(all: request.imageIds)
        let filter = try RowFilter(request.filters, EC2Face.imageFilters)
        let paging = try Paging(
            max: request.maxResults, token: request.nextToken, in: 1...1000, hasIds: !ids.isEmpty, idsName: "imageIds", context)
        let number = context.accountNumber
        let owners = request.owners ?? []
        let users = request.executableUsers ?? []
        let passes = { (view: ImageView) in
            (owners.isEmpty || owners.contains { $0 == view.ownerNumber || $0 == "self" && view.ownerNumber == number })
                && (users.isEmpty || users.contains { ImageWords.isExecutable(view, by: $0, caller: number) })
                && filter.passes(view)
        }
        let page = try await paging.collect(place: { $0.image.id.hex }, passes: passes) { after, limit throws(Fault) in
            if !ids.isEmpty { return try await after == nil ? images.images(ids, after: .min, limit: limit, by: context.call) : [] }
            return try await images.images([], after: Paging.after(after), limit: limit, by: context.call)
        }
        var result = EC2.DescribeImagesResult()
        result.images = page.rows.map(image)
        result.nextToken = page.next
        return result
    }

    func deregisterImage(
        _ request: EC2.DeregisterImageRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DeregisterImageResult {
        guard let imageId = request.imageId else {
            throw Fault(.missingParameter, "The request must contain the parameter ImageId")
        }
        try await images.deregister(AWSID.parse(imageId), by: context.call)
        var result = EC2.DeregisterImageResult()
        result.return = true
        // An image's bytes are its own: there are no snapshots that it was made of.
        result.deleteSnapshotResults = request.deleteAssociatedSnapshots == true ? [] : nil
        return result
    }

    private func image(_ view: ImageView) -> EC2.Image {
        let image = view.image
        var shown = EC2.Image()
        shown.imageId = AWSID.shown(image.id, image.purpose)
        shown.imageLocation = ImageWords.location(view)
        shown.state = ImageWords.state(image)
        shown.stateReason = image.fault.map { fault in
            var reason = EC2.StateReason()
            reason.code = "Client.InvalidImage"
            reason.message = fault
            return reason
        }
        shown.ownerId = view.ownerNumber
        shown.public = image.isPublic
        shown.creationDate = Wire.time(image.created)
        shown.architecture = image.architecture
        shown.imageType = image.purpose.rawValue
        shown.kernelId = image.kernel.map { AWSID.shown($0, .kernel) }
        shown.ramdiskId = image.ramdisk.map { AWSID.shown($0, .ramdisk) }
        shown.name = image.name
        shown.description = image.description
        shown.hypervisor = InstanceWords.hypervisor
        shown.enaSupport = true
        shown.platformDetails = InstanceWords.platform
        shown.usageOperation = InstanceWords.usage
        shown.bootMode = "legacy-bios"
        shown.productCodes = []
        shown.tags = Wire.tags(view.tags)
        shown.deregistrationProtection = "disabled"
        guard image.purpose == .machine else { return shown }
        shown.virtualizationType = "hvm"
        shown.rootDeviceType = "ebs"
        shown.rootDeviceName = InstanceWords.rootDevice
        var disk = EC2.EbsBlockDevice()
        disk.deleteOnTermination = true
        disk.volumeSize = ImageWords.volumeSize(image)
        disk.volumeType = ImageWords.volumeType
        disk.encrypted = false
        var mapping = EC2.BlockDeviceMapping()
        mapping.deviceName = InstanceWords.rootDevice
        mapping.ebs = disk
        shown.blockDeviceMappings = [mapping]
        return shown
    }

    private static let imageFilters = FilterTable<ImageView>(
        [
            "architecture": { [$0.image.architecture] },
            "block-device-mapping.delete-on-termination": { $0.image.purpose == .machine ? ["true"] : [] },
            "block-device-mapping.device-name": { $0.image.purpose == .machine ? [InstanceWords.rootDevice] : [] },
            "block-device-mapping.snapshot-id": { _ in [] },
            "block-device-mapping.volume-size": { view in
                view.image.purpose == .machine ? [String(ImageWords.volumeSize(view.image))] : []
            },
            "block-device-mapping.volume-type": { $0.image.purpose == .machine ? [ImageWords.volumeType] : [] },
            "block-device-mapping.encrypted": { $0.image.purpose == .machine ? ["false"] : [] },
            "creation-date": { [Wire.time($0.image.created)] },
            "description": { [$0.image.description] },
            "ena-support": { _ in ["true"] },
            "free-tier-eligible": { _ in ["false"] },
            "hypervisor": { _ in [InstanceWords.hypervisor] },
            "image-allowed": { _ in ["true"] },
            "image-id": { [AWSID.shown($0.image.id, $0.image.purpose)] },
            "image-type": { [$0.image.purpose.rawValue] },
            "is-public": { [Wire.word($0.image.isPublic)] },
            "kernel-id": { view in view.image.kernel.map { [AWSID.shown($0, .kernel)] } ?? [] },
            "manifest-location": { [ImageWords.location($0)] },
            "name": { [$0.image.name] },
            "owner-alias": { _ in [] },
            "owner-id": { [$0.ownerNumber] },
            "platform": { _ in [] },
            "product-code": { _ in [] },
            "product-code.type": { _ in [] },
            "ramdisk-id": { view in view.image.ramdisk.map { [AWSID.shown($0, .ramdisk)] } ?? [] },
            "root-device-name": { $0.image.purpose == .machine ? [InstanceWords.rootDevice] : [] },
            "root-device-type": { $0.image.purpose == .machine ? ["ebs"] : [] },
            "source-image-id": { _ in [] },
            "source-image-region": { _ in [] },
            "source-instance-id": { _ in [] },
            "sriov-net-support": { _ in [] },
            "state": { [ImageWords.state($0.image)] },
            "state-reason-code": { $0.image.fault == nil ? [] : ["Client.InvalidImage"] },
            "state-reason-message": { view in view.image.fault.map { [$0] } ?? [] },
            "virtualization-type": { $0.image.purpose == .machine ? ["hvm"] : [] },
        ], tags: { $0.tags })
}

/// EC2's words for images.
enum ImageWords {
    static let volumeType = "gp3"

    static func state(_ image: Image) -> String {
        switch image.state {
        case .pending, .available, .failed: image.state.rawValue
        case .absent: "deregistered"
        }
    }

    static func location(_ view: ImageView) -> String { "\(view.ownerNumber)/\(view.image.name)" }

    static func volumeSize(_ image: Image) -> Int { Int(max(1, image.size.gibibytesRoundedUp)) }

    /// Whether a user of DescribeImages' list (`self`, `all`, an account's number) was given the image:
    /// there is no grant here but the public flag.
    static func isExecutable(_ view: ImageView, by user: String, caller: String) -> Bool {
        switch user {
        case "all": view.image.isPublic
        case "self": view.ownerNumber == caller
        default: user == view.ownerNumber
        }
    }
}
