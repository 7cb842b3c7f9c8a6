"""What template.yaml says of calls that no stand-in judges: who invokes, how often, over what."""

import pytest

from fairslot.platform.settings import Settings
from tests.support.cloudformation import environment, functions, resources, sources, template

FUNCTIONS = functions()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_who_invokes_a_function_is_an_event_of_it(name: str) -> None:
    """SAM gives the permission with the event; none is given by hand, and none to everybody."""
    by_hand = {
        "AWS::Lambda::Permission",
        "AWS::Events::Rule",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Url",
    }
    assert not by_hand & {one["Type"] for one in template()["Resources"].values()}
    assert {one["Type"] for one in FUNCTIONS[name].get("Events", {}).values()} <= {
        "HttpApi",
        "SQS",
        "Schedule",
    }
    assert "FunctionUrlConfig" not in FUNCTIONS[name]


def test_cloudfront_speaks_tls_to_the_api() -> None:
    """The secret header is never sent in the clear."""
    config = resources("AWS::CloudFront::Distribution")["Distribution"]["DistributionConfig"]
    [origin] = [one for one in config["Origins"] if one["Id"] == "api"]
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert origin["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]


def test_the_gateway_throttles_as_the_parameters_say() -> None:
    """Every route, by one rate for all clients together."""
    [api] = resources("AWS::Serverless::HttpApi").values()
    assert api["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "ThrottlingRate"}
    assert api["DefaultRouteSettings"]["ThrottlingBurstLimit"] == {"Ref": "ThrottlingBurst"}
    assert "RouteSettings" not in api


def test_work_after_the_answer_is_a_parameter() -> None:
    """Who publishes after an answer can be told to do so before it, and does it after it by default."""
    publishing = {
        name for name, _ in sources("HttpApi") if "DELIVERIES_QUEUE_URL" in environment(FUNCTIONS[name])
    }
    assert publishing == {"BookingFunction", "AdminFunction"}
    assert all(environment(FUNCTIONS[name])["AFTER_ANSWER"] == {"Ref": "AfterAnswer"} for name in publishing)
    assert template()["Parameters"]["AfterAnswer"]["Default"] == "true"


def test_what_is_kept_how_long_is_a_parameter() -> None:
    """The function that deletes what is older is told, and by default what its settings say."""
    kept = environment(FUNCTIONS["SlotsFunction"])
    for variable, parameter in (("KEEP_EVENTS_DAYS", "KeepEventsDays"), ("KEEP_AUDIT_DAYS", "KeepAuditDays")):
        assert kept[variable] == {"Ref": parameter}
        default = Settings.model_fields[variable.lower()].default
        assert str(template()["Parameters"][parameter]["Default"]) == str(default)


def test_the_key_is_rotated_and_kept() -> None:
    """It outlives the stack, as without it no secret can be opened; its policy names no role."""
    key = template()["Resources"]["WebhookKey"]
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert key["Properties"]["EnableKeyRotation"] is True
    [statement] = key["Properties"]["KeyPolicy"]["Statement"]
    assert str(statement["Principal"]["AWS"]["Fn::Sub"]).endswith(":root")
