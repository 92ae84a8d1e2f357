"""Encryption at rest: with the store's keys, a key service's, and the client's ("Protecting data with
encryption", Amazon S3 User Guide)."""

import json
import os

import pytest

from objects.wire import base64_of, md5_of, read, refused, status, tag_of

BODY = os.urandom(70_000)
KEY, OTHER = b"k" * 32, b"o" * 32


def customer(key=KEY, place="x-amz-server-side-encryption-customer"):
    return {f"{place}-algorithm": "AES256", f"{place}-key": base64_of(key), f"{place}-key-MD5": md5_of(key)}


def source(key=KEY):
    return customer(key, "x-amz-copy-source-server-side-encryption-customer")


def upload(s3, bucket, key, bodies, **how):
    """An object of parts; returns the answer to its completion."""
    customer = {name: value for name, value in how.items() if name.startswith("SSECustomer")}
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key, **how)
    parts = []
    for number, body in enumerate(bodies, 1):
        made = s3.upload_part(Bucket=bucket, Key=key, UploadId=begun["UploadId"], PartNumber=number, Body=body, **customer)
        parts.append({"PartNumber": number, "ETag": made["ETag"]})
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=begun["UploadId"], MultipartUpload={"Parts": parts})


# By the store.

@pytest.mark.parametrize("size", [0, 1, 8192, 65_535, 65_536, 65_537, 300_001])
def test_by_the_store(s3, bucket, size):
    body = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ServerSideEncryption="AES256")
    assert put["ServerSideEncryption"] == "AES256" and put["ETag"] == tag_of(body)
    got, head = s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body
    for answer in (got, head):
        assert (answer["ServerSideEncryption"], answer["ContentLength"]) == ("AES256", size)
    [listed] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (listed["Size"], listed["ETag"]) == (size, tag_of(body))
    for first, last in [(0, 0), (65_530, 65_540), (size // 2, size), (max(size - 3, 0), size)]:
        if first < size:
            assert read(s3, bucket, "k", Range=f"bytes={first}-{last}") == body[first:last + 1]


@pytest.mark.parametrize("headers, code", [
    ({"x-amz-server-side-encryption": "aes256"}, "InvalidArgument"),
    ({"x-amz-server-side-encryption": "ROT13"}, "InvalidArgument"),
    ({"x-amz-server-side-encryption": ""}, "InvalidArgument"),
    ({"x-amz-server-side-encryption": "AES256", "x-amz-server-side-encryption-aws-kms-key-id": "x"}, "InvalidArgument"),
    ({"x-amz-server-side-encryption-aws-kms-key-id": "x"}, "InvalidArgument"),
    ({"x-amz-server-side-encryption": "AES256", **customer()}, "InvalidArgument")])
def test_methods_that_there_are_not(wire, bucket, headers, code):
    for method, query in [("PUT", ""), ("POST", "uploads")]:
        assert wire.send(method, f"/{bucket}/k", query=query, headers=headers).refusal == (400, code)
    assert wire.head(f"/{bucket}/k").status == 404


def test_reading_does_not_say_how(wire, bucket):
    """x-amz-server-side-encryption is no header of reading."""
    wire.put(f"/{bucket}/k", b"x", headers={"x-amz-server-side-encryption": "AES256"})
    for method in ("GET", "HEAD"):
        assert wire.send(method, f"/{bucket}/k", headers={"x-amz-server-side-encryption": "AES256"}).status == 400


# By a key service.

def test_by_a_key_service(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, ServerSideEncryption="aws:kms")
    assert put["ServerSideEncryption"] == "aws:kms"
    key = put["SSEKMSKeyId"]
    assert key.startswith("arn:aws:kms:")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == BODY and (got["ServerSideEncryption"], got["SSEKMSKeyId"]) == ("aws:kms", key)
    # The account's own key is one, and can be named.
    again = s3.put_object(Bucket=bucket, Key="named", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    assert again["SSEKMSKeyId"] == key and read(s3, bucket, "named") == b"x"
    short = s3.put_object(Bucket=bucket, Key="short", Body=b"x", ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key.rpartition("/")[2])
    assert short["SSEKMSKeyId"] == key
    with_bucket_key = s3.put_object(Bucket=bucket, Key="b", Body=b"x", ServerSideEncryption="aws:kms", BucketKeyEnabled=True)
    assert with_bucket_key["BucketKeyEnabled"] is True and s3.head_object(Bucket=bucket, Key="b")["BucketKeyEnabled"] is True


def test_keys_that_there_are_not(s3, bucket):
    for name in ["00000000-0000-0000-0000-000000000000", "alias/none", "arn:aws:kms:karri-1:000000000000:key/none"]:
        answer = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId=name)
        assert answer[0] == 400 and answer[1].startswith("KMS.")
    assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404


@pytest.mark.parametrize("how", [{"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms"}], ids=str)
def test_parts_and_copies_are_encrypted(s3, bucket, how):
    bodies = [os.urandom(5 << 20), b"the end"]
    done = upload(s3, bucket, "parts", bodies, **how)
    assert done["ServerSideEncryption"] == how["ServerSideEncryption"]
    head = s3.head_object(Bucket=bucket, Key="parts")
    assert (head["ServerSideEncryption"], head["ContentLength"]) == (how["ServerSideEncryption"], (5 << 20) + 7)
    assert read(s3, bucket, "parts") == b"".join(bodies)
    assert read(s3, bucket, "parts", Range=f"bytes={(5 << 20) - 2}-{(5 << 20) + 2}") == bodies[0][-2:] + b"the"
    assert read(s3, bucket, "parts", PartNumber=2) == b"the end"
    # A copy is encrypted as it is asked for, and not as its source.
    plain = s3.copy_object(Bucket=bucket, Key="plain", CopySource=f"{bucket}/parts")
    assert read(s3, bucket, "plain") == b"".join(bodies)
    again = s3.copy_object(Bucket=bucket, Key="again", CopySource=f"{bucket}/plain", **how)
    assert again["ServerSideEncryption"] == how["ServerSideEncryption"] and read(s3, bucket, "again") == b"".join(bodies)
    assert plain["CopyObjectResult"]["ETag"] == again["CopyObjectResult"]["ETag"] or how["ServerSideEncryption"] == "aws:kms"
    # Onto itself, where its encryption changes.
    s3.copy_object(Bucket=bucket, Key="plain", CopySource=f"{bucket}/plain", **how)
    assert s3.head_object(Bucket=bucket, Key="plain")["ServerSideEncryption"] == how["ServerSideEncryption"]


# By the bucket.

def rule(algorithm, key=None, bucket_key=None):
    standard = {"SSEAlgorithm": algorithm, **({"KMSMasterKeyID": key} if key else {})}
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": standard,
        **({} if bucket_key is None else {"BucketKeyEnabled": bucket_key})}]}


@pytest.mark.parametrize("algorithm", ["AES256", "aws:kms"])
def test_what_a_bucket_gives_its_objects(s3, bucket, algorithm):
    assert status(s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule(algorithm))) == 200
    [found] = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert found["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm and found["BucketKeyEnabled"] is False
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    assert put["ServerSideEncryption"] == algorithm and read(s3, bucket, "k") == BODY
    assert upload(s3, bucket, "parts", [b"x"])["ServerSideEncryption"] == algorithm
    s3.copy_object(Bucket=bucket, Key="to", CopySource=f"{bucket}/k")
    assert s3.head_object(Bucket=bucket, Key="to")["ServerSideEncryption"] == algorithm
    # What is asked for with the object counts more.
    other = "aws:kms" if algorithm == "AES256" else "AES256"
    assert s3.put_object(Bucket=bucket, Key="own", Body=b"", ServerSideEncryption=other)["ServerSideEncryption"] == other
    assert status(s3.delete_bucket_encryption(Bucket=bucket)) == 204
    assert read(s3, bucket, "k") == BODY, "what was encrypted stays so"


@pytest.mark.parametrize("document, code", [
    ("<ServerSideEncryptionConfiguration/>", "MalformedXML"), ("<Other/>", "MalformedXML"),
    ("<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>ROT13</SSEAlgorithm>"
     "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>", "MalformedXML"),
    ("<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
     "<KMSMasterKeyID>x</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
     "InvalidArgument")])
def test_rules_that_are_wrong(wire, bucket, document, code):
    answer = wire.put(f"/{bucket}", document, query="encryption", headers={"Content-MD5": md5_of(document.encode())})
    assert answer.refusal == (400, code)


@pytest.mark.parametrize("types, status, code", [
    ("<EncryptionType>NONE</EncryptionType>", 200, None), ("<EncryptionType>SSE-C</EncryptionType>", 501, "NotImplemented"),
    ("<EncryptionType>AES256</EncryptionType>", 400, "MalformedXML")])
def test_what_a_bucket_does_not_take(s3, wire, bucket, types, status, code):
    """A rule may say what is blocked, and nothing else."""
    document = (f"<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes>{types}</BlockedEncryptionTypes></Rule>"
                "</ServerSideEncryptionConfiguration>")
    answer = wire.put(f"/{bucket}", document, query="encryption")
    assert (answer.status, answer.code) == (status, code)
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    assert s3.head_object(Bucket=bucket, Key="k").get("ServerSideEncryption") == (None if code else "AES256")


# By the client.

@pytest.mark.parametrize("size", [0, 1, 8193, 70_000])
def test_by_the_client(wire, bucket, size):
    body = BODY[:size]
    put = wire.put(f"/{bucket}/k", body, headers=customer())
    assert put.status == 200 and "x-amz-server-side-encryption" not in put.headers
    for answer in (put, wire.get(f"/{bucket}/k", headers=customer()), wire.head(f"/{bucket}/k", headers=customer())):
        assert answer.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
        assert answer.headers["x-amz-server-side-encryption-customer-key-md5"] == md5_of(KEY)
        assert "x-amz-server-side-encryption-customer-key" not in answer.headers
    assert wire.get(f"/{bucket}/k", headers=customer()).body == body
    assert wire.head(f"/{bucket}/k", headers=customer()).headers["content-length"] == str(size)
    if size > 10:
        ranged = wire.get(f"/{bucket}/k", headers={**customer(), "Range": f"bytes={size - 5}-"})
        assert (ranged.status, ranged.body) == (206, body[-5:])
    # Without the key, or with another, nothing is told.
    for method in ("GET", "HEAD"):
        assert wire.send(method, f"/{bucket}/k").status == 400
        assert wire.send(method, f"/{bucket}/k", headers=customer(OTHER)).status == 403
    assert wire.get(f"/{bucket}/k").code == "InvalidRequest"
    assert wire.get(f"/{bucket}/k", headers=customer(OTHER)).code == "AccessDenied"
    assert "etag" not in wire.head(f"/{bucket}/k").headers


def test_a_key_for_what_was_not_encrypted(wire, bucket):
    wire.put(f"/{bucket}/k", b"x")
    assert wire.get(f"/{bucket}/k", headers=customer()).refusal == (400, "InvalidRequest")
    assert wire.head(f"/{bucket}/k", headers=customer()).status == 400


PLACE = "x-amz-server-side-encryption-customer"
WRONG = [
    ({**customer(), f"{PLACE}-algorithm": "AES128"}, "InvalidEncryptionAlgorithmError"),
    ({**customer(), f"{PLACE}-key": base64_of(b"short")}, "InvalidArgument"),
    ({**customer(), f"{PLACE}-key": "not base64!"}, "InvalidArgument"),
    ({**customer(), f"{PLACE}-key-MD5": md5_of(OTHER)}, "InvalidArgument"),
    ({**customer(), f"{PLACE}-key-MD5": "x"}, "InvalidArgument"),
    ({f"{PLACE}-key": base64_of(KEY)}, "InvalidArgument"), ({f"{PLACE}-key-MD5": md5_of(KEY)}, "InvalidArgument"),
    ({f"{PLACE}-algorithm": "AES256"}, "InvalidArgument"),
    ({f"{PLACE}-algorithm": "AES256", f"{PLACE}-key": base64_of(KEY)}, "InvalidArgument"),
    ({f"{PLACE}-algorithm": "AES256", f"{PLACE}-key-MD5": md5_of(KEY)}, "InvalidArgument"),
]


@pytest.mark.parametrize("headers, code", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_keys_of_clients_that_are_wrong(wire, bucket, headers, code):
    for method, query, body in [("PUT", "", b"x"), ("POST", "uploads", b"")]:
        assert wire.send(method, f"/{bucket}/k", query=query, body=body, headers=headers).refusal == (400, code)
    wire.put(f"/{bucket}/k", b"x", headers=customer())
    assert wire.get(f"/{bucket}/k", headers=headers).status == 400


def test_parts_by_the_client(s3, wire, bucket):
    large = os.urandom(5 << 20)
    begun = wire.post(f"/{bucket}/k", query="uploads", headers=customer())
    assert begun.headers["x-amz-server-side-encryption-customer-key-md5"] == md5_of(KEY)
    query = "uploadId=" + begun.text("UploadId")
    # Each part with the same key.
    assert wire.put(f"/{bucket}/k", large, query=f"partNumber=1&{query}").status == 400
    assert wire.put(f"/{bucket}/k", large, query=f"partNumber=1&{query}", headers=customer(OTHER)).refusal == (
        400, "InvalidRequest")
    tags = [
        wire.put(f"/{bucket}/k", body, query=f"partNumber={number}&{query}", headers=customer()).headers["etag"]
        for number, body in [(1, large), (2, b"end")]]
    document = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1))
    document = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>"
    assert wire.post(f"/{bucket}/k", document, query=query, headers=customer(OTHER)).refusal == (400, "InvalidRequest")
    for _ in range(2):
        assert wire.post(f"/{bucket}/k", document, query=query, headers=customer()).status == 200
    assert wire.get(f"/{bucket}/k", headers=customer()).body == large + b"end"
    ranged = wire.get(f"/{bucket}/k", headers={**customer(), "Range": f"bytes={(5 << 20) - 1}-{5 << 20}"})
    assert ranged.body == large[-1:] + b"e"
    assert wire.get(f"/{bucket}/k").status == 400
    [listed] = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert listed["Size"] == (5 << 20) + 3


@pytest.mark.parametrize("how",
    [{}, {"x-amz-server-side-encryption": "AES256"}, {"x-amz-server-side-encryption": "aws:kms"}, customer(OTHER)],
    ids=["none", "store", "service", "client"])
def test_copies_of_what_a_client_encrypted(wire, bucket, how):
    wire.put(f"/{bucket}/from", BODY, headers=customer())
    copying = {"x-amz-copy-source": f"{bucket}/from"}
    assert wire.put(f"/{bucket}/to", headers={**copying, **how}).status == 400
    assert wire.put(f"/{bucket}/to", headers={**copying, **how, **source(OTHER)}).status == 403
    assert wire.put(f"/{bucket}/to", headers={**copying, **how, **source()}).status == 200
    reading = how if any("customer" in name for name in how) else {}
    assert wire.get(f"/{bucket}/to", headers=reading).body == BODY
    # And in parts.
    begun = wire.post(f"/{bucket}/parts", query="uploads", headers=how).text("UploadId")
    part = wire.put(
        f"/{bucket}/parts", query=f"partNumber=1&uploadId={begun}",
        headers={**copying, **source(), **reading, "x-amz-copy-source-range": "bytes=10-60009"})
    assert part.status == 200
    document = (
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
        f"<ETag>{part.text('ETag')}</ETag></Part></CompleteMultipartUpload>")
    assert wire.post(f"/{bucket}/parts", document, query=f"uploadId={begun}", headers=reading).status == 200
    assert wire.get(f"/{bucket}/parts", headers=reading).body == BODY[10:60_010]


def test_a_new_key_for_an_object(wire, bucket):
    """A copy onto itself."""
    wire.put(f"/{bucket}/k", BODY, headers=customer())
    assert wire.put(f"/{bucket}/k", headers={"x-amz-copy-source": f"{bucket}/k", **source(), **customer(OTHER)}).status == 200
    assert wire.get(f"/{bucket}/k", headers=customer(OTHER)).body == BODY and wire.get(f"/{bucket}/k",
        headers=customer()).status == 403


def test_attributes_and_tags_of_what_a_client_encrypted(wire, bucket):
    wire.put(f"/{bucket}/k", BODY, headers={**customer(), "x-amz-tagging": "a=1"})
    asked = {"x-amz-object-attributes": "ETag,ObjectSize"}
    assert wire.get(f"/{bucket}/k", query="attributes", headers=asked).status == 400
    assert wire.get(f"/{bucket}/k", query="attributes", headers={**asked, **customer()}).text("ObjectSize") == "70000"
    # Tags and lists are not encrypted.
    assert wire.get(f"/{bucket}/k", query="tagging").texts("TagSet/Tag/Key") == ["a"]
    assert wire.get(f"/{bucket}/k", query="acl").status == 200 and wire.delete(f"/{bucket}/k").status == 204


def test_as_clients_do_it(s3, bucket):
    how = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, **how)
    assert put["SSECustomerKeyMD5"] == md5_of(KEY) and read(s3, bucket, "k", **how) == BODY
    upload(s3, bucket, "parts", [b"one part"], **how)
    assert read(s3, bucket, "parts", **how) == b"one part"


def test_a_policy_that_wants_encryption(s3, stranger, bucket):
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}}}]}))
    wire = stranger.wire
    assert wire.put(f"/{bucket}/k", b"x").status == 403
    for other in ({"x-amz-server-side-encryption": "aws:kms"}, {"x-amz-server-side-encryption": "AES192"},
                  {"x-amz-server-side-encryption-customer-algorithm": "AES192"}):
        # Who may not write is told no more than that, though what is asked for is not there either.
        assert wire.put(f"/{bucket}/k", b"x", headers=other).refusal == (403, "AccessDenied")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert wire.put(f"/{bucket}/k", b"x", headers={"x-amz-server-side-encryption": "AES256"}).status == 200
