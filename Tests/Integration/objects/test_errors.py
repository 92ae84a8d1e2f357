"""Every operation, what it can be asked wrongly, and how it says so ("Error responses", Amazon S3 API
Reference)."""

import pytest

from objects.wire import Wire, a_bucket, fill, md5_of, quoted

# Each sub-resource of a bucket that can be written: a document that is right, and its root element.
DOCUMENTS = {
    "acl": "<AccessControlPolicy/>",
    "cors": "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>"
            "</CORSConfiguration>",
    "object-lock": "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
    "ownershipControls": "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
    "publicAccessBlock": "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
    "requestPayment": "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
    "tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    "versioning": "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
}
ABSENT = {
    "cors": "NoSuchCORSConfiguration", "lifecycle": "NoSuchLifecycleConfiguration",
    "object-lock": "ObjectLockConfigurationNotFoundError", "policy": "NoSuchBucketPolicy",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration", "replication": "ReplicationConfigurationNotFoundError",
    "tagging": "NoSuchTagSet", "website": "NoSuchWebsiteConfiguration",
}
PRESENT = {
    "accelerate": "AccelerateConfiguration", "acl": "AccessControlPolicy", "location": "LocationConstraint",
    "logging": "BucketLoggingStatus",
    "notification": "NotificationConfiguration", "policyStatus": "PolicyStatus", "requestPayment": "RequestPaymentConfiguration",
    "versioning": "VersioningConfiguration",
    "uploads": "ListMultipartUploadsResult", "versions": "ListVersionsResult", "list-type=2": "ListBucketResult",
    "": "ListBucketResult",
}

OF_BUCKETS = [
    ("GET", query, "") for query in [*ABSENT, *PRESENT, "encryption", "ownershipControls"]
] + [("HEAD", "", ""), ("DELETE", "", "")] + [
    ("DELETE", query, "") for query in ["cors", "encryption", "lifecycle", "ownershipControls", "policy", "publicAccessBlock",
     "replication", "tagging", "website"]
] + [("PUT", query, document) for query, document in DOCUMENTS.items()] + [
    ("POST", "delete", "<Delete><Object><Key>k</Key></Object></Delete>")]

OF_OBJECTS = [
    ("GET", "", ""), ("HEAD", "", ""), ("GET", "acl", ""), ("GET", "tagging", ""), ("GET", "retention", ""),
    ("GET", "legal-hold", ""),
    ("GET", "attributes", ""), ("PUT", "acl", ""), ("PUT", "tagging", DOCUMENTS["tagging"]), ("DELETE", "tagging", ""),
    ("PUT", "retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>"),
    ("PUT", "legal-hold", "<LegalHold><Status>ON</Status></LegalHold>"),
]
MAKING = [("PUT", "", "x"), ("POST", "uploads", ""), ("PUT", "partNumber=1&uploadId=u", "x"), ("GET", "uploadId=u", ""),
    ("DELETE", "uploadId=u", ""),
          ("POST", "uploadId=u",
           "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"),
               ("DELETE", "", "")]


def extra(query, body):
    headers = {"Content-MD5": md5_of(body.encode())} if body else {}
    if query == "attributes":
        headers["x-amz-object-attributes"] = "ETag"
    if query == "acl":
        headers["x-amz-acl"] = "private"
    return headers


@pytest.fixture(scope="module")
def shelf(s3):
    with a_bucket(s3) as name:
        fill(s3, name, ["k"])
        yield name


def check(answer, status, code, method):
    assert answer.status == status
    if method == "HEAD":
        assert answer.body == b""
        return
    assert answer.headers["content-type"] == "application/xml" and answer.document.tag == "Error"
    assert answer.code == code and answer.text("Message") and answer.text("RequestId") == answer.headers["x-amz-request-id"]


@pytest.mark.parametrize("method, query, body", OF_BUCKETS, ids=lambda value: str(value)[:24])
def test_no_such_bucket(wire, method, query, body):
    answer = wire.send(method, "/no-such-bucket-at-all", query=query, body=body, headers=extra(query, body))
    check(answer, 404, "NoSuchBucket", method)


@pytest.mark.parametrize("method, query, body", OF_OBJECTS + MAKING, ids=lambda value: str(value)[:24])
def test_no_such_bucket_of_an_object(wire, method, query, body):
    check(wire.send(method, "/no-such-bucket-at-all/k", query=query, body=body, headers=extra(query, body)), 404, "NoSuchBucket",
        method)


@pytest.mark.parametrize("method, query, body", OF_OBJECTS, ids=lambda value: str(value)[:24])
def test_no_such_key(wire, shelf, method, query, body):
    answer = wire.send(method, f"/{shelf}/none", query=query, body=body, headers=extra(query, body))
    check(answer, 404, "NoSuchKey", method)


@pytest.mark.parametrize("method, query, body", OF_BUCKETS, ids=lambda value: str(value)[:24])
def test_another_accounts_bucket(stranger, shelf, method, query, body):
    answer = stranger.wire.send(method, f"/{shelf}", query=query, body=body, headers=extra(query, body))
    if query == "delete":
        assert answer.texts("Error/Code") == ["AccessDenied"] and answer.status == 200
    else:
        check(answer, 403, "AccessDenied", method)


@pytest.mark.parametrize("method, query, body", OF_OBJECTS + MAKING, ids=lambda value: str(value)[:24])
def test_another_accounts_object(s3, stranger, shelf, method, query, body):
    for key in ("k", "none"):
        answer = stranger.wire.send(method, f"/{shelf}/{key}", query=query, body=body, headers=extra(query, body))
        check(answer, 403, "AccessDenied", method)
    assert s3.head_object(Bucket=shelf, Key="k")["ContentLength"] == 1


@pytest.mark.parametrize("query, code", ABSENT.items())
def test_what_nobody_set(wire, shelf, query, code):
    check(wire.get(f"/{shelf}", query=query), 404, code, "GET")


@pytest.mark.parametrize("query, root", PRESENT.items())
def test_what_is_there_without_being_set(wire, shelf, query, root):
    answer = wire.get(f"/{shelf}", query=query)
    assert answer.status == 200 and answer.document.tag == root and answer.headers["content-type"] == "application/xml"
    assert b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' in answer.body


@pytest.mark.parametrize("query", [query for query in DOCUMENTS if query != "acl"])
@pytest.mark.parametrize("body",
    ["", "nothing", "<", "<Other/>", "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>"])
def test_documents_that_are_none(wire, bucket, query, body):
    answer = wire.put(f"/{bucket}", body, query=query, headers={"Content-MD5": md5_of(body.encode())})
    assert answer.refusal == (400, "MalformedXML" if body else "MissingRequestBodyError")


# All that is read as a document, and what its owner is told of one that is none.
SETTINGS = [
    "accelerate", "cors", "encryption", "lifecycle", "logging", "notification", "object-lock", "ownershipControls",
    "publicAccessBlock", "replication", "requestPayment", "tagging", "versioning", "website"]
READ = [("PUT", "/{}", query, "MalformedXML") for query in SETTINGS] + [
    ("PUT", "/{}", "acl", "MalformedACLError"), ("PUT", "/{}", "policy", "MalformedPolicy"),
    ("PUT", "/{}/k", "acl", "MalformedACLError"), ("PUT", "/{}/k", "tagging", "MalformedXML"),
    ("PUT", "/{}/k", "retention", "MalformedXML"), ("PUT", "/{}/k", "legal-hold", "MalformedXML"),
    ("POST", "/{}/k", "uploadId=u", "MalformedXML")]


@pytest.mark.parametrize("method, path, query, code", READ, ids=lambda value: str(value)[:24])
def test_who_may_not_is_not_told_what_is_wrong(wire, stranger, shelf, method, path, query, code):
    for body in ["nothing", "<Other/>", "{}"]:
        asked = dict(query=query, body=body, headers={"Content-MD5": md5_of(body.encode())})
        assert wire.send(method, path.format(shelf), **asked).refusal == (400, code)
        assert stranger.wire.send(method, path.format(shelf), **asked).refusal == (403, "AccessDenied")


@pytest.mark.parametrize("headers, code", [
    ({"x-amz-tagging": "a=1&a=2"}, "InvalidArgument"), ({"x-amz-acl": "none-such"}, "InvalidArgument"),
    ({"x-amz-object-lock-mode": "GOVERNANCE"}, "InvalidArgument"), ({"x-amz-storage-class": "none"}, "InvalidStorageClass"),
    ({"x-amz-server-side-encryption": "none"}, "InvalidArgument"), ({"x-amz-meta-long": "x" * 2050}, "MetadataTooLarge")])
def test_who_may_not_put_is_not_told_what_is_wrong(wire, stranger, shelf, headers, code):
    for method, query in [("PUT", ""), ("POST", "uploads")]:
        asked = dict(query=query, headers=headers)
        assert wire.send(method, f"/{shelf}/new", **asked).refusal == (400, code)
        assert stranger.wire.send(method, f"/{shelf}/new", **asked).refusal == (403, "AccessDenied")


def test_tags_that_cannot_be_are_the_owners_to_know(wire, stranger, shelf):
    body = "<Tagging><TagSet><Tag><Key>aws:a</Key><Value>b</Value></Tag></TagSet></Tagging>"
    for path in (f"/{shelf}", f"/{shelf}/k"):
        assert wire.put(path, body, query="tagging").refusal == (400, "InvalidTag")
        assert stranger.wire.put(path, body, query="tagging").refusal == (403, "AccessDenied")


@pytest.mark.parametrize("query", DOCUMENTS)
def test_documents_that_were_damaged(wire, bucket, query):
    answer = wire.put(f"/{bucket}", DOCUMENTS[query], query=query, headers={"Content-MD5": md5_of(b"other")})
    assert answer.refusal == (400, "BadDigest")
    answer = wire.put(f"/{bucket}", DOCUMENTS[query], query=query, headers={"Content-MD5": "short"})
    assert answer.refusal == (400, "InvalidDigest")


@pytest.mark.parametrize("method, path, query", [
    ("POST", "/", ""), ("DELETE", "/", ""), ("PUT", "/", ""), ("PATCH", "/{bucket}", ""), ("TRACE", "/{bucket}", ""),
    ("LINK", "/{bucket}/k", ""),
    ("PATCH", "/{bucket}/k", ""), ("POST", "/{bucket}", "versioning"), ("DELETE", "/{bucket}", "versioning"),
    ("DELETE", "/{bucket}", "requestPayment"),
    ("POST", "/{bucket}/k", "acl"), ("DELETE", "/{bucket}", "location"), ("DELETE", "/{bucket}/k", "acl")])
def test_methods_that_are_not_allowed(s3, wire, bucket, method, path, query):
    fill(s3, bucket, ["k"])
    answer = wire.send(method, path.format(bucket=bucket), query=query)
    assert answer.refusal == (405, "MethodNotAllowed")
    # And least of all did it do what it would without the sub-resource.
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 1


# Signatures: what is changed of a good request, and what is said.
def without(*names):
    return {name: None for name in names}


SIGNATURES = [
    ({"changed": {"Authorization": "AWS4-HMAC-SHA256 nothing"}}, (400, "AuthorizationHeaderMalformed")),
    ({"changed": {"Authorization": "Bearer token"}}, (400, "InvalidArgument")),
    ({"changed": {"Authorization": "AWS4 nothing"}}, (400, "InvalidArgument")),
    ({"changed": {"Authorization": ""}}, (403, "AccessDenied")),
    ({"changed": without("x-amz-date")}, (403, "AccessDenied")), ({"changed": {"x-amz-date": ""}}, (403, "AccessDenied")),
    ({"changed": {"x-amz-date": "yesterday"}}, (403, "AccessDenied")),
    ({"changed": {"x-amz-date": "20100707T215304Z"}}, (403, "SignatureDoesNotMatch")),
    ({"changed": without("x-amz-content-sha256")},
     (400, "InvalidRequest")),
    ({"changed": {"x-amz-content-sha256": "0" * 64}}, (403, "SignatureDoesNotMatch")),
    ({"skew": 1200}, (403, "RequestTimeTooSkewed")), ({"skew": -1200}, (403, "RequestTimeTooSkewed")),
    ({"changed": {"x-amz-acl": "public-read"}}, (403, "AccessDenied")),
]


@pytest.mark.parametrize("changes, refusal", SIGNATURES, ids=[str(number) for number in range(len(SIGNATURES))])
def test_signatures(wire, shelf, changes, refusal):
    assert wire.get(f"/{shelf}/k", **changes).refusal == refusal


def test_a_signature_of_something_else(wire, shelf):
    def changed(name, old, new):
        headers = dict(wire.signed("GET", f"/{shelf}/k", [], b""))
        assert old in headers[name]
        headers[name] = headers[name].replace(old, new)
        return wire.get(f"/{shelf}/k", headers=headers, signed=False)

    key = wire.credentials.access_key
    assert changed("Authorization", "Signature=", "Signature=0").refusal == (403, "SignatureDoesNotMatch")
    assert changed("Authorization", key, "AKIAAAAAAAAAAAAAAAAA").refusal == (403, "InvalidAccessKeyId")
    assert changed("Authorization", "aws4_request", "aws5_request").refusal == (403, "SignatureDoesNotMatch")
    headers = dict(wire.signed("GET", f"/{shelf}/k", [], b""))
    for method, path, query in [("HEAD", f"/{shelf}/k", ""), ("GET", f"/{shelf}/l", ""), ("GET", f"/{shelf}/k", "acl"),
        ("DELETE", f"/{shelf}/k", "")]:
        assert wire.send(method, path, headers=headers, query=query, signed=False).status == 403
    good = wire.get(f"/{shelf}/k", headers=headers, signed=False)
    assert good.status == 200


def test_any_region_is_meant(owner, shelf):
    """Clients that are given another endpoint often keep a region of AWS's; it is taken, and is in the signature."""
    abroad = Wire(owner.wire.port, "us-west-2", owner.key, owner.secret)
    assert abroad.get(f"/{shelf}/k").status == 200
    headers = dict(abroad.signed("GET", f"/{shelf}/k", [], b""))
    headers["Authorization"] = headers["Authorization"].replace("us-west-2", owner.wire.region)
    assert abroad.get(f"/{shelf}/k", headers=headers, signed=False).refusal == (403, "SignatureDoesNotMatch")


def test_a_changed_body(wire, bucket):
    headers = dict(wire.signed("PUT", f"/{bucket}/k", [], b"body"))
    assert wire.put(f"/{bucket}/k", b"bodY", headers=headers, signed=False).refusal == (400, "XAmzContentSHA256Mismatch")
    assert wire.head(f"/{bucket}/k").status == 404
    assert wire.put(f"/{bucket}/k", b"body", headers=headers, signed=False).status == 200


def test_signed_two_ways(s3, wire, shelf):
    """A presigned address and a signed header are one too many."""
    url = s3.generate_presigned_url("get_object", Params={"Bucket": shelf, "Key": "k"})
    query = url.split("?", 1)[1]
    answer = wire.get(f"/{shelf}/k", query=query)
    assert answer.refusal == (400, "InvalidArgument")


@pytest.mark.parametrize("key", ["k", "ü <&>", "a\nb"])
def test_errors_can_be_read(wire, shelf, key):
    """Whatever the key has in it."""
    answer = wire.get(f"/{shelf}/none {quoted(key)}".replace(" ", "%20"))
    assert answer.refusal == (404, "NoSuchKey")


def test_a_copy_that_is_refused_says_so_with_its_status(wire, shelf):
    answer = wire.put(f"/{shelf}/to", headers={"x-amz-copy-source": f"{shelf}/none"})
    check(answer, 404, "NoSuchKey", "PUT")


def test_errors_say_what_they_are_about(wire, shelf):
    assert wire.get(f"/{shelf}/none").text("Key") == "none"
    assert wire.get("/no-such-bucket-at-all").text("BucketName") == "no-such-bucket-at-all"
    assert wire.get(f"/{shelf}", query="policy").text("BucketName") == shelf
    assert wire.get(f"/{shelf}/k", query="uploadId=u").text("UploadId") == "u"


def test_too_large_a_document(wire, bucket):
    body = "<Tagging>" + " " * (3 << 20) + "</Tagging>"
    answer = wire.put(f"/{bucket}", body, query="tagging")
    assert answer.refusal == (400, "MaxMessageLengthExceeded")


@pytest.mark.parametrize("query", [
    "torrent", "restore", "select", "inventory", "analytics", "metrics", "intelligent-tiering", "metadataTable", "abac"])
def test_what_is_not_built_is_not_taken_for_something_else(s3, wire, bucket, query):
    fill(s3, bucket, ["k"])
    for method in ("GET", "PUT", "DELETE", "POST"):
        for path in (f"/{bucket}", f"/{bucket}/k"):
            assert wire.send(method, path, query=query).refusal == (501, "NotImplemented")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 1
