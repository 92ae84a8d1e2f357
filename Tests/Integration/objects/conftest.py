"""What every story of the object store needs: clients of two accounts and of nobody, and buckets that
are gone afterwards whatever was left in them."""

import json

import boto3
import botocore
import botocore.config
import pytest

from objects import wire as wires
from objects.alone import Alone


class Account:
    """An account of the cloud, by the credentials of its root."""

    def __init__(self, simulated, key, secret):
        self.key, self.secret = key, secret
        self.s3 = simulated.client("s3", key, secret)
        self.wire = wires.Wire(simulated.port, simulated.region, key, secret)
        shown = self.s3.list_buckets()["Owner"]
        # As lists name it, and as policies do.
        self.id, self.number = shown["ID"], shown["DisplayName"]


@pytest.fixture(scope="session")
def owner(simulated):
    return Account(simulated, simulated.key, simulated.secret)


@pytest.fixture(scope="session")
def make_account(simulated):
    """Makes accounts by their names."""

    def make(name):
        simulated.karri("account", "create", name)
        made = json.loads((simulated.root / f"etc/karri/credentials/{name}.json").read_text())
        return Account(simulated, made["accessKey"], made["secretKey"])

    return make


@pytest.fixture(scope="session")
def stranger(make_account):
    """Another account, which is nobody to the first."""
    return make_account("conformance-stranger")


@pytest.fixture(scope="session")
def s3(owner):
    return owner.s3


@pytest.fixture(scope="session")
def other(stranger):
    return stranger.s3


@pytest.fixture(scope="session")
def anonymous(simulated):
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{simulated.port}", region_name=simulated.region,
        config=botocore.config.Config(signature_version=botocore.UNSIGNED, retries={"max_attempts": 1}, read_timeout=60))


@pytest.fixture(scope="session")
def wire(owner):
    return owner.wire


@pytest.fixture(scope="session")
def open_wire(simulated):
    """Nobody's requests."""
    return wires.Wire(simulated.port, simulated.region)


@pytest.fixture
def versioned(s3, make_bucket):
    name = make_bucket()
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def allow(owner, stranger):
    """Lets the other account do some things with a bucket and no others; returns its client."""

    def let(bucket, *actions, denied=()):
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        principal = {"AWS": stranger.number}
        statements = [
            {"Effect": effect, "Principal": principal, "Action": list(named), "Resource": resources}
            for effect, named in [("Allow", actions), ("Deny", denied)] if named]
        owner.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
        return stranger.s3

    return let


@pytest.fixture
def alone(tmp_path):
    """A store with no cloud around it."""
    store = Alone(tmp_path)
    store.start()
    yield store
    if store.process.poll() is None:
        store.stop()
