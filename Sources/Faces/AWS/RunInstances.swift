//  RunInstances: from the request to what the core launches. Pure, so that the longest request of
//  the face is a table of tests. What is not built is refused by the name of its parameter.

import Compute
import EC2Model
import FoundationEssentials
import Model
import Store

extension EC2Face {
    func runInstances(_ request: EC2.RunInstancesRequest, _ context: EC2Call) async throws(Fault) -> EC2.Reservation {
        var launch = try LaunchTranslation(request).launch()
        launch.digest = context.digest
        let machines = try await compute.launch(launch, by: context.call)
        guard let reservation = reservations(of: machines, context).first else {
            throw Fault(.internalError, "The launch made nothing.")
        }
        return reservation
    }
}

/// The reading of one RunInstances request.
struct LaunchTranslation {
    let request: EC2.RunInstancesRequest

    init(_ request: EC2.RunInstancesRequest) { self.request = request }

    /// EC2's limits.
    static let userDataBytesMax = 16384
    static let tokenLengthMax = 64
    /// Volume types whose promise every pool keeps.
    static let volumeTypes = ["gp3", "gp2", "standard"]

    func launch() throws(Fault) -> LaunchRequest {
        try refuseUnbuilt()
        guard let imageId = request.imageId else { throw missing("ImageId") }
        let (least, most) = try counts()
        var launch = LaunchRequest(image: try AWSID.parse(imageId), type: try type(), least: least, most: most)
        launch.keyName = request.keyName
        launch.kernel = try request.kernelId.map { id throws(Fault) in try AWSID.parse(id) }
        launch.ramdisk = try request.ramdiskId.map { id throws(Fault) in try AWSID.parse(id) }
        launch.zone = request.placement?.availabilityZone
        launch.userData = try userData()
        launch.options = try options()
        launch.token = try token()
        try takeNetwork(&launch)
        try takeDisks(&launch)
        try takeTags(&launch)
        return launch
    }

    // MARK: Scalars

    private func type() throws(Fault) -> InstanceType {
        let name = request.instanceType ?? InstanceType.fallback
        guard let type = InstanceType.named(name) else {
            throw Fault(.invalidParameter, "Invalid value '\(name.prefix(64))' for InstanceType.")
        }
        return type
    }

    private func counts() throws(Fault) -> (least: Int, most: Int) {
        guard let least = request.minCount else { throw missing("MinCount") }
        guard let most = request.maxCount else { throw missing("MaxCount") }
        for (name, value) in [("minCount", least), ("maxCount", most)] where value < 1 {
            throw Fault(.invalidParameter, "Value (\(value)) for parameter \(name) is invalid. Expecting a positive integer.")
        }
        guard least <= most else {
            throw Fault(
                .conflictingParameters, "The value of parameter minCount (\(least)) is larger than that of maxCount (\(most)).")
        }
        guard most <= ComputeService.launchMax else {
            throw Fault(
                .limitExceeded,
                "You have requested more instances (\(most)) than one call may launch (\(ComputeService.launchMax)).",
                kind: .instance)
        }
        return (least, most)
    }

    private func userData() throws(Fault) -> [UInt8]? {
        guard let text = request.userData, !text.isEmpty else { return nil }
        // Four characters carry three bytes, and lines may be broken.
        guard text.utf8.count <= LaunchTranslation.userDataBytesMax * 2,
            let data = Data(base64Encoded: String(text.filter { !$0.isWhitespace }))
        else { throw Fault(.invalidParameter, "Invalid BASE64 encoding of user data", kind: nil) }
        guard data.count <= LaunchTranslation.userDataBytesMax else {
            throw Fault(.invalidParameter, "User data is limited to \(LaunchTranslation.userDataBytesMax) bytes")
        }
        return Array(data)
    }

    private func token() throws(Fault) -> String? {
        guard let token = request.clientToken, !token.isEmpty else { return nil }
        guard token.utf8.count <= LaunchTranslation.tokenLengthMax, token.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            throw Fault(
                .invalidParameter,
                "Value (\(token.prefix(80))) for parameter clientToken is invalid. Expecting up to 64 ASCII characters.")
        }
        return token
    }

    private func options() throws(Fault) -> Instance.Options {
        var options = Instance.Options()
        options.disableTermination = request.disableApiTermination ?? false
        options.disableStop = request.disableApiStop ?? false
        options.terminateOnShutdown = request.instanceInitiatedShutdownBehavior == "terminate"
        options.monitoring = request.monitoring?.enabled ?? false
        options.ebsOptimized = request.ebsOptimized ?? false
        guard let metadata = request.metadataOptions else { return options }
        if metadata.httpProtocolIpv6 == "enabled" { throw unbuilt("MetadataOptions.HttpProtocolIpv6") }
        options.metadataEnabled = metadata.httpEndpoint != "disabled"
        options.metadataTokensRequired = metadata.httpTokens == "required"
        options.metadataTags = metadata.instanceMetadataTags == "enabled"
        if let hops = metadata.httpPutResponseHopLimit {
            guard (1...64).contains(hops) else {
                throw Fault(
                    .invalidParameter,
                    "Value (\(hops)) for parameter MetadataOptions.HttpPutResponseHopLimit is invalid. Expecting 1 to 64.")
            }
            options.metadataHopLimit = hops
        }
        return options
    }

    // MARK: The network interface

    private func takeNetwork(_ launch: inout LaunchRequest) throws(Fault) {
        if let interfaces = request.networkInterfaces, let first = interfaces.first {
            guard interfaces.count == 1 else { throw unbuilt("NetworkInterface.2") }
            try take(first, &launch)
            return
        }
        launch.subnet = try request.subnetId.map { id throws(Fault) in try AWSID.parse(id) }
        launch.groups = try AWSID.parse(all: request.securityGroupIds)
        launch.groupNames = request.securityGroups ?? []
        if launch.subnet != nil, !launch.groupNames.isEmpty {
            throw Fault(.conflictingParameters, "The parameter groupName cannot be used with the parameter subnet")
        }
        launch.address = try address(request.privateIpAddress, launch)
    }

    private func take(
        _ interface: EC2.InstanceNetworkInterfaceSpecification, _ launch: inout LaunchRequest
    ) throws(Fault) {
        for (isGiven, what) in [
            (request.subnetId != nil, "subnet ID"), (!(request.securityGroupIds ?? []).isEmpty, "security groups"),
            (!(request.securityGroups ?? []).isEmpty, "security groups"), (request.privateIpAddress != nil, "private address"),
        ] where isGiven {
            throw Fault(
                .conflictingParameters, "Network interfaces and an instance-level \(what) may not be specified on the same request")
        }
        try refuseUnbuilt(of: interface)
        guard (interface.deviceIndex ?? 0) == 0 else {
            throw Fault(.invalidParameter, "Each network interface requires a unique device index, beginning with 0.")
        }
        launch.subnet = try interface.subnetId.map { id throws(Fault) in try AWSID.parse(id) }
        launch.groups = try AWSID.parse(all: interface.groups)
        launch.portDescription = interface.description ?? ""
        launch.deletePortOnTermination = interface.deleteOnTermination ?? true
        launch.withPublicAddress = interface.associatePublicIpAddress
        let listed = interface.privateIpAddresses ?? []
        guard listed.count <= 1, listed.allSatisfy({ $0.primary ?? true }) else {
            throw unbuilt("NetworkInterface.1.PrivateIpAddresses")
        }
        launch.address = try address(interface.privateIpAddress ?? listed.first?.privateIpAddress, launch)
    }

    private func address(_ text: String?, _ launch: LaunchRequest) throws(Fault) -> IPv4Address? {
        guard let text else { return nil }
        guard let address = IPv4Address(text) else {
            throw Fault(
                .invalidParameter,
                "Value (\(text.prefix(64))) for parameter privateIpAddress is invalid. Expecting an IPv4 address.")
        }
        guard launch.most == 1 else {
            throw Fault(
                .conflictingParameters, "The parameter privateIpAddress cannot be used when launching more than one instance")
        }
        return address
    }

    // MARK: Disks

    private func takeDisks(_ launch: inout LaunchRequest) throws(Fault) {
        for mapping in request.blockDeviceMappings ?? [] {
            guard let device = mapping.deviceName, device == launch.rootDevice else {
                // A device that is not there may be left out.
                if mapping.noDevice != nil { continue }
                throw Fault(
                    .notSupported,
                    "BlockDeviceMapping: only the root device '\(launch.rootDevice)' can be mapped; further disks are not built.")
            }
            guard mapping.noDevice == nil, mapping.virtualName == nil, let disk = mapping.ebs else {
                throw Fault(.invalidParameter, "The root device '\(device)' must be an EBS volume", kind: .volume)
            }
            try refuseUnbuilt(of: disk)
            if let size = disk.volumeSize {
                guard (1...65536).contains(size) else {
                    throw Fault(.invalidParameter, "The volume size \(size) is invalid for the device '\(device)'", kind: .volume)
                }
                launch.rootSize = .gibibytes(Int64(size))
            }
            if let type = disk.volumeType {
                guard LaunchTranslation.volumeTypes.contains(type) else {
                    throw Fault(.notSupported, "BlockDeviceMapping.Ebs.VolumeType: '\(type)' is not built.")
                }
                launch.rootType = type
            }
            launch.deleteRootOnTermination = disk.deleteOnTermination ?? true
        }
    }

    // MARK: Tags

    private func takeTags(_ launch: inout LaunchRequest) throws(Fault) {
        for specification in request.tagSpecifications ?? [] {
            let tags = try TagReading.new(specification.tags)
            switch specification.resourceType {
            case "instance": try add(tags, to: &launch.instanceTags)
            case "volume": try add(tags, to: &launch.volumeTags)
            case "network-interface": try add(tags, to: &launch.portTags)
            default:
                throw Fault(
                    .invalidParameter,
                    "'\(specification.resourceType ?? "")' is not a valid taggable resource type for this operation.")
            }
        }
    }

    private func add(_ tags: [String: String], to all: inout [String: String]) throws(Fault) {
        for (key, value) in tags {
            guard all.updateValue(value, forKey: key) == nil else { throw TagReading.duplicate(key) }
        }
    }

    func missing(_ name: String) -> Fault {
        Fault(.missingParameter, "The request must contain the parameter \(name)")
    }

    func unbuilt(_ parameter: String) -> Fault {
        Fault(.notSupported, "The parameter \(parameter) is not supported by this cloud.")
    }
}
