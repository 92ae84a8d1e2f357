//  RunInstances: from the request to what the core launches.

import AWSProtocol
import Authority
import Compute
import EC2Model
import Model
import Store
import Testing

@testable import AWS

@Suite struct LaunchTests {
    private static let base = "ImageId=ami-00123456789abcdef&MinCount=1&MaxCount=1&InstanceType=t3.micro"

    private func translate(_ more: String, base: String = base) throws -> LaunchRequest {
        let query = try Query(FormParameters(Array("\(base)&\(more)".utf8)), .ec2)
        return try LaunchTranslation(EC2.RunInstancesRequest(query: query)).launch()
    }

    @Test func theLeastRequest() throws {
        let launch = try translate("", base: "ImageId=ami-00123456789abcdef&MinCount=2&MaxCount=5")
        #expect(launch.image.hex == "0123456789abcdef")
        #expect((launch.least, launch.most) == (2, 5))
        #expect(launch.type.name == "m1.small")
        #expect(launch.withPublicAddress == nil)
        #expect(launch.rootSize == nil)
        #expect(launch.deleteRootOnTermination)
        #expect(launch.deletePortOnTermination)
        #expect(launch.token == nil)
    }

    @Test func everythingAtTheTop() throws {
        let launch = try translate(
            "KeyName=k&SubnetId=subnet-00000000000000001&SecurityGroupId.1=sg-00000000000000002&PrivateIpAddress=10.0.0.9"
                + "&UserData=aGVsbG8%3D%0A&DisableApiTermination=true&DisableApiStop=true&InstanceInitiatedShutdownBehavior=terminate"
                + "&Monitoring.Enabled=true&EbsOptimized=true&Placement.AvailabilityZone=z&ClientToken=t"
                + "&KernelId=aki-00000000000000003&RamdiskId=ari-00000000000000004"
                + "&BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeSize=9"
                + "&BlockDeviceMapping.1.Ebs.VolumeType=gp2&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false"
                + "&MetadataOptions.HttpTokens=required&MetadataOptions.HttpPutResponseHopLimit=3"
                + "&MetadataOptions.HttpEndpoint=disabled&MetadataOptions.InstanceMetadataTags=enabled"
                + "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b"
                + "&TagSpecification.2.ResourceType=volume&TagSpecification.2.Tag.1.Key=c"
                + "&TagSpecification.3.ResourceType=network-interface&TagSpecification.3.Tag.1.Key=d")
        #expect(launch.keyName == "k")
        #expect(launch.subnet?.bits == 1)
        #expect(launch.groups.map(\.bits) == [2])
        #expect(launch.address == IPv4Address(10, 0, 0, 9))
        #expect(launch.userData == Array("hello".utf8))
        #expect(launch.options.disableTermination && launch.options.disableStop && launch.options.terminateOnShutdown)
        #expect(launch.options.monitoring && launch.options.ebsOptimized)
        #expect(launch.zone == "z")
        #expect(launch.token == "t")
        #expect(launch.kernel?.bits == 3)
        #expect(launch.ramdisk?.bits == 4)
        #expect(launch.rootSize == .gibibytes(9))
        #expect(launch.rootType == "gp2")
        #expect(!launch.deleteRootOnTermination)
        #expect(launch.options.metadataTokensRequired && !launch.options.metadataEnabled && launch.options.metadataTags)
        #expect(launch.options.metadataHopLimit == 3)
        #expect(launch.instanceTags == ["a": "b"])
        #expect(launch.volumeTags == ["c": ""])
        #expect(launch.portTags == ["d": ""])
    }

    @Test func theInterfacesForm() throws {
        let launch = try translate(
            "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId=subnet-00000000000000001"
                + "&NetworkInterface.1.SecurityGroupId.1=sg-00000000000000002&NetworkInterface.1.AssociatePublicIpAddress=false"
                + "&NetworkInterface.1.DeleteOnTermination=false&NetworkInterface.1.Description=d"
                + "&NetworkInterface.1.PrivateIpAddresses.1.PrivateIpAddress=10.0.0.9&NetworkInterface.1.PrivateIpAddresses.1.Primary=true"
        )
        #expect(launch.subnet?.bits == 1)
        #expect(launch.groups.map(\.bits) == [2])
        #expect(launch.withPublicAddress == false)
        #expect(!launch.deletePortOnTermination)
        #expect(launch.portDescription == "d")
        #expect(launch.address == IPv4Address(10, 0, 0, 9))
    }

    /// What asks for nothing more than every machine here has.
    @Test(arguments: [
        "Placement.Tenancy=default", "CapacityReservationSpecification.CapacityReservationPreference=open",
        "HibernationOptions.Configured=false", "EnclaveOptions.Enabled=false", "Ipv6AddressCount=0",
        "CreditSpecification.CpuCredits=unlimited", "MaintenanceOptions.AutoRecovery=default",
        "PrivateDnsNameOptions.HostnameType=ip-name", "BlockDeviceMapping.1.DeviceName=/dev/sdb&BlockDeviceMapping.1.NoDevice=",
        "BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.Encrypted=false",
        "NetworkInterface.1.NetworkCardIndex=0",
        "SecurityGroup.1=a&SecurityGroup.2=b", "UserData=",
    ])
    func harmless(_ more: String) throws { _ = try translate(more) }

    @Test(arguments: [
        ("LaunchTemplate.LaunchTemplateName=x", Fault.Code.notSupported, "LaunchTemplate"),
        ("InstanceMarketOptions.MarketType=spot", .notSupported, "InstanceMarketOptions"),
        ("IamInstanceProfile.Name=x", .notSupported, "IamInstanceProfile"),
        ("Ipv6AddressCount=1", .notSupported, "Ipv6AddressCount"),
        ("Placement.Tenancy=dedicated", .notSupported, "Placement.Tenancy"),
        ("Placement.GroupName=g", .notSupported, "Placement.GroupName"),
        ("CreditSpecification.CpuCredits=standard", .notSupported, "CreditSpecification"),
        ("HibernationOptions.Configured=true", .notSupported, "HibernationOptions"),
        ("CpuOptions.CoreCount=1", .notSupported, "CpuOptions"),
        ("MetadataOptions.HttpProtocolIpv6=enabled", .notSupported, "HttpProtocolIpv6"),
        ("NetworkInterface.1.NetworkInterfaceId=eni-00000000000000001", .notSupported, "NetworkInterface.1.NetworkInterfaceId"),
        ("NetworkInterface.1.DeviceIndex=0&NetworkInterface.2.DeviceIndex=1", .notSupported, "NetworkInterface.2"),
        ("NetworkInterface.1.SecondaryPrivateIpAddressCount=1", .notSupported, "SecondaryPrivateIpAddressCount"),
        ("BlockDeviceMapping.1.DeviceName=/dev/sdb&BlockDeviceMapping.1.Ebs.VolumeSize=1", .notSupported, "further disks"),
        ("BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.SnapshotId=snap-1", .notSupported, "SnapshotId"),
        ("BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.Encrypted=true", .notSupported, "Encrypted"),
        ("BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeType=io2", .notSupported, "io2"),
        ("BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeSize=0", .invalidParameter, "volume size"),
        ("BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.NoDevice=", .invalidParameter, "root device"),
        ("SubnetId=subnet-00000000000000001&SecurityGroup.1=a", .conflictingParameters, "groupName"),
        ("SubnetId=subnet-00000000000000001&NetworkInterface.1.DeviceIndex=0", .conflictingParameters, "instance-level subnet ID"),
        ("SecurityGroupId.1=sg-00000000000000001&NetworkInterface.1.DeviceIndex=0", .conflictingParameters, "security groups"),
        ("NetworkInterface.1.DeviceIndex=1", .invalidParameter, "device index"),
        ("PrivateIpAddress=10.0.0", .invalidParameter, "privateIpAddress"),
        ("TagSpecification.1.ResourceType=snapshot&TagSpecification.1.Tag.1.Key=a", .invalidParameter, "'snapshot'"),
        ("TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=aws:a", .invalidParameter, "aws:"),
        (
            "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.2.Key=a",
            .invalidParameter,
            "Duplicate tag key 'a'"
        ),
        // The same key twice over two specifications.
        (
            "TagSpecification.1.ResourceType=volume&TagSpecification.1.Tag.1.Key=a"
                + "&TagSpecification.2.ResourceType=volume&TagSpecification.2.Tag.1.Key=a", .invalidParameter,
            "Duplicate tag key 'a'"
        ),
        ("UserData=%25%25", .invalidParameter, "BASE64"),
        ("MetadataOptions.HttpPutResponseHopLimit=65", .invalidParameter, "HopLimit"),
        ("ClientToken=%C3%A9", .invalidParameter, "ASCII"),
        ("KernelId=ami", .malformedId, "ami"),
    ])
    func refusals(_ more: String, _ code: Fault.Code, _ words: String) {
        let fault = #expect(throws: Fault.self) { try translate(more) }
        #expect(fault?.code == code, "\(more): \(String(describing: fault))")
        #expect(fault?.message.contains(words) == true, "\(more): \(String(describing: fault))")
    }

    @Test(arguments: [
        (0, 1, Fault.Code.invalidParameter), (1, 0, .invalidParameter), (-1, 1, .invalidParameter), (2, 1, .conflictingParameters),
        (1, 501, .limitExceeded),
    ])
    func counts(_ least: Int, _ most: Int, _ code: Fault.Code) {
        let fault = #expect(throws: Fault.self) {
            try translate("", base: "ImageId=ami-00123456789abcdef&MinCount=\(least)&MaxCount=\(most)")
        }
        #expect(fault?.code == code)
    }

    @Test func digestsLeaveOutWhatBelongsToTheSending() throws {
        func digest(_ form: String) throws -> [UInt8] {
            let parameters = try FormParameters(Array(form.utf8))
            return EC2Call(LaunchTests.call, parameters).digest
        }
        let one = try digest("Action=RunInstances&ImageId=a&ClientToken=1&X-Amz-Signature=x&Version=1")
        #expect(one == (try digest("ImageId=a&ClientToken=2&Action=RunInstances&x-amz-date=y&Version=2")))
        #expect(one != (try digest("Action=RunInstances&ImageId=b&ClientToken=1")))
        // A border that is moved is another request.
        #expect(try digest("a=bc") != digest("ab=c"))
        #expect(try digest("a=1&b=2") != digest("a=1 b=2"))
    }

    private static let call = Call(
        session: Session(unrestrictedSystemWorkFor: "test", now: Instant(seconds: 0)), request: "r", now: Instant(seconds: 0),
        seed: 1)
}
