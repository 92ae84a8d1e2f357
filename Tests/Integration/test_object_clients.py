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
