"""Stories over a cloud of simulated hosts: the same program, without machines."""

import concurrent.futures

import pytest


def any_image(cloud):
    images = cloud.ec2.describe_images(Filters=[{"Name": "image-type", "Values": ["machine"]}])["Images"]
    return images[0]["ImageId"]


def states(cloud, ids):
    return {instance["State"]["Name"] for instance in cloud.instances(ids)}


def test_a_hundred_launches(simulated):
    image = any_image(simulated)

    def launch(number):
        client = simulated.client("ec2")
        made = client.run_instances(
            ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1, ClientToken=f"hundred-{number}")
        return made["Instances"][0]["InstanceId"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(launch, range(100)))
        # A repeated token launches nothing.
        assert list(pool.map(launch, range(100))) == ids
    simulated.eventually(lambda: states(simulated, ids) == {"running"}, seconds=60)
    addresses = {instance["PrivateIpAddress"] for instance in simulated.instances(ids)}
    assert len(addresses) == 100
    simulated.ec2.terminate_instances(InstanceIds=ids)
    simulated.eventually(lambda: states(simulated, ids) == {"terminated"}, seconds=60)
    assert simulated.ec2.describe_volumes()["Volumes"] == []
    assert simulated.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_a_second_account_sees_nothing(simulated):
    image = any_image(simulated)
    [machine] = simulated.ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1)["Instances"]
    try:
        simulated.karri("account", "create", "other")
        import json

        made = json.loads((simulated.root / "etc/karri/credentials/other.json").read_text())
        other = simulated.client("ec2", made["accessKey"], made["secretKey"])
        assert other.describe_instances()["Reservations"] == []
        for call in (other.describe_instances, other.stop_instances, other.terminate_instances, other.reboot_instances):
            with pytest.raises(other.exceptions.ClientError) as refusal:
                call(InstanceIds=[machine["InstanceId"]])
            assert refusal.value.response["Error"]["Code"] == "InvalidInstanceID.NotFound"
        simulated.eventually(lambda: states(simulated, [machine["InstanceId"]]) == {"running"})
    finally:
        simulated.ec2.terminate_instances(InstanceIds=[machine["InstanceId"]])


def test_status_and_trace(simulated):
    assert "20" in simulated.karri("host", "list", "--json") or simulated.karri("host", "list").count(" up ") == 20
    assert "control" in simulated.karri("status", check=False)
