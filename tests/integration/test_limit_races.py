"""Races for the last places of a week or month, on different days and through different calendars."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from fairslot.coach_time.days import extend_days
from fairslot.platform.db import Connection
from tests.integration.test_booking_daily_maximum import ZONES, changes
from tests.support.bookings import appointment_of, book, cancel
from tests.support.clock import DAY, HOUR, NINE, NOW
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants, check_replay
from tests.support.race import Outcome, at_once, booked, patiently, wait_until, waiting
from tests.support.tables import clear_tables
from tests.support.team import ALWAYS, add_calendar, add_coach, set_coach

CLIENTS = 12
DURATIONS = {"cal-15": 15, "cal-30": 30, "cal-45": 45, "cal-60": 60}
CALENDARS = tuple(DURATIONS)


@pytest.fixture
def clients(connect: Connect, environment: Callable[..., None]) -> list[Connection]:
    """Connections for everybody who races; days are made for 40 days ahead."""
    environment(HORIZON_DAYS="40")
    return [connect() for _ in range(CLIENTS)]


@st.composite
def races(draw: st.DrawFn) -> tuple[str, date, list[int]]:
    """Draw a zone, a day of it in the middle, and who wants which third of a day around that."""
    name = draw(st.sampled_from(ZONES))
    day = draw(st.sampled_from([*changes(ZoneInfo(name)), date(2026, 5, 31), date(2026, 11, 1)]))
    steps = draw(st.lists(st.integers(0, 50), min_size=4, max_size=CLIENTS, unique=True))
    return name, day, steps


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    race=races(),
    week=st.sampled_from([None, 0, 1, 2, 3]),
    month=st.sampled_from([None, 1, 2, 4]),
    minutes=st.sampled_from([None, 30, 60, 75, 100]),
)
@example(("Africa/Cairo", date(2026, 4, 24), list(range(20, 32))), 2, None, None)
@example(("America/Havana", date(2026, 11, 1), list(range(20, 32))), None, 2, 60)
@example(("Pacific/Kiritimati", date(2026, 5, 31), list(range(20, 32))), 3, 4, 100)
def test_a_race_gives_exactly_the_limit(
    connection: Connection,
    clients: list[Connection],
    race: tuple[str, date, list[int]],
    week: int | None,
    month: int | None,
    minutes: int | None,
) -> None:
    """No local week or month has more than its limit, and whoever is refused would have gone beyond one."""
    name, day, steps = race
    zone = ZoneInfo(name)
    first = (
        datetime(day.year, day.month, day.day, 12, tzinfo=zone).astimezone(UTC).replace(minute=0) - 8 * DAY
    )
    now = first - DAY
    clear_tables(connection)
    add_coach(connection, "coach", time_zone=name, max_per_day=50, working_hours=ALWAYS)
    set_coach(connection, max_per_week=week, max_per_month=month, max_minutes_per_week=minutes)
    for calendar_id, duration in DURATIONS.items():
        add_calendar(connection, calendar_id, ["coach"], duration=duration)
    extend_days(connection, now=now)
    asked = [(CALENDARS[n % 4], first + step * 8 * HOUR) for n, step in enumerate(steps)]

    def ask(n: int) -> Outcome:
        calendar_id, start = asked[n]
        return patiently(lambda: book(clients[n], start, calendar_id=calendar_id, now=now))

    outcomes = at_once([partial(ask, n) for n in range(len(asked))])
    note(f"{outcomes}")
    got = {(one.calendar_id, one.start_time) for one in map(appointment_of, booked(outcomes))}
    limits = (week, month, minutes)
    assert is_within(got, zone, limits)
    assert not any(is_within({*got, one}, zone, limits) for one in asked if one not in got)
    check_invariants(connection)
    check_replay(connection)


def is_within(booked: Iterable[tuple[str, datetime]], zone: ZoneInfo, limits: tuple[int | None, ...]) -> bool:
    """Tell whether calendars and starts are within limits a week, a month, and in minutes a week."""
    loads: dict[object, int] = {}
    for calendar_id, start in booked:
        local = start.astimezone(zone)
        for number, period in enumerate((local.isocalendar()[:2], local.month, local.isocalendar()[:2])):
            by = DURATIONS[calendar_id] if number == 2 else 1
            loads[number, period] = loads.get((number, period), 0) + by
            most = limits[number]
            if most is not None and loads[number, period] > most:
                return False
    return True


def test_who_loses_a_week_while_waiting_begins_anew(connection: Connection, connect: Connect) -> None:
    """The day is taken by then, so the transaction starts again instead of looking for somebody else."""
    add_coach(connection, "ana", working_hours=ALWAYS)
    add_coach(connection, "ben", working_hours=ALWAYS)
    set_coach(connection, "ana", max_per_week=1)
    add_calendar(connection, "cal", ["ana", "ben"])
    add_calendar(connection, "other", ["ana"])
    extend_days(connection, now=NOW)
    slow, other = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with other.transaction():
            book(other, NINE + DAY, calendar_id="other")
            outcome = pool.submit(sqlstate, lambda: book(slow))
            wait_until(lambda: waiting(connection, [slow]) == 1)
        assert outcome.result() == "40001"
    assert appointment_of(book(slow)).coach_id == "ben"
    check_invariants(connection)
    check_replay(connection)


def test_a_limit_set_while_somebody_books_counts_that(connection: Connection, connect: Connect) -> None:
    """It waits for the calendars of the coach, so that the first count misses nothing and nobody."""
    add_coach(connection, "ana", working_hours=ALWAYS)
    add_calendar(connection, "cal", ["ana"])
    extend_days(connection, now=NOW)
    booker, setter = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with booker.transaction():
            book(booker)
            outcome = pool.submit(set_coach, setter, "ana", max_per_week=1)
            wait_until(lambda: waiting(connection, [setter]) == 1)
        outcome.result()
    check_invariants(connection)
    assert sqlstate(lambda: book(connection, NINE + DAY)) == "FS409"


def test_a_limit_set_while_somebody_cancels_counts_that(connection: Connection, connect: Connect) -> None:
    """Also in a calendar that the coach has left, whose appointments count all the same."""
    add_coach(connection, "ana", working_hours=ALWAYS)
    for calendar_id in ("cal", "left"):
        add_calendar(connection, calendar_id, ["ana"])
    extend_days(connection, now=NOW)
    done = book(connection, calendar_id="left")
    connection.execute("SELECT engine.leave_team('left', 'ana', %s)", (NOW,))
    canceller, setter = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with canceller.transaction():
            cancel(canceller, done)
            outcome = pool.submit(set_coach, setter, "ana", max_per_week=1)
            wait_until(lambda: outcome.done() or waiting(connection, [setter]) == 1)
            assert not outcome.done()
        outcome.result()
    check_invariants(connection)
    assert appointment_of(book(connection)).coach_id == "ana"


def sqlstate(work: Callable[[], object]) -> str | None:
    """Return the SQLSTATE that a piece of work ends with, if it fails."""
    try:
        work()
    except psycopg.Error as error:
        return error.sqlstate
    return None
