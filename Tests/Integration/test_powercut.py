"""The power fails at random instants: what was acknowledged by then is in the store, and the store and
the pool are whole. A cloud lies on an ext4 in a file; a clone of the file, made at once by the file
system below it, is what a disk would hold at that instant. Each is mounted, which replays its journal."""

import concurrent.futures
import hashlib
import shutil
import sqlite3
import subprocess
import threading
import time

import clouds
import ending
import pytest
from test_machines import wait_for_state
from test_simulated import any_image

# An instance's id is stored as a signed number of 64 bits.
def stored(identifier):
    return int.from_bytes(bytes.fromhex(identifier.removeprefix("i-0")), "big", signed=True)


@pytest.fixture
def disk(tmp_path_factory):
    """A folder on an ext4 in a file that can be cloned at once, and where to mount clones."""
    folder = tmp_path_factory.mktemp("p")
    below, above, copies = folder / "below", folder / "on", folder / "copies"
    for each in (below, above, copies):
        each.mkdir()
    mounted = []

    def mount(what, where, *options):
        ending.run("mount", "-o", ",".join(["loop", *options]), str(what), str(where))
        mounted.append(where)

    def unmount(where):
        mounted.remove(where)
        # A mount namespace that others made meanwhile may keep what it saw, and busy what lies below.
        end = time.monotonic() + 5
        while subprocess.run(["umount", str(where)], capture_output=True).returncode != 0:
            if time.monotonic() > end:
                ending.run("umount", "--lazy", str(where))
                return
            time.sleep(0.2)

    try:
        ending.run("truncate", "-s", "24G", str(folder / "below.img"))
        ending.run("mkfs.btrfs", "-q", str(folder / "below.img"))
        mount(folder / "below.img", below)
        ending.run("truncate", "-s", "20G", str(below / "disk.img"))
        ending.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", str(below / "disk.img"))
        mount(below / "disk.img", above)
        yield Disk(folder, below / "disk.img", above, copies, mount, unmount)
    finally:
        for where in reversed(list(mounted)):
            unmount(where)
        shutil.rmtree(folder, ignore_errors=True)


class Disk:
    def __init__(self, folder, file, above, copies, mount, unmount):
        self.folder, self.file, self.above, self.copies, self.mount, self.unmount = folder, file, above, copies, mount, unmount
        self.count = 0

    def cut(self):
        """What the disk holds at this instant, in a file."""
        self.count += 1
        copy = self.file.with_name(f"cut-{self.count}.img")
        ending.run("cp", "--reflink=always", str(self.file), str(copy))
        return copy

    def look(self, copy, body):
        """Calls `body` with a cut's root, mounted as after the power came back."""
        # Nothing but a journal to be replayed is amiss with it.
        where = self.copies / copy.stem
        where.mkdir()
        self.mount(copy, where)
        try:
            return body(where / "root")
        finally:
            self.unmount(where)
            ending.run("e2fsck", "-fn", str(copy))
            copy.unlink()


def invariants():
    """The queries of Store's invariants, each with its complaint, as they stand in the program's source."""
    text = (clouds.ROOT / "Sources/Foundation/Store/Invariants.swift").read_text()
    found = []
    for piece in text.split("Rule(\n")[1:]:
        complaint, rest = piece.split('"', 2)[1:]
        query = rest.split('"""', 2)[1] if '"""' in rest.split("Rule(")[0] else rest.split('"', 2)[1]
        if "\\(" not in query:
            found.append((complaint, query))
    assert len(found) > 20
    return found


def check_store(root, acknowledged, ended):
    """Whether a cut's store is whole, and has what was acknowledged before."""
    store = sqlite3.connect(root / "var/lib/karri/store/karri.db")
    try:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
        for complaint, query in invariants():
            assert store.execute(query).fetchall() == [], complaint
        rows = dict(store.execute("SELECT id, desired FROM instance"))
        for identifier in acknowledged:
            assert stored(identifier) in rows, f"{identifier} was acknowledged and is gone"
        for identifier in ended:
            assert rows[stored(identifier)] == "absent", f"{identifier} was terminated and is not"
        return len(rows)
    finally:
        store.close()


def cuts_while(disk, random, count, load, work):
    """Cuts at random instants while `work` runs; each with what was acknowledged before it."""
    found, over = [], threading.Event()

    def cut():
        while len(found) < count and not over.is_set():
            time.sleep(random.uniform(0.05, 0.6))
            with load.lock:
                before = list(load.all), list(load.ended)
            found.append((disk.cut(), *before))

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        cutting = pool.submit(cut)
        try:
            work(lambda: cutting.done())
        finally:
            over.set()
            cutting.result()
    assert len(found) == count
    return found


def test_power_cuts_while_simulated_machines_come_and_go(disk):
    random = ending.dice()
    for cloud in clouds.run_cloud(disk.above, "--simulate", "5"):
        load = ending.Load(cloud, random, ImageId=any_image(cloud), InstanceType="t3.nano")

        def work(is_over):
            number = 0
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                while not is_over():
                    pool.map(lambda n: load.launch_and_perhaps_end(n, (0, 0.1)), range(number, number + 20))
                    number += 20
                    time.sleep(0.5)

        cuts = cuts_while(disk, random, 10, load, work)
        load.end(load.alive)
        load.wait_until_settled(60)
    counts = [disk.look(copy, lambda root: check_store(root, acknowledged, ended)) for copy, acknowledged, ended in cuts]
    print("machines in each cut:", counts)
    # The instants differ, and there was something to lose.
    assert len(set(counts)) > 1 and cuts[-1][1] and any(ended for _, _, ended in cuts)


def test_a_power_cut_under_real_machines(disk):
    """The host itself loses its power: a cloud starts on what its disk held at that instant."""
    random = ending.dice()
    key = disk.folder / "key.pem"
    for cloud in clouds.run_cloud(disk.above):
        image = cloud.image("starter")
        key.write_text(cloud.ec2.create_key_pair(KeyName="cut", KeyType="ed25519")["KeyMaterial"])
        key.chmod(0o600)
        group = cloud.ec2.create_security_group(GroupName="cut", Description="ssh")["GroupId"]
        cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
        load = ending.Load(
            cloud, random, ImageId=image, InstanceType="t2.nano", KeyName="cut", SecurityGroupIds=[group])
        elder = load.launch(0)
        load.wait_until_settled(60)
        [machine] = cloud.instances([elder])
        cloud.ssh(key, machine["PublicIpAddress"], "echo kept > /root/kept; sync", seconds=240)

        def work(_):
            # One after another, so that the cuts fall into the making of disks.
            for number in range(1, 4):
                load.launch(number)
                time.sleep(random.uniform(0, 1))

        copy, acknowledged, _ = random.choice(cuts_while(disk, random, 4, load, work))
        ending.switch_off(cloud)
        disk.unmount(disk.above)
        disk.mount(copy, disk.above)
        shutil.rmtree(cloud.root / "run")
        ending.have_booted(cloud)
        cloud.up()
        kept = ending.Load(cloud, random)
        assert set(acknowledged) <= set(kept.states())
        wait_for_state(cloud, acknowledged, "running", seconds=180)
        assert cloud.ssh(key, machine["PublicIpAddress"], "cat /root/kept", seconds=240) == "kept\n"
        for each in cloud.instances(acknowledged):
            assert cloud.ssh(key, each["PublicIpAddress"], "echo here", seconds=240) == "here\n"
        ending.check(cloud)
        # The images are what their names say.
        images = cloud.root / "var/lib/karri/pool/images"
        for path in images.iterdir():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.split(".")[0]
