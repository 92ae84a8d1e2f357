"""Benchmarks remove what they have made, and nothing else."""

import subprocess

import pytest

from clouds import PROGRAM, free_port


def bench(what, root, *options):
    return subprocess.run(
        [PROGRAM, "bench", what, "--root", str(root), "--port", str(free_port()), *options], capture_output=True, text=True, timeout=120)


FEW = ["--few", "10", "--many", "20", "--seconds", "0.1", "--clients", "1"]


def test_a_folder_with_files_is_left_alone(tmp_path):
    kept = tmp_path / "mine/kept"
    kept.parent.mkdir()
    kept.write_text("x")
    done = bench("keys", tmp_path, *FEW)
    assert done.returncode == 1 and "is not empty" in done.stderr
    assert kept.read_text() == "x" and [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("is_there", [False, True])
def test_what_was_made_is_removed(tmp_path, is_there):
    root = tmp_path / "root"
    if is_there:
        root.mkdir()
    done = bench("keys", root, *FEW)
    assert done.returncode == 0 and "GET: 10 keys" in done.stdout, done.stderr
    assert root.exists() == is_there and (not is_there or not list(root.iterdir()))


@pytest.mark.parametrize("what", ["objects", "api"])
@pytest.mark.parametrize("there", ["etc/karri", "var/lib/karri"])
def test_a_cloud_is_left_alone(tmp_path, what, there):
    kept = tmp_path / there / "kept"
    kept.parent.mkdir(parents=True)
    kept.write_text("x")
    done = bench(what, tmp_path, "--mark", "kbtst")
    assert done.returncode == 1 and "already" in done.stderr
    assert kept.read_text() == "x" and not (tmp_path.parent / (tmp_path.name + "-peers")).exists()


def test_the_peers_folder_is_left_alone(tmp_path):
    kept = tmp_path / "root-peers/kept"
    kept.parent.mkdir()
    kept.write_text("x")
    done = bench("objects", tmp_path / "root", "--mark", "kbtst")
    assert done.returncode == 1 and "is not empty" in done.stderr and kept.read_text() == "x"
