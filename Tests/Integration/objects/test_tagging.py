"""Tags of objects and of buckets ("Categorizing your objects using tags", Amazon S3 User Guide)."""

import urllib.parse

import pytest

from objects.wire import md5_of, new_name, read, refused, status


def tags(**pairs):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in pairs.items()]}


def known(answer):
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def test_tags_of_an_object(s3, bucket):
    asked = dict(Bucket=bucket, Key="k")
    s3.put_object(**asked, Body=b"x")
    assert s3.get_object_tagging(**asked)["TagSet"] == [] and "TagCount" not in s3.head_object(**asked)
    assert status(s3.put_object_tagging(**asked, Tagging=tags(a="1", b="2"))) == 200
    assert known(s3.get_object_tagging(**asked)) == {"a": "1", "b": "2"}
    assert s3.head_object(**asked)["TagCount"] == 2 and s3.get_object(**asked)["TagCount"] == 2
    # They are set all together.
    s3.put_object_tagging(**asked, Tagging=tags(c="3"))
    assert known(s3.get_object_tagging(**asked)) == {"c": "3"}
    assert status(s3.delete_object_tagging(**asked)) == 204
    assert s3.get_object_tagging(**asked)["TagSet"] == [] and "TagCount" not in s3.head_object(**asked)
    s3.put_object_tagging(**asked, Tagging={"TagSet": []})
    assert s3.get_object_tagging(**asked)["TagSet"] == [] and "TagCount" not in s3.head_object(**asked)


def test_tags_change_nothing_else(s3, bucket):
    asked = dict(Bucket=bucket, Key="k")
    s3.put_object(**asked, Body=b"x", Metadata={"m": "1"}, ContentType="text/x-a")
    before = s3.head_object(**asked)
    s3.put_object_tagging(**asked, Tagging=tags(a="1"))
    after = s3.head_object(**asked)
    for name in ["ETag", "LastModified", "Metadata", "ContentType", "ContentLength"]:
        assert before[name] == after[name]


def test_a_new_object_has_its_own_tags(s3, bucket):
    asked = dict(Bucket=bucket, Key="k")
    s3.put_object(**asked, Body=b"x", Tagging="a=1")
    s3.put_object(**asked, Body=b"y")
    assert s3.get_object_tagging(**asked)["TagSet"] == []


@pytest.mark.parametrize("header, expected", [
    ("", {}), ("a=1", {"a": "1"}), ("a=1&b=2", {"a": "1", "b": "2"}), ("a=", {"a": ""}), ("a", {"a": ""}),
    ("a+b=c+d", {"a b": "c d"}),
    ("a%20b=%C3%BC", {"a b": "ü"}), ("a%26b=c%3Dd", {"a&b": "c=d"}), ("a=b=c", {"a": "b=c"})])
def test_tags_in_a_header(wire, s3, bucket, header, expected):
    """As in a query string ("PutObject", x-amz-tagging)."""
    assert wire.put(f"/{bucket}/k", b"x", headers={"x-amz-tagging": header}).status == 200
    assert known(s3.get_object_tagging(Bucket=bucket, Key="k")) == expected
    upload = wire.post(f"/{bucket}/parts", query="uploads", headers={"x-amz-tagging": header}).text("UploadId")
    tag = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert known(s3.get_object_tagging(Bucket=bucket, Key="parts")) == expected


EDGES = [
    ({f"k{number}": "v" for number in range(10)}, None), ({f"k{number}": "v" for number in range(11)}, "InvalidTag"),
    ({"k" * 128: "v"}, None), ({"k" * 129: "v"}, "InvalidTag"), ({"ü" * 128: "v"}, None),
    ({"k": "v" * 256}, None), ({"k": "v" * 257}, "InvalidTag"), ({"k": ""}, None),
    ({"a b+c-d=e.f_g:h/i@j": "ü 日本 +-=._:/@"}, None), ({"aws:reserved": "v"}, "InvalidTag"),
]


@pytest.mark.parametrize("pairs, code", EDGES, ids=lambda value: ascii(value)[:40])
def test_what_tags_may_be(s3, bucket, pairs, code):
    asked = dict(Bucket=bucket, Key="k")
    s3.put_object(**asked, Body=b"x")
    document = {"TagSet": [{"Key": key, "Value": value} for key, value in pairs.items()]}
    header = urllib.parse.urlencode(pairs)
    if code:
        assert refused(s3.put_object_tagging, **asked, Tagging=document) == (400, code)
        assert refused(s3.put_object, **asked, Body=b"y", Tagging=header) == (400, code)
        assert refused(s3.create_multipart_upload, **asked, Tagging=header) == (400, code)
        assert s3.get_object_tagging(**asked)["TagSet"] == [] and read(s3, bucket, "k") == b"x"
        return
    s3.put_object_tagging(**asked, Tagging=document)
    assert known(s3.get_object_tagging(**asked)) == pairs
    s3.put_object(**asked, Body=b"y", Tagging=header)
    assert known(s3.get_object_tagging(**asked)) == pairs


def test_a_tag_without_a_name(wire, bucket):
    document = "<Tagging><TagSet><Tag><Key></Key><Value>v</Value></Tag></TagSet></Tagging>"
    wire.put(f"/{bucket}/k", b"x")
    for path in (f"/{bucket}/k", f"/{bucket}"):
        answer = wire.put(path, document, query="tagging", headers={"Content-MD5": md5_of(document.encode())})
        assert answer.refusal == (400, "InvalidTag")


def test_one_key_twice(s3, wire, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    twice = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    assert refused(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=twice) == (400, "InvalidTag")
    assert refused(s3.put_bucket_tagging, Bucket=bucket, Tagging=twice) == (400, "InvalidTag")
    assert wire.put(f"/{bucket}/k", b"", headers={"x-amz-tagging": "a=1&a=2"}).refusal == (400, "InvalidArgument")


@pytest.mark.parametrize("document", [
    "<Tagging/>", "<Other/>", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "<Tagging>",
    "<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>", "nothing"])
def test_tags_that_are_malformed(wire, bucket, document):
    wire.put(f"/{bucket}/k", b"x")
    for path in (f"/{bucket}/k", f"/{bucket}"):
        answer = wire.put(path, document, query="tagging", headers={"Content-MD5": md5_of(document.encode())})
        assert answer.refusal == (400, "MalformedXML")


def test_tags_of_what_is_not_there(s3, bucket):
    for call, more in [(s3.get_object_tagging, {}), (s3.put_object_tagging, {"Tagging": tags(a="1")}),
        (s3.delete_object_tagging, {})]:
        assert refused(call, Bucket=bucket, Key="none", **more) == (404, "NoSuchKey")
        assert refused(call, Bucket=new_name(), Key="none", **more) == (404, "NoSuchBucket")


def test_tags_of_a_bucket(s3, bucket):
    assert refused(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    assert status(s3.put_bucket_tagging(Bucket=bucket, Tagging=tags(a="1", b="2"))) == 200
    assert known(s3.get_bucket_tagging(Bucket=bucket)) == {"a": "1", "b": "2"}
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tags(c="3"))
    assert known(s3.get_bucket_tagging(Bucket=bucket)) == {"c": "3"}
    assert status(s3.delete_bucket_tagging(Bucket=bucket)) == 204
    assert refused(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")
    fifty = {f"k{number}": "v" for number in range(50)}
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tags(**fifty))
    assert known(s3.get_bucket_tagging(Bucket=bucket)) == fifty
    assert refused(s3.put_bucket_tagging, Bucket=bucket, Tagging=tags(**fifty, more="v"))[0] == 400
    assert known(s3.get_bucket_tagging(Bucket=bucket)) == fifty


def test_who_may_tag(s3, other, anonymous, allow, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    allow(bucket, "s3:PutObject", "s3:GetObject")
    for client in (other, anonymous):
        assert read(client, bucket, "k") == b"x"
        asked = dict(Bucket=bucket, Key="k")
        assert refused(client.get_object_tagging, **asked) == (403, "AccessDenied")
        assert refused(client.put_object_tagging, **asked, Tagging=tags(a="1")) == (403, "AccessDenied")
        assert refused(client.delete_object_tagging, **asked) == (403, "AccessDenied")
        assert refused(client.get_bucket_tagging, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.put_bucket_tagging, Bucket=bucket, Tagging=tags(a="1")) == (403, "AccessDenied")
        assert refused(client.delete_bucket_tagging, Bucket=bucket) == (403, "AccessDenied")
    # Who puts an object with tags needs to be allowed both.
    assert status(other.put_object(Bucket=bucket, Key="own", Body=b"")) == 200
    assert refused(other.put_object, Bucket=bucket, Key="own", Body=b"", Tagging="a=1") == (403, "AccessDenied")


def test_the_right_to_remove_is_not_the_right_to_set(s3, allow, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1")
    asked = dict(Bucket=bucket, Key="k")
    setter = allow(bucket, "s3:PutObjectTagging")
    assert refused(setter.delete_object_tagging, **asked) == (403, "AccessDenied")
    setter.put_object_tagging(**asked, Tagging={"TagSet": []})
    setter.put_object_tagging(**asked, Tagging=tags(b="2"))
    remover = allow(bucket, "s3:DeleteObjectTagging")
    assert refused(remover.put_object_tagging, **asked, Tagging=tags(c="3")) == (403, "AccessDenied")
    assert known(s3.get_object_tagging(**asked)) == {"b": "2"}
    remover.delete_object_tagging(**asked)
    assert s3.get_object_tagging(**asked)["TagSet"] == []
