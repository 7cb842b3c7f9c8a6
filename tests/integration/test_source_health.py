"""How sources go: when each is asked for, what a failure does, and whom it costs nothing."""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fairslot.coach_time import sync
from fairslot.coach_time.days import extend_days
from fairslot.messages.readings import Reading
from fairslot.platform.db import Connection
from tests.support.availability import reasons
from tests.support.clock import HOUR, MINUTE, NOW, SECOND
from tests.support.readings import store_message, store_reading
from tests.support.sources import add_source, failed, source_row
from tests.support.tables import count, one_row
from tests.support.team import add_calendar, add_coach

INTERVAL = 5 * MINUTE
OPENS_AT = 5  # failures in a row


@pytest.fixture
def team(connection: Connection) -> Connection:
    """A team of a coach without calendars yet."""
    add_coach(connection, "ana")
    add_calendar(connection, "cal", ["ana"])
    extend_days(connection, now=NOW)
    return connection


def due(connection: Connection, at: datetime) -> set[UUID | None]:
    """Return the sources that are claimed at an instant."""
    return {fetch.source_id for fetch in sync.due(connection, now=at)}


def fail(connection: Connection, source_id: UUID, at: datetime, error: str = "timeout", **more: Any) -> None:
    """Store that a source could not be read, as is done at that instant."""
    message = {"requested_at": at.isoformat(), **failed(source_id, at, error, **more)}
    sync.store(connection, Reading.from_json(json.dumps(message)), now=at)


def read(connection: Connection, source_id: UUID, at: datetime) -> None:
    """Store a reading of a source in which everything is free."""
    store_reading(connection, at, source_id=str(source_id), generation=1)


def promise(connection: Connection, source_id: UUID, until: datetime) -> None:
    """Have the provider promise to tell of changes."""
    connection.execute(
        "UPDATE calendar_sources SET pushed_until = %s WHERE source_id = %s", (until, source_id)
    )


def state(connection: Connection, source_id: UUID, at: datetime) -> str:
    """Return how a source is said to be."""
    row = one_row(
        connection,
        "SELECT engine.source_state(s => s, p_now => %s) AS state FROM calendar_sources AS s"
        " WHERE source_id = %s",
        (at, source_id),
    )
    return str(row["state"])


def test_sources_are_asked_for_evenly(team: Connection) -> None:
    """Of six hundred that were made at once as many are asked for in each half minute of an interval."""
    sources = [add_source(team, kind="google") for _ in range(600)]
    assert due(team, NOW) == {*sources}
    ticks = [NOW + number * 30 * SECOND for number in range(1, 41)]
    claimed = [due(team, tick) for tick in ticks]
    assert all(30 <= len(one) <= 90 for one in claimed[-20:])
    times = Counter(source for one in claimed[-20:] for source in one)
    assert set(times.values()) == {2}, "each once in each of the last two intervals"


def test_one_whose_changes_are_told_is_asked_for_half_as_often(team: Connection) -> None:
    """As long as the provider promised to tell of changes."""
    told, other = add_source(team, kind="google"), add_source(team, kind="google")
    promise(team, told, NOW + HOUR)
    ticks = Counter[UUID | None]()
    for number in range(1, 61):
        ticks.update(due(team, NOW + number * MINUTE))
    assert ticks[told] in {6, 7}
    assert ticks[other] in {12, 13}


def test_a_failure_is_tried_again_soon_then_later(team: Connection) -> None:
    """After half a minute, then twice as long each time up to a quarter of an hour, each time by chance."""
    source, at, pauses = add_source(team, kind="google"), NOW, []
    for _ in range(8):
        fail(team, source, at, "invalid_body")
        next_at = source_row(team, source)["next_at"]
        pauses.append((next_at - at) / SECOND)
        assert due(team, next_at - SECOND) == set()
        at = next_at
        assert due(team, at) == {source}
    for pause, middle in zip(pauses, (30, 60, 120, 240, 480, 900, 900, 900), strict=True):
        assert 0.8 * middle <= pause <= 1.2 * middle
    assert len({*pauses}) == 8


def test_what_a_provider_asks_for_is_waited(team: Connection) -> None:
    """Retry-After is longer than what would be tried."""
    source = add_source(team, kind="google")
    fail(team, source, NOW, "rate_limited", after=3600)
    assert source_row(team, source)["next_at"] == NOW + HOUR


def test_a_provider_that_does_not_answer_is_tried_with_one_source(team: Connection) -> None:
    """And those of other providers are read as ever; when it answers the rest come, spread out."""
    down = [add_source(team, kind="google") for _ in range(20)]
    feed = add_source(team, url="https://up.test/a")
    at = NOW
    assert due(team, at) == {*down, feed}
    for source in down[:OPENS_AT]:
        fail(team, source, at)
    asked = Counter[UUID | None]()
    while at < NOW + HOUR:
        at += 10 * SECOND
        for claimed in due(team, at):
            assert claimed is not None
            asked[claimed] += 1
            if claimed == feed:
                read(team, feed, at)
            else:
                fail(team, claimed, at)
    assert asked[feed] in {11, 12, 13}
    tried = sum(asked[source] for source in down)
    assert 10 <= tried <= 20, "a minute apart at first, five in the end"
    while not (probe := due(team, at) - {feed}):
        at += 10 * SECOND
    read(team, UUID(str(*probe)), at)
    team.execute("UPDATE calendar_sources SET next_at = %s WHERE source_id = %s", (at + HOUR, feed))
    begun = at
    after = []
    while at < begun + INTERVAL:
        at += 30 * SECOND
        after.append(len(due(team, at)))
    assert sum(after) >= len(down) - 1
    assert max(after) < len(down) / 2


def test_what_was_not_asked_closes_no_breaker(team: Connection) -> None:
    """As where nobody opens the credentials: it is no answer of the provider."""
    down = [add_source(team, kind="google") for _ in range(OPENS_AT + 1)]
    due(team, NOW)
    for source in down[:OPENS_AT]:
        fail(team, source, NOW)
    fail(team, down[OPENS_AT], NOW, "secret_unavailable")
    assert count(team, "calendar_providers", "open_until IS NOT NULL") == 1


def test_hosts_of_the_same_kind_are_different_providers(team: Connection) -> None:
    """A server of somebody's is not everybody's."""
    down = add_source(team, kind="caldav", url="https://down.test/a")
    up = add_source(team, kind="caldav", url="https://up.test/a")
    due(team, NOW)
    for number in range(OPENS_AT):
        fail(team, down, NOW + number * SECOND)
    assert due(team, NOW + 2 * INTERVAL) == {up, down}


def test_what_a_provider_refuses_is_no_outage(team: Connection) -> None:
    """It answered: five wrong passwords close nobody's calendar."""
    wrong = [add_source(team, kind="google") for _ in range(OPENS_AT)]
    right = add_source(team, kind="google")
    due(team, NOW)
    for source in wrong:
        fail(team, source, NOW, "unauthorized", ended="disconnected")
    assert count(team, "calendar_providers") == 0
    assert due(team, NOW + 2 * INTERVAL) == {right}


def test_a_clear_word_ends_a_source_and_the_tenant_is_told_once(team: Connection) -> None:
    """It is not asked for any more; what it said stays."""
    source = add_source(team, kind="google")
    read(team, source, NOW)
    for minute in (1, 2):
        fail(team, source, NOW + minute * MINUTE, "access_revoked", ended="disconnected")
    assert state(team, source, NOW + 2 * MINUTE) == "disconnected"
    assert due(team, NOW + HOUR) == set()
    assert sync.request(team, tenant_id="default", coach_ids=["ana"], now=NOW + HOUR) == []
    assert reasons(team) == {"ana": None}
    rows = team.execute("SELECT details FROM changes WHERE type = 'calendar.disconnected'").fetchall()
    assert [row["details"] for row in rows] == [
        {
            "coach_id": "ana",
            "source_id": str(source),
            "kind": "google",
            "error": "access_revoked",
            "synced_at": "2026-03-02T12:00:00Z",
            "reconnect_url": None,
            "calendar_ids": ["cal"],
        }
    ]


@pytest.mark.parametrize("error", ["timeout", "connection", "http_503", "http_500"])
def test_what_is_no_word_of_the_provider_ends_nothing(team: Connection, error: str) -> None:
    """Whatever a module makes of it: a timeout or a 5xx disconnects nobody."""
    source = add_source(team, kind="google")
    read(team, source, NOW)
    fail(team, source, NOW + MINUTE, error, ended="disconnected")
    assert state(team, source, NOW + MINUTE) == "ok"
    assert due(team, NOW + 2 * MINUTE) == {source}


def test_a_reading_that_began_before_takes_no_word_back(team: Connection) -> None:
    """What it found counts; the source stays ended until it is read afterwards."""
    source = add_source(team, kind="google")
    due(team, NOW)
    fail(team, source, NOW + SECOND, "access_revoked", ended="disconnected")
    read(team, source, NOW)
    row = source_row(team, source)
    assert (row["ended"], row["error"], row["synced_at"]) == ("disconnected", "access_revoked", NOW)
    read(team, source, NOW + MINUTE)
    row = source_row(team, source)
    assert (row["ended"], row["error"], row["failures"]) == (None, None, 0)


def test_one_that_cannot_be_read_is_unsupported(team: Connection) -> None:
    """Nobody is told to connect it again."""
    source = add_source(team, kind="caldav")
    fail(team, source, NOW, "unsupported", ended="unsupported")
    assert state(team, source, NOW) == "unsupported"
    assert due(team, NOW + HOUR) == set()
    assert one_row(team, "SELECT count(*) AS n FROM changes WHERE type = 'calendar.disconnected'")["n"] == 0


def test_a_source_is_new_then_ok_then_stale(team: Connection) -> None:
    """Stale is what was not read for a quarter of an hour, whatever tells of its changes."""
    source = add_source(team, kind="google", created_at=NOW)
    promise(team, source, NOW + HOUR)
    assert state(team, source, NOW) == "new"
    assert state(team, source, NOW + 16 * MINUTE) == "stale"
    read(team, source, NOW)
    assert state(team, source, NOW + 15 * MINUTE) == "ok"
    assert state(team, source, NOW + 16 * MINUTE) == "stale"


def test_a_failure_that_is_older_than_what_was_read_says_nothing(team: Connection) -> None:
    """Readings come out of order; one that comes twice counts once."""
    source = add_source(team, kind="google")
    read(team, source, NOW + MINUTE)
    fail(team, source, NOW, "unauthorized", ended="disconnected")
    assert state(team, source, NOW + MINUTE) == "ok"
    for _ in range(2):
        store_message(team, failed(source, NOW + timedelta(minutes=2)))
    assert source_row(team, source)["failures"] == 1
