"""What tests of the HTTP handlers share: a small team at a fixed instant, keys, cache and queues."""

from collections.abc import Iterator
from datetime import datetime

import boto3
import pytest
from moto import mock_aws

from fairslot.access import keys
from fairslot.platform import clock as system_clock
from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from local.sqs import SqsStandIn
from tests.support.clock import NOW, stop_clock
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Clock, Environment
from tests.support.http import add_key
from tests.support.queues import Queues
from tests.support.readings import connect_calendars
from tests.support.team import add_team


@pytest.fixture
def clock(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Set what time the functions and their database think it is; begins with the small worlds' NOW."""

    def set_to(now: datetime) -> None:
        monkeypatch.setattr(system_clock, "now", lambda: now)
        stop_clock(connection, now)

    set_to(NOW)
    return set_to


@pytest.fixture
def team(connection: Connection, environment: Environment, clock: Clock) -> Connection:
    """Three coaches who hold the calendar `cal`, and a key for everything; neither cache nor queues."""
    add_key(connection)
    add_team(connection, 3)
    return connection


@pytest.fixture
def look_ups(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is looked up in the database, by digest."""
    made: list[bytes] = []
    look_up = keys._look_up  # noqa: SLF001 - a look-up has no other name

    def noted(digest: bytes) -> keys._Found:
        made.append(digest)
        return look_up(digest)

    monkeypatch.setattr(keys, "_look_up", noted)
    return made


@pytest.fixture
def partners(team: Connection, queues: Queues) -> Connection:
    """The small team with calendars at the calendar API; both partners get every event."""
    connect_calendars(team)
    add_endpoint(team, "crm", "appointment.*")
    add_endpoint(team, "calendar_api", "appointment.*")
    return team


@pytest.fixture
def kms(
    environment: Environment, queues: Queues, sqs: SqsStandIn, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A key for secrets in an account of the test's own; the queues stay with their stand-in."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs.endpoint_url)
    with mock_aws():
        made = boto3.client("kms").create_key()
        environment(WEBHOOK_KMS_KEY_ID=made["KeyMetadata"]["KeyId"])
        signing_secrets.clear_cache()
        signing_secrets.encrypt("any", {})  # what the first call loads takes no request's time
        yield
    signing_secrets.clear_cache()
