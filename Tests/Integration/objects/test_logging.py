"""Access logs: calls of a bucket, recorded as objects of another."""

import json
import os
import re
import time
import urllib.error
import urllib.request

import botocore.exceptions
import pytest

from clouds import run_cloud
from objects.wire import eventually, refused

# One field of a line: in brackets, in quotes, or without blanks.
FIELD = re.compile(r'\[[^]]*\]|"[^"]*"|[^ ]+')
NAMES = (
    "owner bucket time address requester request operation key line status error sent size total turnaround referrer agent "
    "version host_id signature cipher authentication host tls access_point acl region").split()


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A cloud that delivers access logs every second."""
    yield from run_cloud(tmp_path_factory.mktemp("quick"), "--simulate", "1", "--access-log-interval", "1")


@pytest.fixture(scope="module")
def s3(quick):
    return quick.client("s3")


@pytest.fixture
def buckets(s3):
    """A bucket, and one that is to keep the records of its calls."""
    names = ["watched-" + os.urandom(4).hex(), "logs-" + os.urandom(4).hex()]
    for name in names:
        s3.create_bucket(Bucket=name)
    return names


def enable(s3, source, target, prefix="log/"):
    s3.put_bucket_logging(
        Bucket=source, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": prefix}})


def admit(s3, target, source=None):
    """Lets S3's log delivery write into a bucket, for one source where it is named."""
    statement = {
        "Effect": "Allow", "Principal": {"Service": "logging.s3.amazonaws.com"}, "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*"}
    if source:
        statement["Condition"] = {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"}}
    s3.put_bucket_policy(Bucket=target, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def delivered(s3, target, prefix="log/"):
    """All records in a bucket, by field."""
    return delivered_as(s3, target, re.escape(prefix) + r"\d{4}(-\d\d){5}-[0-9A-F]{16}")


def delivered_as(s3, target, pattern):
    """All records in a bucket whose keys are all of a pattern, by field."""
    records = []
    for found in s3.list_objects_v2(Bucket=target).get("Contents", []):
        assert re.fullmatch(pattern, found["Key"])
        text = s3.get_object(Bucket=target, Key=found["Key"])["Body"].read().decode()
        assert text.endswith("\n")
        for line in text.splitlines():
            fields = FIELD.findall(line)
            assert len(fields) == len(NAMES) and " ".join(fields) == line
            records.append(dict(zip(NAMES, fields)))
    return records


def test_the_setting(s3, buckets):
    source, target = buckets
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=source)
    wanted = {"TargetBucket": target, "TargetPrefix": "x"}
    put = lambda **more: dict(Bucket=source, BucketLoggingStatus={"LoggingEnabled": {**wanted, **more}})
    # Nobody has let records in yet.
    assert refused(s3.put_bucket_logging, **put())[1] == "InvalidTargetBucketForLogging"
    admit(s3, target, source="another")
    assert refused(s3.put_bucket_logging, **put())[1] == "InvalidTargetBucketForLogging"
    admit(s3, target, source=source)
    s3.put_bucket_logging(**put())
    assert s3.get_bucket_logging(Bucket=source)["LoggingEnabled"] == wanted
    s3.put_bucket_logging(**put(TargetObjectKeyFormat={"SimplePrefix": {}}))
    assert s3.get_bucket_logging(Bucket=source)["LoggingEnabled"]["TargetObjectKeyFormat"] == {"SimplePrefix": {}}
    assert refused(s3.put_bucket_logging, **put(TargetBucket="none-" + target))[1] == "InvalidTargetBucketForLogging"
    assert refused(s3.put_bucket_logging, **put(TargetPrefix="x" * 1020))[1] == "InvalidTargetBucketForLogging"
    s3.put_bucket_logging(Bucket=source, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=source)


@pytest.mark.parametrize("source_of_date, clock", [("EventTime", "-00-00-00-"), ("DeliveryTime", r"(-\d\d){3}-"), (None, "-00-00-00-")])
def test_keys_by_account_bucket_and_day(quick, s3, buckets, source_of_date, clock):
    source, target = buckets
    admit(s3, target)
    wanted = {
        "TargetBucket": target, "TargetPrefix": "all/",
        "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": source_of_date} if source_of_date else {}}}
    s3.put_bucket_logging(Bucket=source, BucketLoggingStatus={"LoggingEnabled": wanted})
    found = s3.get_bucket_logging(Bucket=source)["LoggingEnabled"]
    assert found["TargetObjectKeyFormat"] == {"PartitionedPrefix": {"PartitionDateSource": source_of_date or "EventTime"}}
    s3.put_object(Bucket=source, Key="k", Body=b"")
    account = quick.client("sts").get_caller_identity()["Account"]
    region = s3.meta.region_name
    pattern = rf"all/{account}/{region}/{source}/(\d{{4}})/(\d\d)/(\d\d)/\1-\2-\3{clock}[0-9A-F]{{16}}"
    assert eventually(lambda: "REST.PUT.OBJECT" in [r["operation"] for r in delivered_as(s3, target, pattern)])


def test_grants_on_records(s3, buckets):
    source, target = buckets
    everyone = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"}, "Permission": "READ"}
    put = lambda *grants: dict(Bucket=source, BucketLoggingStatus={
        "LoggingEnabled": {"TargetBucket": target, "TargetPrefix": "log/", "TargetGrants": list(grants)}})
    admit(s3, target)
    s3.put_bucket_ownership_controls(Bucket=target, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    assert refused(s3.put_bucket_logging, **put(everyone)) == (400, "AccessControlListNotSupported")
    s3.put_bucket_ownership_controls(Bucket=target, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_public_access_block(Bucket=target)
    assert refused(s3.put_bucket_logging, **put({**everyone, "Permission": "READ_ACP"})) == (400, "MalformedXML")
    nobody = {"Grantee": {"Type": "CanonicalUser", "ID": "0" * 64}, "Permission": "READ"}
    assert refused(s3.put_bucket_logging, **put(nobody)) == (400, "InvalidArgument")
    s3.put_bucket_logging(**put(everyone))
    assert s3.get_bucket_logging(Bucket=source)["LoggingEnabled"]["TargetGrants"] == [everyone]
    s3.put_object(Bucket=source, Key="k", Body=b"")
    assert eventually(lambda: delivered(s3, target))
    key = s3.list_objects_v2(Bucket=target)["Contents"][0]["Key"]
    grants = s3.get_object_acl(Bucket=target, Key=key)["Grants"]
    owner = s3.list_buckets()["Owner"]["ID"]
    assert [g for g in grants if g["Grantee"]["Type"] == "Group"] == [everyone]
    assert [(g["Grantee"]["ID"], g["Permission"]) for g in grants if g["Grantee"]["Type"] != "Group"] == [(owner, "FULL_CONTROL")]
    # What the bucket does not admit any more is left out, and records come all the same.
    before = s3.list_objects_v2(Bucket=target)["KeyCount"]
    s3.put_bucket_ownership_controls(Bucket=target, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    s3.put_object(Bucket=source, Key="k", Body=b"")
    assert eventually(lambda: s3.list_objects_v2(Bucket=target)["KeyCount"] > before)


def test_the_log_delivery_group(s3, buckets):
    source, target = buckets
    s3.put_bucket_acl(Bucket=target, ACL="log-delivery-write")
    enable(s3, source, target)
    # Lists that are off let nobody in.
    s3.put_bucket_acl(Bucket=target, ACL="private")
    s3.put_bucket_ownership_controls(
        Bucket=target, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        enable(s3, source, target)
    assert caught.value.response["Error"]["Code"] == "InvalidTargetBucketForLogging"


def test_records(quick, s3, buckets):
    source, target = buckets
    admit(s3, target)
    enable(s3, source, target)
    owner = s3.list_buckets()["Owner"]["ID"]
    s3.put_object(Bucket=source, Key="a b/ü", Body=b"x" * 1000)
    s3.get_object(Bucket=source, Key="a b/ü", Range="bytes=0-9")["Body"].read()
    s3.head_object(Bucket=source, Key="a b/ü")
    assert refused(s3.get_object, Bucket=source, Key="none")[1] == "NoSuchKey"
    s3.list_objects_v2(Bucket=source)
    s3.copy_object(Bucket=source, Key="copy", CopySource={"Bucket": source, "Key": "a b/ü"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(
            f"http://127.0.0.1:{quick.port}/{source}/a?x=1", headers={"Referer": 'http://x/"', "User-Agent": "odd agent"}))
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{quick.port}/{source}?versionId=x%0AFORGED%20line")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": source, "Key": "copy"})
    urllib.request.urlopen(url).read()
    s3.delete_object(Bucket=source, Key="copy")

    records = eventually(lambda: (found := delivered(s3, target)) and len(found) >= 11 and found)
    by = {}
    for record in records:
        assert (record["owner"], record["bucket"], record["address"]) == (owner, source, "127.0.0.1")
        assert re.fullmatch(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]", record["time"])
        assert re.fullmatch("[0-9A-F]{16}", record["request"]) and int(record["total"]) >= int(record["turnaround"])
        by.setdefault(record["operation"], []).append(record)
    [put] = by["REST.PUT.OBJECT"]
    assert (put["key"], put["status"], put["size"], put["sent"]) == ("a%20b/%C3%BC", "200", "1000", "-")
    assert re.fullmatch(r"arn:aws:iam::\d{12}:user/admin", put["requester"])
    assert (put["signature"], put["authentication"]) == ("SigV4", "AuthHeader")
    assert put["line"] == f'"PUT /{source}/a%20b/%C3%BC HTTP/1.1"' and "Boto3" in put["agent"]
    assert put["host"] == f"127.0.0.1:{quick.port}"
    got = {record["key"]: record for record in by["REST.GET.OBJECT"]}
    first = got["a%20b/%C3%BC"]
    assert (first["status"], first["sent"], first["size"], first["error"]) == ("206", "10", "1000", "-")
    assert (got["none"]["status"], got["none"]["error"]) == ("404", "NoSuchKey")
    assert (got["copy"]["authentication"], got["copy"]["sent"]) == ("QueryString", "1000")
    anonymous = got["a"]
    assert (anonymous["requester"], anonymous["status"], anonymous["error"]) == ("-", "403", "AccessDenied")
    assert (anonymous["line"], anonymous["agent"]) == (f'"GET /{source}/a?x=1 HTTP/1.1"', '"odd agent"')
    assert anonymous["referrer"] == '"http://x/%22"' and anonymous["signature"] == "-"
    [head] = by["REST.HEAD.OBJECT"]
    assert (head["sent"], head["size"]) == ("-", "1000")
    assert {"REST.COPY.OBJECT", "REST.DELETE.OBJECT", "REST.GET.BUCKET"} <= set(by)


def test_visitors_of_websites_are_recorded(quick, s3, buckets):
    source, target = buckets
    admit(s3, target)
    s3.put_bucket_website(Bucket=source, WebsiteConfiguration={"IndexDocument": {"Suffix": "i.html"}})
    enable(s3, source, target, prefix="")
    request = urllib.request.Request(f"http://127.0.0.1:{quick.port}/page", headers={"Host": f"{source}.s3-website.x"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)
    [visit] = eventually(lambda: [r for r in delivered(s3, target, "") if r["operation"].startswith("WEBSITE")])
    assert (visit["operation"], visit["key"], visit["status"], visit["error"]) == (
        "WEBSITE.GET.OBJECT", "page", "403", "AccessDenied")


def test_what_is_closed_gets_nothing(s3, buckets):
    """A target that is closed afterwards stays as it is, and calls go on."""
    source, target = buckets
    admit(s3, target)
    enable(s3, source, target)
    s3.delete_bucket_policy(Bucket=target)
    s3.put_object(Bucket=source, Key="k", Body=b"")
    time.sleep(3)
    assert delivered(s3, target) == []
    s3.get_object(Bucket=source, Key="k")


def test_a_stop_loses_nothing(tmp_path_factory):
    """What waits for others is delivered when the cloud is stopped in order."""
    for cloud in run_cloud(tmp_path_factory.mktemp("slow"), "--simulate", "1", "--access-log-interval", "3600"):
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket="watched")
        s3.create_bucket(Bucket="logs")
        admit(s3, "logs")
        enable(s3, "watched", "logs")
        s3.put_object(Bucket="watched", Key="k", Body=b"")
        assert delivered(s3, "logs") == []
        cloud.karri("down")
        cloud.up()
        assert "REST.PUT.OBJECT" in [record["operation"] for record in delivered(s3, "logs")]
