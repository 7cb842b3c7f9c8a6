"""Every alarm of template.yaml reaches somebody, says what to do, and looks at something that is measured."""

import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from background import maintenance
from tests.support.cloudformation import ROOT, functions, queue_of, resources, sources, template

TOPIC = [{"Ref": "AlarmTopic"}]
ALARMS = resources("AWS::CloudWatch::Alarm")
QUEUES = resources("AWS::SQS::Queue")
RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
# What AWS measures: by namespace the dimension and the kind of resource that it names, and the metrics.
MEASURED: dict[str, tuple[str, str, set[str]]] = {
    "AWS/SQS": (
        "QueueName",
        "AWS::SQS::Queue",
        {
            "ApproximateNumberOfMessagesVisible",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateAgeOfOldestMessage",
        },
    ),
    "AWS/Lambda": (
        "FunctionName",
        "AWS::Serverless::Function",
        {"Errors", "Throttles", "Duration", "Invocations", "ConcurrentExecutions"},
    ),
    "AWS/ApiGateway": (
        "ApiId",
        "AWS::Serverless::HttpApi",
        {"5xx", "4xx", "Count", "Latency", "IntegrationLatency"},
    ),
    "AWS/RDS": (
        "DBInstanceIdentifier",
        "AWS::RDS::DBInstance",
        {"DatabaseConnections", "CPUUtilization", "FreeStorageSpace"},
    ),
}


def emitted() -> Iterator[str]:
    """Yield, as patterns, the names that the code gives to metrics."""
    yield from maintenance.RUNS.values()
    for folder in ("functions", "layers/common/fairslot"):
        for source in (ROOT / folder).rglob("*.py"):
            for call in ast.walk(ast.parse(source.read_text("utf-8"))):
                if not isinstance(call, ast.Call) or ast.unparse(call.func) not in {
                    "metrics.add_metric",
                    "_add",
                }:
                    continue
                given = [one.value for one in call.keywords if one.arg == "name"] or call.args[:1]
                yield from map(_pattern, given)


def _pattern(name: ast.expr) -> str:
    """Return the names that an expression can have: what is filled in begins as our names do."""
    if isinstance(name, ast.Constant):
        return str(name.value)
    if isinstance(name, ast.JoinedStr):
        return "".join(
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[A-Z2-5][A-Za-z]*"
            for part in name.values
        )
    return "(?!)"


EMITTED = re.compile("|".join(sorted(set(emitted()))))


def looked_at(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the metrics of an alarm, each with its namespace and dimensions."""
    if "MetricName" in alarm:
        yield alarm
    for one in alarm.get("Metrics", []):
        if "MetricStat" in one:
            yield one["MetricStat"]["Metric"]


def watched(metric: str) -> set[str]:
    """Return the logical ids of what some alarm watches by a metric."""
    return {
        queue_of(one["Dimensions"][0]["Value"])
        for alarm in ALARMS.values()
        for one in looked_at(alarm)
        if one["MetricName"] == metric
    }


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_tells_somebody_what_to_do(name: str) -> None:
    """Each goes to the topic, when it begins and when it ends, and its runbook is there and knows it."""
    alarm = ALARMS[name]
    assert (alarm["AlarmActions"], alarm["OKActions"]) == (TOPIC, TOPIC)
    runbook = ROOT / alarm["AlarmDescription"].rpartition(": ")[2]
    assert f"`{name}`" in runbook.read_text("utf-8")
    assert "Condition" not in template()["Resources"][name]


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda one: one.stem)
def test_a_runbook_says_how_it_begins_and_ends(runbook: Any) -> None:
    """What is seen, what it means, what to do, how it ends; and the alarms that it names are there."""
    text = runbook.read_text("utf-8")
    for heading in ("What you see", "What it means", "What to do", "How you know it is over"):
        assert f"\n## {heading}\n" in text
    assert set(re.findall(r"`(\w+Alarm)`", text)) <= ALARMS.keys()
    assert any(f"docs/runbooks/{runbook.name}" in one["AlarmDescription"] for one in ALARMS.values())


@pytest.mark.parametrize("name", ALARMS)
def test_what_an_alarm_looks_at_is_measured(name: str) -> None:
    """It is a metric of a resource of the stack, or one that the code emits; with one dimension."""
    found = list(looked_at(ALARMS[name]))
    assert found
    names = template()["Globals"]["Function"]["Environment"]["Variables"]
    for one in found:
        [dimension] = one["Dimensions"]
        if one["Namespace"] in MEASURED:
            label, kind, metrics = MEASURED[one["Namespace"]]
            assert (dimension["Name"], one["MetricName"] in metrics) == (label, True)
            assert queue_of(dimension["Value"]) in resources(kind)
        else:
            assert one["Namespace"] == names["POWERTOOLS_METRICS_NAMESPACE"]
            assert dimension == {"Name": "service", "Value": names["POWERTOOLS_SERVICE_NAME"]}
            assert EMITTED.fullmatch(one["MetricName"])


def test_every_function_is_watched() -> None:
    """For errors and for throttles."""
    assert watched("Errors") == watched("Throttles") == functions().keys()


def test_every_queue_of_dead_letters_is_watched() -> None:
    """For its first message, and for one that nobody sees to."""
    aside = {name for name in QUEUES if name.endswith("DeadLetterQueue")}
    assert watched("ApproximateNumberOfMessagesVisible") == aside
    assert watched("ApproximateAgeOfOldestMessage") >= aside


def test_a_schedule_that_cannot_start_its_function_leaves_a_dead_letter() -> None:
    """Of each; and the rules of the stack, no others, may put one there."""
    scheduled = sources("Schedule")
    assert len(scheduled) == 4
    for _, source in scheduled:
        assert queue_of(source["DeadLetterConfig"]["Arn"]) == "SchedulesDeadLetterQueue"
    statements = resources("AWS::SQS::QueuePolicy")["SchedulesDeadLetterPolicy"]["PolicyDocument"][
        "Statement"
    ]
    [allowed] = [one for one in statements if one["Effect"] == "Allow"]
    assert (allowed["Principal"], allowed["Action"]) == (
        {"Service": "events.amazonaws.com"},
        "sqs:SendMessage",
    )
    assert ":rule/${AWS::StackName}-*" in str(allowed["Condition"])


def test_the_silence_of_a_schedule_is_an_alarm() -> None:
    """Each has a heartbeat that is missed within five of its ticks, and missing data is the alarm."""
    beats = {one["MetricName"]: one for one in ALARMS.values() if one.get("TreatMissingData") == "breaching"}
    assert beats.keys() == {*maintenance.RUNS.values(), "SyncRuns"}
    ticks = {"OutboxRuns": 60, "SyncRuns": 60, "DeadLettersRuns": 300, "SlotsRuns": 3600}
    for name, beat in beats.items():
        assert (beat["Threshold"], beat["ComparisonOperator"]) == (1, "LessThanThreshold")
        assert ticks[name] <= beat["Period"] * beat["EvaluationPeriods"] <= 5 * ticks[name]
        assert beat["Period"] >= ticks[name]


def test_connections_raise_an_alarm_before_they_are_used_up() -> None:
    """At four fifths of what the class takes."""
    for limits in template()["Mappings"]["DatabaseClasses"].values():
        assert limits["ManyConnections"] == limits["MaxConnections"] * 4 // 5


def test_the_topic_writes_to_the_address_that_is_given() -> None:
    """Without an address there is the topic alone; in prod that is refused."""
    subscription = template()["Resources"]["AlarmSubscription"]
    assert subscription["Condition"] == "HasAlarmEmail"
    assert subscription["Properties"]["Endpoint"] == {"Ref": "AlarmEmail"}
    rule = template()["Rules"]["SomebodyIsTold"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmEmail"}, ""]}]}
