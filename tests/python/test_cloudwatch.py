"""The CloudWatch crate through the real SDK: what CloudWatch reads back, alarms and a dashboard that it takes."""

import json
import math
import random
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest

from cloudwatch import CloudWatch
from cloudwatch_client import run as client

NAMESPACE = "GenAI/Application"
ERROR = 0.01  # The recorder's RELATIVE_ERROR.


@pytest.fixture(scope="module")
def moto():
    cloudwatch = CloudWatch()
    yield cloudwatch
    cloudwatch.close()


@pytest.fixture
def cloudwatch(moto):
    moto.reset()
    return moto


def recording(series, samples, seed=1):
    """Counters and histograms of so many series, with values from a tenth of a millisecond to minutes."""
    randomness = random.Random(seed)
    labels = [{"ModelId": f"model-{n}", "Region": "us-east-1"} for n in range(series)]
    return {
        "counters": [
            {"name": "Invocations", "labels": of, "value": randomness.randrange(1, 1_000_000)} for of in labels
        ],
        "histograms": [
            {
                "name": "InvocationLatency",
                "labels": of,
                "values": [10 ** randomness.uniform(-1, 5) for _ in range(samples)],
            }
            for of in labels
        ],
    }


def read_back(cloudwatch, name, labels):
    """All statistics of a series, as boto3 reads them."""
    now = datetime.now(timezone.utc)
    [point] = cloudwatch.client.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in {**labels, "Service": "chat"}.items()],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=10),
        Period=3600,
        Statistics=["Sum", "SampleCount", "Minimum", "Maximum"],
    )["Datapoints"]
    return point


def percentile(cloudwatch, name, labels, percent):
    """moto has no percentiles: of what it was told, the least value that so much of all does not exceed."""
    wanted = {**labels, "Service": "chat"}
    values = sorted(
        pair
        for put in cloudwatch.puts
        for datum in put["MetricData"]
        if datum["MetricName"] == name and {d["Name"]: d["Value"] for d in datum["Dimensions"]} == wanted
        for pair in zip(datum.get("Values", [datum.get("Value")]), datum.get("Counts", [1]))
    )
    rank = math.ceil(sum(count for _, count in values) * percent / 100)
    for value, count in values:
        rank -= count
        if rank <= 0:
            return value


def test_what_was_recorded_is_what_cloudwatch_reads_back(cloudwatch):
    recorded = recording(series=5, samples=2_000)
    stats = json.loads(client("record", cloudwatch=cloudwatch, recording=recorded))
    assert (stats["data_lost"], stats["failed_requests"]) == (0, 0)
    for counter in recorded["counters"]:
        point = read_back(cloudwatch, counter["name"], counter["labels"])
        assert (point["Sum"], point["SampleCount"]) == (counter["value"], 1)
    for histogram in recorded["histograms"]:
        name, labels, values = histogram["name"], histogram["labels"], sorted(histogram["values"])
        point = read_back(cloudwatch, name, labels)
        assert point["SampleCount"] == len(values)
        assert point["Sum"] == pytest.approx(sum(values), rel=ERROR)
        assert point["Minimum"] == pytest.approx(values[0], rel=ERROR)
        assert point["Maximum"] == pytest.approx(values[-1], rel=ERROR)
        for percent in (1, 50, 90, 99, 99.9, 100):
            exact = values[math.ceil(len(values) * percent / 100) - 1]
            assert percentile(cloudwatch, name, labels, percent) == pytest.approx(exact, rel=ERROR), percent
    # Large requests are compressed.
    assert set(cloudwatch.encodings) == {"gzip"}


def test_more_than_one_request_holds(cloudwatch):
    recorded = recording(series=1_500, samples=1)
    stats = json.loads(client("record", cloudwatch=cloudwatch, recording=recorded))
    assert stats["data_sent"] == 3_000
    assert len(cloudwatch.puts) == stats["requests"] >= 3
    for counter in recorded["counters"][:3]:
        assert read_back(cloudwatch, counter["name"], counter["labels"])["Sum"] == counter["value"]


def test_requests_are_as_large_as_the_limit_allows_and_no_larger(cloudwatch):
    """The bridge refuses what is larger; the recorder does not know what the SDK makes of a datum, it estimates."""
    recorded = recording(series=700, samples=200)
    recorded["counters"] = []
    stats = json.loads(client("record", cloudwatch=cloudwatch, recording=recorded))
    assert stats["failed_requests"] == 0
    assert max(cloudwatch.sizes) > 700_000
    samples = sum(sum(d.get("Counts", [1])) for put in cloudwatch.puts for d in put["MetricData"])
    assert samples == 700 * 200


def test_throttles_of_cloudwatch_are_waited_out(cloudwatch):
    cloudwatch.throttles = 2
    recorded = recording(series=1, samples=10)
    stats = json.loads(client("record", cloudwatch=cloudwatch, recording=recorded))
    # Each failure is one request: the SDK does not retry on its own.
    assert (stats["failed_requests"], stats["data_lost"]) == (2, 0)
    [counter] = recorded["counters"]
    assert read_back(cloudwatch, counter["name"], counter["labels"])["Sum"] == counter["value"]


def test_model_ids_of_any_length_are_taken(cloudwatch):
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/"
    counters = [
        {"name": "Invocations", "labels": {"ModelId": (arn + "x" * 2_048)[:2_047] + end}, "value": 1} for end in "ab"
    ]
    stats = json.loads(client("record", cloudwatch=cloudwatch, recording={"counters": counters, "histograms": []}))
    assert (stats["data_sent"], stats["failed_requests"]) == (2, 0)
    models = {d["Value"] for m in cloudwatch.client.list_metrics()["Metrics"] for d in m["Dimensions"]} - {"chat"}
    assert len(models) == 2


def test_emf_is_as_its_published_schema_says():
    schema = json.loads(Path(__file__).with_name("emf_schema.json").read_text())
    recorded = recording(series=3, samples=250)
    lines = client("emf", recording=recorded).splitlines()
    sums = {}
    for line in lines:
        assert len(line) <= 1_000_000
        event = json.loads(line)
        jsonschema.validate(event, schema)
        [directive] = event["_aws"]["CloudWatchMetrics"]
        [dimensions] = directive["Dimensions"]
        assert all(isinstance(event[dimension], str) for dimension in dimensions)
        for metric in directive["Metrics"]:
            values = event[metric["Name"]]
            values = values if isinstance(values, list) else [values]
            assert 1 <= len(values) <= 100
            key = (metric["Name"], event["ModelId"])
            sums[key] = sums.get(key, 0) + sum(values)
    for counter in recorded["counters"]:
        assert sums["Invocations", counter["labels"]["ModelId"]] == counter["value"]
    for histogram in recorded["histograms"]:
        found = sums["InvocationLatency", histogram["labels"]["ModelId"]]
        assert found == pytest.approx(sum(histogram["values"]), rel=ERROR)


def test_the_template_is_valid(tmp_path):
    template = tmp_path / "template.json"
    template.write_text(client("cloudformation"))
    lint = subprocess.run(
        [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "us-east-1", "--", str(template)],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_alarms_and_dashboard_are_put_in_place(cloudwatch):
    first = json.loads(client("apply", cloudwatch=cloudwatch))
    # Once more changes nothing.
    assert json.loads(client("apply", cloudwatch=cloudwatch)) == first
    alarms = cloudwatch.client.describe_alarms(MaxRecords=100)["MetricAlarms"]
    assert sorted(alarm["AlarmName"] for alarm in alarms) == sorted(first["alarms"])
    for alarm in alarms:
        assert " What to do: " in alarm["AlarmDescription"]
        assert alarm["TreatMissingData"] == "notBreaching"
        assert [query["Id"] for query in alarm["Metrics"] if query["ReturnData"]] == ["result"]
        critical = alarm["AlarmDescription"].startswith("[critical]")
        topic = ["arn:aws:sns:us-east-1:123456789012:pager"] if critical else []
        assert alarm["AlarmActions"] == alarm["OKActions"] == topic
    body = cloudwatch.client.get_dashboard(DashboardName=first["dashboard"])["DashboardBody"]
    titles = [widget["properties"].get("title", "") for widget in json.loads(body)["widgets"]]
    assert any(title.startswith("429") for title in titles) and any(title.startswith("503") for title in titles)


@pytest.mark.filterwarnings("ignore:Tried to parse AWS:UserWarning")
def test_everything_is_put_in_place_as_one_stack(cloudwatch):
    """moto makes a stack's dashboard, topics and policy. It takes alarms and log queries without making them: that they
    are right, cfn-lint says of the same template."""
    stacks, iam = cloudwatch.client_of("cloudformation"), cloudwatch.client_of("iam")

    def deploy(*more):
        change = json.loads(client("deploy", *more, cloudwatch=cloudwatch))["change"]
        return change, stacks.get_template(StackName="chat-operations")["TemplateBody"]

    # What moto takes long for is to be asked for the first time.
    assert not stacks.list_stacks()["StackSummaries"]
    change, template = deploy()
    assert change == "Created"
    assert template == json.loads(client("cloudformation"))
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    assert {"AWS::CloudWatch::Alarm", "AWS::Logs::QueryDefinition"} < kinds

    assert len(cloudwatch.client_of("sns").list_topics()["Topics"]) == 2
    [dashboard] = cloudwatch.client.list_dashboards()["DashboardEntries"]
    body = cloudwatch.client.get_dashboard(DashboardName=dashboard["DashboardName"])["DashboardBody"]
    regions = {widget["properties"].get("region", "us-east-1") for widget in json.loads(body)["widgets"]}
    assert regions == {"us-east-1"}
    [policy] = iam.list_policies(Scope="Local")["Policies"]
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
    rights = version["PolicyVersion"]["Document"]["Statement"][0]["Resource"]
    assert "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-lite-v1:0" in rights

    # One target more changes the stack there is.
    change, template = deploy("amazon.nova-pro-v1:0")
    assert change == "Updated"
    assert "foundation-model/amazon.nova-pro-v1:0" in json.dumps(template)
    assert len(stacks.list_stacks()["StackSummaries"]) == 1


def test_what_alarms_watch_is_what_is_sent(cloudwatch):
    """Names and dimensions of a metric that an alarm looks at are those that the recorder sends."""
    client("apply", cloudwatch=cloudwatch)
    labels = {"ModelId": "amazon.nova-lite-v1:0", "Region": "us-west-2"}
    faults = ("throttled_tokens", "model_overloaded")
    counters = [
        {"name": "InvocationThrottles", "labels": {**labels, "Fault": fault}, "value": 7} for fault in faults
    ]
    client("record", cloudwatch=cloudwatch, recording={"counters": counters, "histograms": []})
    [alarm] = [
        alarm
        for alarm in cloudwatch.client.describe_alarms(MaxRecords=100)["MetricAlarms"]
        if alarm["AlarmName"] == "chat throttled: amazon.nova-lite-v1:0 in us-west-2"
    ]
    [watched] = [query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query]
    rolled_up = [
        datum
        for put in cloudwatch.puts
        for datum in put["MetricData"]
        if datum["MetricName"] == watched["MetricName"] and datum["Dimensions"] == watched["Dimensions"]
    ]
    assert [datum["Value"] for datum in rolled_up] == [14]
