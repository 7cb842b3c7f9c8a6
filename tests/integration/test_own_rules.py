"""Buffers and notices of coaches and of coaches in a calendar: with the calendar's own, the largest holds."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from fairslot.booking import decisions
from fairslot.coach_time.days import extend_days
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.domain.errors import SlotUnavailableError
from fairslot.domain.slots import slot_of
from fairslot.platform.db import Connection
from tests.support.availability import list_page, listed_starts, reasons
from tests.support.bookings import appointment_now, appointment_of, book, hold, reassign, reschedule
from tests.support.clock import DAY, HALF, HOUR, MINUTE, NINE, NOW, QUARTER
from tests.support.fixtures import Environment
from tests.support.invariants import check_invariants
from tests.support.race import refused
from tests.support.tables import one_row
from tests.support.team import (
    ALWAYS,
    TENANT,
    add_calendar,
    add_coach,
    add_team,
    set_calendar,
    set_coach,
    set_member,
)

PLACES = ("calendar", "coach", "member")


def set_places(connection: Connection, name: str, values: dict[str, int]) -> None:
    """Set a rule of the calendar, of the coach, and of the coach in the calendar."""
    set_calendar(connection, "cal", **{name: values["calendar"]})
    set_coach(connection, "ana", **{name: values["coach"]})
    set_member(connection, "cal", "ana", **{name: values["member"]})


@pytest.fixture
def awake(connection: Connection) -> Connection:
    """A coach who works day and night, on a calendar and on another one."""
    add_coach(connection, "ana", working_hours=ALWAYS)
    add_calendar(connection, "cal", ["ana"])
    add_calendar(connection, "other", ["ana"], duration=15)
    extend_days(connection, now=NOW)
    return connection


def takes(connection: Connection) -> tuple[timedelta, timedelta]:
    """Return the buffers before and after the only appointment."""
    row = one_row(
        connection,
        "SELECT start_time - lower(takes) AS before, upper(takes) - end_time AS after"
        "  FROM coach_appointments",
    )
    return row["before"], row["after"]


@pytest.mark.parametrize("largest", PLACES)
@pytest.mark.parametrize(("name", "side"), [("buffer_before", 0), ("buffer_after", 1)])
def test_the_largest_buffer_holds(awake: Connection, largest: str, name: str, side: int) -> None:
    """Around what is booked it is taken, and where it does not fit nothing is to be had."""
    set_places(awake, name, {place: 45 if place == largest else 15 for place in PLACES})
    book(awake)
    assert takes(awake)[side] == 45 * MINUTE
    assert takes(awake)[1 - side] == timedelta(0)
    near = NINE + HOUR if side == 0 else NINE - HOUR
    assert reasons(awake, near) == {"ana": "buffer"}
    assert near not in listed_starts(awake, start=NINE - DAY, end=NINE + DAY, now=NOW)
    assert isinstance(refused(lambda: book(awake, near)), SlotUnavailableError)
    further = near + QUARTER if side == 0 else near - QUARTER
    book(awake, further)
    check_invariants(awake)


@pytest.mark.parametrize("largest", PLACES)
def test_the_largest_notice_holds(awake: Connection, largest: str) -> None:
    """To the minute: the first start that it allows is to be had, and none before."""
    set_places(awake, "min_notice_minutes", {place: 300 if place == largest else 60 for place in PLACES})
    opens = NOW + 300 * MINUTE
    assert reasons(awake, opens - QUARTER) == {"ana": "minimum_notice"}
    assert reasons(awake, opens) == {"ana": None}
    assert reasons(awake, opens, now=NOW + MINUTE) == {"ana": "minimum_notice"}
    assert min(listed_starts(awake, start=NOW, end=NOW + DAY, now=NOW)) == opens
    assert min(listed_starts(awake, start=NOW, end=NOW + DAY, now=NOW + MINUTE)) == opens + QUARTER
    for ask in (book, hold):
        assert isinstance(refused(partial(ask, awake, start=opens - QUARTER)), SlotUnavailableError)
    book(awake, opens)


def test_each_coach_has_rules_of_their_own(connection: Connection) -> None:
    """A start is for those whose notice and buffers allow it, and the record says why not for the rest."""
    coaches = add_team(connection, 3)
    set_coach(connection, coaches[0], min_notice_minutes=2 * 24 * 60)
    set_coach(connection, coaches[1], buffer_after=240)
    book(connection, NINE + HOUR)
    page = list_page(connection, with_coaches=True)
    assert {one.slot: one.coach_ids for one in page.starts}[slot_of(NINE)] == (coaches[2],)
    done = book(connection)
    found = decisions.decision(
        connection, tenant_id=TENANT, appointment_id=appointment_of(done).appointment_id
    )
    why = {one.coach_id: one.excluded_reason for one in found.candidates}
    assert why == {coaches[0]: "minimum_notice", coaches[1]: "buffer", coaches[2]: None}
    check_invariants(connection)


def test_who_takes_over_needs_own_buffers_and_notice(connection: Connection) -> None:
    """Reassigned and rescheduled appointments take of the new coach what that coach's rules say."""
    coaches = add_team(connection, 3)
    done = book(connection, NINE + 4 * HOUR)
    assert appointment_of(done).coach_id == coaches[0]
    set_coach(connection, coaches[1], buffer_before=30, buffer_after=60)
    set_coach(connection, coaches[2], min_notice_minutes=40 * 60)
    assert isinstance(refused(lambda: reassign(connection, done, coaches[2])), SlotUnavailableError)
    reassign(connection, done)
    assert appointment_now(connection, done).coach_id == coaches[1]
    assert takes(connection) == (HALF, HOUR)
    check_invariants(connection)
    version = appointment_now(connection, done).version
    reschedule(connection, done, NINE + 4 * HOUR)
    assert appointment_now(connection, done).version == version
    reschedule(connection, done, NINE + 4 * HOUR + QUARTER)
    assert takes(connection) == (HALF, HOUR)
    reassign(connection, done, coaches[0])
    assert takes(connection) == (timedelta(0), timedelta(0))
    check_invariants(connection)


def test_buffers_may_lie_on_two_days(awake: Connection) -> None:
    """A buffer of a coach that reaches into the day before takes its end."""
    set_coach(awake, "ana", buffer_before=240)
    midnight = NINE - 9 * HOUR + DAY
    book(awake, midnight + HOUR)
    assert takes(awake) == (4 * HOUR, timedelta(0))
    assert reasons(awake, midnight - HOUR, calendar_id="other") == {"ana": "buffer"}
    check_invariants(awake)


def test_a_notice_closes_starts_as_time_passes(connection: Connection, environment: Environment) -> None:
    """Nothing changes in the database, and what is kept lists fewer coaches for the nearest starts."""
    coaches = add_team(connection, 2)
    set_coach(connection, coaches[0], min_notice_minutes=20 * 60)
    kept = KeptTeams()
    for minutes in (0, 1, 7, 14):
        for days in (1, 7):
            now = NOW + 7 * HOUR + minutes * MINUTE
            query: dict[str, Any] = {"start": now, "now": now, "days": days, "with_coaches": True}
            assert list_page(connection, **query, kept=kept) == list_page(connection, **query)
    counts = [
        list_page(connection, start=NINE, now=NINE - 20 * HOUR + late).starts[0].available_coaches
        for late in (timedelta(0), MINUTE)
    ]
    assert counts == [2, 1]
