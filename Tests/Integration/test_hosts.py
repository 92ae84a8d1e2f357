"""A host that is lost, given up, and comes back all the same."""

import json
import threading

import botocore.exceptions
import pytest

from clouds import run_cloud


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A cloud of two simulated hosts."""
    yield from run_cloud(tmp_path_factory.mktemp("hosts"), "--simulate", "2")


def hosts(cloud):
    return {host["name"]: host for host in json.loads(cloud.karri("host", "list", "--json"))}


def states(cloud, ids):
    return {instance["InstanceId"]: instance["State"]["Name"] for instance in cloud.instances(ids)}


def simulate(cloud, number):
    options = list(cloud.options)
    options[options.index("--simulate") + 1] = str(number)
    return cloud.karri("up", *options, seconds=300)


def test_a_lost_host_is_fenced_and_accepted_again(pair):
    ec2 = pair.ec2
    image = pair.karri("image", "import", "/dev/null", "--name", "hosted").strip().splitlines()[-1]
    pair.eventually(lambda: ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available")
    made = ec2.run_instances(ImageId=image, InstanceType="m1.small", MinCount=8, MaxCount=8)["Instances"]
    ids = [instance["InstanceId"] for instance in made]
    pair.eventually(lambda: set(states(pair, ids).values()) == {"running"}, seconds=60)
    assert all(host["machines"] > 0 for host in hosts(pair).values())

    said = pair.karri("host", "fence", next(iter(hosts(pair))), "--yes", check=False)
    assert "only a lost one is fenced" in said
    assert "there is no host nobody" in pair.karri("host", "fence", "nobody", "--yes", check=False)

    simulate(pair, 1)
    pair.eventually(lambda: "lost" in [host["state"] for host in hosts(pair).values()], seconds=60)
    [lost] = [name for name, host in hosts(pair).items() if host["state"] == "lost"]
    count = hosts(pair)[lost]["machines"]
    assert f"karri host fence {lost}" in pair.karri("status", check=False)
    # Until it is fenced, what it may still run stays as it is: a removal waits for its word.
    status = ec2.describe_instance_status(InstanceIds=ids)["InstanceStatuses"]
    impaired = [one["InstanceId"] for one in status if one["SystemStatus"]["Status"] == "impaired"]
    assert len(impaired) == count
    ec2.terminate_instances(InstanceIds=impaired[:1])
    assert states(pair, impaired[:1])[impaired[0]] == "shutting-down"

    # Without a terminal nobody can be asked, and nothing is changed.
    assert "nothing was changed" in pair.karri("host", "fence", lost, check=False)
    said = pair.karri("host", "fence", lost, "--yes")
    assert f"{count - 1} machines are stopped, and 1 others" in said
    pair.eventually(lambda: states(pair, impaired)[impaired[0]] == "terminated")
    pair.eventually(lambda: set(states(pair, impaired[1:]).values()) == {"stopped"})
    there = [one for one in ids if one not in impaired]
    assert set(states(pair, there).values()) == {"running"}
    assert "fenced" in pair.instances(impaired[1:2])[0]["StateTransitionReason"]
    assert hosts(pair)[lost]["state"] == "fenced"
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        ec2.start_instances(InstanceIds=impaired[1:2])
    assert refused.value.response["Error"]["Code"] == "InsufficientInstanceCapacity"

    # It comes back unasked: it gets no session before it is accepted.
    back = threading.Thread(target=simulate, args=(pair, 2))
    back.start()
    try:
        log = pair.root / "var/log/karri/simulate.log"
        pair.eventually(lambda: f"{lost} was fenced" in log.read_text(errors="replace"), seconds=60)
        assert hosts(pair)[lost]["state"] == "fenced"
        assert "may come back; it is told to remove" in pair.karri("host", "accept", lost)
    finally:
        back.join(timeout=200)
    assert hosts(pair)[lost]["state"] == "up"
    assert "is not fenced" in pair.karri("host", "accept", lost, check=False)
    pair.eventually(lambda: set(states(pair, impaired[1:]).values()) == {"stopped"})
    ec2.start_instances(InstanceIds=impaired[1:2])
    pair.eventually(lambda: states(pair, impaired[1:2])[impaired[1]] == "running", seconds=60)
    ec2.terminate_instances(InstanceIds=ids)
    pair.eventually(lambda: set(states(pair, ids).values()) == {"terminated"}, seconds=60)
    for host in hosts(pair).values():
        assert (host["machines"], host["processorsFree"]) == (0, host["processors"])
