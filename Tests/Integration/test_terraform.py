"""The calls of Terraform's AWS provider for an instance, a key pair and a security group, in its
order: create, read, update, delete, and what it waits for. Terraform itself is in neither registry
that the tests install from."""

import base64
import subprocess

import botocore.exceptions
import pytest


def fails(code, call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        call(**parameters)
    assert refused.value.response["Error"]["Code"] == code, refused.value.response["Error"]


@pytest.fixture(scope="module")
def image(simulated):
    image = simulated.karri("image", "import", "/dev/null", "--name", "planned").strip().splitlines()[-1]
    simulated.eventually(lambda: simulated.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available")
    return image


def tags(kind):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": "planned"}]}]


def read_group(ec2, group):
    """The finder of aws_security_group, and its two lists of rules."""
    [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return found


def test_aws_key_pair(simulated, tmp_path):
    ec2 = simulated.ec2
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True, timeout=60)
    public = (tmp_path / "key.pub").read_bytes()
    made = ec2.import_key_pair(KeyName="planned", PublicKeyMaterial=public, TagSpecifications=tags("key-pair"))
    assert made["KeyName"] == "planned" and made["KeyPairId"].startswith("key-") and made["KeyFingerprint"]
    [key] = ec2.describe_key_pairs(KeyNames=["planned"], IncludePublicKey=True)["KeyPairs"]
    assert key["KeyType"] == "ed25519" and key["Tags"] == [{"Key": "Name", "Value": "planned"}]
    assert key["PublicKey"].split()[1] == public.decode().split()[1]
    assert key["KeyFingerprint"] == made["KeyFingerprint"]
    ec2.delete_key_pair(KeyName="planned")
    fails("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=["planned"])


def test_aws_security_group(simulated):
    ec2 = simulated.ec2
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    made = ec2.create_security_group(
        GroupName="planned", Description="Managed by Terraform", VpcId=vpc["VpcId"], TagSpecifications=tags("security-group"))
    group = made["GroupId"]
    found = read_group(ec2, group)
    assert (found["VpcId"], found["Description"]) == (vpc["VpcId"], "Managed by Terraform")
    # What EC2 allows by itself is taken away before the plan's own rules come.
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[
        {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "ssh"}]}
    own = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 90, "UserIdGroupPairs": [{"GroupId": group}]}
    out = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh, own])
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[out])
    found = read_group(ec2, group)
    assert {(rule["FromPort"], rule["ToPort"]) for rule in found["IpPermissions"]} == {(22, 22), (80, 90)}
    assert [rule["IpProtocol"] for rule in found["IpPermissionsEgress"]] == ["-1"]
    # An update revokes what the plan has no more and adds what it has now; tags by difference.
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[ssh])
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[dict(ssh, FromPort=2222, ToPort=2222)])
    ec2.create_tags(Resources=[group], Tags=[{"Key": "Stage", "Value": "test"}])
    ec2.delete_tags(Resources=[group], Tags=[{"Key": "Name", "Value": "planned"}])
    found = read_group(ec2, group)
    assert found["Tags"] == [{"Key": "Stage", "Value": "test"}]
    assert {rule["FromPort"] for rule in found["IpPermissions"]} == {80, 2222}
    # Interfaces that others left in it are looked for before it goes.
    assert ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [group]}])["NetworkInterfaces"] == []
    ec2.delete_security_group(GroupId=group)
    fails("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[group])


def test_aws_instance(simulated, image):
    ec2 = simulated.ec2
    [described] = ec2.describe_images(ImageIds=[image])["Images"]
    root = described["RootDeviceName"]
    parameters = dict(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, ClientToken="terraform-0123456789",
        DisableApiTermination=True, InstanceInitiatedShutdownBehavior="stop", EbsOptimized=False,
        # boto3 encodes user data itself.
        Monitoring={"Enabled": False}, UserData="#!/bin/sh\necho hi\n",
        BlockDeviceMappings=[{"DeviceName": root, "Ebs": {"DeleteOnTermination": True, "VolumeSize": 3, "VolumeType": "gp3"}}],
        TagSpecifications=tags("instance") + tags("volume"))
    name = ec2.run_instances(**parameters)["Instances"][0]["InstanceId"]
    assert ec2.run_instances(**parameters)["Instances"][0]["InstanceId"] == name

    def read():
        [instance] = simulated.instances([name])
        return instance

    simulated.eventually(lambda: read()["State"]["Name"] == "running", seconds=60)
    instance = read()
    [kind] = ec2.describe_instance_types(InstanceTypes=[instance["InstanceType"]])["InstanceTypes"]
    assert kind["BurstablePerformanceSupported"] is True
    volumes = [mapping["Ebs"]["VolumeId"] for mapping in instance["BlockDeviceMappings"]]
    [volume] = ec2.describe_volumes(VolumeIds=volumes)["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (3, "gp3", False)

    def attribute(which):
        return ec2.describe_instance_attribute(InstanceId=name, Attribute=which)

    assert attribute("instanceInitiatedShutdownBehavior")["InstanceInitiatedShutdownBehavior"]["Value"] == "stop"
    assert attribute("disableApiTermination")["DisableApiTermination"]["Value"] is True
    assert attribute("disableApiStop")["DisableApiStop"]["Value"] is False
    assert base64.b64decode(attribute("userData")["UserData"]["Value"]) == b"#!/bin/sh\necho hi\n"
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": volumes}])["Tags"]
    assert [(tag["Key"], tag["Value"]) for tag in found] == [("Name", "planned")]
    [vpc] = ec2.describe_vpcs(VpcIds=[instance["VpcId"]])["Vpcs"]
    assert vpc["IsDefault"] is True
    for which, name_of in [("enableDnsSupport", "EnableDnsSupport"), ("enableDnsHostnames", "EnableDnsHostnames"),
                           ("enableNetworkAddressUsageMetrics", "EnableNetworkAddressUsageMetrics")]:
        assert isinstance(ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=which)[name_of]["Value"], bool)
    [credits] = ec2.describe_instance_credit_specifications(InstanceIds=[name])["InstanceCreditSpecifications"]
    assert credits["CpuCredits"] in ("standard", "unlimited")
    # A plan that differs in nothing reads the same; what differs is changed in place, or by a stop and a start.
    ec2.modify_instance_attribute(InstanceId=name, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    assert attribute("instanceInitiatedShutdownBehavior")["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    ec2.stop_instances(InstanceIds=[name])
    simulated.eventually(lambda: read()["State"]["Name"] == "stopped", seconds=60)
    ec2.modify_instance_attribute(InstanceId=name, InstanceType={"Value": "t3.small"})
    ec2.start_instances(InstanceIds=[name])
    simulated.eventually(lambda: read()["State"]["Name"] == "running", seconds=60)
    assert read()["InstanceType"] == "t3.small"

    # Its removal: the protection off, then gone, and its volume with it.
    fails("OperationNotPermitted", ec2.terminate_instances, InstanceIds=[name])
    ec2.modify_instance_attribute(InstanceId=name, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[name])
    simulated.eventually(lambda: read()["State"]["Name"] == "terminated", seconds=60)
    fails("InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=volumes)
    # What the provider takes for "not offered here".
    fails("UnsupportedOperation", ec2.describe_launch_templates, LaunchTemplateIds=["lt-0123456789abcdef0"])
