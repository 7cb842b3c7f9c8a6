"""From a change in a coach's calendar to the slots, by its provider's notification."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from fairslot.coach_time.days import extend_days
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from fairslot.team import connections
from tests.support.fixtures import Environment
from tests.support.google import GoogleStandIn
from tests.support.graph import Standin
from tests.support.push_world import (
    HOUR,
    Account,
    World,
    door,
    google_account,
    locked,
    microsoft_account,
    tomorrow,
)
from tests.support.pushes import PUSH_SECRET
from tests.support.queues import Queues, message_counts
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach


@pytest.fixture(params=["google", "microsoft"])
def account(request: pytest.FixtureRequest, standin: GoogleStandIn, graph: Standin) -> Account:
    """A coach's account at one provider and at the other."""
    if request.param == "google":
        return google_account(standin.account())
    return microsoft_account(graph.coach())


@pytest.fixture
def world(
    account: Account,
    connection: Connection,
    environment: Environment,
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """The deployment, whose coach has a calendar that was read and a channel."""
    name = uuid4().hex
    urls = queues.urls | {
        f"{kind}_QUEUE_URL": queues.sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"]
        for kind in ("RESULTS", "FETCHED")
    }
    with door() as listening:
        environment(
            **urls,
            **account.settings,
            PUSH_URL=listening.url,
            PUSH_SECRETS=PUSH_SECRET,
            WEBHOOK_ALLOW_LOOPBACK_HTTP="true",
        )
        monkeypatch.setattr(signing_secrets, "decrypt", lambda text, context: text[::-1])
        add_coach(connection, "ana", working_hours=ALWAYS)
        add_calendar(connection, "cal", ["ana"])
        extend_days(connection, now=datetime.now(UTC))
        connection.execute(
            "INSERT INTO calendar_sources (source_id, tenant_id, coach_id, kind, credentials)"
            " VALUES (%s, %s, 'ana', %s, %s)",
            [account.source_id, TENANT, account.kind, locked(account.credentials)],
        )
        made = World(connection, queues, urls, listening, account)
        assert (made.plan()["channels"], made.read()) == (0, (1, 1))
        assert (made.plan()["channels"], made.read()) == (1, (1, 1))
        if account.kind == "google":
            # It says that the channel works, and asks for nothing.
            assert (made.told(), made.act()) == (202, 0)
        made.a_minute_later()
        yield made


def test_a_change_is_in_the_slots_when_it_was_told(world: World) -> None:
    """Without the schedule."""
    start = tomorrow()
    assert world.is_free(start)
    world.account.add(start)
    assert world.told() == 202
    assert (world.act(), world.read()) == (1, (1, 1))
    assert not world.is_free(start)


def test_what_changes_within_ten_seconds_is_read_once_after_them(world: World) -> None:
    """However many notifications there are."""
    for number in range(6):
        world.account.add(tomorrow() + number * 2 * HOUR)
        assert world.told() == 202
    while world.act():
        pass
    # One is read now, and one waits.
    assert message_counts(world.queues.sqs, world.urls["FETCHES_QUEUE_URL"]) == (1, 0, 1)


def test_the_channel_of_a_source_that_goes_is_stopped(world: World) -> None:
    """With what opened it: the provider has none then."""
    assert world.account.channels() == 1
    world.connection.execute("DELETE FROM calendar_sources")
    assert (world.plan()["channels"], world.read()) == (1, (1, 1))
    assert world.account.channels() == 0
    assert world.connection.execute("SELECT FROM ended_channels").fetchall() == []


def test_the_channel_is_stopped_before_the_grant_is_revoked(world: World) -> None:
    """Afterwards nobody could, and the provider would go on telling of the calendar for a week."""
    grant = connections.grant_of(
        world.connection, tenant_id=TENANT, coach_id="ana", source_id=world.account.source_id
    )
    assert grant is not None
    world.connection.execute("DELETE FROM calendar_sources")
    send_fetches([grant])
    assert world.read() == (1, 1)
    assert world.account.channels() == 0
    assert world.connection.execute("SELECT FROM ended_channels").fetchall() == []


def test_a_channel_goes_on(world: World) -> None:
    """Graph's is renewed. Of Google there is a new one first, and then the old one is stopped."""
    before = world.connection.execute("SELECT pushed_until FROM calendar_sources").fetchone()
    world.connection.execute("UPDATE calendar_watches SET due_at = '-infinity'")
    assert (world.plan()["channels"], world.read()) == (1, (1, 1))
    if world.account.kind == "google":
        assert world.account.channels() == 2
        assert (world.plan()["channels"], world.read()) == (1, (1, 1))
        assert world.told() == 202
    assert world.account.channels() == 1
    after = world.connection.execute("SELECT pushed_until FROM calendar_sources").fetchone()
    assert before is not None
    assert after is not None
    assert after["pushed_until"] >= before["pushed_until"]
    world.account.add(tomorrow())
    assert (world.told(), world.act(), world.read()) == (202, 1, (1, 1))
    assert not world.is_free(tomorrow())
