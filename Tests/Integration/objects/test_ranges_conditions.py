"""Parts of bodies, and requests that depend on what is there ("GetObject", Amazon S3 API Reference;
"Conditional requests", Amazon S3 User Guide; RFC 9110, sections 13 and 14)."""

import datetime
import email.utils

import pytest

from objects.wire import a_bucket, read, refused, tag_of, tag_of_parts

BODY = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def shelf(s3):
    """A bucket whose objects nobody changes."""
    with a_bucket(s3) as name:
        s3.put_object(Bucket=name, Key="k", Body=BODY)
        s3.put_object(Bucket=name, Key="large", Body=BODY * 50)
        s3.put_object(Bucket=name, Key="empty", Body=b"")
        yield name


SIZE = len(BODY)

RANGES = [
    ("bytes=0-0", 0, 0), ("bytes=0-9", 0, 9), ("bytes=1-1", 1, 1), (f"bytes={SIZE - 1}-{SIZE - 1}", SIZE - 1, SIZE - 1),
    # To the end, and beyond it.
    ("bytes=10-", 10, SIZE - 1), (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1), (f"bytes=100-{SIZE}", 100, SIZE - 1),
    ("bytes=0-99999999999", 0, SIZE - 1), ("bytes=0-", 0, SIZE - 1),
    # The last ones.
    ("bytes=-1", SIZE - 1, SIZE - 1), ("bytes=-100", SIZE - 100, SIZE - 1), (f"bytes=-{SIZE}", 0, SIZE - 1),
    (f"bytes=-{SIZE + 5}", 0, SIZE - 1),
]


@pytest.mark.parametrize("text, first, last", RANGES)
def test_a_range(wire, shelf, text, first, last):
    got = wire.get(f"/{shelf}/k", headers={"Range": text})
    assert got.status == 206 and got.body == BODY[first:last + 1]
    assert got.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
    assert got.headers["content-length"] == str(last - first + 1) and got.headers["etag"] == tag_of(BODY)
    head = wire.head(f"/{shelf}/k", headers={"Range": text})
    assert head.status == 206 and head.headers["content-range"] == got.headers["content-range"]
    assert head.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("first, last", [(0, 0), (65_535, 65_536), (300_000, 400_000), (262_143, 262_144)])
def test_ranges_of_a_larger_body(wire, shelf, first, last):
    got = wire.get(f"/{shelf}/large", headers={"Range": f"bytes={first}-{last}"})
    assert got.status == 206 and got.body == (BODY * 50)[first:last + 1]


@pytest.mark.parametrize("text", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 1}", "bytes=99999999999-", "bytes=-0"])
def test_a_range_that_is_not_there(wire, shelf, text):
    answer = wire.get(f"/{shelf}/k", headers={"Range": text})
    assert answer.refusal == (416, "InvalidRange")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert (answer.text("RangeRequested"), answer.text("ActualObjectSize")) == (text, str(SIZE))
    assert wire.head(f"/{shelf}/k", headers={"Range": text}).status == 416


@pytest.mark.parametrize("text", ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=1-2"])
def test_a_range_of_nothing(wire, shelf, text):
    assert wire.get(f"/{shelf}/empty", headers={"Range": text}).refusal == (416, "InvalidRange")


@pytest.mark.parametrize("text",
    ["bytes", "bytes=", "bytes=a-b", "bytes=5-1", "lines=0-1", "bytes=--1", "bytes=1", "0-5", "bytes=0-1,5-6"])
def test_a_range_that_is_none_is_not_heard(wire, shelf, text):
    got = wire.get(f"/{shelf}/k", headers={"Range": text})
    assert got.status == 200 and got.body == BODY and "content-range" not in got.headers


def day(offset, wire, path):
    """The object's time of modification, so many seconds later."""
    modified = email.utils.parsedate_to_datetime(wire.head(path).headers["last-modified"]).timestamp()
    return email.utils.formatdate(modified + offset, usegmt=True)


TAG, OTHER = tag_of(BODY), '"00000000000000000000000000000000"'

# What is asked, by header; D-1 stands for a second before the object's time. And what is answered.
READING = [
    ({"If-Match": TAG}, 200), ({"If-Match": OTHER}, 412), ({"If-Match": "*"}, 200), ({"If-Match": TAG.strip('"')}, 200),
    ({"If-Match": f"{OTHER}, {TAG}"}, 200),
    ({"If-None-Match": TAG}, 304), ({"If-None-Match": OTHER}, 200), ({"If-None-Match": "*"}, 304),
    ({"If-None-Match": f"{OTHER}, {TAG}"}, 304), ({"If-None-Match": TAG.strip('"')}, 304), ({"If-None-Match": f"W/{TAG}"}, 304),
    ({"If-Modified-Since": "D-1"}, 200), ({"If-Modified-Since": "D+0"}, 304), ({"If-Modified-Since": "D+1"}, 304),
    ({"If-Modified-Since": "yesterday"}, 200),
    ({"If-Unmodified-Since": "D-1"}, 412), ({"If-Unmodified-Since": "D+0"}, 200), ({"If-Unmodified-Since": "D+1"}, 200),
    ({"If-Unmodified-Since": "yesterday"}, 200),
    # Of two, the tag decides.
    ({"If-Match": TAG, "If-Unmodified-Since": "D-1"}, 200), ({"If-Match": OTHER, "If-Unmodified-Since": "D+1"}, 412),
    ({"If-None-Match": TAG, "If-Modified-Since": "D-1"}, 304), ({"If-None-Match": OTHER, "If-Modified-Since": "D+1"}, 200),
    # And what fails goes before what is unchanged.
    ({"If-Match": OTHER, "If-None-Match": TAG}, 412), ({"If-Match": TAG, "If-None-Match": TAG}, 304),
    ({"If-Match": TAG, "If-None-Match": OTHER}, 200),
]


@pytest.mark.parametrize("headers, status", READING)
def test_conditions_of_reading(wire, shelf, headers, status):
    path = f"/{shelf}/k"
    headers = {
        name: day(int(value[1:]), wire, path) if value[:2] in ("D-", "D+") else value for name, value in headers.items()}
    got, head = wire.get(path, headers=headers), wire.head(path, headers=headers)
    assert (got.status, head.status) == (status, status)
    if status == 412:
        assert got.code == "PreconditionFailed" and got.text("Condition") in headers
    elif status == 304:
        assert got.body == b"" and got.headers["etag"] == TAG and got.headers["last-modified"]
    else:
        assert got.body == BODY


def test_a_condition_and_a_range(wire, shelf):
    path = f"/{shelf}/k"
    assert wire.get(path, headers={"Range": "bytes=0-4", "If-Match": TAG}).body == BODY[:5]
    assert wire.get(path, headers={"Range": "bytes=0-4", "If-None-Match": TAG}).status == 304
    assert wire.get(path, headers={"Range": "bytes=0-4", "If-Match": OTHER}).status == 412


def test_conditions_of_what_is_not_there(wire, shelf):
    for headers in [{"If-Match": "*"}, {"If-None-Match": "*"}, {"If-Match": TAG}]:
        assert wire.get(f"/{shelf}/none", headers=headers).refusal == (404, "NoSuchKey")


# Writing: what is asked of what is there (nothing, or BODY), and the answer.
WRITING = [
    ({"If-None-Match": "*"}, False, 200, None), ({"If-None-Match": "*"}, True, 412, "PreconditionFailed"),
    ({"If-Match": TAG}, True, 200, None), ({"If-Match": TAG.strip('"')}, True, 200, None),
    ({"If-Match": OTHER}, True, 412, "PreconditionFailed"), ({"If-Match": TAG}, False, 404, "NoSuchKey"),
    # S3 documents no other form; here they mean what HTTP says.
    ({"If-None-Match": TAG}, True, 412, "PreconditionFailed"), ({"If-None-Match": OTHER}, True, 200, None),
    ({"If-Match": "*"}, True, 200, None), ({"If-Match": "*"}, False, 404, "NoSuchKey"),
]


@pytest.mark.parametrize("headers, there, status, code", WRITING)
def test_conditions_of_writing(wire, bucket, headers, there, status, code):
    path = f"/{bucket}/k"
    if there:
        wire.put(path, BODY)
    answer = wire.put(path, b"new", headers=headers)
    assert (answer.status, answer.code) == (status, code)
    found = wire.get(path)
    assert found.body == b"new" if status == 200 else found.body == BODY if there else found.status == 404


@pytest.mark.parametrize("headers, there, status, code", WRITING)
def test_conditions_of_completing(s3, wire, bucket, headers, there, status, code):
    path = f"/{bucket}/k"
    if there:
        wire.put(path, BODY)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    tag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"new")["ETag"]
    document = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    answer = wire.post(path, document, query=f"uploadId={upload}", headers=headers)
    assert answer.status == status and (answer.code if status != 200 else None) == code
    found = wire.get(path)
    if status == 200:
        assert found.body == b"new" and found.headers["etag"] == tag_of_parts(b"new")
    else:
        assert found.body == BODY if there else found.status == 404


def test_a_deleted_object_is_not_there_for_a_condition(s3, versioned):
    tag = s3.put_object(Bucket=versioned, Key="k", Body=b"1")["ETag"]
    s3.delete_object(Bucket=versioned, Key="k")
    assert refused(s3.put_object, Bucket=versioned, Key="k", Body=b"2", IfMatch=tag) == (404, "NoSuchKey")
    s3.put_object(Bucket=versioned, Key="k", Body=b"3", IfNoneMatch="*")
    assert read(s3, versioned, "k") == b"3"


def test_conditions_of_removal(s3, bucket):
    """A tag that does not match is refused; of what is not there nothing is asked ("DeleteObject", If-Match)."""
    tag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    assert refused(s3.delete_object, Bucket=bucket, Key="k", IfMatch=OTHER) == (412, "PreconditionFailed")
    assert read(s3, bucket, "k") == b"1"
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=tag)
    assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.delete_object(Bucket=bucket, Key="k", IfMatch="*")
    assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404


def test_conditions_of_many_removals(s3, bucket):
    tag = s3.put_object(Bucket=bucket, Key="a", Body=b"1")["ETag"]
    s3.put_object(Bucket=bucket, Key="b", Body=b"2")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a", "ETag": tag}, {"Key": "b", "ETag": tag}]})
    assert [found["Key"] for found in answer["Deleted"]] == ["a"]
    assert [(found["Key"], found["Code"]) for found in answer["Errors"]] == [("b", "PreconditionFailed")]
    assert read(s3, bucket, "b") == b"2"


def test_a_range_of_a_replaced_object_is_not_mixed(wire, bucket):
    """If-Range: the part of what the reader knows, or all of what is there now."""
    wire.put(f"/{bucket}/k", BODY)
    assert wire.get(f"/{bucket}/k", headers={"Range": "bytes=0-4", "If-Range": TAG}).body == BODY[:5]
    got = wire.get(f"/{bucket}/k", headers={"Range": "bytes=0-4", "If-Range": OTHER})
    assert got.status == 200 and got.body == BODY


def test_removals_by_size_and_time(s3, wire, bucket):
    """Of what is not there, such conditions say nothing."""
    def put():
        s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
        return s3.head_object(Bucket=bucket, Key="k")["LastModified"]

    when = put()
    asked = dict(Bucket=bucket, Key="k")
    early = when - datetime.timedelta(days=1)
    assert refused(s3.delete_object, **asked, IfMatchSize=4) == (412, "PreconditionFailed")
    assert refused(s3.delete_object, **asked, IfMatchLastModifiedTime=early) == (412, "PreconditionFailed")
    assert refused(s3.delete_object, **asked, IfMatchSize=3, IfMatchLastModifiedTime=early) == (412, "PreconditionFailed")
    s3.delete_object(**asked, IfMatchSize=3, IfMatchLastModifiedTime=when)
    assert refused(s3.head_object, **asked) == (404, "404")
    s3.delete_object(**asked, IfMatchSize=4)
    s3.delete_object(**asked, IfMatchLastModifiedTime=early)

    when = put()
    several = lambda **named: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", **named}]})
    assert several(Size=4)["Errors"][0]["Code"] == "PreconditionFailed"
    assert several(LastModifiedTime=early)["Errors"][0]["Code"] == "PreconditionFailed"
    assert several(Size=3, LastModifiedTime=when)["Deleted"][0]["Key"] == "k"
    for header in ["x-amz-if-match-size", "x-amz-if-match-last-modified-time"]:
        assert wire.delete(f"/{bucket}/k", headers={header: "-1"}).refusal == (400, "InvalidArgument")
