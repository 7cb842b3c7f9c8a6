"""What functions of template.yaml may do, and when they run: each no more, and no longer, than it must."""

import re
from typing import Any

import pytest

from tests.support.cloudformation import (
    environment,
    functions,
    queue_of,
    resources,
    sources,
    statements,
    template,
)

FUNCTIONS = functions()
QUEUES = resources("AWS::SQS::Queue")


def seconds(rate: str) -> int:
    """Return the seconds of `rate(5 minutes)`."""
    found = re.fullmatch(r"rate\((\d+) (minute|hour)s?\)", rate)
    assert found is not None
    return int(found[1]) * {"minute": 60, "hour": 3600}[found[2]]


def kms(function: str) -> list[dict[str, Any]]:
    """Return what a function may do with the key."""
    return [one for one in statements(FUNCTIONS[function]) if str(one["Action"]).startswith("kms:")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_right_ends_in_an_asterisk(name: str) -> None:
    """`sqs:SendMessage*` is what the transform's own policy would give."""
    for one in statements(FUNCTIONS[name]):
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        assert not [action for action in actions if "*" in action]
        assert one["Resource"] != "*"
    assert not [one for one in FUNCTIONS[name].get("Policies", []) if "SQSSendMessagePolicy" in one]


def test_every_use_of_the_key_has_a_context() -> None:
    """A condition on all of a call's keys holds for a call without any: that has to be refused, too."""
    users = ("DispatchFunction", "AdminFunction", "BookingFunction", "FetchFunction")
    [dispatch, written], [admin], [booking], [opens, locks] = map(kms, users)
    assert dispatch["Condition"] == {
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["endpoint_id"]},
        "Null": {"kms:EncryptionContextKeys": "false"},
    }
    assert admin["Condition"]["Null"] == {"kms:EncryptionContextKeys": "false"}
    assert booking["Condition"] == {"StringEquals": {"kms:EncryptionContext:purpose": "inbound"}}
    # What providers replace is locked up again.
    assert (opens["Action"], locks["Action"]) == ("kms:Decrypt", "kms:Encrypt")
    for one in (opens, locks, written):
        assert one["Condition"] == {"StringEquals": {"kms:EncryptionContext:purpose": "calendar"}}


def test_who_may_use_the_key_knows_it() -> None:
    """A right without the name of the key opens nothing."""
    knowing = {name for name, one in FUNCTIONS.items() if "WEBHOOK_KMS_KEY_ID" in environment(one)}
    assert knowing == {name for name in FUNCTIONS if kms(name)}


def test_who_connects_calendars_locks_up_their_credentials_and_reads_none() -> None:
    """For a calendar and nothing else; whoever reads or writes calendars opens them."""
    [connect] = kms("ConnectFunction")
    assert (connect["Action"], connect["Resource"]) == ("kms:Encrypt", {"Fn::GetAtt": "WebhookKey.Arn"})
    assert connect["Condition"] == {
        "StringEquals": {"kms:EncryptionContext:purpose": "calendar"},
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["purpose", "source_id"]},
        "Null": {"kms:EncryptionContextKeys": "false"},
    }


def test_queues_take_nothing_in_the_clear() -> None:
    """Whoever does not use TLS is refused by every queue."""
    policies = resources("AWS::SQS::QueuePolicy").values()
    # Of two policies of one queue the last one would hold.
    assert sorted(queue_of(one) for policy in policies for one in policy["Queues"]) == sorted(QUEUES)
    for policy in policies:
        [refused] = [one for one in policy["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]
        assert (refused["Principal"], refused["Action"]) == ("*", "sqs:*")
        assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_results_wait_longer_than_a_database_is_away() -> None:
    """A day at least of trying again before one is set aside; then it is kept."""
    queue = QUEUES["ResultsQueue"]
    tried = queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"]
    assert min(tried, queue["MessageRetentionPeriod"]) >= 24 * 3600


@pytest.mark.parametrize(("name", "schedule"), sources("Schedule"))
def test_a_scheduled_run_has_ended_before_the_next(name: str, schedule: dict[str, Any]) -> None:
    """It is the only one: no task waits for another, none is repeated, and none is kept for later."""
    function = FUNCTIONS[name]
    [_] = function["Events"]
    assert function["Timeout"] < seconds(schedule["Schedule"])
    assert function["ReservedConcurrentExecutions"]["Fn::If"][1] == 1
    assert function["EventInvokeConfig"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    assert schedule["RetryPolicy"]["MaximumEventAgeInSeconds"] == 60


def test_migrations_run_once() -> None:
    """What fails is told CloudFormation; tried again, it would outlast what CloudFormation waits for."""
    told = resources("AWS::Lambda::EventInvokeConfig")["MigrateInvocations"]
    assert (told["FunctionName"], told["Qualifier"]) == ({"Ref": "MigrateFunction"}, "$LATEST")
    assert told["MaximumRetryAttempts"] == 0
    service = resources("Custom::Migrations")["Migrations"]
    assert service["ServiceToken"] == {"Fn::GetAtt": "MigrateFunction.Arn"}
    waited = told["MaximumEventAgeInSeconds"] + FUNCTIONS["MigrateFunction"]["Timeout"]
    assert waited <= service["ServiceTimeout"]


def test_new_code_can_be_taken_back() -> None:
    """What a client waits for gets a tenth of the requests first, and an alarm ends that."""
    for name in sorted({name for name, _ in sources("HttpApi")}):
        tried = FUNCTIONS[name]["DeploymentPreference"]
        assert tried["Enabled"] == {"Ref": "GradualDeployment"}
        assert tried["Type"].startswith("Canary10Percent")
        alarms = [resources("AWS::CloudWatch::Alarm")[one["Ref"]] for one in tried["Alarms"]]
        assert [alarm["Dimensions"][0]["Value"] for alarm in alarms] == [{"Ref": name}, {"Ref": "HttpApi"}]


def test_the_access_log_says_who_asked() -> None:
    """With what, and from where."""
    [api] = resources("AWS::Serverless::HttpApi").values()
    line = api["AccessLogSettings"]["Format"]
    assert "$context.identity.sourceIp" in line
    assert "$context.identity.userAgent" in line


def test_rules_say_what_to_change() -> None:
    """What cannot work is refused before anything is made."""
    for rule in template()["Rules"].values():
        [assertion] = rule["Assertions"]
        assert assertion["AssertDescription"].endswith(".")
