"""Who owns what is put into a bucket ("Controlling ownership of objects and disabling ACLs for your bucket",
Amazon S3 User Guide)."""

import pytest

from objects.wire import md5_of, read, refused, status


def set_ownership(s3, bucket, name):
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": name}]})


def test_controls_are_set_read_and_removed(s3, bucket):
    for name in ["BucketOwnerPreferred", "BucketOwnerEnforced", "ObjectWriter"]:
        set_ownership(s3, bucket, name)
        assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"] == [{"ObjectOwnership": name}]
    assert status(s3.delete_bucket_ownership_controls(Bucket=bucket)) == 204
    assert refused(s3.get_bucket_ownership_controls, Bucket=bucket) == (404, "OwnershipControlsNotFoundError")
    s3.delete_bucket_ownership_controls(Bucket=bucket)


@pytest.mark.parametrize("document", [
    "<OwnershipControls/>", "<OwnershipControls><Rule/></OwnershipControls>", "<Other/>",
    "<OwnershipControls><Rule><ObjectOwnership>Nobody</ObjectOwnership></Rule></OwnershipControls>"])
def test_controls_that_are_wrong(wire, bucket, document):
    answer = wire.put(f"/{bucket}", document, query="ownershipControls", headers={"Content-MD5": md5_of(document.encode())})
    assert answer.refusal == (400, "MalformedXML")


def test_enforced_there_are_no_lists(s3, owner, make_bucket):
    bucket = make_bucket(ObjectOwnership="BucketOwnerEnforced")
    off = (400, "AccessControlListNotSupported")
    for name in ["public-read", "authenticated-read", "bucket-owner-read", "private"]:
        if name != "private":
            assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"", ACL=name) == off
            assert refused(s3.create_multipart_upload, Bucket=bucket, Key="k", ACL=name) == off
        assert refused(s3.put_bucket_acl, Bucket=bucket, ACL=name) == off
    # The one that says what is so anyway.
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="bucket-owner-full-control")
    assert refused(s3.put_object_acl, Bucket=bucket, Key="k", ACL="public-read") == off
    for found in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="k")):
        [grant] = found["Grants"]
        assert (grant["Grantee"]["ID"], grant["Permission"]) == (owner.id, "FULL_CONTROL")


def test_enforcing_stops_lists_that_were_set(s3, other, anonymous, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    assert read(anonymous, bucket, "k") == b"x"
    set_ownership(s3, bucket, "BucketOwnerEnforced")
    assert refused(anonymous.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    assert refused(other.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    # They count again where lists do.
    set_ownership(s3, bucket, "ObjectWriter")
    assert read(anonymous, bucket, "k") == b"x"


def test_enforcing_needs_a_list_that_grants_nothing_to_others(s3, bucket):
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert refused(
        s3.put_bucket_ownership_controls, Bucket=bucket,
        OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}) == (400, "InvalidBucketAclWithObjectOwnership")
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    set_ownership(s3, bucket, "BucketOwnerEnforced")


@pytest.mark.parametrize("ownership, acl, belongs", [
    ("ObjectWriter", None, "writer"), ("ObjectWriter", "bucket-owner-full-control", "writer"),
    ("BucketOwnerPreferred", None, "writer"), ("BucketOwnerPreferred", "bucket-owner-full-control", "bucket"),
    ("BucketOwnerPreferred", "bucket-owner-read", "writer"),
    ("BucketOwnerEnforced", None, "bucket"), ("BucketOwnerEnforced", "bucket-owner-full-control", "bucket")])
def test_whose_an_object_is(owner, stranger, allow, make_bucket, ownership, acl, belongs):
    bucket = make_bucket(ObjectOwnership=ownership)
    allow(bucket, "s3:PutObject", "s3:PutObjectAcl")
    more = {"ACL": acl} if acl else {}
    stranger.s3.put_object(Bucket=bucket, Key="put", Body=b"x", **more)
    upload = stranger.s3.create_multipart_upload(Bucket=bucket, Key="parts", **more)["UploadId"]
    tag = stranger.s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    stranger.s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    listed = owner.s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    expected = owner.id if belongs == "bucket" else stranger.id
    assert [(found["Key"], found["Owner"]["ID"]) for found in listed] == [("parts", expected), ("put", expected)]
    for key in ("put", "parts"):
        if belongs == "bucket" or acl == "bucket-owner-full-control":
            assert read(owner.s3, bucket, key) == b"x"
        elif acl == "bucket-owner-read":
            assert read(owner.s3, bucket, key) == b"x"
        else:
            assert refused(owner.s3.get_object, Bucket=bucket, Key=key) == (403, "AccessDenied")


def test_enforcing_makes_all_of_it_the_buckets(owner, stranger, allow, bucket):
    allow(bucket, "s3:PutObject")
    stranger.s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert refused(owner.s3.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    set_ownership(owner.s3, bucket, "BucketOwnerEnforced")
    assert read(owner.s3, bucket, "k") == b"x"
    assert owner.s3.get_object_acl(Bucket=bucket, Key="k")["Owner"]["ID"] == owner.id
    assert refused(stranger.s3.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")


def test_who_may_see_and_set_controls(other, anonymous, bucket):
    for client in (other, anonymous):
        assert refused(client.get_bucket_ownership_controls, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.delete_bucket_ownership_controls, Bucket=bucket) == (403, "AccessDenied")
        assert refused(
            client.put_bucket_ownership_controls, Bucket=bucket,
            OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}) == (403, "AccessDenied")
