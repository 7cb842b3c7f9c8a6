"""What is deployed, what is done afterwards, and how it is taken down; AWS is in this process."""

import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tools.deploy import __main__ as command
from tools.deploy import after, destroy
from tools.deploy.__main__ import next_steps, sam
from tools.deploy.plan import Plan, RefusedError, read

REGION = "eu-central-1"
PLAN = read("dev", region=REGION, email="me@example.com")
TEMPLATE: dict[str, Any] = {
    "Parameters": {"DatabaseProtection": {"Type": "String", "Default": "false"}},
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "one",
                "Runtime": "python3.13",
                "Handler": "a.b",
                "Role": "arn:aws:iam::123456789012:role/one",
                "Code": {"ZipFile": "b = print"},
            },
        },
    },
    "Outputs": {"PagesBucketName": {"Value": {"Ref": "Bucket"}}},
}


def clients(service: str, region: str = REGION) -> Any:
    """Return a client as the tool makes it."""
    return boto3.client(service, region_name=region)  # type: ignore[call-overload]  # any service


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The client of Lambda, beside a stack with a function and a bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws(config={"lambda": {"use_docker": False}, "iam": {"load_aws_managed_policies": False}}):
        clients("iam").create_role(RoleName="one", AssumeRolePolicyDocument="{}")
        clients("cloudformation").create_stack(StackName=PLAN.stack, TemplateBody=json.dumps(TEMPLATE))
        yield clients("lambda")


def publish(client: Any, number: int) -> None:
    """Publish versions of the function, each with code of its own."""
    for each in range(number):
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("a.py", f"b = {each}")
        client.update_function_code(FunctionName="one", ZipFile=code.getvalue(), Publish=True)


def versions(client: Any) -> list[str]:
    """Return the numbers of the versions that there are."""
    found = client.list_versions_by_function(FunctionName="one")["Versions"]
    return [one["Version"] for one in found if one["Version"] != "$LATEST"]


def test_old_versions_go(stack: Any) -> None:
    """The last two stay, and whatever an alias sends requests to; a second time there is nothing to do."""
    publish(stack, 6)
    stack.create_alias(
        FunctionName="one",
        Name="live",
        FunctionVersion="6",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}},
    )
    assert after.delete_old_versions(PLAN, clients) == ["one:1", "one:3", "one:4"]
    assert versions(stack) == ["2", "5", "6"]
    assert after.delete_old_versions(PLAN, clients) == []


@pytest.mark.usefixtures("stack")
def test_the_contract_is_where_cloudfront_finds_it() -> None:
    """As JSON, under the name that every client asks for."""
    bucket = after.outputs(PLAN, clients)["PagesBucketName"]
    after.upload_contract(clients, bucket)
    kept = clients("s3").get_object(Bucket=bucket, Key="openapi.json")
    assert kept["ContentType"] == "application/json"
    assert json.loads(kept["Body"].read())["openapi"].startswith("3.")


@pytest.mark.usefixtures("stack")
def test_a_stack_is_taken_down_with_its_pages() -> None:
    """A bucket that is not empty would stay, and with it the stack."""
    after.upload_contract(clients, after.outputs(PLAN, clients)["PagesBucketName"])
    destroy.destroy(PLAN, clients, said=PLAN.stack)
    assert clients("s3").list_buckets()["Buckets"] == []
    with pytest.raises(ClientError, match="does not exist"):
        after.outputs(PLAN, clients)


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("said", ["", "yes", "fairslot-prod"])
def test_nothing_goes_unless_its_name_is_said(said: str) -> None:
    """Another stack's name is no consent to this one."""
    with pytest.raises(RefusedError, match="Nothing is deleted: that is not fairslot-dev"):
        destroy.destroy(PLAN, clients, said=said)
    assert after.outputs(PLAN, clients)


@pytest.mark.usefixtures("stack")
def test_a_protected_database_is_left_alone() -> None:
    """Before anything else of its stack is deleted."""
    protected = {"ParameterKey": "DatabaseProtection", "ParameterValue": "true"}
    clients("cloudformation").update_stack(
        StackName=PLAN.stack, TemplateBody=json.dumps(TEMPLATE), Parameters=[protected]
    )
    with pytest.raises(RefusedError, match="set DatabaseProtection=false"):
        destroy.destroy(PLAN, clients, said=PLAN.stack)
    assert after.outputs(PLAN, clients)


class OneFunction:
    """A function that answers once with a key."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = [*answers]

    def invoke(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803  boto3's own name
        """Answer as Lambda does."""
        answer = self._answers.pop(0)
        failed = {"FunctionError": "Unhandled"} if "errorMessage" in answer else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}


def test_the_first_key_is_had_once() -> None:
    """A later deployment finds that there is one."""
    function = OneFunction({"key": "fairslot_one"}, {"message": "There is an admin key already."})
    assert after.first_key(lambda _: function, "first") == "fairslot_one"
    assert after.first_key(lambda _: function, "first") is None


def test_a_key_that_could_not_be_made_is_an_error() -> None:
    """And not taken for one that is there."""
    with pytest.raises(RuntimeError, match="no connection"):
        after.first_key(lambda _: OneFunction({"errorMessage": "no connection"}), "first")


def test_sam_gets_the_stage_with_what_was_given() -> None:
    """Every parameter of samconfig.toml, and the address."""
    words = sam(PLAN)
    assert words[:4] == [".tools/sam/bin/sam", "deploy", "--config-env", "dev"]
    assert words[words.index("--region") + 1] == REGION
    assert {"Stage=dev", "Network=dual-stack", "AlarmEmail=me@example.com"} <= {*words}


def test_ci_is_not_asked_and_told_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it prints is kept; there is the boundary of its roles."""
    monkeypatch.setenv("CI", "true")
    plan = read("prod", region=REGION, email=None, boundary="arn:aws:iam::1:policy/b")
    assert "--no-confirm-changeset" in sam(plan)
    assert "PermissionsBoundary=arn:aws:iam::1:policy/b" in sam(plan)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))
    monkeypatch.setattr(
        after, "outputs", lambda *_: {"FirstKeyFunctionName": "first", "Address": "https://a"}
    )
    monkeypatch.setattr(after, "delete_old_versions", lambda *_: [])
    command._up(plan, lambda _: pytest.fail("it was asked for a key"))  # noqa: SLF001 - what `up` does
    monkeypatch.delenv("CI")
    assert "--no-confirm-changeset" not in sam(plan)


def test_what_comes_next_is_three_commands() -> None:
    """Each with the address, or a file of a team."""
    text = next_steps("https://d1.cloudfront.net", has_key=False)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[0] == "https://d1.cloudfront.net"
    assert [line.split()[0] for line in lines[1:]] == ["curl", "export", ".venv/bin/fairslot"]


def test_a_plan_knows_defaults_and_what_is_given() -> None:
    """samconfig.toml over the template, and the command's own words over both."""
    plan = read("prod", region=None, email=None)
    assert (plan.stack, plan.region, plan.parameter("AlarmEmail")) == ("fairslot-prod", "us-east-1", "")
    assert isinstance(plan, Plan)
    assert plan.parameter("DatabaseClass") == "db.m8g.large"
    assert plan.parameter("Edge") == "cloudfront"
