"""What the stories share: clients, waiting, and words for what is expected."""

import base64
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

try:
    import boto3
    from botocore import UNSIGNED
    from botocore.auth import SigV4Auth, SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.credentials import Credentials
    from botocore.exceptions import ClientError
except ImportError:
    sys.exit("the tests need boto3: install it (pip install boto3), or name a Python that has it in KARRI_PYTHON")

FACTS = json.load(sys.stdin)
CONFIG = Config(retries={"max_attempts": 1}, parameter_validation=False)


def client(who="alice", service="ec2", **more):
    pair = FACTS["credentials"][who]
    return boto3.client(
        service, endpoint_url=FACTS["endpoint"], region_name=FACTS["region"], aws_access_key_id=pair["key"],
        aws_secret_access_key=pair["secret"], config=more.pop("config", CONFIG), **more)


EC2 = client()
IMAGE = FACTS["image"]
ALICE = FACTS["accounts"]["alice"]
BOB = FACTS["accounts"]["bob"]


def same(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def fails(code, call, *, message=None, status=None, **parameters):
    try:
        answer = call(**parameters)
    except ClientError as error:
        same(error.response["Error"]["Code"], code)
        if message is not None:
            same(error.response["Error"]["Message"], message)
        if status is not None:
            same(error.response["ResponseMetadata"]["HTTPStatusCode"], status)
        assert error.response["ResponseMetadata"].get("RequestId"), "no request id"
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__}({parameters}) should fail with {code}, and answered {answer}")


def run(count=1, who=EC2, **parameters):
    given = dict(ImageId=IMAGE, InstanceType="t3.micro", MinCount=count, MaxCount=count)
    given.update(parameters)
    return [instance["InstanceId"] for instance in who.run_instances(**given)["Instances"]]


def one(identifier, who=EC2):
    reservations = who.describe_instances(InstanceIds=[identifier])["Reservations"]
    same(len(reservations), 1)
    same(len(reservations[0]["Instances"]), 1)
    return reservations[0]["Instances"][0]


def wait(identifier, state, who=EC2):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        instance = one(identifier, who)
        if instance["State"]["Name"] == state:
            return instance
        time.sleep(0.05)
    raise AssertionError(f"{identifier} is {instance['State']} and not {state}")


def found(**parameters):
    return sorted(
        instance["InstanceId"] for reservation in EC2.describe_instances(**parameters)["Reservations"]
        for instance in reservation["Instances"])


def named(name, *values):
    return dict(Filters=[dict(Name=name, Values=list(values))])


def tags(things):
    return {tag["Key"]: tag["Value"] for tag in things}


def raw(parameters, who="alice", service="ec2", path="/", method="POST", headers=None, tamper=None, region=None, query=False):
    """One signed call without a client: status, code, body, headers."""
    return send(signed(parameters, who, service, path, method, headers, tamper, region, query))


def signed(parameters, who="alice", service="ec2", path="/", method="POST", headers=None, tamper=None, region=None, query=False):
    """A signed call that can be sent more than once."""
    text = urllib.parse.urlencode(parameters)
    pair = FACTS["credentials"][who]
    url = FACTS["endpoint"] + path
    data = text if method == "POST" else ""
    if method == "GET":
        url += "?" + text
    request = AWSRequest(method=method, url=url, data=data, headers={"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})
    signer = SigV4QueryAuth if query else SigV4Auth
    signer(Credentials(pair["key"], pair["secret"]), service, region or FACTS["region"]).add_auth(request)
    if tamper:
        tamper(request)
    return urllib.request.Request(request.url, data=request.data.encode() if isinstance(request.data, str) and method == "POST" else None,
                                  headers=dict(request.headers), method=method)


def send(sent):
    try:
        with urllib.request.urlopen(sent, timeout=60) as answer:
            return answer.status, None, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        body = error.read().decode()
        return error.code, body.split("<Code>")[1].split("</Code>")[0], body, error.headers


def public_key(kind, *more):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", f"{folder}/key", *more], check=True)
        with open(f"{folder}/key.pub", "rb") as file:
            return file.read()
