"""Networks, groups, keys, tags and where all that is."""

from support import *



def convert(public, form):
    with tempfile.NamedTemporaryFile() as file:
        file.write(public)
        file.flush()
        return subprocess.run(["ssh-keygen", "-e", "-m", form, "-f", file.name], check=True, capture_output=True).stdout


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
