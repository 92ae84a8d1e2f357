"""Access control lists of buckets and objects: named, in headers, written out, and what they let others do
("Access control list (ACL) overview", Amazon S3 User Guide)."""

import botocore.exceptions
import pytest

from objects.wire import fill, md5_of, new_name, read, refused, status

EVERYONE = "http://acs.amazonaws.com/groups/global/AllUsers"
ACCOUNTS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOGS = "http://acs.amazonaws.com/groups/s3/LogDelivery"


def grants(answer):
    """As (whom, what) in no order."""
    return sorted((grant["Grantee"].get("URI") or grant["Grantee"].get("ID"), grant["Permission"]) for grant in answer["Grants"])


# What a name gives, besides the owner's all: for buckets and for objects.
CANNED = [
    ("private", [], []),
    ("public-read", [(EVERYONE, "READ")], [(EVERYONE, "READ")]),
    ("public-read-write", [(EVERYONE, "READ"), (EVERYONE, "WRITE")], [(EVERYONE, "READ"), (EVERYONE, "WRITE")]),
    ("authenticated-read", [(ACCOUNTS, "READ")], [(ACCOUNTS, "READ")]),
    ("log-delivery-write", [(LOGS, "READ_ACP"), (LOGS, "WRITE")], None),
    ("bucket-owner-read", None, []), ("bucket-owner-full-control", None, []),
]


@pytest.mark.parametrize("name, expected", [(name, of_bucket) for name, of_bucket, _ in CANNED if of_bucket is not None])
def test_lists_of_buckets_by_name(s3, owner, make_bucket, name, expected):
    whole = sorted([(owner.id, "FULL_CONTROL"), *expected])
    made, set_later = make_bucket(ACL=name), make_bucket()
    s3.put_bucket_acl(Bucket=set_later, ACL=name)
    for bucket in (made, set_later):
        found = s3.get_bucket_acl(Bucket=bucket)
        assert grants(found) == whole and found["Owner"]["ID"] == owner.id
    s3.put_bucket_acl(Bucket=made, ACL="private")
    assert grants(s3.get_bucket_acl(Bucket=made)) == [(owner.id, "FULL_CONTROL")]


@pytest.mark.parametrize("name, expected", [(name, of_object) for name, _, of_object in CANNED if of_object is not None])
def test_lists_of_objects_by_name(s3, owner, bucket, name, expected):
    whole = sorted([(owner.id, "FULL_CONTROL"), *expected])
    s3.put_object(Bucket=bucket, Key="put", Body=b"", ACL=name)
    fill(s3, bucket, ["later"])
    s3.put_object_acl(Bucket=bucket, Key="later", ACL=name)
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=f"{bucket}/put", ACL=name)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ACL=name)["UploadId"]
    tag = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    for key in ["put", "later", "copied", "parts"]:
        found = s3.get_object_acl(Bucket=bucket, Key=key)
        assert grants(found) == whole and found["Owner"]["ID"] == owner.id, key


def test_how_a_list_is_written(wire, owner, bucket):
    wire.put(f"/{bucket}/k", b"x", headers={"x-amz-acl": "public-read"})
    answer = wire.get(f"/{bucket}/k", query="acl")
    assert answer.document.tag == "AccessControlPolicy" and answer.headers["content-type"] == "application/xml"
    assert (answer.text("Owner/ID"), answer.text("Owner/DisplayName")) == (owner.id, owner.number)
    kind = "{http://www.w3.org/2001/XMLSchema-instance}type"
    shown = {
        grantee.get(kind): [child.tag for child in grantee] for grantee in answer.document.findall(
            "AccessControlList/Grant/Grantee")}
    assert shown == {"CanonicalUser": ["ID", "DisplayName"], "Group": ["URI"]}


def test_in_which_order_a_list_is_read(wire, s3, owner, stranger, make_bucket):
    """No order is promised; clients count on groups before accounts, and on headers in the order of the reference."""

    def order(answer):
        return [(grant["Grantee"].get("URI") or grant["Grantee"]["ID"], grant["Permission"]) for grant in answer["Grants"]]

    bucket = make_bucket(ACL="public-read-write")
    expected = [(EVERYONE, "READ"), (EVERYONE, "WRITE"), (owner.id, "FULL_CONTROL")]
    assert order(s3.get_bucket_acl(Bucket=bucket)) == expected
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="public-read-write")
    assert order(s3.get_object_acl(Bucket=bucket, Key="k")) == expected
    said = {header: f"id={stranger.id}" for _, header in PERMISSIONS}
    for path in [f"/{bucket}/k", f"/{bucket}"]:
        assert wire.put(path, query="acl", headers=said).status == 200
    expected = [(stranger.id, permission) for permission in ["READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"]]
    for found in (s3.get_object_acl(Bucket=bucket, Key="k"), s3.get_bucket_acl(Bucket=bucket)):
        assert order(found) == expected


PERMISSIONS = [
    ("FULL_CONTROL", "x-amz-grant-full-control"), ("READ", "x-amz-grant-read"), ("WRITE", "x-amz-grant-write"),
    ("READ_ACP", "x-amz-grant-read-acp"), ("WRITE_ACP", "x-amz-grant-write-acp")]


@pytest.mark.parametrize("permission, header", PERMISSIONS)
def test_grants_in_headers(wire, s3, stranger, make_bucket, permission, header):
    bucket = make_bucket()
    text = f'id="{stranger.id}", uri="{EVERYONE}"'
    expected = sorted([(stranger.id, permission), (EVERYONE, permission)])
    for path, query, method in [(f"/{bucket}", "acl", "PUT"), (f"/{bucket}/k", "", "PUT"), (f"/{bucket}/k", "acl", "PUT")]:
        assert wire.send(method, path, query=query, headers={header: text}).status == 200
        found = s3.get_object_acl(Bucket=bucket, Key="k") if "/k" in path else s3.get_bucket_acl(Bucket=bucket)
        assert grants(found) == expected
    # Without quotes too, and at a bucket's making.
    name = new_name()
    assert wire.put(f"/{name}", headers={header: f"id={stranger.id}"}).status == 200
    try:
        assert grants(s3.get_bucket_acl(Bucket=name)) == [(stranger.id, permission)]
    finally:
        s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("permission", [permission for permission, _ in PERMISSIONS])
def test_lists_written_out(s3, owner, stranger, bucket, permission):
    policy = {
        "Owner": {"ID": owner.id}, "Grants": [
            {"Grantee": {"Type": "CanonicalUser", "ID": owner.id}, "Permission": "FULL_CONTROL"},
            {"Grantee": {"Type": "CanonicalUser", "ID": stranger.id}, "Permission": permission},
            {"Grantee": {"Type": "Group", "URI": ACCOUNTS}, "Permission": permission}]}
    expected = sorted([(owner.id, "FULL_CONTROL"), (stranger.id, permission), (ACCOUNTS, permission)])
    fill(s3, bucket, ["k"])
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=policy)
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=policy)
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == grants(s3.get_object_acl(Bucket=bucket, Key="k")) == expected


def test_what_is_read_can_be_written(wire, bucket):
    wire.put(f"/{bucket}", headers={"x-amz-acl": "public-read"}, query="acl")
    document = wire.get(f"/{bucket}", query="acl").body
    assert wire.put(f"/{bucket}", document, query="acl").status == 200
    assert wire.get(f"/{bucket}", query="acl").body == document


def test_no_grant_at_all(s3, owner, bucket):
    """An owner may take even the own rights away, and sets the list again."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={"Owner": {"ID": owner.id}, "Grants": []})
    assert s3.get_object_acl(Bucket=bucket, Key="k")["Grants"] == []
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    assert read(s3, bucket, "k") == b"x"


NOBODY = "0" * 64
WRONG = [
    ({"x-amz-acl": "public"}, "", (400, "InvalidArgument")),
    ({"x-amz-acl": ""}, "", (400, "InvalidArgument")),
    ({"x-amz-grant-read": f"id={NOBODY}"}, "", (400, "InvalidArgument")),
    ({"x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/global/Nobody"}, "", (400, "InvalidArgument")),
    ({"x-amz-grant-read": "emailAddress=nobody@example.com"}, "", (400, "UnresolvableGrantByEmailAddress")),
    ({"x-amz-grant-read": "name=x"}, "", (400, "InvalidArgument")),
    ({"x-amz-acl": "private", "x-amz-grant-read": "id={owner}"}, "", (400, "InvalidRequest")),
    ({}, "nothing", (400, "MalformedACLError")),
    ({}, "<AccessControlPolicy/>", (400, "MalformedACLError")),
    ({}, "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner></AccessControlPolicy>", (400, "MalformedACLError")),
    ({}, "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant><Grantee><ID>{owner}</ID></Grantee>"
         "<Permission>EVERYTHING</Permission></Grant></AccessControlList></AccessControlPolicy>", (400, "MalformedACLError")),
    ({}, "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant><Permission>READ</Permission></Grant>"
         "</AccessControlList></AccessControlPolicy>", (400, "MalformedACLError")),
    ({}, "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant><Grantee><ID>" + NOBODY + "</ID></Grantee>"
         "<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>", (400, "InvalidArgument")),
    # Whose it is cannot be changed.
    ({}, "<AccessControlPolicy><Owner><ID>{stranger}</ID></Owner><AccessControlList/></AccessControlPolicy>",
     (403, "AccessDenied")),
]


@pytest.mark.parametrize("headers, body, refusal", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_lists_that_are_wrong(wire, s3, owner, stranger, bucket, headers, body, refusal):
    fill(s3, bucket, ["k"])
    names = {"owner": owner.id, "stranger": stranger.id}
    headers = {name: value.format(**names) for name, value in headers.items()}
    body = body.format(**names)
    for path in (f"/{bucket}", f"/{bucket}/k"):
        assert wire.put(path, body, query="acl", headers={**headers, "Content-MD5": md5_of(body.encode())}).refusal == refusal
    assert grants(s3.get_bucket_acl(Bucket=bucket)) == [(owner.id, "FULL_CONTROL")]
    if headers:
        assert wire.put(f"/{bucket}/k", b"new", headers=headers).refusal == refusal
        assert wire.post(f"/{bucket}/k", query="uploads", headers=headers).refusal == refusal
        assert wire.put(f"/{bucket}/to", headers={**headers, "x-amz-copy-source": f"{bucket}/k"}).refusal == refusal
        assert read(s3, bucket, "k") == b"x"


def test_an_account_can_be_named_as_soon_as_it_is_there(wire, bucket, make_account):
    """Also where one that is not there was looked for just before."""
    assert wire.put(f"/{bucket}", query="acl", headers={"x-amz-grant-read": f"id={NOBODY}"}).refusal == (400, "InvalidArgument")
    newcomer = make_account(new_name("a"))
    assert wire.put(f"/{bucket}", query="acl", headers={"x-amz-grant-read": f"id={newcomer.id}"}).status == 200
    assert newcomer.s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_neither_headers_nor_a_document(wire, bucket):
    assert wire.put(f"/{bucket}", query="acl").refusal == (400, "MissingSecurityHeader")


def test_more_grants_than_a_list_has(s3, owner, bucket):
    """One hundred at most."""
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": owner.id}, "Permission": "READ"}
    policy = {"Owner": {"ID": owner.id}, "Grants": [grant] * 101}
    assert refused(s3.put_bucket_acl, Bucket=bucket, AccessControlPolicy=policy) == (400, "MalformedACLError")


def test_lists_of_what_is_not_there(s3, bucket):
    assert refused(s3.get_object_acl, Bucket=bucket, Key="none") == (404, "NoSuchKey")
    assert refused(s3.put_object_acl, Bucket=bucket, Key="none", ACL="private") == (404, "NoSuchKey")
    assert refused(s3.get_bucket_acl, Bucket=new_name()) == (404, "NoSuchBucket")
    assert refused(s3.put_bucket_acl, Bucket=new_name(), ACL="private") == (404, "NoSuchBucket")


# What a grant on a bucket lets the other account do.
ON_BUCKETS = {
    "READ": {"list_objects", "list_objects_v2", "list_object_versions", "list_multipart_uploads", "head_bucket"},
    "WRITE": {"put_object", "delete_object", "create_multipart_upload"},
    "READ_ACP": {"get_bucket_acl"},
    "WRITE_ACP": {"put_bucket_acl"},
}
ON_BUCKETS["FULL_CONTROL"] = set.union(*ON_BUCKETS.values())
BUCKET_CALLS = {
    "list_objects": {}, "list_objects_v2": {}, "list_object_versions": {}, "list_multipart_uploads": {}, "head_bucket": {},
    "put_object": {"Key": "new", "Body": b""}, "delete_object": {"Key": "none"}, "create_multipart_upload": {"Key": "up"},
    "get_bucket_acl": {}, "put_bucket_acl": {"GrantFullControl": "id={stranger}"},
    # None of these is any grant's.
    "get_object": {"Key": "k"}, "get_bucket_policy": {}, "delete_bucket": {}, "get_bucket_versioning": {},
    "get_bucket_location": {},
    "get_bucket_tagging": {}, "get_object_acl": {"Key": "k"}, "get_object_tagging": {"Key": "k"},
}


def may(client, name, **arguments):
    """Whether a call is let through; whatever it is refused for besides."""
    try:
        getattr(client, name)(**arguments)
        return True
    except botocore.exceptions.ClientError as fault:
        if fault.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return False
        raise


@pytest.mark.parametrize("permission", ON_BUCKETS)
def test_what_a_grant_on_a_bucket_is_worth(s3, other, owner, stranger, bucket, permission):
    fill(s3, bucket, ["k"])
    s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy={"Owner": {"ID": owner.id}, "Grants": [
        {"Grantee": {"Type": "CanonicalUser", "ID": stranger.id}, "Permission": permission}]})
    able = set()
    for name, arguments in BUCKET_CALLS.items():
        arguments = {key: value.format(stranger=stranger.id) if isinstance(value, str) else value
            for key, value in arguments.items()}
        if may(other, name, Bucket=bucket, **arguments):
            able.add(name)
        if name == "put_bucket_acl" and name in able:
            assert grants(s3.get_bucket_acl(Bucket=bucket)) == [(stranger.id, "FULL_CONTROL")]
            break
    if "put_bucket_acl" in able:
        # Which it has given itself everything with.
        able -= {"put_bucket_acl"}
        assert able == ON_BUCKETS[permission] - {"put_bucket_acl"}
    else:
        assert able == ON_BUCKETS[permission]


ON_OBJECTS = {"READ": {"get_object", "head_object"}, "WRITE": set(), "READ_ACP": {"get_object_acl"},
    "WRITE_ACP": {"put_object_acl"}}
ON_OBJECTS["FULL_CONTROL"] = set.union(*ON_OBJECTS.values())


@pytest.mark.parametrize("permission", ON_OBJECTS)
def test_what_a_grant_on_an_object_is_worth(s3, other, owner, stranger, bucket, permission):
    fill(s3, bucket, ["k"])
    s3.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={"Owner": {"ID": owner.id}, "Grants": [
        {"Grantee": {"Type": "CanonicalUser", "ID": stranger.id}, "Permission": permission}]})
    calls = {
        "get_object": {}, "head_object": {}, "get_object_acl": {}, "put_object": {"Body": b""}, "delete_object": {},
        "get_object_tagging": {}, "put_object_acl": {"ACL": "private"}}
    assert {name for name, more in calls.items() if may(other, name, Bucket=bucket, Key="k", **more)} == ON_OBJECTS[permission]


# Of lists with a name: may the stranger, may nobody list; write; read an object of that list.
NAMED = [
    ("private", (False, False), (False, False)), ("public-read", (True, True), (False, False)),
    ("public-read-write", (True, True), (True, True)), ("authenticated-read", (True, False), (False, False))]


@pytest.mark.parametrize("name, lists, writes", NAMED)
def test_what_lists_with_a_name_are_worth(s3, other, anonymous, make_bucket, name, lists, writes):
    bucket = make_bucket(ACL=name)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL=name)
    for client, may_list, may_write in zip((other, anonymous), lists, writes):
        assert may(client, "list_objects_v2", Bucket=bucket) is may_list
        assert may(client, "put_object", Bucket=bucket, Key="new", Body=b"") is may_write
        assert may(client, "delete_object", Bucket=bucket, Key="new") is may_write
        # An object's list is read as the bucket's is; writing it is the bucket's affair.
        assert may(client, "get_object", Bucket=bucket, Key="k") is may_list


@pytest.mark.parametrize("bucket_acl", ["private", "public-read", "public-read-write"])
@pytest.mark.parametrize("object_acl", ["private", "public-read", "public-read-write"])
def test_a_bucket_and_its_objects_have_lists_of_their_own(s3, anonymous, make_bucket, bucket_acl, object_acl):
    bucket = make_bucket(ACL=bucket_acl)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL=object_acl)
    assert may(anonymous, "get_object", Bucket=bucket, Key="k") is (object_acl != "private")
    assert may(anonymous, "list_objects_v2", Bucket=bucket) is (bucket_acl != "private")
    assert may(anonymous, "put_object", Bucket=bucket, Key="k", Body=b"y") is (bucket_acl == "public-read-write")


def test_what_others_put_is_theirs(s3, other, owner, stranger, make_bucket):
    """Where objects belong to who writes them, the bucket's owner may remove and list but not read."""
    bucket = make_bucket(ACL="public-read-write")
    other.put_object(Bucket=bucket, Key="theirs", Body=b"x")
    assert other.get_object_acl(Bucket=bucket, Key="theirs")["Owner"]["ID"] == stranger.id
    assert refused(s3.get_object, Bucket=bucket, Key="theirs") == (403, "AccessDenied")
    [listed] = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    assert listed["Owner"]["ID"] == stranger.id
    other.put_object_acl(Bucket=bucket, Key="theirs", ACL="bucket-owner-read")
    assert read(s3, bucket, "theirs") == b"x" and refused(s3.get_object_acl, Bucket=bucket, Key="theirs") == (403, "AccessDenied")
    other.put_object_acl(Bucket=bucket, Key="theirs", ACL="bucket-owner-full-control")
    assert grants(s3.get_object_acl(Bucket=bucket, Key="theirs")) == sorted(
        [(stranger.id, "FULL_CONTROL"), (owner.id, "FULL_CONTROL")])
    other.put_object_acl(Bucket=bucket, Key="theirs", ACL="private")
    assert status(s3.delete_object(Bucket=bucket, Key="theirs")) == 204
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
