"""Keys are any UTF-8 of up to 1024 bytes, and none is another ("Naming Amazon S3 objects", Amazon S3 User
Guide)."""

import urllib.parse

import pytest

from objects.wire import quoted, read

KEYS = [
    # Paths that a file system, a proxy or a client would change.
    ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "/", "//", "/a", "a/", "a//b", "///a//", " ", " a", "a ", "a/ /b",
    # Characters that addresses and documents have a meaning for.
    "a%b", "%", "%2F", "%20", "a%2fb", "a+b", "+", "a&b", "a=b", "a?b", "a?versionId=1", "a#b", "a;b", "a:b", "a@b", "a,b", "a$b",
    "a!b",
    "a'b", 'a"b', "a<b>", "a\\b", "a|b", "a^b", "a`b", "a{b}", "[a]", "a~b", "*", "(a)", "&amp;", "<!--", "]]>",
    # Other scripts, composed and not, and beyond the first plane.
    "ü", "u\u0308", "日本語/キー", "ключ", "مفتاح", "\u200b", "\ufeff", "😀", "\U0010fffd", "\ufffd", "\uffff",
    # What is a sub-resource elsewhere.
    "acl", "uploads", "versions", "policy", "index.html", "favicon.ico", "robots.txt", "soap", "null",
]
CONTROLS = ["a\tb", "a\nb", "a\rb", "a\x01b", "a\x1fb", "\x7f", "\x85", "a\x0bb", "\n", "\r\n", "\t"]


@pytest.mark.parametrize("key", KEYS + CONTROLS, ids=ascii)
def test_a_key(wire, bucket, key):
    """Put, headed, read, listed, tagged, copied and removed under its name."""
    path = f"/{bucket}/{quoted(key)}"
    body = key.encode()
    assert wire.put(path, body).status == 200
    assert wire.head(path).headers["content-length"] == str(len(body))
    assert wire.get(path).body == body
    listed = wire.get(f"/{bucket}", query="list-type=2&encoding-type=url").texts("Contents/Key")
    assert [urllib.parse.unquote_plus(text) for text in listed] == [key]
    prefixed = wire.get(f"/{bucket}", query="list-type=2&encoding-type=url&prefix=" + urllib.parse.quote(key, safe=""))
    assert prefixed.texts("Contents/Key") == listed
    assert wire.put(f"/{bucket}/copied", headers={"x-amz-copy-source": f"/{bucket}/{quoted(key)}"}).status == 200
    assert wire.get(f"/{bucket}/copied").body == body
    assert wire.delete(path).status == 204
    assert wire.get(path).refusal == (404, "NoSuchKey")


@pytest.mark.parametrize("key", [key for key in KEYS + ["a\tb", "a\nb"] if "\uffff" not in key], ids=ascii)
def test_a_key_in_documents(s3, bucket, key):
    """As clients' libraries write and read it; XML cannot carry U+FFFF."""
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for page in (s3.list_objects(Bucket=bucket), s3.list_objects_v2(Bucket=bucket)):
        assert [found["Key"] for found in page["Contents"]] == [key]
    assert [found["Key"] for found in s3.list_object_versions(Bucket=bucket)["Versions"]] == [key]
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert gone["Deleted"] == [{"Key": key}] and s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)
    assert upload["Key"] == key
    [found] = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert found["Key"] == key
    tag = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=b"y")["ETag"]
    done = s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload["UploadId"], MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert done["Key"] == key and read(s3, bucket, key) == b"y"


def test_no_two_keys_are_one(s3, bucket):
    keys = [key for key in KEYS if "\uffff" not in key]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in keys:
        assert read(s3, bucket, key) == key.encode()
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]] == sorted(keys, key=str.encode)


@pytest.mark.parametrize("key, fits", [
    ("k" * 1024, True), ("k" * 1025, False), ("ü" * 512, True), ("ü" * 512 + "k", False), ("😀" * 256, True), ("a/" * 512, True),
    ("k" * 4000, False)])
def test_how_long_a_key_may_be(wire, bucket, key, fits):
    """In bytes of UTF-8."""
    path = f"/{bucket}/{quoted(key)}"
    wire.put(f"/{bucket}/source", b"x")
    if fits:
        assert wire.put(path, b"x").status == 200 and wire.get(path).body == b"x"
        return
    assert wire.put(path, b"x").refusal == (400, "KeyTooLongError")
    assert wire.post(path, query="uploads").refusal == (400, "KeyTooLongError")
    assert wire.put(path, headers={"x-amz-copy-source": f"{bucket}/source"}).refusal == (400, "KeyTooLongError")
    assert wire.get(path).refusal == (400, "KeyTooLongError")


@pytest.mark.parametrize("path", ["%ff", "a%c3", "%ed%a0%80", "a%80b", "%00", "a%00b"])
def test_keys_that_are_no_text(wire, bucket, path):
    assert wire.get(f"/{bucket}/{path}").refusal == (400, "InvalidURI")
    assert wire.put(f"/{bucket}/{path}", b"x").refusal == (400, "InvalidURI")


def test_letters_of_either_case_in_escapes(wire, bucket):
    assert wire.put(f"/{bucket}/%c3%bc", b"x").status == 200
    assert wire.get(f"/{bucket}/%C3%BC").body == b"x"


def test_characters_that_need_no_escape(wire, bucket):
    """What a client leaves as it is, and one that writes it out, mean one key."""
    assert wire.put(f"/{bucket}/a!$&'()*+,:;=@~b", b"x").status == 200
    assert wire.get(f"/{bucket}/a%21%24%26%27%28%29%2A%2B%2C%3A%3B%3D%40%7Eb").body == b"x"


@pytest.mark.parametrize("key", ["a\x01b", "a\x1fb", "a\x0bb", "\uffff"], ids=ascii)
def test_a_key_that_documents_cannot_carry(wire, bucket, key):
    """Listings answer all the same; the other keys of the page can be read."""
    wire.put(f"/{bucket}/{quoted(key)}", b"x")
    wire.put(f"/{bucket}/plain", b"x")
    for query in ["", "list-type=2", "versions"]:
        assert b"<Key>plain</Key>" in wire.get(f"/{bucket}", query=query).body
    assert wire.get(f"/{bucket}", query="versions&encoding-type=url").status == 200
