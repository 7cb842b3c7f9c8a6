"""What is kept of external calendars, and that a bad one costs nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairslot.booking import decisions
from fairslot.coach_time import bookable_starts, sync
from fairslot.coach_time.bookable_starts import Page, Window
from fairslot.coach_time.days import delete_old_days, extend_days, horizon_slots
from fairslot.domain.slots import hex_of, slot_of, span
from fairslot.platform.db import Connection
from tests.support.world import (
    NEW_YORK,
    NINE,
    NOW,
    TENANT,
    Coach,
    add_calendar,
    add_coach,
    book,
    cancel,
    check,
)

LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def calendar(connection: Connection) -> str:
    """A calendar of one coach whose external calendar was never read."""
    add_coach(connection, Coach(coach_id="ana", kind="calendar_api"))
    add_calendar(connection, "cal", ["ana"])
    extend_days(connection, now=NOW)
    return "cal"


def reading(connection: Connection, busy: list[tuple[datetime, datetime]], at: datetime) -> dict[str, Any]:
    """Return a reading of ana's calendar that was begun at an instant and has these busy times."""
    first, end_slot = horizon_slots(NEW_YORK, NOW)
    slot_count = end_slot - first
    free = (1 << slot_count) - 1
    for start, end in busy:
        free &= ~span(slot_of(start) - first, slot_of(end) - slot_of(start), slot_count)
    return {
        "coach_id": "ana",
        "requested_at": NOW.isoformat(),
        "fetched_at": at.isoformat(),
        "ok": True,
        "first_slot": first,
        "slot_count": slot_count,
        "free": hex_of(free, slot_count),
    }


def failure(at: datetime) -> dict[str, Any]:
    """Return a reading that failed."""
    return {
        "coach_id": "ana",
        "requested_at": at.isoformat(),
        "fetched_at": at.isoformat(),
        "ok": False,
        "error": "timeout",
    }


def listed(connection: Connection, now: datetime = NOW) -> Page:
    """List the day of NINE."""
    team = bookable_starts.team(connection, tenant_id=TENANT, calendar_id="cal", now=now)
    window = Window(start=NINE, end=NINE + timedelta(days=1), limit=6000)
    return bookable_starts.list_starts(connection, team=team, window=window, now=now)


def test_busy_time_is_not_offered(connection: Connection, calendar: str) -> None:
    """A busy hour takes the starts out that would run into it."""
    sync.store(connection, reading(connection, [(NINE + timedelta(hours=1), NINE + timedelta(hours=2))], NOW))
    page = listed(connection)
    assert page.total == 31 - 5
    assert not page.stale
    assert page.synced_at == NOW


def test_a_failed_reading_keeps_what_was_known(connection: Connection, calendar: str) -> None:
    """After a failure the last slots stay and the page is stale; the next success ends that."""
    sync.store(connection, reading(connection, [(NINE, NINE + timedelta(hours=1))], NOW))
    before = listed(connection)
    sync.store(connection, failure(LATER))
    page = listed(connection)
    assert page.starts == before.starts
    assert page.stale
    sync.store(connection, reading(connection, [], LATER + timedelta(minutes=1)))
    assert not listed(connection).stale


def test_an_old_reading_is_stale(connection: Connection, calendar: str) -> None:
    """A reading that is long ago is said to be."""
    sync.store(connection, reading(connection, [], NOW))
    assert not listed(connection, NOW + timedelta(minutes=14)).stale
    assert listed(connection, NOW + timedelta(minutes=16)).stale


def test_an_older_reading_never_overwrites_a_younger(connection: Connection, calendar: str) -> None:
    """Readings that come out of order leave the younger one's slots, failures included."""
    sync.store(connection, reading(connection, [(NINE, NINE + timedelta(hours=8))], LATER))
    sync.store(connection, reading(connection, [], NOW))
    sync.store(connection, failure(NOW))
    page = listed(connection)
    assert (page.total, page.stale) == (0, False)


def test_a_reading_never_frees_what_is_booked(connection: Connection, calendar: str) -> None:
    """A calendar that knows nothing of a booking does not make its time free."""
    sync.store(connection, reading(connection, [], NOW))
    done = book(connection)
    sync.store(connection, reading(connection, [], LATER))
    assert NINE not in {datetime.fromtimestamp(one.slot * 900, UTC) for one in listed(connection).starts}
    check(connection)
    sync.store(
        connection,
        reading(connection, [(NINE, NINE + timedelta(hours=1))], LATER + timedelta(minutes=1)),
    )
    cancel(connection, done)
    assert listed(connection).total == 31 - 4, "a cancellation does not free what the calendar holds busy"
    check(connection)


def test_a_change_is_read_at_once_and_the_next_ones_when_ten_seconds_are_over(
    connection: Connection, calendar: str
) -> None:
    """Of six hundred changes in half a minute four are read, and nothing that changed is left unread."""
    told = [NOW + timedelta(seconds=0.05 * number) for number in range(600)]
    reads = []
    for now in told:
        for fetch in sync.request(connection, coach_ids=["ana"], now=now):
            at = datetime.fromisoformat(fetch.requested_at)
            assert now <= at <= now + timedelta(seconds=fetch.delay_seconds) < at + timedelta(seconds=1)
            reads.append(at)
    assert reads == [NOW + timedelta(seconds=seconds) for seconds in (0, 10, 20, 30)]
    assert reads[-1] > told[-1]


def test_a_read_after_a_while_waits_for_nothing(connection: Connection, calendar: str) -> None:
    """Neither the read of the schedule before, nor a clock that was wrong, holds up a change for longer."""
    assert len(sync.due(connection, now=NOW)) == 1
    [fetch] = sync.request(connection, coach_ids=["ana"], now=NOW + timedelta(seconds=4))
    assert fetch.delay_seconds == 6
    [fetch] = sync.request(connection, coach_ids=["ana"], now=NOW + timedelta(seconds=25))
    assert fetch.delay_seconds == 0
    connection.execute("UPDATE coach_syncs SET requested_at = '2036-01-01Z'")
    [fetch] = sync.request(connection, coach_ids=["ana"], now=NOW + timedelta(seconds=50))
    assert fetch.delay_seconds == 0


def test_events_that_could_not_be_read_are_noted(connection: Connection, calendar: str) -> None:
    """Shown beside the coach and no failure; the next reading that has none ends it, no older one."""

    def noted() -> int:
        (one,) = decisions.explain(connection, tenant_id=TENANT, calendar_id="cal", start_time=NINE, now=NOW)
        assert one.free
        return one.unreadable_events

    assert sync.store(connection, reading(connection, [], LATER) | {"unreadable": 3})
    assert (noted(), listed(connection).stale) == (3, False)
    sync.store(connection, reading(connection, [], NOW))
    sync.store(connection, failure(LATER + timedelta(minutes=1)))
    assert noted() == 3
    sync.store(connection, reading(connection, [], LATER + timedelta(minutes=2)))
    assert noted() == 0


def test_coaches_are_claimed_once_an_interval(connection: Connection, calendar: str) -> None:
    """Of two plans within the interval the second asks for nobody."""
    assert [fetch.coach_id for fetch in sync.due(connection, now=NOW)] == ["ana"]
    assert sync.due(connection, now=NOW + timedelta(minutes=4)) == []
    assert [fetch.coach_id for fetch in sync.due(connection, now=NOW + timedelta(minutes=5))] == ["ana"]


def test_maintenance_moves_the_window(connection: Connection, calendar: str) -> None:
    """Nine days later there are nine new days and the first two are gone; twice changes nothing."""
    days = (
        "SELECT count(*) AS n, min(local_date)::text AS first, max(local_date)::text AS last FROM coach_slots"
    )
    before = connection.execute(days).fetchone()
    extend_days(connection, now=NOW + timedelta(days=9))
    extend_days(connection, now=NOW + timedelta(days=9))
    delete_old_days(connection, now=NOW + timedelta(days=9))
    after = connection.execute(days).fetchone()
    assert before == {"n": 61, "first": "2026-03-02", "last": "2026-05-01"}
    assert after == {"n": 68, "first": "2026-03-04", "last": "2026-05-10"}


def test_blocked_dates_and_hours_apply_to_stored_days(connection: Connection, calendar: str) -> None:
    """A blocked date is closed from the next maintenance on."""
    sync.store(connection, reading(connection, [], NOW))
    connection.execute("UPDATE coaches SET blocked_dates = '{2026-03-03}'")
    extend_days(connection, now=NOW)
    assert listed(connection).total == 0
