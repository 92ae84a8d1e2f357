//  A guest as edge knows it: its ports, and the facts that the metadata service shows.

import FoundationEssentials
import Model

/// One guest on this host.
public struct EdgeGuest: Codable, Sendable, Equatable {
    /// As shown to the guest: `i-0…`. Unique in the document; metadata tokens are bound to it.
    public var id: String
    /// The first is the primary port.
    public var ports: [EdgePort]
    public var metadata: EdgeMetadata
    /// Raw bytes; nil answers 404.
    public var userData: Secret?
    public var keys: [EdgeKey]
    public var options: EdgeMetadataOptions

    public init(
        id: String, ports: [EdgePort], metadata: EdgeMetadata, userData: Secret? = nil, keys: [EdgeKey] = [],
        options: EdgeMetadataOptions = EdgeMetadataOptions()
    ) {
        self.id = id
        self.ports = ports
        self.metadata = metadata
        self.userData = userData
        self.keys = keys
        self.options = options
    }
}

/// A guest's network interface.
public struct EdgePort: Codable, Sendable, Hashable {
    /// As shown: `eni-0…`.
    public var id: String
    public var mac: MACAddress
    /// The first is the primary address and the one that DHCP gives. Never empty.
    public var addresses: [IPv4Address]
    /// The prefix of one of the domain's subnets.
    public var prefix: IPv4Prefix
    /// The tap's index in the domain's namespace; where it is known, a request with this MAC that
    /// came in by another link is dropped.
    public var interfaceIndex: Int?
    public var deviceNumber: Int
    /// The host's name without a zone; nil means `ip-a-b-c-d`.
    public var hostName: String?
    public var ownerId: String
    public var subnetId: String
    public var vpcId: String
    /// The first is the primary range.
    public var vpcPrefixes: [IPv4Prefix]
    public var groups: [EdgeGroup]
    public var publicAddress: IPv4Address?
    /// The private address that `publicAddress` is mapped to; nil means the primary one.
    public var publicAddressTarget: IPv4Address?
    public var publicHostName: String?

    public init(
        id: String, mac: MACAddress, addresses: [IPv4Address], prefix: IPv4Prefix, interfaceIndex: Int? = nil,
        deviceNumber: Int = 0, hostName: String? = nil, ownerId: String, subnetId: String, vpcId: String,
        vpcPrefixes: [IPv4Prefix], groups: [EdgeGroup] = [], publicAddress: IPv4Address? = nil,
        publicAddressTarget: IPv4Address? = nil, publicHostName: String? = nil
    ) {
        self.id = id
        self.mac = mac
        self.addresses = addresses
        self.prefix = prefix
        self.interfaceIndex = interfaceIndex
        self.deviceNumber = deviceNumber
        self.hostName = hostName
        self.ownerId = ownerId
        self.subnetId = subnetId
        self.vpcId = vpcId
        self.vpcPrefixes = vpcPrefixes
        self.groups = groups
        self.publicAddress = publicAddress
        self.publicAddressTarget = publicAddressTarget
        self.publicHostName = publicHostName
    }
}

/// A security group by id and name.
public struct EdgeGroup: Codable, Sendable, Hashable {
    public var id: String
    public var name: String

    public init(id: String, name: String) {
        self.id = id
        self.name = name
    }
}

/// A public ssh key.
public struct EdgeKey: Codable, Sendable, Hashable {
    public var name: String
    /// One line of an `authorized_keys` file.
    public var material: String

    public init(name: String, material: String) {
        self.name = name
        self.material = material
    }
}

/// An instance's metadata options (ModifyInstanceMetadataOptions).
public struct EdgeMetadataOptions: Codable, Sendable, Hashable {
    /// False answers 403 to all.
    public var endpointEnabled: Bool
    /// True refuses requests without a token (IMDSv2 only).
    public var tokensRequired: Bool
    /// The IP TTL of token responses, 1...64.
    public var hopLimit: Int
    public var tagsInMetadata: Bool

    public init(endpointEnabled: Bool = true, tokensRequired: Bool = false, hopLimit: Int = 1, tagsInMetadata: Bool = false) {
        self.endpointEnabled = endpointEnabled
        self.tokensRequired = tokensRequired
        self.hopLimit = hopLimit
        self.tagsInMetadata = tagsInMetadata
    }
}

/// What the metadata service tells of an instance besides its ports.
public struct EdgeMetadata: Codable, Sendable, Equatable {
    public var accountId: String
    public var imageId: String
    public var launchIndex: Int
    public var reservationId: String
    public var instanceType: String
    public var architecture: String
    public var launchTime: Instant
    public var availabilityZone: String
    public var availabilityZoneId: String?
    /// Virtual name to device as EC2 lists them: `ami` → `/dev/xvda`, `root` → `/dev/xvda`.
    public var blockDevices: [String: String]
    /// Shown under `tags/instance` if the options say so.
    public var tags: [String: String]
    public var kernelId: String?
    public var ramdiskId: String?
    public var productCodes: [String]
    /// `on-demand`, `spot` or `scheduled`.
    public var lifeCycle: String
    public var placementGroup: String?
    public var profile: EdgeProfile?

    public init(
        accountId: String, imageId: String, launchIndex: Int = 0, reservationId: String, instanceType: String,
        architecture: String = "x86_64", launchTime: Instant, availabilityZone: String, availabilityZoneId: String? = nil,
        blockDevices: [String: String] = [:], tags: [String: String] = [:], kernelId: String? = nil, ramdiskId: String? = nil,
        productCodes: [String] = [], lifeCycle: String = "on-demand", placementGroup: String? = nil, profile: EdgeProfile? = nil
    ) {
        self.accountId = accountId
        self.imageId = imageId
        self.launchIndex = launchIndex
        self.reservationId = reservationId
        self.instanceType = instanceType
        self.architecture = architecture
        self.launchTime = launchTime
        self.availabilityZone = availabilityZone
        self.availabilityZoneId = availabilityZoneId
        self.blockDevices = blockDevices
        self.tags = tags
        self.kernelId = kernelId
        self.ramdiskId = ramdiskId
        self.productCodes = productCodes
        self.lifeCycle = lifeCycle
        self.placementGroup = placementGroup
        self.profile = profile
    }
}

/// The instance profile and its role's present credentials.
public struct EdgeProfile: Codable, Sendable, Equatable {
    public var arn: String
    public var id: String
    public var role: String
    /// The JSON that SDKs read under `iam/security-credentials/ROLE`; nil answers 404.
    public var credentials: Secret?

    public init(arn: String, id: String, role: String, credentials: Secret? = nil) {
        self.arn = arn
        self.id = id
        self.role = role
        self.credentials = credentials
    }
}

extension Secret: Codable {
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let data = Data(base64Encoded: text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not base64"))
        }
        bytes = Array(data)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(Data(bytes).base64EncodedString())
    }
}
