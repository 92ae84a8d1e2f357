"""Processes are killed while machines are launched and terminated: what was acknowledged comes true
all the same, once, and nothing is left of what is gone."""

import concurrent.futures
import os

import ending
from test_simulated import any_image


def run(load, killer, count, workers, pauses, kills):
    """Launches, and kills all the while, each process so often."""
    with killer, concurrent.futures.ThreadPoolExecutor(workers) as pool:
        launches = [pool.submit(load.launch_and_perhaps_end, number, pauses) for number in range(count)]
        try:
            for done in concurrent.futures.as_completed(launches):
                done.result()
        finally:
            # Where one was in vain, all would be.
            pool.shutdown(wait=False, cancel_futures=True)
        killer.wait_until_each(kills)


def test_kills_during_simulated_launches(simulated):
    random = ending.dice()
    others = set(ending.Load(simulated, random).states())
    load = ending.Load(simulated, random, ImageId=any_image(simulated), InstanceType="t3.nano")
    killer = ending.Killer(simulated, ["control", "simulate", "supervisor"], random, pause=(0.05, 0.5))
    run(load, killer, count=100, workers=4, pauses=(0, 0.5), kills=2)
    load.wait_until_settled(90)
    # A repeated token launches nothing and names what it named.
    for number in range(100):
        load.launch(number)
    assert set(load.states()) - others <= set(load.all)
    ending.check(simulated)
    load.end(load.alive)
    load.wait_until_settled(60)
    ending.check(simulated)
    assert simulated.ec2.describe_volumes()["Volumes"] == []
    assert simulated.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_kills_during_real_launches(cloud, key, open_group):
    random = ending.dice()
    others = set(ending.Load(cloud, random).states())
    request = {
        "ImageId": cloud.starter, "InstanceType": "t2.nano", "KeyName": "story", "SecurityGroupIds": [open_group],
        "UserData": "#!/bin/sh\necho here > /root/user-data-ran\n"}
    elders = ending.Load(cloud, random, **request)
    load = ending.Load(cloud, random, **request)
    try:
        elder = elders.launch(0)
        elders.wait_until_settled(60)
        [machine] = cloud.instances([elder])
        before = boot_of(cloud, key, machine), ending.emulators(cloud)[elder]

        killer = ending.Killer(cloud, ["control", "edge", "node", "libvirtd", "supervisor"], random, pause=(0.2, 2.0))
        run(load, killer, count=20, workers=4, pauses=(0, 5), kills=2)
        load.wait_until_settled(180)

        # What ran went on.
        assert (boot_of(cloud, key, machine), ending.emulators(cloud)[elder]) == before
        machines = cloud.instances(load.alive)
        assert len({m["PrivateIpAddress"] for m in machines}) == len(machines)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            # Its user data ran, whatever happened to the service that gives it while it asked.
            hear = "until [ -s /root/user-data-ran ]; do sleep 1; done; cat /root/user-data-ran"
            for hello in pool.map(lambda m: cloud.ssh(key, m["PublicIpAddress"], hear, seconds=240), machines):
                assert hello == "here\n"
        for number in range(20):
            load.launch(number)
        assert set(load.states()) - others <= {*load.all, elder}
        assert set(ending.emulators(cloud)) == {*load.alive, elder}
        ending.check(cloud)
    finally:
        for each in (load, elders):
            if each.alive:
                each.end(each.alive)
    load.wait_until_settled(120)
    elders.wait_until_settled(30)
    ending.check(cloud)
    assert ending.emulators(cloud) == {}
    assert (set(os.listdir(cloud.root / "var/lib/karri/pool/staging")) - {"jail"}) == set()


def boot_of(cloud, key, machine):
    return cloud.ssh(key, machine["PublicIpAddress"], "cat /proc/sys/kernel/random/boot_id")
