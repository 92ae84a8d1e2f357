"""A disk that is full: writes are refused and nothing is half made, what is there is read, listed and removed,
and once there is room the store takes objects again. Others may have filled the disk to its last block."""

import concurrent.futures
import json
import os
import signal
import time

import botocore.exceptions
import pytest

from disks import small_disk
from objects.alone import Alone
from objects.hook import Hook
from objects.wire import eventually, refused

FULL = (507, "InsufficientCapacity")
# Kept with its key, in a segment, in a file of its own.
SIZES = [8_000, 200_000, 3_000_000]


class Filled:
    """A store on a small disk, and a file of others on it."""

    def __init__(self, disk, folder):
        self.disk, self.hog = disk, disk / "hog"
        root = disk / "root"
        root.mkdir()
        self.store = Alone(root, "--access-log-interval", "1", log=folder / "log")
        self.store.start()

    @property
    def free(self):
        """What programs that are not root can still write."""
        found = os.statvfs(self.disk)
        return found.f_bavail * found.f_frsize

    def leave(self, size):
        """Others take all of the disk but so many bytes."""
        self.take(self.free - size)

    def take(self, size):
        with open(self.hog, "ab") as file:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)

    def fill(self):
        """Others take all of the disk, also what is root's."""
        size = 64 << 20
        while size >= 4096:
            try:
                self.take(size)
            except OSError:
                size //= 2

    def fill_for_good(self):
        """Fills the disk when the store has nothing that it can give back by itself; returns a client."""
        # It has reserved no room for bodies to come, and its logs are empty.
        self.store.stop()
        self.store.start()
        self.fill()
        return self.store.client()

    def make_room(self):
        self.hog.unlink()


@pytest.fixture
def filled(tmp_path):
    with small_disk(tmp_path, "384M") as disk:
        made = Filled(disk, tmp_path)
        yield made
        if made.store.process.poll() is None:
            made.store.stop()


def body_of(number, size):
    return (f"{number:09d} ".encode() * (size // 10 + 1))[:size]


def finds_room(call):
    """Calls until it is not refused for want of room."""

    def has_room():
        try:
            call()
            return True
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 507, error
            return False

    eventually(has_room)


def check(s3, bodies, bucket="first"):
    """The bucket has these bodies by key, and no others."""
    listed = [entry for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket) for entry in page.get("Contents", [])]
    assert {entry["Key"]: entry["Size"] for entry in listed} == {key: len(body) for key, body in bodies.items()}
    for key, body in bodies.items():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body


@pytest.mark.parametrize("size", SIZES)
def test_filled_by_its_own_clients(filled, size):
    s3 = filled.store.client()
    s3.create_bucket(Bucket="first")
    filled.leave(64 << 20)

    def put_all(worker):
        """Puts until there is no room, also after the store has had time to give some back; what was taken."""
        client, taken, refusals = filled.store.client(), {}, 0
        for number in range(100_000):
            key = f"{worker}-{number}"
            try:
                client.put_object(Bucket="first", Key=key, Body=body_of(number, size))
            except botocore.exceptions.ClientError as error:
                answer = error.response
                assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == FULL
                refusals += 1
                if refusals == 5:
                    return taken
                time.sleep(1.2)
                continue
            taken[key] = body_of(number, size)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        bodies = {key: body for taken in pool.map(put_all, range(4)) for key, body in taken.items()}
    assert len(bodies) * size > 8 << 20
    # The others' disk is not filled to its end by it.
    assert filled.free > 8 << 20
    # All of them for the few large ones, some of the many small ones.
    for key in list(bodies)[::max(1, len(bodies) // 100)]:
        assert s3.get_object(Bucket="first", Key=key)["Body"].read() == bodies[key]
    listed = [e["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="first") for e in page["Contents"]]
    assert listed == sorted(bodies)
    # In place of what is there as well, which stays.
    some = listed[0]
    assert refused(s3.put_object, Bucket="first", Key=some, Body=body_of(7, filled.free + (1 << 20))) == FULL
    assert s3.get_object(Bucket="first", Key=some)["Body"].read() == bodies[some]
    # Nothing is removed that nobody removed; then all of it is, at once or one by one.
    for key in listed[1:20]:
        s3.delete_object(Bucket="first", Key=key)
    for start in range(20, len(listed), 1000):
        names = [{"Key": key} for key in listed[start:start + 1000]]
        assert "Errors" not in s3.delete_objects(Bucket="first", Delete={"Objects": names, "Quiet": True})
    check(s3, {some: bodies[some]})
    finds_room(lambda: s3.put_object(Bucket="first", Key="again", Body=body_of(1, size)))
    check(s3, {some: bodies[some], "again": body_of(1, size)})
    assert "all are as they were written" in filled.store.karri("objects", "check").stdout
    filled.store.stop()
    filled.store.check_files()


def put_some(s3):
    """Objects of every tier, versions of one, and an upload that has not ended; bodies by key."""
    s3.create_bucket(Bucket="first")
    bodies = {f"{size}-{number}": body_of(number, size) for size in SIZES for number in range(4)}
    for key, body in bodies.items():
        s3.put_object(Bucket="first", Key=key, Body=body)
    s3.create_bucket(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.put_object(Bucket="versioned", Key="k", Body=body_of(number, 9_000))
    upload = s3.create_multipart_upload(Bucket="first", Key="parts")["UploadId"]
    tags = [
        s3.upload_part(Bucket="first", Key="parts", UploadId=upload, PartNumber=number, Body=body_of(number, 5 << 20))["ETag"]
        for number in (1, 2)]
    return bodies, upload, {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]}


def refuse_all(s3, upload):
    """What takes room is refused, of every size, and leaves nothing."""
    for size in SIZES:
        assert refused(s3.put_object, Bucket="first", Key="new", Body=body_of(1, size)) == FULL
    assert refused(s3.copy_object, Bucket="first", Key="new", CopySource="first/3000000-0") == FULL
    assert refused(
        s3.upload_part, Bucket="first", Key="parts", UploadId=upload, PartNumber=3, Body=body_of(3, 1_500_000)) == FULL
    assert refused(s3.create_multipart_upload, Bucket="first", Key="new") == FULL
    assert refused(s3.create_bucket, Bucket="another") == FULL


def test_others_fill_the_disk(filled):
    bodies, upload, parts = put_some(filled.store.client())
    s3 = filled.fill_for_good()
    refuse_all(s3, upload)
    check(s3, bodies)
    # Everything that gives room back, while nobody else does.
    for size in SIZES:
        s3.delete_object(Bucket="first", Key=f"{size}-0")
        del bodies[f"{size}-0"]
    answer = s3.delete_objects(Bucket="first", Delete={"Objects": [{"Key": f"{size}-1"} for size in SIZES]})
    assert "Errors" not in answer
    for size in SIZES:
        del bodies[f"{size}-1"]
    # A marker takes little, and whoever removes by it must be able to.
    assert s3.delete_object(Bucket="versioned", Key="k")["DeleteMarker"]
    found = s3.list_object_versions(Bucket="versioned")
    for version in found["Versions"] + found["DeleteMarkers"]:
        s3.delete_object(Bucket="versioned", Key="k", VersionId=version["VersionId"])
    s3.delete_bucket(Bucket="versioned")
    check(s3, bodies)
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "none/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket="first", LifecycleConfiguration={"Rules": [rule]})
    # An upload whose parts are there can be ended either way.
    s3.complete_multipart_upload(Bucket="first", Key="parts", UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(Bucket="first", Key="parts")["Body"].read() == body_of(1, 5 << 20) + body_of(2, 5 << 20)
    s3.delete_object(Bucket="first", Key="parts")
    assert filled.store.process.poll() is None
    filled.make_room()
    finds_room(lambda: s3.put_object(Bucket="first", Key="new", Body=body_of(9, 3_000_000)))
    check(s3, bodies | {"new": body_of(9, 3_000_000)})
    assert "all are as they were written" in filled.store.karri("objects", "check").stdout
    filled.store.stop()
    filled.store.check_files()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_on_a_full_disk(filled, number):
    s3 = filled.store.client()
    bodies, upload, _ = put_some(s3)
    filled.store.stop(number)
    filled.fill()
    filled.store.start()
    s3 = filled.store.client()
    check(s3, bodies)
    s3.abort_multipart_upload(Bucket="first", Key="parts", UploadId=upload)
    for size in SIZES:
        s3.delete_object(Bucket="first", Key=f"{size}-0")
        del bodies[f"{size}-0"]
    check(s3, bodies)
    filled.make_room()
    finds_room(lambda: s3.put_object(Bucket="first", Key="new", Body=body_of(9, 200_000)))
    check(s3, bodies | {"new": body_of(9, 200_000)})
    filled.store.stop()
    filled.store.check_files()


def test_a_start_without_any_room(filled):
    """Others have taken also what the store had kept back: it says so, and starts once there is some room."""
    bodies, upload, _ = put_some(filled.store.client())
    s3 = filled.fill_for_good()
    refuse_all(s3, upload)
    filled.fill()
    # It lives on for those who read.
    check(s3, bodies)
    filled.store.stop()
    filled.fill()
    with pytest.raises(AssertionError, match="The disk is full: make room on it"):
        filled.store.start()
    assert filled.store.process.wait(30) == 1
    filled.make_room()
    filled.store.begun = filled.store.log_path.stat().st_size
    filled.store.start()
    check(filled.store.client(), bodies)
    finds_room(lambda: filled.store.client().put_object(Bucket="first", Key="new", Body=b"x"))


def test_uploads_that_the_disk_ends_under(filled):
    """Some of many large bodies find room; of the others nothing is left, and their room is free again."""
    s3 = filled.store.client()
    s3.create_bucket(Bucket="first")
    filled.leave(96 << 20)

    def put(number):
        try:
            filled.store.client().put_object(Bucket="first", Key=f"k{number}", Body=body_of(number, 20_000_000))
            return number
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == FULL[1]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        taken = [number for number in pool.map(put, range(8)) if number is not None]
    assert 1 <= len(taken) < 8
    check(s3, {f"k{number}": body_of(number, 20_000_000) for number in taken})
    # More than there is on the whole disk is refused before it comes.
    assert filled.store.wire().put("/first/huge", headers={"Content-Length": str(2 << 30)}).refusal == FULL
    filled.store.stop()
    filled.store.start()
    filled.store.stop()
    filled.store.check_files()


def test_what_the_store_notes_of_itself(filled):
    """Records of calls, messages and what the operator says: the store lives on where they cannot be kept."""
    hook = Hook()
    try:
        store, s3 = filled.store, filled.store.client()
        store.karri("objects", "webhook", "add", "hook", hook.address, "--allow", "127.0.0.1")
        time.sleep(1.5)
        for bucket in ("first", "logs"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_acl(Bucket="logs", GrantWrite="uri=http://acs.amazonaws.com/groups/s3/LogDelivery",
                          GrantReadACP="uri=http://acs.amazonaws.com/groups/s3/LogDelivery")
        s3.put_bucket_logging(
            Bucket="first", BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "log/"}})
        target = "arn:karri:sqs:us-east-1:hook:webhook"
        s3.put_bucket_notification_configuration(Bucket="first", NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": target, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]})
        for number in range(20):
            s3.put_object(Bucket="first", Key=f"k{number}", Body=body_of(number, 9_000))
        hook.wait("first", 20)
        s3 = filled.fill_for_good()
        for _ in range(3):
            assert refused(s3.put_object, Bucket="first", Key="new", Body=b"x") == FULL
        for number in range(10):
            s3.delete_object(Bucket="first", Key=f"k{number}")
        for worker in ("scrub", "lifecycle"):
            store.karri("objects", "pace", worker, "50", check=False)
            store.karri("objects", "run", worker, check=False)
        time.sleep(3)
        assert store.process.poll() is None
        assert s3.get_object(Bucket="first", Key="k11")["Body"].read() == body_of(11, 9_000)
        filled.make_room()
        finds_room(lambda: s3.put_object(Bucket="first", Key="after", Body=b"x"))
        # What was told then may be lost, what is told now is not.
        eventually(lambda: any(record["s3"]["object"]["key"] == "after" for record in hook.records("first")))
        eventually(lambda: any(
            b"REST.PUT.OBJECT after" in s3.get_object(Bucket="logs", Key=entry["Key"])["Body"].read()
            for entry in s3.list_objects_v2(Bucket="logs").get("Contents", [])))
        assert json.loads(store.karri("objects", "workers", "--json").stdout)
    finally:
        hook.server.shutdown()
