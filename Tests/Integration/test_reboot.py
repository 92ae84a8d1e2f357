"""The host reboots: nothing of the cloud is left but files, and `karri up` brings back what ran."""

import ending
from test_machines import wait_for_state


def test_a_reboot_brings_machines_back(cloud, key, open_group):
    load = ending.Load(
        cloud, ending.dice(), ImageId=cloud.starter, InstanceType="t2.nano", KeyName="story", SecurityGroupIds=[open_group])
    try:
        runs, other, stopped, off = [load.launch(number) for number in range(4)]
        before = {m["InstanceId"]: m for m in wait_for_state(cloud, load.all, "running")}
        address = before[runs]["PublicIpAddress"]
        for identifier in (runs, stopped, off):
            cloud.ssh(key, before[identifier]["PublicIpAddress"], f"echo {identifier} > /root/kept; sync", seconds=240)
        boot = cloud.ssh(key, address, "cat /proc/sys/kernel/random/boot_id")
        cloud.ec2.stop_instances(InstanceIds=[stopped])
        cloud.ssh(key, before[off]["PublicIpAddress"], "poweroff", check=False)
        wait_for_state(cloud, [stopped, off], "stopped")

        ending.switch_off(cloud)
        cloud.up()

        wait_for_state(cloud, [runs, other], "running")
        assert cloud.ssh(key, address, "cat /root/kept", seconds=240) == f"{runs}\n"
        assert cloud.ssh(key, address, "cat /proc/sys/kernel/random/boot_id") != boot
        assert cloud.ssh(key, before[other]["PublicIpAddress"], "echo here", seconds=240) == "here\n"
        after = {m["InstanceId"]: m for m in cloud.instances(load.all)}
        for identifier in (runs, other):
            for what in ("PrivateIpAddress", "PublicIpAddress", "LaunchTime"):
                assert after[identifier][what] == before[identifier][what]
        # What was off stays off, and starts with its data when it is asked to.
        assert set(ending.emulators(cloud)) == {runs, other}
        assert {after[i]["State"]["Name"] for i in (stopped, off)} == {"stopped"}
        ending.check(cloud)
        cloud.ec2.start_instances(InstanceIds=[stopped, off])
        for machine in wait_for_state(cloud, [stopped, off], "running"):
            assert machine["PrivateIpAddress"] == before[machine["InstanceId"]]["PrivateIpAddress"]
            said = cloud.ssh(key, machine["PublicIpAddress"], "cat /root/kept", seconds=240)
            assert said == f"{machine['InstanceId']}\n"
    finally:
        load.end(load.all)
    load.wait_until_settled(90)
    ending.check(cloud)
