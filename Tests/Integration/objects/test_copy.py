"""Copies of objects and of parts ("CopyObject", "UploadPartCopy", Amazon S3 API Reference)."""

import email.utils
import hashlib
import os

import pytest

from objects.wire import base64_of, new_name, quoted, read, refused, tag_of

BODY = b"what is copied" * 1000
TAG, OTHER = tag_of(BODY), '"00000000000000000000000000000000"'


@pytest.fixture
def source(s3, bucket):
    s3.put_object(
        Bucket=bucket, Key="from", Body=BODY, ContentType="text/x-a", CacheControl="no-store", Metadata={"a": "b"},
        Tagging="t=1&u=2",
        StorageClass="STANDARD_IA", WebsiteRedirectLocation="/x")
    return {"Bucket": bucket, "Key": "from"}


def test_a_copy(s3, bucket, source):
    done = s3.copy_object(Bucket=bucket, Key="to", CopySource=source)
    assert done["CopyObjectResult"]["ETag"] == TAG
    head = s3.head_object(Bucket=bucket, Key="to")
    assert done["CopyObjectResult"]["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert "CopySourceVersionId" not in done and "VersionId" not in done
    assert read(s3, bucket, "to") == BODY and read(s3, bucket, "from") == BODY
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]) == ("text/x-a", "no-store", {"a": "b"})
    assert s3.get_object_tagging(Bucket=bucket, Key="to")["TagSet"] == s3.get_object_tagging(Bucket=bucket, Key="from")["TagSet"]
    # Neither the class of storage nor where a website sends its reader goes along.
    assert "StorageClass" not in head and "WebsiteRedirectLocation" not in head


@pytest.mark.parametrize("size", [0, 1, 8193, 5_300_000])
def test_copies_of_all_sizes(s3, bucket, size):
    body = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="from", Body=body)
    assert s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/from")["CopyObjectResult"]["ETag"] == tag_of(body)
    s3.delete_object(Bucket=bucket, Key="from")
    assert read(s3, bucket, "to") == body


def test_a_copy_into_another_bucket(s3, source, make_bucket):
    there = make_bucket()
    s3.copy_object(Bucket=there, Key="to", CopySource=source)
    assert read(s3, there, "to") == BODY
    assert refused(s3.copy_object, Bucket=new_name(), Key="to", CopySource=source) == (404, "NoSuchBucket")


def test_with_other_metadata(s3, bucket, source):
    s3.copy_object(
        Bucket=bucket, Key="to", CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "d"}, ContentType="text/x-b")
    head = s3.head_object(Bucket=bucket, Key="to")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-b", {"c": "d"}) and "CacheControl" not in head
    # Without the directive what is said is not heard.
    s3.copy_object(Bucket=bucket, Key="too", CopySource=source, Metadata={"c": "d"}, ContentType="text/x-b")
    head = s3.head_object(Bucket=bucket, Key="too")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-a", {"a": "b"})


def test_with_other_tags(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, TaggingDirective="REPLACE", Tagging="v=3")
    assert s3.get_object_tagging(Bucket=bucket, Key="to")["TagSet"] == [{"Key": "v", "Value": "3"}]
    s3.copy_object(Bucket=bucket, Key="none", CopySource=source, TaggingDirective="REPLACE")
    assert s3.get_object_tagging(Bucket=bucket, Key="none")["TagSet"] == []


def test_onto_itself(s3, bucket, source):
    """Only to change something about it."""
    assert refused(s3.copy_object, Bucket=bucket, Key="from", CopySource=source) == (400, "InvalidRequest")
    assert refused(s3.copy_object, Bucket=bucket, Key="from", CopySource=source, MetadataDirective="COPY") == (
        400, "InvalidRequest")
    s3.copy_object(Bucket=bucket, Key="from", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "1"})
    head = s3.head_object(Bucket=bucket, Key="from")
    assert head["Metadata"] == {"new": "1"} and read(s3, bucket, "from") == BODY
    s3.copy_object(Bucket=bucket, Key="from", CopySource=source, StorageClass="ONEZONE_IA")
    assert s3.head_object(Bucket=bucket, Key="from")["StorageClass"] == "ONEZONE_IA"
    s3.copy_object(Bucket=bucket, Key="from", CopySource=source, WebsiteRedirectLocation="/y")
    assert s3.head_object(Bucket=bucket, Key="from")["WebsiteRedirectLocation"] == "/y"


def test_the_list_is_not_copied(s3, anonymous, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=BODY, ACL="public-read")
    s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/from")
    assert refused(anonymous.get_object, Bucket=bucket, Key="to") == (403, "AccessDenied")
    s3.copy_object(Bucket=bucket, Key="open", CopySource=f"{bucket}/from", ACL="public-read")
    assert read(anonymous, bucket, "open") == BODY


@pytest.mark.parametrize("key", ["a b", "a+b", "a%2Fb", "ü/日本", "a?b", "a&b=c", "a/../b", "?versionId=x", "#"])
def test_sources_with_odd_names(s3, wire, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for beginning in ("", "/"):
        answer = wire.put(f"/{bucket}/to", headers={"x-amz-copy-source": f"{beginning}{bucket}/{quoted(key)}"})
        assert answer.status == 200, answer
        assert read(s3, bucket, "to") == key.encode()
        s3.delete_object(Bucket=bucket, Key="to")


@pytest.mark.parametrize("value, refusal", [
    ("", (400, "InvalidArgument")), ("/", (400, "InvalidArgument")), ("{bucket}", (400, "InvalidArgument")),
    ("{bucket}/", (400, "InvalidArgument")), ("{bucket}/none", (404, "NoSuchKey")),
    ("no-such-bucket-at-all/from", (404, "NoSuchBucket")), ("{bucket}/from?versionId=nonsense", (400, "InvalidArgument")),
    ("{bucket}/from?other=x", (400, "InvalidArgument")), ("{bucket}/from?versionId=", (400, "InvalidArgument"))])
def test_sources_that_there_are_not(wire, bucket, source, value, refusal):
    for query in ["", "partNumber=1&uploadId=" + start(wire, bucket)]:
        answer = wire.put(f"/{bucket}/to", headers={"x-amz-copy-source": value.format(bucket=bucket)}, query=query)
        assert answer.refusal == refusal


def start(wire, bucket):
    return wire.post(f"/{bucket}/to", query="uploads").text("UploadId")


@pytest.mark.parametrize("name", ["x-amz-metadata-directive", "x-amz-tagging-directive"])
def test_directives_that_there_are_not(wire, bucket, source, name):
    headers = {"x-amz-copy-source": f"{bucket}/from", name: "MOVE"}
    assert wire.put(f"/{bucket}/to", headers=headers).refusal == (400, "InvalidArgument")


CONDITIONS = [
    ({"if-match": TAG}, True), ({"if-match": OTHER}, False), ({"if-match": TAG.strip('"')}, True),
    ({"if-none-match": TAG}, False), ({"if-none-match": OTHER}, True),
    ({"if-modified-since": -60}, True), ({"if-modified-since": 60}, False),
    ({"if-unmodified-since": -60}, False), ({"if-unmodified-since": 60}, True),
    # Of two, as the API Reference has it.
    ({"if-match": TAG, "if-unmodified-since": -60}, True), ({"if-none-match": TAG, "if-modified-since": -60}, False),
]


@pytest.mark.parametrize("asked, holds", CONDITIONS)
def test_conditions_on_the_source(s3, wire, bucket, source, asked, holds):
    modified = s3.head_object(**source)["LastModified"].timestamp()
    headers = {"x-amz-copy-source": f"{bucket}/from"}
    for name, value in asked.items():
        said = email.utils.formatdate(modified + value, usegmt=True) if isinstance(value, int) else value
        headers[f"x-amz-copy-source-{name}"] = said
    for query in ["", "partNumber=1&uploadId=" + start(wire, bucket)]:
        answer = wire.put(f"/{bucket}/to", headers=headers, query=query)
        assert (answer.status, answer.code) == ((200, None) if holds else (412, "PreconditionFailed"))
    assert wire.head(f"/{bucket}/to").status == (200 if holds else 404)


def test_conditions_on_the_place(s3, bucket, source):
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfNoneMatch="*")
    assert refused(s3.copy_object, Bucket=bucket, Key="to", CopySource=source, IfNoneMatch="*") == (412, "PreconditionFailed")
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source, IfMatch=TAG)
    assert refused(s3.copy_object, Bucket=bucket, Key="to", CopySource=source, IfMatch=OTHER) == (412, "PreconditionFailed")


def test_versions_are_copied_by_name(s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket=versioned, Key="k", Body=b"second")["VersionId"]
    current = s3.copy_object(Bucket=versioned, Key="to", CopySource=f"{versioned}/k")
    assert current["CopySourceVersionId"] == second and read(s3, versioned, "to", VersionId=current["VersionId"]) == b"second"
    # An old version becomes the current one again: a copy of the object onto itself that changes it.
    back = s3.copy_object(Bucket=versioned, Key="k", CopySource=f"{versioned}/k?versionId={first}")
    assert back["CopySourceVersionId"] == first and back["VersionId"] not in (first, second)
    assert read(s3, versioned, "k") == b"first"
    # A version of another key.
    assert refused(s3.copy_object, Bucket=versioned, Key="too", CopySource=f"{versioned}/to?versionId={first}") == (
        404, "NoSuchVersion")


def test_delete_markers_are_not_copied(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    assert refused(s3.copy_object, Bucket=versioned, Key="to", CopySource=f"{versioned}/k") == (404, "NoSuchKey")
    assert refused(s3.copy_object, Bucket=versioned, Key="to", CopySource=f"{versioned}/k?versionId={marker}") == (
        400, "InvalidRequest")


def test_of_what_one_may_not_read(s3, other, bucket, source, make_bucket):
    theirs = make_bucket(other)
    asked = dict(Bucket=theirs, Key="to", CopySource=source)
    assert refused(other.copy_object, **asked) == (403, "AccessDenied")
    s3.put_object_acl(**source, ACL="authenticated-read")
    other.copy_object(**asked, TaggingDirective="REPLACE")
    assert read(other, theirs, "to") == BODY
    # Nor into what one may not write.
    assert refused(other.copy_object, Bucket=bucket, Key="to", CopySource=source, TaggingDirective="REPLACE") == (
        403, "AccessDenied")


def test_a_copy_of_parts_comes_whole(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="from")["UploadId"]
    bodies = [os.urandom(5 << 20), b"end"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(Bucket=bucket, Key="from", UploadId=upload, PartNumber=n, Body=body)["ETag"]}
        for n, body in enumerate(bodies, 1)]
    s3.complete_multipart_upload(Bucket=bucket, Key="from", UploadId=upload, MultipartUpload={"Parts": parts})
    s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/from")
    assert s3.head_object(Bucket=bucket, Key="to")["ETag"] == tag_of(b"".join(bodies))
    assert read(s3, bucket, "to") == b"".join(bodies)


def test_checksums_of_copies(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="from", Body=BODY, ChecksumAlgorithm="SHA1")
    done = s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/from")
    assert s3.head_object(Bucket=bucket, Key="to", ChecksumMode="ENABLED")["ChecksumSHA1"] == put["ChecksumSHA1"]
    assert done["CopyObjectResult"]["ChecksumSHA1"] == put["ChecksumSHA1"]
    # Another one where it is asked for.
    done = s3.copy_object(Bucket=bucket, Key="other", CopySource=f"{bucket}/from", ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=bucket, Key="other", ChecksumMode="ENABLED")
    expected = base64_of(hashlib.sha256(BODY).digest())
    assert head["ChecksumSHA256"] == done["CopyObjectResult"]["ChecksumSHA256"] == expected and "ChecksumSHA1" not in head


PARTS = [
    (None, 0, len(BODY) - 1), ("bytes=0-0", 0, 0), ("bytes=1-100", 1, 100),
    (f"bytes={len(BODY) - 1}-{len(BODY) - 1}", len(BODY) - 1, len(BODY) - 1)]


@pytest.mark.parametrize("text, first, last", PARTS)
def test_a_part_by_copy(s3, bucket, source, text, first, last):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="to")["UploadId"]
    asked = {"CopySourceRange": text} if text else {}
    part = s3.upload_part_copy(Bucket=bucket, Key="to", UploadId=upload, PartNumber=1, CopySource=source,
        **asked)["CopyPartResult"]
    assert part["ETag"] == tag_of(BODY[first:last + 1]) and part["LastModified"]
    [listed] = s3.list_parts(Bucket=bucket, Key="to", UploadId=upload)["Parts"]
    assert (listed["Size"], listed["ETag"]) == (last + 1 - first, part["ETag"])
    s3.complete_multipart_upload(
        Bucket=bucket, Key="to", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert read(s3, bucket, "to") == BODY[first:last + 1]


@pytest.mark.parametrize("text, refusal", [(text, (400, "InvalidArgument")) for text in [
    "bytes=5-", "bytes=-5", "bytes=5-1", "bytes=a-b", "0-5", "bytes=0", "bytes=0-1,3-4", "lines=0-1"]] + [
    (f"bytes=0-{len(BODY)}", (416, "InvalidRange")), (f"bytes={len(BODY)}-{len(BODY) + 1}", (416, "InvalidRange"))])
def test_ranges_that_parts_cannot_have(wire, bucket, source, text, refusal):
    query = f"partNumber=1&uploadId={start(wire, bucket)}"
    headers = {"x-amz-copy-source": f"{bucket}/from", "x-amz-copy-source-range": text}
    assert wire.put(f"/{bucket}/to", headers=headers, query=query).refusal == refusal


def test_parts_by_copy_of_versions(s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket=versioned, Key="k", Body=b"second!")["VersionId"]
    upload = s3.create_multipart_upload(Bucket=versioned, Key="to")["UploadId"]
    asked = dict(Bucket=versioned, Key="to", UploadId=upload)
    done = s3.upload_part_copy(PartNumber=1, CopySource=f"{versioned}/k?versionId={first}", **asked)
    assert done["CopySourceVersionId"] == first and done["CopyPartResult"]["ETag"] == tag_of(b"first")
    assert s3.upload_part_copy(PartNumber=2, CopySource=f"{versioned}/k", **asked)["CopySourceVersionId"] == second


def test_a_part_by_copy_of_no_upload(s3, bucket, source):
    asked = dict(Bucket=bucket, Key="to", PartNumber=1, CopySource=source)
    assert refused(s3.upload_part_copy, UploadId="none", **asked) == (404, "NoSuchUpload")
