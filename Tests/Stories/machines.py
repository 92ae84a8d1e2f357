"""What machines go through: launched, changed, listed, removed."""

from support import *



def instances():
    reservation = EC2.run_instances(
        ImageId=IMAGE, InstanceType="t3.micro", MinCount=2, MaxCount=2,
        TagSpecifications=[dict(ResourceType="instance", Tags=[dict(Key="Name", Value="web")])])
    assert reservation["ReservationId"].startswith("r-0") and len(reservation["ReservationId"]) == 19
    same(reservation["OwnerId"], ALICE)
    first, second = reservation["Instances"]
    same([first["AmiLaunchIndex"], second["AmiLaunchIndex"]], [0, 1])
    same(first["State"], {"Code": 0, "Name": "pending"})
    same(first["StateReason"], {"Code": "pending", "Message": "pending"})
    identifier = first["InstanceId"]
    described = EC2.describe_instances(InstanceIds=[identifier, second["InstanceId"]])["Reservations"]
    same(len(described), 1)
    same(described[0]["ReservationId"], reservation["ReservationId"])

    running = wait(identifier, "running")
    same(running["State"]["Code"], 16)
    same(running["Placement"]["AvailabilityZone"], FACTS["zone"])
    same(running["Placement"]["Tenancy"], "default")
    same(running["ImageId"], IMAGE)
    same(running["InstanceType"], "t3.micro")
    same(running["Architecture"], "x86_64")
    same(running["Hypervisor"], "xen")
    same(running["VirtualizationType"], "hvm")
    same(running["RootDeviceName"], "/dev/sda1")
    same(running["RootDeviceType"], "ebs")
    same(running["EnaSupport"], True)
    same(running["EbsOptimized"], False)
    same(running["Monitoring"], {"State": "disabled"})
    same(running["CpuOptions"], {"CoreCount": 2, "ThreadsPerCore": 1})
    same(running["StateTransitionReason"], "")
    assert "StateReason" not in running
    same(tags(running["Tags"]), {"Name": "web"})
    private = running["PrivateIpAddress"]
    same(running["PrivateDnsName"], f"ip-{private.replace('.', '-')}.{FACTS['region']}.compute.internal")
    assert running["PublicIpAddress"].startswith("198.18.")
    assert running["PublicDnsName"]
    same(running["SourceDestCheck"], True)
    same([group["GroupName"] for group in running["SecurityGroups"]], ["default"])
    same(len(running["BlockDeviceMappings"]), 1)
    disk = running["BlockDeviceMappings"][0]
    same(disk["DeviceName"], "/dev/sda1")
    same(disk["Ebs"]["DeleteOnTermination"], True)
    same(disk["Ebs"]["Status"], "attached")
    interface = running["NetworkInterfaces"][0]
    same(interface["PrivateIpAddress"], private)
    same(interface["Association"]["PublicIp"], running["PublicIpAddress"])
    same(interface["Association"]["IpOwnerId"], "amazon")
    same(interface["Attachment"]["DeviceIndex"], 0)
    same(interface["Attachment"]["DeleteOnTermination"], True)
    same(interface["Status"], "in-use")
    same(interface["SubnetId"], running["SubnetId"])
    same(interface["VpcId"], running["VpcId"])
    same(interface["PrivateIpAddresses"][0]["Primary"], True)
    same(running["MetadataOptions"]["HttpTokens"], "optional")

    volume = EC2.describe_volumes(VolumeIds=[disk["Ebs"]["VolumeId"]])["Volumes"][0]
    same(volume["State"], "in-use")
    same(volume["Size"], 2)
    same(volume["VolumeType"], "gp3")
    same(volume["Iops"], 3000)
    same(volume["Throughput"], 125)
    same(volume["Encrypted"], False)
    same(volume["Attachments"][0]["InstanceId"], identifier)
    same(volume["Attachments"][0]["State"], "attached")
    same(len(EC2.describe_volumes(**named("attachment.instance-id", identifier))["Volumes"]), 1)

    console = EC2.get_console_output(InstanceId=identifier)
    same(console["Output"], f"login of {identifier}: ")
    same(console["Timestamp"].timestamp(), 1_700_000_000)

    EC2.reboot_instances(InstanceIds=[identifier])
    change = EC2.stop_instances(InstanceIds=[identifier])["StoppingInstances"][0]
    same((change["PreviousState"]["Name"], change["CurrentState"]["Name"]), ("running", "stopping"))
    stopped = wait(identifier, "stopped")
    same(stopped["State"]["Code"], 80)
    same(stopped["StateReason"]["Code"], "Client.UserInitiatedShutdown")
    same(stopped["StateReason"]["Message"], "Client.UserInitiatedShutdown: User initiated shutdown")
    assert stopped["StateTransitionReason"].startswith("User initiated (20") and stopped["StateTransitionReason"].endswith(" GMT)")
    same(stopped["PrivateIpAddress"], private)
    same(found(**named("instance-state-name", "stopped")), [identifier])
    change = EC2.start_instances(InstanceIds=[identifier])["StartingInstances"][0]
    same((change["PreviousState"]["Name"], change["CurrentState"]["Name"]), ("stopped", "pending"))
    assert "StateReason" not in wait(identifier, "running")

    change = EC2.terminate_instances(InstanceIds=[identifier])["TerminatingInstances"][0]
    same(change["CurrentState"], {"Code": 32, "Name": "shutting-down"})
    gone = wait(identifier, "terminated")
    same(gone["State"]["Code"], 48)
    same(gone["NetworkInterfaces"], [])
    same(gone["BlockDeviceMappings"], [])
    same(gone["PublicDnsName"], "")
    for name in ("VpcId", "SubnetId", "PrivateIpAddress", "PublicIpAddress"):
        assert name not in gone, name
    fails("InvalidVolume.NotFound", EC2.describe_volumes, VolumeIds=[disk["Ebs"]["VolumeId"]],
          message=f"The volume '{disk['Ebs']['VolumeId']}' does not exist.")
    fails("IncorrectInstanceState", EC2.start_instances, InstanceIds=[identifier],
          message=f"The instance '{identifier}' is not in a state from which it can be started.")
    same(EC2.terminate_instances(InstanceIds=[identifier])["TerminatingInstances"][0]["CurrentState"]["Name"], "terminated")
    wait(second["InstanceId"], "running")


def launch():
    vpc = EC2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = EC2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = EC2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    EC2.import_key_pair(KeyName="key", PublicKeyMaterial=public_key("ed25519"))
    token = dict(ClientToken="token-1")
    first = run(2, **token)
    same(run(2, **token), first)
    fails("IdempotentParameterMismatch", run, count=1, **token)

    # Everything that can be asked for is read back.
    answer = EC2.run_instances(
        ImageId=IMAGE, InstanceType="m5.large", MinCount=1, MaxCount=1, KeyName="key", KernelId=FACTS["kernel"],
        NetworkInterfaces=[dict(
            DeviceIndex=0, SubnetId=subnet, Groups=[group], PrivateIpAddress="172.31.0.77", AssociatePublicIpAddress=False,
            DeleteOnTermination=False, Description="the only one")],
        BlockDeviceMappings=[dict(DeviceName="/dev/sda1", Ebs=dict(VolumeSize=9, VolumeType="gp2", DeleteOnTermination=False))],
        UserData="#!/bin/sh\necho hello\n", DisableApiTermination=True, DisableApiStop=True, EbsOptimized=True,
        InstanceInitiatedShutdownBehavior="terminate", Monitoring=dict(Enabled=True), Placement=dict(AvailabilityZone=FACTS["zone"]),
        MetadataOptions=dict(HttpTokens="required", HttpPutResponseHopLimit=2, HttpEndpoint="enabled", InstanceMetadataTags="enabled"),
        TagSpecifications=[
            dict(ResourceType="instance", Tags=[dict(Key="Name", Value="all")]),
            dict(ResourceType="volume", Tags=[dict(Key="Name", Value="disk")]),
            dict(ResourceType="network-interface", Tags=[dict(Key="Name", Value="port")])])
    identifier = answer["Instances"][0]["InstanceId"]
    instance = wait(identifier, "running")
    same(instance["KeyName"], "key")
    same(instance["KernelId"], FACTS["kernel"])
    same(instance["PrivateIpAddress"], "172.31.0.77")
    assert "PublicIpAddress" not in instance and "Association" not in instance["NetworkInterfaces"][0]
    same(instance["NetworkInterfaces"][0]["Description"], "the only one")
    same(instance["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"], False)
    same([entry["GroupId"] for entry in instance["SecurityGroups"]], [group])
    same(instance["EbsOptimized"], True)
    same(instance["Monitoring"]["State"], "enabled")
    same(instance["MetadataOptions"], {
        "State": "applied", "HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled", "InstanceMetadataTags": "enabled"})
    disk = instance["BlockDeviceMappings"][0]["Ebs"]
    same(disk["DeleteOnTermination"], False)
    volume = EC2.describe_volumes(VolumeIds=[disk["VolumeId"]])["Volumes"][0]
    same((volume["Size"], volume["VolumeType"], volume["Iops"]), (9, "gp2", 100))
    same(tags(volume["Tags"]), {"Name": "disk"})
    port = EC2.describe_network_interfaces(**named("attachment.instance-id", identifier))["NetworkInterfaces"][0]
    same(tags(port["TagSet"]), {"Name": "port"})
    data = EC2.describe_instance_attribute(InstanceId=identifier, Attribute="userData")["UserData"]["Value"]
    same(base64.b64decode(data), b"#!/bin/sh\necho hello\n")
    fails("OperationNotPermitted", EC2.terminate_instances, InstanceIds=[identifier],
          message=f"The instance '{identifier}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.")
    fails("OperationNotPermitted", EC2.stop_instances, InstanceIds=[identifier],
          message=f"The instance '{identifier}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.")
    fails("InvalidIPAddress.InUse", run, PrivateIpAddress="172.31.0.77", SubnetId=subnet)

    # What the disk and the interface outlive.
    EC2.modify_instance_attribute(InstanceId=identifier, DisableApiTermination=dict(Value=False))
    EC2.terminate_instances(InstanceIds=[identifier])
    wait(identifier, "terminated")
    same(EC2.describe_volumes(VolumeIds=[disk["VolumeId"]])["Volumes"][0]["State"], "available")
    same(EC2.describe_network_interfaces(NetworkInterfaceIds=[port["NetworkInterfaceId"]])["NetworkInterfaces"][0]["Status"], "available")

    fails("DryRunOperation", run, DryRun=True, status=412,
          message="Request would have succeeded, but DryRun flag is set.")
    same(len(found(**named("instance-state-name", "pending", "running"))), 2)
    fails("InvalidKeyPair.NotFound", run, KeyName="none", message="The key pair 'none' does not exist")
    fails("InvalidGroup.NotFound", run, SecurityGroups=["none"])
    fails("InvalidBlockDeviceMapping", run, BlockDeviceMappings=[dict(DeviceName="/dev/sda1", Ebs=dict(VolumeSize=1))])
    fails("UnsupportedOperation", run, BlockDeviceMappings=[dict(DeviceName="/dev/sdb", Ebs=dict(VolumeSize=1))])
    fails("UnsupportedOperation", run, IamInstanceProfile=dict(Name="x"))
    fails("UnsupportedOperation", run, InstanceMarketOptions=dict(MarketType="spot"))
    fails("InvalidParameterValue", run, InstanceType="x9.huge", message="Invalid value 'x9.huge' for InstanceType.")
    fails("InvalidParameterCombination", run, MinCount=3, MaxCount=2)
    fails("InvalidParameterValue", run, MinCount=0, MaxCount=1)
    fails("InstanceLimitExceeded", run, MinCount=1, MaxCount=501)
    fails("InvalidParameterValue", run, Placement=dict(AvailabilityZone="nowhere"))
    fails("InvalidParameterValue", run, UserData="x" * 17000)
    fails("InvalidParameterValue", run, ClientToken="x" * 65)
    fails("InvalidAMIID.NotFound", run, ImageId="ami-0123456789abcdef0", message="The image id '[ami-0123456789abcdef0]' does not exist")
    fails("InvalidAMIID.Malformed", run, ImageId="nonsense", message="Invalid id: \"nonsense\" (expecting \"ami-...\")")


def attributes():
    identifier = run()[0]
    wait(identifier, "running")

    def read(name):
        answer = EC2.describe_instance_attribute(InstanceId=identifier, Attribute=name)
        same(answer["InstanceId"], identifier)
        return answer

    same(read("instanceInitiatedShutdownBehavior")["InstanceInitiatedShutdownBehavior"], {"Value": "stop"})
    same(read("disableApiTermination")["DisableApiTermination"], {"Value": False})
    same(read("disableApiStop")["DisableApiStop"], {"Value": False})
    same(read("instanceType")["InstanceType"], {"Value": "t3.micro"})
    same(read("rootDeviceName")["RootDeviceName"], {"Value": "/dev/sda1"})
    same(read("userData")["UserData"], {})
    same(read("kernel")["KernelId"], {})
    same(read("sourceDestCheck")["SourceDestCheck"], {"Value": True})
    same(read("ebsOptimized")["EbsOptimized"], {"Value": False})
    same(read("enaSupport")["EnaSupport"], {"Value": True})
    same(read("enclaveOptions")["EnclaveOptions"], {"Enabled": False})
    same(len(read("groupSet")["Groups"]), 1)
    same(read("blockDeviceMapping")["BlockDeviceMappings"][0]["DeviceName"], "/dev/sda1")
    for name in ("productCodes", "ramdisk", "sriovNetSupport"):
        read(name)
    fails("InvalidParameterValue", EC2.describe_instance_attribute, InstanceId=identifier, Attribute="nonsense")

    def write(**change):
        EC2.modify_instance_attribute(InstanceId=identifier, **change)

    write(DisableApiTermination=dict(Value=True))
    same(read("disableApiTermination")["DisableApiTermination"], {"Value": True})
    write(DisableApiTermination=dict(Value=False))
    write(Attribute="disableApiStop", Value="true")
    same(read("disableApiStop")["DisableApiStop"], {"Value": True})
    write(DisableApiStop=dict(Value=False))
    write(InstanceInitiatedShutdownBehavior=dict(Value="terminate"))
    same(read("instanceInitiatedShutdownBehavior")["InstanceInitiatedShutdownBehavior"], {"Value": "terminate"})
    write(SourceDestCheck=dict(Value=False))
    same(read("sourceDestCheck")["SourceDestCheck"], {"Value": False})
    same(one(identifier)["SourceDestCheck"], False)
    write(BlockDeviceMappings=[dict(DeviceName="/dev/sda1", Ebs=dict(DeleteOnTermination=False))])
    same(one(identifier)["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"], False)
    fails("InvalidInstanceAttributeValue", write, BlockDeviceMappings=[dict(DeviceName="/dev/sdx", Ebs=dict(DeleteOnTermination=False))])
    group = EC2.create_security_group(GroupName="web", Description="web")["GroupId"]
    write(Groups=[group])
    same([entry["GroupId"] for entry in one(identifier)["SecurityGroups"]], [group])
    fails("DependencyViolation", EC2.delete_security_group, GroupId=group, message=f"resource {group} has a dependent object")
    fails("IncorrectInstanceState", write, InstanceType=dict(Value="t3.small"))
    fails("InvalidParameterCombination", write, InstanceType=dict(Value="t3.small"), EbsOptimized=dict(Value=True))
    fails("MissingParameter", write)
    EC2.stop_instances(InstanceIds=[identifier])
    wait(identifier, "stopped")
    write(InstanceType=dict(Value="t3.small"))
    same(read("instanceType")["InstanceType"], {"Value": "t3.small"})
    write(UserData=dict(Value=b"hello"))
    same(read("userData")["UserData"], {"Value": base64.b64encode(b"hello").decode()})
    write(EbsOptimized=dict(Value=True))
    fails("InvalidInstanceAttributeValue", write, InstanceType=dict(Value="x9.huge"))
    fails("UnsupportedOperation", write, Kernel=dict(Value="aki-0123456789abcdef0"))
    fails("DryRunOperation", write, DisableApiStop=dict(Value=True), DryRun=True)
    same(read("disableApiStop")["DisableApiStop"], {"Value": False})


def status():
    first, second = run(2)
    for identifier in (first, second):
        wait(identifier, "running")
    answer = EC2.describe_instance_status(InstanceIds=[first])["InstanceStatuses"][0]
    same(answer["InstanceState"], {"Code": 16, "Name": "running"})
    same(answer["InstanceStatus"], {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]})
    same(answer["SystemStatus"]["Status"], "ok")
    same(answer["AvailabilityZone"], FACTS["zone"])
    EC2.stop_instances(InstanceIds=[second])
    wait(second, "stopped")

    def shown(**parameters):
        return sorted(entry["InstanceId"] for entry in EC2.describe_instance_status(**parameters)["InstanceStatuses"])

    same(shown(), [first])
    same(shown(IncludeAllInstances=True), sorted([first, second]))
    same(shown(IncludeAllInstances=True, **named("instance-state-name", "stopped")), [second])
    same(shown(**named("instance-status.status", "impaired")), [])
    same(shown(InstanceIds=[second]), [])
    fails("InvalidParameterValue", EC2.describe_instance_status, **named("tag:Name", "x"), message="The filter 'tag:Name' is invalid")
    credit = EC2.describe_instance_credit_specifications(InstanceIds=[first])["InstanceCreditSpecifications"]
    same(credit, [{"InstanceId": first, "CpuCredits": "unlimited"}])


def paging():
    launched = []
    for _ in range(3):
        launched += run(400, InstanceType="t3.nano")
    launched += run(7, TagSpecifications=[dict(ResourceType="instance", Tags=[dict(Key="Name", Value="few*")])])

    def pages(size, **parameters):
        return list(EC2.get_paginator("describe_instances").paginate(PaginationConfig=dict(PageSize=size), **parameters))

    def ids(pages):
        return [instance["InstanceId"] for page in pages for reservation in page["Reservations"] for instance in reservation["Instances"]]

    all_pages = pages(1000)
    same(len(all_pages), 2)
    same(sorted(ids(all_pages)), sorted(launched))
    same(sorted(ids(pages(175))), sorted(launched))
    same([len(ids([page])) for page in pages(1000)], [1000, 207])
    assert "NextToken" not in all_pages[-1]
    same(len(found()), 1207)
    few = pages(5, **named("instance-type", "t3.micro"))
    same([len(ids([page])) for page in few], [5, 2])
    same(sorted(ids(few)), sorted(launched[-7:]))
    same(sorted(ids(pages(5, **named("tag:Name", "few\\*")))), sorted(launched[-7:]))
    same(found(**named("tag:Name", "few\\?")), [])
    same(len(found(**named("tag:Name", "f*"))), 7)
    same(found(**named("instance-id", launched[0], "i-12345678", "nonsense")), [launched[0]])
    token = EC2.describe_instances(MaxResults=5)["NextToken"]
    fails("InvalidParameterValue", EC2.describe_instances, MaxResults=5, NextToken=token[:-8] + "AAAAAAA=")
    fails("InvalidParameterValue", EC2.describe_instances, MaxResults=5, NextToken="nonsense",
          message="Value ( nonsense ) for parameter NextToken is invalid. The token is invalid.")
    fails("InvalidParameterValue", client("bob").describe_instances, MaxResults=5, NextToken=token)
    fails("InvalidParameterCombination", EC2.describe_instances, MaxResults=5, InstanceIds=launched[:1],
          message="The parameter instancesSet cannot be used with the parameter maxResults")
    fails("InvalidParameterValue", EC2.describe_instances, MaxResults=4)
    fails("InvalidParameterValue", EC2.describe_instances, MaxResults=1001)
    same(len([v for page in EC2.get_paginator("describe_volumes").paginate(PaginationConfig=dict(PageSize=500)) for v in page["Volumes"]]), 1207)
    same(len([n for page in EC2.get_paginator("describe_network_interfaces").paginate(PaginationConfig=dict(PageSize=999)) for n in page["NetworkInterfaces"]]), 1207)


def types():
    every = [entry for page in EC2.get_paginator("describe_instance_types").paginate() for entry in page["InstanceTypes"]]
    assert len(every) > 20
    micro = EC2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"][0]
    same((micro["VCpuInfo"]["DefaultVCpus"], micro["MemoryInfo"]["SizeInMiB"], micro["BurstablePerformanceSupported"], micro["Hypervisor"]),
         (2, 1024, True, "nitro"))
    same(micro["ProcessorInfo"]["SupportedArchitectures"], ["x86_64"])
    same([entry["InstanceType"] for entry in EC2.describe_instance_types(**named("instance-type", "t3.n*"))["InstanceTypes"]], ["t3.nano"])
    fails("InvalidInstanceType", EC2.describe_instance_types, InstanceTypes=["x9.huge"],
          message="The following supplied instance types do not exist: [x9.huge]")
    pages = list(EC2.get_paginator("describe_instance_types").paginate(PaginationConfig=dict(PageSize=10)))
    same([len(page["InstanceTypes"]) for page in pages[:-1]], [10] * (len(pages) - 1))
    same(sorted(entry["InstanceType"] for page in pages for entry in page["InstanceTypes"]), sorted(entry["InstanceType"] for entry in every))
    offerings = EC2.describe_instance_type_offerings(LocationType="availability-zone", **named("instance-type", "m5.large"))
    same(offerings["InstanceTypeOfferings"], [{"InstanceType": "m5.large", "LocationType": "availability-zone", "Location": FACTS["zone"]}])
    same(EC2.describe_instance_type_offerings(**named("instance-type", "none"))["InstanceTypeOfferings"], [])


def images():
    image = EC2.describe_images(ImageIds=[IMAGE])["Images"][0]
    same((image["Name"], image["OwnerId"], image["Public"], image["State"], image["ImageType"], image["RootDeviceName"]),
         ("starter", BOB, True, "available", "machine", "/dev/sda1"))
    same(image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"], 2)
    kernel = EC2.describe_images(ImageIds=[FACTS["kernel"]])["Images"][0]
    same((kernel["ImageId"], kernel["ImageType"]), (FACTS["kernel"], "kernel"))
    same(EC2.describe_images(Owners=["self"])["Images"], [])
    same(len(EC2.describe_images(Owners=[BOB])["Images"]), 2)
    same(len(client("bob").describe_images(Owners=["self"])["Images"]), 2)
    same(len(EC2.describe_images(ExecutableUsers=["all"])["Images"]), 2)
    same(EC2.describe_images(ExecutableUsers=["self"])["Images"], [])
    same([entry["ImageId"] for entry in EC2.describe_images(**named("image-type", "machine"))["Images"]], [IMAGE])
    same([entry["ImageId"] for entry in EC2.describe_images(**named("name", "st*r"))["Images"]], [IMAGE])
    fails("InvalidAMIID.NotFound", EC2.describe_images, ImageIds=["ami-12345678"], message="The image id '[ami-12345678]' does not exist")
    fails("InvalidAMIID.Malformed", EC2.describe_images, ImageIds=["i-0123456789abcdef0"])

    # Deregistered, nobody sees or launches it; what runs from it runs on.
    bob = client("bob")
    instance = run()[0]
    wait(instance, "running")
    fails("DryRunOperation", bob.deregister_image, ImageId=IMAGE, DryRun=True)
    fails("InvalidAMIID.NotFound", bob.deregister_image, ImageId="ami-12345678")
    fails("InvalidAMIID.Malformed", bob.deregister_image, ImageId="nonsense")
    fails("MissingParameter", bob.deregister_image)
    same(bob.deregister_image(ImageId=IMAGE)["Return"], True)
    for who in (bob, EC2):
        fails("InvalidAMIID.NotFound", who.describe_images, ImageIds=[IMAGE])
        same(who.describe_images(**named("name", "starter"))["Images"], [])
        fails("InvalidAMIID.NotFound", who.run_instances, ImageId=IMAGE, MinCount=1, MaxCount=1)
        fails("InvalidAMIID.NotFound", who.deregister_image, ImageId=IMAGE)
    same((one(instance)["State"]["Name"], one(instance)["ImageId"]), ("running", IMAGE))
    EC2.terminate_instances(InstanceIds=[instance])
    wait(instance, "terminated")
    same(bob.deregister_image(ImageId=FACTS["kernel"], DeleteAssociatedSnapshots=True)["Return"], True)
    same(bob.describe_images()["Images"], [])
