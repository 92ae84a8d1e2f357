"""The clouds that the stories share."""

import json
import time

import pytest

from clouds import run_cloud
from disks import cloned_disk
from objects import wire


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    """A cloud of this machine, with the small starter image."""
    for running in run_cloud(tmp_path_factory.mktemp("cloud")):
        running.starter = running.image("starter")
        yield running


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A cloud of twenty simulated hosts."""
    yield from run_cloud(tmp_path_factory.mktemp("simulated"), "--simulate", "20")


@pytest.fixture
def disk(tmp_path_factory):
    """A disk that can lose its power."""
    with cloned_disk(tmp_path_factory.mktemp("p")) as made:
        yield made


@pytest.fixture(scope="session")
def s3(simulated):
    return simulated.client("s3")


@pytest.fixture
def make_bucket(s3):
    """Makes buckets that are emptied and removed after the test."""
    made = []

    def make(client=s3, **how):
        name = how.pop("Bucket", None) or wire.new_name()
        client.create_bucket(Bucket=name, **how)
        made.append((client, name))
        return name

    yield make
    for client, name in reversed(made):
        wire.remove_bucket(client, name)


@pytest.fixture
def bucket(make_bucket):
    return make_bucket()


@pytest.fixture(scope="session")
def key(cloud, tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "story.pem"
    made = json.loads(cloud.aws("ec2", "create-key-pair", "--key-name", "story", "--key-type", "ed25519"))
    path.write_text(made["KeyMaterial"])
    path.chmod(0o600)
    yield path
    cloud.ec2.delete_key_pair(KeyName="story")


@pytest.fixture(scope="session")
def open_group(cloud):
    group = cloud.ec2.create_security_group(GroupName="story", Description="ssh and ping")["GroupId"]
    cloud.ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        ],
    )
    yield group
    end = time.monotonic() + 60
    while True:
        try:
            cloud.ec2.delete_security_group(GroupId=group)
            return
        except cloud.ec2.exceptions.ClientError as error:
            # Machines that are still shutting down use it.
            if error.response["Error"]["Code"] != "DependencyViolation" or time.monotonic() > end:
                raise
            time.sleep(0.5)
