"""The template, deployed once into an empty account with real data behind it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from redis import Redis

from fairslot.platform import db
from local.partner import Partner
from local.postgres import EmbeddedPostgres
from local.processes import free_port
from local.valkey import EmbeddedValkey
from tests.deploy.inventory import inventory
from tests.deploy.roles import Roles
from tests.deploy.world import World, team_document, wait_for
from tests.support.account import ROOT, AwsAccount
from tests.support.deployment import STACK, Deployment, built_here, own_processes
from tests.support.subscriber_process import Subscribers, subscribers

# Three attempts, a second apart: a delivery that fails for good is a dead letter soon.
_PARAMETERS = {
    "WebhookMaxAttempts": "3",
    "WebhookScheduleSeconds": "1",
    "WebhookTimeoutSeconds": "5",
    "PublicUrl": "https://book.example.com",
}
# Subscribers and partners are on this machine; the template has no way to allow that.
_LOOPBACK = {"WEBHOOK_ALLOW_LOOPBACK_HTTP": "true"}


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Everything is below this folder, and goes if all went well."""
    folder = tmp_path_factory.mktemp("deploy")
    yield folder
    if not request.session.testsfailed:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def partners(folder: Path) -> Iterator[dict[str, str]]:
    """The partners' addresses, by parameter."""
    names = {"CrmWebhookUrl": "crm", "CalendarApiUrl": "calendar_api"}
    running: dict[str, Partner] = {}
    try:
        for parameter, name in names.items():
            running[parameter] = Partner(name, free_port(), folder / name, folder / "logs")
            running[parameter].launch()
        for one in running.values():
            one.wait_until_ready()
            # Three attempts are few: by chance one that fails now and then would fail for good.
            httpx.post(f"{one.url}/control", json={"failure_rate": 0}).raise_for_status()
        yield {parameter: one.url for parameter, one in running.items()}
    finally:
        for one in running.values():
            one.stop()


@pytest.fixture(scope="session")
def others(folder: Path) -> Iterator[Subscribers]:
    """Subscribers, good and bad."""
    with subscribers(folder / "subscribers") as running:
        yield running


@pytest.fixture(scope="session")
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """The database's server."""
    with EmbeddedPostgres(folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def valkey(folder: Path) -> Iterator[EmbeddedValkey]:
    """The cache."""
    with EmbeddedValkey(folder / "valkey") as server:
        yield server


@pytest.fixture(scope="session")
def account(folder: Path, postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> Iterator[AwsAccount]:
    """An empty account."""
    account = AwsAccount(
        folder / "aws", postgres=postgres.admin_url(), valkey=valkey.url, variables=_LOOPBACK
    )
    with account:
        yield account
    wait_for(lambda: not own_processes(account.folder), "no process of the account is left")


@pytest.fixture(scope="session")
def boundary(account: AwsAccount) -> str:
    """The most that roles of the stage may do, made as an administrator makes it (docs/ci.md)."""
    client, name = account.client("cloudformation"), f"ci-{STACK}"
    given = {"Repository": "someone/fairslot", "Stage": "dev", "GitHubProvider": "arn:aws:iam::1:known"}
    client.create_stack(
        StackName=name,
        TemplateBody=(ROOT / "ci" / "roles.yaml").read_text("utf-8"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    [made] = client.describe_stacks(StackName=name)["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    return str(outputs["PermissionsBoundary"])


@pytest.fixture(scope="session")
def empty(account: AwsAccount, boundary: str) -> set[tuple[str, str]]:
    """What an account has that nothing was deployed to but the boundary."""
    return inventory(account)


@pytest.fixture(scope="session")
def deployment(
    account: AwsAccount,
    empty: set[tuple[str, str]],
    boundary: str,
    partners: dict[str, str],
    folder: Path,
) -> Deployment:
    """The template, deployed by `sam deploy`, with the first key of its function."""
    parameters = _PARAMETERS | partners | {"PermissionsBoundary": boundary}
    deployed = Deployment(account, built_here(folder / "built", account.authority), parameters)
    deployed.deploy()
    deployed.key = json.loads(deployed.invoke("FirstKeyFunction"))["key"]
    return deployed


@pytest.fixture(scope="session")
def database(
    postgres: EmbeddedPostgres, deployment: Deployment
) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to the migrated database, as use cases have it."""
    with db.connect(postgres.admin_url("fairslot")) as connection:
        yield connection


@pytest.fixture(scope="session")
def world(
    deployment: Deployment,
    database: db.Connection,
    valkey: EmbeddedValkey,
    partners: dict[str, str],
    others: Subscribers,
) -> Iterator[World]:
    """The deployed system with a team."""
    with deployment.api() as api, Redis.from_url(valkey.url) as cache:
        made = World(
            deployment=deployment,
            api=api,
            crm=partners["CrmWebhookUrl"],
            calendar_api=partners["CalendarApiUrl"],
            others=others,
            database=database,
            cache=cache,
        )
        made.ask("POST", "/api/apply", team_document())
        # On a busy machine three attempts could end before the first process of who is asked has started.
        deployment.invoke("PermitsFunction", json.dumps({"delivery_id": str(uuid4())}).encode())
        yield made


@pytest.fixture
def roles(world: World) -> Iterator[Roles]:
    """The roles of the functions; endpoints that a test makes are gone after it."""
    before = world.endpoints()
    yield Roles(world.deployment)
    for one in world.endpoints():
        if one not in before:
            world.unsubscribe(one)
