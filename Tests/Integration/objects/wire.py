"""What the suite says to the store beside boto3: requests spelled byte for byte, signed or not, and the
answers with their codes, headers and documents."""

import base64
import contextlib
import datetime
import hashlib
import http.client
import os
import time
import urllib.parse
import xml.etree.ElementTree

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import pytest


class Answer:
    """A response, whole."""

    def __init__(self, response):
        self.status = response.status
        self.fields = response.getheaders()
        self.headers = {name.lower(): value for name, value in self.fields}
        self.body = response.read()

    @property
    def document(self):
        """The body's root element, names without their namespace."""
        root = xml.etree.ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    @property
    def code(self):
        return self.document.findtext("Code") if self.body.startswith(b"<") else None

    @property
    def refusal(self):
        """Status and code, as `refused` gives them."""
        return self.status, self.code

    def text(self, path):
        return self.document.findtext(path)

    def texts(self, path):
        return [found.text or "" for found in self.document.findall(path)]

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]!r}"


class Signer(botocore.auth.S3SigV4Auth):
    """Version 4 in headers, with another payload hash or at another time where a test wants one."""

    def __init__(self, credentials, region, payload_hash=None, skew=0):
        super().__init__(credentials, "s3", region)
        self.payload_hash, self.skew = payload_hash, skew

    def payload(self, request):
        return self.payload_hash or hashlib.sha256(request.body or b"").hexdigest()

    def _modify_request_before_signing(self, request):
        moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.skew)
        request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
        super()._modify_request_before_signing(request)


class Wire:
    """A connection's worth of one caller's requests. Without credentials nothing is signed."""

    def __init__(self, port, region, key=None, secret=None):
        self.port, self.region = port, region
        self.credentials = key and botocore.credentials.Credentials(key, secret)

    def send(
        self, method, path, headers=None, body=b"", query="", signed=True, payload_hash=None, skew=0, chunks=None,
        changed=None, length=True,
    ):
        """Sends a request and returns its answer.

        path and query are spelled as they go over the wire; headers may be pairs. `changed` replaces
        headers after the signature is made (None takes one off); `chunks` is a body sent with
        Transfer-Encoding: chunked; without `length` no Content-Length is sent.
        """
        target = path + (f"?{query}" if query else "")
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
        body = body.encode() if isinstance(body, str) else body
        if signed and self.credentials:
            pairs = self.signed(method, target, pairs, body, payload_hash, skew)
        for name, value in (changed or {}).items():
            pairs = [pair for pair in pairs if pair[0].lower() != name.lower()] + ([(name, value)] if value is not None else [])
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        with contextlib.closing(connection):
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            names = {name.lower() for name, _ in pairs}
            if "host" not in names:
                connection.putheader("Host", f"127.0.0.1:{self.port}")
            for name, value in pairs:
                connection.putheader(name, value.encode() if isinstance(value, str) else value)
            if chunks is not None:
                connection.putheader("Transfer-Encoding", "chunked")
            elif length and "content-length" not in names and (body or method in ("PUT", "POST")):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if chunks is not None:
                    for chunk in chunks:
                        connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    connection.send(b"0\r\n\r\n")
                elif body:
                    connection.send(body)
            return Answer(connection.getresponse())

    def signed(self, method, target, pairs, body, payload_hash=None, skew=0):
        host = dict((name.lower(), value) for name, value in pairs).get("host", f"127.0.0.1:{self.port}")
        request = botocore.awsrequest.AWSRequest(method, f"http://{host}{target}", data=body)
        for name, value in pairs:
            request.headers[name] = value
        Signer(self.credentials, self.region, payload_hash, skew).add_auth(request)
        return [(name, value) for name, value in request.headers.items()]

    def get(self, path, **more):
        return self.send("GET", path, **more)

    def put(self, path, body=b"", **more):
        return self.send("PUT", path, body=body, **more)

    def head(self, path, **more):
        return self.send("HEAD", path, **more)

    def post(self, path, body=b"", **more):
        return self.send("POST", path, body=body, **more)

    def delete(self, path, **more):
        return self.send("DELETE", path, **more)


def eventually(check, seconds=30, else_told=lambda: "in vain"):
    """What a check gives once that is something."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, else_told()
        time.sleep(0.1)
    return found


def refused(call, **arguments):
    """Status and code of a call that is refused."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def fields(answer):
    """The headers of a boto answer."""
    return answer["ResponseMetadata"]["HTTPHeaders"]


def quoted(key):
    return urllib.parse.quote(key, safe="/~")


def base64_of(data):
    return base64.b64encode(data).decode()


def md5_of(data):
    return base64_of(hashlib.md5(data).digest())


def tag_of(data):
    """The entity tag of a body that came whole."""
    return f'"{hashlib.md5(data).hexdigest()}"'


def tag_of_parts(*bodies):
    """The entity tag of a body that came in parts."""
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(bodies)}"'


def new_name(beginning="b"):
    return f"{beginning}-{os.urandom(6).hex()}"


def empty_bucket(s3, name):
    """Takes everything out of a bucket: uploads, locked versions, delete markers."""
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    while True:
        page = s3.list_object_versions(Bucket=name)
        found = [
            {"Key": version["Key"], "VersionId": version["VersionId"]}
            for version in page.get("Versions", []) + page.get("DeleteMarkers", [])]
        if not found:
            return
        try:
            left = s3.delete_objects(
                Bucket=name, Delete={"Objects": found, "Quiet": True}, BypassGovernanceRetention=True).get("Errors", [])
        except botocore.exceptions.ClientError:
            # A key that no document can carry.
            left = found
        for error in left:
            named = dict(Bucket=name, Key=error["Key"], VersionId=error["VersionId"])
            with contextlib.suppress(botocore.exceptions.ClientError):
                s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
            s3.delete_object(**named, BypassGovernanceRetention=True)


def remove_bucket(s3, name):
    with contextlib.suppress(s3.exceptions.NoSuchBucket):
        for undo in (s3.delete_bucket_policy, s3.delete_public_access_block):
            undo(Bucket=name)
        empty_bucket(s3, name)
        s3.delete_bucket(Bucket=name)


@contextlib.contextmanager
def a_bucket(s3, **how):
    """A bucket for as long as it is wanted."""
    name = how.pop("Bucket", None) or new_name()
    s3.create_bucket(Bucket=name, **how)
    try:
        yield name
    finally:
        remove_bucket(s3, name)


def fill(s3, bucket, keys, body=b"x"):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def read(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def versions(s3, bucket, **more):
    """What a bucket keeps, in the order of its listing: key, version, whether it is a marker, whether it is current."""
    page = s3.list_object_versions(Bucket=bucket, **more)
    found = [(v["Key"], v["VersionId"], False, v["IsLatest"]) for v in page.get("Versions", [])]
    return found + [(m["Key"], m["VersionId"], True, m["IsLatest"]) for m in page.get("DeleteMarkers", [])]
