"""Running it: what lies in the store, what is damaged, who works in the background, and the store alone."""

import concurrent.futures
import fcntl
import itertools
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import time

import botocore.exceptions
import pytest

from clouds import PROGRAM
from objects.wire import eventually, refused


def test_the_store_alone(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    s3.put_object(Bucket="first", Key="k", Body=b"mine")
    # It says the first user's keys once, in a file that only its owner reads.
    users = alone.root / "etc/karri/users.json"
    assert users.stat().st_mode & 0o077 == 0 and b"export AWS_SECRET_ACCESS_KEY=" in (alone.root / "log").read_bytes()
    # Another account, and a user who only looks, as soon as they are in the file.
    listed = json.loads(users.read_text())
    listed["users"].append({"name": "other", "account": "123456789012", "accessKey": "OTHER", "secretKey": "s" * 40})
    listed["users"].append({
        "name": "looks", "account": listed["users"][0]["account"], "accessKey": "LOOKS", "secretKey": "t" * 40,
        "policies": ["ReadOnlyAccess"]})
    users.write_text(json.dumps(listed))
    end = time.monotonic() + 10
    while True:
        try:
            assert alone.client(2).get_object(Bucket="first", Key="k")["Body"].read() == b"mine"
            break
        except botocore.exceptions.ClientError:
            assert time.monotonic() < end
            time.sleep(0.2)
    assert refused(alone.client(2).put_object, Bucket="first", Key="k", Body=b"")[1] == "AccessDenied"
    assert refused(alone.client(1).get_object, Bucket="first", Key="k")[1] == "AccessDenied"
    alone.stop(signal.SIGKILL)
    alone.start()
    assert alone.client().get_object(Bucket="first", Key="k")["Body"].read() == b"mine"
    assert b"AWS_SECRET" not in (alone.root / "log").read_bytes()[alone.begun:]


def test_a_broken_list_of_users_is_warned_of(alone):
    users = alone.root / "etc/karri/users.json"
    good, client = users.read_text(), alone.client()
    users.write_text(good[:-5])

    def warnings():
        client.list_buckets()
        return alone.log_path.read_text().count(f"{users} is no list of users")

    eventually(lambda: warnings() == 1, else_told=warnings)
    time.sleep(3)
    assert warnings() == 1
    users.write_text(good)


def test_a_store_that_is_down_is_started_by_itself(alone):
    for number in [signal.SIGTERM, signal.SIGKILL]:
        alone.stop(number)
        done = alone.karri("objects", "usage", check=False)
        assert done.returncode == 3 and f"karri start --role objects --root {alone.root}" in done.stderr
        assert "karri up" not in done.stderr
        alone.start()


@pytest.mark.parametrize("address, why", [("0.0.0.0", "over TLS only"), ("127.example.org", "is not an IPv4 address")])
def test_loopback_only_without_a_certificate(tmp_path, address, why):
    done = subprocess.run(
        [PROGRAM, "start", "--role", "objects", "--root", str(tmp_path), "--address", address], capture_output=True, text=True, timeout=30)
    assert done.returncode == 64 and why in done.stderr and not (tmp_path / "var").exists()


def test_damage_is_found_and_never_returned(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    for number, size in enumerate([100, 50_000, 3_000_000]):
        s3.put_object(Bucket="first", Key=f"k{number}", Body=os.urandom(size))
    assert "3 versions were read" in alone.karri("objects", "check").stdout
    alone.stop()
    bodies = [
        path for path in pathlib.Path(alone.root / "var/lib/karri/objects").rglob("*")
        if path.is_file() and 3_000_000 <= path.stat().st_size < 3_200_000]
    [body] = bodies
    with open(body, "r+b") as file:
        file.seek(1_500_000)
        byte = file.read(1)[0]
        file.seek(1_500_000)
        file.write(bytes([byte ^ 1]))
    alone.start()
    done = alone.karri("objects", "check", check=False)
    assert done.returncode == 1 and "first/k2, version null" in done.stdout and done.stdout.count("\n") == 1
    with pytest.raises(Exception):
        alone.client().get_object(Bucket="first", Key="k2")["Body"].read()
    # What is not touched by it is as good as ever.
    assert len(alone.client().get_object(Bucket="first", Key="k2", Range="bytes=0-99999")["Body"].read()) == 100_000
    assert len(alone.client().get_object(Bucket="first", Key="k1")["Body"].read()) == 50_000


def test_a_scrub_that_cannot_read_everything(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    s3.put_object(Bucket="first", Key="k", Body=os.urandom(3_000_000))
    assert "1 versions were read" in alone.karri("objects", "check").stdout
    [body] = [path for path in (alone.root / "var/lib/karri/objects").glob("shard-*/bodies/*/*") if path.is_file()]
    aside = body.rename(alone.root / "aside")
    body.symlink_to(body)
    # What could not be read is neither whole nor damaged.
    done = alone.karri("objects", "check", check=False)
    assert (done.returncode, done.stdout) == (1, "") and "first/k could not be read" in done.stderr
    assert "first/k could not be read" in alone.workers()["scrub"]["failure"]
    body.unlink()
    # Who mirrors a bucket would take what is lost for removed.
    assert refused(s3.get_object, Bucket="first", Key="k") == (500, "InternalError")
    done = alone.karri("objects", "check", check=False)
    assert done.returncode == 1 and "first/k, version null" in done.stdout
    aside.rename(body)
    assert "1 versions were read" in alone.karri("objects", "check").stdout
    assert alone.workers()["scrub"].get("failure") is None
    # Nobody waits for what does not go on.
    alone.karri("objects", "pause", "scrub")
    done = alone.karri("objects", "check", check=False)
    assert (done.returncode, done.stdout) == (1, "") and "karri objects resume scrub" in done.stderr
    alone.karri("objects", "resume", "scrub")
    assert "1 versions were read" in alone.karri("objects", "check").stdout


def test_workers_are_paused_and_slowed(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket="first", LifecycleConfiguration={"Rules": [rule]})
    alone.karri("objects", "pause", "lifecycle")
    alone.karri("objects", "pace", "scrub", "20")
    s3.put_object(Bucket="first", Key="old/k", Body=b"x")
    s3.put_object(Bucket="first", Key="new/k", Body=b"x")
    time.sleep(3)
    assert s3.list_objects_v2(Bucket="first")["KeyCount"] == 2
    # What was said of a worker outlives the process.
    alone.stop()
    alone.start()
    workers = alone.workers()
    assert workers["lifecycle"]["state"] == "paused" and workers["scrub"]["pace"] == 20
    alone.karri("objects", "resume", "lifecycle")
    s3 = alone.client()
    eventually(lambda: s3.list_objects_v2(Bucket="first")["KeyCount"] == 1, else_told=alone.workers)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="first")["Contents"]] == ["new/k"]
    assert alone.karri("objects", "pause", "none", check=False).returncode == 1


def stored(alone, folder):
    """The names of the files of bodies or segments."""
    files = (alone.root / "var/lib/karri/objects").glob(f"shard-*/{folder}/**/*")
    return {path.name for path in files if path.is_file()}


def test_garbage_waits_for_its_worker(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    alone.karri("objects", "pause", "garbage")
    s3.put_object(Bucket="first", Key="large", Body=os.urandom(3_000_000))
    s3.put_object(Bucket="first", Key="kept", Body=b"k" * 2_000_000)
    s3.delete_object(Bucket="first", Key="large")
    time.sleep(2)
    assert len(stored(alone, "bodies")) == 2 and alone.workers()["garbage"]["state"] == "paused"
    # A round that is asked for waits as well, and what was said outlives the process however it ends.
    alone.karri("objects", "run", "garbage")
    alone.stop(signal.SIGKILL)
    alone.start()
    time.sleep(2)
    assert len(stored(alone, "bodies")) == 2 and alone.workers()["garbage"]["state"] == "paused"
    alone.karri("objects", "pace", "garbage", "50")
    alone.karri("objects", "resume", "garbage")
    eventually(lambda: len(stored(alone, "bodies")) == 1, else_told=alone.workers)
    eventually(lambda: alone.workers()["garbage"]["last"] == "1 files removed", else_told=alone.workers)
    assert (alone.workers()["garbage"]["pace"], alone.workers()["garbage"]["rounds"]) == (50, 1)
    # And from then on by itself.
    alone.client().delete_object(Bucket="first", Key="kept")
    eventually(lambda: not stored(alone, "bodies"), else_told=alone.workers)


def test_compaction_waits_for_its_worker(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    body = random.Random(7).randbytes(1 << 20)
    fill = lambda numbers: [s3.put_object(Bucket="first", Key=f"k{number:03}", Body=body) for number in numbers]
    fill(range(72))
    segments = stored(alone, "segments")
    assert len(segments) == 2
    alone.karri("objects", "pause", "compaction")
    for number in range(60):
        s3.delete_object(Bucket="first", Key=f"k{number:03}")
    time.sleep(2)
    assert stored(alone, "segments") == segments
    alone.karri("objects", "resume", "compaction")
    eventually(lambda: len(stored(alone, "segments") & segments) == 1, else_told=alone.workers)
    eventually(lambda: "4194304 bytes moved, 1 segments removed" == alone.workers()["compaction"]["last"], else_told=alone.workers)
    # What is sparse already when its segment is full wakes nobody: a round by hand finds it.
    [full] = stored(alone, "segments")
    for number in range(60, 72):
        s3.delete_object(Bucket="first", Key=f"k{number:03}")
    eventually(lambda: alone.workers()["compaction"]["state"] == "idle", else_told=alone.workers)
    fill(range(100, 160))
    time.sleep(2)
    for number in range(100, 148):
        s3.delete_object(Bucket="first", Key=f"k{number:03}")
    alone.karri("objects", "run", "compaction")
    eventually(lambda: full not in stored(alone, "segments"), else_told=alone.workers)
    listed = {entry["Key"] for entry in s3.list_objects_v2(Bucket="first")["Contents"]}
    assert listed == {f"k{number:03}" for number in range(148, 160)}
    assert all(s3.get_object(Bucket="first", Key=key)["Body"].read() == body for key in listed)
    assert "all are as they were written" in alone.karri("objects", "check").stdout


def test_limits(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    s3.put_object(Bucket="first", Key="k", Body=b"x" * 600)
    alone.karri("objects", "quota", "--bucket", "first", "1000")
    assert refused(s3.put_object, Bucket="first", Key="more", Body=b"x" * 500)[1] == "QuotaExceeded"
    assert refused(s3.get_object, Bucket="first", Key="more")[1] == "NoSuchKey"
    # In place of what is there is no more than there was.
    s3.put_object(Bucket="first", Key="k", Body=b"y" * 900)
    [line] = json.loads(alone.karri("objects", "usage", "--json").stdout)
    assert (line["bytes"], line["versions"], line["bytesMax"]) == (900, 1, 1000)
    alone.karri("objects", "quota", "--bucket", "first", "0")
    account = line["account"]
    alone.karri("objects", "quota", "--account", account, "1200")
    s3.create_bucket(Bucket="second")
    assert refused(s3.put_object, Bucket="second", Key="k", Body=b"x" * 500)[1] == "QuotaExceeded"
    s3.put_object(Bucket="second", Key="k", Body=b"x" * 100)


def test_unfinished_uploads_are_counted(alone):
    s3 = alone.client()
    for bucket in ["first", "second"]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="first", Key="k", Body=b"x" * 100)
    uploads = [s3.create_multipart_upload(Bucket="first", Key=key)["UploadId"] for key in ["k", "k", "other"]]
    part = s3.upload_part(Bucket="first", Key="k", UploadId=uploads[0], PartNumber=1, Body=b"y" * 5000)
    s3.upload_part(Bucket="first", Key="k", UploadId=uploads[1], PartNumber=1, Body=b"z" * 700)
    s3.upload_part(Bucket="first", Key="k", UploadId=uploads[1], PartNumber=1, Body=b"z" * 600)

    def usage():
        lines = json.loads(alone.karri("objects", "usage", "--json").stdout)
        return {line["bucket"]: (line["uploads"], line["uploadBytes"], line["bytes"]) for line in lines}

    assert usage() == {"first": (3, 5600, 5700), "second": (0, 0, 0)}
    assert "5700 bytes  5600 of them in 3 unfinished uploads" in alone.karri("objects", "usage").stdout
    s3.complete_multipart_upload(
        Bucket="first", Key="k", UploadId=uploads[0], MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert usage()["first"] == (2, 600, 5600)
    for key, upload in [("k", uploads[1]), ("other", uploads[2])]:
        s3.abort_multipart_upload(Bucket="first", Key=key, UploadId=upload)
    assert usage()["first"] == (0, 0, 5000)


def test_keys_of_the_key_service(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    account = json.loads((alone.root / "etc/karri/users.json").read_text())["users"][0]["account"]
    name = alone.karri("objects", "keys", "create", account).stdout.split()[0]
    s3.put_object(Bucket="first", Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=name)
    assert s3.head_object(Bucket="first", Key="k")["SSEKMSKeyId"] == name
    alone.karri("objects", "keys", "disable", name)
    assert refused(s3.get_object, Bucket="first", Key="k")[1] == "KMS.DisabledException"
    alone.stop()
    alone.start()
    alone.karri("objects", "keys", "enable", name)
    assert alone.client().get_object(Bucket="first", Key="k")["Body"].read() == b"x"


def test_ten_thousand_writes_under_kills(alone):
    """Mixed writes while the server is killed again and again: what was acknowledged is whole, what was not is
    the old or the new, and the scrub finds nothing."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    alone.client().create_bucket(Bucket="first")
    keys = [f"k{number}" for number in range(200)]
    # What each key may hold: the last that was acknowledged, and what was on its way then.
    acknowledged, possible = {}, {key: {None} for key in keys}
    total = 10_000
    begun = itertools.count()
    # By how many writes have begun: however fast the machine is, some are left after the last kill.
    kills = sorted(dice.sample(range(total // 50, total * 9 // 10), 8))
    writes = [0]

    def write(worker):
        mine = random.Random(seed + worker)
        own = keys[worker::8]
        client = alone.client()
        for number in range(total // 8):
            key = mine.choice(own)
            size = mine.choice([0, 10, 1000, 9000, 20_000] * 20 + [1_500_000])
            body = None if mine.random() < 0.15 else mine.randbytes(8) * (size // 8)
            possible[key].add(body)
            writes[0] = next(begun)
            try:
                if body is None:
                    client.delete_object(Bucket="first", Key=key)
                else:
                    client.put_object(Bucket="first", Key=key, Body=body)
            except Exception:
                time.sleep(0.05)
                client = alone.client()
                continue
            acknowledged[key] = body
            possible[key] = {body}

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write, worker) for worker in range(8)]
        for kill in kills:
            while writes[0] < kill:
                assert not any(writer.done() and writer.exception() for writer in writers), writes
                time.sleep(0.005)
            alone.stop(signal.SIGKILL)
            alone.start()
        for writer in writers:
            writer.result()
    client = alone.client()
    for key in keys:
        try:
            found = client.get_object(Bucket="first", Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            found = None
        assert found in possible[key], key
    listed = {
        entry["Key"] for page in client.get_paginator("list_objects_v2").paginate(Bucket="first") for entry in page.get("Contents", [])}
    assert listed == {key for key in keys if not _is_missing(client, key)}
    assert "all are as they were written" in alone.karri("objects", "check").stdout


def _is_missing(client, key):
    try:
        client.head_object(Bucket="first", Key=key)
        return False
    except botocore.exceptions.ClientError:
        return True


def test_other_programs_may_look_into_its_databases(alone):
    """A program that opens a database whose store runs must not take itself for the first: the byte that says
    so (https://sqlite.org/walformat.html, "WAL locks") is locked for as long as the store runs."""
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    s3.put_object(Bucket="first", Key="k", Body=b"x")
    indexes = list(alone.root.rglob("*.sqlite-shm"))
    assert len(indexes) >= 6
    for index in indexes:
        with open(index, "r+b") as file, pytest.raises(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
    for index in indexes:
        with sqlite3.connect(f"file:{str(index).removesuffix('-shm')}?mode=ro", uri=True) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    s3.put_object(Bucket="first", Key="k", Body=b"y")
    assert s3.get_object(Bucket="first", Key="k")["Body"].read() == b"y"
