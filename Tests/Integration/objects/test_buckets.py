"""Buckets: their names, their making, finding, listing and removal ("Creating, configuring, and working
with general purpose buckets", Amazon S3 User Guide)."""

import datetime
import re

import pytest

from objects.wire import Wire, a_bucket, fields, fill, new_name, quoted, read, refused, status


def test_a_bucket_from_its_making_to_its_end(s3):
    name = new_name()
    made = s3.create_bucket(Bucket=name)
    assert status(made) == 200 and made["Location"] == f"/{name}"
    assert status(s3.head_bucket(Bucket=name)) == 200
    gone = s3.delete_bucket(Bucket=name)
    assert status(gone) == 204
    assert refused(s3.head_bucket, Bucket=name) == (404, "404")
    assert refused(s3.delete_bucket, Bucket=name) == (404, "NoSuchBucket")
    # The name is free again.
    s3.create_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)


def test_where_a_bucket_is(simulated, s3, wire, bucket):
    assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == simulated.region
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == simulated.region
    answer = wire.get(f"/{bucket}", query="location")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.body.decode().endswith(
        f'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{simulated.region}</LocationConstraint>')


@pytest.mark.parametrize("constraint, code", [("karri-1", None), ("mars-north-1", "InvalidLocationConstraint")])
def test_where_a_bucket_is_wanted(s3, constraint, code):
    name = new_name()
    asked = dict(Bucket=name, CreateBucketConfiguration={"LocationConstraint": constraint})
    if code:
        assert refused(s3.create_bucket, **asked) == (400, code)
        assert refused(s3.head_bucket, Bucket=name)[0] == 404
        return
    with a_bucket(s3, **asked):
        assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == constraint


@pytest.mark.parametrize("body", [
    "<CreateBucketConfiguration>", "nothing", "<Other/>",
    "<CreateBucketConfiguration><LocationConstraint>karri-1</CreateBucketConfiguration>"])
def test_a_malformed_place(wire, body):
    assert wire.put(f"/{new_name()}", body).refusal == (400, "MalformedXML")


def test_a_bucket_is_made_once(s3, other, bucket):
    assert refused(s3.create_bucket, Bucket=bucket) == (409, "BucketAlreadyOwnedByYou")
    assert refused(other.create_bucket, Bucket=bucket) == (409, "BucketAlreadyExists")
    # And the second making changes nothing of the first.
    assert refused(s3.create_bucket, Bucket=bucket, ACL="public-read")[0] == 409
    assert len(s3.get_bucket_acl(Bucket=bucket)["Grants"]) == 1


def test_a_bucket_is_made_again_in_the_first_region(alone):
    """There it is answered as if it had just been made, and its list is as the later call says."""
    s3, bucket = alone.client(), new_name()

    def grants():
        return len(s3.get_bucket_acl(Bucket=bucket)["Grants"])

    s3.create_bucket(Bucket=bucket, ACL="public-read")
    fill(s3, bucket, ["kept"])
    assert grants() == 2
    s3.create_bucket(Bucket=bucket)
    assert grants() == 1
    s3.create_bucket(Bucket=bucket, ACL="public-read-write")
    assert grants() == 3 and read(s3, bucket, "kept") == b"x"
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    s3.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    assert refused(s3.create_bucket, Bucket=bucket, ACL="public-read") == (400, "InvalidBucketAclWithObjectOwnership")
    s3.create_bucket(Bucket=bucket)


GOOD_NAMES = [
    "{0}", "0{0}", "{0}0", "a.{0}", "{0}.b.c", "a-b.{0}", "1.2.3.{0}", "a--{0}", "{0}" + "x" * 49,
]

BAD_NAMES = [
    # Too short, too long.
    "a", "ab", "a" * 64, "a" * 255,
    # Characters.
    "Upper-case-name", "with_underscore", "with space", "with!mark", "with*star", "ümlaut-name", "with:colon", "a\u200bbc",
    # Ends and neighbours of dots and dashes.
    "-leading", "trailing-", ".leading", "trailing.", "two..dots", "dash-.dot", "dot.-dash",
    # Addresses.
    "192.168.5.4", "1.2.3.4",
    # Reserved.
    "xn--name", "sthree-name", "sthree-configurator", "amzn-s3-demo-name", "name-s3alias", "name--ol-s3", "name.mrap",
    "name--x-s3", "name--table-s3",
]


@pytest.mark.parametrize("pattern", GOOD_NAMES)
def test_names_that_buckets_may_have(s3, pattern):
    with a_bucket(s3, Bucket=pattern.format(new_name())) as name:
        assert status(s3.head_bucket(Bucket=name)) == 200
        assert name in [found["Name"] for found in s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_buckets_may_not_have(wire, name):
    assert wire.put("/" + quoted(name)).refusal == (400, "InvalidBucketName")


def test_a_bucket_that_is_not_empty(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert refused(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert refused(s3.list_objects_v2, Bucket=bucket) == (404, "NoSuchBucket")


def test_a_bucket_with_old_versions_or_markers_is_not_empty(s3, versioned):
    put = s3.put_object(Bucket=versioned, Key="k", Body=b"")["VersionId"]
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    assert refused(s3.delete_bucket, Bucket=versioned) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=versioned, Key="k", VersionId=put)
    assert refused(s3.delete_bucket, Bucket=versioned) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    s3.delete_bucket(Bucket=versioned)


def test_what_was_in_a_bucket_is_not_in_the_next_of_its_name(s3):
    name = new_name()
    s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    upload = s3.create_multipart_upload(Bucket=name, Key="k")["UploadId"]
    s3.abort_multipart_upload(Bucket=name, Key="k", UploadId=upload)
    s3.delete_bucket(Bucket=name)
    with a_bucket(s3, Bucket=name):
        assert "Contents" not in s3.list_objects_v2(Bucket=name)
        assert refused(s3.get_bucket_tagging, Bucket=name) == (404, "NoSuchTagSet")


def test_the_list_of_buckets(owner, stranger, make_bucket):
    names = sorted(make_bucket() for _ in range(3))
    theirs = make_bucket(stranger.s3)
    listed = owner.s3.list_buckets()
    assert re.fullmatch("[0-9a-f]{64}", listed["Owner"]["ID"]) and listed["Owner"]["ID"] != stranger.id
    found = [bucket["Name"] for bucket in listed["Buckets"]]
    assert found == sorted(found) and set(names) <= set(found) and theirs not in found
    [made] = [bucket["CreationDate"] for bucket in listed["Buckets"] if bucket["Name"] == names[0]]
    assert abs((datetime.datetime.now(datetime.timezone.utc) - made).total_seconds()) < 60
    assert theirs in [bucket["Name"] for bucket in stranger.s3.list_buckets()["Buckets"]]


def test_the_list_of_buckets_in_pages(s3, make_bucket):
    beginning = new_name()
    names = [make_bucket(Bucket=f"{beginning}-{number}") for number in range(5)]
    first = s3.list_buckets(Prefix=beginning, MaxBuckets=2)
    assert [bucket["Name"] for bucket in first["Buckets"]] == names[:2] and first["Prefix"] == beginning
    pages = s3.get_paginator("list_buckets").paginate(Prefix=beginning, PaginationConfig={"PageSize": 2})
    assert [[bucket["Name"] for bucket in page["Buckets"]] for page in pages] == [names[:2], names[2:4], names[4:]]
    whole = s3.list_buckets(Prefix=beginning, MaxBuckets=5)
    assert len(whole["Buckets"]) == 5 and "ContinuationToken" not in whole
    assert s3.list_buckets(Prefix=beginning + "-x").get("Buckets", []) == []


@pytest.mark.parametrize("query", ["max-buckets=0", "max-buckets=10001", "max-buckets=many", "max-buckets=-1"])
def test_pages_of_buckets_that_there_cannot_be(wire, query):
    assert wire.get("/", query=query).refusal == (400, "InvalidArgument")


def test_buckets_of_a_region(simulated, s3, bucket):
    here = s3.list_buckets(BucketRegion=simulated.region, Prefix=bucket)
    assert [found["BucketRegion"] for found in here["Buckets"]] == [simulated.region]
    assert s3.list_buckets(BucketRegion="us-west-2", Prefix=bucket).get("Buckets", []) == []


def test_every_answer_has_a_number(s3, wire, bucket):
    answers = [s3.head_bucket(Bucket=bucket), s3.list_buckets(), s3.list_objects_v2(Bucket=bucket)]
    ids = {fields(answer)["x-amz-request-id"] for answer in answers}
    failed = wire.get(f"/{bucket}/none")
    assert len(ids | {failed.headers["x-amz-request-id"]}) == 4
    assert failed.text("RequestId") == failed.headers["x-amz-request-id"]


@pytest.mark.parametrize("ownership", ["BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced"])
def test_ownership_at_the_making(s3, make_bucket, ownership):
    name = make_bucket(ObjectOwnership=ownership)
    rules = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": ownership}]


def test_an_ownership_that_there_is_not(wire):
    name = new_name()
    assert wire.put(f"/{name}", headers={"x-amz-object-ownership": "Nobody"}).refusal == (400, "InvalidArgument")
    assert wire.head(f"/{name}").status == 404


def test_a_list_for_others_needs_lists(wire):
    name = new_name()
    answer = wire.put(f"/{name}", headers={"x-amz-object-ownership": "BucketOwnerEnforced", "x-amz-acl": "public-read"})
    assert answer.refusal == (400, "InvalidBucketAclWithObjectOwnership")
    assert wire.head(f"/{name}").status == 404


def test_who_pays(s3, bucket):
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert refused(
        s3.put_bucket_request_payment, Bucket=bucket, RequestPaymentConfiguration={"Payer": "Nobody"}) == (400, "MalformedXML")


def test_a_bucket_whose_readers_pay(s3, other, anonymous, allow, bucket):
    """Others say that they pay, or are refused; nobody in particular cannot ("Requester Pays buckets")."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    allow(bucket, "s3:GetObject", "s3:ListBucket", "s3:PutObject")
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    for call, more in [(other.get_object, {"Key": "k"}), (other.list_objects_v2, {}),
        (other.put_object, {"Key": "n", "Body": b""})]:
        assert refused(call, Bucket=bucket, **more) == (403, "AccessDenied")
        assert call(Bucket=bucket, RequestPayer="requester", **more)["RequestCharged"] == "requester"
    assert refused(anonymous.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    # The owner pays anyway.
    assert "RequestCharged" not in s3.get_object(Bucket=bucket, Key="k")
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert status(anonymous.get_object(Bucket=bucket, Key="k")) == 200


def test_the_expected_owner(owner, stranger, make_bucket):
    """x-amz-expected-bucket-owner: 403 where the bucket is somebody else's than the caller believes."""
    name = make_bucket()
    mine, theirs = owner.number, stranger.number
    assert status(owner.s3.head_bucket(Bucket=name, ExpectedBucketOwner=mine)) == 200
    assert refused(owner.s3.head_bucket, Bucket=name, ExpectedBucketOwner=theirs)[0] == 403
    assert status(owner.s3.put_object(Bucket=name, Key="k", Body=b"", ExpectedBucketOwner=mine)) == 200
    for call, more in [
        (owner.s3.get_object, {"Key": "k"}), (owner.s3.put_object, {"Key": "k", "Body": b"x"}), (owner.s3.list_objects_v2, {}),
        (owner.s3.delete_object, {"Key": "k"}), (owner.s3.get_bucket_acl, {}), (owner.s3.delete_bucket, {}),
    ]:
        assert refused(call, Bucket=name, ExpectedBucketOwner=theirs, **more) == (403, "AccessDenied")
    assert owner.s3.head_object(Bucket=name, Key="k")["ContentLength"] == 0


def test_an_expected_owner_who_is_none(wire, bucket):
    assert wire.get(f"/{bucket}", headers={"x-amz-expected-bucket-owner": "me"}).refusal == (
        400, "InvalidBucketOwnerAWSAccountID")


def test_tags_from_the_beginning(s3, wire, make_bucket):
    tags = [{"Key": "team", "Value": "a"}, {"Key": "use", "Value": ""}]
    bucket = make_bucket(CreateBucketConfiguration={"Tags": tags})
    assert sorted(s3.get_bucket_tagging(Bucket=bucket)["TagSet"], key=lambda tag: tag["Key"]) == tags
    wrong = "<CreateBucketConfiguration><Tags><Tag><Key>aws:x</Key><Value/></Tag></Tags></CreateBucketConfiguration>"
    name = new_name()
    assert wire.put(f"/{name}", wrong).refusal == (400, "InvalidTag")
    assert wire.head(f"/{name}").status == 404


def test_where_a_bucket_is_is_told_to_everybody(simulated, s3, other, bucket):
    answer = Wire(simulated.port, simulated.region).head(f"/{bucket}")
    assert (answer.status, answer.headers["x-amz-bucket-region"]) == (403, simulated.region)
