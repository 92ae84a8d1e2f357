"""Uploads in parts ("Uploading and copying objects using multipart upload", Amazon S3 User Guide; the six
operations in the Amazon S3 API Reference)."""

import concurrent.futures
import os
import urllib.parse

import pytest

from objects.wire import new_name, read, refused, status, tag_of, tag_of_parts, versions

LEAST = 5 << 20


@pytest.fixture(scope="module")
def large():
    return os.urandom(LEAST)


def start(s3, bucket, key="k", **how):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **how)["UploadId"]


def part(s3, bucket, upload, number, body, key="k", **how):
    made = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, **how)
    return {"PartNumber": number, "ETag": made["ETag"]}


def complete(s3, bucket, upload, parts, key="k", **how):
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **how)


def test_an_upload_from_its_beginning_to_its_end(s3, bucket, large):
    begun = s3.create_multipart_upload(Bucket=bucket, Key="a/ü", ContentType="text/x-a", Metadata={"a": "b"}, Tagging="t=1")
    upload = begun["UploadId"]
    assert begun["Bucket"] == bucket and begun["Key"] == "a/ü" and upload
    bodies = [large, large[::-1], b"end"]
    parts = [part(s3, bucket, upload, number, body, "a/ü") for number, body in enumerate(bodies, 1)]
    assert [made["ETag"] for made in parts] == [tag_of(body) for body in bodies]
    # Nothing is there before it is complete.
    assert refused(s3.head_object, Bucket=bucket, Key="a/ü")[0] == 404 and s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    done = complete(s3, bucket, upload, parts, "a/ü")
    tag = tag_of_parts(*bodies)
    assert (done["Bucket"], done["Key"], done["ETag"]) == (bucket, "a/ü", tag) and "VersionId" not in done
    assert urllib.parse.unquote(done["Location"]).endswith(f"/{bucket}/a/ü") and done["Location"].startswith("http")
    got = s3.get_object(Bucket=bucket, Key="a/ü")
    assert got["Body"].read() == b"".join(bodies) and got["ETag"] == tag
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("text/x-a", {"a": "b"}, 1)
    [listed] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (listed["ETag"], listed["Size"]) == (tag, 2 * LEAST + 3)
    # Ranges go over the seams.
    for first, last in [(LEAST - 1, LEAST), (LEAST, LEAST), (2 * LEAST - 2, 2 * LEAST + 2), (0, 2 * LEAST + 2)]:
        assert read(s3, bucket, "a/ü", Range=f"bytes={first}-{last}") == b"".join(bodies)[first:last + 1]
    assert read(s3, bucket, "a/ü", Range="bytes=-4") == large[:1] + b"end"


def test_parts_may_come_in_any_order_and_be_left_out(s3, bucket, large):
    upload = start(s3, bucket)
    made = {number: part(s3, bucket, upload, number, body) for number,
        body in [(10_000, b"last"), (3, large), (7, b"left out"), (5, large)]}
    done = complete(s3, bucket, upload, [made[3], made[5], made[10_000]])
    assert done["ETag"] == tag_of_parts(large, large, b"last") and read(s3, bucket, "k") == large + large + b"last"


def test_a_part_that_comes_again_replaces_the_first(s3, bucket):
    upload = start(s3, bucket)
    old, new = part(s3, bucket, upload, 1, b"old"), part(s3, bucket, upload, 1, b"new")
    [listed] = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]
    assert listed["ETag"] == new["ETag"]
    assert refused(complete, s3=s3, bucket=bucket, upload=upload, parts=[old]) == (400, "InvalidPart")
    complete(s3, bucket, upload, [new])
    assert read(s3, bucket, "k") == b"new"


@pytest.mark.parametrize("size", [0, 1, 8192, 100_000])
def test_an_object_of_one_part(s3, bucket, size):
    body = os.urandom(size)
    upload = start(s3, bucket)
    done = complete(s3, bucket, upload, [part(s3, bucket, upload, 1, body)])
    assert done["ETag"] == tag_of_parts(body) and read(s3, bucket, "k") == body


def test_completing_twice(s3, bucket):
    """As by a client that did not hear the first answer."""
    upload = start(s3, bucket)
    parts = [part(s3, bucket, upload, 1, b"body")]
    first = complete(s3, bucket, upload, parts)
    assert complete(s3, bucket, upload, parts)["ETag"] == first["ETag"]
    assert refused(s3.list_parts, Bucket=bucket, Key="k", UploadId=upload) == (404, "NoSuchUpload")
    assert refused(part, s3=s3, bucket=bucket, upload=upload, number=2, body=b"x") == (404, "NoSuchUpload")


def test_completing_twice_makes_one_version(s3, versioned):
    upload = start(s3, versioned)
    parts = [part(s3, versioned, upload, 1, b"body")]
    first, second = complete(s3, versioned, upload, parts), complete(s3, versioned, upload, parts)
    assert first["VersionId"] == second["VersionId"]
    assert versions(s3, versioned) == [("k", first["VersionId"], False, True)]


def test_many_complete_at_once(s3, bucket):
    upload = start(s3, bucket)
    parts = [part(s3, bucket, upload, 1, b"body")]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        tags = {done["ETag"] for done in pool.map(lambda _: complete(s3, bucket, upload, parts), range(6))}
    assert tags == {tag_of_parts(b"body")} and read(s3, bucket, "k") == b"body"


def test_abandoning(s3, bucket):
    upload = start(s3, bucket)
    made = part(s3, bucket, upload, 1, b"x")
    assert status(s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)) == 204
    assert refused(s3.abort_multipart_upload, Bucket=bucket, Key="k", UploadId=upload) == (404, "NoSuchUpload")
    assert refused(complete, s3=s3, bucket=bucket, upload=upload, parts=[made]) == (404, "NoSuchUpload")
    assert refused(s3.list_parts, Bucket=bucket, Key="k", UploadId=upload) == (404, "NoSuchUpload")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404


def test_an_upload_belongs_to_its_key(s3, bucket, make_bucket):
    upload = start(s3, bucket)
    elsewhere = make_bucket()
    for there, key in [(bucket, "other"), (elsewhere, "k")]:
        asked = dict(Bucket=there, Key=key, UploadId=upload)
        assert refused(s3.upload_part, PartNumber=1, Body=b"x", **asked) == (404, "NoSuchUpload")
        assert refused(s3.list_parts, **asked) == (404, "NoSuchUpload")
        assert refused(s3.abort_multipart_upload, **asked) == (404, "NoSuchUpload")
    assert [found["UploadId"] for found in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]


def test_two_uploads_of_one_key(s3, bucket):
    one, two = start(s3, bucket), start(s3, bucket)
    assert one != two
    first, second = part(s3, bucket, one, 1, b"one"), part(s3, bucket, two, 1, b"two")
    assert refused(complete, s3=s3, bucket=bucket, upload=one, parts=[second]) == (400, "InvalidPart")
    complete(s3, bucket, two, [second])
    complete(s3, bucket, one, [first])
    assert read(s3, bucket, "k") == b"one"


@pytest.mark.parametrize("number", ["0", "10001", "-1", "one", "", "1.5", "99999999999999999999"])
def test_numbers_that_parts_cannot_have(s3, wire, bucket, number):
    upload = start(s3, bucket)
    answer = wire.put(f"/{bucket}/k", b"x", query=f"partNumber={number}&uploadId={upload}")
    assert answer.refusal == (400, "InvalidArgument")
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    copied = wire.put(
        f"/{bucket}/k", query=f"partNumber={number}&uploadId={upload}", headers={"x-amz-copy-source": f"{bucket}/source"})
    assert copied.refusal == (400, "InvalidArgument")


LISTS = [
    # What is said of the parts 1 (large), 2 (small) and 3 (small); and the refusal.
    ([(2, 2), (1, 1)], (400, "InvalidPartOrder")),
    ([(1, 1), (1, 1)], (400, "InvalidPartOrder")),
    ([(1, 1), (4, 1)], (400, "InvalidPart")),
    ([(1, 2)], (400, "InvalidPart")),
    ([(1, 1), (2, 2), (3, 3)], (400, "EntityTooSmall")),
    ([(2, 2), (3, 3)], (400, "EntityTooSmall")),
    ([], (400, "MalformedXML")),
]


@pytest.mark.parametrize("said, refusal", LISTS)
def test_lists_of_parts_that_are_wrong(s3, bucket, large, said, refusal):
    upload = start(s3, bucket)
    tags = {number: part(s3, bucket, upload, number, body)["ETag"] for number, body in [(1, large), (2, b"two"), (3, b"three")]}
    parts = [{"PartNumber": number, "ETag": tags[of]} for number, of in said]
    assert refused(complete, s3=s3, bucket=bucket, upload=upload, parts=parts) == refusal
    # The upload is as it was, and can be completed rightly.
    assert len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]) == 3
    complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": tags[1]}, {"PartNumber": 3, "ETag": tags[3]}])
    assert read(s3, bucket, "k") == large + b"three"


@pytest.mark.parametrize("document", [
    "", "nothing", "<CompleteMultipartUpload/>", "<Other/>", "<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
    "<CompleteMultipartUpload><Part><PartNumber>one</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
    "<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>"])
def test_lists_of_parts_that_are_malformed(s3, wire, bucket, document):
    upload = start(s3, bucket)
    answer = wire.post(f"/{bucket}/k", document, query=f"uploadId={upload}")
    assert answer.refusal == (400, "MalformedXML")


def test_tags_with_quotes_and_without(s3, wire, bucket):
    for spelled in ['"{}"', "{}", "&quot;{}&quot;"]:
        upload = start(s3, bucket)
        tag = part(s3, bucket, upload, 1, b"x")["ETag"].strip('"')
        document = (
            '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Part><PartNumber>1</PartNumber>'
            f"<ETag>{spelled.format(tag)}</ETag></Part></CompleteMultipartUpload>")
        answer = wire.post(f"/{bucket}/k", document, query=f"uploadId={upload}")
        assert answer.status == 200 and answer.text("ETag") == tag_of_parts(b"x")
        assert answer.document.tag == "CompleteMultipartUploadResult" and answer.text("Key") == "k"


def test_the_size_that_is_expected(s3, bucket):
    upload = start(s3, bucket)
    parts = [part(s3, bucket, upload, 1, b"12345")]
    assert refused(complete, s3=s3, bucket=bucket, upload=upload, parts=parts, MpuObjectSize=6) == (400, "InvalidRequest")
    assert complete(s3, bucket, upload, parts, MpuObjectSize=5)["ETag"] == tag_of_parts(b"12345")


@pytest.mark.parametrize("call, more", [
    ("upload_part", {"PartNumber": 1, "Body": b"x"}), ("list_parts", {}), ("abort_multipart_upload", {}),
    ("complete_multipart_upload", {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}})])
@pytest.mark.parametrize("upload", ["none", "0" * 32, "../..", "ü"])
def test_uploads_that_there_are_not(s3, bucket, call, more, upload):
    assert refused(getattr(s3, call), Bucket=bucket, Key="k", UploadId=upload, **more) == (404, "NoSuchUpload")


def test_uploads_into_no_bucket(s3):
    name = new_name()
    assert refused(s3.create_multipart_upload, Bucket=name, Key="k") == (404, "NoSuchBucket")
    assert refused(s3.upload_part, Bucket=name, Key="k", UploadId="x", PartNumber=1, Body=b"") == (404, "NoSuchBucket")
    assert refused(s3.list_multipart_uploads, Bucket=name) == (404, "NoSuchBucket")


def test_the_list_of_parts(s3, wire, owner, bucket):
    upload = start(s3, bucket, StorageClass="STANDARD_IA")
    bodies = {number: b"x" * number for number in (1, 2, 3, 30, 400)}
    tags = {number: part(s3, bucket, upload, number, body)["ETag"] for number, body in bodies.items()}
    whole = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert [(found["PartNumber"], found["Size"], found["ETag"]) for found in whole["Parts"]] == [
        (number, number, tags[number]) for number in bodies]
    assert (whole["Bucket"], whole["Key"], whole["UploadId"], whole["MaxParts"]) == (bucket, "k", upload, 1000)
    assert (whole["IsTruncated"], whole["StorageClass"], whole["PartNumberMarker"]) == (False, "STANDARD_IA", 0)
    assert whole["Owner"]["ID"] == owner.id and whole["Initiator"]["ID"]
    found, markers = [], []
    for page in s3.get_paginator("list_parts").paginate(Bucket=bucket, Key="k", UploadId=upload,
        PaginationConfig={"PageSize": 2}):
        found += [made["PartNumber"] for made in page["Parts"]]
        markers.append((page["PartNumberMarker"], page["NextPartNumberMarker"], page["IsTruncated"], page["MaxParts"]))
    assert found == list(bodies)
    assert markers == [(0, 2, True, 2), (2, 30, True, 2), (30, 400, False, 2)]
    assert [made["PartNumber"] for made in s3.list_parts(
        Bucket=bucket, Key="k", UploadId=upload, PartNumberMarker=3)["Parts"]] == [30, 400]
    for query in ["max-parts=-1", "max-parts=many", "part-number-marker=-1", "part-number-marker=x", "max-parts=2147483648"]:
        assert wire.get(f"/{bucket}/k", query=f"uploadId={upload}&{query}").refusal == (400, "InvalidArgument")
    assert wire.get(f"/{bucket}/k", query=f"uploadId={upload}&max-parts=5000").text("MaxParts") == "1000"
    none = wire.get(f"/{bucket}/k", query=f"uploadId={upload}&max-parts=0")
    assert none.status == 200 and none.texts("Part") == []


@pytest.fixture
def uploads(s3, bucket):
    """Uploads by key, in the order in which they are listed."""
    begun = [(key, start(s3, bucket, key)) for key in ["a", "b", "b", "b", "p/1", "p/2", "q/r/1", "z"]]
    # One key's are in the order in which they were begun.
    return begun


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_the_list_of_uploads(s3, bucket, owner, uploads, step):
    found, sizes = [], []
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": step}):
        found += [(upload["Key"], upload["UploadId"]) for upload in page["Uploads"]]
        sizes.append(len(page["Uploads"]))
        assert page["MaxUploads"] == step and page["Bucket"] == bucket
        assert {upload["Owner"]["ID"] for upload in page["Uploads"]} == {owner.id}
        assert {upload["StorageClass"] for upload in page["Uploads"]} == {"STANDARD"}
        assert page["IsTruncated"] == (len(found) < len(uploads))
        if page["IsTruncated"]:
            assert (page["NextKeyMarker"], page["NextUploadIdMarker"]) == found[-1]
    assert sorted(found) == sorted(uploads) and [key for key, _ in found] == [key for key, _ in uploads]
    assert all(size == step for size in sizes[:-1])


def test_uploads_rolled_up(s3, bucket, uploads):
    def listed(**asked):
        page = s3.list_multipart_uploads(Bucket=bucket, **asked)
        return [upload["Key"] for upload in page.get("Uploads", [])], [
            found["Prefix"] for found in page.get("CommonPrefixes", [])]

    assert listed(Prefix="p/") == (["p/1", "p/2"], []) and listed(Prefix="none") == ([], [])
    assert listed(Delimiter="/") == (["a", "b", "b", "b", "z"], ["p/", "q/"])
    assert listed(Delimiter="/", Prefix="q/") == ([], ["q/r/"])
    assert listed(KeyMarker="b") == (["p/1", "p/2", "q/r/1", "z"], [])
    assert listed(KeyMarker="p/1", Delimiter="x") == (["p/2", "q/r/1", "z"], [])


def test_an_upload_marker_needs_a_key_marker(s3, bucket, uploads):
    """Otherwise it is ignored ("ListMultipartUploads")."""
    page = s3.list_multipart_uploads(Bucket=bucket, UploadIdMarker=uploads[3][1])
    assert len(page["Uploads"]) == len(uploads)


def test_lists_of_uploads_that_are_wrong(wire, s3, bucket):
    for query in ["max-uploads=-1", "max-uploads=many", "max-uploads=2147483648"]:
        assert wire.get(f"/{bucket}", query=f"uploads&{query}").refusal == (400, "InvalidArgument")
    start(s3, bucket, "ü &/x")
    answer = wire.get(f"/{bucket}", query="uploads&encoding-type=url&prefix=%C3%BC")
    assert answer.text("EncodingType") == "url" and answer.text("Upload/Key").isascii()
    assert urllib.parse.unquote_plus(answer.text("Upload/Key")) == "ü &/x"
    assert urllib.parse.unquote_plus(answer.text("Prefix")) == "ü"


def test_who_may_do_what_with_an_upload(s3, other, anonymous, bucket):
    upload = start(s3, bucket)
    asked = dict(Bucket=bucket, Key="k", UploadId=upload)
    for client in (other, anonymous):
        assert refused(client.upload_part, PartNumber=1, Body=b"x", **asked) == (403, "AccessDenied")
        assert refused(client.list_parts, **asked) == (403, "AccessDenied")
        assert refused(client.abort_multipart_upload, **asked) == (403, "AccessDenied")
        assert refused(client.list_multipart_uploads, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.create_multipart_upload, Bucket=bucket, Key="k") == (403, "AccessDenied")
        assert refused(client.complete_multipart_upload, **asked,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]}) == (
            403, "AccessDenied")


def test_parts_of_an_object(s3, wire, bucket, large):
    """partNumber reads one part of what was uploaded in parts."""
    upload = start(s3, bucket)
    bodies = {1: large, 4: large[::-1], 9: b"end"}
    complete(s3, bucket, upload, [part(s3, bucket, upload, number, body) for number, body in bodies.items()])
    offset = 0
    # They are counted anew, from one.
    for number, body in enumerate(bodies.values(), 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert status(got) == 206 and got["Body"].read() == body and got["PartsCount"] == 3 and got["ContentLength"] == len(body)
        assert got["ContentRange"] == f"bytes {offset}-{offset + len(body) - 1}/{2 * LEAST + 3}"
        head = s3.head_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (status(head), head["ContentLength"], head["PartsCount"]) == (206, len(body), 3)
        offset += len(body)
    assert wire.get(f"/{bucket}/k", query="partNumber=4").refusal == (416, "InvalidPartNumber")
    assert wire.head(f"/{bucket}/k", query="partNumber=4").status == 416
    assert wire.get(f"/{bucket}/k", query="partNumber=1", headers={"Range": "bytes=0-1"}).refusal == (400, "InvalidRequest")
    assert "PartsCount" not in s3.head_object(Bucket=bucket, Key="k")


def test_the_one_part_of_what_came_whole(s3, wire, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"whole")
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=1)
    assert got["Body"].read() == b"whole" and status(got) == 206 and "PartsCount" not in got
    assert wire.get(f"/{bucket}/k", query="partNumber=2").refusal == (416, "InvalidPartNumber")
    for number in ["0", "10001", "x", "-1"]:
        assert wire.get(f"/{bucket}/k", query=f"partNumber={number}").refusal == (400, "InvalidArgument")


def test_attributes_of_parts(s3, bucket, large):
    upload = start(s3, bucket, ChecksumAlgorithm="SHA256")
    parts, sums = [], []
    for number, body in enumerate([large, large[::-1], b"end"], 1):
        made = s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        sums.append(made["ChecksumSHA256"])
        parts.append({"PartNumber": number, "ETag": made["ETag"], "ChecksumSHA256": made["ChecksumSHA256"]})
    complete(s3, bucket, upload, parts)
    asked = dict(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "ObjectSize", "Checksum"])
    answer = s3.get_object_attributes(**asked)
    assert answer["ObjectSize"] == 2 * LEAST + 3 and answer["Checksum"]["ChecksumType"] == "COMPOSITE"
    assert answer["Checksum"]["ChecksumSHA256"].endswith("-3")
    shown = answer["ObjectParts"]
    assert (shown["TotalPartsCount"], shown["IsTruncated"], shown["PartNumberMarker"], shown["MaxParts"]) == (3, False, 0, 1000)
    assert [(found["PartNumber"], found["Size"], found["ChecksumSHA256"]) for found in shown["Parts"]] == [
        (1, LEAST, sums[0]), (2, LEAST, sums[1]), (3, 3, sums[2])]
    first = s3.get_object_attributes(**asked, MaxParts=1)["ObjectParts"]
    assert (first["IsTruncated"], first["NextPartNumberMarker"], len(first["Parts"])) == (True, 1, 1)
    rest = s3.get_object_attributes(**asked, PartNumberMarker=1)["ObjectParts"]
    assert [found["PartNumber"] for found in rest["Parts"]] == [2, 3] and rest["PartNumberMarker"] == 1


def test_attributes_of_parts_without_checksums(s3, wire, bucket):
    """Only how many there are."""
    upload = wire.post(f"/{bucket}/k", query="uploads").text("UploadId")
    tag = wire.put(f"/{bucket}/k", b"x", query=f"partNumber=1&uploadId={upload}").headers["etag"]
    document = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part></CompleteMultipartUpload>"
    assert wire.post(f"/{bucket}/k", document, query=f"uploadId={upload}").status == 200
    shown = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert shown["TotalPartsCount"] == 1 and "Parts" not in shown


def test_a_bucket_with_an_upload_can_be_removed(s3):
    """An upload that was begun is no object of the bucket."""
    name = new_name()
    s3.create_bucket(Bucket=name)
    part(s3, name, start(s3, name), 1, b"x")
    assert status(s3.delete_bucket(Bucket=name)) == 204


def test_an_upload_replaces_when_it_is_complete(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    upload = start(s3, bucket)
    parts = [part(s3, bucket, upload, 1, b"new")]
    assert read(s3, bucket, "k") == b"old"
    complete(s3, bucket, upload, parts)
    assert read(s3, bucket, "k") == b"new"


def test_a_part_that_is_damaged(s3, wire, bucket):
    upload = start(s3, bucket)
    answer = wire.put(
        f"/{bucket}/k", b"body", query=f"partNumber=1&uploadId={upload}", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert answer.refusal == (400, "BadDigest")
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert wire.put(f"/{bucket}/k", query=f"partNumber=1&uploadId={upload}", length=False).refusal == (
        411, "MissingContentLength")
