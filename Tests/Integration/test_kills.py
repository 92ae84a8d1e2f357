"""Processes are killed while machines are launched and terminated: what was acknowledged comes true
all the same, once, and nothing is left of what is gone."""

import concurrent.futures

import ending
from test_simulated import any_image


def run(load, count, workers, killer):
    with killer, concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(load.launch_and_perhaps_end, number) for number in range(count)]:
            done.result()


def test_kills_during_simulated_launches(simulated):
    random = ending.dice()
    others = set(ending.Load(simulated, random).states())
    load = ending.Load(simulated, random, ImageId=any_image(simulated), InstanceType="t3.nano")
    killer = ending.Killer(simulated, ["control", "simulate", "supervisor"], random, pause=(0.05, 0.5))
    run(load, 100, 4, killer)
    assert all(killer.killed.values()), killer.killed
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
