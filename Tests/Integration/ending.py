"""Ends a cloud's processes at random instants, and the clients that go on all the same."""

import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import subprocess
import threading
import time

import botocore.exceptions


def dice():
    """Random numbers of a seed that is printed; KARRI_SEED repeats a run."""
    seed = int(os.environ.get("KARRI_SEED") or secrets.randbits(32))
    print(f"KARRI_SEED={seed}")
    return random.Random(seed)


def command_of(process):
    try:
        return pathlib.Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def emulators(cloud):
    """The QEMU processes of a cloud's machines, by instance id."""
    guests = f"{cloud.root}/var/lib/karri/node/guests/"
    found = {}
    for process in processes():
        words = command_of(process)
        if words[0:1] and words[0].endswith("/qemu-system-x86_64") and any(guests in word for word in words):
            name = words[words.index("-name") + 1].split(",")[0].removeprefix("guest=")
            assert name not in found, f"two QEMU run for {name}"
            found[name] = process
    return found


def own_process(cloud, name):
    """The process of a name, or None while there is none."""
    if name == "libvirtd":
        try:
            process = int((cloud.root / "var/lib/karri/node/libvirt/libvirtd.pid").read_text())
        except (OSError, ValueError):
            return None
        return process if command_of(process)[0:1] == ["libvirtd"] else None
    try:
        status = json.loads((cloud.root / "run/karri/supervisor.json").read_text())
    except (OSError, ValueError):
        return None
    if name == "supervisor":
        words = status.get("supervisor")
    else:
        words = next((child.get("process") for child in status["children"] if child["name"] == name), None)
    process = words and words["pid"]
    # A number is used again by others.
    return process if process and str(cloud.root) in command_of(process) else None


class Killer:
    """Kills one of a cloud's processes after another, for as long as the block lasts."""

    def __init__(self, cloud, names, random, pause=(0.2, 1.5)):
        self.cloud, self.names, self.random, self.pause = cloud, names, random, pause
        self.killed = {name: 0 for name in names}
        self.fault = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        print("killed", self.killed)
        if self.fault:
            raise self.fault

    def wait_until_each(self, count, seconds=120):
        """Until every process was killed so often."""
        end = time.monotonic() + seconds
        while min(self.killed.values()) < count and not self.fault:
            assert time.monotonic() < end, f"not killed often enough: {self.killed}"
            time.sleep(0.1)

    def run(self):
        try:
            # Each once, in an order of its own, before chance alone decides.
            order = self.random.sample(self.names, len(self.names))
            while not self.over.wait(self.random.uniform(*self.pause)):
                name = order[0] if order else self.random.choice(self.names)
                process = own_process(self.cloud, name)
                if process is None:
                    continue
                os.kill(process, signal.SIGKILL)
                self.killed[name] += 1
                order = order[1:]
                if name == "supervisor":
                    # Nothing stands over the supervisor here: what a service manager does.
                    self.cloud.up()
        except BaseException as fault:
            self.fault = fault


# What a client sees of a service that is being started again.
AWAY = (
    botocore.exceptions.EndpointConnectionError, botocore.exceptions.ConnectionClosedError,
    botocore.exceptions.ReadTimeoutError, botocore.exceptions.ConnectTimeoutError, botocore.exceptions.HTTPClientError,
)


def persistently(call, seconds=90):
    """Repeats a call while the service is away, or says that it is."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except AWAY as fault:
            refusal = fault
        except botocore.exceptions.ClientError as fault:
            # A host that has just been killed takes nothing for a moment.
            if fault.response["Error"]["Code"] not in ("ServiceUnavailable", "Unavailable", "InsufficientInstanceCapacity"):
                raise
            refusal = fault
        assert time.monotonic() < end, f"in vain: {refusal}"
        time.sleep(0.2)


class Load:
    """Launches, each repeated under its token until it is acknowledged, and terminations of some."""

    def __init__(self, cloud, random, **request):
        self.cloud, self.random, self.request = cloud, random, request
        self.lock = threading.Lock()
        # By token: the reservation and the machine.
        self.acknowledged = {}
        self.asked_to_end = set()
        # Those whose end was acknowledged.
        self.ended = set()
        self.prefix = f"{random.getrandbits(32):08x}"

    def launch(self, number):
        token = f"{self.prefix}-{number}"
        client = self.cloud.client("ec2")
        made = persistently(lambda: client.run_instances(MinCount=1, MaxCount=1, ClientToken=token, **self.request))
        [instance] = made["Instances"]
        found = (made["ReservationId"], instance["InstanceId"])
        with self.lock:
            assert self.acknowledged.setdefault(token, found) == found, "a token was answered by another launch"
        return instance["InstanceId"]

    def launch_and_perhaps_end(self, number, pauses):
        """Launches after a random pause; some end after another one."""
        with self.lock:
            before, ends, after = self.random.uniform(*pauses), self.random.random() < 0.4, self.random.uniform(*pauses)
        time.sleep(before)
        identifier = self.launch(number)
        if ends:
            time.sleep(after)
            self.end([identifier])

    def end(self, identifiers):
        client = self.cloud.client("ec2")
        with self.lock:
            self.asked_to_end.update(identifiers)
        persistently(lambda: client.terminate_instances(InstanceIds=identifiers))
        with self.lock:
            self.ended.update(identifiers)

    def acknowledged_and_ended(self):
        """The machines that are acknowledged at this instant, and those of them whose end is."""
        with self.lock:
            return list(self.all), list(self.ended)

    @property
    def all(self):
        return [identifier for _, identifier in self.acknowledged.values()]

    @property
    def alive(self):
        return [identifier for identifier in self.all if identifier not in self.asked_to_end]

    def states(self):
        found = persistently(lambda: self.cloud.ec2.describe_instances())
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for reservation in found["Reservations"] for instance in reservation["Instances"]}

    def wait_until_settled(self, seconds):
        """Until every machine is as it was last asked to be, and nothing else is there."""
        wanted = {i: "terminated" if i in self.asked_to_end else "running" for i in self.all}
        end = time.monotonic() + seconds
        while True:
            now = self.states()
            # Those that were terminated may be forgotten by and by.
            wrong = {i: now.get(i, "terminated") for i, state in wanted.items() if now.get(i, "terminated") != state}
            if not wrong:
                return
            if time.monotonic() > end:
                stories = "\n".join(self.cloud.karri("trace", i, check=False) for i in list(wrong)[:3])
                raise AssertionError(f"not as asked after {seconds} s: {wrong}\n{stories}\n{self.cloud.logs()}")
            time.sleep(0.5)


def check(cloud, seconds=60):
    """Waits until `karri check` finds nothing wrong."""
    end = time.monotonic() + seconds
    while True:
        said = cloud.karri("check", check=False)
        if "all is in order" in said:
            return
        assert time.monotonic() < end, said
        time.sleep(1)


def number_of(mark):
    """The device group and route table of a mark, as `DataplaneNames.number` makes it (FNV-1a)."""
    value = 2166136261
    for byte in mark.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value & 0x3FFFFFFF | 0x40000000


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


def processes_of(cloud):
    """All that runs for a cloud: what names its folder, and its libvirtd."""
    found = [process for process in processes() if any(str(cloud.root) in word for word in command_of(process))]
    daemon = own_process(cloud, "libvirtd")
    return found + ([daemon] if daemon else [])


def switch_off(cloud):
    """Leaves of a cloud what a host has of it after a reboot: its files, without those of the run folder."""
    end = time.monotonic() + 30
    while found := processes_of(cloud):
        assert time.monotonic() < end, [command_of(process) for process in found]
        # The supervisor first, so that it starts nothing again.
        for process in sorted(found, key=lambda process: "supervise" not in command_of(process)):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
    for line in run("ip", "netns", "list").splitlines():
        if line.startswith(f"{cloud.mark}-"):
            run("ip", "netns", "delete", line.split()[0])
    for link in links_of(cloud):
        # A veth goes with its peer.
        run("ip", "link", "delete", link, check=False)
    table = str(number_of(cloud.mark))
    while f"lookup {table}" in run("ip", "-4", "rule", "show"):
        run("ip", "-4", "rule", "delete", "table", table)
    run("ip", "-4", "route", "flush", "table", table, check=False)
    for line in run("nft", "list", "tables").splitlines():
        if line.split()[-1] == cloud.mark:
            run("nft", "delete", *line.split())
    shutil.rmtree(cloud.root / "run/karri")
    have_booted(cloud)
    assert links_of(cloud) == []


def have_booted(cloud):
    """Leaves the one sign of another boot that cannot be had without one."""
    (cloud.root / "var/lib/karri/node/libvirt/boot").write_text("an earlier one\n")


def links_of(cloud):
    links = json.loads(run("ip", "-j", "link", "show", "group", str(number_of(cloud.mark))) or "[]")
    # `ip` writes {} for each link of another group.
    return [link["ifname"] for link in links if link]
