"""Versions of objects, in buckets that keep them, that stopped keeping them, and that never did ("Retaining
multiple versions of objects with S3 Versioning", Amazon S3 User Guide)."""

import concurrent.futures

import pytest

from objects.wire import fill, quoted, read, refused, status, tag_of, versions


def set_state(s3, bucket, state):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": state})


def put(s3, bucket, body, key="k"):
    return s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId")


def test_states(s3, wire, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert wire.get(f"/{bucket}", query="versioning").document.tag == "VersioningConfiguration"
    for state in ["Enabled", "Enabled", "Suspended", "Suspended", "Enabled"]:
        set_state(s3, bucket, state)
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == state


@pytest.mark.parametrize("document, refusal", [
    ("", (400, "MissingRequestBodyError")), ("<Other/>", (400, "MalformedXML")),
    ("<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>", (400, "MalformedXML")),
    ("<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>", (400, "MalformedXML")),
    ("<VersioningConfiguration/>", (400, "IllegalVersioningConfigurationException")),
    ("<VersioningConfiguration><Status>Enabled</Status>", (400, "MalformedXML"))])
def test_states_that_there_are_not(s3, wire, bucket, document, refusal):
    answer = wire.put(f"/{bucket}", document, query="versioning")
    assert answer.refusal == refusal
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


def test_a_bucket_that_never_kept_versions(s3, wire, bucket):
    assert put(s3, bucket, b"one") is None
    assert put(s3, bucket, b"two") is None
    assert versions(s3, bucket) == [("k", "null", False, True)]
    assert read(s3, bucket, "k", VersionId="null") == b"two"
    assert "x-amz-version-id" not in wire.get(f"/{bucket}/k").headers
    gone = wire.delete(f"/{bucket}/k")
    assert "x-amz-version-id" not in gone.headers and "x-amz-delete-marker" not in gone.headers
    assert versions(s3, bucket) == []
    put(s3, bucket, b"three")
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert versions(s3, bucket) == []


def test_every_version_is_kept(s3, versioned):
    ids = [put(s3, versioned, str(number).encode()) for number in range(4)]
    assert len(set(ids)) == 4 and "null" not in ids
    for number, version in enumerate(ids):
        got = s3.get_object(Bucket=versioned, Key="k", VersionId=version)
        assert got["Body"].read() == str(number).encode() and got["VersionId"] == version
        head = s3.head_object(Bucket=versioned, Key="k", VersionId=version)
        assert (head["VersionId"], head["ETag"]) == (version, tag_of(str(number).encode()))
    current = s3.get_object(Bucket=versioned, Key="k")
    assert current["Body"].read() == b"3" and current["VersionId"] == ids[3]
    assert versions(s3, versioned) == [("k", version, False, version == ids[3]) for version in reversed(ids)]


def test_a_version_is_removed_for_good(s3, wire, versioned):
    ids = [put(s3, versioned, str(number).encode()) for number in range(3)]
    gone = wire.delete(f"/{versioned}/k", query=f"versionId={ids[1]}")
    assert gone.status == 204 and gone.headers["x-amz-version-id"] == ids[1] and "x-amz-delete-marker" not in gone.headers
    assert refused(s3.get_object, Bucket=versioned, Key="k", VersionId=ids[1]) == (404, "NoSuchVersion")
    assert refused(s3.head_object, Bucket=versioned, Key="k", VersionId=ids[1])[0] == 404
    assert read(s3, versioned, "k") == b"2"
    # The one before is current again.
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[2])
    assert read(s3, versioned, "k") == b"0" and versions(s3, versioned) == [("k", ids[0], False, True)]
    # Once more is no fault.
    assert status(s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[2])) == 204
    s3.delete_object(Bucket=versioned, Key="k", VersionId=ids[0])
    assert refused(s3.get_object, Bucket=versioned, Key="k") == (404, "NoSuchKey") and versions(s3, versioned) == []


def test_a_delete_marker_hides(s3, wire, versioned):
    version = put(s3, versioned, b"x")
    gone = s3.delete_object(Bucket=versioned, Key="k")
    marker = gone["VersionId"]
    assert gone["DeleteMarker"] is True and marker not in (version, "null")
    assert versions(s3, versioned) == [("k", version, False, False), ("k", marker, True, True)]
    for answer in (wire.get(f"/{versioned}/k"), wire.head(f"/{versioned}/k")):
        assert answer.status == 404
        assert (answer.headers["x-amz-delete-marker"], answer.headers["x-amz-version-id"]) == ("true", marker)
    assert wire.get(f"/{versioned}/k").code == "NoSuchKey"
    # Asked for by its name it is no object.
    for answer in (wire.get(f"/{versioned}/k", query=f"versionId={marker}"),
        wire.head(f"/{versioned}/k", query=f"versionId={marker}")):
        assert answer.status == 405 and answer.headers["x-amz-delete-marker"] == "true"
        assert answer.headers["allow"] == "DELETE" and answer.headers["last-modified"]
    assert wire.get(f"/{versioned}/k", query=f"versionId={marker}").code == "MethodNotAllowed"
    assert read(s3, versioned, "k", VersionId=version) == b"x"
    # Removing the marker brings the object back.
    back = s3.delete_object(Bucket=versioned, Key="k", VersionId=marker)
    assert (back["DeleteMarker"], back["VersionId"]) == (True, marker) and read(s3, versioned, "k") == b"x"


def test_markers_upon_markers(s3, versioned):
    """Also of what never was."""
    first = s3.delete_object(Bucket=versioned, Key="never")
    second = s3.delete_object(Bucket=versioned, Key="never")
    assert first["DeleteMarker"] and second["DeleteMarker"] and first["VersionId"] != second["VersionId"]
    assert versions(s3, versioned) == [("never", second["VersionId"], True, True), ("never", first["VersionId"], True, False)]
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    s3.delete_object(Bucket=versioned, Key="never", VersionId=second["VersionId"])
    assert versions(s3, versioned) == [("never", first["VersionId"], True, True)]


def test_what_was_there_before_is_the_null_version(s3, bucket):
    put(s3, bucket, b"old")
    set_state(s3, bucket, "Enabled")
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    new = put(s3, bucket, b"new")
    assert versions(s3, bucket) == [("k", new, False, True), ("k", "null", False, False)]
    assert read(s3, bucket, "k", VersionId="null") == b"old" and read(s3, bucket, "k") == b"new"
    gone = s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert gone["VersionId"] == "null" and versions(s3, bucket) == [("k", new, False, True)]
    assert refused(s3.get_object, Bucket=bucket, Key="k", VersionId="null") == (404, "NoSuchVersion")


def test_suspended_there_is_one_null_version(s3, versioned):
    kept = put(s3, versioned, b"kept")
    set_state(s3, versioned, "Suspended")
    done = s3.put_object(Bucket=versioned, Key="k", Body=b"null one")
    assert "VersionId" not in done
    put(s3, versioned, b"null two")
    assert versions(s3, versioned) == [("k", "null", False, True), ("k", kept, False, False)]
    assert read(s3, versioned, "k") == b"null two" and read(s3, versioned, "k", VersionId=kept) == b"kept"
    # Enabled again, the null version is one among the others.
    set_state(s3, versioned, "Enabled")
    new = put(s3, versioned, b"new")
    assert versions(s3, versioned) == [("k", new, False, True), ("k", "null", False, False), ("k", kept, False, False)]
    assert read(s3, versioned, "k", VersionId="null") == b"null two"


def test_suspended_no_answer_names_the_null_version(s3, versioned):
    """That of who stores it; who reads it is told."""
    set_state(s3, versioned, "Suspended")
    assert put(s3, versioned, b"x") is None
    copied = s3.copy_object(Bucket=versioned, Key="copy", CopySource={"Bucket": versioned, "Key": "k"})
    assert "VersionId" not in copied and copied["CopySourceVersionId"] == "null"
    upload = s3.create_multipart_upload(Bucket=versioned, Key="parts")["UploadId"]
    tag = s3.upload_part(Bucket=versioned, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    whole = s3.complete_multipart_upload(
        Bucket=versioned, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert "VersionId" not in whole
    for key in ["k", "copy", "parts"]:
        assert s3.head_object(Bucket=versioned, Key=key)["VersionId"] == "null"


def test_suspended_a_removal_puts_a_null_marker(s3, versioned):
    kept = put(s3, versioned, b"kept")
    set_state(s3, versioned, "Suspended")
    put(s3, versioned, b"null")
    gone = s3.delete_object(Bucket=versioned, Key="k")
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, "null")
    # It replaced the null version; the others are kept.
    assert versions(s3, versioned) == [("k", kept, False, False), ("k", "null", True, True)]
    s3.delete_object(Bucket=versioned, Key="k")
    assert len(versions(s3, versioned)) == 2
    put(s3, versioned, b"again")
    assert versions(s3, versioned) == [("k", "null", False, True), ("k", kept, False, False)]
    s3.delete_object(Bucket=versioned, Key="k")
    back = s3.delete_object(Bucket=versioned, Key="k", VersionId="null")
    assert back["DeleteMarker"] is True and read(s3, versioned, "k") == b"kept"


def test_suspended_and_a_removal_of_a_version(s3, versioned):
    one, two = put(s3, versioned, b"1"), put(s3, versioned, b"2")
    set_state(s3, versioned, "Suspended")
    s3.delete_object(Bucket=versioned, Key="k", VersionId=two)
    assert versions(s3, versioned) == [("k", one, False, True)]


def test_many_removals(s3, versioned):
    first, second = put(s3, versioned, b"1", "a"), put(s3, versioned, b"2", "a")
    fill(s3, versioned, ["b"])
    answer = s3.delete_objects(Bucket=versioned, Delete={"Objects": [
        {"Key": "a", "VersionId": first}, {"Key": "b"}, {"Key": "never"}]})
    by_key = {found["Key"]: found for found in answer["Deleted"]}
    assert by_key["a"] == {"Key": "a", "VersionId": first}
    assert by_key["b"]["DeleteMarker"] is True and by_key["b"]["DeleteMarkerVersionId"] and "VersionId" not in by_key["b"]
    assert by_key["never"]["DeleteMarker"] is True
    marker = by_key["b"]["DeleteMarkerVersionId"]
    answer = s3.delete_objects(Bucket=versioned,
        Delete={"Objects": [{"Key": "b", "VersionId": marker}, {"Key": "a", "VersionId": second}]})
    by_key = {found["Key"]: found for found in answer["Deleted"]}
    assert by_key["b"] == {"Key": "b", "VersionId": marker, "DeleteMarker": True, "DeleteMarkerVersionId": marker}
    assert read(s3, versioned, "b") == b"x" and refused(s3.head_object, Bucket=versioned, Key="a")[0] == 404


@pytest.mark.parametrize("version", ["nonsense", "0", "ü", "null%00", "%20"])
def test_versions_that_cannot_be(wire, versioned, version):
    wire.put(f"/{versioned}/k", b"x")

    for answer in [wire.get(f"/{versioned}/k", query=f"versionId={quoted(version)}"),
                   wire.get(f"/{versioned}/k", query=f"acl&versionId={quoted(version)}"),
                   wire.delete(f"/{versioned}/k", query=f"versionId={quoted(version)}")]:
        assert answer.refusal == (400, "InvalidArgument")
    assert wire.head(f"/{versioned}/k", query=f"versionId={quoted(version)}").status == 400


def test_an_empty_version(wire, versioned):
    """"Version id cannot be the empty string"."""
    wire.put(f"/{versioned}/k", b"x")
    assert wire.get(f"/{versioned}/k", query="versionId=").refusal == (400, "InvalidArgument")


def test_a_version_of_another_key(s3, versioned):
    version = put(s3, versioned, b"x", "a")
    put(s3, versioned, b"y", "b")
    assert refused(s3.get_object, Bucket=versioned, Key="b", VersionId=version) == (404, "NoSuchVersion")
    assert refused(s3.get_object_tagging, Bucket=versioned, Key="b", VersionId=version) == (404, "NoSuchVersion")
    assert refused(s3.get_object, Bucket=versioned, Key="none", VersionId=version) == (404, "NoSuchVersion")
    s3.delete_object(Bucket=versioned, Key="b", VersionId=version)
    assert read(s3, versioned, "a") == b"x" and read(s3, versioned, "b") == b"y"


def test_every_kind_of_writing_makes_a_version(s3, versioned):
    first = put(s3, versioned, b"put")
    copied = s3.copy_object(Bucket=versioned, Key="k", CopySource=f"{versioned}/k", MetadataDirective="REPLACE")["VersionId"]
    upload = s3.create_multipart_upload(Bucket=versioned, Key="k")["UploadId"]
    tag = s3.upload_part(Bucket=versioned, Key="k", UploadId=upload, PartNumber=1, Body=b"parts")["ETag"]
    completed = s3.complete_multipart_upload(
        Bucket=versioned, Key="k", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})["VersionId"]
    assert [found[1] for found in versions(s3, versioned)] == [completed, copied, first]
    assert [read(s3, versioned, "k", VersionId=version) for version in (first, copied, completed)] == [b"put", b"put", b"parts"]


def test_what_is_said_of_one_version(s3, versioned):
    """Tags, lists and attributes belong to a version."""
    one, two = put(s3, versioned, b"1"), put(s3, versioned, b"2!")
    asked = dict(Bucket=versioned, Key="k")
    s3.put_object_tagging(**asked, VersionId=one, Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    tagged = s3.get_object_tagging(**asked, VersionId=one)
    assert (tagged["VersionId"], tagged["TagSet"]) == (one, [{"Key": "a", "Value": "1"}])
    assert s3.get_object_tagging(**asked)["TagSet"] == [] and s3.get_object_tagging(**asked)["VersionId"] == two
    s3.put_object_acl(**asked, VersionId=one, ACL="public-read")
    assert len(s3.get_object_acl(**asked, VersionId=one)["Grants"]) == 2 and len(s3.get_object_acl(**asked)["Grants"]) == 1
    for version, size in [(one, 1), (two, 2)]:
        found = s3.get_object_attributes(**asked, VersionId=version, ObjectAttributes=["ObjectSize"])
        assert (found["ObjectSize"], found["VersionId"]) == (size, version)
    gone = s3.delete_object_tagging(**asked, VersionId=one)
    assert gone["VersionId"] == one and s3.get_object_tagging(**asked, VersionId=one)["TagSet"] == []
    assert len(versions(s3, versioned)) == 2, "none of it made a version"


@pytest.mark.parametrize("call, more", [
    ("get_object_tagging", {}), ("put_object_tagging", {"Tagging": {"TagSet": []}}), ("delete_object_tagging", {}),
    ("get_object_acl", {}), ("put_object_acl", {"ACL": "private"}), ("get_object_attributes", {"ObjectAttributes": ["ETag"]})])
def test_what_is_said_of_a_marker(s3, versioned, call, more):
    put(s3, versioned, b"x")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    assert refused(getattr(s3, call), Bucket=versioned, Key="k", **more) == (404, "NoSuchKey")
    assert refused(getattr(s3, call), Bucket=versioned, Key="k", VersionId=marker, **more) == (405, "MethodNotAllowed")


def test_concurrent_writers_make_a_version_each(s3, versioned):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: put(s3, versioned, str(number).encode()), range(24)))
    found = versions(s3, versioned)
    assert sorted(version[1] for version in found) == sorted(ids) and [version[3] for version in found] == [True] + [False] * 23
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda version: s3.delete_object(Bucket=versioned, Key="k", VersionId=version), ids))
    assert versions(s3, versioned) == []


def test_conditions_and_removals_of_versions(s3, versioned):
    """A condition is about the current version; one that is named goes whatever is current."""
    one = put(s3, versioned, b"1")
    tag = s3.put_object(Bucket=versioned, Key="k", Body=b"2")["ETag"]
    assert refused(s3.delete_object, Bucket=versioned, Key="k", IfMatch='"other"') == (412, "PreconditionFailed")
    assert s3.delete_object(Bucket=versioned, Key="k", IfMatch=tag)["DeleteMarker"] is True
    s3.delete_object(Bucket=versioned, Key="k", VersionId=one)
    assert len(versions(s3, versioned)) == 2


def test_the_headers_of_a_version(wire, versioned):
    done = wire.put(f"/{versioned}/k", b"x")
    version = done.headers["x-amz-version-id"]
    for answer in [wire.get(f"/{versioned}/k"), wire.head(f"/{versioned}/k"), wire.get(f"/{versioned}/k", query="tagging"),
                   wire.get(f"/{versioned}/k", headers={"Range": "bytes=0-0"})]:
        assert answer.headers["x-amz-version-id"] == version and "x-amz-delete-marker" not in answer.headers


def test_settings_are_those_of_the_moment_of_storing(s3, owner, bucket):
    """Versions are kept of what was on its way when versioning was enabled: nothing is replaced."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")

    def body():
        yield b"aft"
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        yield b"er"

    answer = owner.wire.send(
        "PUT", f"/{bucket}/k", body=body(), payload_hash="UNSIGNED-PAYLOAD",
        headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "Content-Length": "5"})
    assert answer.status == 200 and answer.headers["x-amz-version-id"] != "null", answer
    assert read(s3, bucket, "k") == b"after" and read(s3, bucket, "k", VersionId="null") == b"before"


def test_the_marker_of_another_account(s3, other, bucket):
    """A bucket's owner is told of a delete marker that another account has put."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    marker = other.delete_object(Bucket=bucket, Key="k")["VersionId"]
    assert refused(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")
    assert refused(s3.get_object, Bucket=bucket, Key="k", VersionId=marker) == (405, "MethodNotAllowed")


def test_what_is_not_there_is_hidden_by_nothing(wire, bucket):
    assert wire.get(f"/{bucket}/nothing").headers["x-amz-delete-marker"] == "false"
