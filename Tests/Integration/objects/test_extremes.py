"""Numbers and texts at the ends of what their types hold: each is refused or heard, and the store goes on."""

import base64
import json
import urllib.parse

import pytest

from objects.wire import Wire, a_bucket, md5_of

LEAST, MOST = "-9223372036854775808", "9223372036854775807"
NUMBERS = ["-1", "0", LEAST, MOST, "-9223372036854775809", "99999999999999999999", "2147483648", "1e3", "0x10", " 1", ""]


@pytest.fixture(scope="module")
def place(owner):
    """A bucket with an object that came in parts."""
    with a_bucket(owner.s3) as bucket:
        upload = owner.s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32")["UploadId"]
        part = owner.s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x" * 100, ChecksumAlgorithm="CRC32")
        owner.s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={
            "Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]})
        yield bucket


def alive(owner, bucket):
    assert owner.wire.get(f"/{bucket}/k").body == b"x" * 100


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("query", [
    "max-keys=N", "list-type=2&max-keys=N", "versions&max-keys=N", "uploads&max-uploads=N"])
def test_counts_of_listings(owner, place, query, number):
    answer = owner.wire.get(f"/{place}", query=query.replace("N", urllib.parse.quote(number)))
    assert answer.status == (200 if number in ("0", "") else 400), answer
    alive(owner, place)


@pytest.mark.parametrize("version", ["8000000000000000", "ffffffffffffffff", "0000000000000000", "7fffffffffffffff", "null", "x"])
def test_versions_that_are_none(owner, place, version):
    page = owner.wire.get(f"/{place}", query=f"versions&key-marker=a&version-id-marker={version}")
    assert page.status == (200 if version in ("7fffffffffffffff", "null") else 400), page
    assert owner.wire.get(f"/{place}/k", query=f"versionId={version}").status == {
        "7fffffffffffffff": 404, "null": 200}.get(version, 400)
    alive(owner, place)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("header", ["x-amz-max-parts", "x-amz-part-number-marker"])
def test_counts_of_attributes(owner, place, header, number):
    answer = owner.wire.get(
        f"/{place}/k", query="attributes", headers={"x-amz-object-attributes": "ObjectParts", header: number})
    assert answer.refusal == (400, "InvalidArgument") if number not in ("0", "", " 1") else answer.status == 200, answer
    if number == "0" and header == "x-amz-max-parts":
        assert answer.text("ObjectParts/IsTruncated") == "false"
    alive(owner, place)


def test_no_parts_are_a_whole_page(owner, place):
    upload = owner.s3.create_multipart_upload(Bucket=place, Key="open")["UploadId"]
    owner.s3.upload_part(Bucket=place, Key="open", UploadId=upload, PartNumber=1, Body=b"x")
    page = owner.wire.get(f"/{place}/open", query=f"uploadId={upload}&max-parts=0")
    assert (page.status, page.text("IsTruncated"), page.texts("Part")) == (200, "false", [])


@pytest.mark.parametrize("length", [LEAST, "-1"])
@pytest.mark.parametrize("query", ["", "tagging", "acl"])
@pytest.mark.parametrize("path", ["/nowhere-to-be-found/k", "/{bucket}/new"])
def test_lengths_below_nothing(owner, simulated, place, path, query, length):
    """Nobody needs a right, or a bucket, to send such a request."""
    nobody = Wire(simulated.port, simulated.region)
    answer = nobody.put(
        path.format(bucket=place), query=query, body=b"1\r\nx\r\n0\r\n\r\n",
        headers={"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": length})
    assert answer.refusal == (400, "InvalidArgument"), answer
    alive(owner, place)


@pytest.mark.parametrize("days", [2147483647, 106_751_992, 100_000_000])
def test_rules_that_are_never_due(owner, days):
    """Lifecycle rules of more days than time has: heard, and never due."""
    with a_bucket(owner.s3) as bucket:
        owner.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        owner.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
            {"ID": "far", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": days},
             "NoncurrentVersionExpiration": {"NoncurrentDays": days},
             "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}]})
        put = owner.wire.put(f"/{bucket}/k", b"x")
        assert put.status == 200 and 'rule-id="far"' in put.headers["x-amz-expiration"], put
        owner.s3.put_object(Bucket=bucket, Key="k", Body=b"y")
        assert owner.wire.post(f"/{bucket}/parts", query="uploads").status == 200
        assert owner.wire.head(f"/{bucket}/k").status == 200


@pytest.mark.parametrize("date", [LEAST, MOST, "-1", "99999999999999999999", "9999-12-31T23:59:59Z"])
def test_dates_of_policies(owner, date):
    with a_bucket(owner.s3) as bucket:
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*",
             "Condition": {"DateLessThan": {"aws:CurrentTime": date}}}]}
        body = json.dumps(policy).encode()
        put = owner.wire.put(f"/{bucket}", body, query="policy")
        assert put.status == 204 if date in ("-1", "9999-12-31T23:59:59Z") else put.refusal == (400, "MalformedPolicy"), put
        assert owner.wire.head(f"/{bucket}").status == 200


@pytest.mark.parametrize("asked, status, length", [
    ("bytes=0-99999999999999999999", 206, 100), ("bytes=-99999999999999999999", 206, 100),
    (f"bytes=0-{MOST}", 206, 100), (f"bytes={MOST}-", 416, None), ("bytes=99999999999999999999-", 416, None),
    (f"bytes={LEAST}-5", 200, 100), ("bytes=5-2", 200, 100)])
def test_ranges(owner, place, asked, status, length):
    answer = owner.wire.get(f"/{place}/k", headers={"Range": asked})
    assert answer.status == status and (length is None or len(answer.body) == length), answer


def test_chunks_of_less_than_nothing(owner, simulated, place):
    for length in ["-1", "+1", " 1", "", "fffffffff"]:
        answer = owner.wire.put(
            f"/{place}/new", body=f"{length}\r\nx\r\n0\r\n\r\n".encode(), payload_hash="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            headers={"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": "1"})
        assert answer.status == 400, answer
    alive(owner, place)


def test_metadata_that_is_no_text(owner, simulated):
    """Bytes that are no UTF-8 are not kept as something else."""
    with a_bucket(owner.s3) as bucket:
        owner.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}]}))
        nobody = Wire(simulated.port, simulated.region)
        assert nobody.put(f"/{bucket}/k", b"x", headers={"x-amz-meta-name": b"caf\xe9"}).refusal == (400, "InvalidArgument")
        assert nobody.put(f"/{bucket}/k", b"x", headers={"x-amz-meta-name": "caf\u00e9".encode()}).status == 200


def test_checksums_that_nobody_knows(owner, place):
    digest = base64.b64encode(b"\0" * 64).decode()
    assert owner.wire.put(f"/{place}/new", b"x", headers={"x-amz-checksum-sha512": digest}).refusal == (501, "NotImplemented")
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    assert owner.wire.post(
        f"/{place}", body, query="delete", headers={"x-amz-checksum-xxhash64": "x", "Content-MD5": md5_of(body)},
    ).refusal == (501, "NotImplemented")
    alive(owner, place)
