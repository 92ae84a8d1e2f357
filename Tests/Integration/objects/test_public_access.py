"""What blocks public access ("Blocking public access to your Amazon S3 storage", Amazon S3 User Guide)."""

import json

import pytest

from objects.wire import fill, md5_of, read, refused, status

NAMES = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]


def block(s3, bucket, *names):
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={name: name in names for name in NAMES})


def public_policy(bucket, actions="s3:GetObject", principal="*"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": principal, "Action": actions,
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}]})


def test_a_block_is_set_read_and_removed(s3, bucket):
    assert refused(s3.get_public_access_block, Bucket=bucket) == (404, "NoSuchPublicAccessBlockConfiguration")
    for chosen in [NAMES[:1], NAMES[1:3], NAMES, []]:
        block(s3, bucket, *chosen)
        assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == {
            name: name in chosen for name in NAMES}
    assert status(s3.delete_public_access_block(Bucket=bucket)) == 204
    assert refused(s3.get_public_access_block, Bucket=bucket) == (404, "NoSuchPublicAccessBlockConfiguration")


def test_what_is_not_said_is_off(s3, bucket):
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    found = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert found == {name: name == "BlockPublicAcls" for name in NAMES}


@pytest.mark.parametrize("document", [
    "<Other/>", "<PublicAccessBlockConfiguration>",
    "<PublicAccessBlockConfiguration><BlockPublicAcls>perhaps</BlockPublicAcls></PublicAccessBlockConfiguration>"])
def test_blocks_that_are_wrong(wire, bucket, document):
    answer = wire.put(f"/{bucket}", document, query="publicAccessBlock", headers={"Content-MD5": md5_of(document.encode())})
    assert answer.refusal == (400, "MalformedXML")


@pytest.mark.parametrize("acl", ["public-read", "public-read-write", "authenticated-read"])
def test_public_lists_are_refused(s3, bucket, acl):
    fill(s3, bucket, ["k"])
    block(s3, bucket, "BlockPublicAcls")
    refusal = (403, "AccessDenied")
    assert refused(s3.put_bucket_acl, Bucket=bucket, ACL=acl) == refusal
    assert refused(s3.put_object_acl, Bucket=bucket, Key="k", ACL=acl) == refusal
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"y", ACL=acl) == refusal
    assert refused(s3.copy_object, Bucket=bucket, Key="to", CopySource=f"{bucket}/k", ACL=acl) == refusal
    assert refused(s3.create_multipart_upload, Bucket=bucket, Key="k", ACL=acl) == refusal
    assert refused(
        s3.put_object_acl, Bucket=bucket, Key="k", GrantRead="uri=http://acs.amazonaws.com/groups/global/AllUsers") == refusal
    # Others are taken.
    for name in ["private", "bucket-owner-full-control"]:
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", ACL=name)
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    assert read(s3, bucket, "k") == b"y"


def test_grants_to_one_account_are_not_public(s3, other, stranger, bucket):
    block(s3, bucket, *NAMES)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", GrantRead=f"id={stranger.id}")
    assert read(other, bucket, "k") == b"x"


def test_public_lists_are_ignored(s3, other, anonymous, stranger, make_bucket):
    bucket = make_bucket(ACL="public-read")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"x", GrantRead=f"id={stranger.id}")
    assert read(anonymous, bucket, "k") == b"x" and anonymous.list_objects_v2(Bucket=bucket)["KeyCount"] == 2
    block(s3, bucket, "IgnorePublicAcls")
    for client in (other, anonymous):
        assert refused(client.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
        assert refused(client.list_objects_v2, Bucket=bucket) == (403, "AccessDenied")
    # They may still be set, grants to one account count, and so they do again afterwards.
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert read(other, bucket, "theirs") == b"x"
    s3.delete_public_access_block(Bucket=bucket)
    assert read(anonymous, bucket, "k") == b"x"


def test_public_policies_are_refused(s3, other, stranger, bucket):
    block(s3, bucket, "BlockPublicPolicy")
    assert refused(s3.put_bucket_policy, Bucket=bucket, Policy=public_policy(bucket)) == (403, "AccessDenied")
    assert refused(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    s3.put_bucket_policy(Bucket=bucket, Policy=public_policy(bucket, principal={"AWS": stranger.number}))
    fill(s3, bucket, ["k"])
    assert read(other, bucket, "k") == b"x"


def test_a_public_bucket_is_restricted_to_its_account(s3, other, anonymous, stranger, bucket):
    fill(s3, bucket, ["k"])
    s3.put_bucket_policy(Bucket=bucket, Policy=public_policy(bucket, ["s3:GetObject", "s3:ListBucket"]))
    assert read(anonymous, bucket, "k") == b"x"
    block(s3, bucket, "RestrictPublicBuckets")
    for client in (other, anonymous):
        assert refused(client.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    assert read(s3, bucket, "k") == b"x"
    # A policy that is not public is not restricted.
    s3.put_bucket_policy(Bucket=bucket, Policy=public_policy(bucket, principal={"AWS": stranger.number}))
    assert read(other, bucket, "k") == b"x"


def test_a_bucket_cannot_be_made_public_where_lists_are_blocked(s3, anonymous, make_bucket):
    bucket = make_bucket(ACL="public-read-write")
    block(s3, bucket, *NAMES)
    assert refused(anonymous.put_object, Bucket=bucket, Key="k", Body=b"") == (403, "AccessDenied")


def test_who_may_see_and_set_blocks(other, anonymous, bucket):
    for client in (other, anonymous):
        assert refused(client.get_public_access_block, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.delete_public_access_block, Bucket=bucket) == (403, "AccessDenied")
        assert refused(
            client.put_public_access_block, Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True}) == (
            403, "AccessDenied")
