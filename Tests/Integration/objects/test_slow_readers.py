"""Readers that are slow: the object that they have begun to read comes to its end, though it is replaced or
removed meanwhile, and the room that it takes is free once they have it."""

import contextlib
import os
import socket
import urllib.parse

import pytest

from objects.wire import eventually

PART = 6 << 20
# More than lies between the two sides on its way.
PARTS = 4


@contextlib.contextmanager
def a_slow_reader(url):
    """A GET that has been answered, and of whose body little has been read: what reads the rest of it."""
    parsed = urllib.parse.urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.settimeout(60)
        connection.connect((parsed.hostname, parsed.port))
        connection.sendall(f"GET {parsed.path}?{parsed.query} HTTP/1.1\r\nHost: {parsed.netloc}\r\nConnection: close\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got or len(got) < 100_000:
            got += connection.recv(65536)
        head, _, got = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")

        def rest():
            pieces = [got]
            while piece := connection.recv(1 << 20):
                pieces.append(piece)
            return b"".join(pieces)

        yield rest


def files(store):
    """The files of bodies, which large parts have each of its own."""
    return [path for path in (store.root / "var/lib/karri/objects").glob("shard-*/bodies/*/*") if path.is_file()]


def upload(s3, key, parts, **how):
    made = s3.create_multipart_upload(Bucket="first", Key=key, **how)["UploadId"]
    tags = [
        s3.upload_part(Bucket="first", Key=key, UploadId=made, PartNumber=number, Body=part)["ETag"]
        for number, part in enumerate(parts, 1)]
    s3.complete_multipart_upload(
        Bucket="first", Key=key, UploadId=made,
        MultipartUpload={"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]})


@pytest.mark.parametrize("how", [{}, {"ServerSideEncryption": "AES256"}], ids=["plain", "encrypted"])
@pytest.mark.parametrize("fate", ["replaced", "removed", "gone with its bucket"])
def test_an_object_of_parts_is_read_to_its_end(alone, how, fate):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    # The last part is a small one, which lies elsewhere.
    parts = [os.urandom(PART) for _ in range(PARTS)] + [os.urandom(20_000)]
    upload(s3, "k", parts, **how)
    held = set(files(alone))
    assert len(held) == PARTS
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "first", "Key": "k"})
    with a_slow_reader(url) as rest:
        if fate == "replaced":
            upload(s3, "k", [b"new"], **how)
        else:
            s3.delete_object(Bucket="first", Key="k")
        if fate == "gone with its bucket":
            s3.delete_bucket(Bucket="first")
            s3.create_bucket(Bucket="first")
        # Garbage that nobody reads shows that there has been time for it.
        s3.put_object(Bucket="first", Key="other", Body=os.urandom(3_000_000))
        [other] = set(files(alone)) - held
        s3.delete_object(Bucket="first", Key="other")
        eventually(lambda: not other.exists())
        assert set(files(alone)) == held
        assert rest() == b"".join(parts)
    eventually(lambda: not files(alone))
    if fate == "replaced":
        assert s3.get_object(Bucket="first", Key="k")["Body"].read() == b"new"


@pytest.mark.parametrize("how", [{}, {"ServerSideEncryption": "AES256"}], ids=["plain", "encrypted"])
def test_an_object_in_one_file_is_read_to_its_end(alone, how):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    body = os.urandom(PART * PARTS)
    s3.put_object(Bucket="first", Key="k", Body=body, **how)
    with a_slow_reader(s3.generate_presigned_url("get_object", Params={"Bucket": "first", "Key": "k"})) as rest:
        s3.delete_object(Bucket="first", Key="k")
        # An open file needs no name.
        eventually(lambda: not files(alone))
        assert rest() == body


def test_a_reader_that_goes_away_keeps_nothing(alone):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    upload(s3, "k", [os.urandom(PART) for _ in range(PARTS)])
    with a_slow_reader(s3.generate_presigned_url("get_object", Params={"Bucket": "first", "Key": "k"})):
        s3.delete_object(Bucket="first", Key="k")
    eventually(lambda: not files(alone))


@pytest.mark.parametrize("how", [{}, {"ServerSideEncryption": "AES256"}], ids=["plain", "encrypted"])
def test_ranges_over_parts(alone, how):
    """What is read of several parts is joined where they meet."""
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    parts = [os.urandom(5 << 20), os.urandom((5 << 20) + 7), os.urandom(100_001)]
    body = b"".join(parts)
    upload(s3, "k", parts, **how)
    first, second = len(parts[0]), len(parts[0]) + len(parts[1])
    for start, end in [
        (0, 1), (0, first), (first - 1, first + 1), (first, second), (first - 70_000, second + 70_000), (first + 65_536, second + 1),
        (second - 1, len(body)), (len(body) - 1, len(body)), (1, len(body)), (0, len(body)),
    ]:
        got = s3.get_object(Bucket="first", Key="k", Range=f"bytes={start}-{end - 1}")["Body"].read()
        assert got == body[start:end], (start, end)
