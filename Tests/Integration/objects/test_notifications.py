"""Notifications: what happens in a bucket, told to a webhook that the operator has named."""

import json
import os
import signal
import subprocess
import time
import urllib.parse

import botocore.exceptions
import pytest

import ending
from clouds import PROGRAM, run_cloud
from objects.hook import Hook


@pytest.fixture(scope="module")
def hook():
    hook = Hook()
    yield hook
    hook.server.shutdown()


@pytest.fixture(scope="module")
def told(tmp_path_factory, hook):
    """A cloud of its own, whose operator has named the webhook."""
    for cloud in run_cloud(tmp_path_factory.mktemp("told"), "--simulate", "1"):
        cloud.karri("objects", "webhook", "add", "hook", hook.address, "--allow", "127.0.0.1")
        cloud.karri("objects", "webhook", "add", "inside", hook.address)
        cloud.karri("objects", "webhook", "add", "silent", "http://127.0.0.1:9/", "--allow", "127.0.0.1")
        # The list of webhooks is looked at once a second.
        time.sleep(1.1)
        yield cloud


@pytest.fixture(scope="module")
def s3(told):
    return told.client("s3")


@pytest.fixture
def bucket(s3, hook):
    hook.status = 200
    name = "told-" + os.urandom(4).hex()
    s3.create_bucket(Bucket=name)
    return name


def arn(name):
    return f"arn:karri:sqs:karri-1:{name}:webhook"


def rule(*events, target=arn("hook"), **filters):
    made = {"QueueArn": target, "Events": list(events)}
    if filters:
        made["Filter"] = {"Key": {"FilterRules": [{"Name": name, "Value": value} for name, value in filters.items()]}}
    return made


def tell(s3, bucket, *rules, **more):
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(rules), **more})


def refused(call, *arguments, **named):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*arguments, **named)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_the_setting(s3, bucket, hook):
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    wanted = {"Id": "mine", **rule("s3:ObjectCreated:*", Prefix="a/", Suffix=".x")}
    tell(s3, bucket, wanted)
    [got] = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    for filter in wanted["Filter"]["Key"]["FilterRules"]:
        filter["Name"] = filter["Name"].lower()
    assert got == wanted
    # The target was asked whether it is there.
    [test] = [body for _, body in hook.messages if body.get("Bucket") == bucket]
    assert (test["Service"], test["Event"]) == ("Amazon S3", "s3:TestEvent") and hook.messages[-1][0] == "/hook?a=b"
    tell(s3, bucket)
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    assert refused(
        tell, s3, bucket, rule("s3:ObjectCreated:*"), rule("s3:ObjectCreated:Put", Prefix="a"))[0] == "InvalidArgument"


def test_targets_that_are_not_there(s3, bucket, hook):
    unable = ("InvalidArgument", "Unable to validate the following destination configurations")
    for target in [arn("none"), arn("silent"), "arn:aws:sqs:karri-1:123456789012:queue", "arn:karri:sqs:other-1:hook:webhook"]:
        assert refused(tell, s3, bucket, rule("s3:ObjectCreated:*", target=target)) == unable
    # Nobody has said that it may lead to this host.
    before = len(hook.messages)
    assert refused(tell, s3, bucket, rule("s3:ObjectCreated:*", target=arn("inside"))) == unable
    assert len(hook.messages) == before
    hook.status = 500
    assert refused(tell, s3, bucket, rule("s3:ObjectCreated:*")) == unable


def test_events(told, s3, bucket, hook):
    tell(s3, bucket, rule("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"))
    put = s3.put_object(Bucket=bucket, Key="a b/ü", Body=b"12345")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b/ü"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"ETag": part, "PartNumber": 1}]})
    s3.put_object_tagging(Bucket=bucket, Key="copy", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object_tagging(Bucket=bucket, Key="copy")
    s3.put_object_acl(Bucket=bucket, Key="copy", ACL="private")
    s3.delete_object(Bucket=bucket, Key="copy")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "parts"}]})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="v", Body=b"")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="v")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="v", VersionId=version)

    records = hook.wait(bucket, 11)
    assert [(record["eventName"], urllib.parse.unquote_plus(record["s3"]["object"]["key"])) for record in records] == [
        ("ObjectCreated:Put", "a b/ü"), ("ObjectCreated:Copy", "copy"), ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectTagging:Put", "copy"), ("ObjectTagging:Delete", "copy"), ("ObjectAcl:Put", "copy"), ("ObjectRemoved:Delete", "copy"),
        ("ObjectRemoved:Delete", "parts"), ("ObjectCreated:Put", "v"), ("ObjectRemoved:DeleteMarkerCreated", "v"),
        ("ObjectRemoved:Delete", "v")]
    first = records[0]
    assert (first["eventVersion"], first["eventSource"], first["awsRegion"]) == ("2.1", "aws:s3", "karri-1")
    assert first["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    assert first["responseElements"]["x-amz-request-id"] == put["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
    found = first["s3"]["object"]
    assert (found["key"], found["size"], f'"{found["eTag"]}"') == ("a+b/%C3%BC", 5, put["ETag"]) and "versionId" not in found
    assert first["s3"]["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    assert first["s3"]["bucket"]["ownerIdentity"]["principalId"] == s3.list_buckets()["Owner"]["ID"]
    versions = [record["s3"]["object"].get("versionId") for record in records[-3:]]
    assert versions == [version, marker, version]
    sequencers = [record["s3"]["object"]["sequencer"] for record in records]
    assert sequencers == sorted(set(sequencers))


def test_filters(s3, bucket, hook):
    tell(s3, bucket, rule("s3:ObjectCreated:Put", prefix="in/", suffix=".jpg"))
    for key in ["in/a.png", "out/a.jpg", "in/a.jpg"]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    s3.delete_object(Bucket=bucket, Key="in/a.jpg")
    s3.put_object(Bucket=bucket, Key="in/b.jpg", Body=b"")
    # Messages come in order: whatever else was told would be before the last.
    assert [record["s3"]["object"]["key"] for record in hook.wait(bucket, 2)] == ["in/a.jpg", "in/b.jpg"]


def test_what_is_not_taken_comes_again_in_order(s3, bucket, hook):
    tell(s3, bucket, rule("s3:ObjectCreated:*"))
    hook.status = 503
    keys = [f"k{number}" for number in range(20)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    time.sleep(1)
    assert hook.records(bucket) == []
    hook.status = 200
    assert [record["s3"]["object"]["key"] for record in hook.wait(bucket, 20)] == keys


def test_a_kill_loses_nothing(told, s3, bucket, hook):
    """What was acknowledged is told, also after the process was killed before it could be."""
    tell(s3, bucket, rule("s3:ObjectCreated:*"))
    hook.status = 503
    keys = [f"k{number}" for number in range(5)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pids = [
        int(pid) for pid in os.listdir("/proc")
        if pid.isdigit() and (words := command(pid)) and "control" in words and str(told.root) in words]
    assert len(pids) == 1
    os.kill(pids[0], signal.SIGKILL)
    hook.status = 200
    assert [record["s3"]["object"]["key"] for record in hook.wait(bucket, 5, seconds=60)] == keys


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read().split("\0")
    except OSError:
        return []


def test_the_operators_list(told):
    assert "hook" in told.karri("objects", "webhook", "list")
    told.karri("objects", "webhook", "add", "gone", "https://example.com/x")
    assert "https://example.com/x" in told.karri("objects", "webhook")
    told.karri("objects", "webhook", "remove", "gone")
    assert "example.com" not in told.karri("objects", "webhook")
    assert "no webhook gone" in told.karri("objects", "webhook", "remove", "gone", check=False)
    for name, address, reason in [
        ("Bad_Name", "http://x/", "a webhook's name is"), ("good", "ftp://x/", "no address of http"),
        ("good", "http://u:p@x/", "no address of http"),
    ]:
        assert reason in told.karri("objects", "webhook", "add", name, address, check=False)
        assert name not in told.karri("objects", "webhook", "list").split()


def test_the_feed(told, s3, bucket):
    def events(*options):
        return [json.loads(line) for line in told.karri("events", "--json", "--bucket", bucket, *options).splitlines()]

    s3.put_object(Bucket=bucket, Key="before", Body=b"x")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["EventBridgeConfiguration"] == {}
    tag = s3.put_object(Bucket=bucket, Key="a b", Body=b"four")["ETag"].strip('"')
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b"})
    s3.put_object_tagging(Bucket=bucket, Key="copy", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.put_object_acl(Bucket=bucket, Key="copy", ACL="public-read")
    s3.delete_object(Bucket=bucket, Key="copy")
    found = events()
    assert [(event["detail-type"], event["detail"].get("reason"), event["detail"]["object"]["key"]) for event in found] == [
        ("Object Created", "PutObject", "a b"), ("Object Created", "CopyObject", "copy"), ("Object Tags Added", None, "copy"),
        ("Object ACL Updated", None, "copy"), ("Object Deleted", "DeleteObject", "copy")]
    first = found[0]
    owner = s3.list_buckets()["Owner"]["DisplayName"]
    assert first["source"] == "aws.s3" and first["account"] == owner and first["resources"] == [f"arn:aws:s3:::{bucket}"]
    assert first["detail"]["object"]["size"] == 4 and first["detail"]["object"]["etag"] == tag
    assert first["detail"]["requester"] == owner and first["detail"]["source-ip-address"] == "127.0.0.1"
    assert found[-1]["detail"]["deletion-type"] == "Permanently Deleted"
    assert len({event["id"] for event in found}) == len(found)
    sequencers = [event["detail"]["object"]["sequencer"] for event in found]
    assert sequencers == sorted(sequencers)
    assert events("--after", str(found[2]["number"])) == found[3:]
    line = told.karri("events", "--bucket", bucket).splitlines()[0]
    assert line == f"{first['number']} {first['time']} Object Created (PutObject) {bucket}/a b"
    # What was acknowledged has been told, also after a crash.
    s3.put_object(Bucket=bucket, Key="last", Body=b"x")
    os.kill(ending.own_process(told, "control"), signal.SIGKILL)
    ending.persistently(lambda: s3.head_object(Bucket=bucket, Key="last"))
    assert events("--after", str(found[-1]["number"]))[-1]["detail"]["object"]["key"] == "last"
    # Nothing more is told once it is taken off.
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="after", Body=b"x")
    assert [event["detail"]["object"]["key"] for event in events()].count("after") == 0


def test_the_feed_is_followed(told, s3, bucket):
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    reader = subprocess.Popen(
        [PROGRAM, "events", "--follow", "--bucket", bucket, "--root", str(told.root), "--mark", told.mark],
        stdout=subprocess.PIPE, text=True)
    try:
        for key in ("one", "two"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
            assert reader.stdout.readline().endswith(f"Object Created (PutObject) {bucket}/{key}\n")
    finally:
        reader.kill()
        reader.wait()
