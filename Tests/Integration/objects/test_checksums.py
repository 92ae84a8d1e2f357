"""Checksums in headers, trailers and documents, and bodies that come in chunks ("Checking object integrity
in Amazon S3", Amazon S3 User Guide; "Signature calculations ... transferring payload in multiple chunks")."""

import hashlib
import hmac
import os
import zlib

import pytest

from objects.wire import base64_of, read, refused, tag_of

BODY = b"checksummed" * 1000


def cyclic(polynomial, width):
    """A reflected cyclic check, as a function of bytes."""
    full = (1 << width) - 1
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        table.append(byte)

    def check(data):
        value = full
        for byte in data:
            value = value >> 8 ^ table[(value ^ byte) & 255]
        return (value ^ full).to_bytes(width // 8, "big")

    return check


CHECKS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": cyclic(0x82F63B78, 32),
    "CRC64NVME": cyclic(0x9A6C9329AC4BC9B5, 64),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
ALGORITHMS = pytest.mark.parametrize("name", CHECKS)


def sum_of(name, data):
    return base64_of(CHECKS[name](data))


def test_the_checks_of_this_file():
    """By the catalogue's check values, of the digits one to nine."""
    digits = b"123456789"
    assert CHECKS["CRC32"](digits).hex() == "cbf43926"
    assert CHECKS["CRC32C"](digits).hex() == "e3069283"
    assert CHECKS["CRC64NVME"](digits).hex() == "ae8b14860a799888"


@ALGORITHMS
@pytest.mark.parametrize("body", [b"", b"x", BODY], ids=["empty", "one", "many"])
def test_a_checksum_in_a_header(wire, bucket, name, body):
    header, right = f"x-amz-checksum-{name.lower()}", sum_of(name, body)
    put = wire.put(f"/{bucket}/k", body, headers={header: right})
    assert put.status == 200 and put.headers[header] == right and put.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    for answer in (wire.get(f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"}),
                   wire.head(f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})):
        assert answer.headers[header] == right and answer.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert header not in wire.head(f"/{bucket}/k").headers
    wrong = base64_of(bytes(len(CHECKS[name](b""))))
    if body:
        assert wire.put(f"/{bucket}/wrong", body, headers={header: wrong}).refusal == (400, "BadDigest")
    for malformed in ["AAAA", "not base64", ""]:
        assert wire.put(f"/{bucket}/wrong", body, headers={header: malformed}).refusal == (400, "InvalidRequest")
    assert wire.head(f"/{bucket}/wrong").status == 404


@ALGORITHMS
def test_a_checksum_in_a_trailer(wire, bucket, name):
    """STREAMING-UNSIGNED-PAYLOAD-TRAILER, as today's clients send."""
    header = f"x-amz-checksum-{name.lower()}"

    def put(checksum, announced=header, pieces=(BODY[:8192], BODY[8192:]), stated=len(BODY)):
        framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n"
        framed += f"{header}:{checksum}\r\n\r\n".encode()
        return wire.put(
            f"/{bucket}/k", framed, payload_hash="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            headers={"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": str(stated), "x-amz-trailer": announced})

    assert put(base64_of(bytes(len(CHECKS[name](b""))))).refusal == (400, "BadDigest")
    assert put(sum_of(name, BODY), announced="x-amz-checksum-other").refusal == (400, "InvalidRequest")
    assert put(sum_of(name, BODY), stated=len(BODY) + 1).refusal == (400, "IncompleteBody")
    assert wire.head(f"/{bucket}/k").status == 404
    done = put(sum_of(name, BODY))
    assert done.status == 200 and done.headers[header] == sum_of(name, BODY) and done.headers["etag"] == tag_of(BODY)
    got = wire.get(f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert got.body == BODY and got.headers[header] == sum_of(name, BODY) and "content-encoding" not in got.headers


class Chunks:
    """A body in chunks that are signed one after the other."""

    def __init__(self, wire, path, pieces, trailer=None):
        self.wire, self.path, self.pieces, self.trailer = wire, path, pieces, trailer
        self.form = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
        size = sum(len(piece) for piece in pieces)
        headers = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(size))]
        if trailer:
            headers.append(("x-amz-trailer", trailer[0]))
        self.headers = wire.signed("PUT", path, headers, b"", self.form)
        known = {name.lower(): value for name, value in self.headers}
        self.date, self.signature = known["x-amz-date"], known["authorization"].rpartition("Signature=")[2]
        self.scope = f"{self.date[:8]}/{wire.region}/s3/aws4_request"
        key = f"AWS4{wire.credentials.secret_key}".encode()
        for part in self.scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        self.key = key

    def sign(self, form, *hashes):
        text = "\n".join([form, self.date, self.scope, self.signature, *hashes])
        self.signature = hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()
        return self.signature

    def body(self):
        out, empty = [], hashlib.sha256(b"").hexdigest()
        for piece in [*self.pieces, b""]:
            if self.trailer and not piece:
                signature = self.sign("AWS4-HMAC-SHA256-PAYLOAD", empty, empty)
                out.append(f"0;chunk-signature={signature}\r\n".encode())
                line = f"{self.trailer[0]}:{self.trailer[1]}"
                signature = self.sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(f"{line}\n".encode()).hexdigest())
                out.append(f"{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode())
                continue
            signature = self.sign("AWS4-HMAC-SHA256-PAYLOAD", empty, hashlib.sha256(piece).hexdigest())
            out.append(f"{len(piece):x};chunk-signature={signature}\r\n".encode() + piece + b"\r\n")
        return b"".join(out)

    def send(self, body=None):
        return self.wire.send("PUT", self.path, headers=self.headers, body=body or self.body(), signed=False)


PIECES = [os.urandom(65_536), os.urandom(65_536), os.urandom(1000)]
WHOLE = b"".join(PIECES)


def test_signed_chunks(wire, bucket):
    done = Chunks(wire, f"/{bucket}/k", PIECES).send()
    assert done.status == 200 and done.headers["etag"] == tag_of(WHOLE)
    got = wire.get(f"/{bucket}/k")
    assert got.body == WHOLE and "content-encoding" not in got.headers
    assert Chunks(wire, f"/{bucket}/empty", []).send().status == 200 and wire.get(f"/{bucket}/empty").body == b""


@ALGORITHMS
def test_signed_chunks_with_a_trailer(wire, bucket, name):
    header = f"x-amz-checksum-{name.lower()}"
    done = Chunks(wire, f"/{bucket}/k", PIECES, (header, sum_of(name, WHOLE))).send()
    assert done.status == 200 and done.headers[header] == sum_of(name, WHOLE)
    wrong = Chunks(wire, f"/{bucket}/wrong", PIECES, (header, sum_of(name, b""))).send()
    assert wrong.refusal == (400, "BadDigest")


DAMAGES = [
    ("a byte of the second chunk", lambda body: body[:70_000] + bytes([body[70_000] ^ 1]) + body[70_001:], (403, "SignatureDoesNotMatch")),
    ("the first chunk's signature", lambda body: body.replace(b"chunk-signature=", b"chunk-signature=0", 1), (403, "SignatureDoesNotMatch")),
    ("no signature", lambda body: body.replace(b";chunk-signature=", b";", 1), (400, "InvalidRequest")),
    ("the last chunk is missing", lambda body: body[:body.rindex(b"0;chunk-signature")], (400, "IncompleteBody")),
    ("a chunk is missing", lambda body: body[body.index(b"\r\n10000;") + 2:], (403, "SignatureDoesNotMatch")),
    ("a length that is none", lambda body: b"xyz" + body[5:], (400, "InvalidRequest")),
]


@pytest.mark.parametrize("damage, refusal", [case[1:] for case in DAMAGES], ids=[case[0] for case in DAMAGES])
def test_damaged_chunks(wire, bucket, damage, refusal):
    chunks = Chunks(wire, f"/{bucket}/k", PIECES)
    assert chunks.send(damage(chunks.body())).refusal == refusal
    assert wire.head(f"/{bucket}/k").status == 404


def test_a_trailer_that_was_changed(wire, bucket):
    chunks = Chunks(wire, f"/{bucket}/k", PIECES, ("x-amz-checksum-crc32", sum_of("CRC32", WHOLE)))
    body = chunks.body()
    place = body.index(b"x-amz-trailer-signature:") + 30
    other = b"0" if body[place:place + 1] != b"0" else b"1"
    assert chunks.send(body[:place] + other + body[place + 1:]).refusal == (403, "SignatureDoesNotMatch")


def test_a_trailer_that_does_not_come(wire, bucket):
    answer = wire.put(
        f"/{bucket}/k", b"4\r\nbody\r\n0\r\n\r\n", payload_hash="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        headers={"x-amz-decoded-content-length": "4", "x-amz-trailer": "x-amz-checksum-crc32"})
    assert answer.refusal == (400, "MalformedTrailerError")


def test_chunks_need_their_length(wire, bucket):
    answer = wire.put(
        f"/{bucket}/k", b"4\r\nbody\r\n0\r\n\r\n", payload_hash="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        headers={"x-amz-trailer": "x-amz-checksum-crc32"})
    assert answer.refusal == (411, "MissingContentLength")
    answer = wire.send(
        "PUT", f"/{bucket}/k", chunks=[b"4\r\nbody\r\n0\r\n\r\n"], payload_hash="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        headers={"x-amz-trailer": "x-amz-checksum-crc32"})
    assert answer.refusal == (411, "MissingContentLength")


def test_the_payloads_hash(wire, bucket):
    """x-amz-content-sha256: what it says, UNSIGNED-PAYLOAD, and what is neither."""
    assert wire.put(f"/{bucket}/k", b"a").status == 200
    assert wire.put(f"/{bucket}/k", b"b", payload_hash="UNSIGNED-PAYLOAD").status == 200
    assert wire.put(f"/{bucket}/k", b"c", payload_hash=hashlib.sha256(b"d").hexdigest()).refusal == (
        400, "XAmzContentSHA256Mismatch")
    assert wire.put(f"/{bucket}/k", b"e", payload_hash="something").refusal == (400, "InvalidArgument")
    assert wire.get(f"/{bucket}/k").body == b"b"


def test_two_checksums_are_one_too_many(wire, bucket):
    headers = {"x-amz-checksum-crc32": sum_of("CRC32", b"x"), "x-amz-checksum-sha1": sum_of("SHA1", b"x")}
    assert wire.put(f"/{bucket}/k", b"x", headers=headers).refusal == (400, "InvalidRequest")
    # The algorithm that is named is the one that is given.
    headers = {"x-amz-sdk-checksum-algorithm": "SHA256", "x-amz-checksum-crc32": sum_of("CRC32", b"x")}
    assert wire.put(f"/{bucket}/k", b"x", headers=headers).refusal == (400, "InvalidRequest")


def test_an_object_without_a_checksum_gets_one(wire, bucket):
    """CRC64NVME, which S3 makes where the client gives none ("Default integrity protections")."""
    put = wire.put(f"/{bucket}/k", BODY)
    assert put.headers["x-amz-checksum-crc64nvme"] == sum_of("CRC64NVME", BODY)
    head = wire.head(f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert head.headers["x-amz-checksum-crc64nvme"] == sum_of("CRC64NVME", BODY)
    assert head.headers["x-amz-checksum-type"] == "FULL_OBJECT"


def test_no_checksum_of_a_part_of_the_body(wire, bucket):
    wire.put(f"/{bucket}/k", BODY, headers={"x-amz-checksum-crc32": sum_of("CRC32", BODY)})
    got = wire.get(f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED", "Range": "bytes=0-9"})
    assert got.status == 206 and not [name for name in got.headers if name.startswith("x-amz-checksum-")]


@ALGORITHMS
def test_listings_tell_the_algorithm(wire, bucket, name):
    wire.put(f"/{bucket}/k", BODY, headers={f"x-amz-checksum-{name.lower()}": sum_of(name, BODY)})
    for query, path in [("", "Contents"), ("list-type=2", "Contents"), ("versions", "Version")]:
        answer = wire.get(f"/{bucket}", query=query)
        assert (answer.text(f"{path}/ChecksumAlgorithm"), answer.text(f"{path}/ChecksumType")) == (name, "FULL_OBJECT")


def upload_parts(wire, bucket, name, type, bodies, say_type=True):
    """Uploads bodies as parts with checksums; returns the answer and what completes it."""
    headers = {"x-amz-checksum-algorithm": name}
    if say_type:
        headers["x-amz-checksum-type"] = type
    begun = wire.post(f"/{bucket}/k", query="uploads", headers=headers)
    assert begun.headers["x-amz-checksum-algorithm"] == name and begun.headers["x-amz-checksum-type"] == type
    upload = begun.text("UploadId")
    parts = ""
    for number, body in enumerate(bodies, 1):
        made = wire.put(
            f"/{bucket}/k", body, query=f"partNumber={number}&uploadId={upload}",
            headers={f"x-amz-checksum-{name.lower()}": sum_of(name, body)})
        assert made.headers[f"x-amz-checksum-{name.lower()}"] == sum_of(name, body)
        parts += (
            f"<Part><PartNumber>{number}</PartNumber><ETag>{made.headers['etag']}</ETag>"
            f"<Checksum{name}>{sum_of(name, body)}</Checksum{name}></Part>")
    return upload, f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"


LARGE = [os.urandom(5 << 20), b"the end"]
TYPES = [
    ("CRC32", "COMPOSITE"), ("CRC32C", "COMPOSITE"), ("SHA1", "COMPOSITE"), ("SHA256", "COMPOSITE"),
    ("CRC32", "FULL_OBJECT"), ("CRC32C", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT")]


@pytest.mark.parametrize("name, type", TYPES)
def test_checksums_of_parts(wire, bucket, name, type):
    bodies = [os.urandom(1000)] if name in ("CRC32C", "CRC64NVME") else LARGE
    upload, document = upload_parts(wire, bucket, name, type, bodies)
    if type == "COMPOSITE":
        expected = base64_of(CHECKS[name](b"".join(CHECKS[name](body) for body in bodies))) + f"-{len(bodies)}"
    else:
        expected = sum_of(name, b"".join(bodies))
    listed = wire.get(f"/{bucket}/k", query=f"uploadId={upload}")
    assert (listed.text("ChecksumAlgorithm"), listed.text("ChecksumType")) == (name, type)
    assert listed.texts(f"Part/Checksum{name}") == [sum_of(name, body) for body in bodies]
    [shown] = wire.get(f"/{bucket}", query="uploads").document.findall("Upload")
    assert (shown.findtext("ChecksumAlgorithm"), shown.findtext("ChecksumType")) == (name, type)
    # What the client believes of the whole is compared.
    header = f"x-amz-checksum-{name.lower()}"
    wrong = base64_of(bytes(len(CHECKS[name](b"")))) + ("-1" if type == "COMPOSITE" else "")
    said = {header: wrong, "x-amz-checksum-type": type}
    assert wire.post(f"/{bucket}/k", document, query=f"uploadId={upload}", headers=said).refusal == (400, "BadDigest")
    done = wire.post(
        f"/{bucket}/k", document, query=f"uploadId={upload}", headers={header: expected, "x-amz-checksum-type": type})
    assert done.status == 200 and (done.text(f"Checksum{name}"), done.text("ChecksumType")) == (expected, type)
    head = wire.head(f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"})
    assert (head.headers[header], head.headers["x-amz-checksum-type"]) == (expected, type)
    # Of a part, its own.
    for number, body in enumerate(bodies, 1):
        for read in (wire.head, wire.get):
            part = read(f"/{bucket}/k", query=f"partNumber={number}", headers={"x-amz-checksum-mode": "ENABLED"})
            assert (part.headers[header], part.headers["x-amz-checksum-type"]) == (sum_of(name, body), type)
        assert part.body == body and header not in wire.head(f"/{bucket}/k", query=f"partNumber={number}").headers


def test_checksums_of_parts_that_are_joined(wire, bucket):
    """A whole's cyclic check is made of its parts' without reading them: several parts of odd lengths."""
    bodies = [os.urandom((5 << 20) + 1), os.urandom((5 << 20) + 12_345), b"end"]
    upload, document = upload_parts(wire, bucket, "CRC32", "FULL_OBJECT", bodies)
    done = wire.post(f"/{bucket}/k", document, query=f"uploadId={upload}")
    assert done.text("ChecksumCRC32") == sum_of("CRC32", b"".join(bodies))


@pytest.mark.parametrize("name, type", [
    ("CRC32", "COMPOSITE"), ("CRC32C", "COMPOSITE"), ("SHA1", "COMPOSITE"), ("SHA256", "COMPOSITE"),
    ("CRC64NVME", "FULL_OBJECT")])
def test_the_type_that_nobody_said(wire, bucket, name, type):
    upload_parts(wire, bucket, name, type, [], say_type=False)


@pytest.mark.parametrize("headers", [
    {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-type": "FULL_OBJECT"},
    {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"},
    {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
    {"x-amz-checksum-algorithm": "MD4"}, {"x-amz-checksum-type": "COMPOSITE"},
    {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "HALF"}])
def test_types_that_there_are_not(wire, bucket, headers):
    assert wire.post(f"/{bucket}/k", query="uploads", headers=headers).refusal == (400, "InvalidRequest")


def test_parts_with_another_checksum(wire, bucket):
    upload = wire.post(
        f"/{bucket}/k", query="uploads", headers={"x-amz-checksum-algorithm": "CRC32"}).text("UploadId")
    answer = wire.put(
        f"/{bucket}/k", b"x", query=f"partNumber=1&uploadId={upload}", headers={"x-amz-checksum-sha1": sum_of("SHA1", b"x")})
    assert answer.refusal == (400, "InvalidRequest")


def test_completing_with_wrong_checksums_of_parts(wire, bucket):
    upload, document = upload_parts(wire, bucket, "SHA1", "COMPOSITE", [b"one"])
    wrong = document.replace(sum_of("SHA1", b"one"), sum_of("SHA1", b"two"))
    assert wire.post(f"/{bucket}/k", wrong, query=f"uploadId={upload}").refusal == (400, "InvalidPart")
    assert wire.post(f"/{bucket}/k", document, query=f"uploadId={upload}",
        headers={"x-amz-checksum-type": "FULL_OBJECT"}).refusal == (
        400, "InvalidRequest")
    assert wire.post(f"/{bucket}/k", document, query=f"uploadId={upload}").status == 200


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_as_clients_do_it(s3, bucket, algorithm):
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm=algorithm)
    assert put[f"Checksum{algorithm}"] == sum_of(algorithm, BODY)
    # The client compares by itself what it reads.
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == BODY and got[f"Checksum{algorithm}"] == sum_of(algorithm, BODY)
    wrong = {f"Checksum{algorithm}": sum_of(algorithm, b"other")}
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=BODY, **wrong) == (400, "BadDigest")
    assert read(s3, bucket, "k") == BODY


@ALGORITHMS
def test_checksums_of_documents(wire, bucket, name):
    """Of the settings of buckets and objects too."""
    document = b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    header = f"x-amz-checksum-{name.lower()}"
    assert wire.put(f"/{bucket}", document, query="tagging", headers={header: sum_of(name, b"other")}).refusal == (
        400, "BadDigest")
    assert wire.get(f"/{bucket}", query="tagging").refusal == (404, "NoSuchTagSet")
    assert wire.put(f"/{bucket}", document, query="tagging", headers={header: sum_of(name, document)}).status == 200
