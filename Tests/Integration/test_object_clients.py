"""A day's work with the object store through clients of several makers."""

import io
import os
import random
import subprocess

import minio
import minio.deleteobjects
import pytest


@pytest.fixture
def name():
    return "bucket-" + os.urandom(4).hex()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Files of every size class, one larger than a part."""
    folder = tmp_path_factory.mktemp("tree")
    dice = random.Random(7)
    for place, size in enumerate([0, 1, 100, 8192, 8193, 70_000, 300_000, 17 << 20]):
        file = folder / f"folder {place % 3}" / f"ü-{place}.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(dice.randbytes(size))
    return folder


def run(cloud, *words):
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(cloud.root), "LC_ALL": "C.UTF-8", "AWS_ACCESS_KEY_ID": cloud.key,
        "AWS_SECRET_ACCESS_KEY": cloud.secret, "AWS_REGION": cloud.region}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def assert_same(one, other):
    for file in one.rglob("*.bin"):
        assert (other / file.relative_to(one)).read_bytes() == file.read_bytes(), file


def test_s3cmd(simulated, tree, name, tmp_path):
    address = f"127.0.0.1:{simulated.port}"
    words = [
        "s3cmd", "-c", "/dev/null", f"--host={address}", f"--host-bucket={address}", "--no-ssl", f"--region={simulated.region}",
        f"--access_key={simulated.key}", f"--secret_key={simulated.secret}"]
    run(simulated, *words, "mb", f"s3://{name}")
    run(simulated, *words, "sync", f"{tree}/", f"s3://{name}/tree/")
    # What is there already is not sent again.
    assert "upload:" not in run(simulated, *words, "sync", f"{tree}/", f"s3://{name}/tree/")
    (tmp_path / "back").mkdir()
    run(simulated, *words, "sync", f"s3://{name}/tree/", f"{tmp_path}/back/")
    assert_same(tree, tmp_path / "back")
    run(simulated, *words, "cp", f"s3://{name}/tree/folder 0/ü-6.bin", f"s3://{name}/copy")
    assert "300000" in run(simulated, *words, "info", f"s3://{name}/copy")
    run(simulated, *words, "del", "-r", "--force", f"s3://{name}")
    run(simulated, *words, "rb", f"s3://{name}")


def test_rclone(simulated, tree, name, tmp_path):
    words = [
        "rclone", "--config", "/dev/null", "--s3-provider", "Other", "--s3-endpoint", f"http://127.0.0.1:{simulated.port}",
        "--s3-region", simulated.region, "--s3-env-auth", "--s3-upload-cutoff", "8M", "--s3-chunk-size", "8M"]
    run(simulated, *words, "copy", str(tree), f":s3:{name}/tree")
    assert "0 differences found" in run(simulated, *words, "check", "--download", str(tree), f":s3:{name}/tree")
    run(simulated, *words, "sync", f":s3:{name}/tree", str(tmp_path / "back"))
    assert_same(tree, tmp_path / "back")
    run(simulated, *words, "purge", f":s3:{name}")


def test_s5cmd(simulated, tree, name, tmp_path):
    words = ["s5cmd", "--endpoint-url", f"http://127.0.0.1:{simulated.port}"]
    run(simulated, *words, "mb", f"s3://{name}")
    run(simulated, *words, "cp", "--part-size", "5", f"{tree}/", f"s3://{name}/tree/")
    run(simulated, *words, "cp", f"s3://{name}/tree/*", f"{tmp_path}/back/")
    assert_same(tree, tmp_path / "back")
    assert len(run(simulated, *words, "ls", f"s3://{name}/*").splitlines()) == 8
    run(simulated, *words, "rm", f"s3://{name}/*")
    run(simulated, *words, "rb", f"s3://{name}")


def test_minio(simulated, name):
    client = minio.Minio(
        endpoint=f"127.0.0.1:{simulated.port}", access_key=simulated.key, secret_key=simulated.secret, secure=False,
        region=simulated.region)
    client.make_bucket(bucket_name=name)
    bodies = {"small": os.urandom(1000), "large": os.urandom(12 << 20)}
    for key, body in bodies.items():
        client.put_object(bucket_name=name, object_name=key, data=io.BytesIO(body), length=-1, part_size=5 << 20)
        assert client.get_object(bucket_name=name, object_name=key).read() == body
    assert client.get_object(bucket_name=name, object_name="large", offset=(5 << 20) - 1, length=2).read() == (
        bodies["large"][(5 << 20) - 1:(5 << 20) + 1])
    assert {found.object_name for found in client.list_objects(bucket_name=name, recursive=True)} == set(bodies)
    gone = [minio.deleteobjects.DeleteObject(key) for key in bodies]
    assert list(client.remove_objects(bucket_name=name, delete_object_list=gone)) == []
    client.remove_bucket(bucket_name=name)


def test_a_backup_with_restic(simulated, tree, name, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("open\n")
    words = [
        "restic", "--repo", f"s3:http://127.0.0.1:{simulated.port}/{name}", "--no-cache", "-o", f"s3.region={simulated.region}",
        "--password-file", str(secret)]
    run(simulated, *words, "init")
    run(simulated, *words, "backup", str(tree))
    (tree / "folder 0" / "more.bin").write_bytes(b"more")
    try:
        run(simulated, *words, "backup", str(tree))
        assert len([line for line in run(simulated, *words, "snapshots").splitlines() if str(tree) in line]) == 2
        run(simulated, *words, "check", "--read-data")
        run(simulated, *words, "restore", "latest", "--target", str(tmp_path / "back"))
        assert_same(tree, tmp_path / "back" / str(tree).lstrip("/"))
        run(simulated, *words, "forget", "--keep-last", "1", "--prune")
        run(simulated, *words, "check")
    finally:
        (tree / "folder 0" / "more.bin").unlink()
    empty(simulated, name)


def test_a_bucket_mounted_with_s3fs(simulated, tree, name, tmp_path):
    client = simulated.client("s3")
    client.create_bucket(Bucket=name)
    secret = tmp_path / "password"
    secret.write_text(f"{simulated.key}:{simulated.secret}\n")
    secret.chmod(0o600)
    folder = tmp_path / "mounted"
    folder.mkdir()
    run(
        simulated, "s3fs", name, str(folder), "-o", f"url=http://127.0.0.1:{simulated.port}", "-o", "use_path_request_style",
        "-o", f"passwd_file={secret}", "-o", f"endpoint={simulated.region}", "-o", "multipart_size=10")
    try:
        subprocess.run(["cp", "-r", f"{tree}/.", str(folder)], check=True, timeout=120)
        assert_same(tree, folder)
        file = folder / "folder 0" / "notes.txt"
        file.write_text("one\n")
        with file.open("a") as notes:
            notes.write("two\n")
        file.rename(folder / "folder 1" / "notes.txt")
        assert not file.exists() and (folder / "folder 1" / "notes.txt").read_text() == "one\ntwo\n"
        assert client.get_object(Bucket=name, Key="folder 1/notes.txt")["Body"].read() == b"one\ntwo\n"
        client.put_object(Bucket=name, Key="from elsewhere", Body=b"seen")
        assert (folder / "from elsewhere").read_bytes() == b"seen"
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)
    empty(simulated, name)


def test_ten_thousand_files_both_ways(simulated, name, tmp_path):
    there = tmp_path / "there"
    for number in range(10_000):
        file = there / f"{number % 97:02}" / f"{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"file {number}\n".encode() * (1 + number % 40))
    words = ["s5cmd", "--endpoint-url", f"http://127.0.0.1:{simulated.port}", "--numworkers", "32"]
    run(simulated, *words, "mb", f"s3://{name}")
    run(simulated, *words, "sync", f"{there}/", f"s3://{name}/all/")
    # What is there already is not sent again.
    assert run(simulated, *words, "sync", f"{there}/", f"s3://{name}/all/") == ""
    run(simulated, *words, "sync", f"s3://{name}/all/*", f"{tmp_path}/back/")
    assert_same(there, tmp_path / "back")
    assert sum(1 for _ in (tmp_path / "back").rglob("*.bin")) == 10_000
    (there / "00" / "0.bin").unlink()
    run(simulated, *words, "sync", "--delete", f"{there}/", f"s3://{name}/all/")
    assert len(run(simulated, *words, "ls", f"s3://{name}/all/*").splitlines()) == 9_999
    run(simulated, *words, "rm", f"s3://{name}/*")
    run(simulated, *words, "rb", f"s3://{name}")


def test_an_interrupted_upload_goes_on(simulated, name, tmp_path):
    client = simulated.client("s3")
    client.create_bucket(Bucket=name)
    file = tmp_path / "large.bin"
    file.write_bytes(random.Random(3).randbytes(40 << 20))
    address = f"127.0.0.1:{simulated.port}"
    words = [
        "s3cmd", "-c", "/dev/null", f"--host={address}", f"--host-bucket={address}", "--no-ssl", f"--region={simulated.region}",
        f"--access_key={simulated.key}", f"--secret_key={simulated.secret}", "--multipart-chunk-size-mb=5"]
    upload = subprocess.Popen(
        [*words, "--limit-rate=15m", "put", str(file), f"s3://{name}/large"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def parts():
        uploads = client.list_multipart_uploads(Bucket=name).get("Uploads", [])
        return [
            part["PartNumber"] for found in uploads
            for part in client.list_parts(Bucket=name, Key=found["Key"], UploadId=found["UploadId"]).get("Parts", [])]

    simulated.eventually(lambda: len(parts()) >= 2)
    upload.kill()
    upload.wait()
    before = len(parts())
    assert 2 <= before < 8 and "Contents" not in client.list_objects_v2(Bucket=name)
    said = run(simulated, *words, "put", "--continue-put", str(file), f"s3://{name}/large")
    assert said.count("skipping") >= 2, said
    assert client.get_object(Bucket=name, Key="large")["Body"].read() == file.read_bytes()
    assert parts() == []
    empty(simulated, name)


def empty(cloud, name):
    client = cloud.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        if "Contents" in page:
            client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": found["Key"]} for found in page["Contents"]]})
    client.delete_bucket(Bucket=name)
