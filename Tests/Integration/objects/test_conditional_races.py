"""Clients that write at once, each on the condition that none of the others has ("Conditional requests",
Amazon S3 User Guide): one of them goes through, and a chain of such writes loses none."""

import collections
import concurrent.futures
import os
import threading

import botocore.exceptions
import pytest

from objects.wire import a_bucket, read, refused, versions

CLIENTS = 16
# Kept with its key, in a segment, in a file of its own.
SIZES = [10, 50_000, 1_500_000]
LOST = {(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")}


@pytest.fixture(scope="module")
def arena(s3):
    with a_bucket(s3) as name:
        yield name


@pytest.fixture(scope="module")
def recorded(s3):
    """A bucket that keeps versions, by which it shows what went through."""
    with a_bucket(s3) as name:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        yield name


@pytest.fixture
def race(simulated):
    """Calls a function by many clients at once, each with a connection of its own and its number; returns the
    numbers of those that went through and how the others were refused."""

    def run(call, clients=CLIENTS):
        gate = threading.Barrier(clients)

        def attempt(number):
            client = simulated.client("s3")
            # The connection is there before the race begins.
            client.list_buckets()
            gate.wait(60)
            try:
                call(client, number)
                return number, None
            except botocore.exceptions.ClientError as error:
                return number, (error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])

        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            ended = list(pool.map(attempt, range(clients)))
        return [number for number, refusal in ended if refusal is None], [refusal for _, refusal in ended if refusal]

    return run


def body_of(number, size):
    return (f"{number:09d} ".encode() * (size // 10 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_one_of_many_makes_an_object(s3, arena, race, size):
    for round in range(3):
        key = f"made-{size}-{round}"
        [won], lost = race(lambda client, number: client.put_object(
            Bucket=arena, Key=key, Body=body_of(number, size), IfNoneMatch="*"))
        assert set(lost) <= LOST and len(lost) == CLIENTS - 1
        assert read(s3, arena, key) == body_of(won, size)


@pytest.mark.parametrize("size", SIZES)
def test_one_of_many_replaces_an_object(s3, arena, race, size):
    key = f"replaced-{size}"
    tag = s3.put_object(Bucket=arena, Key=key, Body=b"first")["ETag"]
    for round in range(3):
        [won], lost = race(lambda client, number: client.put_object(
            Bucket=arena, Key=key, Body=body_of(number + 100 * round, size), IfMatch=tag))
        assert set(lost) <= LOST
        assert read(s3, arena, key) == body_of(won + 100 * round, size)
        tag = s3.head_object(Bucket=arena, Key=key)["ETag"]


def test_one_of_many_makes_one_version(s3, recorded, race):
    [won], lost = race(lambda client, number: client.put_object(
        Bucket=recorded, Key="k", Body=body_of(number, 100), IfNoneMatch="*"))
    assert set(lost) <= LOST
    assert len(versions(s3, recorded, Prefix="k")) == 1 and read(s3, recorded, "k") == body_of(won, 100)
    # Behind a marker there is no object.
    s3.delete_object(Bucket=recorded, Key="k")
    race(lambda client, number: client.put_object(Bucket=recorded, Key="k", Body=body_of(number, 100), IfNoneMatch="*"))
    assert [is_marker for _, _, is_marker, _ in versions(s3, recorded, Prefix="k")] == [False, False, True]


def add_one(client, bucket, key, write):
    """Adds one to the number in an object, however often others come first; how often they did."""
    late = 0
    while True:
        got = client.get_object(Bucket=bucket, Key=key)
        number = int(got["Body"].read())
        try:
            write(client, number + 1, got["ETag"])
            return late
        except botocore.exceptions.ClientError as error:
            answer = error.response
            assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) in LOST
            late += 1


@pytest.mark.parametrize("width", [10, 20_000], ids=["small", "middling"])
def test_a_counter_by_compare_and_swap(s3, arena, race, width):
    key, each = f"counter-{width}", 8
    s3.put_object(Bucket=arena, Key=key, Body=b"0".ljust(width))
    late = collections.Counter()

    def count(client, number):
        for _ in range(each):
            late[number] += add_one(client, arena, key, lambda client, next, tag: client.put_object(
                Bucket=arena, Key=key, Body=str(next).encode().ljust(width), IfMatch=tag))

    won, lost = race(count, clients=6)
    assert len(won) == 6 and not lost
    assert int(read(s3, arena, key)) == 6 * each
    # They were in each other's way, or nothing is shown.
    assert sum(late.values()) > 0


def test_a_counter_of_uploads_in_parts(s3, arena, race):
    key, each = "counter-parts", 4
    s3.put_object(Bucket=arena, Key=key, Body=b"0")

    def write(client, next, tag):
        upload, parts = begun(client, arena, key, str(next).encode())
        client.complete_multipart_upload(Bucket=arena, Key=key, UploadId=upload, MultipartUpload=parts, IfMatch=tag)

    won, lost = race(lambda client, _: [add_one(client, arena, key, write) for _ in range(each)], clients=6)
    assert len(won) == 6 and not lost and int(read(s3, arena, key)) == 6 * each


def test_a_counter_of_copies(s3, arena, race):
    """The next number lies ready under a key of its own; a copy takes the counter's place if it is as it was."""
    key, each = "counter-copies", 4
    s3.put_object(Bucket=arena, Key=key, Body=b"0")
    for number in range(1, 6 * each + 1):
        s3.put_object(Bucket=arena, Key=f"number-{number}", Body=str(number).encode())

    def write(client, next, tag):
        client.copy_object(Bucket=arena, Key=key, CopySource={"Bucket": arena, "Key": f"number-{next}"}, IfMatch=tag)

    won, lost = race(lambda client, _: [add_one(client, arena, key, write) for _ in range(each)], clients=6)
    assert len(won) == 6 and not lost and int(read(s3, arena, key)) == 6 * each


def begun(client, bucket, key, body):
    """An upload of one part that lacks nothing but its end."""
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    tag = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=body)["ETag"]
    return upload, {"Parts": [{"PartNumber": 1, "ETag": tag}]}


def test_one_of_many_completes_an_object(s3, arena, race):
    bodies = [os.urandom(10) for _ in range(CLIENTS)]
    uploads = [begun(s3, arena, "completed", body) for body in bodies]
    [won], lost = race(lambda client, number: client.complete_multipart_upload(
        Bucket=arena, Key="completed", UploadId=uploads[number][0], MultipartUpload=uploads[number][1], IfNoneMatch="*"))
    assert set(lost) <= LOST and read(s3, arena, "completed") == bodies[won]
    # Those that were refused are there to be given up, or to be ended without a condition.
    assert len(s3.list_multipart_uploads(Bucket=arena, Prefix="completed").get("Uploads", [])) == CLIENTS - 1
    for number, (upload, parts) in enumerate(uploads):
        if number == CLIENTS - 1 and number != won:
            s3.complete_multipart_upload(Bucket=arena, Key="completed", UploadId=upload, MultipartUpload=parts)
            assert read(s3, arena, "completed") == bodies[number]
        elif number != won:
            s3.abort_multipart_upload(Bucket=arena, Key="completed", UploadId=upload)


def test_one_upload_is_completed_by_many(s3, recorded, race):
    """They want the same, so that all of them have it, once."""
    upload, parts = begun(s3, recorded, "shared", b"body")
    won, lost = race(lambda client, _: client.complete_multipart_upload(
        Bucket=recorded, Key="shared", UploadId=upload, MultipartUpload=parts))
    assert len(won) == CLIENTS and not lost
    assert len(versions(s3, recorded, Prefix="shared")) == 1 and read(s3, recorded, "shared") == b"body"


def test_one_of_many_copies_makes_an_object(s3, arena, race):
    for number in range(CLIENTS):
        s3.put_object(Bucket=arena, Key=f"source-{number}", Body=body_of(number, 20_000))
    [won], lost = race(lambda client, number: client.copy_object(
        Bucket=arena, Key="copied", CopySource={"Bucket": arena, "Key": f"source-{number}"}, IfNoneMatch="*"))
    assert set(lost) <= LOST and read(s3, arena, "copied") == body_of(won, 20_000)


def test_copies_of_an_object_that_is_replaced(s3, arena, race):
    """A copy is of the version that its condition names, or there is none."""
    tag = s3.put_object(Bucket=arena, Key="source", Body=body_of(0, 50_000))["ETag"]

    def act(client, number):
        if number == 0:
            client.put_object(Bucket=arena, Key="source", Body=body_of(1, 50_000))
        else:
            client.copy_object(
                Bucket=arena, Key=f"copy-{number}", CopySource={"Bucket": arena, "Key": "source"}, CopySourceIfMatch=tag)

    won, lost = race(act)
    assert 0 in won and set(lost) <= LOST
    for number in range(1, CLIENTS):
        if number in won:
            assert read(s3, arena, f"copy-{number}") == body_of(0, 50_000)
        else:
            assert refused(s3.head_object, Bucket=arena, Key=f"copy-{number}")[0] == 404


def test_one_of_many_removes_an_object(s3, arena, race):
    tag = s3.put_object(Bucket=arena, Key="removed", Body=b"body")["ETag"]
    [won], lost = race(lambda client, _: client.delete_object(Bucket=arena, Key="removed", IfMatch=tag))
    # The others find none.
    assert set(lost) <= LOST | {(404, "NoSuchKey")}
    assert refused(s3.head_object, Bucket=arena, Key="removed")[0] == 404


def test_removing_races_with_replacing(s3, arena, race):
    """Either the object was removed as it was, or it was replaced before."""
    for round in range(4):
        tag = s3.put_object(Bucket=arena, Key="contended", Body=b"before")["ETag"]

        def act(client, number):
            if number % 2:
                client.delete_object(Bucket=arena, Key="contended", IfMatch=tag)
            else:
                client.put_object(Bucket=arena, Key="contended", Body=body_of(number, 9_000), IfMatch=tag)

        [won], lost = race(act)
        assert set(lost) <= LOST | {(404, "NoSuchKey")}
        if won % 2:
            assert refused(s3.head_object, Bucket=arena, Key="contended")[0] == 404
        else:
            assert read(s3, arena, "contended") == body_of(won, 9_000)
