"""A bucket as plain files: taken out, looked at with plain tools, and brought in again."""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import time

import botocore.exceptions
import pytest

from clouds import PROGRAM
from objects.alone import Alone

ODD_KEYS = [
    "plain", "folder/file.txt", "folder", "folder/", "/leading", "a//b", "..", "../up", "a/../b", ".", "ä/ü ö", "%41+@", "line\nfeed",
    "tab\tkey", "\u0001", "x" * 300, "deep/" * 200 + "end", "😀" * 256, " ", "index.jsonl", "objects/objects",
]


@pytest.fixture
def alone(tmp_path):
    (tmp_path / "store").mkdir()
    store = Alone(tmp_path / "store")
    store.start()
    yield store
    if store.process.poll() is None:
        store.stop()


def account(alone):
    return json.loads((alone.root / "etc/karri/users.json").read_text())["users"][0]["account"]


def index_of(folder):
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def versions_of(s3, bucket):
    """All that a listing tells of all versions, by key and id."""
    told = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            told[entry["Key"], entry["VersionId"]] = {
                name: entry.get(name) for name in ["ETag", "Size", "IsLatest", "LastModified", "StorageClass", "ChecksumAlgorithm"]}
    return told


def told_of(s3, bucket, key, version):
    """All that S3 tells of a version, but for what is of the call."""
    head = s3.get_object(Bucket=bucket, Key=key, VersionId=version, ChecksumMode="ENABLED")
    head["Body"] = hashlib.sha256(head["Body"].read()).hexdigest()
    for name in ["ResponseMetadata", "Expiration"]:
        head.pop(name, None)
    head["Tags"] = s3.get_object_tagging(Bucket=bucket, Key=key, VersionId=version)["TagSet"]
    head["Grants"] = s3.get_object_acl(Bucket=bucket, Key=key, VersionId=version)["Grants"]
    if "PartsCount" in s3.head_object(Bucket=bucket, Key=key, VersionId=version, PartNumber=1):
        attributes = s3.get_object_attributes(Bucket=bucket, Key=key, VersionId=version, ObjectAttributes=["ObjectParts"])
        head["Parts"] = attributes["ObjectParts"].get("Parts"), attributes["ObjectParts"]["TotalPartsCount"]
    return head


def fill(alone, bucket):
    """A bucket with objects of all kinds."""
    s3 = alone.client()
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "team", "Value": "ä"}]})
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [
        {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "never/"}, "Expiration": {"Days": 3000}}]})
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    dice = random.Random(11)
    for number, key in enumerate(ODD_KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=dice.randbytes(10 + number * 900))
    for size in [0, 1, 8192, 8193, 300_000, 3_000_000]:
        s3.put_object(Bucket=bucket, Key=f"size/{size}", Body=dice.randbytes(size))
    s3.put_object(
        Bucket=bucket, Key="told", Body=b"told", ContentType="text/x-told", CacheControl="no-cache", ContentLanguage="de",
        ContentEncoding="x-none", ContentDisposition="inline", Metadata={"a": "1", "b": "zwei"}, Tagging="k=v&l=w",
        StorageClass="STANDARD_IA", ChecksumAlgorithm="SHA256", ACL="public-read", WebsiteRedirectLocation="/other")
    for number in range(3):
        s3.put_object(Bucket=bucket, Key="many", Body=b"version %d" % number, Metadata={"n": str(number)})
    s3.put_object(Bucket=bucket, Key="hidden", Body=b"hidden")
    s3.delete_object(Bucket=bucket, Key="hidden")
    s3.put_object(Bucket=bucket, Key="hidden", Body=b"again")
    s3.delete_object(Bucket=bucket, Key="hidden")
    for algorithm, type in [("SHA256", "COMPOSITE"), ("CRC32", "FULL_OBJECT")]:
        key = f"parts/{algorithm}"
        upload = s3.create_multipart_upload(
            Bucket=bucket, Key=key, ChecksumAlgorithm=algorithm, ChecksumType=type, Metadata={"of": "parts"})["UploadId"]
        parts = []
        for number, size in [(2, 5 << 20), (7, 5_300_000), (9, 1000)]:
            part = s3.upload_part(
                Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=dice.randbytes(size), ChecksumAlgorithm=algorithm)
            parts.append({"PartNumber": number, "ETag": part["ETag"], f"Checksum{algorithm}": part[f"Checksum{algorithm}"]})
        s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    name = alone.karri("objects", "keys", "create", account(alone)).stdout.split()[0]
    s3.put_object(Bucket=bucket, Key="sealed/store", Body=dice.randbytes(200_000), ServerSideEncryption="AES256")
    s3.put_object(
        Bucket=bucket, Key="sealed/key", Body=dice.randbytes(70_000), ServerSideEncryption="aws:kms", SSEKMSKeyId=name,
        BucketKeyEnabled=True)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="sealed/parts", ServerSideEncryption="AES256")["UploadId"]
    parts = [
        s3.upload_part(Bucket=bucket, Key="sealed/parts", UploadId=upload, PartNumber=number, Body=dice.randbytes(size))["ETag"]
        for number, size in [(1, 5 << 20), (2, 77)]]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="sealed/parts", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": place + 1, "ETag": tag} for place, tag in enumerate(parts)]})
    s3.put_object(
        Bucket=bucket, Key="locked", Body=b"locked", ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400)))
    s3.put_object(Bucket=bucket, Key="held", Body=b"held", ObjectLockLegalHoldStatus="ON")


def test_a_bucket_with_all_its_versions(alone, tmp_path):
    fill(alone, "source")
    s3 = alone.client()
    s3.put_object(Bucket="source", Key="sealed/client", Body=b"secret", SSECustomerAlgorithm="AES256", SSECustomerKey="k" * 32)
    folder = tmp_path / "out"
    done = alone.karri("objects", "export", "--versions", "source", str(folder), check=False)
    # What only its client can read is named, and the rest is there.
    assert done.returncode == 1 and "sealed/client" in done.stderr and "only its client has" in done.stderr
    lines = index_of(folder)
    versions = versions_of(s3, "source")
    assert {(line["key"], line["version"]) for line in lines} == set(versions)
    # Plain tools see plain files.
    assert (folder / "objects/plain").read_bytes() == s3.get_object(Bucket="source", Key="plain")["Body"].read()
    assert (folder / "objects/ä/ü ö").stat().st_mtime == pytest.approx(
        versions["ä/ü ö", next(line["version"] for line in lines if line["key"] == "ä/ü ö")]["LastModified"].timestamp(), abs=1.1)
    assert (folder / "objects/sealed/store").read_bytes() == s3.get_object(Bucket="source", Key="sealed/store")["Body"].read()
    assert (folder / "objects/folder").is_file() and not (folder / "objects/many").read_bytes() == b"version 0"
    sums = "".join(f"{line['sha256']}  {line['file']}\n" for line in lines if "file" in line)
    assert subprocess.run(["sha256sum", "-c", "--quiet"], input=sums, cwd=folder, text=True).returncode == 0
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {line["file"] for line in lines if "file" in line} | {"index.jsonl", "bucket.json"}
    assert [line["key"] for line in lines if "leftOut" in line] == ["sealed/client"]
    # Into a bucket that is not there, and that gets its settings.
    assert alone.karri("objects", "import", str(folder), "target", check=False).returncode != 0
    done = alone.karri("objects", "import", "--account", account(alone), str(folder), "target", check=False)
    assert done.returncode == 1 and "made the bucket target" in done.stderr and "sealed/client" in done.stderr
    # On a slow machine it says how far it is besides.
    assert len([line for line in done.stderr.splitlines() if not line.endswith("brought in")]) == 2, done.stderr
    s3.delete_object(
        Bucket="source", Key="sealed/client", VersionId=next(version for key, version in versions if key == "sealed/client"))
    expected = versions_of(s3, "source")
    assert versions_of(s3, "target") == expected
    for (key, version), entry in expected.items():
        if entry["Size"] is not None:
            assert told_of(s3, "target", key, version) == told_of(s3, "source", key, version), key
    assert s3.get_object_retention(Bucket="target", Key="locked") ["Retention"]["Mode"] == "GOVERNANCE"
    assert s3.get_object_legal_hold(Bucket="target", Key="held")["LegalHold"]["Status"] == "ON"
    for part in ["tagging", "lifecycle_configuration", "cors", "versioning"]:
        one, other = (getattr(s3, f"get_bucket_{part}")(Bucket=bucket) for bucket in ["source", "target"])
        one.pop("ResponseMetadata"), other.pop("ResponseMetadata")
        assert one == other
    # Once more changes nothing, also in a store that has started anew.
    alone.stop()
    alone.start()
    done = alone.karri("objects", "import", "--account", account(alone), str(folder), "target", check=False)
    assert done.stdout.startswith("0 versions of 0 bytes") and f"{len(expected)} were there" in done.stdout, done.stdout
    assert versions_of(alone.client(), "target") == expected
    assert "all are as they were written" in alone.karri("objects", "check").stdout
    usage = {line["bucket"]: line for line in json.loads(alone.karri("objects", "usage", "--json").stdout)}
    assert usage["target"]["versions"] == usage["source"]["versions"] and usage["target"]["uploads"] == 0
    assert usage["target"]["bytes"] == usage["source"]["bytes"]


def test_what_is_current_into_the_same_bucket(alone, tmp_path):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    for key in ODD_KEYS:
        s3.put_object(Bucket="first", Key=key, Body=key.encode() * 50, Metadata={"k": "v"})
    before = {key: s3.head_object(Bucket="first", Key=key) for key in ODD_KEYS}
    folder = tmp_path / "out"
    alone.karri("objects", "export", "first", str(folder))
    for key in ODD_KEYS:
        s3.delete_object(Bucket="first", Key=key)
    alone.karri("objects", "import", str(folder), "first")
    for key in ODD_KEYS:
        found = s3.get_object(Bucket="first", Key=key)
        assert found["Body"].read() == key.encode() * 50 and found["Metadata"] == {"k": "v"}
        assert (found["ETag"], found["LastModified"]) == (before[key]["ETag"], before[key]["LastModified"])
    # Its versions do not fit into a bucket that keeps none: said, and what is current is there.
    s3.create_bucket(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    for body in [b"old", b"new"]:
        s3.put_object(Bucket="versioned", Key="k", Body=body)
    s3.put_object(Bucket="versioned", Key="gone", Body=b"gone")
    s3.delete_object(Bucket="versioned", Key="gone")
    alone.karri("objects", "export", "--versions", "versioned", str(tmp_path / "versions"))
    s3.create_bucket(Bucket="plain")
    done = alone.karri("objects", "import", str(tmp_path / "versions"), "plain", check=False)
    assert done.returncode == 1 and done.stderr.count("keeps no versions") == 3
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="plain")["Contents"]] == ["k"]
    assert s3.get_object(Bucket="plain", Key="k")["Body"].read() == b"new"
    # In a bucket with newer versions nothing is lost, and what comes in is current.
    s3.put_object(Bucket="versioned", Key="k", Body=b"newest")
    alone.karri("objects", "export", "--versions", "versioned", str(tmp_path / "more"))
    s3.delete_object(Bucket="versioned", Key="k", VersionId=s3.head_object(Bucket="versioned", Key="k")["VersionId"])
    s3.put_object(Bucket="versioned", Key="k", Body=b"other")
    done = alone.karri("objects", "import", str(tmp_path / "more"), "versioned", check=False)
    assert done.returncode == 1 and done.stderr.count("another version id") == 1, done.stderr
    assert s3.get_object(Bucket="versioned", Key="k")["Body"].read() == b"newest"
    assert sum(key == "k" for key, _ in versions_of(s3, "versioned")) == 4


def test_a_folder_of_plain_files(alone, tmp_path):
    folder = tmp_path / "files"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "index.html").write_text("<p>")
    (folder / "deep/er/ü.bin").write_bytes(os.urandom(700_000))
    (folder / "deep/none").write_bytes(b"")
    (folder / "bucket.json").write_text("{}")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    done = alone.karri("objects", "import", str(folder), "first", check=False)
    assert done.returncode == 1 and done.stderr.count("no plain file") == 2 and "link" in done.stderr and "pipe" in done.stderr
    (folder / "link").unlink()
    (folder / "pipe").unlink()
    keys = ["bucket.json", "deep/er/ü.bin", "deep/none", "index.html"]
    listed = s3.list_objects_v2(Bucket="first")["Contents"]
    assert [entry["Key"] for entry in listed] == keys
    for key in keys:
        found = s3.get_object(Bucket="first", Key=key, ChecksumMode="ENABLED")
        assert found["Body"].read() == (folder / key).read_bytes() and "ChecksumCRC64NVME" in found
    assert s3.head_object(Bucket="first", Key="index.html")["ContentType"] == "text/html"
    # Once more, after one has changed.
    (folder / "index.html").write_text("<b>")
    done = alone.karri("objects", "import", str(folder), "first")
    assert done.stdout == "1 versions of 3 bytes are brought into first, 3 were there\n"
    assert s3.get_object(Bucket="first", Key="index.html")["Body"].read() == b"<b>"


@pytest.fixture
def exported(alone, tmp_path):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    for number in range(4):
        s3.put_object(Bucket="first", Key=f"k{number}", Body=b"%d" % number * 20_000)
    alone.karri("objects", "export", "first", str(tmp_path / "out"))
    s3.create_bucket(Bucket="target")
    return tmp_path / "out"


def refused(alone, *arguments):
    done = alone.karri("objects", *arguments, check=False)
    assert done.returncode not in (0, -6, -11, 134, 139) and done.stderr.count("\n") <= 2, done.stderr
    return done.stderr


def test_bad_input(alone, tmp_path, exported):
    assert "The specified bucket does not exist" in refused(alone, "export", "none", str(tmp_path / "no"))
    assert not (tmp_path / "no").exists()
    assert "whole export" in refused(alone, "export", "first", str(exported))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    assert "not empty" in refused(alone, "export", "first", str(tmp_path / "full"))
    assert (tmp_path / "full/file").read_text() == "mine" and len(os.listdir(tmp_path / "full")) == 1
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refused(alone, "export", "first", str(tmp_path / "file"))
    assert "no folder" in refused(alone, "import", str(tmp_path / "nowhere"), "target")
    assert "no folder" in refused(alone, "import", str(tmp_path / "file"), "target")
    assert "there is no bucket none" in refused(alone, "import", str(exported), "none")
    assert "there is no account 999999999999" in refused(
        alone, "import", "--account", "999999999999", str(exported), "none")
    assert "another account's" in refused(alone, "import", "--account", "999999999999", str(exported), "target")
    assert "KeyCount" in alone.client().list_objects_v2(Bucket="target")
    description = (exported / "bucket.json").read_text()
    (exported / "bucket.json").write_text(description[:-10])
    assert "bucket.json: it does not describe" in refused(alone, "import", str(exported), "target")
    (exported / "bucket.json").unlink()
    assert "no bucket.json" in refused(alone, "import", str(exported), "target")
    (exported / "bucket.json").write_text(description)
    # An export that was not ended is none.
    (exported / "index.jsonl").rename(exported / "aside")
    assert "was not ended" in refused(alone, "import", str(exported), "target")
    assert alone.client().list_objects_v2(Bucket="target")["KeyCount"] == 0


@pytest.mark.parametrize("line", [
    "", "{", "[]", '{"key": "a"}', '{"key": "a", "size": -1}', '{"key": "a", "size": 1, "file": "objects/k0"}',
    '{"key": "a", "size": 5, "file": "../store/log", "sha256": "x"}', '{"key": "a", "size": 5, "file": "/etc/passwd", "sha256": "x"}',
    '{"key": "a", "size": 20000, "file": "objects/none", "sha256": "x"}', '{"key": "a", "size": 19999, "file": "objects/k0", "sha256": "x"}',
    '{"key": "a", "size": 20000, "file": "objects", "sha256": "x"}', '{"key": "a", "size": 20000, "file": "objects/k0"}', "\0", "\udcff"])
def test_damaged_lines(alone, exported, line):
    index = exported / "index.jsonl"
    lines = index.read_bytes().splitlines()
    lines[2] = line.encode("utf-8", "surrogateescape")
    index.write_bytes(b"\n".join(lines))
    # It is found before anything is brought in.
    assert "line 3" in refused(alone, "import", str(exported), "target")
    assert alone.client().list_objects_v2(Bucket="target")["KeyCount"] == 0


def test_damaged_bodies(alone, exported):
    path = exported / "objects/k1"
    body = path.read_bytes()
    path.write_bytes(body[:-1] + b"x")
    done = alone.karri("objects", "import", str(exported), "target", check=False)
    assert done.returncode == 1 and "objects/k1 is not as it was written" in done.stderr
    s3 = alone.client()
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="target")["Contents"]] == ["k0", "k2", "k3"]
    path.write_bytes(body)
    assert alone.karri("objects", "import", str(exported), "target").stdout.startswith("1 versions of 20000 bytes")
    # A body that is damaged in the store is named, and the others come out.
    alone.stop()
    segments = [path for path in (alone.root / "var/lib/karri/objects").glob("shard-*/segments/*") if path.is_file()]
    content = next(path for path in segments if b"2" * 20_000 in path.read_bytes())
    content.write_bytes(content.read_bytes().replace(b"2" * 20_000, b"2" * 19_999 + b"x"))
    alone.start()
    bucket = "first" if alone.karri("objects", "check", check=False).stdout.startswith("first") else "target"
    done = alone.karri("objects", "export", bucket, str(exported.parent / "second"), check=False)
    assert done.returncode == 1 and "k2: " in done.stderr
    lines = index_of(exported.parent / "second")
    assert ["leftOut" in line for line in lines] == [False, False, True, False]


def test_headers_that_would_become_others(alone, exported):
    index = exported / "index.jsonl"
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    for number, change in enumerate([
            {"headers": {"content-type": "a\r\nx-other: b"}}, {"metadata": {"a: b\r\nc": "d"}}, {"etag": "a\nb"}, {}]):
        lines[number].update(change)
        index.write_text("".join(json.dumps(line) + "\n" for line in lines))
    s3 = alone.client()
    for number in range(3):
        assert f"k{number}: it cannot be read" in refused(alone, "import", str(exported), "target")
        lines[number] = dict(lines[3], key=f"k{number}", sha256=lines[number]["sha256"], file=f"objects/k{number}")
        index.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert f"k{number}" not in [entry["Key"] for entry in s3.list_objects_v2(Bucket="target").get("Contents", [])]
    alone.karri("objects", "import", str(exported), "target")
    assert s3.list_objects_v2(Bucket="target")["KeyCount"] == 4


def test_what_an_ended_export_left_is_looked_at(alone, exported):
    """A file that has not the time of its version, or not its bytes, is written anew."""
    (exported / "index.jsonl").unlink()
    for key, is_aged in [("k1", False), ("k2", True)]:
        path = exported / "objects" / key
        before = path.stat().st_mtime_ns
        path.write_bytes(b"x" * 20_000)
        os.utime(path, ns=(before, before + is_aged * 1000))
    untouched = (exported / "objects/k0").stat().st_ino
    alone.client().put_object(Bucket="first", Key="k3", Body=b"new" * 5000)
    done = alone.karri("objects", "export", "first", str(exported))
    assert "goes on" in done.stderr and (exported / "objects/k0").stat().st_ino == untouched
    for number, body in enumerate([b"0" * 20_000, b"1" * 20_000, b"2" * 20_000, b"new" * 5000]):
        assert (exported / f"objects/k{number}").read_bytes() == body
    assert [line["sha256"] for line in index_of(exported)] == [
        hashlib.sha256((exported / f"objects/k{number}").read_bytes()).hexdigest() for number in range(4)]
    (exported / "index.jsonl").unlink()
    assert "not empty" in refused(alone, "export", "--versions", "first", str(exported))
    # The entity tag of an object of parts does not tell its bytes; its time is looked at alone.
    s3, folder = alone.client(), exported.parent / "parts"
    upload = s3.create_multipart_upload(Bucket="target", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="target", Key="parts", UploadId=upload, PartNumber=1, Body=b"p" * 20_000)
    s3.complete_multipart_upload(
        Bucket="target", Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    alone.karri("objects", "export", "target", str(folder))
    (folder / "index.jsonl").unlink()
    (folder / "objects/parts").write_bytes(b"x" * 20_000)
    alone.karri("objects", "export", "target", str(folder))
    assert (folder / "objects/parts").read_bytes() == b"p" * 20_000


def test_links_and_terminals(alone, tmp_path, exported):
    """No link below an export's folder leads out of it, and no key speaks to the terminal."""
    s3 = alone.client()
    (tmp_path / "elsewhere").mkdir()
    (exported / "objects").rename(tmp_path / "elsewhere/objects")
    (exported / "objects").symlink_to(tmp_path / "elsewhere/objects")
    assert "objects/k0 is not there" in refused(alone, "import", str(exported), "target")
    assert s3.list_objects_v2(Bucket="target")["KeyCount"] == 0
    (exported / "objects").unlink()
    (tmp_path / "elsewhere/objects").rename(exported / "objects")
    index = exported / "index.jsonl"
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    lines[3].update(key="\x1b[2J\u202e\u009b", leftOut="a\x07b")
    index.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = alone.karri("objects", "import", str(exported), "target", check=False)
    assert done.returncode == 1 and r"\u{1B}[2J\u{202E}\u{9B}: left out: a\u{7}b" in done.stderr
    assert not {"\x1b", "\x07", "\u202e", "\u009b"} & set(done.stderr)
    # An export that cannot go on leaves no half file.
    (exported / "index.jsonl").unlink()
    s3.put_object(Bucket="first", Key="k9", Body=b"9" * 3_000_000)
    (exported / "objects/k9").mkdir()
    (exported / "escaped").write_text("mine")
    assert "something else is there" in refused(alone, "export", "first", str(exported))
    assert not list(exported.glob("*.karri-part"))


def test_quota(alone, exported):
    alone.karri("objects", "quota", "--bucket", "target", "50000")
    assert "The bucket may hold 50000 bytes" in refused(alone, "import", str(exported), "target")
    assert alone.client().list_objects_v2(Bucket="target")["KeyCount"] == 2


def test_kills(alone, tmp_path):
    """The command and the store are killed at any moment; run again, it goes on, and all is whole in the end."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    s3.put_bucket_versioning(Bucket="first", VersioningConfiguration={"Status": "Enabled"})
    for number in range(120):
        for _ in range(1 + number % 3):
            s3.put_object(Bucket="first", Key=f"k{number % 100:03}", Body=dice.randbytes(dice.choice([10, 9000, 200_000, 2_000_000])))
    upload = s3.create_multipart_upload(Bucket="first", Key="parts")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(
            Bucket="first", Key="parts", UploadId=upload, PartNumber=number, Body=dice.randbytes(6 << 20))["ETag"]}
        for number in [1, 2, 3]]
    s3.complete_multipart_upload(Bucket="first", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    expected = versions_of(s3, "first")
    folder = tmp_path / "out"

    def until_done(*arguments):
        kills = 0
        while True:
            command = subprocess.Popen(
                [PROGRAM, "objects", *arguments, "--root", str(alone.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            # The first times it has not the time to end.
            try:
                out, err = command.communicate(timeout=dice.uniform(0.1, 1.5) if kills < 6 else 120)
            except subprocess.TimeoutExpired:
                kills += 1
                if kills % 2:
                    command.kill()
                    command.communicate()
                else:
                    alone.stop(signal.SIGKILL)
                    # It says so and ends, instead of waiting for ever.
                    out, err = command.communicate(timeout=90)
                    assert command.returncode not in (0, -6, -11) and err.strip(), err
                    alone.start()
                continue
            assert command.returncode == 0, err
            return kills

    assert until_done("export", "--versions", "first", str(folder)) >= 1
    lines = index_of(folder)
    assert {(line["key"], line["version"]) for line in lines} == set(expected)
    for line in lines:
        assert hashlib.sha256((folder / line["file"]).read_bytes()).hexdigest() == line["sha256"]
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files - {"index.jsonl", "bucket.json"} == {line["file"] for line in lines}
    assert until_done("import", "--account", account(alone), str(folder), "target") >= 1
    s3 = alone.client()
    assert versions_of(s3, "target") == expected
    for line in lines:
        body = s3.get_object(Bucket="target", Key=line["key"], VersionId=line["version"])["Body"].read()
        assert hashlib.sha256(body).hexdigest() == line["sha256"]
    assert "all are as they were written" in alone.karri("objects", "check").stdout
