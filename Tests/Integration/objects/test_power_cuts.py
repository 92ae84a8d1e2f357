"""The power fails at random instants under a store that several clients write to: what was acknowledged by
then is whole and listed, what was removed stays so, and of what was on its way there is all or nothing."""

import collections
import concurrent.futures
import json
import random
import threading

import botocore.exceptions

import ending
from objects.alone import Alone

WRITERS = 6
KEYS_EACH = 12
# Kept with its key, in a segment, in a file of its own.
SIZES = [0, 700, 8192, 8193, 90_000, 1 << 20, (1 << 20) + 1, 2_500_000]
# Small bodies are written oftener, so that there are many writes.
WEIGHTS = [4, 10, 6, 6, 6, 3, 2, 1]
PART = 5 << 20


def body_of(token, size):
    """A body that tells which it is, all along."""
    return (token * (size // len(token) + 1))[:size]


class Key:
    """What was asked of a key, in order: its writer asks one thing at a time."""

    def __init__(self, bucket, name):
        self.bucket, self.name = bucket, name
        # The bodies that it was given, as (token, size); None: it was removed.
        self.asked = [None]
        # How many of those were acknowledged.
        self.acknowledged = 1


class Versions:
    """The versions of a key of a bucket that keeps them."""

    def __init__(self, name):
        self.name = name
        # By id what is known to be there, None for a marker; what was begun besides; and ids by what became of them.
        self.there, self.begun, self.removing, self.removed = {}, [], set(), set()


class Writer:
    """A client with keys of its own."""

    def __init__(self, store, number, seed):
        self.client, self.random = store.client(), random.Random(seed)
        self.keys = [Key("plain", f"w{number}/k{at}") for at in range(KEYS_EACH)]
        self.versions = [Versions(f"w{number}/v{at}") for at in range(KEYS_EACH // 2)]
        # Parts of uploads that nobody completes, by upload: the size of each by number.
        self.uploads = collections.defaultdict(dict)
        self.lock = threading.Lock()
        self.done = collections.Counter()

    def before(self):
        """What is acknowledged at this instant."""
        with self.lock:
            return (
                [(key, key.acknowledged - 1) for key in self.keys],
                [(key, dict(key.there), set(key.removed)) for key in self.versions],
                {upload: dict(parts) for upload, parts in self.uploads.items()},
            )

    def write(self):
        """Does something."""
        what = self.random.choices(
            [self.put, self.delete, self.put_if_absent, self.put_if_match, self.complete, self.leave_part, self.put_version,
             self.delete_version, self.put_marker], [10, 3, 3, 3, 0.4, 0.4, 4, 2, 1])[0]
        what()
        self.done[what.__name__] += 1

    def fresh(self):
        return self.random.randbytes(16), self.random.choices(SIZES, WEIGHTS)[0]

    def ask(self, key, value, call):
        """Asks for a change of a key; whether it was done."""
        with self.lock:
            key.asked.append(value)
        try:
            call()
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed", error
            # It never was what it would have been.
            with self.lock:
                key.asked[-1] = key.asked[-2]
                key.acknowledged = len(key.asked)
            return False
        with self.lock:
            key.acknowledged = len(key.asked)
        return True

    def put(self, key=None, **conditions):
        key = key or self.random.choice(self.keys)
        value = self.fresh()
        return self.ask(key, value, lambda: self.client.put_object(
            Bucket=key.bucket, Key=key.name, Body=body_of(*value), **conditions))

    def put_if_absent(self):
        key = self.random.choice(self.keys)
        assert self.put(key, IfNoneMatch="*") == (key.asked[-2] is None)

    def put_if_match(self):
        key = self.random.choice([key for key in self.keys if key.asked[-1]] or self.keys)
        if key.asked[-1] is None:
            return self.put(key)
        tag = self.client.head_object(Bucket=key.bucket, Key=key.name)["ETag"]
        assert self.put(key, IfMatch=tag)

    def delete(self):
        key = self.random.choice(self.keys)
        self.ask(key, None, lambda: self.client.delete_object(Bucket=key.bucket, Key=key.name))

    def upload(self, key, token, sizes):
        upload = self.client.create_multipart_upload(Bucket=key.bucket, Key=key.name)["UploadId"]
        parts = []
        for number, size in enumerate(sizes, 1):
            tag = self.client.upload_part(
                Bucket=key.bucket, Key=key.name, UploadId=upload, PartNumber=number, Body=body_of(token, size))["ETag"]
            parts.append({"PartNumber": number, "ETag": tag})
        return upload, parts

    def complete(self):
        key, token, last = self.random.choice(self.keys), self.random.randbytes(16), self.random.choice([100, 50_000, 1_500_000])
        upload, parts = self.upload(key, token, [PART, last])
        self.ask(key, (token, PART + last), lambda: self.client.complete_multipart_upload(
            Bucket=key.bucket, Key=key.name, UploadId=upload, MultipartUpload={"Parts": parts}))

    def leave_part(self):
        key, size = self.random.choice(self.keys), self.random.choice([100, 50_000, 1_500_000])
        upload, _ = self.upload(key, self.random.randbytes(16), [size])
        with self.lock:
            self.uploads[key.name, upload][1] = size

    def put_version(self):
        key, value = self.random.choice(self.versions), self.fresh()
        with self.lock:
            key.begun.append(value)
        made = self.client.put_object(Bucket="versioned", Key=key.name, Body=body_of(*value))["VersionId"]
        with self.lock:
            key.there[made] = value

    def put_marker(self):
        key = self.random.choice(self.versions)
        with self.lock:
            key.begun.append(None)
        made = self.client.delete_object(Bucket="versioned", Key=key.name)["VersionId"]
        with self.lock:
            key.there[made] = None

    def delete_version(self):
        key = self.random.choice(self.versions)
        if not key.there:
            return
        version = self.random.choice(list(key.there))
        with self.lock:
            key.removing.add(version)
            del key.there[version]
        self.client.delete_object(Bucket="versioned", Key=key.name, VersionId=version)
        with self.lock:
            key.removed.add(version)


class Cut:
    """A store that begins with what the disk held, beside what its clients knew before and asked until after."""

    def __init__(self, root, before):
        self.before = before
        self.store = Alone(root)

    def check(self):
        self.store.start()
        try:
            self.client = self.store.client()
            found = sum(self.check_key(key, least) for keys, _, _ in self.before for key, least in keys)
            listed = {entry["Key"]: entry["Size"] for entry in self.all_of("list_objects_v2", "Contents", "plain")}
            assert listed == self.sizes
            for _, versions, uploads in self.before:
                for known in versions:
                    self.check_versions(*known)
                for (key, upload), parts in uploads.items():
                    shown = self.client.list_parts(Bucket="plain", Key=key, UploadId=upload).get("Parts", [])
                    assert {part["PartNumber"]: part["Size"] for part in shown} == parts
            assert "all are as they were written" in self.store.karri("objects", "check").stdout
            self.check_usage()
        finally:
            self.store.stop()
        self.store.check_files()
        return found

    sizes = None

    def all_of(self, call, what, bucket):
        return [entry for page in self.client.get_paginator(call).paginate(Bucket=bucket) for entry in page.get(what, [])]

    def read(self, **which):
        try:
            return self.client.get_object(**which)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def check_key(self, key, least):
        """What was acknowledged before the cut, or something that was asked since, whole."""
        self.sizes = self.sizes or {}
        found = self.read(Bucket=key.bucket, Key=key.name)
        possible = key.asked[least:]
        assert any(found == (value and body_of(*value)) for value in possible), (
            f"{key.name} has {len(found) if found is not None else None} bytes, of {[value and value[1] for value in possible]}")
        if found is not None:
            self.sizes[key.name] = len(found)
        return found is not None

    def check_versions(self, key, there, removed):
        shown = {
            entry["VersionId"]: "ETag" in entry
            for what in ("Versions", "DeleteMarkers")
            for page in self.client.get_paginator("list_object_versions").paginate(Bucket="versioned", Prefix=key.name)
            for entry in page.get(what, []) if entry["Key"] == key.name}
        assert not removed & set(shown), f"removed versions of {key.name} are there"
        lost = set(there) - set(shown) - key.removing
        assert not lost, f"versions of {key.name} are lost: {lost}"
        for version, is_object in shown.items():
            found = self.read(Bucket="versioned", Key=key.name, VersionId=version) if is_object else None
            values = [there[version]] if version in there else key.begun
            assert any(found == (value and body_of(*value)) for value in values), f"{key.name}, version {version}"

    def check_usage(self):
        """What is counted is what is there."""
        counted = {line["bucket"]: line for line in json.loads(self.store.karri("objects", "usage", "--json").stdout)}
        for bucket in ("plain", "versioned"):
            versions = self.all_of("list_object_versions", "Versions", bucket)
            markers = self.all_of("list_object_versions", "DeleteMarkers", bucket)
            parts = [
                part["Size"] for upload in self.all_of("list_multipart_uploads", "Uploads", bucket)
                for part in self.client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts", [])]
            assert counted[bucket]["versions"] == len(versions) + len(markers)
            assert counted[bucket]["bytes"] == sum(version["Size"] for version in versions) + sum(parts)


def test_power_cuts_under_mixed_writes(disk):
    dice = ending.dice()
    root = disk.above / "root"
    root.mkdir()
    store = Alone(root)
    store.start()
    try:
        for bucket in ("plain", "versioned"):
            store.client().create_bucket(Bucket=bucket)
        store.client().put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
        writers = [Writer(store, number, dice.getrandbits(32)) for number in range(WRITERS)]

        def write(writer, is_over):
            while not is_over():
                writer.write()

        def work(is_over):
            with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
                running = [pool.submit(write, writer, is_over) for writer in writers]
                # A writer that fails ends all.
                for each in concurrent.futures.as_completed(running):
                    each.result()

        cuts = disk.cuts_while(dice, 12, lambda: [writer.before() for writer in writers], work)
    finally:
        store.stop()
    done = sum((writer.done for writer in writers), collections.Counter())
    counts = [disk.look(copy, lambda root: Cut(root, before).check()) for copy, before in cuts]
    print("asked:", dict(done), "objects in each cut:", counts)
    # The instants differ, and each kind of change was among those that could be lost.
    assert len(set(counts)) > 1 and len(done) == 9
