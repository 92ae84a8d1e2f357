"""An object store that runs by itself, as `karri start --role objects` does."""

import json
import signal
import sqlite3
import subprocess
import time

import boto3
import botocore.config

from clouds import PROGRAM, free_port
from objects.wire import Wire


class Alone:
    """An object store with no cloud around it."""

    def __init__(self, folder, *options, day_seconds=1, log=None):
        self.root = folder
        self.options = options
        self.port = free_port()
        self.day_seconds = day_seconds
        self.log_path = log or folder / "log"
        self.process = None
        # Where the log of this start begins.
        self.begun = 0

    def start(self):
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [
                PROGRAM, "start", "--role", "objects", "--root", str(self.root), "--port", str(self.port),
                "--lifecycle-day", str(self.day_seconds), *self.options],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while b"serves S3 at" not in self.log_path.read_bytes()[self.begun:]:
            assert self.process.poll() is None and time.monotonic() < end, self.log_path.read_text()
            time.sleep(0.05)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(30)
        self.log.close()
        self.begun = self.log_path.stat().st_size

    def client(self, user=0):
        users = json.loads((self.root / "etc/karri/users.json").read_text())["users"]
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1",
            aws_access_key_id=users[user]["accessKey"], aws_secret_access_key=users[user]["secretKey"],
            config=botocore.config.Config(retries={"max_attempts": 1}))

    def wire(self):
        user = json.loads((self.root / "etc/karri/users.json").read_text())["users"][0]
        return Wire(self.port, "us-east-1", user["accessKey"], user["secretKey"])

    def karri(self, *arguments, check=True):
        done = subprocess.run(
            [PROGRAM, *arguments, "--root", str(self.root)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, done.stderr
        return done

    def workers(self):
        return {worker["name"]: worker for worker in json.loads(self.karri("objects", "workers", "--json").stdout)}

    def check_files(self):
        """Of a store that has stopped: the databases are whole, and every file of a body has a row that names it."""
        for folder in sorted((self.root / "var/lib/karri/objects").glob("shard-*")):
            database = sqlite3.connect(folder / "index.sqlite")
            try:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                named = {
                    f"{number:016x}" for table in ("detail", "piece", "part")
                    for (number,) in database.execute(f"SELECT body FROM {table} WHERE body_kind = 2")}
                loose = {f"{number:016x}" for (number,) in database.execute("SELECT id FROM loose_file")}
                segments = {f"{number:016x}" for (number,) in database.execute("SELECT id FROM segment")}
            finally:
                database.close()
            files = {path.name for path in (folder / "bodies").glob("*/*")}
            assert named <= files, f"{folder}: {named - files} are lost"
            assert files <= named | loose, f"{folder}: nobody knows {files - named - loose}"
            assert segments <= {path.name for path in (folder / "segments").iterdir()}
