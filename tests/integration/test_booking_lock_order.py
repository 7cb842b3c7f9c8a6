"""Nobody waits for a lock out of order: what would wait starts again instead."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from fairslot.booking import holds
from fairslot.coach_time.days import extend_days
from fairslot.domain.idempotency import NO_KEY
from fairslot.platform.db import Connection
from tests.support.bookings import CHANGES, appointment_of, book, change_of, hold, reassign, report_outcome
from tests.support.clock import DAY, HALF, HOUR, NINE, NOW
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants, check_replay
from tests.support.race import sqlstate, wait_until, waiting
from tests.support.tables import one_row
from tests.support.team import ALWAYS, add_calendar, add_coach, add_team, set_coach

# The client named "slow" takes its time between the look who is free and the lock of the chosen coach's day.
SLOW_CHOICE = """
    ALTER FUNCTION engine.claim_time RENAME TO claim;
    CREATE FUNCTION engine.claim_time(
        p_coach text, p_day integer, p_from integer, p_to integer, p_before integer, p_after integer
    ) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('application_name') = 'slow' THEN
            PERFORM pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1);
        END IF;
        RETURN engine.claim(p_coach, p_day, p_from, p_to, p_before, p_after);
    END $$"""


def test_a_coach_lost_while_waiting_is_not_held_while_waiting_again(
    connection: Connection, connect: Connect
) -> None:
    """Postgres keeps the lock of a day that no longer fits; who then had to wait for another starts again."""
    coaches = add_team(connection, 2)
    add_calendar(connection, "other", coaches)
    slow, other = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with other.transaction():
            assert appointment_of(book(other, calendar_id="other")).coach_id == coaches[0]
            outcome = pool.submit(sqlstate, lambda: book(slow))
            wait_until(lambda: waiting(connection, [slow]) == 1)
        assert outcome.result() == "40001"
    assert appointment_of(book(slow)).coach_id == coaches[1]
    check_invariants(connection)
    check_replay(connection)


def test_the_last_coach_lost_while_waiting_is_a_refusal(connection: Connection, connect: Connect) -> None:
    """Where nobody is left to wait for, it is said at once."""
    coaches = add_team(connection, 1)
    add_calendar(connection, "other", coaches)
    slow, other = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with other.transaction():
            book(other, calendar_id="other")
            outcome = pool.submit(sqlstate, lambda: book(slow))
            wait_until(lambda: waiting(connection, [slow]) == 1)
        assert outcome.result() == "FS409"


def test_a_coach_lost_after_the_look_is_passed_over(connection: Connection, connect: Connect) -> None:
    """Who is taken between the look and the lock is not chosen, and the next one is."""
    coaches = add_team(connection, 2)
    add_calendar(connection, "other", coaches)
    connection.execute(SLOW_CHOICE)
    slow, gate = connect(), connect()
    slow.execute("SET application_name = 'slow'")
    gate.execute("SELECT pg_advisory_lock(1)")
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(book, slow)
        wait_until(lambda: waiting(connection, [slow]) == 1)
        assert appointment_of(book(connection, calendar_id="other")).coach_id == coaches[0]
        gate.execute("SELECT pg_advisory_unlock(1)")
        assert appointment_of(outcome.result()).coach_id == coaches[1]
    check_invariants(connection)
    check_replay(connection)


def test_an_outcome_locks_the_calendars_of_the_coach_who_has_the_appointment(
    connection: Connection, connect: Connect
) -> None:
    """Where the appointment is handed over meanwhile, the calendars to lock are others: it starts again."""
    coaches = add_team(connection, 2)
    done = book(connection)
    assert appointment_of(done).coach_id == coaches[0]
    add_calendar(connection, "hers", coaches[1:])
    mover, reporter = connect(), connect()

    def report() -> object:
        return report_outcome(reporter, done)

    with ThreadPoolExecutor(1) as pool:
        with mover.transaction():
            reassign(mover, done, coaches[1])
            outcome = pool.submit(sqlstate, report)
            wait_until(lambda: waiting(connection, [reporter]) == 1)
        assert outcome.result() == "40001"
    report()
    check_invariants(connection)
    check_replay(connection)


def test_two_days_lost_while_waiting_are_not_taken(connection: Connection, connect: Connect) -> None:
    """An appointment over midnight takes two of the coach's days, and neither that it lost."""
    add_coach(connection, "ana", working_hours=ALWAYS)
    for calendar_id in ("cal", "other"):
        add_calendar(connection, calendar_id, ["ana"], duration=60)
    extend_days(connection, now=NOW)
    midnight = NINE + 15 * HOUR
    slow, other = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with other.transaction():
            book(other, midnight, calendar_id="other")
            outcome = pool.submit(sqlstate, lambda: book(slow, midnight - HALF))
            wait_until(lambda: waiting(connection, [slow]) == 1)
        assert outcome.result() == "FS409"
    check_invariants(connection)


CHANGES_OF_A_CALENDAR = (*CHANGES, "leave_team", "join_team", "expire_holds", "replace_days", "new score")


def change_by(connection: Connection, name: str) -> Callable[[Connection], object]:
    """Make what a change needs and return it."""
    match name:
        case "leave_team":
            return lambda own: own.execute("SELECT engine.leave_team('cal', 'coach-03', NULL)")
        case "join_team":
            return lambda own: own.execute("SELECT engine.join_team('cal', 'coach-03', 2)")
        case "new score":
            return lambda own: own.execute("UPDATE coaches SET score = 0.9 WHERE coach_id = 'coach-03'")
        case "expire_holds":
            hold(connection)
            return lambda own: holds.expire(own, now=NOW + HALF)
        case "replace_days":
            set_coach(connection, "coach-03", time_zone="Asia/Tokyo")
            return lambda own: extend_days(own, now=NOW)
    return partial(change_of(connection, name), key=NO_KEY)


@pytest.mark.parametrize("name", CHANGES_OF_A_CALENDAR)
def test_every_change_waits_for_its_calendar(connection: Connection, connect: Connect, name: str) -> None:
    """What changes a calendar's appointments or credits reads them after it has the lock, and not before."""
    add_team(connection, 3)
    change = change_by(connection, name)
    holder, client = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with holder.transaction():
            book(holder, NINE + DAY)
            outcome = pool.submit(change, client)
            wait_until(lambda: outcome.done() or waiting(connection, [client]) == 1)
            assert not outcome.done()
        outcome.result()
    check_invariants(connection)
    check_replay(connection)


def test_calendars_are_locked_in_one_order(connection: Connection, connect: Connect) -> None:
    """Who needs several takes them by id, however they are given, so that two never wait for each other."""
    add_team(connection, 1)
    names = ["a", "B", "b", "c"]
    holder, client = connect(), connect()
    for first in names[:-1]:
        with ThreadPoolExecutor(1) as pool:
            with holder.transaction():
                holder.execute("SELECT engine.lock_calendar(%s)", (first,))
                outcome = pool.submit(client.execute, "SELECT engine.lock_calendars(%s)", (names[::-1],))
                wait_until(lambda: waiting(connection, [client]) == 1)
                held = one_row(
                    connection,
                    "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = %s",
                    (client.info.backend_pid,),
                )
                assert held["n"] == sorted(names).index(first)
            outcome.result()
