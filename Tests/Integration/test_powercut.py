"""The power fails at random instants: what was acknowledged by then is in the store, and the store and
the pool are whole."""

import concurrent.futures
import hashlib
import shutil
import sqlite3
import time

import clouds
import ending
from test_machines import wait_for_state
from test_simulated import any_image

# An instance's id is stored as a signed number of 64 bits.
def stored(identifier):
    return int.from_bytes(bytes.fromhex(identifier.removeprefix("i-0")), "big", signed=True)


def invariants():
    """The queries of Store's invariants, each with its complaint, as they stand in the program's source."""
    text = (clouds.ROOT / "Sources/Foundation/Store/Invariants.swift").read_text()
    found = []
    for piece in text.split("Rule(\n")[1:]:
        complaint, rest = piece.split('"', 2)[1:]
        query = rest.split('"""', 2)[1] if '"""' in rest.split("Rule(")[0] else rest.split('"', 2)[1]
        if "\\(" not in query:
            found.append((complaint, query))
    assert len(found) > 20
    return found


def check_store(root, acknowledged, ended):
    """Whether a cut's store is whole, and has what was acknowledged before."""
    store = sqlite3.connect(root / "var/lib/karri/store/karri.db")
    try:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
        for complaint, query in invariants():
            assert store.execute(query).fetchall() == [], complaint
        rows = dict(store.execute("SELECT id, desired FROM instance"))
        for identifier in acknowledged:
            assert stored(identifier) in rows, f"{identifier} was acknowledged and is gone"
        for identifier in ended:
            assert rows[stored(identifier)] == "absent", f"{identifier} was terminated and is not"
        return len(rows)
    finally:
        store.close()


def test_power_cuts_while_simulated_machines_come_and_go(disk):
    random = ending.dice()
    for cloud in clouds.run_cloud(disk.above, "--simulate", "5"):
        load = ending.Load(cloud, random, ImageId=any_image(cloud), InstanceType="t3.nano")

        def work(is_over):
            number = 0
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                while not is_over():
                    pool.map(lambda n: load.launch_and_perhaps_end(n, (0, 0.1)), range(number, number + 20))
                    number += 20
                    time.sleep(0.5)

        cuts = disk.cuts_while(random, 10, load.acknowledged_and_ended, work)
        load.end(load.alive)
        load.wait_until_settled(60)
    counts = [disk.look(copy, lambda root: check_store(root, acknowledged, ended)) for copy, (acknowledged, ended) in cuts]
    print("machines in each cut:", counts)
    # The instants differ, and there was something to lose.
    assert len(set(counts)) > 1 and cuts[-1][1][0] and any(ended for _, (_, ended) in cuts)


def test_a_power_cut_under_real_machines(disk):
    """The host itself loses its power: a cloud starts on what its disk held at that instant."""
    random = ending.dice()
    key = disk.folder / "key.pem"
    for cloud in clouds.run_cloud(disk.above):
        image = cloud.image("starter")
        key.write_text(cloud.ec2.create_key_pair(KeyName="cut", KeyType="ed25519")["KeyMaterial"])
        key.chmod(0o600)
        group = cloud.ec2.create_security_group(GroupName="cut", Description="ssh")["GroupId"]
        cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
        load = ending.Load(
            cloud, random, ImageId=image, InstanceType="t2.nano", KeyName="cut", SecurityGroupIds=[group])
        elder = load.launch(0)
        load.wait_until_settled(60)
        [machine] = cloud.instances([elder])
        cloud.ssh(key, machine["PublicIpAddress"], "echo kept > /root/kept; sync", seconds=240)

        def work(enough):
            # One after another, so that the cuts fall into the making of disks, and the last ones into the boots.
            for number in range(1, 4):
                load.launch(number)
                time.sleep(random.uniform(0, 1))
            while not enough():
                time.sleep(0.1)

        copy, (acknowledged, _) = random.choice(disk.cuts_while(random, 4, load.acknowledged_and_ended, work))
        ending.switch_off(cloud)
        disk.unmount(disk.above)
        disk.mount(copy, disk.above)
        shutil.rmtree(cloud.root / "run")
        ending.have_booted(cloud)
        cloud.up()
        kept = ending.Load(cloud, random)
        assert set(acknowledged) <= set(kept.states())
        wait_for_state(cloud, acknowledged, "running", seconds=180)
        assert cloud.ssh(key, machine["PublicIpAddress"], "cat /root/kept", seconds=240) == "kept\n"
        for each in cloud.instances(acknowledged):
            assert cloud.ssh(key, each["PublicIpAddress"], "echo here", seconds=240) == "here\n"
        ending.check(cloud)
        # The images are what their names say.
        images = cloud.root / "var/lib/karri/pool/images"
        for path in images.iterdir():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name.split(".")[0]
