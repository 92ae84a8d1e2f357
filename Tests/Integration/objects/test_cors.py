"""Pages of other origins ("Using cross-origin resource sharing (CORS)", Amazon S3 User Guide; Fetch Standard,
"CORS protocol")."""

import pytest

from objects.wire import md5_of, new_name, refused, status


def rule(origins="http://a.example", methods="GET", **more):
    def many(value):
        return [value] if isinstance(value, str) else value

    return {"AllowedOrigins": many(origins), "AllowedMethods": many(methods), **more}


@pytest.fixture
def rules(s3, bucket):
    def put(*given):
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": list(given)})

    return put


def test_rules_are_set_read_and_removed(s3, bucket, rules):
    assert refused(s3.get_bucket_cors, Bucket=bucket) == (404, "NoSuchCORSConfiguration")
    given = [
        rule(["http://a.example", "https://*.b.example"], ["GET", "PUT"], ID="one", AllowedHeaders=["x-*", "y"],
            ExposeHeaders=["ETag"],
             MaxAgeSeconds=30),
        rule("*", ["HEAD", "POST", "DELETE"])]
    rules(*given)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == given
    rules(given[1])
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == given[1:]
    assert status(s3.delete_bucket_cors(Bucket=bucket)) == 204
    assert refused(s3.get_bucket_cors, Bucket=bucket) == (404, "NoSuchCORSConfiguration")


def written(*rules):
    return f"<CORSConfiguration>{''.join(f'<CORSRule>{text}</CORSRule>' for text in rules)}</CORSConfiguration>"


ORIGIN, METHOD = "<AllowedOrigin>http://a.example</AllowedOrigin>", "<AllowedMethod>GET</AllowedMethod>"
WRONG = [
    (written(), "MalformedXML"), ("<Other/>", "MalformedXML"), (written(ORIGIN), "MalformedXML"),
    (written(METHOD), "MalformedXML"),
    (written(ORIGIN + "<AllowedMethod>PATCH</AllowedMethod>"), "InvalidRequest"),
    (written(ORIGIN + "<AllowedMethod>get</AllowedMethod>"), "InvalidRequest"),
    (written(METHOD + "<AllowedOrigin>http://*.*.example</AllowedOrigin>"), "InvalidRequest"),
    (written(ORIGIN + METHOD + "<AllowedHeader>x-*-*</AllowedHeader>"), "InvalidRequest"),
    (written(ORIGIN + METHOD + "<ExposeHeader>x-*</ExposeHeader>"), "InvalidRequest"),
    (written(ORIGIN + METHOD + "<MaxAgeSeconds>long</MaxAgeSeconds>"), "MalformedXML"),
    (written(*[ORIGIN + METHOD] * 101), "MalformedXML"),
]


@pytest.mark.parametrize("document, code", WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_rules_that_are_wrong(wire, bucket, document, code):
    answer = wire.put(f"/{bucket}", document, query="cors", headers={"Content-MD5": md5_of(document.encode())})
    assert answer.refusal == (400, code)
    assert wire.get(f"/{bucket}", query="cors").refusal == (404, "NoSuchCORSConfiguration")


# The allowed origin; what asks; what it is told.
ORIGINS = [
    ("*", "http://any.example", "*"), ("http://a.example", "http://a.example", "http://a.example"),
    ("http://a.example", "http://b.example", None),
    ("http://a.example", "https://a.example", None), ("http://a.example", "http://a.example:81", None),
    ("http://*.a.example", "http://x.a.example", "http://x.a.example"), ("http://*.a.example", "http://a.example", None),
    ("http://*.a.example", "http://x.y.a.example", "http://x.y.a.example"),
    ("http://a.*", "http://a.example", "http://a.example"),
    ("http://a*e", "http://a.example", "http://a.example"), ("*a.example", "https://xa.example", "https://xa.example"),
    ("http://A.example", "http://a.example", None),
    # What a wildcard stands between does not overlap.
    ("http://ab*b.example", "http://ab.example", None), ("http://ab*b.example", "http://abb.example", "http://abb.example"),
]


@pytest.mark.parametrize("allowed, origin, told", ORIGINS)
def test_origins(open_wire, wire, bucket, rules, allowed, origin, told):
    rules(rule(allowed))
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    before = open_wire.send("OPTIONS", f"/{bucket}/k", headers=asked)
    answer = wire.get(f"/{bucket}", headers={"Origin": origin})
    assert answer.status == 200, "who is not told may read all the same, if it is no browser"
    for found in (before, answer):
        assert found.headers.get("access-control-allow-origin") == told
        assert found.headers.get("access-control-allow-credentials") == (None if told in (None, "*") else "true")
        assert found.headers.get("access-control-allow-methods") == (told and "GET")
    if told:
        assert before.status == 200 and "Origin" in answer.headers["vary"] and "Origin" in before.headers["vary"]
    else:
        assert before.refusal == (403, "AccessForbidden")


@pytest.mark.parametrize("method, told", [("GET", True), ("PUT", True), ("DELETE", False), ("HEAD", False), ("POST", False)])
def test_methods(open_wire, wire, bucket, rules, method, told):
    rules(rule("*", ["GET", "PUT"]))
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": method}
    for path in (f"/{bucket}", f"/{bucket}/k", f"/{bucket}/a/b"):
        before = open_wire.send("OPTIONS", path, headers=asked)
        assert before.status == (200 if told else 403)
        assert before.headers.get("access-control-allow-methods") == ("GET, PUT" if told else None)
    answer = wire.send(method, f"/{bucket}/k", headers={"Origin": "http://a.example"})
    assert ("access-control-allow-origin" in answer.headers) is told


# The allowed headers; those that are asked for; whether all are.
HEADERS = [
    (["*"], "x-amz-date, content-type", True), (["x-amz-*"], "x-amz-date", True), (["x-amz-*"], "x-amz-date,content-type", False),
    (["X-Amz-Date"], "x-amz-date", True), (["x-amz-date"], "X-AMZ-DATE", True), ([], "x-amz-date", False), ([], "", True),
    (["a", "b"], "b,a", True), (["a"], "a,a", True), (["*date"], "x-amz-date", True),
]


@pytest.mark.parametrize("allowed, asked, told", HEADERS)
def test_headers(open_wire, bucket, rules, allowed, asked, told):
    rules(rule("*", AllowedHeaders=allowed))
    headers = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    if asked:
        headers["Access-Control-Request-Headers"] = asked
    answer = open_wire.send("OPTIONS", f"/{bucket}/k", headers=headers)
    assert answer.status == (200 if told else 403)
    # A refusal tells the page nothing.
    assert ("access-control-allow-origin" in answer.headers) is told
    if told and asked:
        assert answer.headers["access-control-allow-headers"].replace(" ", "").lower() == asked.replace(" ", "").lower()


def test_what_a_page_may_see_and_how_long_it_may_remember(open_wire, wire, bucket, rules):
    rules(rule("*", ExposeHeaders=["ETag", "x-amz-meta-a"], MaxAgeSeconds=77))
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    for answer in (open_wire.send("OPTIONS", f"/{bucket}/k", headers=asked), wire.get(f"/{bucket}", headers=asked)):
        assert answer.headers["access-control-expose-headers"] == "ETag, x-amz-meta-a"
        assert answer.headers["access-control-max-age"] == "77"


def test_the_first_rule_that_fits(open_wire, bucket, rules):
    rules(rule("http://a.example", "PUT", MaxAgeSeconds=1), rule("*", "GET", MaxAgeSeconds=2),
        rule("*", ["GET", "PUT"], MaxAgeSeconds=3))
    for origin, method, age in [("http://a.example", "PUT", "1"), ("http://b.example", "PUT", "3"),
        ("http://a.example", "GET", "2")]:
        answer = open_wire.send("OPTIONS", f"/{bucket}/k", headers={"Origin": origin, "Access-Control-Request-Method": method})
        assert answer.headers["access-control-max-age"] == age


def test_a_call_that_says_which_method_it_asks_for(open_wire, bucket, rules):
    """As a browser does beforehand: that method's rule counts, and not the one of the method that is sent."""
    rules(rule(methods="GET"))

    def told(asked):
        answer = open_wire.put(
            f"/{bucket}/k", headers={"Origin": "http://a.example", "Access-Control-Request-Method": asked})
        assert answer.status == 403
        return answer.headers.get("access-control-allow-methods")

    assert told("GET") == "GET" and told("PUT") is None


def test_refusals_are_told_too(open_wire, wire, bucket, rules):
    """A page may read why it was refused."""
    rules(rule("*"))
    for caller, refusal in [(wire, (404, "NoSuchKey")), (open_wire, (403, "AccessDenied"))]:
        answer = caller.get(f"/{bucket}/none", headers={"Origin": "http://a.example"})
        assert answer.refusal == refusal and answer.headers["access-control-allow-origin"] == "*"


def test_questions_that_are_wrong(open_wire, bucket, rules):
    asked = {"Origin": "http://a.example", "Access-Control-Request-Method": "GET"}
    assert open_wire.send("OPTIONS", f"/{bucket}/k", headers=asked).refusal == (403, "AccessForbidden")
    rules(rule("*"))
    assert open_wire.send("OPTIONS", f"/{bucket}/k", headers={"Origin": "http://a.example"}).refusal == (400, "BadRequest")
    assert open_wire.send("OPTIONS", f"/{bucket}/k", headers={"Access-Control-Request-Method": "GET"}).refusal == (
        400, "BadRequest")
    for method in ["FLY", "PATCH", "get", ""]:
        assert open_wire.send(
            "OPTIONS", f"/{bucket}/k", headers={**asked, "Access-Control-Request-Method": method}).refusal == (400, "BadRequest")
    assert open_wire.send("OPTIONS", f"/{new_name()}/k", headers=asked).refusal == (404, "NoSuchBucket")


def test_without_rules_or_without_an_origin_nothing_is_said(wire, bucket, rules):
    assert not [name for name in wire.get(f"/{bucket}",
        headers={"Origin": "http://a.example"}).headers if name.startswith("access-control")]
    rules(rule("*"))
    assert not [name for name in wire.get(f"/{bucket}").headers if name.startswith("access-control")]


def test_a_page_with_a_presigned_address(s3, open_wire, bucket, rules):
    rules(rule("*", ["GET", "PUT"], AllowedHeaders=["*"]))
    for operation, method in [("put_object", "PUT"), ("get_object", "GET")]:
        url = s3.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": "k"})
        target, query = url.split(str(open_wire.port), 1)[1].split("?", 1)
        before = open_wire.send(
            "OPTIONS", target, query=query, headers={"Origin": "http://a.example", "Access-Control-Request-Method": method})
        assert before.status == 200 and before.headers["access-control-allow-origin"] == "*"
        answer = open_wire.send(method, target, query=query, headers={"Origin": "http://a.example"})
        assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "*"


def test_who_may_see_and_set_rules(other, anonymous, bucket):
    for client in (other, anonymous):
        assert refused(client.get_bucket_cors, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.delete_bucket_cors, Bucket=bucket) == (403, "AccessDenied")
        assert refused(client.put_bucket_cors, Bucket=bucket, CORSConfiguration={"CORSRules": [rule()]}) == (403, "AccessDenied")
