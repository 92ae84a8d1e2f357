"""The object store's older signatures and the forms of browsers, through boto3, s3cmd and plain HTTP."""

import base64
import datetime
import email.utils
import hashlib
import hmac
import http.client
import io
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree
import zlib

import boto.s3.connection
import boto3
import botocore.config
import botocore.exceptions
import pytest

from objects.wire import refused

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


@pytest.fixture
def older(simulated):
    """Signs as boto3 did before Version 4: its presigned addresses and forms too."""
    return old_client(simulated)


def old_client(cloud, key=None, secret=None):
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{cloud.port}", region_name=cloud.region,
        aws_access_key_id=key or cloud.key, aws_secret_access_key=secret or cloud.secret,
        config=botocore.config.Config(signature_version="s3", s3={"addressing_style": "path"}, retries={"max_attempts": 1}))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def error(self):
        document = xml.etree.ElementTree.fromstring(self.body)
        return self.status, document.findtext("Code"), document.findtext("Message")


def send(cloud, method, target, headers={}, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=60)
    try:
        connection.request(method, target, body=body, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


# Requests that are signed in Version 2


def test_boto3_with_older_signatures(older, bucket):
    body = os.urandom(100_000)
    older.put_object(Bucket=bucket, Key="a/ü +%&<b>", Body=body, ContentType="text/x-odd", Metadata={"one": "1", "two": "z  w"})
    got = older.get_object(Bucket=bucket, Key="a/ü +%&<b>", ResponseContentType="text/x-other; charset=utf-8")
    assert got["Body"].read() == body and got["Metadata"] == {"one": "1", "two": "z  w"}
    assert got["ContentType"] == "text/x-other; charset=utf-8"
    assert bucket in [found["Name"] for found in older.list_buckets()["Buckets"]]
    assert older.get_bucket_location(Bucket=bucket)["LocationConstraint"]
    assert [found["Key"] for found in older.list_objects(Bucket=bucket, Prefix="a/")["Contents"]] == ["a/ü +%&<b>"]
    upload = older.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = older.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=body)["ETag"]
    assert len(older.list_parts(Bucket=bucket, Key="parts", UploadId=upload)["Parts"]) == 1
    older.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    older.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "parts"})
    older.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ["parts", "copy", "a/ü +%&<b>"]]})
    assert "Contents" not in older.list_objects_v2(Bucket=bucket)


def test_boto_2(simulated, bucket):
    connection = boto.s3.connection.S3Connection(
        simulated.key, simulated.secret, host="127.0.0.1", port=simulated.port, is_secure=False,
        calling_format=boto.s3.connection.OrdinaryCallingFormat())
    place = connection.get_bucket(bucket)
    key = place.new_key("a/ü b")
    key.set_metadata("one", "1")
    key.set_contents_from_string(b"content", headers={"Content-Type": "text/x-odd"})
    found = place.get_key("a/ü b")
    assert (found.size, found.content_type, found.get_metadata("one")) == (7, "text/x-odd", "1")
    assert found.get_contents_as_string(response_headers={"response-content-type": "text/x-other"}) == b"content"
    assert [one.name for one in place.list(prefix="a/")] == ["a/ü b"]
    with urllib.request.urlopen(found.generate_url(60)) as answer:
        assert answer.read() == b"content"
    upload = place.initiate_multipart_upload("parts")
    upload.upload_part_from_file(io.BytesIO(b"part"), 1)
    upload.complete_upload()
    assert not place.delete_keys(["a/ü b", "parts"]).errors


def test_boto3_with_wrong_keys(simulated, bucket):
    assert refused(old_client(simulated, secret="x" * 40).list_objects_v2, Bucket=bucket) == (403, "SignatureDoesNotMatch")
    unknown = old_client(simulated, "AKIAAAAAAAAAAAAAAAAA", "x" * 40)
    assert refused(unknown.list_objects_v2, Bucket=bucket) == (403, "InvalidAccessKeyId")


def test_presigned_addresses(simulated, older, bucket):
    put = older.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b", "Metadata": {"one": "1"}}, ExpiresIn=60)
    assert "AWSAccessKeyId=" in put
    urllib.request.urlopen(urllib.request.Request(put, data=b"by address", method="PUT", headers={"Content-Type": ""}))
    # What the address's maker signed as a header is as if it had been sent.
    assert older.head_object(Bucket=bucket, Key="a b")["Metadata"] == {"one": "1"}
    get = older.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "a b", "ResponseContentType": "text/x-odd"}, ExpiresIn=60)
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"by address" and answer.headers["content-type"] == "text/x-odd"
    expires = re.search(r"Expires=(\d+)", get)[1]
    for wrong, code in [
        (get.replace("a%20b", "a%20c"), "SignatureDoesNotMatch"), (get.replace("x-odd", "x-even"), "SignatureDoesNotMatch"),
        (get.replace(f"Expires={expires}", f"Expires={int(expires) + 1}"), "SignatureDoesNotMatch"),
        (get.replace("Expires=", "Expire="), "AccessDenied"), (get.replace(f"Expires={expires}", "Expires=soon"), "AccessDenied"),
        (get.replace(simulated.key, "AKIAAAAAAAAAAAAAAAAA"), "InvalidAccessKeyId"),
        (get + "&X-Amz-Algorithm=AWS4-HMAC-SHA256", "InvalidArgument"),
    ]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(wrong)
        assert f"<Code>{code}</Code>".encode() in caught.value.read(), wrong
    late = older.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=-5)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(late)
    assert caught.value.code == 403 and b"Request has expired" in caught.value.read()
    copy = older.generate_presigned_url(
        "copy_object", Params={"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "a b"}})
    urllib.request.urlopen(urllib.request.Request(copy, method="PUT"))
    assert older.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"by address"
    # The service's own address has no bucket in it.
    with urllib.request.urlopen(older.generate_presigned_url("list_buckets")) as answer:
        assert bucket.encode() in answer.read()


def signed(cloud, method, resource, headers={}, moment=None, secret=None):
    """The headers of a request signed by hand; `moment` replaces the Date header's text."""
    date = email.utils.formatdate(usegmt=True) if moment is None else moment
    lines = "".join(f"{name.lower()}:{value}\n" for name, value in sorted(headers.items()) if name.lower().startswith("x-amz-"))
    text = f"{method}\n\n{headers.get('Content-Type', '')}\n{'' if 'x-amz-date' in headers else date}\n{lines}{resource}"
    code = hmac.new((secret or cloud.secret).encode(), text.encode(), hashlib.sha1).digest()
    return {**headers, "Date": date, "Authorization": f"AWS {cloud.key}:{base64.b64encode(code).decode()}"}


def test_dates(simulated, bucket):
    def ask(**options):
        answer = send(simulated, "GET", f"/{bucket}", signed(simulated, "GET", f"/{bucket}", **options))
        return answer.status if answer.status == 200 else answer.error[:2]

    now = time.time()
    assert ask() == 200
    assert ask(headers={"x-amz-date": email.utils.formatdate(now, usegmt=True)}, moment="Thu, 01 Jan 1970 00:00:00 GMT") == 200
    for seconds in (-1000, 1000):
        assert ask(moment=email.utils.formatdate(now + seconds)) == (403, "RequestTimeTooSkewed")
    assert ask(moment=email.utils.formatdate(now - 800)) == 200
    for wrong in ["", "Bad Date", "Tue, 07 Jul 1950 21:53:04 GMT"]:
        assert ask(moment=wrong) == (403, "AccessDenied")
    assert ask(headers={"x-amz-date": "Bad Date"}) == (403, "AccessDenied")


def test_authorizations(simulated, bucket):
    def ask(authorization):
        date = email.utils.formatdate(usegmt=True)
        return send(simulated, "GET", f"/{bucket}", {"Date": date, "Authorization": authorization}).error[:2]

    for wrong in ["AWS HAHAHA", "AWS :x", "AWS a:b:c"]:
        assert ask(wrong) == (400, "InvalidArgument")
    assert ask(f"AWS {simulated.key}:not-base64") == (403, "SignatureDoesNotMatch")
    assert ask("AWS AKIAAAAAAAAAAAAAAAAA:c2lnbmF0dXJl") == (403, "InvalidAccessKeyId")
    # A sub-resource is signed, so a signature for the listing is none for what is to be removed.
    headers = signed(simulated, "DELETE", f"/{bucket}?tagging")
    assert send(simulated, "DELETE", f"/{bucket}", headers).error[:2] == (403, "SignatureDoesNotMatch")


def test_s3cmd_with_older_signatures(simulated, bucket, tmp_path):
    address = f"127.0.0.1:{simulated.port}"

    def run(*words):
        done = subprocess.run(
            ["s3cmd", "-c", "/dev/null", f"--host={address}", f"--host-bucket={address}", "--no-ssl", "--signature-v2",
             f"--access_key={simulated.key}", f"--secret_key={simulated.secret}", *words],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"})
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    file = tmp_path / "large ü.bin"
    file.write_bytes(os.urandom(17 << 20))
    run("put", str(file), f"s3://{bucket}/folder/large ü.bin")
    assert "folder/large ü.bin" in run("ls", "-r", f"s3://{bucket}")
    run("cp", f"s3://{bucket}/folder/large ü.bin", f"s3://{bucket}/copy")
    run("get", f"s3://{bucket}/copy", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    url = run("signurl", f"s3://{bucket}/copy", "+60").strip()
    with urllib.request.urlopen(url) as answer:
        assert len(answer.read()) == 17 << 20
    run("del", "-r", "--force", f"s3://{bucket}")


# Forms


def encoded(fields, file=b"", name="a.txt", after={}):
    """A form as browsers send it."""
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
    if file is not None:
        called = "" if name is None else f'; filename="{name}"'
        parts.append(
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"{called}\r\nContent-Type: text/html\r\n\r\n'.encode()
            + file + b"\r\n")
    parts += [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in after.items()]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def post(cloud, bucket, fields, file=b"body", **options):
    return send(
        cloud, "POST", f"/{bucket}", {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, encoded(fields, file, **options))


def policy_of(conditions, seconds=60):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    document = {"expiration": until.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "conditions": conditions}
    return base64.b64encode(json.dumps(document).encode()).decode()


def signature_of(cloud, text):
    return base64.b64encode(hmac.new(cloud.secret.encode(), text.encode(), hashlib.sha1).digest()).decode()


def version2(cloud, fields, conditions, **options):
    """The fields of a form signed by hand."""
    policy = policy_of(conditions, **options)
    return {**fields, "AWSAccessKeyId": cloud.key, "policy": policy, "signature": signature_of(cloud, policy)}


def test_the_forms_of_boto3(simulated, s3, older, bucket):
    for number, client in enumerate([s3, older]):
        form = client.generate_presigned_post(
            bucket, "user/${filename}",
            Fields={"Content-Type": "image/png", "x-amz-meta-one": "1", "success_action_status": "201", "Cache-Control": "no-store"},
            Conditions=[
                ["starts-with", "$Content-Type", "image/"], {"x-amz-meta-one": "1"}, {"success_action_status": "201"},
                {"cache-control": "no-store"}, ["content-length-range", 1, 1000]])
        assert ("x-amz-signature" in form["fields"]) == (client is s3)
        answer = post(simulated, bucket, form["fields"], b"content", name=f"C:\\dir\\ü {number}.png", after={"submit": "go"})
        assert answer.status == 201 and answer.headers["content-type"] == "application/xml"
        document = xml.etree.ElementTree.fromstring(answer.body)
        tag = f'"{hashlib.md5(b"content").hexdigest()}"'
        assert document.tag == "PostResponse"
        assert (document.findtext("Bucket"), document.findtext("Key"), document.findtext("ETag")) == (
            bucket, f"user/ü {number}.png", tag)
        assert document.findtext("Location") == answer.headers["location"] == (
            f"http://127.0.0.1:{simulated.port}/{bucket}/user%2F%C3%BC%20{number}.png")
        got = s3.get_object(Bucket=bucket, Key=f"user/ü {number}.png")
        assert got["Body"].read() == b"content" and got["ETag"] == answer.headers["etag"] == tag
        assert (got["ContentType"], got["CacheControl"], got["Metadata"]) == ("image/png", "no-store", {"one": "1"})


@pytest.mark.parametrize("style", ["version 4", "version 2"])
def test_forms_that_are_refused(simulated, s3, bucket, style):
    conditions = [{"acl": "private"}, ["starts-with", "$x-amz-meta-one", "a"], ["content-length-range", 2, 5]]
    fields = {"acl": "private", "x-amz-meta-one": "abc"}
    client = s3 if style == "version 4" else old_client(simulated)

    def make(**options):
        return client.generate_presigned_post(bucket, "k", Fields=dict(fields), Conditions=conditions, **options)["fields"]

    good = make()
    assert post(simulated, bucket, good).status == 204
    s3.delete_object(Bucket=bucket, Key="k")
    signature = "x-amz-signature" if style == "version 4" else "signature"
    said = "Invalid according to Policy: "
    for changed, code, message in [
        ({"acl": "public-read"}, (403, "AccessDenied"), said + 'Policy Condition failed: ["eq", "$acl", "private"]'),
        ({"x-amz-meta-one": "ba"}, (403, "AccessDenied"), said + 'Policy Condition failed: ["starts-with", "$x-amz-meta-one", "a"]'),
        ({"key": "other"}, (403, "AccessDenied"), said + 'Policy Condition failed: ["eq", "$key", "k"]'),
        ({"x-amz-meta-two": ""}, (403, "AccessDenied"), said + "Extra input fields: x-amz-meta-two"),
        ({"policy": good["policy"][:-4]}, (403, "SignatureDoesNotMatch"), None),
        ({"policy": policy_of([])}, (403, "SignatureDoesNotMatch"), None),
        ({signature: "0" * 64}, (403, "SignatureDoesNotMatch"), None), ({signature: None}, (400, "InvalidArgument"), None),
        ({"policy": None}, (400, "InvalidArgument"), None),
        ({"key": None}, (400, "InvalidArgument"),
         "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."),
        ({"key": ""}, (400, "InvalidArgument"), None), ({"x-ignore-me": "1"}, None, None),
    ]:
        sent = {name: value for name, value in {**good, **changed}.items() if value is not None}
        answer = post(simulated, bucket, sent)
        if code is None:
            assert answer.status == 204
            s3.delete_object(Bucket=bucket, Key="k")
        else:
            assert answer.error[:2] == code, changed
            assert message is None or answer.error[2] == message
    for size, code in [(1, "EntityTooSmall"), (2, None), (5, None), (6, "EntityTooLarge"), (3_000_000, "EntityTooLarge")]:
        try:
            answer = post(simulated, bucket, good, b"x" * size)
        except (BrokenPipeError, ConnectionResetError):
            assert size > 100_000
            continue
        assert answer.status == 204 if code is None else answer.error[:2] == (400, code)
    assert post(simulated, bucket, make(ExpiresIn=-5)).error == (403, "AccessDenied", said + "Policy expired.")
    stranger = simulated.client("s3", "AKIAAAAAAAAAAAAAAAAA", "x" * 40) if client is s3 else old_client(simulated, "AKIAAAAAAAAAAAAAAAAA", "x")
    assert post(simulated, bucket, stranger.generate_presigned_post(bucket, "k")["fields"]).error[:2] == (403, "InvalidAccessKeyId")
    # A policy is good for its bucket only.
    other = "bucket-" + os.urandom(4).hex()
    s3.create_bucket(Bucket=other)
    assert post(simulated, other, {**good, "bucket": bucket}).error[:2] == (403, "AccessDenied")
    assert "Contents" not in s3.list_objects_v2(Bucket=other)
    s3.delete_bucket(Bucket=other)


def test_policies(simulated, s3, bucket):
    fields = {"key": "k"}
    for conditions, code, message in [
        ([{"bucket": bucket}, ["eq", "$KEY", "k"]], None, None),
        ([{"key": "k"}], "AccessDenied", "Invalid according to Policy: Extra input fields: bucket"),
        ([{}], "InvalidPolicyDocument", None), ([["content-length-range", -1, 0]], "InvalidPolicyDocument", None),
        ([["content-length-range", 0]], "InvalidPolicyDocument", None), ({}, "InvalidPolicyDocument", None),
    ]:
        answer = post(simulated, bucket, version2(simulated, fields, conditions))
        if code is None:
            assert answer.status == 204
        else:
            assert answer.error[1] == code and (message is None or answer.error[2] == message), answer.error
    for document in ["no json", "{}", '{"expiration": "2999-01-01 00:00:00", "conditions": []}']:
        policy = base64.b64encode(document.encode()).decode()
        answer = post(
            simulated, bucket, {**fields, "AWSAccessKeyId": simulated.key, "policy": policy, "signature": signature_of(simulated, policy)})
        assert answer.error[:2] == (400, "InvalidPolicyDocument")


def test_what_answers_a_form(simulated, s3, bucket):
    allowed = [{"bucket": bucket}, ["starts-with", "$key", ""]]

    def answer(key, **fields):
        conditions = allowed + [["starts-with", f"${name}", ""] for name in fields]
        return post(simulated, bucket, version2(simulated, {"key": key, **fields}, conditions))

    tag = f'"{hashlib.md5(b"body").hexdigest()}"'
    for status, expected in [("200", 200), ("204", 204), ("404", 204), ("", 204)]:
        plain = answer("k", success_action_status=status)
        assert (plain.status, plain.body, plain.headers["etag"]) == (expected, b"", tag)
    for name in ["success_action_redirect", "redirect"]:
        led = answer("a b/ü", **{name: "http://host.example/done?x=1"})
        address = urllib.parse.urlsplit(led.headers["location"])
        assert led.status == 303 and address.netloc == "host.example" and address.path == "/done"
        assert urllib.parse.parse_qs(address.query) == {"x": ["1"], "bucket": [bucket], "key": ["a b/ü"], "etag": [tag]}
    assert answer("k", success_action_redirect="/relative").status == 204
    sum = base64.b64encode(zlib.crc32(b"body").to_bytes(4, "big")).decode()
    good = answer("k", **{"x-amz-checksum-crc32": sum, "Content-Disposition": "inline", "Content-Language": "de"})
    assert good.status == 204 and good.headers["x-amz-checksum-crc32"] == sum
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32"], head["ContentDisposition"], head["ContentType"]) == (sum, "inline", "binary/octet-stream")
    assert answer("k", **{"x-amz-checksum-crc32": "AAAAAA=="}).error[:2] == (400, "BadDigest")
    assert answer("k", **{"x-amz-meta-long": "x" * 3000}).error[:2] == (400, "MetadataTooLarge")
    assert answer("k" * 1025).error[:2] == (400, "KeyTooLongError")
    assert answer("k", tagging="not-xml").error[:2] == (400, "MalformedXML")


def test_what_is_no_form(simulated, s3, bucket):
    fields = version2(simulated, {"key": "k"}, [{"bucket": bucket}, {"key": "k"}])
    not_a_form = send(simulated, "POST", f"/{bucket}", {"Content-Type": "text/html"}, b"x")
    assert not_a_form.error[:2] == (412, "PreconditionFailed")
    for kind in ["multipart/form-data", "multipart/form-data; boundary=other"]:
        assert send(simulated, "POST", f"/{bucket}", {"Content-Type": kind}, encoded(fields, b"x")).error[:2] == (
            400, "MalformedPOSTRequest")
    assert post(simulated, bucket, fields, None).error == (
        400, "InvalidArgument", "POST requires exactly one file upload per request.")
    torn = encoded(fields, b"body").rpartition(b"\r\n--")[0]
    assert send(simulated, "POST", f"/{bucket}", {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, torn).error[:2] == (
        400, "MalformedPOSTRequest")
    assert post(simulated, bucket, {**fields, "x-ignore-long": "x" * 30_000}).error[:2] == (400, "MaxPostPreDataLengthExceeded")
    # What follows the file is not heard, so the key is missing here.
    late = {name: value for name, value in fields.items() if name != "key"}
    assert post(simulated, bucket, late, after={"key": "k"}).error[1] == "InvalidArgument"
    assert post(simulated, "no-such-bucket", version2(
        simulated, {"key": "k"}, [{"bucket": "no-such-bucket"}, {"key": "k"}])).error[:2] == (404, "NoSuchBucket")
    # Neither a stranger nor another account may write here.
    assert post(simulated, bucket, {"key": "k"}).error[:2] == (403, "AccessDenied")
    assert post(simulated, bucket, {"key": "k", "policy": fields["policy"]}).error[:2] == (403, "AccessDenied")
    simulated.karri("account", "create", "other-forms")
    made = json.loads((simulated.root / "etc/karri/credentials/other-forms.json").read_text())
    other = simulated.client("s3", made["accessKey"], made["secretKey"])
    assert post(simulated, bucket, other.generate_presigned_post(bucket, "k")["fields"]).error[:2] == (403, "AccessDenied")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_what_a_form_says_of_its_object(simulated, s3, bucket):
    tags = "<Tagging><TagSet><Tag><Key>a b</Key><Value>&amp;=</Value></Tag><Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>"
    fields = {"key": "k", "acl": "public-read", "tagging": tags, "x-amz-storage-class": "STANDARD_IA"}
    conditions = [{"bucket": bucket}] + [["starts-with", f"${name}", ""] for name in fields]
    assert post(simulated, bucket, version2(simulated, fields, conditions)).status == 204
    found = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in found} == {"a b": "&=", "c": ""}
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"
    groups = [grant["Grantee"].get("URI", "") for grant in s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]]
    assert any(group.endswith("/AllUsers") for group in groups)
    assert send(simulated, "GET", f"/{bucket}/k").body == b"body"
    for wrong in [{"acl": "everyone"}, {"x-amz-storage-class": "Fake"}]:
        assert post(simulated, bucket, version2(simulated, {**fields, **wrong}, conditions)).status == 400


def test_forms_of_strangers(simulated, s3, bucket):
    """Whom a bucket's policy lets in needs no policy of a form; and it may say how a form is to be signed."""
    def allow(effect, condition={}):
        statement = {"Effect": effect, "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        document = {"Version": "2012-10-17", "Statement": [{**statement, **condition}]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))

    allow("Allow")
    assert post(simulated, bucket, {"key": "${filename}", "success_action_status": "201", "x-amz-meta-a": "b"}).status == 201
    assert s3.head_object(Bucket=bucket, Key="a.txt")["Metadata"] == {"a": "b"}
    # Who says that it is someone has to prove it.
    assert post(simulated, bucket, {"key": "k", "AWSAccessKeyId": simulated.key}).error[:2] == (400, "InvalidArgument")
    old = version2(simulated, {"key": "k"}, [{"bucket": bucket}, {"key": "k"}])
    new = s3.generate_presigned_post(bucket, "k")["fields"]
    for condition, allowed in [
        ({"s3:signatureversion": "AWS"}, new), ({"s3:signatureversion": "AWS4-HMAC-SHA256"}, old), ({"s3:authType": "REST-HEADER"}, old),
    ]:
        allow("Deny", {"Condition": {"StringEquals": condition}})
        assert post(simulated, bucket, allowed).status == 204
    allow("Deny", {"Condition": {"StringEquals": {"s3:authType": "POST"}}})
    assert post(simulated, bucket, new).error[:2] == post(simulated, bucket, old).error[:2] == (403, "AccessDenied")
    s3.delete_bucket_policy(Bucket=bucket)


def resident_bytes(cloud):
    """The memory of this cloud's processes."""
    total = 0
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as words, open(f"/proc/{process}/statm") as pages:
                if str(cloud.root).encode() in words.read():
                    total += int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def test_large_files_are_streamed(simulated, s3, bucket):
    """A form's file goes to the store as it comes, and takes no memory of its own."""
    size, piece = 200 << 20, os.urandom(1 << 20)
    fields = version2(simulated, {"key": "large"}, [{"bucket": bucket}, {"key": "large"}, ["content-length-range", size, size]])
    whole = encoded(fields, b"\0BODY\0")
    before, after = whole.split(b"\0BODY\0")
    digest, most = hashlib.md5(), 0
    idle = resident_bytes(simulated)

    def body():
        nonlocal most
        yield before
        for number in range(size // len(piece)):
            digest.update(piece)
            yield piece
            if number % 20 == 0:
                most = max(most, resident_bytes(simulated))
        yield after

    answer = send(
        simulated, "POST", f"/{bucket}",
        {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(len(before) + size + len(after))}, body())
    assert answer.status == 204 and answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == size
    assert most - idle < 64 << 20


def test_curl(simulated, s3, bucket, tmp_path):
    """curl waits with large bodies until it is told to go on."""
    file = tmp_path / "curl.bin"
    file.write_bytes(os.urandom(3 << 20))
    form = s3.generate_presigned_post(bucket, "${filename}")
    words = [word for name, value in form["fields"].items() for word in ("-F", f"{name}={value}")]
    done = subprocess.run(
        ["curl", "-sS", "-v", "-H", "Expect: 100-continue", *words, "-F", f"file=@{file}", f"http://127.0.0.1:{simulated.port}/{bucket}"],
        capture_output=True, text=True, timeout=60)
    assert "100 Continue" in done.stderr and "204 No Content" in done.stderr, done.stderr
    assert s3.get_object(Bucket=bucket, Key="curl.bin")["Body"].read() == file.read_bytes()
