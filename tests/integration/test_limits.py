"""Limits of a coach on weeks and months: what counts in them, where, and since when."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pytest

from fairslot.booking import decisions, holds
from fairslot.coach_time.days import delete_old_days, extend_days
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.coach_time.read_model import fold_all_changes
from fairslot.domain.errors import SlotUnavailableError
from fairslot.platform.db import Connection
from tests.support.availability import list_page, listed_starts, reasons
from tests.support.bookings import (
    appointment_of,
    book,
    cancel,
    hold,
    reassign,
    report_outcome,
    reschedule,
)
from tests.support.clock import DAY, HALF, HOUR, MINUTE, NEW_YORK, NINE, NOW
from tests.support.fixtures import Environment
from tests.support.invariants import check_invariants
from tests.support.race import refused
from tests.support.tables import count, one_row, rows_read
from tests.support.team import ALWAYS, TENANT, add_calendar, add_coach, add_team, set_coach

# What one appointment of half an hour reaches, and what is said then.
LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "week": ({"max_per_week": 1}, "weekly_maximum"),
    "month": ({"max_per_month": 1}, "monthly_maximum"),
    "minutes": ({"max_minutes_per_week": 59}, "weekly_minutes"),
}
each_limit = pytest.mark.parametrize(("limit", "reason"), LIMITS.values(), ids=LIMITS)


@pytest.fixture
def awake(connection: Connection) -> Connection:
    """A coach in New York who works day and night, on a calendar."""
    add_coach(connection, "ana", working_hours=ALWAYS)
    add_calendar(connection, "cal", ["ana"])
    return connection


def new_york(text: str) -> datetime:
    """Return an instant by a clock in New York."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


@each_limit
def test_another_day_of_a_full_period_is_not_to_be_had(
    awake: Connection, limit: dict[str, Any], reason: str
) -> None:
    """It is not listed, and booking, holding and explaining say the same."""
    set_coach(awake, **limit)
    extend_days(awake, now=NOW)
    book(awake)
    other_day = NINE + 2 * DAY
    assert reasons(awake, other_day) == {"ana": reason}
    assert not listed_starts(awake, start=NINE, end=NINE + 3 * DAY, now=NOW)
    for ask in (book, hold):
        assert isinstance(refused(partial(ask, awake, start=other_day)), SlotUnavailableError)
    check_invariants(awake)


@each_limit
def test_the_record_says_who_had_reached_a_limit(
    connection: Connection, limit: dict[str, Any], reason: str
) -> None:
    """Who was passed over for a limit was not eligible, and the decision says why."""
    coaches = add_team(connection, 2)
    set_coach(connection, coaches[0], **limit)
    book(connection)
    done = book(connection, NINE + DAY)
    found = decisions.decision(
        connection, tenant_id=TENANT, appointment_id=appointment_of(done).appointment_id
    )
    why = {one.coach_id: one.excluded_reason for one in found.candidates}
    assert why == {coaches[0]: reason, coaches[1]: None}


def test_a_week_begins_on_monday_and_a_month_on_the_first_where_the_coach_is(awake: Connection) -> None:
    """To the quarter of an hour, also in the week in which the clocks change."""
    set_coach(awake, max_per_week=1, max_per_month=2)
    extend_days(awake, now=NOW)
    book(awake, new_york("2026-03-08T23:30"))  # a Sunday of 23 hours
    assert reasons(awake, new_york("2026-03-02T07:15")) == {"ana": "weekly_maximum"}
    assert reasons(awake, new_york("2026-03-08T22:00")) == {"ana": "weekly_maximum"}
    assert reasons(awake, new_york("2026-03-09T00:00")) == {"ana": None}
    book(awake, new_york("2026-03-31T23:30"))
    assert reasons(awake, new_york("2026-03-09T00:00")) == {"ana": "monthly_maximum"}
    assert reasons(awake, new_york("2026-03-31T22:00")) == {"ana": "weekly_maximum"}
    assert reasons(awake, new_york("2026-04-01T00:00")) == {"ana": "weekly_maximum"}
    assert reasons(awake, new_york("2026-04-06T00:00")) == {"ana": None}
    check_invariants(awake)


def test_minutes_are_those_of_appointments_without_buffers(awake: Connection) -> None:
    """A limit of 75 takes half an hour and three quarters, through any calendar, and not a quarter more."""
    add_calendar(awake, "long", ["ana"], duration=45, buffer_before=30, buffer_after=60)
    add_calendar(awake, "short", ["ana"], duration=15)
    add_calendar(awake, "hour", ["ana"], duration=60)
    set_coach(awake, max_minutes_per_week=75)
    extend_days(awake, now=NOW)
    book(awake)
    assert reasons(awake, NINE + DAY, calendar_id="hour") == {"ana": "weekly_minutes"}
    assert reasons(awake, NINE + DAY, calendar_id="long") == {"ana": None}
    book(awake, NINE + DAY, calendar_id="long")
    assert reasons(awake, NINE + 2 * DAY, calendar_id="short") == {"ana": "weekly_minutes"}
    check_invariants(awake)


ENDINGS: dict[str, tuple[Callable[[Connection, Any], object], bool]] = {
    "cancelled by the customer": (cancel, True),
    "cancelled by the coach": (lambda connection, done: cancel(connection, done, by="coach"), True),
    "completed": (lambda connection, done: report_outcome(connection, done, now=NINE), False),
    "no show": (lambda connection, done: report_outcome(connection, done, "no_show", now=NINE), False),
    "moved to another week and month": (
        lambda connection, done: reschedule(connection, done, NINE + 35 * DAY),
        True,
    ),
    "moved in its week": (lambda connection, done: reschedule(connection, done, NINE + HOUR), False),
}


@each_limit
@pytest.mark.parametrize(("ending", "frees"), ENDINGS.values(), ids=ENDINGS)
def test_what_ended_in_time_is_given_back(
    awake: Connection,
    limit: dict[str, Any],
    reason: str,
    ending: Callable[[Connection, Any], object],
    frees: bool,  # noqa: FBT001 - a case, no switch
) -> None:
    """A cancelled appointment counts no longer, one that took place does, and a moved one where it is."""
    set_coach(awake, **limit)
    extend_days(awake, now=NOW)
    ending(awake, book(awake))
    assert reasons(awake, NINE + 2 * DAY) == {"ana": None if frees else reason}
    check_invariants(awake)


@each_limit
def test_a_reschedule_does_not_count_itself(awake: Connection, limit: dict[str, Any], reason: str) -> None:
    """The only appointment of a week may go to another time of it, and another week's may not come in."""
    set_coach(awake, **limit)
    extend_days(awake, now=NOW)
    done = book(awake)
    for start in (NINE + 3 * DAY, NINE):
        for any_coach in (False, True):
            reschedule(awake, done, start + HOUR, any_coach=any_coach)
    other = book(awake, NINE + 35 * DAY)
    assert isinstance(refused(lambda: reschedule(awake, other, NINE + 2 * DAY)), SlotUnavailableError)
    assert reasons(awake, NINE + 2 * DAY) == {"ana": reason}
    check_invariants(awake)


@each_limit
def test_nobody_takes_over_beyond_a_limit(connection: Connection, limit: dict[str, Any], reason: str) -> None:
    """Neither by turn nor by name."""
    coaches = add_team(connection, 2)
    done = book(connection)
    assert appointment_of(done).coach_id == coaches[0]
    add_calendar(connection, "hers", coaches[1:])
    set_coach(connection, coaches[1], **limit)
    book(connection, NINE + DAY, calendar_id="hers")
    for name in (None, coaches[1]):
        assert isinstance(refused(partial(reassign, connection, done, name)), SlotUnavailableError), reason
    check_invariants(connection)


@each_limit
def test_held_time_counts_until_it_expires(awake: Connection, limit: dict[str, Any], reason: str) -> None:
    """A hold is in its week and month like what is booked, also after it was confirmed."""
    set_coach(awake, **limit)
    extend_days(awake, now=NOW)
    hold(awake, minutes=5)
    assert reasons(awake, NINE + DAY) == {"ana": reason}
    holds.expire(awake, now=NOW + 5 * MINUTE)
    assert reasons(awake, NINE + DAY, now=NOW + 5 * MINUTE) == {"ana": None}
    held = hold(awake, minutes=5)
    book(awake, held=held)
    assert reasons(awake, NINE + DAY) == {"ana": reason}
    check_invariants(awake)


@each_limit
def test_a_lower_limit_holds_for_new_bookings(awake: Connection, limit: dict[str, Any], reason: str) -> None:
    """What is booked counts and stays, even above it; without the limit everything is to be had again."""
    extend_days(awake, now=NOW)
    booked = [book(awake, NINE + n * HOUR) for n in range(3)]
    set_coach(awake, **limit)
    assert reasons(awake, NINE + DAY) == {"ana": reason}
    check_invariants(awake, lowered=True)
    reschedule(awake, booked[0], NINE + 35 * DAY)
    assert isinstance(refused(lambda: reschedule(awake, booked[1], NINE + DAY)), SlotUnavailableError)
    set_coach(awake, **dict.fromkeys(limit))
    assert count(awake, "coach_periods") == 0
    assert reasons(awake, NINE + DAY) == {"ana": None}
    check_invariants(awake)


def test_a_coach_who_moves_counts_by_the_new_zone(awake: Connection) -> None:
    """The weeks are those of the new place, with what is booked in them; both change at once."""
    set_coach(awake, max_per_week=1)
    extend_days(awake, now=NOW)
    book(awake, new_york("2026-03-08T20:00"))  # Monday, 09:00 in Tokyo
    assert reasons(awake, new_york("2026-03-05T10:00")) == {"ana": "weekly_maximum"}
    set_coach(awake, time_zone="Asia/Tokyo")
    check_invariants(awake)
    extend_days(awake, now=NOW)
    check_invariants(awake)
    assert reasons(awake, new_york("2026-03-05T10:00")) == {"ana": None}
    assert reasons(awake, new_york("2026-03-12T10:00")) == {"ana": "weekly_maximum"}


def test_weeks_come_and_go_with_the_days(awake: Connection) -> None:
    """Each stored day is in a week that there is, and a week goes with its last day."""
    set_coach(awake, max_per_week=1)
    extend_days(awake, now=NOW)
    begun = one_row(awake, "SELECT count(*) AS n, min(first_slot) AS first FROM coach_periods")
    extend_days(awake, now=NOW + 7 * DAY)
    check_invariants(awake)
    delete_old_days(awake, now=NOW + 16 * DAY)
    check_invariants(awake)
    kept = one_row(awake, "SELECT count(*) AS n, min(first_slot) AS first FROM coach_periods")
    assert (kept["n"], kept["first"]) == (begun["n"], begun["first"] + 7 * 96 - 4)  # the clocks went forward


def test_a_limit_counts_what_was_booked_on_days_that_are_gone(awake: Connection) -> None:
    """The days of the beginning of a month may be deleted by its end; its appointments count all the same."""
    add_calendar(awake, "left", ["ana"])
    extend_days(awake, now=NOW)
    done = book(awake, calendar_id="left")
    awake.execute("SELECT engine.leave_team('left', 'ana', %s)", (NOW,))
    delete_old_days(awake, now=NINE + 10 * DAY)
    set_coach(awake, max_per_month=1)
    assert reasons(awake, NINE + 14 * DAY, now=NINE + 10 * DAY) == {"ana": "monthly_maximum"}
    cancel(awake, done, by="system", now=NINE + 10 * DAY)
    assert reasons(awake, NINE + 14 * DAY, now=NINE + 10 * DAY) == {"ana": None}
    check_invariants(awake)


def test_what_is_given_back_on_a_day_that_is_gone_is_listed(
    awake: Connection, environment: Environment
) -> None:
    """The month that it opens is listed from what is kept, too, though no day changes."""
    set_coach(awake, max_per_month=1)
    extend_days(awake, now=NOW)
    done = book(awake)
    now = NINE + 10 * DAY
    delete_old_days(awake, now=now)
    kept = KeptTeams()
    first = list_page(awake, now=now, start=now, days=9, kept=kept)
    assert first.starts == []
    cancel(awake, done, by="system", now=now)
    after = list_page(awake, now=now, start=now, days=9, kept=kept)
    assert after.starts
    assert after == list_page(awake, now=now, start=now, days=9)


def test_a_page_reads_only_the_weeks_that_refuse_appointments(connection: Connection) -> None:
    """However many weeks there are in which everything is admitted."""
    full, *_ = add_team(connection, 3)
    set_coach(connection, max_per_week=1)
    set_coach(connection, full, max_per_week=0)
    fold_all_changes(connection)
    weeks = count(connection, "coach_periods", "coach_id = 'coach-01'")
    read = rows_read(connection, ["coach_periods", "tight_periods"], lambda: list_page(connection, days=60))
    assert 0 < read["tight_periods"] <= weeks
    assert read["coach_periods"] == 0


def test_a_team_without_such_limits_has_no_rows(connection: Connection) -> None:
    """Nothing is counted for coaches who have none, in teams with others who have."""
    coaches = add_team(connection, 2)
    book(connection)
    assert one_row(connection, "SELECT limited FROM rosters ORDER BY version DESC")["limited"] is None
    set_coach(connection, coaches[1], max_per_month=5)
    book(connection)
    held_by = connection.execute("SELECT DISTINCT coach_id FROM coach_periods").fetchall()
    assert [row["coach_id"] for row in held_by] == [coaches[1]]


def test_counts_are_never_negative(awake: Connection) -> None:
    """The table refuses what would say that somebody was released twice."""
    set_coach(awake, max_per_week=1)
    extend_days(awake, now=NOW)
    with pytest.raises(psycopg.errors.CheckViolation):
        awake.execute(
            "SELECT engine.count_in_periods("
            "p_coach => 'ana', p_start => %(start)s, p_end => %(end)s, p_by => -1)",
            {"start": NINE, "end": NINE + HALF},
        )
