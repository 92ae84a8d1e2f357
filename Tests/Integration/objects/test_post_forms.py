"""Objects that browsers send by forms ("POST Object", Amazon S3 API Reference; "Browser-based uploads using
POST", Amazon S3 User Guide)."""

import base64
import datetime
import hashlib
import hmac
import json
import os
import urllib.parse

import pytest

from objects.wire import read, tag_of


def form(fields, file=b"file", name="a.txt", content_type="text/plain", after=()):
    """A body of multipart/form-data and its type."""
    boundary = "----" + os.urandom(8).hex()
    out = b""
    for field, value in fields:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n'.encode()
        out += (value.encode() if isinstance(value, str) else value) + b"\r\n"
    if file is not None:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
        out += f"Content-Type: {content_type}\r\n\r\n".encode()
        out += file + b"\r\n"
    for field, value in after:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
    return out + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class Poster:
    """Signs policies and sends forms to a bucket."""

    def __init__(self, owner, open_wire, bucket):
        self.owner, self.open_wire, self.bucket = owner, open_wire, bucket

    def policy(self, conditions, seconds=600, changed=None):
        moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
        return base64.b64encode(json.dumps({
            "expiration": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "conditions": conditions, **(changed or {})}).encode(
                )).decode()

    def signed(self, policy, key=None, secret=None):
        """Version 4's fields for a policy."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{self.owner.wire.region}/s3/aws4_request"
        signing = f"AWS4{secret or self.owner.secret}".encode()
        for part in scope.split("/"):
            signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
        return [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"), ("x-amz-credential", f"{key or self.owner.key}/{scope}"),
            ("x-amz-date", now),
            ("policy", policy), ("x-amz-signature", hmac.new(signing, policy.encode(), hashlib.sha256).hexdigest())]

    COVERED = [["starts-with", "$x-amz-algorithm", ""], ["starts-with", "$x-amz-credential", ""],
        ["starts-with", "$x-amz-date", ""]]

    def send(self, fields, conditions=None, file=b"file", seconds=600, changed=None, after=(), **more):
        """Sends a form whose policy has these conditions besides those on the bucket and the signature."""
        known = [{"bucket": self.bucket}, *self.COVERED,
            *(conditions if conditions is not None else [["starts-with", "$key", ""]])]
        body, kind = form(fields + self.signed(self.policy(known, seconds, changed)), file, after=after, **more)
        return self.raw(body, kind)

    def raw(self, body, kind):
        return self.open_wire.post(f"/{self.bucket}", body, headers={"Content-Type": kind})


@pytest.fixture
def poster(owner, open_wire, bucket):
    return Poster(owner, open_wire, bucket)


@pytest.mark.parametrize("size", [0, 1, 8193, 300_000])
def test_a_form(s3, bucket, poster, size):
    body = os.urandom(size)
    answer = poster.send([("key", "a/b ü")], file=body)
    assert answer.status == 204 and answer.headers["etag"] == tag_of(body) and answer.body == b""
    assert urllib.parse.unquote(answer.headers["location"]).endswith("/a/b ü") and answer.headers["location"].isascii()
    assert read(s3, bucket, "a/b ü") == body


def test_as_clients_make_it(s3, open_wire, bucket):
    made = s3.generate_presigned_post(
        bucket, "up/${filename}", Fields={"acl": "public-read", "Content-Type": "text/x-a", "x-amz-meta-m": "v"},
        Conditions=[{"acl": "public-read"}, {"Content-Type": "text/x-a"}, {"x-amz-meta-m": "v"},
            ["content-length-range", 1, 100]])
    body, kind = form(list(made["fields"].items()), b"by a client", name="n.txt")
    assert open_wire.post(f"/{bucket}", body, headers={"Content-Type": kind}).status == 204
    got = open_wire.get(f"/{bucket}/up/n.txt")
    assert (got.body, got.headers["content-type"], got.headers["x-amz-meta-m"]) == (b"by a client", "text/x-a", "v")


def test_nobodys_form(s3, open_wire, make_bucket):
    body, kind = form([("key", "k")])
    closed, open_bucket = make_bucket(), make_bucket(ACL="public-read-write")
    assert open_wire.post(f"/{closed}", body, headers={"Content-Type": kind}).refusal == (403, "AccessDenied")
    assert open_wire.post(f"/{open_bucket}", body, headers={"Content-Type": kind}).status == 204
    assert read(s3, open_bucket, "k") == b"file"
    assert open_wire.post("/no-such-bucket-at-all", body, headers={"Content-Type": kind}).refusal == (404, "NoSuchBucket")


@pytest.mark.parametrize("fields, conditions, status", [
    ([("success_action_status", "200")], [["eq", "$success_action_status", "200"]], 200),
    ([("success_action_status", "201")], [["eq", "$success_action_status", "201"]], 201),
    ([("success_action_status", "204")], [["eq", "$success_action_status", "204"]], 204),
    ([("success_action_status", "404")], [["starts-with", "$success_action_status", ""]], 204),
    ([("success_action_status", "")], [["starts-with", "$success_action_status", ""]], 204)])
def test_what_is_answered(bucket, poster, fields, conditions, status):
    answer = poster.send([("key", "k"), *fields], [["eq", "$key", "k"], *conditions])
    assert answer.status == status
    if status == 201:
        assert answer.document.tag == "PostResponse"
        assert (answer.text("Bucket"), answer.text("Key"), answer.text("ETag")) == (bucket, "k", tag_of(b"file"))
        assert answer.text("Location") == answer.headers["location"]
    else:
        assert answer.body == b""


@pytest.mark.parametrize("name", ["success_action_redirect", "redirect"])
def test_where_the_browser_goes_then(bucket, poster, name):
    answer = poster.send([("key", "k"), (name, "http://a.example/done?x=1")],
        [["eq", "$key", "k"], ["starts-with", f"${name}", "http://a.example/"]])
    assert answer.status == 303
    location = answer.headers["location"]
    assert location.startswith(
        "http://a.example/done?x=1&") and f"bucket={bucket}" in location and "key=k" in location and "etag=%22" in location


def test_fields_that_are_kept(s3, bucket, poster):
    fields = [
        ("key", "k"), ("acl", "public-read"), ("Content-Type", "text/x-a"), ("Cache-Control", "no-store"),
        ("Content-Disposition", "inline"),
        ("x-amz-meta-one", "1"), ("x-amz-storage-class", "STANDARD_IA"),
        ("tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")]
    conditions = [["starts-with", f"${name}", ""] for name, _ in fields]
    assert poster.send(fields, conditions).status == 204
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ContentType"], head["CacheControl"], head["ContentDisposition"], head["Metadata"], head["StorageClass"]) == (
        "text/x-a", "no-store", "inline", {"one": "1"}, "STANDARD_IA")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert len(s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 2


def test_the_name_of_the_file(s3, bucket, poster):
    assert poster.send([("key", "up/${filename}")], name="photo 1.jpg").status == 204
    assert read(s3, bucket, "up/photo 1.jpg") == b"file"
    assert poster.send([("key", "x-${filename}-${filename}")], name="a").status == 204
    assert read(s3, bucket, "x-a-a") == b"file"


# What the policy says of the form's fields besides the key "user/k"; whether it fits a form with these fields.
FITTING = [
    ([["eq", "$key", "user/k"]], [], True), ([["eq", "$key", "user/other"]], [], False), ([{"key": "user/k"}], [], True),
    ([["starts-with", "$key", "user/"]], [], True), ([["starts-with", "$key", "other/"]], [], False),
    ([["starts-with", "$key", ""]], [], True),
    ([["STARTS-WITH", "$KEY", "user/"]], [], True),
    # Each field needs a condition, but those that are ignored.
    ([["starts-with", "$key", ""]], [("acl", "private")], False),
    ([["starts-with", "$key", ""], {"acl": "private"}], [("acl", "private")], True),
    ([["starts-with", "$key", ""], {"acl": "private"}], [], False),
    ([["starts-with", "$key", ""], {"acl": "private"}], [("acl", "public-read")], False),
    ([["starts-with", "$key", ""]], [("x-amz-meta-a", "b")], False),
    ([["starts-with", "$key", ""], {"x-amz-meta-a": "b"}], [("X-Amz-Meta-A", "b")], True),
    ([["starts-with", "$key", ""]], [("x-ignore-this", "b")], True),
    # Types in a list.
    ([["starts-with", "$key", ""], ["starts-with", "$Content-Type", "image/"]], [("Content-Type", "image/png")], True),
    ([["starts-with", "$key", ""], ["starts-with", "$Content-Type", "image/"]], [("Content-Type", "text/html")], False),
]


@pytest.mark.parametrize("conditions, fields, fits", FITTING, ids=[str(number) for number in range(len(FITTING))])
def test_what_a_policy_wants(wire, bucket, poster, conditions, fields, fits):
    answer = poster.send([("key", "user/k"), *fields], conditions)
    if fits:
        assert answer.status == 204
    else:
        assert answer.refusal == (403, "AccessDenied") and "Invalid according to Policy" in answer.text("Message")
    assert wire.head(f"/{bucket}/user/k").status == (200 if fits else 404)


@pytest.mark.parametrize("least, most, status, code", [
    (0, 4, 204, None), (4, 4, 204, None), (0, 3, 400, "EntityTooLarge"), (5, 10, 400, "EntityTooSmall"), (0, 1000, 204, None)])
def test_how_long_the_file_may_be(wire, bucket, poster, least, most, status, code):
    answer = poster.send([("key", "k")], [["eq", "$key", "k"], ["content-length-range", least, most]])
    assert (answer.status, answer.code) == (status, code)
    assert wire.head(f"/{bucket}/k").status == (200 if status == 204 else 404)


@pytest.mark.parametrize("conditions, changed, refusal", [
    ([["content-length-range", -1, 10]], {}, (400, "InvalidPolicyDocument")),
    ([["content-length-range", 10, 1]], {}, (400, "InvalidPolicyDocument")),
    ([["content-length-range", 1]], {}, (400, "InvalidPolicyDocument")),
    ([["like", "$key", "k"]], {}, (400, "InvalidPolicyDocument")), ([[]], {}, (400, "InvalidPolicyDocument")),
    ([{"acl": "private", "key": "k"}], {}, (400, "InvalidPolicyDocument")),
    ([["eq", "$key", "k"]], {"expiration": "tomorrow"}, (400, "InvalidPolicyDocument")),
    ([["eq", "$key", "k"]], {"conditions": "none"}, (400, "InvalidPolicyDocument")),
    ([["eq", "$key", "k"]], {"expiration": None}, (400, "InvalidPolicyDocument")),
    ([["eq", "$key", "k"]], {"expiration": "2001-01-01T00:00:00.000Z"}, (403, "AccessDenied"))])
def test_policies_that_are_wrong(wire, bucket, poster, conditions, changed, refusal):
    assert poster.send([("key", "k")], conditions, changed=changed).refusal == refusal
    assert wire.head(f"/{bucket}/k").status == 404


def test_a_policy_without_parts(poster, wire, bucket):
    for document in ["{}", '{"expiration": "2099-01-01T00:00:00Z"}', '{"conditions": []}', "nothing", ""]:
        policy = base64.b64encode(document.encode()).decode()
        body, kind = form([("key", "k")] + poster.signed(policy))
        assert poster.raw(body, kind).refusal == (400, "InvalidPolicyDocument")
    assert wire.head(f"/{bucket}/k").status == 404


def test_signatures_of_forms(poster, wire, bucket, stranger):
    policy = poster.policy([{"bucket": bucket}, *poster.COVERED, ["eq", "$key", "k"]])

    def send(signed):
        return poster.raw(*form([("key", "k")] + signed))

    good = poster.signed(policy)
    assert send([(name, value[:-1] + ("0" if value[-1] != "0" else "1") if name == "x-amz-signature" else value) for name,
        value in good]).refusal == (
        403, "SignatureDoesNotMatch")
    assert send(poster.signed(policy, secret="x" * 40)).refusal == (403, "SignatureDoesNotMatch")
    assert send(poster.signed(policy, key="AKIAAAAAAAAAAAAAAAAA")).refusal == (403, "InvalidAccessKeyId")
    other = poster.policy([{"bucket": bucket}, *poster.COVERED, ["starts-with", "$key", ""]])
    assert send([(name, other if name == "policy" else value) for name, value in good]).refusal == (403, "SignatureDoesNotMatch")
    # A field of the signature that is missing.
    for missing in ["policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm"]:
        assert send([pair for pair in good if pair[0] != missing]).refusal == (400, "InvalidArgument"), missing
    assert wire.head(f"/{bucket}/k").status == 404
    # Whoever signs needs the right too.
    assert send(poster.signed(policy, stranger.key, stranger.secret)).refusal == (403, "AccessDenied")
    assert send(good).status == 204


def test_version_2_of_signatures(s3, owner, poster, bucket):
    policy = poster.policy([{"bucket": bucket}, ["eq", "$key", "k"]])
    signature = base64.b64encode(hmac.new(owner.secret.encode(), policy.encode(), hashlib.sha1).digest()).decode()
    fields = [("key", "k"), ("AWSAccessKeyId", owner.key), ("policy", policy)]
    assert poster.raw(*form([*fields, ("signature", "AAAA" + signature[4:])])).refusal == (403, "SignatureDoesNotMatch")
    assert poster.raw(*form([*fields, ("signature", signature)])).status == 204
    assert read(s3, bucket, "k") == b"file"


def test_another_buckets_policy(poster, make_bucket, open_wire):
    body, kind = form([("key", "k")] + poster.signed(
        poster.policy([{"bucket": poster.bucket}, *poster.COVERED, ["eq", "$key", "k"]])))
    assert open_wire.post(f"/{make_bucket()}", body, headers={"Content-Type": kind}).refusal == (403, "AccessDenied")


def test_forms_that_are_none(poster, wire, bucket):
    body, kind = form([("key", "k")] + poster.signed(poster.policy([["starts-with", "$key", ""]])))
    for other in ["text/plain", "application/x-www-form-urlencoded"]:
        assert poster.raw(body, other).refusal == (412, "PreconditionFailed"), other
    for broken, of in [(body, "multipart/form-data"), (b"", kind), (body[:len(body) // 2], kind)]:
        assert poster.raw(broken, of).refusal == (400, "MalformedPOSTRequest")
    assert poster.send([("key", "k")], file=None).refusal == (400, "InvalidArgument")
    assert poster.send([]).refusal == (400, "InvalidArgument")
    assert poster.send([("key", "")]).refusal == (400, "InvalidArgument")
    assert poster.send([("key", "k" * 1025)]).refusal == (400, "KeyTooLongError")
    assert wire.get(f"/{bucket}", query="list-type=2").text("KeyCount") == "0"


def test_what_comes_after_the_file_is_not_heard(s3, bucket, poster):
    answer = poster.send([("key", "k")], [["starts-with", "$key", ""]], after=[("acl", "public-read"), ("x-amz-meta-a", "b")])
    assert answer.status == 204
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {}
    assert len(s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 1


def test_a_damaged_file(wire, bucket, poster):
    conditions = [["eq", "$key", "k"], ["starts-with", "$Content-MD5", ""]]
    assert poster.send([("key", "k"), ("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")], conditions).refusal == (400, "BadDigest")
    assert wire.head(f"/{bucket}/k").status == 404


def test_pages_of_other_origins(s3, open_wire, bucket, poster):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["POST"]}]})
    body, kind = form([("key", "k")] + poster.signed(poster.policy([{"bucket": bucket}, *poster.COVERED, ["eq", "$key", "k"]])))
    answer = open_wire.post(f"/{bucket}", body, headers={"Content-Type": kind, "Origin": "http://a.example"})
    assert answer.status == 204 and answer.headers["access-control-allow-origin"] == "*"


def test_a_version_by_a_form(s3, owner, open_wire, versioned):
    poster = Poster(owner, open_wire, versioned)
    answer = poster.send([("key", "k")])
    assert answer.headers["x-amz-version-id"] == s3.head_object(Bucket=versioned, Key="k")["VersionId"]


def test_checksums_that_nobody_knows(wire, bucket, poster):
    conditions = [["eq", "$key", "k"], ["starts-with", "$x-amz-checksum-sha512", ""]]
    assert poster.send([("key", "k"), ("x-amz-checksum-sha512", "AAAA")], conditions).refusal == (501, "NotImplemented")
    assert wire.head(f"/{bucket}/k").status == 404
