"""Stories of EC2 as boto3 tells them. Run by the tests of the AWS face:

  ec2.py STORY    reads {endpoint, region, zone, image, kernel, accounts, credentials} as JSON; ends with 0 if all is well
"""

import base64
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

try:
    import boto3
    from botocore import UNSIGNED
    from botocore.auth import SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.credentials import Credentials
    from botocore.exceptions import ClientError
except ImportError:
    sys.exit("the tests need boto3: install it (pip install boto3), or name a Python that has it in KARRI_PYTHON")

FACTS = json.load(sys.stdin)
CONFIG = Config(retries={"max_attempts": 1}, parameter_validation=False)


def client(who="alice", service="ec2", **more):
    pair = FACTS["credentials"][who]
    return boto3.client(
        service, endpoint_url=FACTS["endpoint"], region_name=FACTS["region"], aws_access_key_id=pair["key"],
        aws_secret_access_key=pair["secret"], config=more.pop("config", CONFIG), **more)


EC2 = client()
IMAGE = FACTS["image"]
ALICE = FACTS["accounts"]["alice"]
BOB = FACTS["accounts"]["bob"]


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def fails(code, call, *, message=None, status=None, **parameters):
    try:
        answer = call(**parameters)
    except ClientError as error:
        same(error.response["Error"]["Code"], code)
        if message is not None:
            same(error.response["Error"]["Message"], message)
        if status is not None:
            same(error.response["ResponseMetadata"]["HTTPStatusCode"], status)
        assert error.response["ResponseMetadata"].get("RequestId"), "no request id"
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__}({parameters}) should fail with {code}, and answered {answer}")


def run(count=1, who=EC2, **parameters):
    given = dict(ImageId=IMAGE, InstanceType="t3.micro", MinCount=count, MaxCount=count)
    given.update(parameters)
    return [instance["InstanceId"] for instance in who.run_instances(**given)["Instances"]]


def one(identifier, who=EC2):
    reservations = who.describe_instances(InstanceIds=[identifier])["Reservations"]
    same(len(reservations), 1)
    same(len(reservations[0]["Instances"]), 1)
    return reservations[0]["Instances"][0]


def wait(identifier, state, who=EC2):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        instance = one(identifier, who)
        if instance["State"]["Name"] == state:
            return instance
        time.sleep(0.05)
    raise AssertionError(f"{identifier} is {instance['State']} and not {state}")


def found(**parameters):
    return sorted(
        instance["InstanceId"] for reservation in EC2.describe_instances(**parameters)["Reservations"]
        for instance in reservation["Instances"])


def named(name, *values):
    return dict(Filters=[dict(Name=name, Values=list(values))])


def tags(things):
    return {tag["Key"]: tag["Value"] for tag in things}


# Stories


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


def public_key(kind, *more):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", f"{folder}/key", *more], check=True)
        with open(f"{folder}/key.pub", "rb") as file:
            return file.read()


def keys():
    def ssh(*arguments, text):
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            return subprocess.run(["ssh-keygen", *arguments, "-f", file.name], check=True, capture_output=True).stdout.decode()

    def openssl(*arguments, text):
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True, input=text).stdout

    def colons(digest):
        return ":".join(f"{byte:02x}" for byte in digest)

    import hashlib
    made = EC2.create_key_pair(KeyName="rsa", TagSpecifications=[dict(ResourceType="key-pair", Tags=[dict(Key="a", Value="b")])])
    assert made["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----\n"), made["KeyMaterial"][:40]
    assert made["KeyPairId"].startswith("key-0")
    same(tags(made["Tags"]), {"a": "b"})
    shown = EC2.describe_key_pairs(KeyNames=["rsa"], IncludePublicKey=True)["KeyPairs"][0]
    same(shown["KeyType"], "rsa")
    same(shown["KeyFingerprint"], made["KeyFingerprint"])
    same(ssh("-y", text=made["KeyMaterial"]).split()[:2], shown["PublicKey"].split()[:2])
    private = openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", text=made["KeyMaterial"].encode())
    same(made["KeyFingerprint"], colons(hashlib.sha1(private).digest()))
    same(openssl("rsa", "-noout", "-text", text=made["KeyMaterial"].encode()).decode().split("(")[1].split(" bit")[0], "2048")

    made = EC2.create_key_pair(KeyName="ed", KeyType="ed25519")
    assert made["KeyMaterial"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    shown = EC2.describe_key_pairs(KeyPairIds=[made["KeyPairId"]], IncludePublicKey=True)["KeyPairs"][0]
    same(shown["KeyType"], "ed25519")
    same(ssh("-y", text=made["KeyMaterial"]).split()[:2], shown["PublicKey"].split()[:2])
    same(ssh("-l", text=made["KeyMaterial"]).split()[1], "SHA256:" + made["KeyFingerprint"].rstrip("="))

    rsa = public_key("rsa", "-b", "2048")
    for number, material in enumerate([
            rsa, convert(rsa, "RFC4716"), convert(rsa, "PKCS8"), convert(rsa, "PEM"), public_key("rsa", "-b", "4096")]):
        imported = EC2.import_key_pair(KeyName=f"rsa-{number}", PublicKeyMaterial=material)
        information = openssl("pkey", "-pubin", "-outform", "DER", text=convert(rsa, "PKCS8"))
        if number < 4:
            same(imported["KeyFingerprint"], colons(hashlib.md5(information).digest()))
            shown = EC2.describe_key_pairs(KeyNames=[f"rsa-{number}"], IncludePublicKey=True)["KeyPairs"][0]
            same(shown["PublicKey"].split()[:2], rsa.decode().split()[:2])
    EC2.import_key_pair(KeyName="ed-in", PublicKeyMaterial=public_key("ed25519"))

    fails("InvalidKeyPair.Duplicate", EC2.create_key_pair, KeyName="ed", KeyType="ed25519", message="The keypair 'ed' already exists.")
    for material in (b"ssh-rsa AAAA nonsense", b"nonsense", b"ssh-ed25519 " + rsa.split()[1], b"", b"x" * 20000, b"\xff\xfe\x00"):
        if material:
            fails("InvalidKey.Format", EC2.import_key_pair, KeyName="bad", PublicKeyMaterial=material)
    fails("UnsupportedOperation", EC2.create_key_pair, KeyName="ppk", KeyFormat="ppk")
    fails("InvalidKeyPair.NotFound", EC2.describe_key_pairs, KeyNames=["none"], message="The key pair 'none' does not exist")
    fails("DryRunOperation", EC2.create_key_pair, KeyName="dry", KeyType="ed25519", DryRun=True)
    same([pair["KeyName"] for pair in EC2.describe_key_pairs(**named("key-name", "ed*"))["KeyPairs"]], ["ed", "ed-in"])
    same([pair["KeyName"] for pair in EC2.describe_key_pairs(**named("tag:a", "b"))["KeyPairs"]], ["rsa"])
    same(EC2.delete_key_pair(KeyName="ed")["Return"], True)
    same(EC2.delete_key_pair(KeyName="ed")["Return"], True)
    fails("InvalidKeyPair.NotFound", EC2.describe_key_pairs, KeyNames=["ed"])


def convert(public, form):
    with tempfile.NamedTemporaryFile() as file:
        file.write(public)
        file.flush()
        return subprocess.run(["ssh-keygen", "-e", "-m", form, "-f", file.name], check=True, capture_output=True).stdout


def groups():
    vpc = EC2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = EC2.create_security_group(
        GroupName="web", Description="the web", VpcId=vpc,
        TagSpecifications=[dict(ResourceType="security-group", Tags=[dict(Key="Name", Value="w")])])
    identifier = made["GroupId"]
    same(made["SecurityGroupArn"], f"arn:aws:ec2:{FACTS['region']}:{ALICE}:security-group/{identifier}")
    shown = EC2.describe_security_groups(GroupIds=[identifier])["SecurityGroups"][0]
    same((shown["GroupName"], shown["Description"], shown["VpcId"], shown["OwnerId"]), ("web", "the web", vpc, ALICE))
    same(tags(shown["Tags"]), {"Name": "w"})
    same(shown["IpPermissions"], [])
    same(shown["IpPermissionsEgress"], [
        {"IpProtocol": "-1", "UserIdGroupPairs": [], "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [], "PrefixListIds": []}])
    default = EC2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]
    same(default["IpPermissions"][0]["UserIdGroupPairs"], [{"UserId": ALICE, "GroupId": default["GroupId"]}])
    fails("InvalidGroup.Duplicate", EC2.create_security_group, GroupName="web", Description="x",
          message="The security group 'web' already exists for this VPC.")
    fails("CannotDelete", EC2.delete_security_group, GroupId=default["GroupId"],
          message=f"the specified group: \"{default['GroupId']}\" name: \"default\" cannot be deleted by a user")
    fails("InvalidGroup.NotFound", EC2.describe_security_groups, GroupIds=["sg-0123456789abcdef0"],
          message="The security group 'sg-0123456789abcdef0' does not exist")
    fails("InvalidGroupId.Malformed", EC2.describe_security_groups, GroupIds=["web"])
    fails("InvalidParameterValue", EC2.create_security_group, GroupName="sg-x", Description="x")
    fails("InvalidParameterValue", EC2.create_security_group, GroupName="ü", Description="x")
    same(len(EC2.describe_security_groups(**named("group-name", "we?"))["SecurityGroups"]), 1)
    same(len(EC2.describe_security_groups(**named("vpc-id", vpc))["SecurityGroups"]), 2)
    same(len(EC2.describe_security_groups(**named("egress.ip-permission.cidr", "0.0.0.0/0"))["SecurityGroups"]), 2)
    same(EC2.delete_security_group(GroupId=identifier)["GroupId"], identifier)
    fails("InvalidGroup.NotFound", EC2.delete_security_group, GroupId=identifier)


def rules():
    group = EC2.create_security_group(GroupName="web", Description="web")["GroupId"]
    other = EC2.create_security_group(GroupName="other", Description="other")["GroupId"]
    permission = dict(
        IpProtocol="tcp", FromPort=80, ToPort=81, IpRanges=[dict(CidrIp="10.0.0.0/8", Description="ten"), dict(CidrIp="192.0.2.0/24")],
        UserIdGroupPairs=[dict(GroupId=other)])
    made = EC2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[permission],
        TagSpecifications=[dict(ResourceType="security-group-rule", Tags=[dict(Key="a", Value="b")])])
    same(made["Return"], True)
    same(len(made["SecurityGroupRules"]), 3)
    rule = made["SecurityGroupRules"][0]
    same((rule["GroupId"], rule["IsEgress"], rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["CidrIpv4"], rule["Description"]),
         (group, False, "tcp", 80, 81, "10.0.0.0/8", "ten"))
    same(made["SecurityGroupRules"][2]["ReferencedGroupInfo"]["GroupId"], other)
    shown = EC2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    same(len(shown), 1)
    same(len(shown[0]["IpRanges"]), 2)
    same(shown[0]["UserIdGroupPairs"], [{"UserId": ALICE, "GroupId": other}])
    fails("InvalidPermission.Duplicate", EC2.authorize_security_group_ingress, GroupId=group, IpPermissions=[permission],
          message='the specified rule "peer: 10.0.0.0/8, TCP, from port: 80, to port: 81, ALLOW" already exists')
    EC2.authorize_security_group_ingress(GroupName="web", IpProtocol="icmp", FromPort=8, ToPort=-1, CidrIp="0.0.0.0/0")
    EC2.authorize_security_group_ingress(GroupId=group, SourceSecurityGroupName="other")
    EC2.authorize_security_group_egress(GroupId=group, IpPermissions=[dict(IpProtocol="udp", FromPort=53, ToPort=53, IpRanges=[dict(CidrIp="10.1.2.3/16")])])
    egress = EC2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    same([entry["IpRanges"][0]["CidrIp"] for entry in egress], ["0.0.0.0/0", "10.1.0.0/16"])
    fails("DependencyViolation", EC2.delete_security_group, GroupId=other)

    def listed(**parameters):
        return EC2.describe_security_group_rules(**parameters)["SecurityGroupRules"]

    same(len(listed(**named("group-id", group))), 7)
    same(len(listed(**named("tag:a", "b"))), 3)
    same(len(listed(SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])), 1)
    fails("InvalidSecurityGroupRuleId.NotFound", listed, SecurityGroupRuleIds=["sgr-0123456789abcdef0"])

    EC2.update_security_group_rule_descriptions_ingress(
        GroupId=group, SecurityGroupRuleDescriptions=[dict(SecurityGroupRuleId=rule["SecurityGroupRuleId"], Description="new")])
    same(listed(SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])[0]["Description"], "new")
    EC2.update_security_group_rule_descriptions_egress(
        GroupId=group, IpPermissions=[dict(IpProtocol="-1", IpRanges=[dict(CidrIp="0.0.0.0/0", Description="all")])])
    same([entry["Description"] for entry in listed(**named("group-id", group)) if entry.get("CidrIpv4") == "0.0.0.0/0" and entry["IsEgress"]], ["all"])
    same(EC2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[dict(
        SecurityGroupRuleId=rule["SecurityGroupRuleId"],
        SecurityGroupRule=dict(IpProtocol="tcp", FromPort=443, ToPort=443, CidrIpv4="10.0.0.0/8", Description="tls"))])["Return"], True)
    changed = listed(SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])[0]
    same((changed["FromPort"], changed["Description"], tags(changed["Tags"])), (443, "tls", {"a": "b"}))

    same(EC2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])["RevokedSecurityGroupRules"][0]["FromPort"], 443)
    answer = EC2.revoke_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=1, ToPort=2, CidrIp="10.0.0.0/8")
    same(answer["UnknownIpPermissions"][0]["FromPort"], 1)
    EC2.revoke_security_group_egress(GroupId=group, IpPermissions=egress)
    same(EC2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"], [])
    fails("InvalidParameterValue", EC2.authorize_security_group_ingress, GroupId=group, IpProtocol="tcp", FromPort=5, ToPort=4, CidrIp="10.0.0.0/8")
    fails("InvalidParameterValue", EC2.authorize_security_group_ingress, GroupId=group, IpProtocol="tcp", FromPort=5, ToPort=5, CidrIp="10.0.0/8")
    fails("InvalidParameterValue", EC2.authorize_security_group_ingress, GroupId=group, IpProtocol="nonsense", CidrIp="10.0.0.0/8")
    fails("UnsupportedOperation", EC2.authorize_security_group_ingress, GroupId=group,
          IpPermissions=[dict(IpProtocol="-1", Ipv6Ranges=[dict(CidrIpv6="::/0")])])
    fails("MissingParameter", EC2.authorize_security_group_ingress, GroupId=group)
    fails("DryRunOperation", EC2.authorize_security_group_ingress, GroupId=group, IpProtocol="tcp", FromPort=9, ToPort=9, CidrIp="10.0.0.0/8", DryRun=True)
    many = [dict(IpProtocol="tcp", FromPort=port, ToPort=port, IpRanges=[dict(CidrIp="10.0.0.0/8")]) for port in range(1000, 1121)]
    fails("RulesPerSecurityGroupLimitExceeded", EC2.authorize_security_group_ingress, GroupId=group, IpPermissions=many)


def tags_():
    identifier = run()[0]
    group = EC2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    EC2.create_tags(Resources=[identifier, group], Tags=[dict(Key="a", Value="1"), dict(Key="b", Value="")])
    EC2.create_tags(Resources=[identifier], Tags=[dict(Key="a", Value="2")])
    same(tags(one(identifier)["Tags"]), {"a": "2", "b": ""})
    same([(entry["Key"], entry["Value"], entry["ResourceType"]) for entry in EC2.describe_tags(**named("resource-id", identifier))["Tags"]],
         [("a", "2", "instance"), ("b", "", "instance")])
    same(len(EC2.describe_tags()["Tags"]), 4)
    same(len(EC2.describe_tags(**named("resource-type", "security-group"))["Tags"]), 2)
    same(len(EC2.describe_tags(**named("key", "a"))["Tags"]), 2)
    same(found(**named("tag:a", "2")), [identifier])
    same(found(**named("tag:a", "1")), [])
    same(found(**named("tag-key", "b")), [identifier])
    EC2.delete_tags(Resources=[identifier], Tags=[dict(Key="a", Value="other")])
    same(tags(one(identifier)["Tags"]), {"a": "2", "b": ""})
    EC2.delete_tags(Resources=[identifier], Tags=[dict(Key="a")])
    same(tags(one(identifier)["Tags"]), {"b": ""})
    EC2.delete_tags(Resources=[identifier])
    same(one(identifier).get("Tags", []), [])
    fails("InvalidID", EC2.create_tags, Resources=["nonsense"], Tags=[dict(Key="a", Value="1")], message="The ID 'nonsense' is not valid")
    fails("InvalidInstanceID.NotFound", EC2.create_tags, Resources=["i-0123456789abcdef0"], Tags=[dict(Key="a", Value="1")])
    fails("InvalidParameterValue", EC2.create_tags, Resources=[identifier], Tags=[dict(Key="aws:x", Value="1")])
    fails("InvalidParameterValue", EC2.create_tags, Resources=[identifier], Tags=[dict(Key="k" * 129, Value="1")])
    fails("TagLimitExceeded", EC2.create_tags, Resources=[identifier], Tags=[dict(Key=f"k{number}", Value="") for number in range(51)])
    for number in range(10):
        EC2.create_tags(Resources=[identifier], Tags=[dict(Key=f"{number}k{key}", Value="é漢 +&=%") for key in range(5)])
    fails("TagLimitExceeded", EC2.create_tags, Resources=[identifier], Tags=[dict(Key="more", Value="")])
    pages = list(EC2.get_paginator("describe_tags").paginate(PaginationConfig=dict(PageSize=7), **named("resource-id", identifier)))
    same([len(page["Tags"]) for page in pages], [7] * 7 + [1])
    pages = list(EC2.get_paginator("describe_tags").paginate(PaginationConfig=dict(PageSize=26)))
    same(sum(len(page["Tags"]) for page in pages), 52)
    assert "NextToken" not in pages[-1]


def networks():
    vpc = EC2.describe_vpcs()["Vpcs"]
    same(len(vpc), 1)
    vpc = vpc[0]
    same((vpc["CidrBlock"], vpc["IsDefault"], vpc["State"], vpc["InstanceTenancy"], vpc["OwnerId"]),
         ("172.31.0.0/16", True, "available", "default", ALICE))
    same(vpc["CidrBlockAssociationSet"][0]["CidrBlockState"], {"State": "associated"})
    same(len(EC2.describe_vpcs(**named("is-default", "true"))["Vpcs"]), 1)
    same(len(EC2.describe_vpcs(VpcIds=[vpc["VpcId"]], **named("cidr", "10.*"))["Vpcs"]), 0)
    same(EC2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute="enableDnsSupport")["EnableDnsSupport"], {"Value": True})
    same(EC2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute="enableDnsHostnames")["EnableDnsHostnames"], {"Value": True})
    same(EC2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute="enableNetworkAddressUsageMetrics")["EnableNetworkAddressUsageMetrics"], {"Value": False})
    fails("InvalidVpcID.NotFound", EC2.describe_vpcs, VpcIds=["vpc-0123456789abcdef0"],
          message="The vpc ID 'vpc-0123456789abcdef0' does not exist")
    fails("InvalidVpcID.NotFound", EC2.describe_vpc_attribute, VpcId="vpc-12345678", Attribute="enableDnsSupport")
    subnet = EC2.describe_subnets(**named("vpc-id", vpc["VpcId"]))["Subnets"][0]
    same((subnet["CidrBlock"], subnet["AvailableIpAddressCount"], subnet["DefaultForAz"], subnet["MapPublicIpOnLaunch"], subnet["AvailabilityZone"]),
         ("172.31.0.0/20", 4091, True, True, FACTS["zone"]))
    identifier = run()[0]
    same(EC2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"][0]["AvailableIpAddressCount"], 4090)
    fails("InvalidSubnetID.NotFound", EC2.describe_subnets, SubnetIds=["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
          message="The subnet IDs 'subnet-0123456789abcdef0, subnet-0123456789abcdef1' do not exist")
    instance = wait(identifier, "running")
    port = EC2.describe_network_interfaces()["NetworkInterfaces"]
    same(len(port), 1)
    port = port[0]
    same(port["Attachment"]["InstanceId"], identifier)
    same(port["PrivateIpAddress"], instance["PrivateIpAddress"])
    same(port["Association"]["PublicIp"], instance["PublicIpAddress"])
    same((port["Status"], port["InterfaceType"], port["RequesterManaged"], port["OwnerId"]), ("in-use", "interface", False, ALICE))
    for name, value in [("subnet-id", subnet["SubnetId"]), ("mac-address", port["MacAddress"]), ("group-name", "default"),
                        ("association.public-ip", "198.18.*"), ("private-dns-name", port["PrivateDnsName"])]:
        same(len(EC2.describe_network_interfaces(**named(name, value))["NetworkInterfaces"]), 1)
    fails("InvalidNetworkInterfaceID.NotFound", EC2.describe_network_interfaces, NetworkInterfaceIds=["eni-0123456789abcdef0"])


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


def regions():
    same(EC2.describe_regions()["Regions"][0]["RegionName"], FACTS["region"])
    same(EC2.describe_regions(**named("region-name", "none"))["Regions"], [])
    fails("InvalidParameterValue", EC2.describe_regions, RegionNames=["mars-1"])
    zone = EC2.describe_availability_zones()["AvailabilityZones"]
    same([(entry["ZoneName"], entry["State"], entry["RegionName"], entry["ZoneType"]) for entry in zone],
         [(FACTS["zone"], "available", FACTS["region"], "availability-zone")])
    same(len(EC2.describe_availability_zones(ZoneIds=[zone[0]["ZoneId"]])["AvailabilityZones"]), 1)
    fails("InvalidParameterValue", EC2.describe_availability_zones, ZoneNames=["nowhere"], message="Invalid availability zone: [nowhere]")
    attributes = {entry["AttributeName"]: entry["AttributeValues"][0]["AttributeValue"] for entry in EC2.describe_account_attributes()["AccountAttributes"]}
    same(attributes, {"supported-platforms": "VPC", "default-vpc": EC2.describe_vpcs()["Vpcs"][0]["VpcId"]})
    same(len(EC2.describe_account_attributes(AttributeNames=["default-vpc"])["AccountAttributes"]), 1)


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


def errors():
    fails("InvalidInstanceID.NotFound", EC2.describe_instances, InstanceIds=["i-0123456789abcdef0"],
          message="The instance ID 'i-0123456789abcdef0' does not exist")
    fails("InvalidInstanceID.NotFound", EC2.terminate_instances, InstanceIds=["i-0123456789abcdef0", "i-0123456789abcdef1"],
          message="The instance IDs 'i-0123456789abcdef0, i-0123456789abcdef1' do not exist")
    fails("InvalidInstanceID.NotFound", EC2.describe_instances, InstanceIds=["i-1234abcd", "i-1123456789abcdef0"],
          message="The instance IDs 'i-1234abcd, i-1123456789abcdef0' do not exist")
    for text in ("nonsense", "i-", "i-xyz", "i-0123456789ABCDEF0", "i-0123456789abcdef", "vol-0123456789abcdef0", "i-" + "0" * 4000):
        fails("InvalidInstanceID.Malformed", EC2.describe_instances, InstanceIds=[text])
    fails("InvalidParameterValue", EC2.describe_instances, **named("nonsense", "x"), message="The filter 'nonsense' is invalid")
    fails("InvalidParameterValue", EC2.describe_instances, **named("instance-id", *["x"] * 201))
    fails("InvalidParameterValue", EC2.describe_instances, Filters=[dict(Name="instance-id")])
    fails("UnsupportedOperation", EC2.stop_instances, InstanceIds=["i-0123456789abcdef0"], Hibernate=True)
    fails("MissingParameter", EC2.stop_instances, InstanceIds=[])
    # Operations of the model that are not built.
    fails("UnsupportedOperation", EC2.create_vpc, CidrBlock="10.0.0.0/16")
    fails("DryRunOperation", EC2.describe_instances, DryRun=True, status=412)
    same(raw(dict(Action="Nonsense"))[:2], (400, "InvalidAction"))
    same(raw(dict())[1], "MissingParameter")
    same(raw(dict(Action="DescribeInstances", Nonsense="1"))[:2], (400, "UnknownParameter"))
    same(raw([("Action", "DescribeInstances"), ("Action", "DescribeVpcs")])[:2], (400, "MalformedQueryString"))
    same(raw(dict(Action="DescribeInstances", Padding="x" * (1 << 20)))[:2], (413, "RequestEntityTooLarge"))
    status, code, body, headers = raw(dict(Action="DescribeInstances"))
    same((status, code), (200, None))
    same(headers["Content-Type"], "text/xml;charset=UTF-8")
    assert len(headers["x-amzn-RequestId"]) == 36 and headers["x-amzn-RequestId"] in body


def raw(parameters, who="alice", service="ec2", path="/", method="POST", headers=None, tamper=None, region=None, query=False):
    """One signed call without a client: status, code, body, headers."""
    text = urllib.parse.urlencode(parameters)
    pair = FACTS["credentials"][who]
    url = FACTS["endpoint"] + path
    data = text if method == "POST" else ""
    if method == "GET":
        url += "?" + text
    request = AWSRequest(method=method, url=url, data=data, headers={"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})
    signer = SigV4QueryAuth if query else SigV4Auth
    signer(Credentials(pair["key"], pair["secret"]), service, region or FACTS["region"]).add_auth(request)
    if tamper:
        tamper(request)
    sent = urllib.request.Request(request.url, data=request.data.encode() if isinstance(request.data, str) and method == "POST" else None,
                                  headers=dict(request.headers), method=method)
    try:
        with urllib.request.urlopen(sent, timeout=60) as answer:
            return answer.status, None, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        body = error.read().decode()
        return error.code, body.split("<Code>")[1].split("</Code>")[0], body, error.headers


def policies():
    identifier = run()[0]
    reader = client("reader")
    same(one(identifier, reader)["InstanceId"], identifier)
    message = fails("UnauthorizedOperation", reader.terminate_instances, InstanceIds=[identifier], status=403)
    assert message.startswith("You are not authorized to perform this operation. User: arn:aws:iam::"), message
    assert "ec2:TerminateInstances" in message, message
    fails("UnauthorizedOperation", run, who=reader)
    fails("UnauthorizedOperation", run, who=reader, DryRun=True)
    fails("UnauthorizedOperation", reader.create_key_pair, KeyName="x", KeyType="ed25519")
    fails("UnauthorizedOperation", reader.create_security_group, GroupName="x", Description="x")
    fails("UnauthorizedOperation", reader.create_tags, Resources=[identifier], Tags=[dict(Key="a", Value="b")])


def isolation():
    bob = client("bob")
    EC2.create_key_pair(KeyName="alice", KeyType="ed25519")
    key = EC2.describe_key_pairs()["KeyPairs"][0]["KeyPairId"]
    instance = run(TagSpecifications=[dict(ResourceType="instance", Tags=[dict(Key="Name", Value="secret")])])[0]
    facts = wait(instance, "running")
    vpc, subnet, port = facts["VpcId"], facts["SubnetId"], facts["NetworkInterfaces"][0]["NetworkInterfaceId"]
    volume = facts["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    group = EC2.create_security_group(GroupName="alice", Description="alice", VpcId=vpc)["GroupId"]
    rule = EC2.describe_security_group_rules(**named("group-id", group))["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    own_group = bob.create_security_group(GroupName="bob", Description="bob")["GroupId"]
    own = run(who=bob)[0]
    wait(own, "running", bob)
    cidr = dict(IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp="10.0.0.0/8")
    update = [dict(SecurityGroupRuleId=rule, SecurityGroupRule=dict(IpProtocol="-1", CidrIpv4="0.0.0.0/0"))]
    descriptions = [dict(SecurityGroupRuleId=rule, Description="x")]
    nobody = {"i": "InvalidInstanceID.NotFound", "sg": "InvalidGroup.NotFound", "vpc": "InvalidVpcID.NotFound", "subnet": "InvalidSubnetID.NotFound",
              "vol": "InvalidVolume.NotFound", "eni": "InvalidNetworkInterfaceID.NotFound", "key": "InvalidKeyPair.NotFound",
              "sgr": "InvalidSecurityGroupRuleId.NotFound"}
    tried = [
        ("describe_instances", dict(InstanceIds=[instance]), "i"), ("start_instances", dict(InstanceIds=[instance]), "i"),
        ("stop_instances", dict(InstanceIds=[instance]), "i"), ("reboot_instances", dict(InstanceIds=[instance]), "i"),
        ("terminate_instances", dict(InstanceIds=[own, instance]), "i"), ("describe_instance_status", dict(InstanceIds=[instance]), "i"),
        ("get_console_output", dict(InstanceId=instance), "i"), ("describe_instance_credit_specifications", dict(InstanceIds=[instance]), "i"),
        ("modify_instance_attribute", dict(InstanceId=instance, DisableApiTermination=dict(Value=True)), "i"),
        ("modify_instance_attribute", dict(InstanceId=own, Groups=[group]), "sg"),
        ("run_instances", dict(ImageId=IMAGE, MinCount=1, MaxCount=1, SecurityGroupIds=[group]), "sg"),
        ("run_instances", dict(ImageId=IMAGE, MinCount=1, MaxCount=1, SubnetId=subnet), "subnet"),
        ("run_instances", dict(ImageId=IMAGE, MinCount=1, MaxCount=1, KeyName="alice"), "key"),
        ("describe_volumes", dict(VolumeIds=[volume]), "vol"), ("describe_key_pairs", dict(KeyPairIds=[key]), "key"),
        ("describe_key_pairs", dict(KeyNames=["alice"]), "key"), ("describe_security_groups", dict(GroupIds=[group]), "sg"),
        ("describe_security_groups", dict(GroupNames=["alice"]), "sg"), ("describe_security_group_rules", dict(SecurityGroupRuleIds=[rule]), "sgr"),
        ("delete_security_group", dict(GroupId=group), "sg"), ("authorize_security_group_ingress", dict(GroupId=group, **cidr), "sg"),
        ("authorize_security_group_ingress", dict(GroupId=own_group, IpPermissions=[dict(IpProtocol="-1", UserIdGroupPairs=[dict(GroupId=group)])]), "sg"),
        ("authorize_security_group_egress", dict(GroupId=group, **cidr), "sg"), ("revoke_security_group_ingress", dict(GroupId=group, **cidr), "sg"),
        ("revoke_security_group_egress", dict(GroupId=group, SecurityGroupRuleIds=[rule]), "sg"),
        ("revoke_security_group_egress", dict(GroupId=own_group, SecurityGroupRuleIds=[rule]), "sgr"),
        ("modify_security_group_rules", dict(GroupId=group, SecurityGroupRules=update), "sg"),
        ("modify_security_group_rules", dict(GroupId=own_group, SecurityGroupRules=update), "sgr"),
        ("update_security_group_rule_descriptions_ingress", dict(GroupId=group, SecurityGroupRuleDescriptions=descriptions), "sg"),
        ("update_security_group_rule_descriptions_egress", dict(GroupId=own_group, SecurityGroupRuleDescriptions=descriptions), "sgr"),
        ("create_security_group", dict(GroupName="x", Description="x", VpcId=vpc), "vpc"), ("describe_vpcs", dict(VpcIds=[vpc]), "vpc"),
        ("describe_vpc_attribute", dict(VpcId=vpc, Attribute="enableDnsSupport"), "vpc"), ("describe_subnets", dict(SubnetIds=[subnet]), "subnet"),
        ("describe_network_interfaces", dict(NetworkInterfaceIds=[port]), "eni"),
    ]
    for attribute in ("userData", "instanceType", "groupSet", "disableApiStop"):
        tried.append(("describe_instance_attribute", dict(InstanceId=instance, Attribute=attribute), "i"))
    for thing, kind in ((instance, "i"), (volume, "vol"), (port, "eni"), (group, "sg"), (rule, "sgr"), (vpc, "vpc"), (subnet, "subnet"), (key, "key")):
        tried.append(("create_tags", dict(Resources=[thing], Tags=[dict(Key="x", Value="y")]), kind))
        tried.append(("delete_tags", dict(Resources=[thing]), kind))
    for name, parameters, kind in tried:
        fails(nobody[kind], getattr(bob, name), **parameters)
    # Image ids are taken by DescribeImages and RunInstances; public ones are everybody's, so a tag of one is the test.
    fails("InvalidAMIID.NotFound", EC2.create_tags, Resources=[IMAGE], Tags=[dict(Key="x", Value="y")])
    same(bob.delete_key_pair(KeyPairId=key)["Return"], True)
    # Every operation that takes an id was tried.
    takes = {operation for operation in BUILT if operation not in LISTS}
    same(takes - {method_of(name) for name, _, _ in tried}, set())

    # Lists show only one's own.
    def texts(answer):
        return json.dumps(answer, default=str)

    lists = [bob.describe_instances, bob.describe_volumes, bob.describe_network_interfaces, bob.describe_security_groups,
             bob.describe_security_group_rules, bob.describe_key_pairs, bob.describe_vpcs, bob.describe_subnets, bob.describe_tags,
             bob.describe_instance_status, bob.describe_images, bob.describe_account_attributes]
    for call in lists:
        text = texts(call())
        for thing in (instance, volume, port, group, rule, vpc, subnet, key, "secret"):
            assert thing not in text, f"{call.__name__} shows {thing}"
    for name, value in (("tag:Name", "secret"), ("vpc-id", vpc), ("instance-id", instance)):
        same(bob.describe_instances(**named(name, value))["Reservations"], [])
    same(bob.describe_tags(**named("resource-id", instance))["Tags"], [])
    same(bob.describe_security_group_rules(**named("group-id", group))["SecurityGroupRules"], [])
    # And nothing was touched.
    after = one(instance)
    same(after["State"]["Name"], "running")
    same(tags(after["Tags"]), {"Name": "secret"})
    same(one(own, bob)["State"]["Name"], "running")
    same(len(EC2.describe_security_group_rules(**named("group-id", group))["SecurityGroupRules"]), 1)
    same(EC2.describe_key_pairs()["KeyPairs"][0]["KeyPairId"], key)


def method_of(name):
    return EC2.meta.method_to_api_mapping[name]


# Operations that take no id of a thing, or for which a foreign id is no error.
LISTS = {"DescribeRegions", "DescribeAvailabilityZones", "DescribeAccountAttributes", "DescribeInstanceTypes", "DescribeInstanceTypeOfferings",
         "DescribeTags", "CreateKeyPair", "ImportKeyPair", "DeleteKeyPair", "DescribeImages"}
BUILT = set(FACTS.get("operations", []))


def signatures():
    call = dict(Action="DescribeVpcs", Version="2016-11-15")
    same(raw(call)[0], 200)
    # A region and a service that the client made up, as old clients do, at the old paths.
    same(raw(call, path="/services/compute", service="0", region="127")[0], 200)
    same(raw(call, path="/services/Eucalyptus/", service="127", region="undefined-4711")[0], 200)
    same(raw(dict(Action="GetCallerIdentity"), path="/services/Tokens", service="0", region="127")[0], 200)
    same(raw(call, headers={"Host": "ec2.karri.example:8773"})[0], 200)
    same(raw(dict(Action="GetCallerIdentity"), service="x", headers={"Host": "sts.karri.example"})[0], 200)
    same(raw(dict(Action="ListUsers"), path="/services/Euare", service="iam")[1], "UnsupportedOperation")
    # Presigned.
    same(raw(call, method="GET", query=True)[0], 200)
    same(raw(call, method="GET")[0], 200)

    def spoil(request):
        request.url = request.url.replace("DescribeVpcs", "DescribeTags")

    same(raw(call, method="GET", query=True, tamper=spoil)[:2], (401, "AuthFailure"))

    def other_body(request):
        request.data = request.data.replace("DescribeVpcs", "DescribeTags")
        request.headers["Content-Length"] = str(len(request.data))

    same(raw(call, tamper=other_body)[:2], (401, "AuthFailure"))
    FACTS["credentials"]["wrong"] = dict(FACTS["credentials"]["alice"], secret="x" * 40)
    same(raw(call, who="wrong")[:2], (401, "AuthFailure"))
    same(raw(dict(Action="GetCallerIdentity"), who="wrong", service="sts")[:2], (403, "SignatureDoesNotMatch"))
    FACTS["credentials"]["unknown"] = dict(key="AKIAUNKNOWNUNKNOWN22", secret="x" * 40)
    same(raw(call, who="unknown")[:2], (401, "AuthFailure"))
    same(raw(dict(Action="GetCallerIdentity"), who="unknown", service="sts")[:2], (403, "InvalidClientTokenId"))

    import datetime
    from botocore import auth

    def aged(minutes, **more):
        real = auth.get_current_datetime
        auth.get_current_datetime = lambda *a, **k: real(*a, **k) + datetime.timedelta(minutes=minutes)
        try:
            return raw(call, **more)[:2]
        finally:
            auth.get_current_datetime = real

    same(aged(-20), (400, "RequestExpired"))
    same(aged(20), (400, "RequestExpired"))
    same(aged(-10), (200, None))
    same(aged(-70, method="GET", query=True), (400, "RequestExpired"))
    for path in ("/", "/services/compute"):
        try:
            urllib.request.urlopen(FACTS["endpoint"] + path + "?Action=DescribeVpcs", timeout=30)
            raise AssertionError("an unsigned call was answered")
        except urllib.error.HTTPError as error:
            same(error.code, 403)
            assert "<Code>MissingAuthenticationToken</Code>" in error.read().decode()


def sts():
    identity = client(service="sts").get_caller_identity()
    same(identity["Account"], ALICE)
    same(identity["Arn"], f"arn:aws:iam::{ALICE}:user/admin")
    assert identity["UserId"].startswith("AIDA")
    same(client("reader", "sts").get_caller_identity()["Arn"], f"arn:aws:iam::{ALICE}:user/reader")
    fails("UnsupportedOperation", client(service="sts").get_session_token)


STORIES = dict(
    instances=instances, launch=launch, attributes=attributes, status=status, keys=keys, groups=groups, rules=rules, tags=tags_,
    networks=networks, types=types, images=images, regions=regions, paging=paging, errors=errors, policies=policies,
    isolation=isolation, signatures=signatures, sts=sts)
STORIES[sys.argv[1]]()
