"""Many uploads at once: what they bring goes on to the disk, and does not gather in memory."""

import os
import socket
import threading
import urllib.parse

import pytest

from objects.wire import tag_of

UPLOADS = 64
SIZE = 24 << 20
# With everything else that the process has there.
MEMORY_MAX = 256 << 20


def peak_of(process):
    """The most memory that a process has had since `forget_peak_of`, in bytes (proc(5), VmHWM)."""
    with open(f"/proc/{process.pid}/status") as status:
        [line] = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


def forget_peak_of(process):
    with open(f"/proc/{process.pid}/clear_refs", "w") as file:
        file.write("5")


def send(url, body, pause):
    """PUTs a body; waits for the others once some of it is under way."""
    parsed = urllib.parse.urlsplit(url)
    with socket.create_connection((parsed.hostname, parsed.port), timeout=120) as connection:
        connection.sendall(
            f"PUT {parsed.path}?{parsed.query} HTTP/1.1\r\nHost: {parsed.netloc}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
        # Less than is handed on at once, and more, so that both kinds wait in memory.
        connection.sendall(body[:2_600_000])
        pause.wait(120)
        connection.sendall(body[2_600_000:])
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize("how", [{}, {"ServerSideEncryption": "AES256"}], ids=["plain", "encrypted"])
def test_memory_stays_flat(alone, how):
    s3 = alone.client()
    s3.create_bucket(Bucket="first")
    if how:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket="first", ServerSideEncryptionConfiguration={"Rules": [rule]})
    body = os.urandom(SIZE)
    urls = [s3.generate_presigned_url("put_object", Params={"Bucket": "first", "Key": f"k{number}"}) for number in range(UPLOADS)]
    pause = threading.Barrier(UPLOADS)
    answers = [b""] * UPLOADS
    forget_peak_of(alone.process)

    def upload(number):
        answers[number] = send(urls[number], body, pause)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(UPLOADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peak = peak_of(alone.process)
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers), answers
    assert s3.head_object(Bucket="first", Key=f"k{UPLOADS - 1}")["ETag"] == tag_of(body)
    assert peak < MEMORY_MAX, f"{peak >> 20} MiB"
