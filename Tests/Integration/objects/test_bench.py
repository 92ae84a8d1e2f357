"""Benchmarks remove what they have made, and nothing else."""

import subprocess

import pytest

from clouds import PROGRAM, free_port


def bench(what, root, *options):
    return subprocess.run(
        [PROGRAM, "bench", what, "--root", str(root), "--port", str(free_port()), *options], capture_output=True, text=True, timeout=120)


SHORT = ["--seconds", "0.1", "--clients", "1"]
FEW = {
    "keys": (["--few", "10", "--many", "20"], "GET: 10 keys"),
    "objects": (["--no-peers", "--sizes", "4", "--listed", "10"], "HEAD"),
}


@pytest.mark.parametrize("what", ["objects", "keys"])
def test_a_folder_with_files_is_left_alone(tmp_path, what):
    kept = tmp_path / "mine/kept"
    kept.parent.mkdir()
    kept.write_text("x")
    done = bench(what, tmp_path)
    assert done.returncode == 1 and "is not empty" in done.stderr
    assert kept.read_text() == "x" and [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("what", FEW)
@pytest.mark.parametrize("is_there", [False, True])
def test_what_was_made_is_removed(tmp_path, what, is_there):
    root = tmp_path / "root"
    if is_there:
        root.mkdir()
    options, said = FEW[what]
    done = bench(what, root, *SHORT, *options)
    assert done.returncode == 0 and said in done.stdout, done.stderr
    assert root.exists() == is_there and (not is_there or not list(root.iterdir()))


@pytest.mark.parametrize("there", ["etc/karri", "var/lib/karri"])
def test_a_cloud_is_left_alone(tmp_path, there):
    kept = tmp_path / there / "kept"
    kept.parent.mkdir(parents=True)
    kept.write_text("x")
    done = bench("api", tmp_path, "--mark", "kbtst")
    assert done.returncode == 1 and "already" in done.stderr
    assert kept.read_text() == "x"
