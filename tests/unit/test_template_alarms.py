"""Every alarm of template.yaml reaches somebody and says what to do."""

import pytest

from tests.support.cloudformation import ROOT, queue_of, resources, template

TOPIC = [{"Ref": "AlarmTopic"}]
ALARMS = resources("AWS::CloudWatch::Alarm")
# Where AWS measures, and what of the stack a dimension names.
MEASURED = {
    "AWS/SQS": ("QueueName", "AWS::SQS::Queue"),
    "AWS/Lambda": ("FunctionName", "AWS::Serverless::Function"),
    "AWS/ApiGateway": ("ApiId", "AWS::Serverless::HttpApi"),
}


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_tells_somebody_what_to_do(name: str) -> None:
    """Each goes to the topic, when it begins and when it ends, and names a runbook that is there."""
    alarm = ALARMS[name]
    assert (alarm["AlarmActions"], alarm["OKActions"]) == (TOPIC, TOPIC)
    assert (ROOT / alarm["AlarmDescription"].rpartition(": ")[2]).is_file()


@pytest.mark.parametrize("name", ALARMS)
def test_what_an_alarm_looks_at_is_measured(name: str) -> None:
    """It is a metric of a resource of the stack, or one that the code emits."""
    alarm = ALARMS[name]
    [dimension] = alarm["Dimensions"]
    if alarm["Namespace"] in MEASURED:
        label, kind = MEASURED[alarm["Namespace"]]
        assert dimension["Name"] == label
        assert queue_of(dimension["Value"]) in resources(kind)
        return
    names = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert alarm["Namespace"] == names["POWERTOOLS_METRICS_NAMESPACE"]
    assert dimension == {"Name": "service", "Value": names["POWERTOOLS_SERVICE_NAME"]}
    assert f'name="{alarm["MetricName"]}"' in "".join(
        source.read_text()
        for folder in ("functions", "layers/common/fairslot")
        for source in (ROOT / folder).rglob("*.py")
    )


def test_the_topic_writes_to_the_address_that_is_given() -> None:
    """Without an address there is the topic alone; in prod that is refused."""
    subscription = template()["Resources"]["AlarmSubscription"]
    assert subscription["Condition"] == "HasAlarmEmail"
    assert subscription["Properties"]["Endpoint"] == {"Ref": "AlarmEmail"}
    rule = template()["Rules"]["SomebodyIsTold"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Stage"}, "prod"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmEmail"}, ""]}]}
