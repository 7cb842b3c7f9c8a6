"""Nobody waits for a lock out of order: what would, is begun anew instead."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg

from fairslot.platform.db import Connection
from tests.support.bookings import appointment_of, book, reassign, report_outcome
from tests.support.clock import NINE
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants, check_replay
from tests.support.race import wait_until, waiting
from tests.support.team import add_calendar, add_team

# The client named "slow" takes its time to look at a coach's day: to ask who is free, or before it locks.
SLOW_LOOK = """
    ALTER FUNCTION engine.day_admits RENAME TO admits;
    CREATE FUNCTION engine.day_admits(
        day coach_slots, p_from integer, p_to integer, p_before integer, p_after integer
    ) RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE
        v_stack  text;
        v_admits boolean := engine.admits(day, p_from, p_to, p_before, p_after);
    BEGIN
        GET DIAGNOSTICS v_stack = PG_CONTEXT;
        IF v_admits AND (v_stack NOT LIKE '%ranked_team(%') = {locking}
           AND current_setting('application_name') = 'slow' THEN
            PERFORM pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1);
        END IF;
        RETURN v_admits;
    END $$"""
LOCK_DAY = (
    "SELECT FROM coach_slots WHERE coach_id = %s AND first_slot <= engine.slot_of(%s)"
    " AND engine.slot_of(%s) < first_slot + slot_count FOR NO KEY UPDATE"
)


def sqlstate(work: Callable[[], object]) -> str | None:
    """Return the SQLSTATE that a piece of work ends with, if it fails."""
    try:
        work()
    except psycopg.Error as error:
        return error.sqlstate
    return None


def test_a_coach_lost_between_look_and_lock_is_not_held_while_waiting(
    connection: Connection, connect: Connect
) -> None:
    """Postgres keeps the lock of a row that no longer fits; who then had to wait for another starts again."""
    coaches = add_team(connection, 2)
    add_calendar(connection, "other", coaches)
    connection.execute(
        "UPDATE coach_calendars SET credit = 1 WHERE (calendar_id, coach_id) = ('cal', %s)", coaches[1:]
    )
    connection.execute(SLOW_LOOK.replace("{locking}", "true").encode())
    slow, gate, orderly = connect(), connect(), connect()
    slow.execute("SET application_name = 'slow'")
    gate.execute("SELECT pg_advisory_lock(1)")
    with ThreadPoolExecutor(1) as pool, orderly.transaction():
        orderly.execute(LOCK_DAY, (coaches[0], NINE, NINE))
        outcome = pool.submit(sqlstate, lambda: book(slow))
        wait_until(lambda: waiting(connection, [slow]) == 1)  # it has looked at the second coach
        assert appointment_of(book(connection, calendar_id="other")).coach_id == coaches[1]
        gate.execute("SELECT pg_advisory_unlock(1)")
        wait_until(lambda: outcome.done() or waiting(connection, [slow]) == 1)
        assert sqlstate(lambda: orderly.execute(LOCK_DAY, (coaches[1], NINE, NINE))) is None
        assert outcome.result() == "40001"
    assert appointment_of(book(slow)).coach_id == coaches[0]


def test_a_coach_lost_after_the_look_is_passed_over(connection: Connection, connect: Connect) -> None:
    """Who is taken between the question who is free and the lock is not chosen, and the next one is."""
    coaches = add_team(connection, 2)
    add_calendar(connection, "other", coaches)
    connection.execute(SLOW_LOOK.replace("{locking}", "false").encode())
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
