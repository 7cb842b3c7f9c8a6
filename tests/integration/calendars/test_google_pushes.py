"""From a change at Google to the slots, by its notification: every function, as Lambda calls it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

import background.results
import background.store
import background.sync
import calendar_fetch.app
import calendar_push.app
from fairslot.coach_time.days import extend_days
from fairslot.domain.slots import slot_of
from fairslot.platform import signing_secrets
from fairslot.platform.db import Connection
from tests.support.fixtures import Environment
from tests.support.google import CLIENT, GoogleAccount, at
from tests.support.google_listener import GoogleListener, google_listener
from tests.support.lambda_context import context
from tests.support.pushes import PUSH_SECRET, push_event
from tests.support.queues import Queues, message_counts
from tests.support.sqs_events import received_event
from tests.support.tables import one_row
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach

type Handler = Callable[[dict[str, Any], Any], Any]


@dataclass(frozen=True)
class World:
    """A deployment with one coach, whose calendar is at Google."""

    connection: Connection
    queues: Queues
    urls: dict[str, str]
    google: GoogleListener
    source: UUID

    def plan(self) -> dict[str, int]:
        """Do what the schedule does."""
        done: dict[str, int] = background.sync.lambda_handler({}, context())
        return done

    def work(self, queue: str, handler: Handler) -> int:
        """Have a function work off its queue; return how many messages there were."""
        found = self.queues.sqs.receive_message(
            QueueUrl=self.urls[queue], MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages", [])
        if found:
            assert handler(received_event(found), context(60)) == {"batchItemFailures": []}
        for one in found:
            self.queues.sqs.delete_message(QueueUrl=self.urls[queue], ReceiptHandle=one["ReceiptHandle"])
        return len(found)

    def read(self) -> tuple[int, int]:
        """Carry out what is asked about calendars, and store it; return how many messages there were."""
        asked = self.work("FETCHES_QUEUE_URL", calendar_fetch.app.lambda_handler)
        return asked, self.work("FETCHED_QUEUE_URL", background.store.lambda_handler)

    def told(self) -> int:
        """Take in the next notification of Google; return the status."""
        headers = {name.lower(): value for name, value in self.google.next().items()}
        answer = calendar_push.app.lambda_handler(
            push_event("/calendar-push/google", headers=headers), context()
        )
        status: int = answer["statusCode"]
        return status

    def act(self) -> int:
        """Do what notifications ask for; return how many there were."""
        return self.work("RESULTS_QUEUE_URL", background.results.lambda_handler)

    def is_free(self, start: datetime) -> bool:
        """Tell whether a slot is free as far as the calendar is known."""
        row = one_row(
            self.connection,
            "SELECT substring(free FROM %s - first_slot + 1 FOR 1) = B'1' AS free FROM source_answers",
            (slot_of(start),),
        )
        return bool(row["free"])

    def a_minute_later(self) -> None:
        """Let the last reading be a minute ago."""
        self.connection.execute(
            "UPDATE calendar_sources SET requested_at = requested_at - interval '1 minute'"
        )


@pytest.fixture
def world(
    ana: GoogleAccount,
    connection: Connection,
    environment: Environment,
    queues: Queues,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    """The deployment, with a channel at Google."""
    with google_listener() as listener:
        name = uuid4().hex
        urls = queues.urls | {
            f"{kind}_QUEUE_URL": queues.sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"]
            for kind in ("RESULTS", "FETCHED")
        }
        environment(
            **urls,
            PUSH_URL=listener.url.removesuffix("/calendar-push/google"),
            PUSH_SECRETS=PUSH_SECRET,
            WEBHOOK_ALLOW_LOOPBACK_HTTP="true",
            GOOGLE_CLIENT_ID=CLIENT.client_id,
            GOOGLE_CLIENT_SECRET=CLIENT.client_secret,
            GOOGLE_ACCOUNTS_URL=ana.google.base_url.removesuffix("/calendar/v3"),
            GOOGLE_API_URL=ana.google.base_url,
        )
        monkeypatch.setattr(signing_secrets, "decrypt", lambda text, context: text[::-1])
        add_coach(connection, "ana", working_hours=ALWAYS)
        add_calendar(connection, "cal", ["ana"])
        extend_days(connection, now=datetime.now(UTC))
        credentials = json.dumps({"refresh_token": ana.refresh_token})[::-1]
        connection.execute(
            "INSERT INTO calendar_sources (source_id, tenant_id, coach_id, kind, credentials)"
            " VALUES (%s, %s, 'ana', 'google', %s)",
            [ana.source_id, TENANT, credentials],
        )
        made = World(connection, queues, urls, listener, ana.source_id)
        assert (made.plan()["channels"], made.read()) == (0, (1, 1))
        assert (made.plan()["channels"], made.read()) == (1, (1, 1))
        assert made.told() == 202
        assert made.act() == 0
        made.a_minute_later()
        yield made


@pytest.fixture
def start() -> datetime:
    """An hour of tomorrow."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)


def channels(account: GoogleAccount) -> list[str]:
    """Return the channels that Google has."""
    answer = account.google.client.get("/control/channels", params={"email": account.email})
    ids: list[str] = answer.json()["channels"]
    return ids


def test_a_change_is_in_the_slots_when_it_was_told(world: World, ana: GoogleAccount, start: datetime) -> None:
    """Without the schedule."""
    assert world.is_free(start)
    ana.add(**at(start))
    assert world.told() == 202
    assert (world.act(), world.read()) == (1, (1, 1))
    assert not world.is_free(start)


def test_what_changes_within_ten_seconds_is_read_once_after_them(
    world: World, ana: GoogleAccount, start: datetime
) -> None:
    """However many notifications there are."""
    for number in range(6):
        ana.add(**at(start + number * timedelta(hours=2)))
        assert world.told() == 202
    while world.act():
        pass
    # One is read now, and one waits.
    assert message_counts(world.queues.sqs, world.urls["FETCHES_QUEUE_URL"]) == (1, 0, 1)


def test_the_channel_of_a_source_that_goes_is_stopped(world: World, ana: GoogleAccount) -> None:
    """With what opened it: Google has none then."""
    assert len(channels(ana)) == 1
    world.connection.execute("DELETE FROM calendar_sources")
    assert (world.plan()["channels"], world.read()) == (1, (1, 1))
    assert channels(ana) == []
    assert world.connection.execute("SELECT FROM ended_channels").fetchall() == []


def test_a_renewed_channel_takes_the_place_of_the_last(world: World, ana: GoogleAccount) -> None:
    """The new one first, then the old one is stopped; both are proven meanwhile."""
    [before] = channels(ana)
    world.connection.execute("UPDATE calendar_watches SET due_at = '-infinity'")
    assert (world.plan()["channels"], world.read()) == (1, (1, 1))
    assert len(channels(ana)) == 2
    assert (world.plan()["channels"], world.read()) == (1, (1, 1))
    [after] = channels(ana)
    assert after != before
    assert world.told() == 202
