"""What nobody in particular may do: nothing but what a list or a policy opens ("Making requests", anonymous
requests, Amazon S3 User Guide)."""

import json

import pytest

from objects.wire import fill, read, refused, status

SUBRESOURCES = [
    "acl", "cors", "encryption", "lifecycle", "location", "logging", "notification", "object-lock", "ownershipControls", "policy",
    "policyStatus", "publicAccessBlock", "replication", "requestPayment", "tagging", "uploads", "versioning", "versions",
    "website",
    "accelerate", "list-type=2"]


@pytest.mark.parametrize("query", SUBRESOURCES)
def test_nothing_of_a_bucket(open_wire, bucket, query):
    assert open_wire.get(f"/{bucket}", query=query).refusal == (403, "AccessDenied")
    if query in ("cors", "encryption", "lifecycle", "ownershipControls", "policy", "publicAccessBlock", "replication", "tagging",
        "website"):
        assert open_wire.delete(f"/{bucket}", query=query).refusal == (403, "AccessDenied")
    if query not in ("location", "policyStatus", "uploads", "versions", "list-type=2"):
        assert open_wire.put(f"/{bucket}", b"<x/>", query=query).refusal == (403, "AccessDenied")


def test_no_bucket_at_all(open_wire, bucket):
    assert open_wire.get("/").status == 403
    assert open_wire.put("/a-bucket-of-nobody").refusal == (403, "AccessDenied")
    assert open_wire.head(f"/{bucket}").status == 403
    assert open_wire.delete(f"/{bucket}").refusal == (403, "AccessDenied")


@pytest.mark.parametrize("method, query", [
    ("GET", ""), ("HEAD", ""), ("PUT", ""), ("DELETE", ""), ("GET", "acl"), ("PUT", "acl"), ("GET", "tagging"),
    ("PUT", "tagging"),
    ("DELETE", "tagging"), ("GET", "retention"), ("GET", "legal-hold"), ("GET", "attributes"), ("POST", "uploads"),
    ("GET", "versionId=null")])
def test_nothing_of_an_object(s3, open_wire, bucket, method, query):
    fill(s3, bucket, ["k"])
    headers = {"x-amz-object-attributes": "ETag"} if query == "attributes" else {}
    for key in ("k", "none"):
        answer = open_wire.send(method, f"/{bucket}/{key}", query=query, headers=headers)
        assert answer.status == 403 and (method == "HEAD" or answer.code == "AccessDenied")
    assert read(s3, bucket, "k") == b"x"


def test_reading_what_is_open(s3, open_wire, anonymous, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789", ACL="public-read", ContentType="text/x-a", Metadata={"a": "b"})
    got = open_wire.get(f"/{bucket}/k")
    assert (got.status, got.body, got.headers["content-type"], got.headers["x-amz-meta-a"]) == (
        200, b"0123456789", "text/x-a", "b")
    assert open_wire.head(f"/{bucket}/k").status == 200
    assert open_wire.get(f"/{bucket}/k", headers={"Range": "bytes=2-3"}).body == b"23"
    assert open_wire.get(f"/{bucket}/k", headers={"If-None-Match": got.headers["etag"]}).status == 304
    assert refused(anonymous.put_object, Bucket=bucket, Key="k", Body=b"") == (403, "AccessDenied")
    assert refused(anonymous.delete_object, Bucket=bucket, Key="k") == (403, "AccessDenied")


def test_writing_into_what_is_open(s3, anonymous, open_wire, make_bucket):
    bucket = make_bucket(ACL="public-read-write")
    assert status(anonymous.put_object(Bucket=bucket, Key="k", Body=b"by nobody")) == 200
    assert open_wire.put(f"/{bucket}/raw", b"raw").status == 200
    # Nobody's objects are the bucket owner's.
    assert read(s3, bucket, "k") == b"by nobody" and read(s3, bucket, "raw") == b"raw"
    assert status(anonymous.delete_object(Bucket=bucket, Key="k")) == 204
    answer = anonymous.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "raw"}]})
    assert [found["Key"] for found in answer["Deleted"]] == ["raw"] and s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_damaged_bodies_of_nobody(open_wire, make_bucket):
    bucket = make_bucket(ACL="public-read-write")
    assert open_wire.put(f"/{bucket}/k", b"x", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}).refusal == (400, "BadDigest")
    assert open_wire.put(f"/{bucket}/k", b"x", headers={"x-amz-checksum-crc32": "AAAAAA=="}).refusal == (400, "BadDigest")
    assert open_wire.put(f"/{bucket}/k", b"x", headers={"x-amz-content-sha256": "0" * 64}).refusal == (
        400, "XAmzContentSHA256Mismatch")


def test_by_a_policy(s3, anonymous, bucket):
    fill(s3, bucket, ["k"])
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket", "s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}]}))
    assert read(anonymous, bucket, "k") == b"x" and anonymous.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert status(anonymous.head_bucket(Bucket=bucket)) == 200
    anonymous.put_object(Bucket=bucket, Key="new", Body=b"y")
    assert refused(anonymous.delete_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    assert refused(anonymous.get_object_acl, Bucket=bucket, Key="k") == (403, "AccessDenied")


def test_what_is_not_there(open_wire):
    assert open_wire.get("/no-such-bucket-at-all").refusal == (404, "NoSuchBucket")
    assert open_wire.get("/no-such-bucket-at-all/k").refusal == (404, "NoSuchBucket")
    assert open_wire.put("/no-such-bucket-at-all/k", b"x").refusal == (404, "NoSuchBucket")
