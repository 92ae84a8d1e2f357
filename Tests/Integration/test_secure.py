"""The API over TLS: certificates of the cloud's own, of the operator's, and their renewal, seen by
boto3, the aws command and openssl."""

import os
import socket
import ssl
import subprocess
import time

import botocore.config
import botocore.exceptions
import boto3
import pytest

from clouds import Cloud


def openssl(folder, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_pair(folder, name, *, host="cloud.test", days=30):
    """A self-signed certificate with its key; returns their paths."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key),
            "-out", str(certificate), "-subj", "/CN=ignored", "-addext", f"subjectAltName=DNS:{host},IP:127.0.0.1",
            "-days", str(days))
    key.chmod(0o600)
    return certificate, key


def served(port):
    """The certificate that the listener shows now, in PEM."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10)


def client(cloud, verify):
    return boto3.client(
        "ec2", endpoint_url=f"https://127.0.0.1:{cloud.port}", region_name=cloud.region, verify=str(verify),
        aws_access_key_id=cloud.key, aws_secret_access_key=cloud.secret,
        config=botocore.config.Config(retries={"max_attempts": 1}, read_timeout=60))


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A simulated cloud that listens on every address, with a certificate of its own."""
    cloud = Cloud(tmp_path_factory.mktemp("secure"), "--simulate", "1", "--address", "0.0.0.0")
    try:
        cloud.said = cloud.up()
        cloud.sign_in()
        yield cloud
    finally:
        cloud.uninstall()


def test_clients_trust_the_clouds_own_authority_when_told_of_it(secure):
    authority = secure.root / "var/lib/karri/ca.pem"
    assert f"AWS_CA_BUNDLE={authority}" in secure.said
    assert client(secure, authority).describe_regions()["Regions"][0]["RegionName"] == secure.region
    with pytest.raises(botocore.exceptions.SSLError):
        client(secure, make_pair(secure.root, "stranger")[0]).describe_regions()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(secure.root), "AWS_ACCESS_KEY_ID": secure.key,
        "AWS_SECRET_ACCESS_KEY": secure.secret, "AWS_DEFAULT_REGION": secure.region, "AWS_PAGER": "",
        "AWS_CA_BUNDLE": str(authority),
    }
    done = subprocess.run(
        ["aws", "--endpoint-url", f"https://127.0.0.1:{secure.port}", "sts", "get-caller-identity"], capture_output=True,
        text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    # What `karri credentials` prints is enough for a client that knows nothing else.
    for line in secure.karri("credentials").splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            environment[name] = value
    done = subprocess.run(["aws", "ec2", "describe-regions"], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr


def test_only_modern_protocols_are_spoken(secure):
    for version, spoken in [(ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        # Else the client itself would refuse the old version.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        with socket.create_connection(("127.0.0.1", secure.port), timeout=10) as connection:
            if spoken:
                with context.wrap_socket(connection) as channel:
                    assert channel.version() == version.name.replace("TLSv1_", "TLSv1.")
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    context.wrap_socket(connection)


def test_no_cipher_without_forward_secrecy_is_spoken(secure):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA:AES128-SHA:AES128-GCM-SHA256:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", secure.port), timeout=10) as connection:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(connection)


def test_plain_http_gets_no_answer_on_the_secure_port(secure):
    with socket.create_connection(("127.0.0.1", secure.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            assert not connection.recv(100).startswith(b"HTTP/")
        except ConnectionError:
            pass
    # And it disturbs nobody.
    assert client(secure, secure.root / "var/lib/karri/ca.pem").describe_regions()


def test_the_operators_certificate_is_served_and_followed_without_a_restart(secure):
    certificate, key = make_pair(secure.root, "first")
    before = secure.karri("status", "--json")
    secure.karri("up", *secure.options, "--tls-certificate", str(certificate), "--tls-key", str(key), "--endpoint-name",
                 "cloud.test", seconds=600)
    assert served(secure.port) == certificate.read_text()
    assert client(secure, certificate).describe_regions()
    assert "https://cloud.test:" in secure.karri("status") and "https://cloud.test:" not in before
    pid = [line for line in secure.karri("status").splitlines() if line.split()[:1] == ["control"]]

    # A call that is under way on an old connection, and a half-renewed pair, lose nothing.
    old = client(secure, certificate)
    assert old.describe_regions()
    fresh, fresh_key = make_pair(secure.root, "second")
    certificate.write_bytes(fresh.read_bytes())
    time.sleep(6)
    assert served(secure.port) != fresh.read_text()
    key.write_bytes(fresh_key.read_bytes())
    secure.eventually(lambda: served(secure.port) == fresh.read_text(), seconds=30)
    assert old.describe_regions()
    assert client(secure, fresh).describe_regions()
    now = [line for line in secure.karri("status").splitlines() if line.split()[:1] == ["control"]]
    assert now[0].split()[:4] == pid[0].split()[:4]

    # Back to the cloud's own, which is the one that clients trust already.
    secure.karri("up", *secure.options, "--tls", "own", seconds=600)
    assert client(secure, secure.root / "var/lib/karri/ca.pem").describe_regions()


@pytest.mark.parametrize("spoil, words", [
    (lambda certificate, key: certificate.unlink(), "cannot be read: No such file"),
    (lambda certificate, key: key.unlink(), "cannot be read: No such file"),
    (lambda certificate, key: key.write_text("nothing"), "holds no private key"),
    (lambda certificate, key: certificate.write_text(key.read_text()), "holds no certificate"),
    (lambda certificate, key: key.write_bytes(make_pair(key.parent, "other")[1].read_bytes()), "is not the key of the first"),
    (lambda certificate, key: make_pair(key.parent, "pair", host="elsewhere.test"), "clients would reach the API as cloud.test"),
    (lambda certificate, key: os.truncate(certificate, 300), "is not a PEM file"),
], ids=["no certificate", "no key", "no key in the file", "a key for a certificate", "another's key", "another name", "cut"])
def test_a_pair_that_cannot_serve_is_refused_before_anything_starts(tmp_path, spoil, words):
    cloud = Cloud(tmp_path, "--simulate", "1", "--address", "0.0.0.0", "--endpoint-name", "cloud.test", "--tls-certificate",
                  str(tmp_path / "pair.crt"), "--tls-key", str(tmp_path / "pair.key"))
    spoil(*make_pair(tmp_path, "pair"))
    said = cloud.karri("up", *cloud.options, check=False, seconds=120)
    assert words in said, said
    assert not (cloud.root / "etc").exists() and not (cloud.root / "var").exists()


def test_an_address_of_another_host_is_refused(tmp_path):
    cloud = Cloud(tmp_path, "--simulate", "1", "--address", "192.0.2.1")
    said = cloud.karri("up", *cloud.options, check=False, seconds=120)
    assert "192.0.2.1 is not an address of this host" in said
    assert not (cloud.root / "etc").exists()
