"""Changes of a team while it is booked: nothing is lost, nobody waits for ever, and the books balance."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest

from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import AppointmentsAffectedError, ConflictError, SlotUnavailableError
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from fairslot.team.changes import ChangeRequest, Choice, Options
from fairslot.team.coaches import Coach
from fairslot.team.members import Member
from tests.support.bookings import book, cancel, hold, reassign, reschedule
from tests.support.clock import DAY, HALF, NINE, NOW
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants, check_replay
from tests.support.race import Outcome, at_once, patiently, wait_until, waiting
from tests.support.readings import store_reading
from tests.support.tables import count
from tests.support.team import TENANT, add_calendar, add_team

STARTS = [NINE + day * DAY + step * HALF for day in range(3) for step in range(6)]


def deactivate(connection: Connection, coach_id: str, choice: Choice = "reassign") -> ChangeResult:
    """Turn a coach off, and do with the appointments what is chosen."""
    asked = ChangeRequest(tenant_id=TENANT, now=NOW, options=Options(appointments=choice))
    return Coach(coach_id).patch(connection, lambda known: {**known, "active": False}, asked)


def leave(connection: Connection, coach_id: str) -> ChangeResult:
    """Remove a coach from the team of `cal`, the appointments with it."""
    asked = ChangeRequest(tenant_id=TENANT, now=NOW, options=Options(appointments="cancel"))
    return Member("cal", coach_id).delete(connection, asked)


def outcome(work: Callable[[], ChangeResult]) -> Outcome:
    """Return what came of a piece of work, which may be refused by a plan."""
    try:
        return patiently(work)
    except ConflictError as error:
        return error


@pytest.mark.parametrize("change", [deactivate, leave])
def test_nothing_is_booked_with_whom_a_change_took_away(
    connection: Connection, connect: Connect, change: Callable[[Connection, str], ChangeResult]
) -> None:
    """Bookings and holds of two calendars go on beside changes of two coaches."""
    team = add_team(connection, 6)
    add_calendar(connection, "other", team[:4])
    works = [partial(change, connect(), coach_id) for coach_id in team[:2]]
    for number, start in enumerate(STARTS[:12]):
        where = "other" if number % 3 == 0 else "cal"
        works.append(partial(book, connect(), start, calendar_id=where))
        works.append(partial(hold, connect(), start=start, calendar_id="cal", client=str(number)))
    outcomes = at_once([partial(outcome, work) for work in works])
    refused = [one for one in outcomes if not isinstance(one, ChangeResult)]
    assert all(isinstance(one, SlotUnavailableError | AppointmentsAffectedError) for one in refused), refused
    gone = [coach for coach, one in zip(team[:2], outcomes, strict=False) if isinstance(one, ChangeResult)]
    assert gone, "nobody was in the way of all of them"
    for coach_id in gone:
        where = f"coach_id = '{coach_id}' AND status IN ('held', 'scheduled')"
        assert count(connection, "coach_appointments", f"{where} AND calendar_id = 'cal'") == 0
    check_invariants(connection)
    check_replay(connection)


def test_changes_of_appointments_go_on_beside_it(connection: Connection, connect: Connect) -> None:
    """Moves, hand-overs and cancellations of what a change may touch: each happens wholly or not at all."""
    team = add_team(connection, 5)
    booked = [book(connection, start) for start in STARTS]
    works: list[Callable[[], ChangeResult]] = [
        partial(deactivate, connect(), coach_id) for coach_id in team[:2]
    ]
    for number, one in enumerate(booked):
        change = (
            partial(cancel, connect(), one),
            partial(reassign, connect(), one),
            partial(reschedule, connect(), one, STARTS[number] + 6 * HALF, any_coach=True),
        )[number % 3]
        works.append(change)
    outcomes = at_once([partial(outcome, work) for work in works])
    gone = [coach for coach, one in zip(team[:2], outcomes, strict=False) if isinstance(one, ChangeResult)]
    for coach_id in gone:
        assert (
            count(connection, "coach_appointments", f"coach_id = '{coach_id}' AND status = 'scheduled'") == 0
        )
    check_invariants(connection)
    check_replay(connection)


def test_reassigning_twenty_is_one_change(connection: Connection) -> None:
    """Each to whoever's turn it is: nobody ends up further from their share than the rule's bound."""
    add_team(connection, 4)
    for start in STARTS:
        for _ in range(4):
            book(connection, start)
    for coach_id in ("coach-02", "coach-03", "coach-04"):
        for start in STARTS:
            row = connection.execute(
                "SELECT appointment_id FROM coach_appointments WHERE coach_id = %s AND start_time = %s",
                (coach_id, start),
            ).fetchone()
            assert row is not None
            if (STARTS.index(start) + int(coach_id[-1])) % 3 == 0:
                cancel(connection, row["appointment_id"])
    done = deactivate(connection, "coach-01")
    plan = done.answer["plan"]
    assert len(plan["appointments"]) == len(STARTS)
    assert {one["outcome"] for one in plan["appointments"]} == {"reassigned"}
    assert {one["new_coach_id"] for one in plan["appointments"]} == {"coach-02", "coach-03", "coach-04"}
    check_invariants(connection)
    check_replay(connection)


@pytest.mark.parametrize("change", [deactivate, leave])
def test_a_change_locks_no_day_before_its_calendars(
    connection: Connection, connect: Connect, change: Callable[[Connection, str], ChangeResult]
) -> None:
    """In the one order of locks: who has a calendar may wait for its team's days, and never in a circle."""
    add_team(connection, 2)
    book(connection)
    holder, client = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with holder.transaction():
            holder.execute("SELECT engine.lock_calendar('cal')")
            outcome = pool.submit(change, client, "coach-01")
            wait_until(lambda: outcome.done() or waiting(connection, [client]) == 1)
            assert not outcome.done()
            for table in ("coach_slots", "coach_appointments"):
                free = holder.execute(f"SELECT FROM {table} FOR UPDATE SKIP LOCKED".encode()).rowcount
                assert free == count(connection, table)
        outcome.result()
    check_invariants(connection)
    check_replay(connection)


def store_patiently(connection: Connection) -> None:
    """Store that the coach's own calendar is free, as `db.run` does."""
    try:
        store_reading(connection, NOW, coach_id="coach-01")
    except psycopg.errors.SerializationFailure:
        store_reading(connection, NOW, coach_id="coach-01")


@pytest.mark.parametrize(
    "patch", [{"working_hours": {}}, {"limits": {"per_day": 0}}, {"time_zone": "Asia/Kathmandu"}], ids=str
)
@pytest.mark.parametrize(
    ("kind", "make_days"),
    [("none", partial(extend_days, now=NOW)), ("calendar_api", store_patiently)],
    ids=["the schedule", "a reading"],
)
def test_days_are_made_of_what_is_set_now(
    connection: Connection,
    connect: Connect,
    kind: str,
    make_days: Callable[[Connection], object],
    patch: dict[str, Any],
) -> None:
    """Who read a coach's settings before a change, and waits for it, does not put the old days back."""
    add_team(connection, 1, kind=kind)
    asked = ChangeRequest(tenant_id=TENANT, now=NOW)
    other = connect()
    with ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            Coach("coach-01").patch(connection, lambda known: {**known, **patch}, asked)
            making = pool.submit(make_days, other)
            wait_until(lambda: waiting(connection, [other]) == 1)
        making.result(timeout=30)
    made = connection.execute(
        "SELECT first_slot, working, max_per_day FROM coach_slots ORDER BY 1"
    ).fetchall()
    extend_days(connection, now=NOW)
    assert (
        made
        == connection.execute(
            "SELECT first_slot, working, max_per_day FROM coach_slots ORDER BY 1"
        ).fetchall()
    )
    check_invariants(connection)
