"""The days on which a calendar takes nothing are those of its own zone, for listing and booking alike."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from fairslot.coach_time.days import extend_days
from fairslot.platform.db import Connection
from tests.support.availability import listed_starts
from tests.support.bookings import book, delete_appointments, hold
from tests.support.clock import HOUR, QUARTER
from tests.support.team import ALWAYS, add_calendar, add_coach, set_calendar

NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)  # the Azores have two midnights soon
ZONES = sorted(available_timezones() - {"localtime", "Factory"})


@pytest.fixture
def awake(connection: Connection) -> Connection:
    """One coach who is always there, and what they offer."""
    add_coach(connection, "ana", time_zone="UTC", working_hours=ALWAYS, max_per_day=50)
    add_calendar(connection, "cal", ["ana"], duration=15)
    extend_days(connection, now=NOW)
    return connection


def bookable(connection: Connection, start: datetime, end: datetime) -> set[datetime]:
    """Return the starts in a window that the calendar would not refuse to book."""
    rows = connection.execute(
        "SELECT start FROM calendars AS calendar, generate_series(%s, %s, interval '15 minutes') AS start"
        " WHERE start < %s AND engine.calendar_refusal(calendar, start, NULL, %s) IS NULL",
        (start, end, end, NOW),
    )
    return {row["start"] for row in rows}


def quarters(start: datetime, end: datetime) -> list[datetime]:
    """Return the starts of a window."""
    return [start + n * QUARTER for n in range((end - start) // QUARTER)]


def shows_our_time(connection: Connection, zone: ZoneInfo, instants: list[datetime]) -> bool:
    """Tell whether the database's edition of a zone says of these instants what ours does."""
    shown = [instant.astimezone(zone).replace(tzinfo=None) for instant in instants]
    found = connection.execute(
        "SELECT FROM unnest(%s::timestamptz[], %s::timestamp[]) AS given (instant, shown)"
        " WHERE instant AT TIME ZONE engine.full_zone(%s) <> shown",
        (instants, shown, zone.key),
    )
    return found.fetchone() is None


windows = st.tuples(st.integers(1, 1200), st.integers(1, 60))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zone=st.sampled_from(ZONES), window=windows, full=st.booleans(), shift=st.integers(-8, 110))
@example(zone="Pacific/Kiritimati", window=(26, 23), full=True, shift=0)
@example(zone="America/Havana", window=(12 * 24 - 12 - 8, 40), full=False, shift=40)
@example(zone="Atlantic/Azores", window=(5 * 24 - 12 - 8, 40), full=False, shift=40)
@example(zone="Atlantic/Azores", window=(80, 40), full=False, shift=120)  # the day with two midnights is full
@example(zone="Atlantic/Azores", window=(108, 40), full=False, shift=110)  # it is blocked
def test_listing_and_booking_agree_in_every_zone(
    awake: Connection,
    zone: str,
    window: tuple[int, int],
    full: bool,  # noqa: FBT001 - drawn
    shift: int,
) -> None:
    """No start of a shut day is listed or taken, and every other is both; the day is the calendar's own.

    A calendar with the maximum 0 is always shut; else one day is blocked, and one has all it takes. Where the
    database has another edition of a zone its days are others, for both; see test_zones_apart.py.
    """
    start = NOW + window[0] * HOUR
    end = start + window[1] * HOUR
    there = ZoneInfo(zone)
    one = start + shift * QUARTER
    assume(one > NOW)
    delete_appointments(awake)
    set_calendar(awake, time_zone=zone, max_per_day=None if full else 1, blocked_dates=[])
    shut: set[date] = set()
    if full:
        set_calendar(awake, max_per_day=0)
        shut = {begin.astimezone(there).date() for begin in quarters(start, end)}
    else:
        book(awake, one, now=NOW)
        shut = {one.astimezone(there).date(), start.astimezone(there).date()}
        set_calendar(awake, blocked_dates=[start.astimezone(there).date()])
    open_to_all = {begin for begin in quarters(start, end) if begin.astimezone(there).date() not in shut}
    taken = bookable(awake, start, end)
    if shows_our_time(awake, there, quarters(min(start, one), max(end, one + QUARTER))):
        assert taken == open_to_all
    assert listed_starts(awake, start=start, end=end, now=NOW) == taken - {one}


def test_a_listing_counts_holds_by_its_own_clock(awake: Connection) -> None:
    """A live hold fills the day of a calendar that takes one a day, as it does for booking."""
    set_calendar(awake, max_per_day=1)
    start = NOW + 24 * HOUR
    hold(awake, now=NOW, start=start)
    assert listed_starts(awake, start=start, end=start + HOUR, now=NOW) == set()
    assert len(listed_starts(awake, start=start, end=start + HOUR, now=NOW + HOUR)) == 4
