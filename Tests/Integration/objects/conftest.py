"""What every story of the object store needs: clients of two accounts and of nobody, and buckets that
are gone afterwards whatever was left in them."""

import json

import boto3
import botocore
import botocore.config
import pytest

import wire as wires


class Account:
    """An account of the cloud, by the credentials of its root."""

    def __init__(self, simulated, key, secret):
        self.key, self.secret = key, secret
        self.s3 = simulated.client("s3", key, secret)
        self.wire = wires.Wire(simulated.port, simulated.region, key, secret)
        self.id = self.s3.list_buckets()["Owner"]["ID"]

    @property
    def number(self):
        return self.s3.list_buckets()["Owner"]["DisplayName"]


@pytest.fixture(scope="session")
def owner(simulated):
    return Account(simulated, simulated.key, simulated.secret)


@pytest.fixture(scope="session")
def stranger(simulated):
    """Another account, which is nobody to the first."""
    simulated.karri("account", "create", "conformance-stranger")
    made = json.loads((simulated.root / "etc/karri/credentials/conformance-stranger.json").read_text())
    return Account(simulated, made["accessKey"], made["secretKey"])


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
def make_bucket(s3):
    """Makes buckets that are emptied and removed after the test."""
    made = []

    def make(client=s3, **how):
        name = how.pop("Bucket", None) or wires.new_name()
        client.create_bucket(Bucket=name, **how)
        made.append((client, name))
        return name

    yield make
    for client, name in reversed(made):
        wires.remove_bucket(client, name)


@pytest.fixture
def bucket(make_bucket):
    return make_bucket()


@pytest.fixture
def versioned(s3, make_bucket):
    name = make_bucket()
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def iam_user(simulated):
    """Makes users of the first account that may do what a policy says; returns an S3 client of theirs."""
    iam = simulated.client("iam")
    made = []

    def make(*statements):
        name = wires.new_name("u")
        iam.create_user(UserName=name)
        made.append(name)
        if statements:
            iam.put_user_policy(
                UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        client = simulated.client("s3", key["AccessKeyId"], key["SecretAccessKey"])
        client.arn = iam.get_user(UserName=name)["User"]["Arn"]
        return client

    yield make
    for name in made:
        for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
            iam.delete_user_policy(UserName=name, PolicyName=policy)
        for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user(UserName=name)
