"""Buckets as websites, through their own hosts."""

import http.client
import json
import os

import pytest

from objects.wire import refused


def open_to_all(s3, bucket, *actions):
    """Lets everyone read, and list where a missing key is to be told from one that is not for everyone."""
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": action,
         "Resource": f"arn:aws:s3:::{bucket}" + ("" if action == "s3:ListBucket" else "/*")}
        for action in actions]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


@pytest.fixture
def site(s3, bucket):
    """A bucket that everybody may read, with an index and an error document."""
    s3.put_bucket_website(
        Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}})
    open_to_all(s3, bucket, "s3:GetObject", "s3:ListBucket")
    for key in ["index.html", "error.html", "folder/index.html", "folder/page.html", "plain.txt"]:
        kind = "text/plain" if key.endswith("txt") else "text/html"
        s3.put_object(Bucket=bucket, Key=key, Body=f"this is {key}".encode(), ContentType=kind)
    return bucket


@pytest.fixture
def visit(simulated):
    def visit(bucket, path, method="GET", host="s3-website.example.com", **headers):
        """One request to a website; follows no redirect."""
        connection = http.client.HTTPConnection("127.0.0.1", simulated.port, timeout=30)
        connection.request(method, path, headers={"Host": f"{bucket}.{host}", **headers})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body.decode()
    return visit


def test_the_setting(s3, bucket):
    assert refused(s3.get_bucket_website, Bucket=bucket)[1] == "NoSuchWebsiteConfiguration"
    rules = [
        {"Condition": {"KeyPrefixEquals": "a/", "HttpErrorCodeReturnedEquals": "404"},
         "Redirect": {"HostName": "example.com", "Protocol": "https", "HttpRedirectCode": "307", "ReplaceKeyPrefixWith": "b/"}},
        {"Redirect": {"ReplaceKeyWith": "k"}}]
    wanted = {"IndexDocument": {"Suffix": "i.html"}, "ErrorDocument": {"Key": "e.html"}, "RoutingRules": rules}
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=wanted)
    got = s3.get_bucket_website(Bucket=bucket)
    assert {name: got[name] for name in wanted} == wanted
    everything = {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=everything)
    assert s3.get_bucket_website(Bucket=bucket)["RedirectAllRequestsTo"] == everything["RedirectAllRequestsTo"]
    assert refused(
        s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "a/b"}})[1] == "InvalidArgument"
    s3.delete_bucket_website(Bucket=bucket)
    assert refused(s3.get_bucket_website, Bucket=bucket)[1] == "NoSuchWebsiteConfiguration"


@pytest.mark.parametrize("host", ["s3-website.example.com", "s3-website-karri-1.example.com:8773"])
def test_documents(site, visit, host):
    status, fields, body = visit(site, "/", host=host)
    assert (status, fields["content-type"], body) == (200, "text/html", "this is index.html")
    assert visit(site, "/folder/page.html", host=host)[2] == "this is folder/page.html"
    assert visit(site, "/folder/", host=host)[2] == "this is folder/index.html"
    status, fields, body = visit(site, "/folder", host=host)
    assert (status, fields["location"], body) == (302, "/folder/", "")
    status, fields, body = visit(site, "/plain.txt", method="HEAD", host=host)
    assert (status, fields["content-length"], body) == (200, str(len("this is plain.txt")), "")


def test_visitors_read_as_readers_do(site, visit):
    status, fields, body = visit(site, "/plain.txt", Range="bytes=5-6")
    assert (status, fields["content-range"], body) == (206, "bytes 5-6/17", "is")
    tag = fields["etag"]
    assert visit(site, "/plain.txt", **{"If-None-Match": tag})[0] == 304
    # Sub-resources, versions and other headers are not for visitors.
    for query in ["acl", "versionId=null", "response-content-type=text/odd", "partNumber=1", "uploads", "list-type=2"]:
        status, fields, body = visit(site, f"/plain.txt?{query}")
        assert (status, fields["content-type"], body) == (200, "text/plain", "this is plain.txt")


def test_errors(s3, site, visit):
    status, fields, body = visit(site, "/none", Range="bytes=0-3")
    assert (status, body) == (404, "this is error.html")
    assert (fields["content-type"], fields["x-amz-error-code"]) == ("text/html", "NoSuchKey")
    s3.delete_object(Bucket=site, Key="error.html")
    status, fields, body = visit(site, "/none%3Cb%3E")
    assert status == 404 and fields["content-type"].startswith("text/html")
    for word in [
        "<h1>404 Not Found</h1>", "Code: NoSuchKey", "Key: none&lt;b&gt;", f"RequestId: {fields['x-amz-request-id']}",
        "An Error Occurred While Attempting to Retrieve a Custom Error Document", "Key: error.html",
    ]:
        assert word in body
    assert visit(site, "/none", method="HEAD")[2] == ""
    # Who may not list is not told what there is; folders are still found.
    open_to_all(s3, site, "s3:GetObject")
    status, fields, body = visit(site, "/none")
    assert (status, fields["x-amz-error-code"]) == (403, "AccessDenied") and "Code: AccessDenied" in body
    assert visit(site, "/folder")[0] == 302


def test_what_is_not_public_is_not_shown(simulated, s3, site, visit):
    s3.delete_bucket_policy(Bucket=site)
    status, fields, body = visit(site, "/")
    assert (status, fields["x-amz-error-code"]) == (403, "AccessDenied") and "403 Forbidden" in body
    # Not even to who signs: visitors are anonymous.
    assert visit(site, "/", Authorization=f"AWS {simulated.key}:AAAA")[0] == 403


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
def test_visitors_only_look(s3, site, visit, method):
    status, fields, body = visit(site, "/index.html", method=method, Origin="http://example.com")
    assert (status, fields["x-amz-error-code"]) == (405, "MethodNotAllowed")
    assert s3.get_object(Bucket=site, Key="index.html")["Body"].read() == b"this is index.html"


def test_no_website(s3, bucket, visit):
    status, fields, body = visit(bucket, "/")
    assert (status, fields["x-amz-error-code"]) == (404, "NoSuchWebsiteConfiguration")
    assert f"BucketName: {bucket}" in body
    status, fields, body = visit("none-" + bucket, "/")
    assert (status, fields["x-amz-error-code"]) == (404, "NoSuchBucket") and "<h1>404 Not Found</h1>" in body


def test_objects_that_send_visitors_on(s3, site, visit):
    s3.put_object(Bucket=site, Key="old.html", Body=b"", WebsiteRedirectLocation="/folder/page.html")
    s3.put_object(Bucket=site, Key="away", Body=b"x", WebsiteRedirectLocation="https://example.com/x?y")
    assert visit(site, "/old.html")[:2][0] == 301 and visit(site, "/old.html")[1]["location"] == "/folder/page.html"
    status, fields, body = visit(site, "/away")
    assert (status, fields["location"], body) == (301, "https://example.com/x?y", "")
    # Readers of the object itself are told, and stay.
    assert s3.get_object(Bucket=site, Key="away")["WebsiteRedirectLocation"] == "https://example.com/x?y"
    assert refused(
        s3.put_object, Bucket=site, Key="odd", Body=b"", WebsiteRedirectLocation="ftp://x")[1] == "InvalidRedirectLocation"


def test_rules(s3, site, visit):
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration={
        "IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"},
        "RoutingRules": [
            {"Condition": {"KeyPrefixEquals": "docs/"}, "Redirect": {"ReplaceKeyPrefixWith": "folder/"}},
            {"Condition": {"KeyPrefixEquals": "lost/", "HttpErrorCodeReturnedEquals": "404"},
             "Redirect": {"HostName": "find.example.com", "Protocol": "https", "HttpRedirectCode": "307"}}]})
    status, fields, _ = visit(site, "/docs/page.html?q=1")
    assert (status, fields["location"]) == (301, f"http://{site}.s3-website.example.com/folder/page.html?q=1")
    status, fields, _ = visit(site, "/lost/x%20y")
    assert (status, fields["location"]) == (307, "https://find.example.com/lost/x%20y")
    assert visit(site, "/elsewhere/x")[::2] == (404, "this is error.html")
    s3.put_object(Bucket=site, Key="lost/x y", Body=b"found")
    assert visit(site, "/lost/x%20y")[::2] == (200, "found")
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration={
        "RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}})
    status, fields, _ = visit(site, "/a/b")
    assert (status, fields["location"]) == (301, "https://example.com/a/b")


def test_pages_of_every_path(s3, site, visit):
    """A website's paths are its owner's, also those that other services have elsewhere."""
    s3.put_object(Bucket=site, Key="services/compute/index.html", Body=b"ours")
    assert visit(site, "/services/compute/")[::2] == (200, "ours")
    assert visit(site, "/?Action=DescribeInstances&X-Amz-Credential=a/20200101/karri-1/ec2/aws4_request")[0] == 200
