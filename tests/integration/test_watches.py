"""Channels by which providers tell of changes: which are asked for, and what counts of what they tell."""

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from fairslot.coach_time import sync, watches
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.notifications import SourceChanged, Task
from fairslot.messages.watches import WatchAnswer, WatchRequest
from fairslot.platform.db import Connection
from tests.support.clock import DAY, HOUR, MINUTE, NOW, SECOND
from tests.support.fixtures import Environment
from tests.support.team import TENANT, add_coach

WEEK = 7 * DAY
PUSH_URL = "https://book.example.com"


@pytest.fixture(autouse=True)
def _address(environment: Environment) -> None:
    """Notifications have an address."""
    environment(PUSH_URL=PUSH_URL)


@pytest.fixture
def source(connection: Connection) -> UUID:
    """Ana's calendar at Google, read a moment ago."""
    add_coach(connection, "ana")
    return add_source(connection)


def add_source(connection: Connection, kind: str = "google", coach_id: str = "ana") -> UUID:
    """Add a calendar of a coach that was read a moment ago."""
    row = connection.execute(
        "INSERT INTO calendar_sources (tenant_id, coach_id, kind, calendar_ref, credentials, synced_at,"
        " first_requested_at, requested_at, next_at)"
        " VALUES (%s, %s, %s, 'cal@example.com', 'ciphertext', %s, %s, %s, %s) RETURNING source_id",
        [TENANT, coach_id, kind, NOW - MINUTE, NOW - MINUTE, NOW - MINUTE, NOW],
    ).fetchone()
    assert row is not None
    return UUID(str(row["source_id"]))


def due(connection: Connection, now: datetime = NOW) -> list[tuple[str, int]]:
    """Return what is asked of providers: actions and generations."""
    return [(one.action, one.generation) for one in watches.due(connection, now=now)]


def asked(connection: Connection, now: datetime = NOW) -> WatchRequest:
    """Return the only request that is due."""
    [request] = watches.due(connection, now=now)
    return request


def answer(
    request: WatchRequest, channel: str = "one", *, until: datetime = NOW + WEEK, **more: Any
) -> WatchAnswer:
    """Return a good answer."""
    return WatchAnswer(
        action=request.action,
        source_id=request.source_id,
        generation=request.generation,
        **{"channel_id": channel, "resource_id": f"r-{channel}", "expires_at": until, **more},
    )


def failure(request: WatchRequest, error: str = "http_503", **more: Any) -> WatchAnswer:
    """Return a bad answer."""
    return answer(request, error=error, **{"channel_id": request.channel_id, "expires_at": None, **more})


def make(connection: Connection, channel: str = "one", now: datetime = NOW) -> WatchRequest:
    """Have a channel made."""
    request = asked(connection, now)
    watches.store(connection, answer(request, channel, until=now + WEEK), now=now)
    return request


def told(
    connection: Connection,
    source: UUID,
    generation: int = 1,
    task: Task = "changed",
    now: datetime = NOW,
) -> list[FetchRequest]:
    """Take a notification in."""
    message = SourceChanged(source_id=source, generation=generation, task=task)
    return sync.notified(connection, message, now=now)


def channel(connection: Connection, source: UUID) -> str | None:
    """Return the channel that is there."""
    row = connection.execute(
        "SELECT channel_id FROM calendar_watches WHERE source_id = %s", [source]
    ).fetchone()
    return row["channel_id"] if row else None


def pushed_until(connection: Connection, source: UUID) -> datetime | None:
    """Return until when the provider tells of changes."""
    row = connection.execute(
        "SELECT pushed_until FROM calendar_sources WHERE source_id = %s", [source]
    ).fetchone()
    assert row is not None
    found: datetime | None = row["pushed_until"]
    return found


def stops(connection: Connection, now: datetime) -> list[str | None]:
    """Return the channels that are asked to be stopped."""
    return [one.channel_id for one in watches.due(connection, now=now) if one.action == "stop"]


def test_a_calendar_that_is_read_is_watched(connection: Connection, source: UUID) -> None:
    """The request says of what, with what opens it, and where to tell."""
    assert asked(connection) == WatchRequest(
        action="watch",
        source_id=source,
        generation=1,
        calendar_kind="google",
        calendar_ref="cal@example.com",
        credentials="ciphertext",
        address=f"{PUSH_URL}/calendar-push/google",
    )
    assert due(connection, NOW + MINUTE) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE calendar_sources SET kind = 'calendar_api'",
        "UPDATE calendar_sources SET reads = false, writes = true",
        "UPDATE calendar_sources SET ended = 'disconnected'",
        "UPDATE calendar_sources SET synced_at = NULL",
        "UPDATE coaches SET active = false",
        "INSERT INTO calendar_providers VALUES ('google', 5, now(), 'infinity')",
    ],
)
def test_what_cannot_be_read_is_not_watched(connection: Connection, source: UUID, statement: str) -> None:
    """Nor what nobody reads, nor while the provider's breaker is open."""
    connection.execute(statement.encode())
    assert due(connection) == []


def test_without_an_address_nobody_is_asked(
    connection: Connection, source: UUID, environment: Environment
) -> None:
    """A deployment that no provider reaches polls alone."""
    environment(PUSH_URL="")
    assert due(connection) == []


def test_while_changes_are_told_polls_are_half_as_often(connection: Connection, source: UUID) -> None:
    """Until the channel expires; polling goes on."""

    def polled(start: datetime) -> int:
        """Count the polls of an hour."""
        return sum(len(sync.due(connection, now=start + minute * MINUTE)) for minute in range(60))

    polled(NOW)
    assert polled(NOW + HOUR) == 12
    make(connection, now=NOW + 2 * HOUR)
    assert pushed_until(connection, source) == NOW + 2 * HOUR + WEEK
    polled(NOW + 2 * HOUR)
    assert polled(NOW + 3 * HOUR) == 6
    polled(NOW + 3 * HOUR + WEEK)
    assert polled(NOW + 4 * HOUR + WEEK) == 12


@pytest.mark.parametrize(
    ("kind", "action", "generation"), [("google", "watch", 2), ("microsoft", "renew", 1)]
)
def test_a_channel_is_renewed_at_half_its_life(
    connection: Connection, kind: str, action: str, generation: int
) -> None:
    """Give or take a twentieth: Graph's is renewed; Google's has a successor, and is stopped."""
    add_coach(connection, "ana")
    source = add_source(connection, kind)
    make(connection)
    assert due(connection, NOW + 0.44 * WEEK) == []
    request = asked(connection, NOW + 0.56 * WEEK)
    assert (request.action, request.generation, request.channel_id) == (action, generation, "one")
    now = NOW + 0.57 * WEEK
    other = "one" if action == "renew" else "two"
    watches.store(connection, answer(request, other, until=now + WEEK), now=now)
    assert (channel(connection, source), pushed_until(connection, source)) == (other, now + WEEK)
    assert stops(connection, now) == ([] if action == "renew" else ["one"])
    assert due(connection, now + 0.44 * WEEK) == []


def test_renewals_of_many_do_not_come_together(connection: Connection) -> None:
    """What was made in one minute is renewed over some hours."""
    for number in range(40):
        add_coach(connection, f"coach-{number}")
        add_source(connection, "microsoft", f"coach-{number}")
    for request in watches.due(connection, now=NOW):
        watches.store(connection, answer(request, str(request.source_id)), now=NOW)
    row = connection.execute("SELECT max(due_at) - min(due_at) AS spread FROM calendar_watches").fetchone()
    assert row is not None
    assert row["spread"] > 4 * HOUR


def test_a_channel_that_is_gone_has_a_successor_at_once(connection: Connection) -> None:
    """Where it cannot be renewed; nothing is told until then."""
    add_coach(connection, "ana")
    source = add_source(connection, "microsoft")
    make(connection)
    request = asked(connection, NOW + 0.56 * WEEK)
    watches.store(connection, failure(request, "not_found", gone=True), now=NOW + 0.56 * WEEK)
    assert pushed_until(connection, source) is None
    assert due(connection, NOW + 0.56 * WEEK) == [("watch", 2)]


def test_a_lost_answer_leads_to_one_more_channel(connection: Connection, source: UUID) -> None:
    """The first one is not known, so nobody can stop it: what it tells is ignored once the other is there."""
    assert due(connection) == [("watch", 1)]
    assert told(connection, source, 1, now=NOW + MINUTE)
    later = NOW + 6 * MINUTE
    second = asked(connection, later)
    assert second.generation == 2
    assert told(connection, source, 1, now=later)
    watches.store(connection, answer(second, "two"), now=later)
    assert told(connection, source, 1, now=later + MINUTE) == []
    assert told(connection, source, 2, now=later + MINUTE)


def test_an_answer_that_comes_late_is_of_a_channel_that_is_stopped(
    connection: Connection, source: UUID
) -> None:
    """The later one stays; so it is whichever of two comes first, and when one comes twice."""
    first = asked(connection)
    second = asked(connection, NOW + 6 * MINUTE)
    now = NOW + 7 * MINUTE
    for one in (answer(second, "two"), answer(first, "one"), answer(second, "two"), answer(second, "three")):
        watches.store(connection, one, now=now)
    assert channel(connection, source) == "two"
    assert sorted(stops(connection, now), key=str) == ["one", "three"]


def test_a_provider_that_refuses_is_asked_less_and_less(connection: Connection, source: UUID) -> None:
    """After five minutes, then ten, up to six hours, and never before it says."""
    at, gaps = NOW, []
    for _ in range(12):
        watches.store(connection, failure(asked(connection, at)), now=at)
        row = connection.execute("SELECT due_at FROM calendar_watches").fetchone()
        assert row is not None
        gaps.append((row["due_at"] - at) / MINUTE)
        at = row["due_at"]
    assert all(0.8 * 5 * 2**number <= gap <= 1.2 * 5 * 2**number for number, gap in enumerate(gaps[:6]))
    assert all(0.8 * 360 <= gap <= 1.2 * 360 for gap in gaps[7:])
    request = asked(connection, at)
    watches.store(connection, failure(request, "rate_limited", after=12 * 3600.0), now=at)
    assert due(connection, at + 11 * HOUR) == []
    assert due(connection, at + 13 * HOUR) != []


def test_two_notifications_at_once_are_one_reading_after_them(connection: Connection, source: UUID) -> None:
    """The first is read at once; what comes within ten seconds is read once, after it."""
    make(connection)
    [first] = told(connection, source, now=NOW + SECOND)
    assert (first.source_id, first.delay_seconds) == (source, 0)
    reads = [
        one.requested_at
        for tenth in range(20, 100)
        for one in told(connection, source, now=NOW + tenth * SECOND / 10)
    ]
    assert reads == [(NOW + 11 * SECOND).isoformat()]


def test_only_the_source_that_changed_is_read(connection: Connection, source: UUID) -> None:
    """The coach's other calendars are left alone."""
    other = add_source(connection, "microsoft")
    connection.execute("UPDATE calendar_watches SET generation = 1")
    assert [one.source_id for one in told(connection, other, now=NOW)] == [other]


@pytest.mark.parametrize("generation", [0, 3])
def test_a_channel_that_nobody_knows_is_ignored(
    connection: Connection, source: UUID, generation: int
) -> None:
    """One of before, and one that was never asked for."""
    make(connection)
    connection.execute("UPDATE calendar_watches SET generation = 2, counts_from = 1")
    assert told(connection, source, generation) == []
    assert told(connection, UUID(int=9)) == []


def test_a_removed_subscription_is_made_again_and_the_calendar_read(connection: Connection) -> None:
    """What was missed is read now. Repeated, it does nothing more."""
    add_coach(connection, "ana")
    source = add_source(connection, "microsoft")
    make(connection)
    now = NOW + HOUR
    assert len(told(connection, source, 1, "removed", now)) == 1
    assert pushed_until(connection, source) is None
    assert told(connection, source, 1, "removed", now + MINUTE) == []
    assert due(connection, now) == [("watch", 2)]
    assert due(connection, now + MINUTE) == []


def test_a_subscription_that_asks_for_it_is_renewed(connection: Connection) -> None:
    """Without a reading, and once a minute however often it is told."""
    add_coach(connection, "ana")
    source = add_source(connection, "microsoft")
    make(connection)
    seen = []
    for seconds in range(0, 120, 5):
        now = NOW + HOUR + seconds * SECOND
        assert told(connection, source, 1, "renew", now) == []
        seen += due(connection, now)
    assert seen == [("renew", 1)] * 2


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM calendar_sources",
        "DELETE FROM coaches",
        "UPDATE calendar_sources SET ended = 'disconnected'",
        "UPDATE calendar_sources SET reads = false, writes = true",
        "UPDATE calendar_sources SET generation = generation + 1, credentials = 'another'",
    ],
)
def test_a_channel_is_stopped_when_its_source_goes(
    connection: Connection, source: UUID, statement: str
) -> None:
    """With what opened the calendar then; what it still tells asks for nothing."""
    make(connection)
    connection.execute(statement.encode())
    found = [one for one in watches.due(connection, now=NOW) if one.action == "stop"]
    assert [(one.channel_id, one.resource_id, one.credentials) for one in found] == [
        ("one", "r-one", "ciphertext")
    ]
    assert told(connection, source, 1) == []
    watches.store(connection, answer(found[0], expires_at=None), now=NOW)
    assert stops(connection, NOW + DAY) == []


def test_another_account_gets_a_channel_of_its_own(connection: Connection, source: UUID) -> None:
    """And the late answer of the first is of a channel that is stopped."""
    late = asked(connection)
    connection.execute("UPDATE calendar_sources SET generation = generation + 1")
    request = asked(connection)
    assert request.generation == 2
    watches.store(connection, answer(late, "late"), now=NOW)
    assert channel(connection, source) is None
    assert told(connection, source, 1) == []
    watches.store(connection, answer(request, "two"), now=NOW)
    assert (channel(connection, source), stops(connection, NOW)) == ("two", ["late"])


def test_a_channel_that_cannot_be_stopped_is_given_up(connection: Connection, source: UUID) -> None:
    """After a few attempts: it ends by itself. One that has expired is not tried."""
    make(connection)
    connection.execute("DELETE FROM calendar_sources")
    tried = 0
    for hours in range(100):
        for request in watches.due(connection, now=NOW + hours * HOUR):
            tried += 1
            watches.store(connection, failure(request, "unauthorized"), now=NOW + hours * HOUR)
    assert tried == 5
    assert connection.execute("SELECT FROM ended_channels").fetchall() == []


def test_an_answer_for_a_source_that_is_gone_is_dropped(connection: Connection, source: UUID) -> None:
    """Nobody could stop what it tells of."""
    request = asked(connection)
    connection.execute("DELETE FROM calendar_sources")
    watches.store(connection, answer(request), now=NOW)
    watches.store(connection, failure(request), now=NOW)
    assert connection.execute("SELECT FROM calendar_watches").fetchall() == []


def test_a_run_asks_for_a_limited_number(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest comes with the next run, those that wait longest first."""
    monkeypatch.setattr(watches, "_MOST", 2)
    for number in range(5):
        add_coach(connection, f"coach-{number}")
        add_source(connection, "google", f"coach-{number}")
    assert [len(due(connection, NOW + seconds * SECOND)) for seconds in range(4)] == [2, 2, 1, 0]


def test_messages_of_channels_are_read_as_written(source: UUID, connection: Connection) -> None:
    """Each of its queue's kinds."""
    request = asked(connection)
    assert WatchRequest.from_json(request.to_json()) == request
    for given in (answer(request), failure(request, after=3.5, gone=True)):
        assert WatchAnswer.from_json(given.to_json()) == given
