"""Holds, and what becomes of an appointment after it is booked."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from fairslot import bookings, decisions, holds, sync
from fairslot.bookings import Change
from fairslot.db import Connection, translate
from fairslot.errors import (
    FairslotError,
    HoldExpiredError,
    HoldLimitError,
    IllegalTransitionError,
    NotFoundError,
    SlotUnavailableError,
    ValidationError,
)
from fairslot.slots import slot_of
from tests.world import (
    NINE,
    NO_KEY,
    NOW,
    TENANT,
    Coach,
    add_calendar,
    add_coach,
    add_endpoint,
    add_team,
    book,
    cancel,
    check,
)

QUARTER = timedelta(minutes=15)


def refused(work: Callable[[], object]) -> FairslotError:
    """Return what the database refuses a piece of work with, in our terms."""
    with pytest.raises(psycopg.Error) as caught:
        work()
    said = translate(caught.value)
    assert isinstance(said, FairslotError), said
    return said


def hold(connection: Connection, *, minutes: int = 5, now: Any = NOW, client: str = "client") -> Change:
    """Hold NINE."""
    return holds.hold(
        connection,
        tenant_id=TENANT,
        client_id=client,
        calendar_id="cal",
        start_time=NINE,
        minutes=minutes,
        key=NO_KEY,
        now=now,
    )


def confirm(connection: Connection, held: Change, *, now: Any = NOW, start: Any = NINE) -> Change:
    """Book what is held."""
    return bookings.book(
        connection,
        tenant_id=TENANT,
        calendar_id="cal",
        start_time=start,
        contact=bookings.Contact(name="Customer", email="customer@example.com"),
        metadata={},
        key=NO_KEY,
        now=now,
        hold_id=UUID(held.answer["hold_id"]),
    )


def reschedule(connection: Connection, change: Change, start: Any, *, any_coach: bool = False) -> Change:
    """Move what was booked."""
    return bookings.reschedule(
        connection,
        tenant_id=TENANT,
        appointment_id=change.appointment.appointment_id,
        start_time=start,
        any_coach=any_coach,
        key=NO_KEY,
        now=NOW,
    )


def reassign(connection: Connection, change: Change, coach_id: str | None = None) -> Change:
    """Hand over what was booked."""
    return bookings.reassign(
        connection,
        tenant_id=TENANT,
        appointment_id=change.appointment.appointment_id,
        coach_id=coach_id,
        reason="ill",
        key=NO_KEY,
        now=NOW,
    )


def finish(
    connection: Connection, change: Change, outcome: bookings.Outcome = "completed", *, now: Any = NOW
) -> Change:
    """Say how what was booked ended."""
    return bookings.report_outcome(
        connection,
        tenant_id=TENANT,
        appointment_id=change.appointment.appointment_id,
        outcome=outcome,
        key=NO_KEY,
        now=now,
    )


def credits_of(connection: Connection) -> dict[str, int]:
    """Return every coach's credit."""
    rows = connection.execute("SELECT coach_id, credit FROM coach_calendars")
    return {row["coach_id"]: row["credit"] for row in rows}


def test_a_hold_takes_the_time_and_becomes_the_appointment(connection: Connection) -> None:
    """What is held is nobody else's, and confirming keeps the coach and the decision."""
    add_team(connection, 1)
    held = hold(connection)
    check(connection)
    assert isinstance(refused(lambda: book(connection)), SlotUnavailableError)
    done = confirm(connection, held)
    assert done.answer["appointment_id"] == held.answer["hold_id"]
    assert (done.appointment.status, done.appointment.version) == ("scheduled", 1)
    check(connection)
    assert isinstance(refused(lambda: confirm(connection, held)), HoldExpiredError)


def test_an_expired_hold_blocks_nobody(connection: Connection) -> None:
    """Its time can be booked again at the very instant, sweep or no sweep, and its credits are back."""
    add_team(connection, 1)
    held = hold(connection, minutes=5)
    later = NOW + timedelta(minutes=5)
    assert isinstance(refused(lambda: confirm(connection, held, now=later)), HoldExpiredError)
    with pytest.raises(psycopg.Error) as caught:
        book(connection, now=later)
    assert caught.value.sqlstate == "FS426", "the caller clears what has expired and asks again"
    assert holds.expire(connection, now=later) == 1
    assert credits_of(connection) == {"coach-01": 0}
    book(connection, now=later)
    check(connection)


def test_a_hold_is_given_back(connection: Connection) -> None:
    """Releasing frees the time and the credits; a second time there is nothing to release."""
    add_team(connection, 2)
    held = hold(connection)
    hold_id = UUID(held.answer["hold_id"])
    holds.release(connection, tenant_id=TENANT, hold_id=hold_id, key=NO_KEY, now=NOW)
    assert set(credits_of(connection).values()) == {0}
    check(connection)
    again = refused(lambda: holds.release(connection, tenant_id=TENANT, hold_id=hold_id, key=NO_KEY, now=NOW))
    assert isinstance(again, NotFoundError)


def test_a_client_holds_only_so_much(connection: Connection, environment: Callable[..., None]) -> None:
    """The cap counts live holds of one client."""
    environment(MAX_HOLDS_PER_CLIENT="2")
    add_team(connection, 5)
    hold(connection)
    hold(connection)
    assert isinstance(refused(lambda: hold(connection)), HoldLimitError)
    hold(connection, client="another")
    hold_later = NOW + timedelta(minutes=6)
    holds.expire(connection, now=hold_later)
    hold(connection, now=hold_later)
    check(connection)


def test_a_hold_is_only_for_what_it_holds(connection: Connection) -> None:
    """Another start than the held one is refused."""
    add_team(connection, 1)
    held = hold(connection)
    said = refused(lambda: confirm(connection, held, start=NINE + 4 * QUARTER))
    assert isinstance(said, ValidationError)


def test_a_hold_is_no_appointment(connection: Connection) -> None:
    """It cannot be read, listed or cancelled as one."""
    add_team(connection, 1)
    hold_id = UUID(hold(connection).answer["hold_id"])
    with pytest.raises(NotFoundError):
        bookings.get(connection, tenant_id=TENANT, appointment_id=hold_id)
    page = bookings.list_page(connection, tenant_id=TENANT, where=bookings.Filter(), after=None, limit=10)
    assert page == []
    said = refused(
        lambda: bookings.cancel(
            connection, tenant_id=TENANT, appointment_id=hold_id, by="customer", reason=None, key=NO_KEY
        )
    )
    assert isinstance(said, NotFoundError)


def test_rescheduling_may_overlap_itself(connection: Connection) -> None:
    """A quarter later the coach's own appointment is not in the way, and the credits do not move."""
    add_team(connection, 2)
    done = book(connection)
    before = credits_of(connection)
    moved = reschedule(connection, done, NINE + QUARTER)
    assert moved.appointment.coach_id == done.appointment.coach_id
    assert (moved.appointment.start_time, moved.appointment.version) == (NINE + QUARTER, 2)
    assert credits_of(connection) == before
    check(connection)


def test_the_old_time_is_kept_when_the_new_is_taken(connection: Connection) -> None:
    """A refused move changes nothing at all."""
    add_team(connection, 1)
    done, other = book(connection), book(connection, NINE + 4 * QUARTER)
    assert isinstance(refused(lambda: reschedule(connection, done, NINE + 3 * QUARTER)), SlotUnavailableError)
    kept = bookings.get(connection, tenant_id=TENANT, appointment_id=done.appointment.appointment_id)
    assert kept == done.appointment
    assert other.appointment.version == 1
    check(connection)


def test_rescheduling_with_anyone_is_a_new_decision(connection: Connection) -> None:
    """When the coach is taken at the new time another one is, and the credits say so."""
    add_team(connection, 2)
    done = book(connection)
    blocking = book(connection, NINE + 4 * QUARTER)
    while blocking.appointment.coach_id != done.appointment.coach_id:
        blocking = book(connection, NINE + 4 * QUARTER)
    cancelled = [
        row["appointment_id"]
        for row in connection.execute(
            "SELECT appointment_id FROM coach_appointments WHERE coach_id <> %s", (done.appointment.coach_id,)
        )
    ]
    for appointment_id in cancelled:
        bookings.cancel(
            connection,
            tenant_id=TENANT,
            appointment_id=appointment_id,
            by="system",
            reason=None,
            key=NO_KEY,
            now=NOW,
        )
    moved = reschedule(connection, done, NINE + 4 * QUARTER, any_coach=True)
    assert moved.appointment.coach_id != done.appointment.coach_id
    kinds = connection.execute(
        "SELECT kind FROM distribution_log WHERE appointment_id = %s ORDER BY seq",
        (done.appointment.appointment_id,),
    ).fetchall()
    assert [row["kind"] for row in kinds] == ["assigned", "reversed", "assigned"]
    check(connection)


def test_the_calendar_is_told_of_a_move(connection: Connection) -> None:
    """The block of the old time is released and the new time is blocked."""
    add_team(connection, 1)
    connection.execute("UPDATE coaches SET calendar_kind = 'calendar_api'")
    connection.execute("INSERT INTO coach_syncs (coach_id, synced_at) SELECT coach_id, now() FROM coaches")
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
    assert moved.appointment.coach_id != done.appointment.coach_id
    assert (moved.appointment.start_time, moved.appointment.version) == (NINE, 2)
    check(connection)


def test_reassigning_to_a_named_coach_moves_no_credits(connection: Connection) -> None:
    """What a person decides is nobody's turn; the decision that it replaces is undone."""
    coaches = add_team(connection, 3)
    done = book(connection)
    named = next(one for one in coaches if one != done.appointment.coach_id)
    assert reassign(connection, done, named).appointment.coach_id == named
    assert set(credits_of(connection).values()) == {0}
    check(connection)
    assert isinstance(refused(lambda: reassign(connection, done, named)), ValidationError)
    assert isinstance(refused(lambda: reassign(connection, done, "nobody")), NotFoundError)
    book(connection)
    book(connection)
    assert isinstance(refused(lambda: reassign(connection, done)), SlotUnavailableError)
    check(connection)


@pytest.mark.parametrize(("outcome", "better"), [("completed", True), ("no_show", False)])
def test_an_outcome_moves_the_score_and_the_weight(
    connection: Connection,
    outcome: bookings.Outcome,
    better: bool,  # noqa: FBT001 - a case, no switch
) -> None:
    """A completed appointment makes the coach's score better, a missed one worse, and the weights follow."""
    add_team(connection, 3)
    done = book(connection)
    finish(connection, done, outcome)
    row = connection.execute(
        "SELECT score, weight FROM coaches JOIN coach_calendars USING (coach_id) WHERE coach_id = %s",
        (done.appointment.coach_id,),
    ).fetchone()
    assert row is not None
    assert (row["score"] > 0.7) is better
    assert (row["weight"] > 1_000_000) is better
    assert row["score"] == pytest.approx((16 * 0.7 + better) / 17)
    check(connection)
    said = refused(lambda: cancel(connection, done))
    assert isinstance(said, IllegalTransitionError)
    assert said.current == outcome


def test_old_outcomes_fade(connection: Connection) -> None:
    """After a half-life half of the excess over the team's mean is left."""
    add_team(connection, 1)
    connection.execute("UPDATE coaches SET alpha = 16 * 0.7 + 8, beta = 16 * 0.3, evidence_at = %s", (NOW,))
    connection.execute("UPDATE coaches SET score = 0.7")
    done = book(connection)
    finish(connection, done, now=NOW + timedelta(days=60))
    row = connection.execute("SELECT alpha, beta FROM coaches").fetchone()
    assert row is not None
    assert row["alpha"] == pytest.approx(16 * 0.7 + 4 + 1)
    assert row["beta"] == pytest.approx(16 * 0.3)


def test_leaving_spreads_the_credit(connection: Connection) -> None:
    """After a coach has left, credits still sum to 0, and a later refund of their decisions is spread too."""
    coaches = add_team(connection, 3)
    made = [book(connection, NINE + n * 2 * QUARTER) for n in range(4)]
    connection.execute("SELECT leave_team('cal', %s, %s)", (coaches[0], NOW))
    check(connection)
    for one in made:
        cancel(connection, one)
        check(connection)
    connection.execute("SELECT join_team('cal', %s, 1)", (coaches[0],))
    assert credits_of(connection)[coaches[0]] == 0
    book(connection)
    check(connection)


def test_highest_score_takes_the_best_who_is_free(connection: Connection) -> None:
    """The score alone decides, and no credits move."""
    for coach_id, score in (("ana", 0.6), ("ben", 0.9), ("cy", 0.8)):
        add_coach(connection, Coach(coach_id=coach_id, score=score))
    add_calendar(connection, "cal", ["ana", "ben", "cy"], policy="highest_score")
    sync.extend(connection, now=NOW)
    assert [book(connection).appointment.coach_id for _ in range(3)] == ["ben", "cy", "ana"]
    assert set(credits_of(connection).values()) == {0}
    check(connection)


def test_a_calendars_own_maximum_and_blocked_dates(connection: Connection) -> None:
    """They are counted in the calendar's zone, for booking, moving and explaining alike."""
    add_team(
        connection,
        3,
        max_per_day=2,
        time_zone="America/New_York",
        blocked_dates=[(NINE + timedelta(days=1)).date()],
    )
    first = book(connection)
    second = book(connection)
    assert isinstance(refused(lambda: book(connection, NINE + 8 * QUARTER)), SlotUnavailableError)
    assert isinstance(refused(lambda: book(connection, NINE + timedelta(days=1))), SlotUnavailableError)
    reschedule(connection, second, NINE + 8 * QUARTER)
    cancel(connection, first)
    book(connection)
    why = decisions.explain(
        connection, tenant_id=TENANT, calendar_id="cal", start_time=NINE + timedelta(days=1), now=NOW
    )
    assert {one.reason for one in why} == {"outside_working_hours"}
    check(connection)


def test_a_decision_is_told_to_people(connection: Connection) -> None:
    """The sentence names who was free, what the chosen one was owed, and the next best."""
    add_team(connection, 3)
    first = book(connection)
    told = decisions.decision(connection, tenant_id=TENANT, appointment_id=first.appointment.appointment_id)
    assert told.chosen == first.appointment.coach_id
    assert told.reason.startswith(
        "3 coaches were free. Coach-01 was owed 0.00 bookings and this one added 0.33"
    )
    assert sum(one.share or 0 for one in told.candidates) == pytest.approx(1)
    with pytest.raises(NotFoundError):
        decisions.decision(connection, tenant_id="other", appointment_id=first.appointment.appointment_id)


def test_every_reason_has_its_case(connection: Connection) -> None:
    """What explain says is what stands in the way."""
    coaches = add_team(connection, 7, buffer_after=30)
    add_calendar(connection, "other", [coaches[3]], duration=30)
    connection.execute("UPDATE coaches SET active = false WHERE coach_id = %s", (coaches[0],))
    connection.execute("UPDATE coaches SET calendar_kind = 'calendar_api' WHERE coach_id = %s", (coaches[1],))
    sync.shut(connection, coach_id=coaches[2], first=slot_of(NINE), end=slot_of(NINE) + 1)
    book(connection, NINE + 2 * QUARTER, calendar_id="other")
    connection.execute("UPDATE coach_slots SET max_per_day = 0 WHERE coach_id = %s", (coaches[4],))
    hold(connection)
    why = {
        one.coach_id: one.reason
        for one in decisions.explain(
            connection, tenant_id=TENANT, calendar_id="cal", start_time=NINE, now=NOW
        )
    }
    assert why == {
        coaches[0]: "inactive",
        coaches[1]: "not_synced",
        coaches[2]: "busy_external",
        coaches[3]: "buffer",
        coaches[4]: "daily_maximum",
        coaches[5]: "held",
        coaches[6]: None,
    }
