"""Clients of EC2's earlier versions: boto 2, and what euca2ools sends and how it reads the answers
(its parser, requestbuilder, over the calls that its commands make; euca2ools itself is Python 2's)."""

import base64
import io
import urllib.error
import urllib.parse
import urllib.request

import boto.ec2.connection
import boto.exception
import boto.regioninfo
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
import requestbuilder.xmlparse

# What euca2ools' commands name as the lists of their answers.
LISTS = {
    "DescribeInstances": ["reservationSet", "instancesSet", "groupSet", "tagSet", "blockDeviceMapping", "productCodes",
                          "networkInterfaceSet", "privateIpAddressesSet"],
    "RunInstances": ["reservationSet", "instancesSet", "groupSet", "tagSet", "blockDeviceMapping", "productCodes",
                     "networkInterfaceSet", "privateIpAddressesSet"],
    "DescribeImages": ["imagesSet", "productCodes", "blockDeviceMapping", "tagSet"],
    "DescribeInstanceTypes": ["instanceTypeDetails", "availability"],
    "DescribeAvailabilityZones": ["availabilityZoneInfo", "messageSet"],
    "DescribeKeyPairs": ["keySet"], "DescribeVolumes": ["volumeSet", "attachmentSet", "tagSet"],
    "DescribeSecurityGroups": ["securityGroupInfo", "ipPermissions", "ipPermissionsEgress", "groups", "ipRanges", "tagSet"],
    "DescribeTags": ["tagSet"], "DescribeRegions": ["regionInfo"], "TerminateInstances": ["instancesSet"],
    "StopInstances": ["instancesSet"], "StartInstances": ["instancesSet"], "DescribeInstanceStatus": ["instanceStatusSet", "details"],
}


@pytest.fixture(scope="module")
def starter(simulated):
    image = simulated.karri("image", "import", "/dev/null", "--name", "older").strip().splitlines()[-1]
    simulated.eventually(lambda: simulated.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available")
    return image


@pytest.fixture
def boto2(simulated):
    region = boto.regioninfo.RegionInfo(name=simulated.region, endpoint="127.0.0.1")
    return boto.ec2.connection.EC2Connection(
        simulated.key, simulated.secret, is_secure=False, port=simulated.port, region=region, path="/services/compute")


@pytest.fixture
def euca(simulated):
    """Sends one call as euca2ools 3.4 does and reads the answer as it does."""

    def call(action, version="2015-10-01", **parameters):
        form = {"Action": action, "Version": version}
        form.update({name.replace("_", "."): value for name, value in parameters.items()})
        body = urllib.parse.urlencode(form)
        request = botocore.awsrequest.AWSRequest(
            "POST", f"http://127.0.0.1:{simulated.port}/services/compute", data=body,
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8", "Accept": "*/*",
                     "Accept-Encoding": "identity"})
        # Without a region euca2ools makes one up.
        botocore.auth.SigV4Auth(
            botocore.credentials.Credentials(simulated.key, simulated.secret), "ec2", "undefined-4711").add_auth(request)
        sent = urllib.request.Request(request.url, data=body.encode(), headers=dict(request.headers))
        with urllib.request.urlopen(sent, timeout=60) as answer:
            text = answer.read()
        assert f'xmlns="http://ec2.amazonaws.com/doc/{version}/"'.encode() in text
        parsed = requestbuilder.xmlparse.parse_listdelimited_aws_xml(io.BytesIO(text), LISTS.get(action, []))
        [(name, result)] = parsed.items()
        assert name == f"{action}Response"
        return result

    return call


def test_boto2_lives_a_machines_life(simulated, boto2, starter):
    assert boto2.APIVersion == "2014-10-01"
    assert [zone.name for zone in boto2.get_all_zones()] == [simulated.region + "a"]
    assert [region.name for region in boto2.get_all_regions()] == [simulated.region]
    key = boto2.create_key_pair("boto2")
    assert key.material.startswith("-----BEGIN RSA PRIVATE KEY-----")
    group = boto2.create_security_group("boto2", "of old")
    assert group.authorize("tcp", 22, 22, "10.0.0.0/8")
    [found] = boto2.get_all_security_groups(group_ids=[group.id])
    assert [(rule.ip_protocol, rule.from_port, str(rule.grants[0])) for rule in found.rules] == [("tcp", "22", "10.0.0.0/8")]
    [image] = boto2.get_all_images([starter])
    assert (image.state, image.type, image.root_device_type) == ("available", "machine", "ebs")
    reservation = boto2.run_instances(
        starter, min_count=2, max_count=2, key_name="boto2", security_group_ids=[group.id], instance_type="m1.small",
        user_data="#!/bin/sh")
    ids = [instance.id for instance in reservation.instances]
    simulated.eventually(lambda: all(
        instance.state == "running" for instance in boto2.get_only_instances(ids)), seconds=60)
    first, second = boto2.get_only_instances(ids)
    assert first.ip_address and first.private_ip_address and first.image_id == starter and first.key_name == "boto2"
    assert first.groups[0].id == group.id and first.root_device_type == "ebs"
    first.add_tag("Name", "old")
    assert [one.id for one in boto2.get_only_instances(filters={"tag:Name": "old"})] == [first.id]
    assert base64.b64decode(boto2.get_instance_attribute(first.id, "userData")["userData"]) == b"#!/bin/sh"
    assert boto2.get_all_volumes(filters={"attachment.instance-id": first.id})[0].attach_data.device == first.root_device_name
    assert boto2.get_all_instance_status([first.id])[0].state_name == "running"
    boto2.get_console_output(first.id)
    boto2.stop_instances([first.id])
    simulated.eventually(lambda: boto2.get_only_instances([first.id])[0].state == "stopped", seconds=60)
    boto2.start_instances([first.id])
    simulated.eventually(lambda: boto2.get_only_instances([first.id])[0].state == "running", seconds=60)
    boto2.reboot_instances([second.id])
    with pytest.raises(boto.exception.EC2ResponseError) as refused:
        boto2.get_only_instances(["i-12345678"])
    assert refused.value.error_code == "InvalidInstanceID.NotFound" and refused.value.request_id
    boto2.terminate_instances(ids)
    simulated.eventually(lambda: all(one.state == "terminated" for one in boto2.get_only_instances(ids)), seconds=60)
    assert group.delete() and boto2.delete_key_pair("boto2")


def test_euca2ools_lives_a_machines_life(simulated, euca, starter):
    [zone] = euca("DescribeAvailabilityZones")["availabilityZoneInfo"]
    assert (zone["zoneName"], zone["zoneState"]) == (simulated.region + "a", "available")
    assert euca("CreateKeyPair", KeyName="euca")["keyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert [key["keyName"] for key in euca("DescribeKeyPairs", KeyName_1="euca")["keySet"]] == ["euca"]
    # `euca-describe-images` asks twice.
    assert starter in [image["imageId"] for image in euca("DescribeImages", Owner_1="self")["imagesSet"]]
    [image] = [image for image in euca("DescribeImages", ExecutableBy_1="self")["imagesSet"] if image["imageId"] == starter]
    assert (image["imageState"], image["imageType"], image["isPublic"]) == ("available", "machine", "false")
    made = euca("RunInstances", ImageId=starter, MinCount="1", MaxCount="1", KeyName="euca", InstanceType="m1.small",
                SecurityGroup_1="default", UserData=base64.b64encode(b"hello").decode())
    assert made["reservationId"].startswith("r-") and isinstance(made["groupSet"], list)
    [instance] = made["instancesSet"]
    name = instance["instanceId"]
    assert instance["launchTime"] and instance["placement"]["availabilityZone"] == simulated.region + "a"

    def now():
        [reservation] = euca("DescribeInstances", InstanceId_1=name)["reservationSet"]
        return reservation["instancesSet"][0]

    simulated.eventually(lambda: now()["instanceState"]["name"] == "running", seconds=60)
    shown = now()
    for key in ("imageId", "keyName", "amiLaunchIndex", "instanceType", "ipAddress", "privateIpAddress", "vpcId", "subnetId",
                "rootDeviceType", "virtualizationType", "hypervisor", "architecture"):
        assert shown.get(key), key
    assert shown["monitoring"]["state"] and shown["groupSet"][0]["groupId"]
    assert shown["blockDeviceMapping"][0]["ebs"]["volumeId"] and shown["networkInterfaceSet"][0]["networkInterfaceId"]
    assert shown["networkInterfaceSet"][0]["privateIpAddressesSet"][0]["primary"] == "true"
    euca("CreateTags", ResourceId_1=name, Tag_1_Key="Name", Tag_1_Value="euca")
    assert [tag["value"] for tag in euca("DescribeTags", Filter_1_Name="resource-id", Filter_1_Value_1=name)["tagSet"]] == ["euca"]
    [volume] = euca("DescribeVolumes", Filter_1_Name="attachment.instance-id", Filter_1_Value_1=name)["volumeSet"]
    assert volume["attachmentSet"][0]["instanceId"] == name
    assert euca("GetConsoleOutput", InstanceId=name)["instanceId"] == name
    [status] = euca("DescribeInstanceStatus", InstanceId_1=name)["instanceStatusSet"]
    assert status["instanceState"]["name"] == "running"
    [group] = euca("DescribeSecurityGroups", GroupName_1="default")["securityGroupInfo"]
    assert group["ownerId"] and group["ipPermissionsEgress"][0]["ipRanges"][0]["cidrIp"] == "0.0.0.0/0"
    assert euca("StopInstances", InstanceId_1=name)["instancesSet"][0]["currentState"]["name"] == "stopping"
    simulated.eventually(lambda: now()["instanceState"]["name"] == "stopped", seconds=60)
    euca("TerminateInstances", InstanceId_1=name)
    simulated.eventually(lambda: now()["instanceState"]["name"] == "terminated", seconds=60)
    euca("DeleteKeyPair", KeyName="euca")


@pytest.mark.parametrize("version", ["2015-10-01", "2014-06-15", "2009-11-30"])
def test_older_versions_get_eucalyptus_instance_types(euca, version):
    plain = euca("DescribeInstanceTypes", version=version)["instanceTypeDetails"]
    small = {kind["name"]: kind for kind in plain}["m1.small"]
    assert (small["cpu"], small["memory"], small["disk"]) == ("1", "1740", "0") and "availability" not in small
    [one] = euca("DescribeInstanceTypes", version=version, InstanceType_1="m1.large", Availability="true")["instanceTypeDetails"]
    [zone] = one["availability"]
    # Twenty simulated hosts, each a machine's worth or more.
    assert zone["zoneName"] and 0 < int(zone["available"]) <= int(zone["max"]) and int(zone["max"]) >= 20


def test_the_version_tells_eucalyptus_types_from_ec2s(simulated, euca):
    assert simulated.ec2.describe_instance_types(InstanceTypes=["t3.nano"])["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"] == 2
    with pytest.raises(urllib.error.HTTPError) as refused:
        euca("DescribeInstanceTypes", InstanceType_1="z9.huge")
    assert b"InvalidInstanceType" in refused.value.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        euca("DescribeInstanceTypes", Nonsense="1")
    assert b"UnknownParameter" in refused.value.read()
