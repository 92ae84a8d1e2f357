"""Listings of keys and versions, in pages and rolled up ("ListObjects", "ListObjectsV2",
"ListObjectVersions", Amazon S3 API Reference; "Listing object keys", Amazon S3 User Guide)."""

import concurrent.futures
import urllib.parse

import pytest

from objects.wire import a_bucket, fill, new_name, refused, tag_of, versions

KEYS = ["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/bla", "cquux/thud", "x", "y/1", "y/2", "y/3/z"]


@pytest.fixture(scope="module")
def shelf(s3):
    with a_bucket(s3) as name:
        fill(s3, name, KEYS)
        yield name


@pytest.fixture(scope="module")
def odd_shelf(s3):
    """Keys whose delimiters and characters are unusual."""
    with a_bucket(s3) as name:
        fill(s3, name, ["b ar", "b az", "b%c", "b.1", "b.2", "f o", "f%2Fo", "g", "n\n1", "n\n2", "ü/1", "ü/2"])
        yield name


def listed(page):
    return [found["Key"] for found in page.get("Contents", [])], [found["Prefix"] for found in page.get("CommonPrefixes", [])]


BOTH = pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
ALL = pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_object_versions"])


def ask(s3, operation, **asked):
    """A page as (keys, common prefixes) of any of the three listings."""
    page = getattr(s3, operation)(**asked)
    if operation == "list_object_versions":
        page["Contents"] = page.get("Versions", [])
    return listed(page)


# Prefix, delimiter, keys, common prefixes.
ROLLED = [
    (None, None, KEYS, []),
    (None, "/", ["asdf", "x"], ["boo/", "cquux/", "y/"]),
    ("boo/", "/", ["boo/bar"], ["boo/baz/"]),
    ("boo", "/", [], ["boo/"]),
    ("b", None, ["boo/bar", "boo/baz/xyzzy"], []),
    ("y/", "/", ["y/1", "y/2"], ["y/3/"]),
    ("y/3/z", "/", ["y/3/z"], []),
    ("", "/", ["asdf", "x"], ["boo/", "cquux/", "y/"]),
    ("none", None, [], []), ("none/", "/", [], []), ("zz", "/", [], []),
    # Any text may be the delimiter.
    (None, "", KEYS, []),
    (None, "q", ["asdf", "boo/bar", "boo/baz/xyzzy", "x", "y/1", "y/2", "y/3/z"], ["cq"]),
    (None, "/ba", ["asdf", "cquux/bla", "cquux/thud", "x", "y/1", "y/2", "y/3/z"], ["boo/ba"]),
    (None, "oo/ba", ["asdf", "cquux/bla", "cquux/thud", "x", "y/1", "y/2", "y/3/z"], ["boo/ba"]),
    ("boo/", "z", ["boo/bar"], ["boo/baz"]),
    (None, "nowhere", KEYS, []),
    ("y", "y", ["y/1", "y/2", "y/3/z"], []),
    # The delimiter within the prefix does not count.
    ("boo/ba", "/", ["boo/bar"], ["boo/baz/"]),
]


@ALL
@pytest.mark.parametrize("prefix, delimiter, keys, prefixes", ROLLED)
def test_rolled_up(s3, shelf, operation, prefix, delimiter, keys, prefixes):
    asked = {name: value for name, value in [("Prefix", prefix), ("Delimiter", delimiter)] if value is not None}
    assert ask(s3, operation, Bucket=shelf, **asked) == (keys, prefixes)


@ALL
@pytest.mark.parametrize("delimiter, prefixes", [
    (" ", ["b ", "f "]), ("%", ["b%", "f%"]), (".", ["b."]), ("\n", ["n\n"]), ("ü", ["ü"]), ("/", ["ü/"])])
def test_odd_delimiters(s3, odd_shelf, operation, delimiter, prefixes):
    assert ask(s3, operation, Bucket=odd_shelf, Delimiter=delimiter)[1] == prefixes


@ALL
@pytest.mark.parametrize("prefix, keys", [
    ("b ", ["b ar", "b az"]), ("b%", ["b%c"]), ("f%2F", ["f%2Fo"]), ("n\n", ["n\n1", "n\n2"]), ("ü", ["ü/1", "ü/2"]), ("\n", []),
    ("b+", [])])
def test_odd_prefixes(s3, odd_shelf, operation, prefix, keys):
    assert ask(s3, operation, Bucket=odd_shelf, Prefix=prefix)[0] == keys


@ALL
@pytest.mark.parametrize("delimiter", [None, "/"])
@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_in_pages(s3, shelf, operation, delimiter, step):
    """However long the pages: every key and prefix once, in order, no page too long, none but the last short."""
    asked = {"Delimiter": delimiter} if delimiter else {}
    keys, prefixes, sizes = [], [], []
    for page in s3.get_paginator(operation).paginate(Bucket=shelf, PaginationConfig={"PageSize": step}, **asked):
        if operation == "list_object_versions":
            page["Contents"] = page.get("Versions", [])
        found = listed(page)
        keys, prefixes = keys + found[0], prefixes + found[1]
        sizes.append(len(found[0]) + len(found[1]))
        assert page["MaxKeys"] == step and page["IsTruncated"] == (len(keys) + len(prefixes) < (5 if delimiter else 9))
    assert (keys, prefixes) == ((["asdf", "x"], ["boo/", "cquux/", "y/"]) if delimiter else (KEYS, []))
    assert all(size == step for size in sizes[:-1])


@pytest.mark.parametrize("marker, keys", [
    ("", KEYS), ("a", KEYS), ("asdf", KEYS[1:]), ("boo/bar", KEYS[2:]), ("bz", KEYS[3:]), ("y/3/z", []), ("zzz", []), (" ", KEYS),
    ("\n", KEYS), ("cquux/", KEYS[3:])])
def test_after_a_key(s3, shelf, marker, keys):
    first = s3.list_objects(Bucket=shelf, Marker=marker)
    assert listed(first)[0] == keys and first["Marker"] == marker and not first["IsTruncated"]
    second = s3.list_objects_v2(Bucket=shelf, StartAfter=marker)
    assert listed(second)[0] == keys and second["KeyCount"] == len(keys)
    assert second.get("StartAfter", "") == marker
    third = s3.list_object_versions(Bucket=shelf, KeyMarker=marker)
    assert [found["Key"] for found in third.get("Versions", [])] == keys and third["KeyMarker"] == marker


def test_after_a_common_prefix_comes_what_is_behind_it(s3, shelf):
    page = s3.list_objects(Bucket=shelf, Delimiter="/", MaxKeys=2)
    assert listed(page) == (["asdf"], ["boo/"]) and page["NextMarker"] == "boo/"
    page = s3.list_objects(Bucket=shelf, Delimiter="/", MaxKeys=2, Marker="boo/")
    assert listed(page) == (["x"], ["cquux/"]) and page["NextMarker"] == "x"
    page = s3.list_objects(Bucket=shelf, Delimiter="/", MaxKeys=2, Marker="x")
    assert listed(page) == ([], ["y/"]) and "NextMarker" not in page and not page["IsTruncated"]


def test_a_prefix_that_ends_the_page(s3, shelf):
    page = s3.list_objects(Bucket=shelf, Prefix="y/", Delimiter="/", MaxKeys=1)
    assert listed(page) == (["y/1"], []) and page["IsTruncated"] and page["NextMarker"] == "y/1"
    page = s3.list_objects(Bucket=shelf, Prefix="y/", Delimiter="/", MaxKeys=2, Marker="y/1")
    assert listed(page) == (["y/2"], ["y/3/"]) and not page["IsTruncated"]


def test_without_a_delimiter_the_next_marker_is_the_last_key(s3, shelf):
    page = s3.list_objects(Bucket=shelf, MaxKeys=2)
    assert page["IsTruncated"] and "NextMarker" not in page


@ALL
@pytest.mark.parametrize("text, shown, count",
    [("0", 0, 0), ("1", 1, 1), ("9", 9, 9), ("1000", 1000, 9), ("1001", 1000, 9), ("2147483647", 1000, 9)])
def test_how_many(wire, shelf, operation, text, shown, count):
    query = {"list_objects": "", "list_objects_v2": "list-type=2&", "list_object_versions": "versions&"}[operation]
    answer = wire.get(f"/{shelf}", query=f"{query}max-keys={text}")
    assert answer.text("MaxKeys") == str(shown)
    assert len(answer.texts("Contents") + answer.texts("Version")) == count
    assert answer.text("IsTruncated") == ("true" if count == 1 else "false")
    if operation == "list_objects_v2":
        assert answer.text("KeyCount") == str(count)


@ALL
@pytest.mark.parametrize("text", ["blah", "-1", "1.5", "99999999999999999999", "2147483648"])
def test_how_many_there_cannot_be(wire, shelf, operation, text):
    query = {"list_objects": "", "list_objects_v2": "list-type=2&", "list_object_versions": "versions&"}[operation]
    assert wire.get(f"/{shelf}", query=f"{query}max-keys={text}").refusal == (400, "InvalidArgument")


@ALL
def test_no_number_is_as_none(wire, shelf, operation):
    query = {"list_objects": "", "list_objects_v2": "list-type=2&", "list_object_versions": "versions&"}[operation]
    for more in ["", "max-keys="]:
        answer = wire.get(f"/{shelf}", query=query + more)
        assert answer.text("MaxKeys") == "1000" and len(answer.texts("Contents") + answer.texts("Version")) == 9


def test_what_the_first_form_says(wire, owner, shelf):
    answer = wire.get(f"/{shelf}", query="prefix=boo%2F&delimiter=%2F&marker=a")
    assert answer.status == 200 and answer.headers[
        "content-type"] == "application/xml" and answer.document.tag == "ListBucketResult"
    assert b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' in answer.body
    assert [answer.text(name) for name in ["Name", "Prefix", "Marker", "Delimiter", "MaxKeys", "IsTruncated"]] == [
        shelf, "boo/", "a", "/", "1000", "false"]
    assert answer.document.find("EncodingType") is None and answer.document.find("KeyCount") is None
    [found] = answer.document.findall("Contents")
    assert [found.findtext(name) for name in ["Key", "ETag", "Size", "StorageClass", "Owner/ID", "Owner/DisplayName"]] == [
        "boo/bar", tag_of(b"x"), "1", "STANDARD", owner.id, owner.number]
    assert answer.texts("CommonPrefixes/Prefix") == ["boo/baz/"]
    plain = wire.get(f"/{shelf}")
    assert (plain.text("Prefix"), plain.text("Marker")) == ("", "") and plain.document.find("Delimiter") is None


def test_what_the_second_form_says(wire, owner, shelf):
    answer = wire.get(f"/{shelf}", query="list-type=2&prefix=boo%2F&delimiter=%2F&start-after=a")
    assert [answer.text(name) for name in ["Name", "Prefix", "StartAfter", "Delimiter", "MaxKeys", "IsTruncated",
        "KeyCount"]] == [
        shelf, "boo/", "a", "/", "1000", "false", "2"]
    assert answer.document.find("Contents/Owner") is None and answer.document.find("Marker") is None
    assert answer.document.find("NextContinuationToken") is None
    for text, count in [("true", 9), ("false", 0), ("", 0)]:
        owners = wire.get(f"/{shelf}", query=f"list-type=2&fetch-owner={text}").texts("Contents/Owner/ID")
        assert owners == [owner.id] * count


def test_a_token_goes_on(wire, s3, shelf):
    first = s3.list_objects_v2(Bucket=shelf, MaxKeys=4)
    token = first["NextContinuationToken"]
    assert first["KeyCount"] == 4 and first["IsTruncated"] and "ContinuationToken" not in first
    second = s3.list_objects_v2(Bucket=shelf, MaxKeys=4, ContinuationToken=token)
    assert second["ContinuationToken"] == token and listed(second)[0] == KEYS[4:8]
    # Where both are said, the token counts.
    both = s3.list_objects_v2(Bucket=shelf, ContinuationToken=token, StartAfter="a")
    assert listed(both)[0] == KEYS[4:] and both["StartAfter"] == "a"
    # One that says nothing is none.
    empty = wire.get(f"/{shelf}", query="list-type=2&continuation-token=")
    assert empty.texts("Contents/Key") == KEYS and empty.text("ContinuationToken") == ""
    for wrong in ["!", "no token"]:
        query = f"list-type=2&continuation-token={urllib.parse.quote(wrong)}"
        assert wire.get(f"/{shelf}", query=query).refusal == (400, "InvalidArgument")


@pytest.mark.parametrize("query", ["", "list-type=2&", "versions&", "uploads&"])
def test_an_encoding_that_there_is_not(wire, shelf, query):
    assert wire.get(f"/{shelf}", query=f"{query}encoding-type=latin").refusal == (400, "InvalidArgument")


def test_a_form_that_there_is_not(wire, shelf):
    assert wire.get(f"/{shelf}", query="list-type=3").refusal == (400, "InvalidArgument")


ODD_KEYS = ["a b", "a&b<c>", "a+b", "a%2Fb", "a'b\"c", "a/ü", "a\n", "a*~-._()", "a\x01", "a\ufffe", "日本", "😀"]


@pytest.mark.parametrize("query, path", [("", "Contents"), ("list-type=2&", "Contents"), ("versions&", "Version")])
def test_keys_encoded(s3, wire, bucket, query, path):
    """encoding-type=url: UTF-8, percent-encoded but for letters, digits, - . _ * and the slash; XML cannot carry all keys."""
    fill(s3, bucket, ODD_KEYS)
    answer = wire.get(f"/{bucket}", query=f"{query}encoding-type=url")
    assert answer.text("EncodingType") == "url"
    spelled = answer.texts(f"{path}/Key")
    decoded = sorted(urllib.parse.unquote_plus(text) for text in spelled)
    assert decoded == sorted(ODD_KEYS)
    for text in spelled:
        assert text.isascii() and " " not in text and "<" not in text
        assert "%2F" not in text.replace("%252F", ""), "slashes stay"


def test_what_else_is_encoded(s3, wire, bucket):
    fill(s3, bucket, ["p ü/1", "p ü/2 x/y", "p ü/3"])
    one = wire.get(f"/{bucket}", query="encoding-type=url&prefix=p%20%C3%BC%2F&delimiter=%20x&marker=p%20a&max-keys=1")
    unquoted = {name: urllib.parse.unquote_plus(one.text(name)) for name in ["Prefix", "Delimiter", "Marker", "NextMarker"]}
    assert unquoted == {"Prefix": "p ü/", "Delimiter": " x", "Marker": "p a", "NextMarker": "p ü/1"}
    assert all(one.text(name).isascii() for name in unquoted)
    two = wire.get(f"/{bucket}", query="list-type=2&encoding-type=url&delimiter=%20x&start-after=p%20%C3%BC%2F1")
    assert urllib.parse.unquote_plus(two.text("StartAfter")) == "p ü/1" and two.text("StartAfter").isascii()
    assert urllib.parse.unquote_plus(two.text("CommonPrefixes/Prefix")) == "p ü/2 x"
    three = wire.get(f"/{bucket}", query="versions&encoding-type=url&key-marker=p%20%C3%BC&max-keys=1")
    assert urllib.parse.unquote_plus(three.text("KeyMarker")) == "p ü"
    assert urllib.parse.unquote_plus(three.text("NextKeyMarker")) == "p ü/1"


@pytest.mark.parametrize("encoded", [True, False])
def test_keys_in_the_order_of_their_bytes(s3, wire, bucket, encoded):
    keys = ["A", "Z", "_", "a", "a!", "a/", "a0", "z", "~", "é", "Ω", "日", "\uff5e", "😀"]
    assert keys == sorted(keys, key=str.encode)
    fill(s3, bucket, reversed(keys))
    spelled = wire.get(f"/{bucket}", query="list-type=2" + ("&encoding-type=url" if encoded else "")).texts("Contents/Key")
    assert [urllib.parse.unquote(key) if encoded else key for key in spelled] == keys
    found = [page["Contents"][0]["Key"] for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1})]
    assert found == keys


def test_a_bucket_with_nothing_in_it(s3, wire, bucket):
    assert ask(s3, "list_objects", Bucket=bucket) == ([], [])
    page = s3.list_objects_v2(Bucket=bucket)
    assert page["KeyCount"] == 0 and not page["IsTruncated"]
    assert versions(s3, bucket) == []
    for query in ["", "list-type=2", "versions"]:
        assert wire.get(f"/{new_name()}", query=query).refusal == (404, "NoSuchBucket")


def test_more_than_a_page(s3, bucket):
    """A page has a thousand keys, whatever is asked for."""
    keys = sorted(f"{number % 7}/{number:04}" for number in range(1007))
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b""), keys))
    page = s3.list_objects_v2(Bucket=bucket)
    assert listed(page)[0] == keys[:1000] and page["IsTruncated"] and page["KeyCount"] == 1000
    assert listed(s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"]))[0] == keys[1000:]
    assert listed(s3.list_objects(Bucket=bucket, Marker=keys[999], MaxKeys=5000))[0] == keys[1000:]
    rolled = s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=5)
    assert listed(rolled)[1] == [f"{number}/" for number in range(5)] and rolled["IsTruncated"]
    rolled = s3.list_objects_v2(Bucket=bucket, Delimiter="/", ContinuationToken=rolled["NextContinuationToken"])
    assert listed(rolled)[1] == ["5/", "6/"] and not rolled["IsTruncated"]


def test_versions_newest_first(s3, versioned):
    made = {key: [s3.put_object(Bucket=versioned, Key=key, Body=b"x")["VersionId"] for _ in range(3)] for key in ["b", "a"]}
    marker = s3.delete_object(Bucket=versioned, Key="a")["VersionId"]
    page = s3.list_object_versions(Bucket=versioned)
    assert [(v["Key"], v["VersionId"], v["IsLatest"]) for v in page["Versions"]] == [
        *[("a", version, False) for version in reversed(made["a"])],
        *[("b", version, version == made["b"][2]) for version in reversed(made["b"])]]
    [found] = page["DeleteMarkers"]
    assert (found["Key"], found["VersionId"], found["IsLatest"]) == ("a", marker, True) and found["Owner"]["ID"]
    # Keys without a current version are in no other listing.
    assert ask(s3, "list_objects_v2", Bucket=versioned) == (["b"], [])
    assert ask(s3, "list_objects", Bucket=versioned, Delimiter="/") == (["b"], [])


def test_what_a_listing_of_versions_says(wire, owner, s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"x")
    s3.delete_object(Bucket=versioned, Key="k")
    answer = wire.get(f"/{versioned}", query="versions")
    assert answer.document.tag == "ListVersionsResult"
    assert [answer.text(name) for name in ["Name", "Prefix", "KeyMarker", "VersionIdMarker", "MaxKeys", "IsTruncated"]] == [
        versioned, "", "", "", "1000", "false"]
    version, marker = answer.document.find("Version"), answer.document.find("DeleteMarker")
    assert {child.tag for child in version} - {"ChecksumAlgorithm", "ChecksumType"} == {
        "Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass", "Owner"}
    assert {child.tag for child in marker} == {"Key", "VersionId", "IsLatest", "LastModified", "Owner"}
    assert version.findtext("Owner/ID") == marker.findtext("Owner/ID") == owner.id


@pytest.mark.parametrize("step", [1, 2, 3, 5, 50])
def test_versions_in_pages(s3, versioned, step):
    for key in ["a", "b/1", "b/2", "c"]:
        for _ in range(2):
            s3.put_object(Bucket=versioned, Key=key, Body=b"x")
        s3.delete_object(Bucket=versioned, Key=key)
    found, sizes = [], []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=versioned, PaginationConfig={"PageSize": step}):
        here = page.get("Versions", []) + page.get("DeleteMarkers", [])
        found += [(version["Key"], version["VersionId"]) for version in here]
        sizes.append(len(here))
        assert page["IsTruncated"] == ("NextKeyMarker" in page) == ("NextVersionIdMarker" in page)
    assert len(found) == len(set(found)) == 12 and all(size == step for size in sizes[:-1])
    assert sorted(found) == sorted(version[:2] for version in versions(s3, versioned))
    rolled = s3.get_paginator("list_object_versions").paginate(Bucket=versioned, Delimiter="/",
        PaginationConfig={"PageSize": step})
    assert [found["Prefix"] for page in rolled for found in page.get("CommonPrefixes", [])] == ["b/"]


def test_versions_after_one(s3, wire, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="k", Body=b"x")["VersionId"] for _ in range(3)]
    s3.put_object(Bucket=versioned, Key="l", Body=b"x")
    after = s3.list_object_versions(Bucket=versioned, KeyMarker="k", VersionIdMarker=ids[1])
    assert [(found["Key"], found["VersionId"]) for found in after["Versions"]][:1] == [("k", ids[0])]
    assert [found["Key"] for found in after["Versions"]] == ["k", "l"] and after["VersionIdMarker"] == ids[1]
    # The key alone: what is behind all of its versions.
    assert [found["Key"] for found in s3.list_object_versions(Bucket=versioned, KeyMarker="k")["Versions"]] == ["l"]
    assert wire.get(f"/{versioned}", query=f"versions&version-id-marker={ids[0]}").refusal == (400, "InvalidArgument")
    assert wire.get(f"/{versioned}", query="versions&key-marker=k&version-id-marker=nonsense").refusal == (400, "InvalidArgument")


def test_who_may_list(other, anonymous, s3, bucket):
    for client in (other, anonymous):
        for call in (client.list_objects, client.list_objects_v2, client.list_object_versions):
            assert refused(call, Bucket=bucket) == (403, "AccessDenied")
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert anonymous.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert anonymous.list_objects(Bucket=bucket)["IsTruncated"] is False
