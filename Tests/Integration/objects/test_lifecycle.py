"""What becomes of objects in time ("Managing the lifecycle of objects", Amazon S3 User Guide), in a store
of its own whose days are short."""

import datetime
import re
import time

import pytest

from objects.alone import Alone
from objects.wire import eventually, fill, md5_of, new_name, refused, remove_bucket, status, versions


def rule(name="r", **more):
    return {"ID": name, "Status": "Enabled", **({} if "Prefix" in more or "Filter" in more else {"Filter": {"Prefix": ""}}),
        **more}


def set_rules(s3, bucket, *rules):
    return s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


GOOD = [
    rule(Expiration={"Days": 1}), rule(Expiration={"Days": 36_500}),
    rule(Expiration={"Date": datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc)}),
    rule(Expiration={"ExpiredObjectDeleteMarker": True}), rule(Expiration={"ExpiredObjectDeleteMarker": False}),
    rule(NoncurrentVersionExpiration={"NoncurrentDays": 3}),
    rule(NoncurrentVersionExpiration={"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}),
    rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
    rule(Prefix="a/", Expiration={"Days": 1}), rule(Filter={"Prefix": "a/"}, Expiration={"Days": 1}),
    rule(Filter={"Tag": {"Key": "a", "Value": "b"}}, Expiration={"Days": 1}),
    rule(Filter={"ObjectSizeGreaterThan": 500}, Expiration={"Days": 1}),
    rule(Filter={"ObjectSizeLessThan": 500}, Expiration={"Days": 1}),
    rule(Filter={"And": {"Prefix": "a/", "Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}],
        "ObjectSizeGreaterThan": 1, "ObjectSizeLessThan": 9}},
         Expiration={"Days": 1}),
    rule(Expiration={"Days": 1}, NoncurrentVersionExpiration={"NoncurrentDays": 3},
        AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
    {**rule(Expiration={"Days": 1}), "Status": "Disabled"}, rule("x" * 255, Expiration={"Days": 1}),
]


@pytest.mark.parametrize("given", GOOD, ids=[str(number) for number in range(len(GOOD))])
def test_a_rule_is_set_read_and_removed(s3, bucket, given):
    assert refused(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == (404, "NoSuchLifecycleConfiguration")
    assert status(set_rules(s3, bucket, given)) == 200
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [given]
    assert status(s3.delete_bucket_lifecycle(Bucket=bucket)) == 204
    assert refused(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == (404, "NoSuchLifecycleConfiguration")


def test_several_rules(s3, bucket):
    rules = [rule(f"r{number}", Filter={"Prefix": f"{number}/"}, Expiration={"Days": number + 1}) for number in range(20)]
    set_rules(s3, bucket, *rules)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    set_rules(s3, bucket, rules[3])
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rules[3]]


def test_a_rule_without_a_name_gets_one(s3, bucket):
    nameless = {key: value for key, value in rule(Expiration={"Days": 1}).items() if key != "ID"}
    set_rules(s3, bucket, nameless, {**nameless, "Filter": {"Prefix": "b"}})
    ids = [found["ID"] for found in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]]
    assert all(ids) and len(set(ids)) == 2


def written(*texts):
    return f"<LifecycleConfiguration>{''.join(f'<Rule>{text}</Rule>' for text in texts)}</LifecycleConfiguration>"


HEAD, DAY = "<ID>r</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>", "<Expiration><Days>1</Days></Expiration>"
WRONG = [
    (written(), "MalformedXML"), ("<Other/>", "MalformedXML"), ("", "MissingRequestBodyError"),
    (written(HEAD.replace("Enabled", "enabled") + DAY), "MalformedXML"),
    (written(HEAD.replace("Enabled", "Invalid") + DAY), "MalformedXML"),
    (written("<ID>r</ID><Filter><Prefix></Prefix></Filter>" + DAY), "MalformedXML"),
    (written("<ID>r</ID><Status>Enabled</Status>" + DAY), "MalformedXML"),
    (written(HEAD), "InvalidRequest"), (written(HEAD + DAY, HEAD + DAY), "InvalidArgument"),
    (written(HEAD.replace("<ID>r", "<ID>" + "x" * 256) + DAY), "InvalidArgument"),
    (written(HEAD + "<Expiration><Days>0</Days></Expiration>"), "InvalidArgument"),
    (written(HEAD + "<Expiration><Days>-1</Days></Expiration>"), "InvalidArgument"),
    (written(HEAD + "<Expiration><Days>one</Days></Expiration>"), "MalformedXML"),
    (written(HEAD + "<Expiration/>"), "MalformedXML"),
    (written(HEAD + "<Expiration><Date>20990101</Date></Expiration>"), "MalformedXML"),
    (written(HEAD + "<Expiration><Date>2099-01-01T10:00:00Z</Date></Expiration>"), "InvalidArgument"),
    (written(HEAD + "<Expiration><Days>1</Days><Date>2099-01-01T00:00:00Z</Date></Expiration>"), "MalformedXML"),
    (written(HEAD + "<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
     "MalformedXML"),
    (written(HEAD + "<NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration>"),
     "InvalidArgument"),
    (written(HEAD + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>0</DaysAfterInitiation>"
             "</AbortIncompleteMultipartUpload>"), "InvalidArgument"),
    (written("<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Status>Enabled</Status>"
             "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"),
                 "InvalidRequest"),
    (written("<Filter><Prefix>a</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Status>Enabled</Status>" + DAY),
     "MalformedXML"),
    (written("<Filter><And><Prefix>a</Prefix></And></Filter><Status>Enabled</Status>" + DAY), "MalformedXML"),
    (written("<Prefix>a</Prefix><Filter><Prefix>a</Prefix></Filter><Status>Enabled</Status>" + DAY), "MalformedXML"),
    (written("<Filter><And><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And>"
             "</Filter><Status>Enabled</Status>" + DAY), "InvalidRequest"),
    (written(*[HEAD.replace("<ID>r", f"<ID>r{number}") + DAY for number in range(1001)]), "MalformedXML"),
]


@pytest.mark.parametrize("document, code", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_rules_that_are_wrong(wire, bucket, document, code):
    answer = wire.put(f"/{bucket}", document, query="lifecycle", headers={"Content-MD5": md5_of(document.encode())})
    assert answer.refusal == (400, code)
    assert wire.get(f"/{bucket}", query="lifecycle").refusal == (404, "NoSuchLifecycleConfiguration")


def test_who_may_see_and_set_rules(other, anonymous, bucket):
    for client in (other, anonymous):
        assert refused(client.get_bucket_lifecycle_configuration, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.delete_bucket_lifecycle, Bucket=bucket) == (403, "AccessDenied")
        assert refused(
            client.put_bucket_lifecycle_configuration, Bucket=bucket,
            LifecycleConfiguration={"Rules": [rule(Expiration={"Days": 1})]}) == (403, "AccessDenied")


def test_an_object_says_when_it_goes(s3, wire, bucket):
    """x-amz-expiration, at midnight after so many days."""
    set_rules(s3, bucket, rule("soon", Filter={"Prefix": "a/"}, Expiration={"Days": 3}),
        rule("later", Filter={"Prefix": "a/"}, Expiration={"Days": 30}))
    put = wire.put(f"/{bucket}/a/k", b"x")
    for answer in (put, wire.get(f"/{bucket}/a/k"), wire.head(f"/{bucket}/a/k")):
        found = re.fullmatch(r'expiry-date="(.+)", rule-id="soon"', answer.headers["x-amz-expiration"])
        when = datetime.datetime.strptime(found[1], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=datetime.timezone.utc)
        assert (when.hour, when.minute, when.second) == (0, 0, 0)
        left = when - datetime.datetime.now(datetime.timezone.utc)
        assert datetime.timedelta(days=3) - datetime.timedelta(minutes=5) < left <= datetime.timedelta(days=4)
    assert "x-amz-expiration" not in wire.put(f"/{bucket}/b", b"x").headers
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert "x-amz-expiration" not in wire.head(f"/{bucket}/a/k").headers


def test_an_upload_says_when_it_is_abandoned(s3, bucket):
    """x-amz-abort-date and x-amz-abort-rule-id ("CreateMultipartUpload", "ListParts")."""
    set_rules(s3, bucket, rule("end", Filter={"Prefix": "a/"}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 3}))
    begun = s3.create_multipart_upload(Bucket=bucket, Key="a/k")
    for answer in (begun, s3.list_parts(Bucket=bucket, Key="a/k", UploadId=begun["UploadId"])):
        left = answer["AbortDate"] - datetime.datetime.now(datetime.timezone.utc)
        assert answer["AbortRuleId"] == "end"
        assert datetime.timedelta(days=3) - datetime.timedelta(minutes=5) < left <= datetime.timedelta(days=4)
    assert "AbortDate" not in s3.create_multipart_upload(Bucket=bucket, Key="b")


# Days that pass.

DAY_SECONDS = 2


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """An object store alone whose days have two seconds; its client."""
    store = Alone(tmp_path_factory.mktemp("quick"), day_seconds=DAY_SECONDS)
    store.start()
    yield store.client()
    store.stop()


@pytest.fixture
def short(quick):
    made = []

    def make(versioning=None, **how):
        name = new_name()
        quick.create_bucket(Bucket=name, **how)
        made.append(name)
        if versioning:
            quick.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versioning})
        return name

    yield make
    for name in made:
        remove_bucket(quick, name)


def comes(condition, days=8):
    """Waits for what so many days bring."""
    eventually(condition, seconds=days * DAY_SECONDS)


def keys(s3, bucket):
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_days_pass(quick, short):
    """All of it in parallel, for each waits: what expires, and what stays."""
    plain, filtered, kept, suspended, disabled, dated = short(), short(), short("Enabled"), short("Enabled"), short(), short()
    # A bucket without versions: gone.
    set_rules(quick, plain, rule(Filter={"Prefix": "go/"}, Expiration={"Days": 1}))
    fill(quick, plain, ["go/a", "go/b", "stay"])
    # Filters by tag and size.
    set_rules(
        quick, filtered, rule("tag", Filter={"Tag": {"Key": "t", "Value": "1"}}, Expiration={"Days": 1}),
        rule("and", Filter={"And": {"Prefix": "and/", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]}},
            Expiration={"Days": 1}),
        rule("size", Filter={"And": {"Prefix": "size/", "ObjectSizeGreaterThan": 10, "ObjectSizeLessThan": 20}},
            Expiration={"Days": 1}))
    for key, tags in [("tagged", "t=1&x=y"), ("tagged-2", "t=2"), ("and/both", "a=1&b=2"), ("and/one", "a=1"),
        ("else", "a=1&b=2")]:
        quick.put_object(Bucket=filtered, Key=key, Body=b"x", Tagging=tags)
    for size in (10, 11, 19, 20):
        quick.put_object(Bucket=filtered, Key=f"size/{size}", Body=b"x" * size)
    # A bucket with versions: hidden.
    set_rules(quick, kept, rule(Expiration={"Days": 1}))
    version = quick.put_object(Bucket=kept, Key="k", Body=b"x")["VersionId"]
    # Suspended: a null marker takes the place of the null version.
    old = quick.put_object(Bucket=suspended, Key="k", Body=b"old")["VersionId"]
    quick.put_bucket_versioning(Bucket=suspended, VersioningConfiguration={"Status": "Suspended"})
    quick.put_object(Bucket=suspended, Key="k", Body=b"null")
    set_rules(quick, suspended, rule(Expiration={"Days": 1}))
    set_rules(quick, disabled, {**rule(Expiration={"Days": 1}), "Status": "Disabled"})
    fill(quick, disabled, ["k"])
    # A date that was.
    set_rules(quick, dated,
        rule(Filter={"Prefix": "past"}, Expiration={"Date": datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)}),
              rule("future", Filter={"Prefix": "to come"},
                  Expiration={"Date": datetime.datetime(2099, 1, 1, tzinfo=datetime.timezone.utc)}))
    fill(quick, dated, ["past", "to come"])

    comes(lambda: keys(quick, plain) == ["stay"])
    assert versions(quick, plain) == [("stay", "null", False, True)]
    comes(lambda: keys(quick, filtered) == ["and/one", "else", "size/10", "size/20", "tagged-2"])
    comes(lambda: keys(quick, kept) == [])
    [one, marker] = versions(quick, kept)
    assert one == ("k", version, False, False) and marker[2:] == (True, True) and marker[1] != "null"
    comes(lambda: keys(quick, suspended) == [])
    assert versions(quick, suspended) == [("k", old, False, False), ("k", "null", True, True)]
    comes(lambda: keys(quick, dated) == ["to come"])
    time.sleep(DAY_SECONDS)
    assert keys(quick, disabled) == ["k"] and keys(quick, plain) == ["stay"]


def test_versions_that_are_not_current_go(quick, short):
    noncurrent, newest, markers, locked, uploads = short("Enabled"), short("Enabled"), short("Enabled"), short(
        ObjectLockEnabledForBucket=True), short()
    set_rules(quick, noncurrent, rule(NoncurrentVersionExpiration={"NoncurrentDays": 1}))
    current = [quick.put_object(Bucket=noncurrent, Key="k", Body=b"x")["VersionId"] for _ in range(3)][-1]
    set_rules(quick, newest, rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}))
    ids = [quick.put_object(Bucket=newest, Key="k", Body=b"x")["VersionId"] for _ in range(5)]
    # A marker with nothing behind it.
    set_rules(quick, markers, rule(Expiration={"ExpiredObjectDeleteMarker": True}))
    quick.delete_object(Bucket=markers, Key="alone")
    fill(quick, markers, ["hidden"])
    quick.delete_object(Bucket=markers, Key="hidden")
    # What is locked stays.
    set_rules(quick, locked, rule(NoncurrentVersionExpiration={"NoncurrentDays": 1}))
    held = quick.put_object(Bucket=locked, Key="held", Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    fill(quick, locked, ["held", "free", "free"])
    # Uploads that nobody ends.
    set_rules(quick, uploads, rule(Filter={"Prefix": "go"}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}))
    begun = quick.create_multipart_upload(Bucket=uploads, Key="go")["UploadId"]
    quick.upload_part(Bucket=uploads, Key="go", UploadId=begun, PartNumber=1, Body=b"x")
    quick.create_multipart_upload(Bucket=uploads, Key="stay")
    quick.create_multipart_upload(Bucket=uploads, Key="go too")

    comes(lambda: [found[1] for found in versions(quick, noncurrent)] == [current])
    comes(lambda: [found[1] for found in versions(quick, newest)] == [ids[4], ids[3], ids[2]])
    comes(lambda: [found[0] for found in versions(quick, markers)] == ["hidden", "hidden"])
    comes(lambda: [found[0] for found in versions(quick, locked)] == ["free", "held", "held"])
    assert held in [found[1] for found in versions(quick, locked)]
    comes(lambda: [found["Key"] for found in quick.list_multipart_uploads(Bucket=uploads)["Uploads"]] == ["stay"])
    assert refused(quick.list_parts, Bucket=uploads, Key="go", UploadId=begun) == (404, "NoSuchUpload")


def test_the_first_region_of_all(quick):
    """us-east-1 shows no location, and its owner may make a bucket twice."""
    name = new_name()
    quick.create_bucket(Bucket=name)
    assert status(quick.create_bucket(Bucket=name)) == 200
    assert quick.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    quick.delete_bucket(Bucket=name)
