"""A cloud comes and goes and leaves nothing: all that a host has is compared before and after."""

import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time

import clouds
import ending
import pytest


class Host:
    """Network and mounts of its own, so that nobody else's come and go meanwhile: what a whole host would
    be, with one link to the outside."""

    def __init__(self):
        inside = "sysctl -qw net.ipv6.conf.default.disable_ipv6=1; ip link set lo up; ip link add up0 type veth peer name up1; ip link set up1 up; ip address add 192.0.2.2/24 dev up0; " \
            "ip link set up0 up; ip route add default via 192.0.2.1; mkdir -p /run/netns; " \
            "mount -t tmpfs none /run/netns; echo ready; exec sleep 100000"
        self.process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec", inside], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.inside = ["nsenter", "-t", str(self.process.pid), "--net", "--mount", "--"]

    def run(self, *words):
        return subprocess.run([*self.inside, *words], capture_output=True, text=True, timeout=60).stdout

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def settled(text):
    """Without what goes on by itself: counters, ages, handles."""
    text = re.sub(r'"(?:expires|packets|bytes|handle|used|valid_life_time|preferred_life_time)": ?\d+', "", text)
    return sorted(line.strip() for line in text.splitlines())


def all_of(host, cloud):
    facts = {
        name: settled(host.run(*words)) for name, words in {
            "links": ["ip", "-j", "-p", "-details", "link"], "addresses": ["ip", "-j", "-p", "address"],
            "namespaces": ["ip", "netns", "list"], "rules": ["ip", "rule", "show"], "rules of IPv6": ["ip", "-6", "rule", "show"],
            "routes": ["ip", "route", "show", "table", "all"], "routes of IPv6": ["ip", "-6", "route", "show", "table", "all"],
            "proxies": ["ip", "neighbour", "show", "proxy"], "nftables": ["nft", "list", "ruleset"],
            "mounts": ["findmnt", "-rno", "TARGET,SOURCE,FSTYPE"], "settings": ["sysctl", "-a", "--pattern", "^net\\.ipv4"],
        }.items()}
    # Other clouds come and go on this machine, each under its own mark.
    facts["users"] = [line for path in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
                      for line in lines(f"/etc/{path}") if cloud.mark in line]
    facts["cgroups"] = ending.run("find", "/sys/fs/cgroup", "-name", f"*{cloud.mark}*").splitlines()
    facts["processes"] = [ending.command_of(process) for process in ending.processes() if is_of(process, host, cloud)]
    facts["files"] = [
        path for path in ending.run("find", "/etc", "/run", "/var", "/usr/lib", "/usr/local", "/root", "/home", "-xdev",
                                    "-name", f"*{cloud.mark}*", check=False).splitlines()]
    facts["files of its root"] = sorted(str(path) for path in cloud.root.rglob("*"))
    return facts


def lines(path):
    try:
        return pathlib.Path(path).read_text().splitlines()
    except OSError:
        return []


def is_of(process, host, cloud):
    """Whether a process is the cloud's: by its words, its network, or its user."""
    if process in (os.getpid(), host.process.pid):
        return False
    try:
        if any(str(cloud.root) in word for word in ending.command_of(process)):
            return True
        inside = os.readlink(f"/proc/{host.process.pid}/ns/net")
        return os.readlink(f"/proc/{process}/ns/net") == inside
    except OSError:
        return False


class CloudInside(clouds.Cloud):
    """A cloud on a host of its own."""

    def __init__(self, folder, host):
        super().__init__(folder)
        self.host = host

    def run(self, *words, check=True, seconds=300, **more):
        done = subprocess.run(
            [*self.host.inside, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds,
            stdin=subprocess.DEVNULL, **more)
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def karri(self, *arguments, check=True, seconds=300):
        return self.run(clouds.PROGRAM, *arguments, "--root", str(self.root), "--mark", self.mark, check=check, seconds=seconds)

    def ec2_command(self, *arguments):
        environment = {
            "PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_DEFAULT_REGION": self.region, "AWS_PAGER": ""}
        return json.loads(self.run(
            "aws", "--endpoint-url", f"http://127.0.0.1:{self.port}", "--output", "json", "ec2", *arguments,
            env=environment) or "{}")


@pytest.fixture
def host():
    host = Host()
    yield host
    host.end()


def test_uninstall_leaves_nothing(host, tmp_path_factory):
    cloud = CloudInside(tmp_path_factory.mktemp("gone"), host)
    before = all_of(host, cloud)
    try:
        try:
            cloud.up()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{cloud.logs()}") from error
        cloud.sign_in()
        [image] = cloud.ec2_command("describe-images", "--filters", "Name=name,Values=starter")["Images"]
        [machine] = cloud.ec2_command(
            "run-instances", "--image-id", image["ImageId"], "--instance-type", "t2.nano")["Instances"]
        described = ["describe-instances", "--instance-ids", machine["InstanceId"]]
        end = time.monotonic() + 120
        while cloud.ec2_command(*described)["Reservations"][0]["Instances"][0]["State"]["Name"] != "running":
            assert time.monotonic() < end
            time.sleep(1)
        # What a killed supervisor no longer knows of.
        cloud.run("sh", "-c", f"setsid --fork setpriv --reuid {cloud.mark} --clear-groups sleep 100001 >/dev/null 2>&1 </dev/null")
        during = all_of(host, cloud)
    finally:
        cloud.karri("uninstall", "--yes")
    after = all_of(host, cloud)
    # The comparison sees: everything that is compared had something of the cloud's, but what it leaves alone.
    for what in ("links", "namespaces", "rules", "routes", "nftables", "mounts", "users", "processes", "files of its root"):
        assert during[what] != before[what], what
    for what, found in after.items():
        assert found == before[what], what
    assert not [user for user in pwd.getpwall() if user.pw_name.startswith(cloud.mark)]
