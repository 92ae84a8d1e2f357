"""The object store through the real aws command and boto3, under the address of every other service."""

import base64
import concurrent.futures
import hashlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
import zlib

import botocore.exceptions
import pytest

import ending
from objects.wire import refused


def test_the_aws_command(simulated, bucket, tmp_path):
    tree = tmp_path / "tree"
    for number in range(30):
        file = tree / f"folder {number % 3}" / f"file-{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(number * 7000))
    simulated.aws("s3", "sync", str(tree), f"s3://{bucket}/tree", "--only-show-errors")
    assert "PRE folder 1/" in simulated.aws("s3", "ls", f"s3://{bucket}/tree/")
    back = tmp_path / "back"
    simulated.aws("s3", "sync", f"s3://{bucket}/tree", str(back), "--only-show-errors")
    for file in tree.rglob("*.bin"):
        assert (back / file.relative_to(tree)).read_bytes() == file.read_bytes()
    simulated.aws("s3", "rm", f"s3://{bucket}/tree", "--recursive", "--only-show-errors")
    assert simulated.aws("s3", "ls", f"s3://{bucket}", "--recursive", "--summarize").count("Total Objects: 0") == 1


def test_an_object_comes_back_as_it_was(s3, bucket):
    body = os.urandom(300_000)
    put = s3.put_object(
        Bucket=bucket, Key="a/ü //..\x01&<b>", Body=body, ContentType="text/x-odd", CacheControl="no-store",
        ContentDisposition="attachment", Metadata={"one": "1", "two": "zwei"})
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="a/ü //..\x01&<b>")
    assert got["Body"].read() == body
    assert (got["ContentType"], got["CacheControl"], got["ContentDisposition"]) == ("text/x-odd", "no-store", "attachment")
    assert got["Metadata"] == {"one": "1", "two": "zwei"} and got["ETag"] == put["ETag"]
    head = s3.head_object(Bucket=bucket, Key="a/ü //..\x01&<b>")
    assert head["ContentLength"] == len(body) and head["LastModified"] == got["LastModified"]
    [listed] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (listed["Key"], listed["Size"], listed["ETag"]) == ("a/ü //..\x01&<b>", len(body), put["ETag"])


@pytest.mark.parametrize("size", [0, 1, 8192, 200_000])
def test_ranges(s3, bucket, size):
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for text, part in [("bytes=0-0", body[:1]), ("bytes=-5", body[-5:]), (f"bytes={size // 2}-", body[size // 2:])]:
        if not part:
            assert refused(s3.get_object, Bucket=bucket, Key="k", Range=text) == (416, "InvalidRange")
            continue
        got = s3.get_object(Bucket=bucket, Key="k", Range=text)
        assert got["Body"].read() == part and got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["ContentRange"].endswith(f"/{size}")


def test_listings(s3, bucket):
    keys = sorted(f"{part}/{number:03}" for part in "abc" for number in range(20)) + ["d"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
    for operation, step in [("list_objects_v2", 7), ("list_objects", 7), ("list_objects_v2", 1000)]:
        pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": step})
        assert [found["Key"] for page in pages for found in page["Contents"]] == keys
    rolled = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in rolled["CommonPrefixes"]] == ["a/", "b/", "c/"]
    assert [found["Key"] for found in rolled["Contents"]] == ["d"] and rolled["KeyCount"] == 4
    one = s3.list_objects(Bucket=bucket, Delimiter="/", MaxKeys=1)
    assert one["IsTruncated"] and one["NextMarker"] == "a/"
    assert refused(s3.list_objects_v2, Bucket=bucket, ContinuationToken="!") == (400, "InvalidArgument")


def test_conditions(s3, bucket):
    tag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refused(s3.put_object, Bucket=bucket, Key="none", Body=b"2", IfMatch=tag) == (404, "NoSuchKey")
    assert refused(s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=tag)[0] == 304
    assert refused(s3.get_object, Bucket=bucket, Key="k", IfMatch='"other"') == (412, "PreconditionFailed")
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=tag)
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"3", IfMatch=tag) == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"

    def first(number):
        try:
            return s3.put_object(Bucket=bucket, Key="race", Body=str(number).encode(), IfNoneMatch="*") and number
        except botocore.exceptions.ClientError as fault:
            assert fault.response["Error"]["Code"] == "PreconditionFailed"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        [winner] = [number for number in pool.map(first, range(16)) if number is not None]
    assert s3.get_object(Bucket=bucket, Key="race")["Body"].read() == str(winner).encode()


def test_readers_see_the_old_or_the_new(simulated, s3, bucket):
    """Whoever reads while others write gets one of the bodies whole, and is never told that there is none."""
    bodies = [os.urandom(size) for size in (100, 9_000, 150_000)]
    tags = {f'"{hashlib.md5(body).hexdigest()}"': body for body in bodies}
    s3.put_object(Bucket=bucket, Key="k", Body=bodies[0])
    end = time.monotonic() + 4

    def write(place):
        client = simulated.client("s3")
        while time.monotonic() < end:
            client.put_object(Bucket=bucket, Key="k", Body=bodies[place])

    def read(_):
        client, count = simulated.client("s3"), 0
        while time.monotonic() < end:
            got = client.get_object(Bucket=bucket, Key="k")
            assert got["Body"].read() == tags[got["ETag"]]
            client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(write, place) for place in range(3)]
        counts = list(pool.map(read, range(3)))
        for writer in writers:
            writer.result()
    assert min(counts) > 10


def test_what_is_damaged_on_the_way_is_refused(s3, bucket):
    wrong = base64.b64encode(b"\0" * 4).decode()
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"body", ChecksumCRC32=wrong) == (400, "BadDigest")
    assert refused(
        s3.put_object, Bucket=bucket, Key="k", Body=b"body",
        ContentMD5=base64.b64encode(b"\0" * 16).decode()) == (400, "BadDigest")
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"body", ContentMD5="short") == (400, "InvalidDigest")
    assert refused(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")
    for algorithm in ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]:
        try:
            put = s3.put_object(Bucket=bucket, Key="k", Body=b"body" * 5000, ChecksumAlgorithm=algorithm)
        except botocore.exceptions.MissingDependencyException:
            continue
        assert put[f"Checksum{algorithm}"]
        if algorithm == "CRC32":
            assert base64.b64decode(put["ChecksumCRC32"]) == zlib.crc32(b"body" * 5000).to_bytes(4, "big")


def test_the_aws_command_with_large_files(simulated, s3, bucket, tmp_path):
    body = os.urandom(21 << 20)
    (tmp_path / "large").write_bytes(body)
    simulated.aws("s3", "cp", str(tmp_path / "large"), f"s3://{bucket}/large", "--only-show-errors")
    assert s3.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-3"')
    simulated.aws("s3", "cp", f"s3://{bucket}/large", f"s3://{bucket}/copy", "--only-show-errors")
    simulated.aws("s3", "cp", f"s3://{bucket}/copy", str(tmp_path / "back"), "--only-show-errors")
    assert (tmp_path / "back").read_bytes() == body
    got = s3.get_object(Bucket=bucket, Key="large", Range=f"bytes={(8 << 20) - 3}-{(8 << 20) + 3}")
    assert got["Body"].read() == body[(8 << 20) - 3:(8 << 20) + 4]


def test_multipart(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ContentType="text/x-odd", Metadata={"a": "b"})["UploadId"]
    bodies = {1: os.urandom(5 << 20), 2: os.urandom(5 << 20), 7: b"end"}
    tags = {
        number: s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in reversed(bodies.items())}
    [found] = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (found["Key"], found["UploadId"]) == ("k", upload)
    pages = s3.get_paginator("list_parts").paginate(Bucket=bucket, Key="k", UploadId=upload, PaginationConfig={"PageSize": 2})
    listed = [part for page in pages for part in page["Parts"]]
    assert [(part["PartNumber"], part["Size"], part["ETag"]) for part in listed] == [
        (number, len(body), tags[number]) for number, body in bodies.items()]
    assert refused(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")

    def complete(*numbers, **changed):
        parts = [{"PartNumber": number, "ETag": changed.get("tag", tags.get(number, '"none"'))} for number in numbers]
        return dict(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})

    assert refused(s3.complete_multipart_upload, **complete(2, 1)) == (400, "InvalidPartOrder")
    assert refused(s3.complete_multipart_upload, **complete(1, 3)) == (400, "InvalidPart")
    assert refused(s3.complete_multipart_upload, **complete(1, tag='"other"')) == (400, "InvalidPart")
    assert refused(s3.complete_multipart_upload, **complete()) == (400, "MalformedXML")
    made = s3.complete_multipart_upload(**complete(1, 2, 7))
    digest = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies.values())).hexdigest()
    assert made["ETag"] == f'"{digest}-3"'
    # Completed once more, as by a client that did not hear the answer.
    assert s3.complete_multipart_upload(**complete(1, 2, 7))["ETag"] == made["ETag"]
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(bodies.values())
    assert (got["ContentType"], got["Metadata"], got["ETag"]) == ("text/x-odd", {"a": "b"}, made["ETag"])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)

    small = s3.create_multipart_upload(Bucket=bucket, Key="small")["UploadId"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(Bucket=bucket, Key="small", UploadId=small, PartNumber=n, Body=b"x")["ETag"]}
        for n in (1, 2)]
    assert refused(
        s3.complete_multipart_upload, Bucket=bucket, Key="small", UploadId=small,
        MultipartUpload={"Parts": parts}) == (400, "EntityTooSmall")
    assert refused(
        s3.upload_part, Bucket=bucket, Key="small", UploadId=small, PartNumber=10_001, Body=b"x") == (400, "InvalidArgument")
    s3.abort_multipart_upload(Bucket=bucket, Key="small", UploadId=small)
    assert refused(s3.list_parts, Bucket=bucket, Key="small", UploadId=small) == (404, "NoSuchUpload")
    assert refused(
        s3.upload_part, Bucket=bucket, Key="small", UploadId=small, PartNumber=1, Body=b"x") == (404, "NoSuchUpload")
    assert refused(s3.abort_multipart_upload, Bucket=bucket, Key="small", UploadId=small) == (404, "NoSuchUpload")


def test_uploads_are_listed_in_pages(s3, bucket):
    begun = sorted(
        (key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in ["a", "a", "a", "b", "p/1", "p/2"])
    for step in (1, 2, 1000):
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": step})
        assert [(found["Key"], found["UploadId"]) for page in pages for found in page["Uploads"]] == begun
    assert len(s3.list_multipart_uploads(Bucket=bucket, Prefix="p/")["Uploads"]) == 2


def test_copies(s3, bucket):
    body = os.urandom(6 << 20)
    s3.put_object(Bucket=bucket, Key="from /ü", Body=body, ContentType="text/x-odd", Metadata={"a": "b"})
    source = {"Bucket": bucket, "Key": "from /ü"}
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source)
    got = s3.get_object(Bucket=bucket, Key="to")
    assert got["Body"].read() == body and (got["ContentType"], got["Metadata"]) == ("text/x-odd", {"a": "b"})
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "d"})
    assert s3.head_object(Bucket=bucket, Key="to")["Metadata"] == {"c": "d"}
    assert refused(s3.copy_object, Bucket=bucket, Key="from /ü", CopySource=source) == (400, "InvalidRequest")
    assert refused(s3.copy_object, Bucket=bucket, Key="to", CopySource={**source, "Key": "none"}) == (404, "NoSuchKey")
    assert refused(
        s3.copy_object, Bucket=bucket, Key="to", CopySource=source, CopySourceIfMatch='"x"') == (412, "PreconditionFailed")
    assert refused(
        s3.copy_object, Bucket=bucket, Key="to", CopySource=source,
        CopySourceIfNoneMatch=s3.head_object(**source)["ETag"]) == (412, "PreconditionFailed")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    asked = dict(Bucket=bucket, Key="parts", UploadId=upload, CopySource=source)
    first = s3.upload_part_copy(PartNumber=1, CopySourceRange="bytes=1-5242880", **asked)["CopyPartResult"]["ETag"]
    second = s3.upload_part_copy(PartNumber=2, **asked)["CopyPartResult"]["ETag"]
    assert refused(s3.upload_part_copy, PartNumber=3, CopySourceRange="bytes=5-", **asked) == (400, "InvalidArgument")
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]})
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == body[1:5242881] + body


def test_many_are_deleted_at_once(s3, bucket):
    keys = [f"k{number} <&>" for number in range(25)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[:20] + ["never there"]]})
    assert [found["Key"] for found in answer["Deleted"]] == keys[:20] + ["never there"] and "Errors" not in answer
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[20:23]], "Quiet": True})
    assert "Deleted" not in quiet
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == keys[23:]


def test_errors(s3, bucket):
    assert refused(s3.head_bucket, Bucket="no-such-bucket")[0] == 404
    assert refused(s3.list_objects_v2, Bucket="no-such-bucket") == (404, "NoSuchBucket")
    assert refused(s3.get_object, Bucket=bucket, Key="none") == (404, "NoSuchKey")
    assert refused(s3.create_bucket, Bucket=bucket) == (409, "BucketAlreadyOwnedByYou")
    assert refused(s3.create_bucket, Bucket="xn--nothing") == (400, "InvalidBucketName")
    assert refused(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"") == (400, "KeyTooLongError")
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"", Metadata={"m": "x" * 2100}) == (400, "MetadataTooLarge")
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert refused(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_object(Bucket=bucket, Key="k")
    # What is not built says so, and does nothing else.
    assert refused(s3.put_bucket_accelerate_configuration, Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"}) == (
        501, "NotImplemented")
    assert refused(s3.restore_object, Bucket=bucket, Key="k", RestoreRequest={"Days": 1}) == (501, "NotImplemented")
    assert refused(s3.get_bucket_replication, Bucket=bucket) == (404, "ReplicationConfigurationNotFoundError")


def test_signatures(simulated, bucket):
    wrong = simulated.client("s3", secret="x" * 40)
    assert refused(wrong.list_objects_v2, Bucket=bucket) == (403, "SignatureDoesNotMatch")
    unknown = simulated.client("s3", key="AKIAAAAAAAAAAAAAAAAA", secret="x" * 40)
    assert refused(unknown.list_objects_v2, Bucket=bucket) == (403, "InvalidAccessKeyId")


def test_presigned_addresses(s3, bucket):
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(put, data=b"by address", method="PUT"))
    get = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b", "ResponseContentType": "text/x-odd"})
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"by address" and answer.headers["content-type"] == "text/x-odd"
    for wrong in [get.replace("a%20b", "a%20c"), get[:-1] + ("0" if get[-1] != "0" else "1"), get.split("?")[0]]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(wrong)
        assert caught.value.code == 403


def test_another_account_sees_nothing(simulated, s3, bucket):
    simulated.karri("account", "create", "other-objects")
    made = json.loads((simulated.root / "etc/karri/credentials/other-objects.json").read_text())
    other = simulated.client("s3", made["accessKey"], made["secretKey"])
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    assert bucket not in [found["Name"] for found in other.list_buckets()["Buckets"]]
    assert refused(other.create_bucket, Bucket=bucket) == (409, "BucketAlreadyExists")
    for call, more in [
        (other.list_objects_v2, {}), (other.delete_bucket, {}), (other.get_object, {"Key": "k"}), (other.delete_object, {"Key": "k"}),
        (other.put_object, {"Key": "k", "Body": b"theirs"}), (other.get_bucket_location, {}),
    ]:
        assert refused(call, Bucket=bucket, **more) == (403, "AccessDenied")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"mine"


def test_what_was_acknowledged_survives_kills(simulated, s3, bucket):
    """Control is killed while objects are written: each that was acknowledged is whole, and no other half there."""
    random = ending.dice()
    bodies = {f"key-{number}": random.randbytes(random.choice([10, 5_000, 9_000, 200_000])) for number in range(60)}

    def write(key):
        client = simulated.client("s3")
        ending.persistently(lambda: client.put_object(Bucket=bucket, Key=key, Body=bodies[key]))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(write, key) for key in bodies]
        for _ in range(4):
            process = None
            simulated.eventually(lambda: ending.own_process(simulated, "control") is not None)
            process = ending.own_process(simulated, "control")
            if process:
                os.kill(process, signal.SIGKILL)
            concurrent.futures.wait(writes, timeout=random.uniform(0.5, 2))
        for done in writes:
            done.result()
    got = {}
    for key, body in bodies.items():
        got[key] = ending.persistently(lambda: s3.get_object(Bucket=bucket, Key=key))["Body"].read()
        assert got[key] == body, key
    listed = ending.persistently(lambda: s3.list_objects_v2(Bucket=bucket))["Contents"]
    assert {found["Key"] for found in listed} == set(bodies)
