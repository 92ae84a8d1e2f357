"""A whole cloud for the stories: started by `karri up` from the built program, in folders and under
names of its own, and removed by `karri uninstall`. Clients are the real boto3 and aws command."""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import time

import boto3
import botocore.config

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("KARRI_PROGRAM", str(ROOT / ".build/debug/karri"))


def free_port():
    """A free port whose next one is free for the meters: below those that the kernel lends to clients, which
    the tests' own connections may hold by the time that the cloud wants it."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.socket() as own, socket.socket() as meters:
            own.bind(("127.0.0.1", port))
            meters.bind(("127.0.0.1", port + 1))
            return port


class Cloud:
    """One running cloud and the clients of its first account."""

    region = "karri-1"

    def __init__(self, folder, *options):
        self.root = folder / "root"
        self.root.mkdir()
        # Guests' users must be able to pass through the folders above their disks.
        for above in [self.root, *self.root.parents]:
            if above.stat().st_uid == os.getuid() and above != pathlib.Path("/"):
                above.chmod(above.stat().st_mode | 0o011)
        self.mark = "k" + secrets.token_hex(2)
        self.port = free_port()
        self.options = ["--port", str(self.port), "--no-profile", "--no-debian", "--yes", *options]

    def up(self):
        return self.karri("up", *self.options, seconds=600)

    def karri(self, *arguments, check=True, seconds=120):
        """Runs the program for this cloud; returns what it said, both streams."""
        done = subprocess.run(
            [PROGRAM, *arguments, "--root", str(self.root), "--mark", self.mark],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"karri {' '.join(arguments)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def sign_in(self, file="karri.json"):
        made = json.loads((self.root / "etc/karri/credentials" / file).read_text())
        self.key, self.secret = made["accessKey"], made["secretKey"]
        self.ec2 = self.client("ec2")

    def client(self, service, key=None, secret=None):
        return boto3.client(
            service, endpoint_url=f"http://127.0.0.1:{self.port}", region_name=self.region,
            aws_access_key_id=key or self.key, aws_secret_access_key=secret or self.secret,
            config=botocore.config.Config(retries={"max_attempts": 1}, read_timeout=60))

    def aws(self, *arguments):
        """The aws command, with the cloud's credentials and nothing of the user's own settings."""
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.root), "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_DEFAULT_REGION": self.region, "AWS_PAGER": "",
        }
        done = subprocess.run(
            ["aws", "--endpoint-url", f"http://127.0.0.1:{self.port}", "--output", "json", *arguments],
            capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def image(self, name):
        [image] = self.ec2.describe_images(Filters=[{"Name": "name", "Values": [name]}])["Images"]
        return image["ImageId"]

    def instances(self, ids):
        found = self.ec2.describe_instances(InstanceIds=ids)
        return [instance for reservation in found["Reservations"] for instance in reservation["Instances"]]

    def ssh(self, key, address, command, check=True, seconds=90, user="root"):
        """Runs a command in a guest, trying again while the guest does not answer yet."""
        end = time.monotonic() + seconds
        words = [
            "ssh", "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "ConnectTimeout=5", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", f"{user}@{address}", command]
        while True:
            left = end - time.monotonic()
            try:
                done = subprocess.run(words, capture_output=True, text=True, timeout=max(left, 10), stdin=subprocess.DEVNULL)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{command}: in vain\n{self.console_of(address)}") from None
            # 255 is ssh's own failure; every other code is the command's.
            if done.returncode != 255 or not check:
                assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr}"
                return done.stdout
            assert left > 0, f"{address} does not answer: {done.stderr}\n{self.console_of(address)}"
            time.sleep(0.5)

    def console_of(self, address):
        """What the machine at a public address wrote last, for a failure's report."""
        found = self.ec2.describe_instances(Filters=[{"Name": "ip-address", "Values": [address]}])["Reservations"]
        ids = [instance["InstanceId"] for reservation in found for instance in reservation["Instances"]]
        outputs = [self.ec2.get_console_output(InstanceId=i).get("Output", "") for i in ids]
        return "\n".join(f"== console of {i}\n{output[-3000:]}" for i, output in zip(ids, outputs))

    def eventually(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "in vain"
            time.sleep(0.5)

    def uninstall(self):
        if os.environ.get("KARRI_KEEP_LOGS"):
            shutil.copytree(self.root / "var/log/karri", pathlib.Path(os.environ["KARRI_KEEP_LOGS"]) / self.mark)
        return self.karri("uninstall", "--yes", seconds=180)

    def logs(self):
        """The last words of the processes, for a failure's report."""
        folder = self.root / "var/log/karri"
        return "\n".join(
            f"== {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-40:]) for log in sorted(folder.glob("*.log")))


def run_cloud(folder, *options):
    cloud = Cloud(folder, *options)
    try:
        cloud.up()
        cloud.sign_in()
        yield cloud
    except AssertionError as error:
        raise AssertionError(f"{error}\n{cloud.logs()}") from error
    finally:
        cloud.uninstall()
