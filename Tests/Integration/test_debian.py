"""Debian as its cloud images are: cloud-init makes the user, takes the key, runs the user data, and
grows the root disk to what was asked for."""

import json

from test_machines import terminate, wait_for_state

USER_DATA = """#cloud-config
hostname: story
write_files:
- path: /etc/motd
  content: "written by user data\\n"
runcmd:
- [sh, -c, "echo ran as $(id -un) > /var/tmp/ran"]
"""


def test_user_data_runs_on_debian(cloud, tmp_path):
    # Up once more, with what the first time left out: the cloud that runs is kept.
    before = cloud.karri("status", "--json")
    said = cloud.karri("up", *[word for word in cloud.options if word != "--no-debian"], "--debian", seconds=900)
    assert "log in as debian" in said
    pids = [[process["pid"] for process in json.loads(status)["processes"]] for status in (before, cloud.karri("status", "--json"))]
    assert pids[0] == pids[1]

    key = tmp_path / "debian.pem"
    made = json.loads(cloud.aws("ec2", "create-key-pair", "--key-name", "debian"))
    key.write_text(made["KeyMaterial"])
    key.chmod(0o600)
    # No group is named: the first account's default group lets ssh in.
    [launched] = cloud.ec2.run_instances(
        ImageId=cloud.image("debian-12"), InstanceType="t3.small", MinCount=1, MaxCount=1, KeyName="debian",
        UserData=USER_DATA, BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 9}}])["Instances"]
    try:
        [machine] = wait_for_state(cloud, [launched["InstanceId"]], "running")

        def guest(command):
            return cloud.ssh(key, machine["PublicIpAddress"], command, user="debian", seconds=420)

        assert json.loads(guest("cloud-init status --wait --format json"))["status"] == "done"
        assert guest("cat /etc/motd") == "written by user data\n"
        assert guest("cat /var/tmp/ran") == "ran as root\n"
        assert guest("hostname").strip() == "story"
        assert guest("sudo id -u").strip() == "0"
        assert int(guest("df --output=size -B1 / | tail -1")) > 8 << 30
    finally:
        terminate(cloud, [launched["InstanceId"]])
        cloud.ec2.delete_key_pair(KeyName="debian")
