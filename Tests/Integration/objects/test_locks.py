"""Object lock: retention in both modes, legal holds, what a bucket gives its objects, and what keeps them
("Locking objects with Object Lock", Amazon S3 User Guide)."""

import datetime
import re
import time

import pytest

from objects.wire import empty_bucket, md5_of, read, refused, status, versions


@pytest.fixture
def locked(make_bucket):
    return make_bucket(ObjectLockEnabledForBucket=True)


def later(**delta):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**delta)).replace(microsecond=0)


def soon():
    """Long enough for a test, and over when the next one looks."""
    return later(seconds=3)


def test_a_locked_bucket(s3, locked):
    found = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert found == {"ObjectLockEnabled": "Enabled"}
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    assert refused(
        s3.put_bucket_versioning, Bucket=locked, VersioningConfiguration={"Status": "Suspended"}) == (409, "InvalidBucketState")


def test_a_bucket_without_locks(s3, bucket):
    assert refused(s3.get_object_lock_configuration, Bucket=bucket) == (404, "ObjectLockConfigurationNotFoundError")
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": later(days=1)}
    asked = dict(Bucket=bucket, Key="k")
    assert refused(s3.put_object_retention, **asked, Retention=retention) == (400, "InvalidRequest")
    assert refused(s3.get_object_retention, **asked) == (400, "InvalidRequest")
    assert refused(s3.put_object_legal_hold, **asked, LegalHold={"Status": "ON"}) == (400, "InvalidRequest")
    assert refused(s3.get_object_legal_hold, **asked) == (400, "InvalidRequest")
    assert refused(
        s3.put_object, **asked, Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later(days=1)) == (
        400, "InvalidRequest")
    assert refused(s3.put_object, **asked, Body=b"", ObjectLockLegalHoldStatus="ON") == (400, "InvalidRequest")


def test_locks_for_a_bucket_that_is_there(s3, bucket):
    configuration = {"ObjectLockEnabled": "Enabled"}
    asked = dict(Bucket=bucket, ObjectLockConfiguration=configuration)
    assert refused(s3.put_object_lock_configuration, **asked) == (409, "InvalidBucketState")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**asked)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == configuration


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
@pytest.mark.parametrize("unit, count", [("Days", 1), ("Days", 100), ("Years", 1)])
def test_what_a_bucket_gives_its_objects(s3, locked, mode, unit, count):
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": mode, unit: count}}}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration
    if mode == "COMPLIANCE":
        # An object of that mode could not be removed again.
        return
    s3.put_object(Bucket=locked, Key="k", Body=b"")
    head = s3.head_object(Bucket=locked, Key="k")
    days = count if unit == "Days" else 365
    assert head["ObjectLockMode"] == mode
    assert abs((head["ObjectLockRetainUntilDate"] - later(days=days)).total_seconds()) < 60 + 86_400 * (unit == "Years")
    # What is asked for with the object counts more.
    until = later(days=1000)
    s3.put_object(Bucket=locked, Key="own", Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    assert s3.head_object(Bucket=locked, Key="own")["ObjectLockRetainUntilDate"] == until


DEFAULTS = [
    ("<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/>", "MalformedXML"),
    ("<ObjectLockEnabled>Disabled</ObjectLockEnabled>", "MalformedXML"),
    ("<Rule><DefaultRetention><Mode>GOVERNANCE</Mode></DefaultRetention></Rule>", "MalformedXML"),
    ("<Rule><DefaultRetention><Days>1</Days></DefaultRetention></Rule>", "MalformedXML"),
    ("<Rule><DefaultRetention><Mode>governance</Mode><Days>1</Days></DefaultRetention></Rule>", "MalformedXML"),
    ("<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years></DefaultRetention></Rule>", "MalformedXML"),
    ("<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>one</Days></DefaultRetention></Rule>", "MalformedXML"),
    ("<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>0</Days></DefaultRetention></Rule>", "InvalidRetentionPeriod"),
    ("<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>-1</Days></DefaultRetention></Rule>", "InvalidRetentionPeriod"),
    ("<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>36501</Days></DefaultRetention></Rule>", "InvalidRetentionPeriod"),
    ("<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Years>101</Years></DefaultRetention></Rule>", "InvalidRetentionPeriod"),
]


@pytest.mark.parametrize("text, code", DEFAULTS)
def test_settings_that_are_wrong(wire, locked, text, code):
    if "Enabled" not in text and "Disabled" not in text:
        text = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>" + text
    body = f"<ObjectLockConfiguration>{text}</ObjectLockConfiguration>"
    answer = wire.put(f"/{locked}", body, query="object-lock", headers={"Content-MD5": md5_of(body.encode())})
    assert answer.refusal == (400, code)


def test_retention_is_set_and_read(s3, wire, locked):
    version = s3.put_object(Bucket=locked, Key="k", Body=b"x")["VersionId"]
    asked = dict(Bucket=locked, Key="k")
    assert refused(s3.get_object_retention, **asked) == (404, "NoSuchObjectLockConfiguration")
    until = later(hours=1)
    s3.put_object_retention(**asked, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    assert s3.get_object_retention(**asked)["Retention"] == {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    for answer in (s3.head_object(**asked), s3.get_object(**asked, VersionId=version)):
        assert (answer["ObjectLockMode"], answer["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    text = wire.get(f"/{locked}/k", query="retention").text("RetainUntilDate")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text)
    # Longer at any time.
    s3.put_object_retention(**asked, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later(hours=2)})
    # Of another mode, shorter, or off, only past the lock.
    stricter = {"Mode": "COMPLIANCE", "RetainUntilDate": later(hours=3)}
    assert refused(s3.put_object_retention, **asked, Retention=stricter) == (403, "AccessDenied")
    assert s3.get_object_retention(**asked)["Retention"]["Mode"] == "GOVERNANCE"
    for retention in [{"Mode": "GOVERNANCE", "RetainUntilDate": later(minutes=5)}, {}]:
        assert refused(s3.put_object_retention, **asked, Retention=retention) == (403, "AccessDenied")
        s3.put_object_retention(**asked, Retention=retention, BypassGovernanceRetention=True)
    assert refused(s3.get_object_retention, **asked) == (404, "NoSuchObjectLockConfiguration")


def test_governance_keeps_a_version(s3, locked):
    version = s3.put_object(
        Bucket=locked, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later(hours=1))["VersionId"]
    asked = dict(Bucket=locked, Key="k", VersionId=version)
    assert refused(s3.delete_object, **asked) == (403, "AccessDenied")
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    assert [(found["Key"], found["Code"]) for found in answer["Errors"]] == [("k", "AccessDenied")]
    assert read(s3, locked, "k") == b"x"
    # A delete marker hides it, and new versions come.
    marker = s3.delete_object(Bucket=locked, Key="k")["VersionId"]
    s3.delete_object(Bucket=locked, Key="k", VersionId=marker)
    s3.put_object(Bucket=locked, Key="k", Body=b"y")
    assert read(s3, locked, "k", VersionId=version) == b"x"
    s3.delete_object(**asked, BypassGovernanceRetention=True)
    assert refused(s3.head_object, **asked)[0] == 404


def test_governance_is_passed_in_many(s3, locked):
    version = s3.put_object(
        Bucket=locked, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later(hours=1))["VersionId"]
    answer = s3.delete_objects(
        Bucket=locked, Delete={"Objects": [{"Key": "k", "VersionId": version}]}, BypassGovernanceRetention=True)
    assert "Errors" not in answer and versions(s3, locked) == []


def test_who_may_pass(s3, allow, locked):
    """s3:BypassGovernanceRetention is needed, besides the header."""
    version = s3.put_object(
        Bucket=locked, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later(hours=1))["VersionId"]
    asked = dict(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    most = allow(locked, "s3:*", denied=["s3:BypassGovernanceRetention"])
    assert refused(most.delete_object, **asked) == (403, "AccessDenied")
    assert refused(most.put_object_retention, **asked, Retention={}) == (403, "AccessDenied")
    allow(locked, "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention").delete_object(**asked)
    assert versions(s3, locked) == []


def test_compliance_keeps_it_from_everybody(s3, locked):
    until = soon()
    version = s3.put_object(
        Bucket=locked, Key="k", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until)["VersionId"]
    asked = dict(Bucket=locked, Key="k", VersionId=version)
    for more in ({}, {"BypassGovernanceRetention": True}):
        assert refused(s3.delete_object, **asked, **more) == (403, "AccessDenied")
        for retention in [{}, {"Mode": "GOVERNANCE", "RetainUntilDate": later(hours=1)},
                          {"Mode": "COMPLIANCE", "RetainUntilDate": until - datetime.timedelta(seconds=1)}]:
            assert refused(s3.put_object_retention, **asked, **more, Retention=retention) == (403, "AccessDenied")
    # Longer it may be.
    until = until + datetime.timedelta(seconds=1)
    s3.put_object_retention(**asked, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    assert s3.get_object_retention(**asked)["Retention"]["RetainUntilDate"] == until
    time.sleep(max(0, (until - later()).total_seconds()) + 1.1)
    s3.delete_object(**asked)
    assert versions(s3, locked) == []


def test_what_is_over_keeps_nothing(s3, locked):
    version = s3.put_object(
        Bucket=locked, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later(seconds=1))["VersionId"]
    time.sleep(2.1)
    s3.delete_object(Bucket=locked, Key="k", VersionId=version)
    assert versions(s3, locked) == []


def test_a_hold(s3, locked):
    version = s3.put_object(Bucket=locked, Key="k", Body=b"x")["VersionId"]
    asked = dict(Bucket=locked, Key="k")
    assert refused(s3.get_object_legal_hold, **asked) == (404, "NoSuchObjectLockConfiguration")
    s3.put_object_legal_hold(**asked, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**asked)["LegalHold"] == {"Status": "ON"}
    assert s3.head_object(**asked)["ObjectLockLegalHoldStatus"] == "ON"
    assert "ObjectLockMode" not in s3.head_object(**asked)
    for more in ({}, {"BypassGovernanceRetention": True}):
        assert refused(s3.delete_object, **asked, VersionId=version, **more) == (403, "AccessDenied")
    s3.put_object_legal_hold(**asked, LegalHold={"Status": "OFF"})
    assert s3.get_object_legal_hold(**asked)["LegalHold"] == {"Status": "OFF"}
    assert s3.head_object(**asked)["ObjectLockLegalHoldStatus"] == "OFF"
    s3.delete_object(**asked, VersionId=version)
    assert versions(s3, locked) == []


def test_a_hold_outlasts_retention(s3, locked):
    version = s3.put_object(
        Bucket=locked, Key="k", Body=b"x", ObjectLockLegalHoldStatus="ON", ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=later(hours=1))["VersionId"]
    asked = dict(Bucket=locked, Key="k", VersionId=version)
    s3.put_object_retention(**asked, Retention={}, BypassGovernanceRetention=True)
    assert refused(s3.delete_object, **asked, BypassGovernanceRetention=True) == (403, "AccessDenied")
    s3.put_object_legal_hold(**asked, LegalHold={"Status": "OFF"})
    s3.delete_object(**asked)


def test_locks_belong_to_a_version(s3, locked):
    one = s3.put_object(Bucket=locked, Key="k", Body=b"1")["VersionId"]
    two = s3.put_object(Bucket=locked, Key="k", Body=b"2")["VersionId"]
    s3.put_object_retention(
        Bucket=locked, Key="k", VersionId=one, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later(hours=1)})
    assert s3.get_object_retention(Bucket=locked, Key="k", VersionId=one)["Retention"]["Mode"] == "GOVERNANCE"
    assert refused(s3.get_object_retention, Bucket=locked, Key="k") == (404, "NoSuchObjectLockConfiguration")
    s3.delete_object(Bucket=locked, Key="k", VersionId=two)
    assert refused(s3.delete_object, Bucket=locked, Key="k", VersionId=one) == (403, "AccessDenied")


HEADERS = [
    ({"x-amz-object-lock-mode": "GOVERNANCE"}, "InvalidArgument"),
    ({"x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"}, "InvalidArgument"),
    ({"x-amz-object-lock-mode": "governance", "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"}, "InvalidArgument"),
    ({"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "tomorrow"}, "InvalidArgument"),
    ({"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2001-01-01T00:00:00Z"}, "InvalidArgument"),
    ({"x-amz-object-lock-legal-hold": "on"}, "InvalidArgument"),
]


@pytest.mark.parametrize("headers, code", HEADERS)
def test_headers_that_are_wrong(wire, locked, headers, code):
    for query, method in [("", "PUT"), ("uploads", "POST")]:
        answer = wire.send(
            method, f"/{locked}/k", body=b"", query=query, headers={**headers, "Content-MD5": md5_of(b"")})
        assert answer.refusal == (400, code)
    assert wire.head(f"/{locked}/k").status == 404


RETENTIONS = [
    ("<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML"),
    ("<Retention><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>", "MalformedXML"),
    ("<Retention><Mode>abc</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>", "MalformedXML"),
    ("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>tomorrow</RetainUntilDate></Retention>", "MalformedXML"),
    ("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2001-01-01T00:00:00Z</RetainUntilDate></Retention>", "InvalidArgument"),
    ("<Other/>", "MalformedXML"),
]


@pytest.mark.parametrize("document, code", RETENTIONS)
def test_retentions_that_are_wrong(wire, locked, document, code):
    wire.put(f"/{locked}/k", b"x")
    answer = wire.put(f"/{locked}/k", document, query="retention", headers={"Content-MD5": md5_of(document.encode())})
    assert answer.refusal == (400, code)


@pytest.mark.parametrize("document", [
    "<LegalHold><Status>abc</Status></LegalHold>", "<LegalHold/>", "<Other/>", "<LegalHold><Status>on</Status></LegalHold>"])
def test_holds_that_are_wrong(wire, locked, document):
    wire.put(f"/{locked}/k", b"x")
    answer = wire.put(f"/{locked}/k", document, query="legal-hold", headers={"Content-MD5": md5_of(document.encode())})
    assert answer.refusal == (400, "MalformedXML")


def test_of_what_is_not_there(s3, locked):
    asked = dict(Bucket=locked, Key="none")
    assert refused(s3.get_object_retention, **asked) == (404, "NoSuchKey")
    assert refused(s3.get_object_legal_hold, **asked) == (404, "NoSuchKey")
    assert refused(s3.put_object_legal_hold, **asked, LegalHold={"Status": "ON"}) == (404, "NoSuchKey")
    assert refused(
        s3.put_object_retention, **asked, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later(days=1)}) == (
        404, "NoSuchKey")


def test_uploads_in_parts_are_locked(s3, locked):
    until = later(hours=1)
    upload = s3.create_multipart_upload(
        Bucket=locked, Key="k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="ON")["UploadId"]
    tag = s3.upload_part(Bucket=locked, Key="k", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(
        Bucket=locked, Key="k", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    head = s3.head_object(Bucket=locked, Key="k")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"], head["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", until,
        "ON")


def test_copies_are_locked_for_themselves(s3, locked):
    s3.put_object(Bucket=locked, Key="from", Body=b"x", ObjectLockLegalHoldStatus="ON")
    s3.copy_object(Bucket=locked, Key="to", CopySource=f"{locked}/from")
    assert "ObjectLockLegalHoldStatus" not in s3.head_object(Bucket=locked, Key="to")
    s3.copy_object(
        Bucket=locked, Key="own", CopySource=f"{locked}/from", ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=later(hours=1))
    assert s3.head_object(Bucket=locked, Key="own")["ObjectLockMode"] == "GOVERNANCE"


def test_who_may_see_and_set_locks(s3, other, allow, locked):
    s3.put_object(Bucket=locked, Key="k", Body=b"x", ObjectLockLegalHoldStatus="OFF")
    asked = dict(Bucket=locked, Key="k")
    for grant in ([], ["s3:GetObject", "s3:PutObject"]):
        if grant:
            allow(locked, *grant).put_object(Bucket=locked, Key="theirs", Body=b"")
        assert refused(other.get_object_legal_hold, **asked) == (403, "AccessDenied")
        assert refused(other.get_object_retention, **asked) == (403, "AccessDenied")
        assert refused(other.put_object_legal_hold, **asked, LegalHold={"Status": "ON"}) == (403, "AccessDenied")
        assert refused(
            other.put_object_retention, **asked, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": later(days=1)}) == (
            403, "AccessDenied")
        assert refused(other.get_object_lock_configuration, Bucket=locked) == (403, "AccessDenied")
        assert refused(other.put_object, **asked, Body=b"", ObjectLockLegalHoldStatus="ON") == (403, "AccessDenied")
        assert refused(
            other.put_object, **asked, Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later(days=1)) == (
            403, "AccessDenied")
    allow(locked, "s3:GetObjectLegalHold", "s3:PutObjectLegalHold").put_object_legal_hold(**asked, LegalHold={"Status": "ON"})
    assert other.get_object_legal_hold(**asked)["LegalHold"] == {"Status": "ON"}


def test_a_locked_put_needs_a_digest(wire, locked):
    """"The Content-MD5 or x-amz-sdk-checksum-algorithm header is required for any request to upload an object
    with a retention period" ("PutObject")."""
    headers = {"x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": later(hours=1).strftime("%Y-%m-%dT%H:%M:%SZ")}
    assert wire.put(f"/{locked}/k", b"x", headers=headers).refusal == (400, "InvalidRequest")
    assert wire.put(f"/{locked}/k", b"x", headers={**headers, "Content-MD5": md5_of(b"x")}).status == 200


def test_a_bucket_with_locks_can_be_emptied(s3, locked):
    for number in range(3):
        s3.put_object(Bucket=locked, Key=f"k{number}", Body=b"", ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=later(days=1))
    s3.put_object(Bucket=locked, Key="held", Body=b"", ObjectLockLegalHoldStatus="ON")
    assert refused(s3.delete_bucket, Bucket=locked) == (409, "BucketNotEmpty")
    empty_bucket(s3, locked)
    assert status(s3.delete_bucket(Bucket=locked)) == 204


def test_parts_are_retained_from_their_completion_on(s3, locked):
    """What a bucket gives its objects is given when they come to be, not when their upload begins."""
    upload = s3.create_multipart_upload(Bucket=locked, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}})
    done = s3.complete_multipart_upload(
        Bucket=locked, Key="k", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    found = s3.head_object(Bucket=locked, Key="k")
    assert found["ObjectLockMode"] == "GOVERNANCE"
    assert abs(found["ObjectLockRetainUntilDate"] - found["LastModified"] - datetime.timedelta(days=1)).total_seconds() < 2
    assert refused(s3.delete_object, Bucket=locked, Key="k", VersionId=done["VersionId"]) == (403, "AccessDenied")
