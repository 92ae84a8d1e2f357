"""Who may call what, and what they hear who may not."""

from support import *



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
    # What is everybody's to use is its owner's to remove.
    said = fails("AuthFailure", EC2.deregister_image, ImageId=IMAGE, status=403)
    same(said, f"Not authorized for image:{IMAGE}")
    fails("InvalidAMIID.NotFound", EC2.create_tags, Resources=[IMAGE], Tags=[dict(Key="x", Value="y")])
    same(bob.delete_key_pair(KeyPairId=key)["Return"], True)
    # Every operation that takes an id was tried.
    takes = {operation for operation in BUILT if operation not in LISTS}
    same(takes - {method_of(name) for name, _, _ in tried} - {"DeregisterImage"}, set())

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


def replays():
    """A cloud that takes no changing call's signature twice, not even at once."""
    version = dict(Version="2016-11-15")
    stop = signed(dict(Action="StopInstances", **{"InstanceId.1": run()[0]}, **version))
    made = signed(dict(Action="CreateSecurityGroup", GroupName="once", GroupDescription="once", **version))
    launch = dict(Action="RunInstances", ImageId=IMAGE, MinCount="1", MaxCount="1", **version)
    bare, marked = signed(launch), signed(dict(launch, ClientToken="token-of-this"))
    shown = signed(dict(Action="DescribeVpcs", **version))
    asked = signed(dict(launch, DryRun="true"))
    for request in (stop, made, bare):
        first, second = send(request), send(request)
        assert second[:2] == (400, "RequestExpired") and "used before" in second[2], (first[:2], second)
    same(send(bare)[1], "RequestExpired")
    same(len(found()), 2)
    # A token makes it the same launch, and what only looks may be looked at again.
    same([send(marked)[0] for _ in range(3)], [200] * 3)
    same(len(found()), 3)
    same([send(shown)[0] for _ in range(3)], [200] * 3)
    same([send(asked)[1] for _ in range(2)], ["DryRunOperation"] * 2)
    # Signed anew, in another second, it is another call.
    time.sleep(1.1)
    same(raw(launch)[0], 200)
    # By query as by header, and whoever has the wrong secret learns nothing of what was used.
    by_query = signed(dict(Action="CreateSecurityGroup", GroupName="twice", GroupDescription="twice", **version), method="GET", query=True)
    same([send(by_query)[1] for _ in range(2)], [None, "RequestExpired"])
    FACTS["credentials"]["wrong"] = dict(FACTS["credentials"]["alice"], secret="x" * 40)
    forged = signed(launch, who="wrong")
    same([send(forged)[:2] for _ in range(2)], [(401, "AuthFailure")] * 2)


def throttle():
    """A cloud that lets five calls through at once and then next to none; each service says it in its own words."""
    answers = [raw(dict(Action="DescribeVpcs"))[:2] for _ in range(8)]
    same(answers, [(200, None)] * 5 + [(503, "RequestLimitExceeded")] * 3)
    same(raw(dict(Action="GetCallerIdentity"), service="sts")[1], "Throttling")


def refusals():
    """Each kind of refusal many times: an error that is freed twice shows itself only then."""
    FACTS["credentials"]["wrong"] = dict(FACTS["credentials"]["alice"], secret="x" * 40)
    sent = [
        (dict(Action="DescribeInstances", **{"InstanceId.1": "i-0123456789abcdef0"}), "ec2", "alice", "InvalidInstanceID.NotFound"),
        (dict(Action="StopInstances", **{"InstanceId.1": "i-0123456789abcdef0"}), "ec2", "alice", "InvalidInstanceID.NotFound"),
        (dict(Action="DescribeInstances", **{"InstanceId.1": "x"}), "ec2", "alice", "InvalidInstanceID.Malformed"),
        (dict(Action="DescribeInstances", DryRun="true"), "ec2", "alice", "DryRunOperation"),
        (dict(Action="DescribeInstances", Nonsense="1"), "ec2", "alice", "UnknownParameter"),
        (dict(Action="CreateVpc"), "ec2", "alice", "UnsupportedOperation"),
        (dict(Action="Nonsense"), "ec2", "alice", "InvalidAction"),
        (dict(Action="DescribeInstances"), "ec2", "wrong", "AuthFailure"),
        (dict(Action="GetSessionToken"), "sts", "alice", "UnsupportedOperation"),
        (dict(Action="GetCallerIdentity", Nonsense="1"), "sts", "alice", "ValidationError"),
        (dict(Action="GetCallerIdentity"), "sts", "wrong", "SignatureDoesNotMatch"),
        (dict(Action="ListUsers"), "iam", "alice", "UnsupportedOperation"),
    ]
    for parameters, service, who, code in sent:
        for _ in range(60):
            same(raw(parameters, who=who, service=service)[1], code)
