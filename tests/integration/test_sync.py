"""What is kept of external calendars, and that a bad one costs nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairslot.coach_time import sync
from fairslot.coach_time.days import delete_old_days, extend_days
from fairslot.platform.db import Connection
from tests.support.availability import Listed, explain, list_page
from tests.support.bookings import book, cancel
from tests.support.clock import HOUR, MINUTE, NINE, NOW, SECOND
from tests.support.invariants import check_invariants
from tests.support.readings import store_message, store_reading
from tests.support.team import TENANT, add_calendar, add_coach, set_coach

LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def calendar(connection: Connection) -> str:
    """A calendar of one coach whose external calendar was never read."""
    add_coach(connection, "ana", kind="calendar_api")
    add_calendar(connection, "cal", ["ana"])
    extend_days(connection, now=NOW)
    return "cal"


def failure(at: datetime) -> dict[str, Any]:
    """Return a reading that failed."""
    return {
        "coach_id": "ana",
        "requested_at": at.isoformat(),
        "fetched_at": at.isoformat(),
        "ok": False,
        "error": "timeout",
    }


def listed(connection: Connection, now: datetime = NOW) -> Listed:
    """List the day of NINE."""
    return list_page(connection, start=NINE, days=1, now=now)


def test_busy_time_is_not_offered(connection: Connection, calendar: str) -> None:
    """A busy hour takes the starts out that would run into it."""
    store_reading(connection, NOW, (NINE + HOUR, NINE + timedelta(hours=2)))
    page = listed(connection)
    assert page.total == 31 - 5
    assert not page.stale
    assert page.synced_at == NOW


def test_a_failed_reading_keeps_what_was_known(connection: Connection, calendar: str) -> None:
    """After a failure the last slots stay and the page is stale; the next success ends that."""
    store_reading(connection, NOW, (NINE, NINE + HOUR))
    before = listed(connection)
    store_message(connection, failure(LATER))
    page = listed(connection)
    assert page.starts == before.starts
    assert page.stale
    store_reading(connection, LATER + MINUTE)
    assert not listed(connection).stale


def test_an_old_reading_is_stale(connection: Connection, calendar: str) -> None:
    """A reading that is long ago is said to be."""
    store_reading(connection, NOW)
    assert not listed(connection, NOW + timedelta(minutes=14)).stale
    assert listed(connection, NOW + timedelta(minutes=16)).stale


def test_an_older_reading_never_overwrites_a_younger(connection: Connection, calendar: str) -> None:
    """Readings that come out of order leave the younger one's slots, failures included."""
    store_reading(connection, LATER, (NINE, NINE + timedelta(hours=8)))
    store_reading(connection, NOW)
    store_message(connection, failure(NOW))
    page = listed(connection)
    assert (page.total, page.stale) == (0, False)


def test_a_reading_never_frees_what_is_booked(connection: Connection, calendar: str) -> None:
    """A calendar that knows nothing of a booking does not make its time free."""
    store_reading(connection, NOW)
    done = book(connection)
    store_reading(connection, LATER)
    assert NINE not in {datetime.fromtimestamp(one.slot * 900, UTC) for one in listed(connection).starts}
    check_invariants(connection)
    store_reading(connection, LATER + MINUTE, (NINE, NINE + HOUR))
    cancel(connection, done)
    assert listed(connection).total == 31 - 4, "a cancellation does not free what the calendar holds busy"
    check_invariants(connection)


def test_a_change_is_read_at_once_and_the_next_ones_when_ten_seconds_are_over(
    connection: Connection, calendar: str
) -> None:
    """Of six hundred changes in half a minute four are read, and nothing that changed is left unread."""
    told = [NOW + timedelta(seconds=0.05 * number) for number in range(600)]
    reads = []
    for now in told:
        for fetch in sync.request(connection, tenant_id=TENANT, coach_ids=["ana"], now=now):
            at = datetime.fromisoformat(fetch.requested_at)
            assert now <= at <= now + timedelta(seconds=fetch.delay_seconds) < at + SECOND
            reads.append(at)
    assert reads == [NOW + timedelta(seconds=seconds) for seconds in (0, 10, 20, 30)]
    assert reads[-1] > told[-1]


def test_a_read_after_a_while_waits_for_nothing(connection: Connection, calendar: str) -> None:
    """Neither the read of the schedule before, nor a clock that was wrong, holds up a change for longer."""
    assert len(sync.due(connection, now=NOW)) == 1
    [fetch] = sync.request(connection, tenant_id=TENANT, coach_ids=["ana"], now=NOW + timedelta(seconds=4))
    assert fetch.delay_seconds == 6
    [fetch] = sync.request(connection, tenant_id=TENANT, coach_ids=["ana"], now=NOW + timedelta(seconds=25))
    assert fetch.delay_seconds == 0
    connection.execute("UPDATE coach_syncs SET requested_at = '2036-01-01Z'")
    [fetch] = sync.request(connection, tenant_id=TENANT, coach_ids=["ana"], now=NOW + timedelta(seconds=50))
    assert fetch.delay_seconds == 0


def test_events_that_could_not_be_read_are_noted(connection: Connection, calendar: str) -> None:
    """Shown beside the coach and no failure; the next reading that has none ends it, no older one."""

    def noted() -> int:
        (one,) = explain(connection)
        assert one.free
        return one.unreadable_events

    assert store_reading(connection, LATER, unreadable=3)
    assert (noted(), listed(connection).stale) == (3, False)
    store_reading(connection, NOW)
    store_message(connection, failure(LATER + MINUTE))
    assert noted() == 3
    store_reading(connection, LATER + timedelta(minutes=2))
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
    store_reading(connection, NOW)
    set_coach(connection, blocked_dates="{2026-03-03}")
    extend_days(connection, now=NOW)
    assert listed(connection).total == 0
