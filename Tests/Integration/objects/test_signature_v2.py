"""Requests signed in Version 2, as older clients sign ("Signing and authenticating REST requests (AWS
signature version 2)", Amazon S3 User Guide), and buckets in the Host header."""

import base64
import email.utils
import hashlib
import hmac
import time
import urllib.parse

import boto3
import botocore.config
import pytest

from objects.wire import new_name, quoted, read


@pytest.fixture(scope="module")
def old(simulated, owner):
    """A client of the first account that signs so."""
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{simulated.port}", region_name=simulated.region, aws_access_key_id=owner.key,
        aws_secret_access_key=owner.secret, config=botocore.config.Config(signature_version="s3", retries={"max_attempts": 1}))


def sign(secret, text):
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Old:
    """Spells out requests in Version 2."""

    def __init__(self, owner, open_wire):
        self.owner, self.open_wire = owner, open_wire

    def headers(self, method, resource, extra=None, date=None, secret=None, md5="", kind=""):
        extra = extra or {}
        date = date if date is not None else email.utils.formatdate(usegmt=True)
        amz = "".join(f"{name.lower()}:{value}\n" for name, value in sorted(extra.items()) if name.lower().startswith("x-amz-"))
        stated = "" if any(name.lower() == "x-amz-date" for name in extra) else date
        text = f"{method}\n{md5}\n{kind}\n{stated}\n{amz}{resource}"
        made = {"Authorization": f"AWS {self.owner.key}:{sign(secret or self.owner.secret, text)}", **extra}
        return {**made, **({"Date": date} if date else {})}

    def send(self, method, path, body=b"", query="", resource=None, extra=None, **more):
        return self.open_wire.send(
            method, path, body=body, query=query, headers=self.headers(method, resource or path, extra, **more))

    def presigned(self, method, path, seconds=60, resource=None, secret=None):
        expires = str(int(time.time()) + seconds)
        signature = sign(secret or self.owner.secret, f"{method}\n\n\n{expires}\n{resource or path}")
        return f"AWSAccessKeyId={self.owner.key}&Expires={expires}&Signature={urllib.parse.quote(signature, safe='')}"


@pytest.fixture
def hand(owner, open_wire):
    return Old(owner, open_wire)


def test_a_days_work(old, s3, bucket):
    old.put_object(Bucket=bucket, Key="a b/ü", Body=b"old", Metadata={"m": "1"}, ContentType="text/x-a")
    got = old.get_object(Bucket=bucket, Key="a b/ü", ResponseContentType="text/x-b")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (b"old", {"m": "1"}, "text/x-b")
    assert [found["Key"] for found in old.list_objects_v2(Bucket=bucket, Prefix="a")["Contents"]] == ["a b/ü"]
    assert old.get_object_acl(Bucket=bucket, Key="a b/ü")["Grants"] and "Uploads" not in old.list_multipart_uploads(Bucket=bucket)
    upload = old.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    tag = old.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    old.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    old.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/parts")
    assert read(s3, bucket, "copy") == b"part"
    old.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "parts"}]})
    old.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "b"}]


SUBRESOURCES = [
    "acl", "lifecycle", "location", "logging", "notification", "policy", "requestPayment", "uploads", "versioning", "versions",
    "website",
    "cors", "tagging"]


UNSET = {"lifecycle", "policy", "website", "cors", "tagging"}


@pytest.mark.parametrize("name", SUBRESOURCES)
def test_subresources_are_signed(hand, bucket, name):
    assert hand.send("GET", f"/{bucket}", query=name, resource=f"/{bucket}?{name}").status == (404 if name in UNSET else 200)
    assert hand.send("GET", f"/{bucket}", query=name, resource=f"/{bucket}").refusal == (403, "SignatureDoesNotMatch")


def test_other_parameters_are_not(hand, bucket):
    assert hand.send("GET", f"/{bucket}", query="prefix=a&max-keys=1").status == 200


def test_headers_and_dates(hand, bucket):
    path = f"/{bucket}/k"
    assert hand.send("PUT", path, b"x", extra={"x-amz-meta-b": "2", "x-amz-meta-a": "1"}).status == 200
    assert hand.send("GET", path, extra={"x-amz-date": email.utils.formatdate(usegmt=True)}, date="").status == 200
    assert hand.send("GET", path, date=email.utils.formatdate()).status == 200, "-0000 for GMT"
    assert hand.send("GET", path, date=email.utils.formatdate(time.time() - 1200, usegmt=True)).refusal == (
        403, "RequestTimeTooSkewed")
    assert hand.send("GET", path, date=email.utils.formatdate(time.time() + 1200, usegmt=True)).refusal == (
        403, "RequestTimeTooSkewed")
    assert hand.send("GET", path, date="").status == 403
    assert hand.send("GET", path, secret="x" * 40).refusal == (403, "SignatureDoesNotMatch")
    headers = hand.headers("GET", path)
    assert hand.open_wire.get(path, headers={**headers, "x-amz-meta-c": "3"}).refusal == (403, "SignatureDoesNotMatch")
    assert hand.open_wire.get(path, headers={**headers, "Authorization": "AWS AKIAAAAAAAAAAAAAAAAA:AAAA"}).refusal == (
        403, "InvalidAccessKeyId")
    for malformed in ["AWS", "AWS x", "AWS :", "AWS a:b:c"]:
        assert hand.open_wire.get(path, headers={**headers, "Authorization": malformed}).refusal == (400, "InvalidArgument"), malformed
    assert hand.send("DELETE", path).status == 204


def test_presigned(s3, hand, bucket):
    s3.put_object(Bucket=bucket, Key="a b", Body=b"x")
    path = f"/{bucket}/{quoted('a b')}"
    assert hand.open_wire.get(path, query=hand.presigned("GET", path)).body == b"x"
    assert hand.open_wire.get(path, query=hand.presigned("GET", path, seconds=-1)).refusal == (403, "AccessDenied")
    assert hand.open_wire.delete(path, query=hand.presigned("GET", path)).refusal == (403, "SignatureDoesNotMatch")
    assert hand.open_wire.get(path, query=hand.presigned("GET", path, secret="x" * 40)).refusal == (403, "SignatureDoesNotMatch")
    query = hand.presigned("GET", path)
    later = query.replace("Expires=", "Expires=9")
    assert hand.open_wire.get(path, query=later).refusal == (403, "SignatureDoesNotMatch")
    assert hand.open_wire.get(path,
        query="&".join(part for part in query.split("&") if not part.startswith("Expires"))).status == 403
    override = "response-content-type=text/x-b"
    assert hand.open_wire.get(
        path, query=f"{override.replace('/', '%2F')}&{hand.presigned('GET', path, resource=f'{path}?{override}')}").headers[
            "content-type"] == "text/x-b"


# Buckets in the Host header.

def hosts(simulated, bucket):
    return [f"{bucket}.s3.{simulated.region}.example.com", f"{bucket}.s3.example.com:{simulated.port}",
        f"{bucket}.localhost:{simulated.port}"]


def test_the_bucket_in_the_hosts_name(simulated, s3, wire, bucket):
    for place, host in enumerate(hosts(simulated, bucket)):
        headers = {"Host": host}
        assert wire.put(f"/a/k{place}", host.encode(), headers=headers).status == 200
        assert read(s3, bucket, f"a/k{place}") == host.encode()
        assert wire.get(f"/a/k{place}", headers=headers).body == host.encode()
        assert wire.get("/", headers=headers).text("Name") == bucket
        assert wire.get("/", query="location", headers=headers).document.tag == "LocationConstraint"
        # A key may be called as a bucket is.
        assert wire.get(f"/{bucket}/a/k{place}", headers=headers).refusal == (404, "NoSuchKey")
    assert wire.get("/k", headers={"Host": "no-such-bucket-at-all.s3.example.com"}).refusal == (404, "NoSuchBucket")


def test_the_hosts_bucket_in_version_2(simulated, s3, hand, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for host in hosts(simulated, bucket):
        headers = hand.headers("GET", f"/{bucket}/k")
        assert hand.open_wire.get("/k", headers={**headers, "Host": host}).body == b"x"
        assert hand.open_wire.get("/k", headers={**hand.headers("GET", "/k"), "Host": host}).refusal == (
            403, "SignatureDoesNotMatch")


def test_a_buckets_life_by_its_host(wire):
    name = new_name()
    headers = {"Host": f"{name}.s3.example.com"}
    assert wire.put("/", headers=headers).status == 200
    assert wire.head("/", headers=headers).status == 200 and wire.head(f"/{name}").status == 200
    assert wire.delete("/", headers=headers).status == 204
    assert wire.head(f"/{name}").status == 404
