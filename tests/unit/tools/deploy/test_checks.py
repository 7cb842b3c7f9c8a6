"""What is refused before anything is made, each with what to change."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from moto import mock_aws

from tools.deploy import checks
from tools.deploy.plan import Plan, RefusedError, read

USER = "arn:aws:iam::123456789012:user/deployer"


@dataclass
class Account:
    """An account in which everything goes, until a test changes something; no call makes anything."""

    caller: str = USER
    denied: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    concurrency: int = 1000
    versions: tuple[str, ...] = ("17.7", "18.1")
    asked_about: list[str] = field(default_factory=list)

    def client(self, service: str, region: str | None = None) -> Any:
        """Return this: it has the few calls of every service. Another one is an AttributeError."""
        return self

    def get_caller_identity(self) -> dict[str, str]:
        """STS."""
        if not self.caller:
            raise NoCredentialsError
        return {"Arn": self.caller}

    def get_parameters(self, Names: list[str]) -> dict[str, Any]:  # noqa: N803  boto3's own names
        """SSM: what is where."""
        return {"InvalidParameters": [one for one in Names if one.split("/")[5] in self.unknown]}

    def describe_orderable_db_instance_options(self, **asked: Any) -> dict[str, Any]:
        """RDS."""
        return {"OrderableDBInstanceOptions": [{"EngineVersion": one} for one in self.versions]}

    def get_account_settings(self) -> dict[str, Any]:
        """Lambda."""
        return {"AccountLimit": {"ConcurrentExecutions": self.concurrency}}

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803
        """IAM."""
        return {"Role": {"Arn": f"arn:aws:iam::123456789012:role/with/a/path/{RoleName}"}}

    def simulate_principal_policy(self, PolicySourceArn: str, ActionNames: list[str]) -> dict[str, Any]:  # noqa: N803
        """IAM."""
        self.asked_about.append(PolicySourceArn)
        if "iam:SimulatePrincipalPolicy" in self.denied:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "SimulatePrincipalPolicy")
        decided = {one: "implicitDeny" if one in self.denied else "allowed" for one in ActionNames}
        return {"EvaluationResults": [{"EvalActionName": k, "EvalDecision": v} for k, v in decided.items()]}


@pytest.fixture
def account() -> Account:
    """An account in which everything goes."""
    return Account()


def refused(account: Account, stage: str = "dev", email: str | None = None, **parameters: str) -> list[str]:
    """Return what stands against deploying a stage."""
    plan = read(stage, region="eu-central-1", email=email)
    changed = Plan(
        stage=stage, stack=plan.stack, region=plan.region, parameters={**plan.parameters, **parameters}
    )
    return [*checks.refusals(changed, account.client)]


def test_dev_needs_nothing_but_credentials(account: Account) -> None:
    """And prod an address besides."""
    assert refused(account) == []
    assert refused(account, "prod", "ops@example.com") == []


def test_prod_tells_somebody(account: Account) -> None:
    """Without an address nobody would hear of an alarm."""
    [sentence] = refused(account, "prod")
    assert sentence.endswith("make deploy ENV=prod EMAIL=you@example.com")
    [sentence] = refused(account, "prod", "ops at example")
    assert "ops at example is no e-mail address" in sentence


@pytest.mark.parametrize(("unknown", "named"), [("elasticache", "ElastiCache"), ("rds", "RDS")])
def test_a_region_has_every_service(account: Account, unknown: str, named: str) -> None:
    """The services that are missing are named."""
    account.unknown = {unknown}
    assert refused(account) == [f"eu-central-1 has no {named}: choose another as REGION=…"]


def test_the_database_is_to_be_had(account: Account) -> None:
    """Postgres 18 on the class that is asked for."""
    account.versions = ("16.9", "17.7")
    [sentence] = refused(account)
    assert sentence.startswith("eu-central-1 has no Postgres 18 on db.t4g.small")


@pytest.mark.parametrize("missing", [{"rds:CreateDBInstance"}, {"iam:PassRole", "ec2:CreateVpc"}])
def test_credentials_have_every_right(account: Account, missing: set[str]) -> None:
    """The rights that are missing are named."""
    account.denied = missing
    [sentence] = refused(account)
    assert f"{USER} may not {', '.join(sorted(missing))}" in sentence


def test_a_sessions_rights_are_its_roles(account: Account) -> None:
    """IAM answers for roles; a session's name has no path. The root user needs no answer."""
    account.caller = "arn:aws:sts::123456789012:assumed-role/Deployer/me"
    assert refused(account) == []
    account.caller = "arn:aws:iam::123456789012:root"
    assert refused(account) == []
    assert account.asked_about == ["arn:aws:iam::123456789012:role/with/a/path/Deployer"]


def test_what_cannot_be_asked_is_said(account: Account) -> None:
    """Not being allowed to ask is a right that is missing."""
    account.denied = {"iam:SimulatePrincipalPolicy"}
    [sentence] = refused(account)
    assert sentence.startswith("SimulatePrincipalPolicy was refused (AccessDenied)")


def test_without_credentials_nothing_else_is_asked(account: Account) -> None:
    """One sentence, and how to get them."""
    account.caller = ""
    [sentence] = refused(account)
    assert "aws configure sso" in sentence


def test_the_class_fits_the_concurrency(account: Account) -> None:
    """A class too small is refused with the next that is large enough, and with what else to lower."""
    [sentence] = refused(account, DatabaseClass="db.t4g.micro")
    assert sentence.startswith("db.t4g.micro takes 80 connections")
    assert "take DatabaseClass=db.t4g.small" in sentence
    sentence, _ = refused(account, BookingConcurrency="5000")
    assert "there is no class that large" in sentence


def test_the_account_has_the_concurrency(account: Account) -> None:
    """A new account may run ten at a time; then nothing can be reserved, and need not be."""
    account.concurrency = 10
    [sentence] = refused(account)
    assert "ReserveConcurrency=false" in sentence
    assert refused(account, ReserveConcurrency="false") == []
    account.concurrency = 1000
    [sentence] = refused(account, ReserveConcurrency="false")
    assert "set ReserveConcurrency=true" in sentence


def test_a_web_acl_is_made_where_cloudfront_takes_one(account: Account) -> None:
    """That is one region."""
    [sentence] = refused(account, Waf="true")
    assert "us-east-1" in sentence


def test_an_unknown_stage_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(RefusedError, match="it has dev and prod"):
        read("staging", region=None, email=None)


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS in this process, where a call is as boto3 makes it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


@pytest.mark.usefixtures("moto")
def test_aws_itself_knows_the_names() -> None:
    """Its list of services by region has each by the name that is asked for, and none elsewhere."""

    def client(service: str, region: str = "eu-central-1") -> Any:
        return boto3.client(service, region_name=region)  # type: ignore[call-overload]  # any service

    plan = read("dev", region="eu-central-1", email=None)
    assert [*checks.in_region(plan, client, "")] == []
    [sentence] = checks.in_region(read("dev", region="mars-north-1", email=None), client, "")
    assert json.dumps(sentence).count(",") == len(checks.SERVICES) - 1
