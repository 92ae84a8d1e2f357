"""An object store beside a cloud's controller: the cloud's users are its own, and their secrets stay with
the controller."""

import io
import os
import pathlib
import re
import signal
import time
import urllib.request

import boto3
import botocore.config
import minio
import pytest

import ending
from objects.alone import Alone
from objects.wire import new_name, refused


@pytest.fixture(scope="module")
def apart(simulated, tmp_path_factory):
    [socket] = simulated.root.rglob("fabric/control.sock")
    store = Alone(tmp_path_factory.mktemp("apart"), "--cloud", str(socket))
    store.start()
    yield store
    store.stop()


@pytest.fixture(scope="module")
def client(apart):
    def make(who, secret=None, signature="s3v4"):
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{apart.port}", region_name="us-east-1", aws_access_key_id=who.key,
            aws_secret_access_key=secret or who.secret,
            config=botocore.config.Config(signature_version=signature, retries={"max_attempts": 1}))

    return make


def test_the_users_of_a_cloud(apart, client, owner, stranger):
    s3, bucket, body = client(owner), new_name(), os.urandom(300_000)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    # Its buckets are its own, not the cloud's.
    assert refused(owner.s3.head_bucket, Bucket=bucket) == (404, "404")
    assert s3.list_buckets()["Owner"] == {"ID": owner.id, "DisplayName": owner.number}
    other = client(stranger)
    assert refused(other.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    # Accounts that lists, headers and policies name are those of the cloud too.
    s3.put_object_acl(Bucket=bucket, Key="k", GrantRead=f"id={stranger.id}")
    assert other.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner=owner.number)["Body"].read() == body
    assert refused(other.get_object, Bucket=bucket, Key="k", ExpectedBucketOwner=stranger.number) == (403, "AccessDenied")
    assert refused(s3.put_object_acl, Bucket=bucket, Key="k", GrantRead="id=" + "0" * 64)[1] == "InvalidArgument"


def test_every_signature_of_version_4(apart, client, owner):
    s3, bucket = client(owner), new_name()
    s3.create_bucket(Bucket=bucket)
    address = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "signed"})
    urllib.request.urlopen(urllib.request.Request(address, data=b"by address", method="PUT"))
    assert urllib.request.urlopen(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "signed"})).read() == b"by address"
    form = s3.generate_presigned_post(bucket, "posted")
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in form["fields"].items())
    parts += '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nby form\r\n--x--\r\n'
    urllib.request.urlopen(urllib.request.Request(
        form["url"], data=parts.encode(), headers={"Content-Type": "multipart/form-data; boundary=x"}))
    assert s3.get_object(Bucket=bucket, Key="posted")["Body"].read() == b"by form"
    # Signs each chunk of what it streams.
    streaming = minio.Minio(f"127.0.0.1:{apart.port}", owner.key, owner.secret, secure=False, region="us-east-1")
    streaming.put_object(bucket, "chunks", io.BytesIO(b"x" * 200_000), 200_000)
    assert s3.head_object(Bucket=bucket, Key="chunks")["ContentLength"] == 200_000


def test_who_is_not_let_in(client, owner):
    bucket = new_name()
    assert refused(client(owner, secret=owner.secret[:-1] + "x").create_bucket, Bucket=bucket)[1] == "SignatureDoesNotMatch"
    nobody = type(owner).__new__(type(owner))
    nobody.key, nobody.secret = "AKIA" + "2" * 16, owner.secret
    assert refused(client(nobody).create_bucket, Bucket=bucket)[1] == "InvalidAccessKeyId"
    # Version 2 signs with the secret itself, which is not here.
    assert refused(client(owner, signature="s3").create_bucket, Bucket=bucket) == (400, "InvalidRequest")


def test_the_controller_may_go_away(simulated, client, owner):
    s3, bucket = client(owner), new_name()
    s3.create_bucket(Bucket=bucket)
    # Longer than answers are fresh, so that the controller is asked while it is away and once it is back.
    end = time.monotonic() + 12
    os.kill(ending.own_process(simulated, "control"), signal.SIGKILL)
    while time.monotonic() < end:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        time.sleep(0.1)
    ending.persistently(lambda: owner.s3.list_buckets())


def memory_holds(process, text):
    """Whether any of a process's own memory holds a text."""
    with open(f"/proc/{process}/mem", "rb", 0) as memory:
        for line in pathlib.Path(f"/proc/{process}/maps").read_text().splitlines():
            start, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if "r" not in rights or "[v" in line:
                continue
            memory.seek(int(start, 16))
            try:
                if text in memory.read(int(end, 16) - int(start, 16)):
                    return True
            except OSError:
                # A part that was given back meanwhile.
                continue
    return False


def test_no_secret_leaves_the_controller(simulated, apart, client, owner):
    client(owner).list_buckets()
    assert memory_holds(apart.process.pid, owner.key.encode())
    assert not memory_holds(apart.process.pid, owner.secret.encode())
    # The controller knows it, so that the search can find it.
    ending.persistently(lambda: owner.s3.list_buckets())
    assert memory_holds(ending.own_process(simulated, "control"), owner.secret.encode())
