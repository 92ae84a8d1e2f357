"""What a guest can send, sent by a guest: to its host, to other accounts, under other names. Each packet
that must not arrive has one beside it that does, by the same means."""

import json
import pathlib
import secrets
import socket
import struct
import subprocess
import threading
import time

import pytest
from test_machines import host_addresses, reaches, wait_for_state

PORT = 9000
GATEWAY = bytes.fromhex("020000000001")


def datagram(source, target, payload, port=PORT):
    """A UDP datagram over IPv4 (RFC 768, RFC 791), without UDP's optional checksum."""
    body = struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + body


def frame(source, payload, target=GATEWAY):
    return target + source + b"\x08\x00" + payload


def encapsulated(inner, vni):
    """What goes into a datagram to port 4789 (RFC 7348)."""
    return struct.pack("!BBHI", 0x08, 0, 0, vni << 8) + inner


class Guest:
    """A running guest with the probe in it."""

    def __init__(self, cloud, key, machine, probe):
        self.cloud, self.key = cloud, key
        self.id, self.address, self.public = machine["InstanceId"], machine["PrivateIpAddress"], machine["PublicIpAddress"]
        self.do("true", seconds=240)
        done = subprocess.run(
            [*self.ssh, "cat > /root/probe && chmod +x /root/probe"], input=probe.read_bytes(), capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        self.mac = bytes.fromhex(self.do("cat /sys/class/net/eth0/address").strip().replace(":", ""))
        self.heard = []

    @property
    def ssh(self):
        return ["ssh", "-i", str(self.key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", f"root@{self.public}"]

    def do(self, command, **more):
        return self.cloud.ssh(self.key, self.public, command, **more)

    def send(self, target, mark, source=None, mac=None, port=PORT, payload=None):
        """Sends a datagram three times: a lost one proves nothing."""
        packet = frame(mac or self.mac, datagram(source or self.address, target, payload or mark.encode(), port))
        self.do("; ".join([f"/root/probe send eth0 {packet.hex()}"] * 3))

    def hear(self):
        self.listener = subprocess.Popen([*self.ssh, f"/root/probe hear {PORT} 600"], stdout=subprocess.PIPE, text=True)
        assert self.listener.stdout.readline() == "hears\n"
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        for line in self.listener.stdout:
            self.heard.append(line.strip())

    def stop(self):
        self.listener.kill()
        self.listener.wait()


class Sniffer:
    """All that any link of the host's own namespace carries."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.settimeout(0.2)
        self.seen = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            try:
                packet, (link, *_) = self.socket.recvfrom(65536)
            except TimeoutError:
                continue
            if b"karri-probe-" in packet:
                self.seen.append((link, packet))

    def links(self, mark):
        return {link for link, packet in self.seen if mark.encode() in packet}

    def stop(self):
        self.over.set()
        self.thread.join()
        self.socket.close()


def opened(guest, targets):
    """Where of several targets a guest can open a connection, all tried at once."""
    tries = " ".join(f"(timeout 6 nc -w 5 {address} {port} </dev/null >/dev/null && echo {address} {port}) &"
                     for address, port in targets)
    said = guest.do(f"{tries} wait")
    return [(line.split()[0], int(line.split()[1])) for line in said.splitlines()]


def fresh():
    return f"karri-probe-{secrets.token_hex(8)}"


def arrives(heard, mark, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if any(mark in line for line in heard):
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    made = tmp_path_factory.mktemp("probe") / "probe"
    source = pathlib.Path(__file__).with_name("probe.c")
    subprocess.run(["gcc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", str(made), str(source)], check=True)
    return made


def launch(client, image, key, count):
    """Machines in a group that lets datagrams in from anywhere."""
    group = client.create_security_group(GroupName=f"isolation-{secrets.token_hex(3)}", Description="isolation")["GroupId"]
    client.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "udp", "FromPort": PORT, "ToPort": PORT, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    made = client.run_instances(
        ImageId=image, InstanceType="t2.nano", MinCount=count, MaxCount=count, KeyName=key, SecurityGroupIds=[group])
    return [instance["InstanceId"] for instance in made["Instances"]]


@pytest.fixture(scope="module")
def guests(cloud, key, probe):
    """Two of one account, and one of another, in ranges that are the same."""
    cloud.karri("account", "create", "stranger")
    made = json.loads((cloud.root / "etc/karri/credentials/stranger.json").read_text())
    stranger = cloud.client("ec2", made["accessKey"], made["secretKey"])
    public = subprocess.run(["ssh-keygen", "-y", "-f", str(key)], capture_output=True, check=True).stdout
    stranger.import_key_pair(KeyName="story", PublicKeyMaterial=public)
    theirs, ours = [], []
    try:
        ours = launch(cloud.ec2, cloud.starter, "story", 2)
        theirs = launch(stranger, cloud.starter, "story", 1)
        machines = wait_for_state(cloud, ours, "running")
        cloud.eventually(lambda: stranger.describe_instances(InstanceIds=theirs)["Reservations"][0]["Instances"][0]["State"]
                         ["Name"] == "running", seconds=120)
        machines += stranger.describe_instances(InstanceIds=theirs)["Reservations"][0]["Instances"]
        found = [Guest(cloud, key, machine, probe) for machine in machines]
        found[1].hear()
        found[2].hear()
        yield found
        found[1].stop()
        found[2].stop()
    finally:
        if theirs:
            stranger.terminate_instances(InstanceIds=theirs)
        if ours:
            cloud.ec2.terminate_instances(InstanceIds=ours)
            wait_for_state(cloud, ours, "terminated")


@pytest.fixture
def sniffer():
    sniffer = Sniffer()
    yield sniffer
    sniffer.stop()


def test_forged_sources_go_nowhere(guests, sniffer):
    one, other, _ = guests
    outside = "198.51.100.7"
    allowed, outward = fresh(), fresh()
    one.send(other.address, allowed)
    assert arrives(other.heard, f"{one.address} {allowed}"), "the probe does not work"
    one.send(outside, outward)
    time.sleep(1)
    assert sniffer.links(outward), "the sniffer does not work"

    neighbour = ".".join(one.address.split(".")[:3] + [str((int(one.address.split(".")[3]) + 7) % 250 + 3)])
    forgeries = [
        {"source": other.address}, {"source": neighbour}, {"source": outside}, {"source": one.public}, {"source": "127.0.0.1"},
        {"source": "169.254.169.254"}, {"source": "0.0.0.0"}, {"source": "255.255.255.255"}, {"mac": other.mac},
        {"mac": bytes.fromhex("020000000001")}, {"mac": bytes.fromhex("020000000101")}, {"mac": bytes.fromhex("525400123456")},
    ]
    marks = []
    for forgery in forgeries:
        for target in (other.address, outside):
            marks.append((fresh(), forgery, target))
            one.send(target, marks[-1][0], **forgery)
    # The last honest one came through, so those before it have had their time.
    last = fresh()
    one.send(other.address, last)
    assert arrives(other.heard, last)
    for mark, forgery, target in marks:
        assert not any(mark in line for line in other.heard), (forgery, target)
        assert not sniffer.links(mark), (forgery, target)


def test_another_account_is_not_reached(guests):
    one, other, stranger = guests
    # The same range, so the addresses alone keep nothing apart.
    assert one.address.rsplit(".", 2)[0] == stranger.address.rsplit(".", 2)[0]
    inner, outer = fresh(), fresh()
    one.send(stranger.address, inner)
    one.send(stranger.address, inner, mac=stranger.mac)
    one.do(f"/root/probe send eth0 {frame(one.mac, datagram(one.address, stranger.address, inner.encode()), stranger.mac).hex()}")
    assert not reaches(one.cloud, one.key, {"PublicIpAddress": one.public}, stranger.address, 22)
    # By its public address it is reached, as from anywhere.
    one.send(stranger.public, outer)
    assert arrives(stranger.heard, outer), "the listener does not work"
    assert not any(inner in line for line in stranger.heard)
    assert reaches(one.cloud, one.key, {"PublicIpAddress": one.public}, other.address, 22), "the probe does not work"


def test_the_host_is_not_reached(cloud, guests, sniffer):
    one, other, _ = guests
    gateway = one.do("ip route show default").split()[2]
    with socket.create_server(("0.0.0.0", 0)) as listener, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tunnel:
        datagrams.bind(("0.0.0.0", 0))
        tunnel.bind(("0.0.0.0", 4789))
        heard = []
        for hears in (datagrams, tunnel):
            hears.settimeout(0.2)
        # The listeners hear what the host says to itself.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loud:
            for hears in (datagrams, tunnel):
                loud.sendto(b"here", (host_addresses()[0], hears.getsockname()[1]))
                assert hears.recv(100) == b"here"
        mark = fresh()
        inner = frame(bytes.fromhex("020100000001"), datagram(other.address, one.address, mark.encode()), one.mac)
        # To the guest itself, 127.0.0.1 is the guest: only a frame that says it goes out.
        own = [*host_addresses(), gateway, "169.254.65.1", "169.254.65.2"]
        ports = (listener.getsockname()[1], cloud.port, 22)
        assert opened(one, [(other.address, 22)]) == [(other.address, 22)], "the probe does not work"
        assert opened(one, [(address, port) for address in own for port in ports]) == []
        for address in [*own, "127.0.0.1"]:
            one.send(address, mark, port=datagrams.getsockname()[1])
            for vni in (1, 2, 4096):
                one.send(address, mark, port=4789, payload=encapsulated(inner, vni))
            # Straight to the host's end of the way out.
            packet = frame(one.mac, datagram(one.address, address, mark.encode(), 4789), bytes.fromhex("020000000101"))
            one.do(f"/root/probe send eth0 {packet.hex()}")
        time.sleep(1)
        for hears in (datagrams, tunnel):
            try:
                heard.append(hears.recv(2000))
            except TimeoutError:
                pass
        assert heard == []
    # On no link but the guest's own way out, where it is dropped.
    names = {name for name in sniffer.links(mark)}
    assert all(name.startswith(f"{cloud.mark}d") for name in names), names
