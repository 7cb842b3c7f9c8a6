"""How fresh the page is: readings of external calendars, and the first question about them."""

import json
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from background import store
from background import sync as schedule
from fairslot.coach_time.days import extend_days, horizon_slots
from fairslot.domain.slots import hex_of
from fairslot.platform.db import Connection
from tests.support.clock import MINUTE, NOW, SECOND
from tests.support.fixtures import Clock, Environment
from tests.support.http import ask, body_of
from tests.support.lambda_context import context
from tests.support.queues import Queues
from tests.support.sqs_events import batch_event
from tests.support.team import ALWAYS, add_calendar, add_coach


def page(**query: Any) -> dict[str, Any]:
    """Return a page that has to be served."""
    return body_of(ask("GET", "/api/availability", query=query))


def add_external(connection: Connection, *coach_ids: str, calendar_id: str = "ext") -> None:
    """Make coaches whose calendars are elsewhere and were never read, and a calendar that they hold."""
    for coach_id in coach_ids:
        add_coach(connection, coach_id, kind="calendar_api", working_hours=ALWAYS)
    add_calendar(connection, calendar_id, list(coach_ids))
    extend_days(connection, now=NOW)


def read(connection: Connection, coach_id: str, at: datetime, **result: Any) -> None:
    """Have the reading of a coach's calendar kept as it comes from the queue, all of it free unless told."""
    first, end = horizon_slots(ZoneInfo("America/New_York"), NOW)
    message = {
        "coach_id": coach_id,
        "requested_at": at.isoformat(),
        "fetched_at": at.isoformat(),
        "ok": True,
        "first_slot": first,
        "slot_count": end - first,
        "free": hex_of((1 << end - first) - 1, end - first),
    }
    done = store.lambda_handler(batch_event(json.dumps(message | result)), context())
    assert done == {"batchItemFailures": []}


def test_the_oldest_reading_is_told(team: Connection) -> None:
    """`synced_at` is the oldest reading of the team; all young and none failed is not stale."""
    add_external(team, "one", "two")
    read(team, "one", NOW - timedelta(minutes=2))
    read(team, "two", NOW - timedelta(minutes=14))
    found = page(calendar_id="ext", days=1)
    assert (found["synced_at"], found["stale"]) == ("2026-03-02T11:46:00Z", False)
    assert found["total_available"] == 95


@pytest.mark.parametrize(
    ("age", "errors"),
    [(timedelta(minutes=16), []), (MINUTE, ["timeout"]), (timedelta(days=3), ["a", "b"])],
)
def test_an_old_or_failed_reading_is_stale_and_still_served(
    team: Connection, age: timedelta, errors: list[str]
) -> None:
    """A calendar that cannot be read keeps its last known page and says `stale`."""
    add_external(team, "one", "two")
    read(team, "one", NOW - timedelta(seconds=5))
    read(team, "two", NOW - age)
    for error in errors:
        read(team, "two", NOW, ok=False, error=error)
    found = page(calendar_id="ext", days=1)
    assert found["stale"] is True
    assert {slot["available_coaches"] for slot in found["slots"]} == {2}


def test_the_first_request_has_unread_calendars_read(
    team: Connection, queues: Queues, environment: Environment
) -> None:
    """The first question sends one request for each coach, the second none; both wait, bounded."""
    environment(FIRST_SYNC_WAIT_SECONDS="0.3")
    add_external(team, "one", "two")
    begun = monotonic()
    found = page(calendar_id="ext", days=1)
    assert 0.3 <= monotonic() - begun < 2
    assert (found["slots"], found["stale"], found["synced_at"]) == ([], True, None)
    fetches = queues.take("FETCHES")
    assert sorted(fetch["coach_id"] for fetch in fetches) == ["one", "two"]
    first, end = horizon_slots(ZoneInfo("America/New_York"), NOW)
    for fetch in fetches:
        assert fetch == {
            "coach_id": fetch["coach_id"],
            "kind": "calendar_api",
            "url": None,
            "time_zone": "America/New_York",
            "first_slot": first,
            "slot_count": end - first,
            "requested_at": fetch["requested_at"],
            "source_id": fetch["source_id"],
            "generation": 1,
        }
        assert datetime.fromisoformat(fetch["requested_at"]) == NOW
    page(calendar_id="ext", days=1)
    assert queues.take("FETCHES") == []


def test_who_waited_long_enough_waits_no_more(
    team: Connection, queues: Queues, environment: Environment, clock: Clock
) -> None:
    """A calendar that never answers costs one wait; later questions are answered at once."""
    environment(FIRST_SYNC_WAIT_SECONDS="0.2")
    add_external(team, "one")
    page(calendar_id="ext", days=1)
    clock(NOW + SECOND)
    begun = monotonic()
    assert page(calendar_id="ext", days=1)["stale"] is True
    assert monotonic() - begun < 0.15


def test_a_team_of_which_one_was_read_is_offered_with_that_one(
    team: Connection, queues: Queues, environment: Environment
) -> None:
    """Unread coaches are left out, not the page."""
    environment(FIRST_SYNC_WAIT_SECONDS="0")
    add_external(team, "one")
    assert schedule.lambda_handler({}, context()) == {"requested": 1, "channels": 0}
    assert [fetch["coach_id"] for fetch in queues.take("FETCHES")] == ["one"]
    read(team, "one", NOW)
    add_external(team, "two", calendar_id="more")
    team.execute("UPDATE coach_calendars SET calendar_id = 'ext' WHERE calendar_id = 'more'")
    found = page(calendar_id="ext", days=1, include="coaches")
    assert {tuple(slot["coach_ids"]) for slot in found["slots"]} == {("one",)}
    assert found["stale"] is True
    assert [fetch["coach_id"] for fetch in queues.take("FETCHES")] == ["two"]
