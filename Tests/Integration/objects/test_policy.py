"""Bucket policies: what they may say, and what they let whom do ("Bucket policies for Amazon S3", Amazon S3
User Guide; "Actions, resources, and condition keys for Amazon S3", Service Authorization Reference)."""

import json

import botocore.exceptions
import pytest

from objects.wire import fill, new_name, read, refused, status


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(bucket, actions, effect="Allow", principal="*", resources=None, **more):
    resources = resources or [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {"Effect": effect, "Principal": principal, "Action": actions, "Resource": resources, **more}


@pytest.fixture
def say(s3):
    def put(bucket, *statements):
        s3.put_bucket_policy(Bucket=bucket, Policy=policy(*statements))

    return put


def may(client, name, **arguments):
    """Whether a call is let through; what else it is refused for does not matter."""
    try:
        getattr(client, name)(**arguments)
        return True
    except botocore.exceptions.ClientError as fault:
        return fault.response["ResponseMetadata"]["HTTPStatusCode"] != 403


def test_a_policy_is_set_read_and_removed(s3, wire, bucket):
    assert refused(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    text = policy(statement(bucket, "s3:GetObject"))
    assert status(s3.put_bucket_policy(Bucket=bucket, Policy=text)) == 204
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == json.loads(text)
    assert wire.get(f"/{bucket}", query="policy").headers["content-type"] == "application/json"
    assert status(s3.delete_bucket_policy(Bucket=bucket)) == 204
    assert refused(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    assert status(s3.delete_bucket_policy(Bucket=bucket)) == 204
    none = new_name()
    assert refused(s3.put_bucket_policy, Bucket=none, Policy=policy(statement(none, "s3:GetObject"))) == (404, "NoSuchBucket")


GOOD = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{bucket}/*"}
MALFORMED = [
    "", "nothing", "{}", "[]", '{"Version": "2012-10-17"}', '{"Statement": []}',
    dict(Version="2001-01-01", Statement=[GOOD]),
    dict(Statement=[{**GOOD, "Effect": "Maybe"}]),
    dict(Statement=[{key: value for key, value in GOOD.items() if key != "Effect"}]),
    dict(Statement=[{key: value for key, value in GOOD.items() if key != "Principal"}]),
    dict(Statement=[{key: value for key, value in GOOD.items() if key != "Action"}]),
    dict(Statement=[{key: value for key, value in GOOD.items() if key != "Resource"}]),
    dict(Statement=[{**GOOD, "Action": "ec2:RunInstances"}]),
    dict(Statement=[{**GOOD, "Action": "GetObject"}]),
    dict(Statement=[{**GOOD, "Resource": "arn:aws:s3:::another-bucket/*"}]),
    dict(Statement=[{**GOOD, "Resource": "arn:aws:s3:::{bucket}-and-more/*"}]),
    dict(Statement=[{**GOOD, "Resource": "{bucket}/*"}]),
    dict(Statement=[{**GOOD, "Condition": {"NoSuchOperator": {"aws:SourceIp": "10.0.0.0/8"}}}]),
    dict(Statement=[{**GOOD, "Colour": "green"}]),
    dict(Statement=[{**{key: value for key, value in GOOD.items() if key != "Principal"}, "NotPrincipal": {"AWS": "*"}}]),
]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: str(text)[:60])
def test_policies_that_are_malformed(wire, bucket, text):
    text = text if isinstance(text, str) else json.dumps(text)
    answer = wire.put(f"/{bucket}", text.replace("{bucket}", bucket), query="policy")
    assert answer.refusal == (400, "MalformedPolicy" if text else "MissingRequestBodyError")
    assert wire.get(f"/{bucket}", query="policy").refusal == (404, "NoSuchBucketPolicy")


def test_how_long_a_policy_may_be(s3, bucket):
    """Twenty kilobytes, blanks not counted."""
    one = statement(bucket, "s3:GetObject")
    dense = json.dumps({"Version": "2012-10-17", "Statement": [{**one, "Sid": ""}]}, separators=(",", ":"))
    fill_up = 20_480 - len(dense)
    full = dense.replace('"Sid":""', f'"Sid":"{"x" * fill_up}"')
    s3.put_bucket_policy(Bucket=bucket, Policy=full.replace(",", ",\n" + " " * 2000))
    over = full.replace("xx", "xxx", 1)
    assert refused(s3.put_bucket_policy, Bucket=bucket, Policy=over) == (400, "PolicyTooLarge")
    assert refused(s3.put_bucket_policy, Bucket=bucket, Policy=full + " " * (2 << 20)) == (400, "MaxMessageLengthExceeded")
    fits = policy(*[statement(bucket, "s3:GetObject",
        resources=[f"arn:aws:s3:::{bucket}/{number:03}{'x' * 100}"]) for number in range(80)])
    assert len(fits) < 20_480
    s3.put_bucket_policy(Bucket=bucket, Policy=fits)


def test_whom_a_policy_means(s3, other, anonymous, stranger, bucket, say):
    fill(s3, bucket, ["k"])
    nobody = "123456789012" if stranger.number != "123456789012" else "123456789013"
    cases = [
        ("*", True, True), ({"AWS": "*"}, True, True), ({"AWS": ["*"]}, True, True),
        ({"AWS": stranger.number}, True, False), ({"AWS": f"arn:aws:iam::{stranger.number}:root"}, True, False),
        ({"AWS": [stranger.number]}, True, False), ({"CanonicalUser": stranger.id}, True, False),
    ]
    for principal, theirs, nobodys in cases:
        say(bucket, statement(bucket, "s3:GetObject", principal=principal))
        assert may(other, "get_object", Bucket=bucket, Key="k") is theirs, principal
        assert may(anonymous, "get_object", Bucket=bucket, Key="k") is nobodys, principal
        assert read(s3, bucket, "k") == b"x"
    # Who is not there cannot be meant.
    answer = refused(s3.put_bucket_policy, Bucket=bucket, Policy=policy(
        statement(bucket, "s3:GetObject", principal={"AWS": f"arn:aws:iam::{nobody}:root"})))
    assert answer == (400, "MalformedPolicy")


# Each action, and the calls that it and nothing else lets through.
ACTIONS = {
    "s3:ListBucket": [("list_objects_v2", {}), ("list_objects", {}), ("head_bucket", {})],
    "s3:ListBucketVersions": [("list_object_versions", {})],
    "s3:ListBucketMultipartUploads": [("list_multipart_uploads", {})],
    "s3:GetBucketLocation": [("get_bucket_location", {})],
    "s3:GetBucketAcl": [("get_bucket_acl", {})],
    "s3:GetBucketVersioning": [("get_bucket_versioning", {})],
    "s3:PutBucketVersioning": [("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}})],
    "s3:GetBucketTagging": [("get_bucket_tagging", {})],
    "s3:PutBucketTagging": [("put_bucket_tagging", {"Tagging": {"TagSet": []}}), ("delete_bucket_tagging", {})],
    "s3:GetBucketCORS": [("get_bucket_cors", {})],
    "s3:PutBucketCORS": [("delete_bucket_cors", {})],
    "s3:GetBucketPolicyStatus": [("get_bucket_policy_status", {})],
    "s3:GetBucketPublicAccessBlock": [("get_public_access_block", {})],
    "s3:GetBucketOwnershipControls": [("get_bucket_ownership_controls", {})],
    "s3:GetBucketRequestPayment": [("get_bucket_request_payment", {})],
    "s3:GetBucketLogging": [("get_bucket_logging", {})],
    "s3:GetBucketNotification": [("get_bucket_notification_configuration", {})],
    "s3:GetBucketWebsite": [("get_bucket_website", {})],
    "s3:GetLifecycleConfiguration": [("get_bucket_lifecycle_configuration", {})],
    "s3:GetEncryptionConfiguration": [("get_bucket_encryption", {})],
    "s3:GetObject": [("get_object", {"Key": "k"}), ("head_object", {"Key": "k"})],
    "s3:GetObjectVersion": [("get_object", {"Key": "k", "VersionId": "null"})],
    "s3:GetObjectAcl": [("get_object_acl", {"Key": "k"})],
    "s3:PutObjectAcl": [("put_object_acl", {"Key": "k", "ACL": "private"})],
    "s3:GetObjectTagging": [("get_object_tagging", {"Key": "k"})],
    "s3:PutObjectTagging": [("put_object_tagging", {"Key": "k", "Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}})],
    "s3:DeleteObjectTagging": [("delete_object_tagging", {"Key": "k"})],
    "s3:PutObject": [("put_object", {"Key": "new", "Body": b""}), ("create_multipart_upload", {"Key": "new"})],
    "s3:DeleteObject": [("delete_object", {"Key": "none"})],
    "s3:DeleteObjectVersion": [("delete_object", {"Key": "none", "VersionId": "null"})],
}
CALLS = [call for calls in ACTIONS.values() for call in calls]


@pytest.mark.parametrize("action", ACTIONS)
def test_what_an_action_lets_one_do(s3, other, bucket, say, stranger, action):
    fill(s3, bucket, ["k"])
    say(bucket, statement(bucket, action, principal={"AWS": stranger.number}))
    allowed = [call for call in CALLS if may(other, call[0], Bucket=bucket, **call[1])]
    assert allowed == ACTIONS[action]


def test_attributes_need_both(s3, other, stranger, bucket, say):
    """s3:GetObjectAttributes besides s3:GetObject ("GetObjectAttributes", permissions)."""
    fill(s3, bucket, ["k"])
    asked = dict(Bucket=bucket, Key="k", ObjectAttributes=["ETag"])
    for actions, able in [("s3:GetObject", False), ("s3:GetObjectAttributes", False),
        (["s3:GetObject", "s3:GetObjectAttributes"], True)]:
        say(bucket, statement(bucket, actions, principal={"AWS": stranger.number}))
        assert may(other, "get_object_attributes", **asked) is able, actions


def test_a_copy_needs_both_ends(s3, other, make_bucket, say):
    source, target = make_bucket(), make_bucket()
    fill(s3, source, ["k"])
    asked = dict(Bucket=target, Key="to", CopySource=f"{source}/k")
    say(target, statement(target, "s3:PutObject"))
    assert refused(other.copy_object, **asked) == (403, "AccessDenied")
    say(source, statement(source, "s3:GetObject"))
    assert status(other.copy_object(**asked)) == 200
    s3.delete_bucket_policy(Bucket=target)
    assert refused(other.copy_object, **asked) == (403, "AccessDenied")


def test_which_keys_a_policy_means(s3, anonymous, bucket, say):
    fill(s3, bucket, ["open/a", "open/b/c", "closed/a", "x1y", "x12y", "open"])

    def readable(*resources):
        say(bucket, statement(bucket, "s3:GetObject", resources=[f"arn:aws:s3:::{bucket}/{text}" for text in resources]))
        return [key for key in ["closed/a", "open", "open/a", "open/b/c", "x12y", "x1y"] if may(anonymous, "get_object",
            Bucket=bucket, Key=key)]

    assert readable("open/*") == ["open/a", "open/b/c"]
    assert readable("open/?") == ["open/a"]
    assert readable("x?y") == ["x1y"] and readable("x*y") == ["x12y", "x1y"]
    assert readable("*a") == ["closed/a", "open/a"]
    assert readable("open") == ["open"] and readable("OPEN") == []
    assert readable("open/a", "x1y") == ["open/a", "x1y"]


def test_actions_by_pattern(s3, other, bucket, say):
    fill(s3, bucket, ["k"])
    for actions, able in [("s3:Get*", True), ("s3:*", True), ("*", True), ("s3:GetObject?", False), ("s3:getobject", True),
                          ("s3:Put*", False), (["s3:PutObject", "s3:GetObject"], True)]:
        say(bucket, statement(bucket, actions))
        assert may(other, "get_object", Bucket=bucket, Key="k") is able, actions


def test_exceptions(s3, other, bucket, say, stranger):
    """NotAction, NotResource, NotPrincipal."""
    fill(s3, bucket, ["k", "secret"])
    base = {"Effect": "Allow", "Principal": "*"}
    both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    say(bucket, {**base, "NotAction": "s3:DeleteObject", "Resource": both})
    assert may(other, "get_object", Bucket=bucket, Key="k") and not may(other, "delete_object", Bucket=bucket, Key="k")
    say(bucket, {**base, "Action": "s3:GetObject", "NotResource": f"arn:aws:s3:::{bucket}/secret"})
    assert may(other, "get_object", Bucket=bucket, Key="k") and not may(other, "get_object", Bucket=bucket, Key="secret")
    say(bucket, statement(bucket, "s3:GetObject"), {
        "Effect": "Deny", "NotPrincipal": {"AWS": stranger.number}, "Action": "s3:GetObject", "Resource": both})
    assert may(other, "get_object", Bucket=bucket, Key="k")


def test_what_is_denied_is_denied(s3, other, anonymous, bucket, say):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    assert read(anonymous, bucket, "k") == b"x"
    say(bucket, statement(bucket, "s3:*"), statement(bucket, "s3:GetObject", effect="Deny"))
    for client in (s3, other, anonymous):
        assert refused(client.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    assert may(other, "list_objects_v2", Bucket=bucket)


def test_the_owner_is_never_shut_out_of_the_policy(s3, other, bucket, say):
    say(bucket, statement(bucket, "s3:*", effect="Deny"))
    assert refused(s3.list_objects_v2, Bucket=bucket) == (403, "AccessDenied")
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"][0]["Effect"] == "Deny"
    assert refused(other.delete_bucket_policy, Bucket=bucket) == (403, "AccessDenied")
    s3.delete_bucket_policy(Bucket=bucket)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_who_may_see_and_set_policies(s3, other, anonymous, bucket):
    for client in (other, anonymous):
        assert refused(client.get_bucket_policy, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.delete_bucket_policy, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.put_bucket_policy, Bucket=bucket, Policy=policy(statement(bucket, "s3:*"))) == (403, "AccessDenied")
    assert refused(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")


def test_another_account_cannot_set_policies_even_if_it_may(other, stranger, bucket, say):
    """405 for who has the right and is of another account ("GetBucketPolicy")."""
    say(bucket, statement(bucket, ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"],
        principal={"AWS": stranger.number}))
    assert refused(other.get_bucket_policy, Bucket=bucket) == (405, "MethodNotAllowed")
    assert refused(other.put_bucket_policy, Bucket=bucket, Policy=policy(statement(bucket, "s3:*"))) == (405, "MethodNotAllowed")
    assert refused(other.delete_bucket_policy, Bucket=bucket) == (405, "MethodNotAllowed")


# A condition on reading "k" (tagged colour=red); what the reader does; whether it is let through.
CONDITIONS = [
    ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, True),
    ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {}, False),
    ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "127.0.0.1/32"]}}, {}, True),
    ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {}, False),
    ({"Bool": {"aws:SecureTransport": "true"}}, {}, False), ({"Bool": {"aws:SecureTransport": "false"}}, {}, True),
    ({"StringEquals": {"aws:UserAgent": "one"}}, {"User-Agent": "one"}, True),
    ({"StringEquals": {"aws:UserAgent": "one"}}, {"User-Agent": "two"}, False),
    ({"StringLike": {"aws:UserAgent": "o*"}}, {"User-Agent": "one"}, True),
    ({"StringEqualsIgnoreCase": {"aws:UserAgent": "ONE"}}, {"User-Agent": "one"}, True),
    ({"StringNotEquals": {"aws:UserAgent": "one"}}, {"User-Agent": "one"}, False),
    ({"StringLike": {"aws:Referer": ["http://a.example/*"]}}, {"Referer": "http://a.example/page"}, True),
    ({"StringLike": {"aws:Referer": ["http://a.example/*"]}}, {"Referer": "http://b.example/page"}, False),
    ({"StringLike": {"aws:Referer": ["http://a.example/*"]}}, {}, False),
    ({"Null": {"aws:Referer": "true"}}, {}, True), ({"Null": {"aws:Referer": "false"}}, {}, False),
    ({"StringEquals": {"s3:ExistingObjectTag/colour": "red"}}, {}, True),
    ({"StringEquals": {"s3:ExistingObjectTag/colour": "blue"}}, {}, False),
    ({"StringEquals": {"s3:ExistingObjectTag/size": "red"}}, {}, False),
    ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, True),
    ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, {}, False),
    ({"StringEquals": {"s3:authType": "REST-HEADER"}}, {}, True), ({"StringEquals": {"s3:authType": "POST"}}, {}, False),
    ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, {}, True),
    # All of several must hold.
    ({"StringEquals": {"aws:UserAgent": "one"}, "Bool": {"aws:SecureTransport": "true"}}, {"User-Agent": "one"}, False),
    ({"StringEquals": {"aws:UserAgent": "one", "aws:Referer": "r"}}, {"User-Agent": "one", "Referer": "r"}, True),
    ({"StringEquals": {"aws:UserAgent": "one", "aws:Referer": "r"}}, {"User-Agent": "one"}, False),
]


@pytest.mark.parametrize("condition, headers, able", CONDITIONS, ids=lambda value: str(value)[:60])
def test_conditions_of_reading(s3, stranger, bucket, say, condition, headers, able):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="colour=red")
    say(bucket, statement(bucket, "s3:GetObject", Condition=condition))
    assert stranger.wire.get(f"/{bucket}/k", headers=headers).status == (200 if able else 403)


# Conditions on listing, and the query.
LISTING = [
    ({"StringEquals": {"s3:prefix": "a/"}}, "list-type=2&prefix=a%2F", True),
    ({"StringEquals": {"s3:prefix": "a/"}}, "prefix=a%2F", True),
    ({"StringEquals": {"s3:prefix": "a/"}}, "list-type=2&prefix=b%2F", False),
    ({"StringEquals": {"s3:prefix": "a/"}}, "list-type=2", False),
    ({"StringLike": {"s3:prefix": ["a/*", ""]}}, "list-type=2&prefix=a%2Fb", True),
    ({"StringEquals": {"s3:delimiter": "/"}}, "list-type=2&delimiter=%2F", True),
    ({"StringEquals": {"s3:delimiter": "/"}}, "list-type=2", False),
    ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, "list-type=2&max-keys=10", True),
    ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, "list-type=2&max-keys=11", False),
]


@pytest.mark.parametrize("condition, query, able", LISTING, ids=lambda value: str(value)[:60])
def test_conditions_of_listing(stranger, bucket, say, condition, query, able):
    say(bucket, statement(bucket, "s3:ListBucket", Condition=condition))
    assert stranger.wire.get(f"/{bucket}", query=query).status == (200 if able else 403)


# Conditions on putting, and the headers.
PUTTING = [
    ({"StringEquals": {"s3:x-amz-acl": "public-read"}}, {"x-amz-acl": "public-read"}, True),
    ({"StringEquals": {"s3:x-amz-acl": "public-read"}}, {"x-amz-acl": "private"}, False),
    ({"StringEquals": {"s3:x-amz-acl": "public-read"}}, {}, False),
    ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {"x-amz-storage-class": "STANDARD_IA"}, True),
    ({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}, {}, False),
    ({"StringEquals": {"s3:RequestObjectTag/colour": "red"}}, {"x-amz-tagging": "colour=red"}, True),
    ({"StringEquals": {"s3:RequestObjectTag/colour": "red"}}, {"x-amz-tagging": "colour=blue"}, False),
    ({"StringEquals": {"s3:RequestObjectTag/colour": "red"}}, {}, False),
    ({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["colour", "size"]}}, {"x-amz-tagging": "colour=red"}, True),
    ({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["colour", "size"]}}, {"x-amz-tagging": "weight=1"}, False),
    ({"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["colour"]}}, {"x-amz-tagging": "weight=1&colour=red"}, True),
    ({"Null": {"s3:x-amz-server-side-encryption": "true"}}, {}, True),
    ({"StringEquals": {"s3:x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}},
     {"x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}, True),
    ({"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}, {}, False),
]


@pytest.mark.parametrize("condition, headers, able", PUTTING, ids=lambda value: str(value)[:60])
def test_conditions_of_putting(stranger, bucket, say, condition, headers, able):
    say(bucket, statement(bucket, ["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"], Condition=condition))
    assert stranger.wire.put(f"/{bucket}/k", b"x", headers=headers).status == (200 if able else 403)


def test_conditions_of_copying(s3, other, make_bucket, say):
    target, source = make_bucket(), make_bucket()
    fill(s3, source, ["open/k", "closed/k"])
    say(source, statement(source, "s3:GetObject"))
    say(target, statement(target, "s3:PutObject", Condition={"StringLike": {"s3:x-amz-copy-source": f"{source}/open/*"}}))
    assert may(other, "copy_object", Bucket=target, Key="to", CopySource=f"{source}/open/k")
    assert not may(other, "copy_object", Bucket=target, Key="to", CopySource=f"{source}/closed/k")
    assert not may(other, "put_object", Bucket=target, Key="to", Body=b"")
    say(target, statement(target, "s3:PutObject", Condition={"StringEquals": {"s3:x-amz-metadata-directive": "REPLACE"}}))
    assert may(other, "copy_object", Bucket=target, Key="to", CopySource=f"{source}/open/k", MetadataDirective="REPLACE")
    assert not may(other, "copy_object", Bucket=target, Key="to", CopySource=f"{source}/open/k", MetadataDirective="COPY")


def test_conditions_on_tags_of_tags(s3, other, bucket, say):
    """Who may tag only what is tagged already, and only so."""
    s3.put_object(Bucket=bucket, Key="mine", Body=b"x", Tagging="team=a")
    fill(s3, bucket, ["others"])
    say(bucket, statement(bucket, "s3:PutObjectTagging", Condition={
        "StringEquals": {"s3:ExistingObjectTag/team": "a", "s3:RequestObjectTag/team": "a"}}))

    def tag(key, value):
        return may(other, "put_object_tagging", Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "team", "Value": value}]})

    assert tag("mine", "a") and not tag("mine", "b") and not tag("others", "a")


# A policy, and whether it makes the bucket public ("The meaning of public").
PUBLIC = [
    ({}, "*", True), ({}, {"AWS": "*"}, True), ({}, None, False),
    ({"Condition": {"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}}, "*", False),
    ({"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}, "*", True),
    ({"Condition": {"StringEquals": {"aws:UserAgent": "x"}}}, "*", True),
    ({"Condition": {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}}, "*", False),
    ({"Effect": "Deny"}, "*", False),
]


@pytest.mark.parametrize("more, principal, is_public", PUBLIC, ids=lambda value: str(value)[:60])
def test_whether_a_policy_is_public(s3, stranger, bucket, say, more, principal, is_public):
    say(bucket, {**statement(bucket, "s3:GetObject", principal=principal or {"AWS": stranger.number}), **more})
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is is_public


@pytest.mark.parametrize("name, is_public", [("private", False), ("public-read", True), ("authenticated-read", True)])
def test_whether_a_bucket_without_a_policy_is_public(s3, bucket, name, is_public):
    """By its list, while lists are heard."""

    def found():
        return s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]

    s3.put_bucket_acl(Bucket=bucket, ACL=name)
    assert found() is is_public
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert found() is False
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    assert found() is False


def test_what_is_not_there_is_hidden_from_who_may_not_list(s3, other, anonymous, bucket, say):
    """404 for who may list, 403 for others ("GetObject", permissions)."""
    fill(s3, bucket, ["k"])
    say(bucket, statement(bucket, "s3:GetObject"))
    for client in (other, anonymous):
        assert refused(client.get_object, Bucket=bucket, Key="none") == (403, "AccessDenied")
        assert refused(client.head_object, Bucket=bucket, Key="none")[0] == 403
    say(bucket, statement(bucket, ["s3:GetObject", "s3:ListBucket"]))
    for client in (other, anonymous):
        assert refused(client.get_object, Bucket=bucket, Key="none") == (404, "NoSuchKey")
        assert refused(client.head_object, Bucket=bucket, Key="none")[0] == 404


def test_what_is_not_there_where_a_policy_lists_some_keys(s3, other, bucket, say):
    """Who may list what begins so is told what is not there of it, and of nothing else."""
    say(bucket, statement(bucket, "s3:ListBucket", Condition={"StringLike": {"s3:prefix": "open/*"}}))
    assert refused(other.head_object, Bucket=bucket, Key="open/none")[0] == 404
    assert refused(other.head_object, Bucket=bucket, Key="closed/none")[0] == 403
    assert refused(other.get_object, Bucket=bucket, Key="closed/open/none") == (403, "AccessDenied")


def test_many_removals_are_allowed_one_by_one(s3, other, bucket, say):
    fill(s3, bucket, ["open/a", "closed/a"])
    say(bucket, statement(bucket, "s3:DeleteObject", resources=[f"arn:aws:s3:::{bucket}/open/*"]))
    answer = other.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "open/a"}, {"Key": "closed/a"}]})
    assert [found["Key"] for found in answer["Deleted"]] == ["open/a"]
    assert [(found["Key"], found["Code"]) for found in answer["Errors"]] == [("closed/a", "AccessDenied")]
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["closed/a"]


def test_a_policy_says_nothing_of_others_objects(s3, other, anonymous, bucket, say):
    """An object that belongs to its writer is opened by its own list alone."""
    say(bucket, statement(bucket, ["s3:PutObject", "s3:GetObject"]))
    other.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    assert refused(anonymous.get_object, Bucket=bucket, Key="theirs") == (403, "AccessDenied")
    fill(s3, bucket, ["mine"])
    assert read(anonymous, bucket, "mine") == b"x"


def test_a_changed_policy_counts_at_once(s3, other, bucket, say):
    fill(s3, bucket, ["k"])
    for _ in range(5):
        say(bucket, statement(bucket, "s3:GetObject"))
        assert read(other, bucket, "k") == b"x"
        s3.delete_bucket_policy(Bucket=bucket)
        assert refused(other.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
