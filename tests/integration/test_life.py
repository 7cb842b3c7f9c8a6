"""What becomes of an appointment after it is booked."""

from datetime import timedelta
from functools import partial

import pytest

from fairslot.booking import appointments
from fairslot.domain.errors import (
    IllegalTransitionError,
    NotFoundError,
    SlotUnavailableError,
    ValidationError,
)
from fairslot.platform.db import Connection
from tests.support.bookings import (
    appointment_now,
    appointment_of,
    book,
    cancel,
    reassign,
    report_outcome,
    reschedule,
)
from tests.support.clock import NINE, NOW, QUARTER, SECOND
from tests.support.endpoints import add_endpoint
from tests.support.invariants import check_invariants, credits_of
from tests.support.race import refused
from tests.support.readings import connect_calendars
from tests.support.tables import one_row
from tests.support.team import add_team, close_days, set_calendar, set_coach


def test_rescheduling_may_overlap_itself(connection: Connection) -> None:
    """A quarter later the coach's own appointment is not in the way, and the credits do not move."""
    add_team(connection, 2)
    done = book(connection)
    before = credits_of(connection)
    moved = reschedule(connection, done, NINE + QUARTER)
    assert appointment_of(moved).coach_id == appointment_of(done).coach_id
    assert (appointment_of(moved).start_time, appointment_of(moved).version) == (NINE + QUARTER, 2)
    assert credits_of(connection) == before
    check_invariants(connection)


@pytest.mark.parametrize("any_coach", [False, True])
def test_moving_to_where_it_is_changes_nothing(
    connection: Connection,
    any_coach: bool,  # noqa: FBT001 - a case, no switch
) -> None:
    """The same start and coach: the appointment as it is, no version, no event, whatever the notice."""
    add_team(connection, 2)
    add_endpoint(connection, "crm", "appointment.*")
    done = book(connection)
    if not any_coach:
        set_calendar(connection, min_notice_minutes=10000)
        close_days(connection)
    before = appointment_now(connection, done)
    moved = reschedule(connection, done, NINE, any_coach=any_coach)
    assert (appointments.Appointment.from_json(moved.answer), moved.messages) == (before, [])
    assert appointment_of(moved) == appointment_of(done)
    assert appointment_now(connection, done) == before
    check_invariants(connection)


def test_moving_to_where_it_is_may_find_another_coach(connection: Connection) -> None:
    """Whose coach cannot be there any more gets another one at the same start, if anyone will do."""
    add_team(connection, 2)
    done = book(connection)
    close_days(connection, coach_id=appointment_of(done).coach_id)
    moved = reschedule(connection, done, NINE, any_coach=True)
    assert (appointment_of(moved).start_time, appointment_of(moved).version) == (NINE, 2)
    assert appointment_of(moved).coach_id != appointment_of(done).coach_id
    check_invariants(connection)


def test_moving_to_where_it_is_follows_the_calendars_length(connection: Connection) -> None:
    """What was booked before the calendar's appointments became longer becomes longer by a move."""
    add_team(connection, 1)
    done = book(connection)
    set_calendar(connection, slot_duration=60)
    moved = reschedule(connection, done, NINE)
    assert appointment_of(moved).end_time == NINE + 4 * QUARTER
    assert appointment_of(moved).version == 2
    check_invariants(connection)


def test_the_old_time_is_kept_when_the_new_is_taken(connection: Connection) -> None:
    """A refused move changes nothing at all."""
    add_team(connection, 1)
    done, other = book(connection), book(connection, NINE + 4 * QUARTER)
    before = appointment_now(connection, done)
    assert isinstance(refused(lambda: reschedule(connection, done, NINE + 3 * QUARTER)), SlotUnavailableError)
    assert appointment_now(connection, done) == before
    assert appointment_of(other).version == 1
    check_invariants(connection)


def test_rescheduling_with_anyone_is_a_new_decision(connection: Connection) -> None:
    """When the coach is taken at the new time another one is, and the credits say so."""
    add_team(connection, 2)
    done = book(connection)
    blocking = book(connection, NINE + 4 * QUARTER)
    while appointment_of(blocking).coach_id != appointment_of(done).coach_id:
        blocking = book(connection, NINE + 4 * QUARTER)
    cancelled = [
        row["appointment_id"]
        for row in connection.execute(
            "SELECT appointment_id FROM coach_appointments WHERE coach_id <> %s",
            (appointment_of(done).coach_id,),
        )
    ]
    for appointment_id in cancelled:
        cancel(connection, appointment_id, by="system", now=NOW)
    moved = reschedule(connection, done, NINE + 4 * QUARTER, any_coach=True)
    assert appointment_of(moved).coach_id != appointment_of(done).coach_id
    steps = connection.execute(
        "SELECT step FROM distribution_log WHERE appointment_id = %s ORDER BY seq",
        (appointment_of(done).appointment_id,),
    ).fetchall()
    assert [row["step"] for row in steps] == ["assigned", "reversed", "assigned"]
    check_invariants(connection)


def test_the_calendar_is_told_of_a_move(connection: Connection) -> None:
    """The block of the old time is released and the new time is blocked."""
    add_team(connection, 1)
    connect_calendars(connection)
    add_endpoint(connection, "calendar_api", "appointment.*")
    done = book(connection)
    connection.execute("UPDATE coach_appointments SET external_calendar_id = 'b-1'")
    told = [message["data"] for message in reschedule(connection, done, NINE + QUARTER).messages]
    assert [(one["action"], one.get("block_id")) for one in told] == [("release", "b-1"), ("block", None)]
    assert told[1]["start_time"] == "2026-03-03T14:15:00Z"


def test_reassigning_to_the_fairest(connection: Connection) -> None:
    """Without a name it goes to whoever's turn it is among the others, at the same time."""
    add_team(connection, 3)
    done = book(connection)
    moved = reassign(connection, done)
    assert appointment_of(moved).coach_id != appointment_of(done).coach_id
    assert (appointment_of(moved).start_time, appointment_of(moved).version) == (NINE, 2)
    check_invariants(connection)


def test_reassigning_to_a_named_coach_moves_no_credits(connection: Connection) -> None:
    """What a person decides is nobody's turn; the decision that it replaces is undone."""
    coaches = add_team(connection, 3)
    done = book(connection)
    named = next(one for one in coaches if one != appointment_of(done).coach_id)
    assert appointment_of(reassign(connection, done, named)).coach_id == named
    assert set(credits_of(connection).values()) == {0}
    check_invariants(connection)
    assert isinstance(refused(lambda: reassign(connection, done, named)), ValidationError)
    assert isinstance(refused(lambda: reassign(connection, done, "nobody")), NotFoundError)
    book(connection)
    book(connection)
    assert isinstance(refused(lambda: reassign(connection, done)), SlotUnavailableError)
    check_invariants(connection)


@pytest.mark.parametrize(("outcome", "better"), [("completed", True), ("no_show", False)])
def test_an_outcome_moves_the_score_and_the_weight(
    connection: Connection,
    outcome: appointments.Outcome,
    better: bool,  # noqa: FBT001 - a case, no switch
) -> None:
    """A completed appointment makes the coach's score better, a missed one worse, and the weights follow."""
    add_team(connection, 3)
    done = book(connection)
    report_outcome(connection, done, outcome)
    row = one_row(
        connection,
        "SELECT score, weight FROM coach_credits WHERE coach_id = %s",
        (appointment_of(done).coach_id,),
    )
    assert (row["score"] > 0.7) is better
    assert (row["weight"] > 1_000_000) is better
    assert row["score"] == pytest.approx((16 * 0.7 + better) / 17)
    check_invariants(connection)
    said = refused(lambda: cancel(connection, done, now=NINE))
    assert isinstance(said, IllegalTransitionError)
    assert said.current == outcome


def test_what_has_not_begun_has_not_ended(connection: Connection) -> None:
    """An outcome is refused until the very start, and no score moves."""
    add_team(connection, 2)
    done = book(connection)
    said = refused(lambda: report_outcome(connection, done, now=NINE - SECOND))
    assert isinstance(said, IllegalTransitionError)
    assert said.current == "scheduled"
    scores = connection.execute("SELECT DISTINCT score FROM coaches").fetchall()
    assert scores == [{"score": 0.7}]
    report_outcome(connection, done, now=NINE)
    check_invariants(connection)


def test_what_has_begun_stays_where_it_is(connection: Connection) -> None:
    """From its start on a customer neither cancels nor moves; a coach and the system may yet cancel."""
    add_team(connection, 1)
    first, second = book(connection), book(connection, NINE + 2 * QUARTER)
    begun = NINE + 2 * QUARTER
    for one in (first, second):
        for change in (
            partial(cancel, connection, one, now=begun),
            partial(reschedule, connection, one, NINE + 8 * QUARTER, now=begun),
        ):
            assert isinstance(refused(change), IllegalTransitionError)
    cancel(connection, first, by="coach", now=begun)
    cancel(connection, second, by="system", now=begun)
    check_invariants(connection)


def test_old_outcomes_fade(connection: Connection) -> None:
    """After a half-life half of the excess over the team's mean is left."""
    add_team(connection, 1)
    connection.execute("UPDATE coaches SET alpha = 16 * 0.7 + 8, beta = 16 * 0.3, evidence_at = %s", (NOW,))
    set_coach(connection, score=0.7)
    done = book(connection)
    report_outcome(connection, done, now=NOW + timedelta(days=60))  # of the evidence, and after the start
    row = one_row(connection, "SELECT alpha, beta FROM coaches")
    assert row["alpha"] == pytest.approx(16 * 0.7 + 4 + 1)
    assert row["beta"] == pytest.approx(16 * 0.3)
