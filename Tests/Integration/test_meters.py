"""What an operator's tools read: meters as Prometheus's own parser understands them, and health."""

import json
import socket
import time
import urllib.error
import urllib.request

import botocore.exceptions
import pytest
from prometheus_client.parser import text_string_to_metric_families


def get(port, path, method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers["Content-Type"], refusal.read().decode()


@pytest.fixture(scope="module")
def port(simulated):
    return json.loads((simulated.root / "etc/karri/karri.json").read_text())["metersPort"]


@pytest.fixture
def meters(port):
    """Reads the page: {(name, labels): value}."""

    def read():
        status, kind, text = get(port, "/metrics")
        assert status == 200 and kind.startswith("text/plain; version=0.0.4"), (status, kind)
        families = list(text_string_to_metric_families(text))
        assert len({family.name for family in families}) == len(families)
        for family in families:
            assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        return {(sample.name, frozenset(sample.labels.items())): sample.value for family in families for sample in family.samples}

    return read


def of(page, name, **labels):
    return page.get((name, frozenset(labels.items())), 0)


def test_calls_are_counted_by_action_and_code_and_timed(simulated, meters):
    before = meters()
    for _ in range(3):
        simulated.ec2.describe_regions()
    with pytest.raises(botocore.exceptions.ClientError):
        simulated.ec2.describe_instances(InstanceIds=["i-00000000000000001"])
    after = meters()

    def grew(name, **labels):
        return of(after, name, **labels) - of(before, name, **labels)

    assert grew("karri_api_requests_total", service="ec2", action="DescribeRegions", code="OK") == 3
    assert grew("karri_api_requests_total", service="ec2", action="DescribeInstances", code="InvalidInstanceID.NotFound") == 1
    assert grew("karri_api_request_seconds_count", service="ec2", action="DescribeRegions") == 3
    spans = {labels: value for (name, labels), value in after.items() if name == "karri_api_request_seconds_bucket"
             and ("action", "DescribeRegions") in labels}
    ordered = sorted(spans.items(), key=lambda item: float(dict(item[0])["le"]))
    assert [value for _, value in ordered] == sorted(value for _, value in ordered)
    assert dict(ordered[-1][0])["le"] == "+Inf"
    assert ordered[-1][1] == of(after, "karri_api_request_seconds_count", service="ec2", action="DescribeRegions")


def test_calls_of_the_object_store_are_counted(simulated, meters):
    before, client = meters(), simulated.client("s3")
    client.list_buckets()
    with pytest.raises(botocore.exceptions.ClientError):
        client.list_objects_v2(Bucket="no-such-bucket")
    after = meters()
    for labels in [dict(operation="ListBuckets", code="OK"), dict(operation="ListObjectsV2", code="NoSuchBucket")]:
        name = "karri_s3_requests_total"
        assert of(after, name, **labels) == of(before, name, **labels) + 1
    assert of(after, "karri_s3_request_seconds_count", operation="ListBuckets") >= 1


def test_callers_choose_no_series(simulated, meters):
    for number in range(20):
        # Unsigned calls are refused before their action is read.
        get(simulated.port, f"/?Action=Invented{number}")
    client = simulated.client("ec2")
    client.meta.events.register("before-call.ec2.DescribeRegions", lambda params, **_: params["body"].update(Action="Invented"))
    with pytest.raises(botocore.exceptions.ClientError):
        client.describe_regions()
    page = meters()
    actions = {dict(labels)["action"] for (name, labels) in page if name == "karri_api_requests_total"}
    assert "unknown" in actions and not any("Invented" in action for action in actions)
    assert of(page, "karri_api_requests_total", service="ec2", action="unknown", code="InvalidAction") >= 1
    assert not any(simulated.key in str(labels) or "i-0" in str(labels) for (_, labels) in page)


def test_machines_operations_hosts_and_the_store_are_counted(simulated, meters):
    before = meters()
    image = simulated.karri("image", "import", "/dev/null", "--name", "metered").strip().splitlines()[-1]
    simulated.eventually(lambda: simulated.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available")
    made = simulated.ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=3, MaxCount=3)["Instances"]
    ids = [instance["InstanceId"] for instance in made]
    simulated.ec2.get_waiter("instance_running").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    # Counts of the whole store are kept for ten seconds.
    time.sleep(11)
    page = meters()
    running = of(page, "karri_machines", state="running") - of(before, "karri_machines", state="running")
    assert running == 3
    succeeded = {"kind": "instance.launch", "outcome": "succeeded"}
    assert of(page, "karri_operations_ended_total", **succeeded) - of(before, "karri_operations_ended_total", **succeeded) == 3
    assert of(page, "karri_hosts", state="up") == 20
    assert 0 < of(page, "karri_processors", share="free") < of(page, "karri_processors", share="all")
    assert of(page, "karri_store_commit_seconds_count") > of(before, "karri_store_commit_seconds_count")
    committed = of(page, "karri_store_writes_total", outcome="committed")
    assert committed >= of(page, "karri_store_commit_seconds_count") > 0
    for process in ("control", "simulate"):
        assert of(page, "karri_process_up", process=process) == 1
        assert of(page, "karri_process_resident_bytes", process=process) > 1 << 20

    simulated.ec2.terminate_instances(InstanceIds=ids)
    simulated.ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    time.sleep(11)
    assert of(meters(), "karri_machines", state="running") == of(before, "karri_machines", state="running")


def test_health_is_answered_on_both_listeners_and_the_meters_on_one(simulated, port):
    for listener in (port, simulated.port):
        assert get(listener, "/health/live")[0] == 200
        assert get(listener, "/health/ready")[::2] == (200, "ok\n")
    # The tenants' listener tells nothing more, and the operator's serves no calls.
    status, _, text = get(simulated.port, "/metrics")
    assert status >= 400 and "karri_" not in text
    assert get(port, "/?Action=DescribeRegions")[0] == 404
    assert get(port, "/metrics", method="POST")[0] == 405


def test_the_operators_listener_is_on_loopback_only(simulated, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # No packet is sent: this asks the routing table for the host's own outer address.
        try:
            probe.connect(("198.51.100.1", 9))
            outer = probe.getsockname()[0]
        except OSError:
            pytest.skip("this host has no other address")
    with pytest.raises(OSError):
        socket.create_connection((outer, port), timeout=5)
