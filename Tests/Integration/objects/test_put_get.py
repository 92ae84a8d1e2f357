"""Objects put, read and removed: bodies, headers that are kept, and what answers say ("PutObject",
"GetObject", "HeadObject", "DeleteObject", "DeleteObjects", Amazon S3 API Reference)."""

import datetime
import email.header
import email.utils
import os
import re
import socket
import time
import zlib

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from objects.wire import Wire, base64_of, fill, md5_of, read, refused, tag_of, versions

# Around the edges of how bodies are kept.
SIZES = [0, 1, 1023, 8191, 8192, 8193, 65_536, 262_145, 3_000_001]


@pytest.mark.parametrize("size", SIZES)
def test_a_body_comes_back(s3, bucket, size):
    body = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert put["ETag"] == tag_of(body)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body
    head = s3.head_object(Bucket=bucket, Key="k")
    for answer in (got, head):
        assert answer["ContentLength"] == size and answer["ETag"] == tag_of(body) and answer["AcceptRanges"] == "bytes"


def test_an_object_is_replaced_whole(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first and longer", Metadata={"a": "1"}, ContentType="text/x-a", Tagging="t=1")
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"second" and got["Metadata"] == {} and got["ContentType"] == "binary/octet-stream"
    assert "TagCount" not in got


KEPT = {
    "ContentType": "text/plain; charset=utf-8",
    "CacheControl": "max-age=60, public",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de-CH, en",
    "WebsiteRedirectLocation": "/elsewhere",
}


@pytest.mark.parametrize("name, value", KEPT.items())
def test_headers_that_are_kept(s3, bucket, name, value):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **{name: value})
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert answer[name] == value


def test_when_it_expires_is_kept_as_it_was_said(wire, bucket):
    for value in ["Thu, 01 Dec 2044 16:00:00 GMT", "some day"]:
        wire.put(f"/{bucket}/k", b"x", headers={"Expires": value})
        assert wire.get(f"/{bucket}/k").headers["expires"] == value


def test_headers_that_nobody_gave_are_not_there(wire, bucket):
    wire.put(f"/{bucket}/k", b"x")
    answer = wire.get(f"/{bucket}/k")
    assert answer.headers["content-type"] == "binary/octet-stream"
    for name in [
        "cache-control", "content-disposition", "content-encoding", "content-language", "expires", "x-amz-version-id",
        "x-amz-storage-class", "x-amz-tagging-count", "x-amz-delete-marker", "x-amz-mp-parts-count",
        "x-amz-website-redirect-location", "x-amz-object-lock-mode"]:
        assert name not in answer.headers, name


@pytest.mark.parametrize("sent, kept", [
    ("aws-chunked", None), ("gzip", "gzip"), ("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip"),
    ("gzip, br", "gzip, br"), ("gzip,br", "gzip,br")])
def test_the_framing_is_no_encoding_of_the_object(wire, bucket, sent, kept):
    wire.put(f"/{bucket}/k", b"x", headers={"Content-Encoding": sent})
    assert wire.head(f"/{bucket}/k").headers.get("content-encoding") == kept


def test_metadata(s3, bucket):
    metadata = {"one": "1", "two-words": "two words", "empty": "", "m" * 60: "y" * 500}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata=metadata)
    assert s3.get_object(Bucket=bucket, Key="k")["Metadata"] == metadata
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == metadata


def test_names_of_metadata_are_in_lower_case(wire, bucket):
    wire.put(f"/{bucket}/k", b"x", headers={"X-Amz-Meta-MixedCase": "Value"})
    names = [name for name, _ in wire.head(f"/{bucket}/k").fields]
    assert "x-amz-meta-mixedcase" in names


def test_metadata_outside_ascii(wire, bucket):
    """Bytes of UTF-8 in a header come back as they were sent, or encoded as RFC 2047 has it."""
    wire.put(f"/{bucket}/k", b"x", headers={"x-amz-meta-word": "Wörter"})
    found = wire.head(f"/{bucket}/k").headers["x-amz-meta-word"]
    if found.startswith("=?"):
        assert str(email.header.make_header(email.header.decode_header(found))) == "Wörter"
    else:
        assert found.encode("latin-1") == "Wörter".encode()


@pytest.mark.parametrize("size, refusal", [(2048 - 4, None), (2048 - 3, (400, "MetadataTooLarge"))])
def test_how_much_metadata_there_may_be(s3, bucket, size, refusal):
    """Two kilobytes, counted over names and values."""
    asked = dict(Bucket=bucket, Key="k", Body=b"", Metadata={"name": "v" * size})
    if refusal:
        assert refused(s3.put_object, **asked) == refusal
        assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404
    else:
        s3.put_object(**asked)
        assert len(s3.head_object(Bucket=bucket, Key="k")["Metadata"]["name"]) == size


OVERRIDES = {
    "content-type": "text/x-other", "content-language": "fr", "expires": "Thu, 01 Dec 2044 16:00:00 GMT",
    "cache-control": "no-store", "content-disposition": "inline; filename=x", "content-encoding": "br",
}


@pytest.mark.parametrize("name, value", OVERRIDES.items())
def test_headers_that_the_reader_wishes(wire, open_wire, s3, bucket, name, value):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain", ACL="public-read")
    query = f"response-{name}=" + value.replace(" ", "%20").replace(",", "%2C").replace(";", "%3B").replace("=", "%3D").replace(
        "/", "%2F").replace(":", "%3A")
    assert wire.get(f"/{bucket}/k", query=query).headers[name] == value
    assert wire.head(f"/{bucket}/k", query=query).headers[name] == value
    assert wire.get(f"/{bucket}/k").headers.get(name) != value
    # Only who signs may wish.
    assert open_wire.get(f"/{bucket}/k", query=query).refusal == (400, "InvalidRequest")


def test_when_it_was_modified(s3, wire, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = s3.head_object(Bucket=bucket, Key="k")
    assert abs((datetime.datetime.now(datetime.timezone.utc) - head["LastModified"]).total_seconds()) < 60
    text = wire.head(f"/{bucket}/k").headers["last-modified"]
    assert text.endswith(" GMT") and email.utils.parsedate_to_datetime(text) == head["LastModified"]
    shown = wire.get(f"/{bucket}", query="list-type=2").text("Contents/LastModified")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown)
    assert shown[:19] == head["LastModified"].strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize("headers, refusal", [
    ({"Content-MD5": md5_of(b"body")}, None),
    ({"Content-MD5": md5_of(b"other")}, (400, "BadDigest")),
    ({"Content-MD5": "AAAA"}, (400, "InvalidDigest")),
    ({"Content-MD5": "not base64!"}, (400, "InvalidDigest")),
    ({"Content-MD5": ""}, (400, "InvalidDigest")),
    ({"Content-MD5": base64_of(b"0" * 17)}, (400, "InvalidDigest")),
])
def test_the_digest_of_a_body(wire, bucket, headers, refusal):
    answer = wire.put(f"/{bucket}/k", b"body", headers=headers)
    assert (answer.status, answer.code) == (refusal or (200, None))
    assert wire.head(f"/{bucket}/k").status == (404 if refusal else 200)


def test_a_refused_body_leaves_what_was_there(wire, bucket):
    wire.put(f"/{bucket}/k", b"old")
    wire.put(f"/{bucket}/k", b"new", headers={"Content-MD5": md5_of(b"other")})
    assert wire.get(f"/{bucket}/k").body == b"old"


def test_a_body_of_no_stated_length(wire, bucket):
    """HTTP's chunks say where it ends, and without them nothing does."""
    answer = wire.send("PUT", f"/{bucket}/k", chunks=[b"some", b"body"], payload_hash="UNSIGNED-PAYLOAD")
    assert answer.status == 200 and wire.get(f"/{bucket}/k").body == b"somebody"
    answer = wire.send(
        "PUT", f"/{bucket}/k", chunks=[b"other"], payload_hash="UNSIGNED-PAYLOAD",
        headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert answer.refusal == (400, "BadDigest")
    assert wire.send("PUT", f"/{bucket}/k", length=False).refusal == (411, "MissingContentLength")
    assert wire.get(f"/{bucket}/k").body == b"somebody"


def test_chunks_that_do_not_end(wire, bucket):
    headers = dict(wire.signed("PUT", f"/{bucket}/k", [], b"", payload_hash="UNSIGNED-PAYLOAD"))
    with socket.create_connection(("127.0.0.1", wire.port)) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(
            f"PUT /{bucket}/k HTTP/1.1\r\nHost: 127.0.0.1:{wire.port}\r\nTransfer-Encoding: chunked\r\n{lines}\r\n"
            "4\r\nsome\r\n".encode())
    time.sleep(0.3)
    assert wire.head(f"/{bucket}/k").status == 404


def test_a_client_that_goes_in_the_middle(wire, bucket):
    """Nothing of its body is kept, and what was there is left."""
    wire.put(f"/{bucket}/k", b"old")
    for path in (f"/{bucket}/k", f"/{bucket}/new"):
        headers = dict(wire.signed("PUT", path, [], b"x" * 100_000))
        with socket.create_connection(("127.0.0.1", wire.port)) as connection:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            connection.sendall(
                f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{wire.port}\r\nContent-Length: 100000\r\n{lines}\r\n".encode(
                    ) + b"x" * 50_000)
    time.sleep(0.3)
    assert wire.get(f"/{bucket}/k").body == b"old" and wire.head(f"/{bucket}/new").status == 404


@pytest.mark.parametrize("length", ["-1", "many", ""])
def test_a_length_that_is_none(wire, bucket, length):
    assert wire.put(f"/{bucket}/k", b"", changed={"Content-Length": length}).status == 400
    assert wire.head(f"/{bucket}/k").status == 404


def test_a_body_larger_than_one_request_may_bring(wire, bucket):
    """Refused from its stated length, before any of it is sent."""
    length = str((5 << 30) + 1)
    answer = wire.put(f"/{bucket}/k", payload_hash="UNSIGNED-PAYLOAD",
        changed={"Content-Length": length, "Expect": "100-continue"})
    assert answer.refusal == (400, "EntityTooLarge")


def test_a_client_that_waits_with_its_body(wire, bucket):
    put = wire.put(f"/{bucket}/k", b"waited for", headers={"Expect": "100-continue"})
    assert put.status == 200 and wire.get(f"/{bucket}/k").body == b"waited for"
    # And one that is refused is told so, not asked for the body.
    assert wire.put("/no-such-bucket-at-all/k", headers={"Expect": "100-continue", "Content-Length": "5"}).refusal == (
        404, "NoSuchBucket")


CLASSES = ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"]


@pytest.mark.parametrize("name", CLASSES)
def test_classes_of_storage(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass=name)
    shown = None if name == "STANDARD" else name
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert answer.get("StorageClass") == shown
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["StorageClass"] == name
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["StorageClass"] == name
    assert s3.list_object_versions(Bucket=bucket)["Versions"][0]["StorageClass"] == name


@pytest.mark.parametrize("name", ["ROCK", "standard", ""])
def test_classes_that_there_are_not(wire, bucket, name):
    answer = wire.put(f"/{bucket}/k", b"x", headers={"x-amz-storage-class": name})
    assert answer.refusal == (400, "InvalidStorageClass")


def test_removal(s3, wire, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    gone = wire.delete(f"/{bucket}/k")
    assert gone.status == 204 and gone.body == b"" and "x-amz-delete-marker" not in gone.headers
    assert refused(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")
    assert refused(s3.head_object, Bucket=bucket, Key="k") == (404, "404")
    # What is not there is removed as well.
    assert wire.delete(f"/{bucket}/k").status == 204
    assert wire.delete(f"/{bucket}/never-there").status == 204
    assert refused(s3.delete_object, Bucket="no-such-bucket-at-all", Key="k") == (404, "NoSuchBucket")


def test_removal_of_many(s3, bucket):
    fill(s3, bucket, ["a", "b", "c", "d"])
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ["a", "never", "c"]]})
    assert answer["Deleted"] == [{"Key": "a"}, {"Key": "never"}, {"Key": "c"}] and "Errors" not in answer
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet
    assert [found[0] for found in versions(s3, bucket)] == ["d"]


def test_removal_of_a_thousand_at_most(wire, bucket):
    def document(count):
        return "<Delete>" + "".join(f"<Object><Key>k{number}</Key></Object>" for number in range(count)) + "</Delete>"

    def ask(count):
        body = document(count)
        return wire.post(f"/{bucket}", body, query="delete", headers={"Content-MD5": md5_of(body.encode())})

    wire.put(f"/{bucket}/k999", b"x")
    full = ask(1000)
    assert full.status == 200 and len(full.texts("Deleted/Key")) == 1000 and wire.head(f"/{bucket}/k999").status == 404
    assert ask(1001).refusal == (400, "MalformedXML")


@pytest.mark.parametrize("document", [
    "", "<Delete/>", "<Delete><Object/></Delete>", "<Delete><Object><Key></Key></Object></Delete>", "<Other/>", "<Delete",
    "<Delete><Object><VersionId>x</VersionId></Object></Delete>"])
def test_removals_that_are_malformed(wire, bucket, document):
    body = document.encode()
    answer = wire.post(f"/{bucket}", body, query="delete", headers={"Content-MD5": md5_of(body)})
    assert answer.refusal == (400, "MalformedXML" if document else "MissingRequestBodyError")


def test_removal_of_many_needs_a_digest(wire, bucket):
    """Content-MD5, or one of the checksums."""
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    assert wire.post(f"/{bucket}", body, query="delete").refusal == (400, "InvalidRequest")
    wrong = wire.post(f"/{bucket}", body, query="delete", headers={"Content-MD5": md5_of(b"")})
    assert wrong.refusal == (400, "BadDigest")
    crc = base64_of(zlib.crc32(body).to_bytes(4, "big"))
    assert wire.post(f"/{bucket}", body, query="delete", headers={"x-amz-checksum-crc32": crc}).status == 200


def test_attributes(s3, bucket):
    body = os.urandom(12_345)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm="SHA256", StorageClass="STANDARD_IA")
    names = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    answer = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=names)
    assert answer["ETag"] == put["ETag"].strip('"') and answer["ObjectSize"] == 12_345 and answer["StorageClass"] == "STANDARD_IA"
    assert answer["Checksum"] == {"ChecksumSHA256": put["ChecksumSHA256"], "ChecksumType": "FULL_OBJECT"}
    assert "ObjectParts" not in answer
    assert answer["LastModified"] == s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    for name in ("ETag", "StorageClass", "ObjectSize"):
        one = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=[name])
        assert set(one) == {name, "LastModified", "ResponseMetadata"}


@pytest.mark.parametrize("headers", [
    {}, {"x-amz-object-attributes": "Colour"}, {"x-amz-object-attributes": "ETag,Colour"}])
def test_attributes_that_there_are_not(wire, bucket, headers):
    wire.put(f"/{bucket}/k", b"x")
    answer = wire.get(f"/{bucket}/k", query="attributes", headers=headers)
    assert answer.refusal == (400, "InvalidArgument")


def test_attributes_of_what_is_not_there(s3, bucket):
    assert refused(s3.get_object_attributes, Bucket=bucket, Key="none", ObjectAttributes=["ETag"]) == (404, "NoSuchKey")
    assert refused(
        s3.get_object_attributes, Bucket="no-such-bucket-at-all", Key="k", ObjectAttributes=["ETag"]) == (404, "NoSuchBucket")


def test_a_head_has_the_headers_and_no_body(wire, bucket):
    wire.put(f"/{bucket}/k", b"0123456789", headers={"x-amz-meta-a": "b"})
    head, got = wire.head(f"/{bucket}/k"), wire.get(f"/{bucket}/k")
    assert head.status == 200 and head.body == b"" and head.headers["content-length"] == "10"
    names = ["etag", "content-type", "last-modified", "accept-ranges", "x-amz-meta-a", "content-length"]
    assert [head.headers[name] for name in names] == [got.headers[name] for name in names]
    missing = wire.head(f"/{bucket}/none")
    assert missing.status == 404 and missing.body == b""


def test_what_was_written_is_read_at_once(s3, bucket):
    """Reads, heads and listings after a write see it; after a removal they do not."""
    for number in range(10):
        body = str(number).encode()
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert read(s3, bucket, "k") == body
        [listed] = s3.list_objects_v2(Bucket=bucket)["Contents"]
        assert listed["ETag"] == tag_of(body)
        s3.delete_object(Bucket=bucket, Key="k")
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
        assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404


def test_a_key_and_its_beginning_are_two_objects(s3, bucket):
    for key in ["a", "a/", "a/b", "a/b/", "a//b"]:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in ["a", "a/", "a/b", "a/b/", "a//b"]:
        assert read(s3, bucket, key) == key.encode()
    s3.delete_object(Bucket=bucket, Key="a/")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "a//b", "a/b", "a/b/"]


def test_presigned(s3, wire, open_wire, bucket):
    def path(url):
        return url.split(str(wire.port), 1)[1].split("?", 1)

    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b/ü"}, ExpiresIn=60)
    target, query = path(put)
    assert open_wire.put(target, b"by address", query=query).status == 200
    target, query = path(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b/ü"}, ExpiresIn=60))
    assert open_wire.get(target, query=query).body == b"by address"
    # For that method, key and time alone.
    assert open_wire.delete(target, query=query).refusal == (403, "SignatureDoesNotMatch")
    assert open_wire.get(target + "x", query=query).refusal == (403, "SignatureDoesNotMatch")
    assert open_wire.get(target, query=query + "&response-content-type=text%2Fplain").refusal == (403, "SignatureDoesNotMatch")
    assert open_wire.get(target, query=query.replace("X-Amz-Expires=60", "X-Amz-Expires=61")).refusal == (
        403, "SignatureDoesNotMatch")
    assert open_wire.get(target, query=query.replace("X-Amz-Expires=60", "X-Amz-Expires=604801")).refusal == (
        400, "AuthorizationQueryParametersError")
    assert open_wire.get(target, query=query.replace("X-Amz-Expires=60", "X-Amz-Expires=-1")).refusal == (
        400, "AuthorizationQueryParametersError")
    assert open_wire.get(target, query="&".join(p for p in query.split("&") if "Signature" not in p)).refusal == (
        400, "AuthorizationQueryParametersError")


def test_a_presigned_address_ends(s3, wire, open_wire, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=1)
    target, query = url.split(str(wire.port), 1)[1].split("?", 1)
    assert open_wire.get(target, query=query).status == 200
    time.sleep(2.1)
    assert open_wire.get(target, query=query).refusal == (403, "AccessDenied")


def test_presigned_headers_that_stand_in_the_query(s3, owner, simulated, bucket):
    """SDKs that presign put a call's headers into its query; they are heard as if they had come as headers."""
    def presigned(method, path, **moved):
        request = botocore.awsrequest.AWSRequest(method, f"http://127.0.0.1:{simulated.port}{path}", params={
            name.replace("_", "-"): value for name, value in moved.items()})
        credentials = botocore.credentials.Credentials(owner.key, owner.secret)
        botocore.auth.S3SigV4QueryAuth(credentials, "s3", simulated.region, expires=60).add_auth(request)
        return request.prepare().url.partition("?")[2]

    nobody = Wire(simulated.port, simulated.region)
    query = presigned(
        "PUT", f"/{bucket}/k", x_amz_meta_foo="bar", x_amz_storage_class="STANDARD_IA", x_amz_tagging="a=1",
        x_amz_checksum_crc32="AAAAAA==", x_amz_sdk_checksum_algorithm="CRC32")
    assert nobody.put(f"/{bucket}/k", b"body", query=query).status == 200
    found = s3.head_object(Bucket=bucket, Key="k")
    assert (found["Metadata"], found["StorageClass"]) == ({"foo": "bar"}, "STANDARD_IA")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]
    assert nobody.put(f"/{bucket}/k", b"body", query=query.replace("bar", "baz")).refusal == (403, "SignatureDoesNotMatch")
    # What is said in both places, and signed in one, is refused.
    query = presigned("PUT", f"/{bucket}/two", x_amz_meta_foo="bar")
    assert nobody.put(f"/{bucket}/two", b"x", query=query, headers={"x-amz-meta-foo": "own"}).refusal == (403, "AccessDenied")
    copy = presigned("PUT", f"/{bucket}/copy", x_amz_copy_source=f"{bucket}/k")
    assert nobody.put(f"/{bucket}/copy", query=copy).status == 200
    assert read(s3, bucket, "copy") == b"body"
