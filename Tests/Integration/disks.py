"""Disks that the stories lose or fill: an ext4 in a file on a file system that clones files at once, so that
a clone is what a disk would hold at that instant if the power failed. A clone is mounted like a disk after
the power came back, which replays its journal."""

import concurrent.futures
import contextlib
import shutil
import subprocess
import threading
import time

import ending


class Disk:
    """A mounted ext4 in a file, and the clones that were made of it."""

    def __init__(self, folder, file, above, copies, mount, unmount):
        self.folder, self.file, self.above, self.copies, self.mount, self.unmount = folder, file, above, copies, mount, unmount
        self.count = 0

    def cut(self):
        """What the disk holds at this instant, in a file."""
        self.count += 1
        copy = self.file.with_name(f"cut-{self.count}.img")
        ending.run("cp", "--reflink=always", str(self.file), str(copy))
        return copy

    def cuts_while(self, random, count, before, work):
        """Cuts at random instants while `work` runs, which is told whether all are made; each with what `before`
        gave just before it."""
        found, over = [], threading.Event()

        def cut():
            while len(found) < count and not over.is_set():
                time.sleep(random.uniform(0.05, 0.6))
                known = before()
                found.append((self.cut(), known))

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            cutting = pool.submit(cut)
            try:
                work(lambda: cutting.done())
            finally:
                over.set()
                cutting.result()
        assert len(found) == count
        return found

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


@contextlib.contextmanager
def mounts():
    """Gives `mount(what, where, *options)` and `unmount(where)`; what is left mounted is unmounted at the end."""
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
        yield mount, unmount
    finally:
        for where in reversed(list(mounted)):
            unmount(where)


@contextlib.contextmanager
def cloned_disk(folder):
    """A disk that can be cut, in a folder that is gone afterwards."""
    below, above, copies = folder / "below", folder / "on", folder / "copies"
    for each in (below, above, copies):
        each.mkdir()
    try:
        with mounts() as (mount, unmount):
            ending.run("truncate", "-s", "24G", str(folder / "below.img"))
            ending.run("mkfs.btrfs", "-q", str(folder / "below.img"))
            mount(folder / "below.img", below)
            ending.run("truncate", "-s", "20G", str(below / "disk.img"))
            ending.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", str(below / "disk.img"))
            mount(below / "disk.img", above)
            yield Disk(folder, below / "disk.img", above, copies, mount, unmount)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def small_disk(folder, size):
    """The folder of a mounted ext4 of a size, as mkfs and truncate spell it."""
    file, above = folder / "disk.img", folder / "on"
    above.mkdir()
    with mounts() as (mount, _):
        ending.run("truncate", "-s", size, str(file))
        ending.run("mkfs.ext4", "-q", "-F", str(file))
        mount(file, above)
        yield above
