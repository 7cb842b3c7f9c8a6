"""Holds: a coach's time, claimed for some minutes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from fairslot.booking import appointments, holds
from fairslot.domain.errors import (
    HoldExpiredError,
    HoldLimitError,
    NotFoundError,
    SlotUnavailableError,
    ValidationError,
)
from fairslot.platform.db import Connection
from tests.support.availability import reasons
from tests.support.bookings import appointment_of, book, cancel, hold, release_hold, reschedule
from tests.support.clock import DAY, NINE, NOW, QUARTER, SECOND
from tests.support.invariants import check_invariants, credits_of
from tests.support.race import refused
from tests.support.team import TENANT, add_team, set_calendar

LATER = NINE + 8 * QUARTER


def test_a_hold_takes_the_time_and_becomes_the_appointment(connection: Connection) -> None:
    """What is held is nobody else's, and confirming keeps the coach and the decision."""
    add_team(connection, 1)
    held = hold(connection)
    check_invariants(connection)
    assert isinstance(refused(lambda: book(connection)), SlotUnavailableError)
    done = book(connection, held=held)
    assert done.answer["appointment_id"] == held.answer["hold_id"]
    assert (appointment_of(done).status, appointment_of(done).version) == ("scheduled", 1)
    check_invariants(connection)
    assert isinstance(refused(lambda: book(connection, held=held)), HoldExpiredError)


def test_an_expired_hold_blocks_nobody(connection: Connection) -> None:
    """Its time can be booked again at the very instant, sweep or no sweep, and its credits are back."""
    add_team(connection, 1)
    held = hold(connection, minutes=5)
    later = NOW + timedelta(minutes=5)
    assert isinstance(refused(lambda: book(connection, now=later, held=held)), HoldExpiredError)
    with pytest.raises(psycopg.Error) as caught:
        book(connection, now=later)
    assert caught.value.sqlstate == "FS426", "the caller clears what has expired and asks again"
    assert holds.expire(connection, now=later) == 1
    assert credits_of(connection) == {"coach-01": 0}
    book(connection, now=later)
    check_invariants(connection)


def test_an_expired_hold_is_not_counted(connection: Connection) -> None:
    """A calendar's maximum has room again at the very instant, for booking, moving and explaining."""
    add_team(connection, 2, max_per_day=1)
    other_day = book(connection, NINE + DAY)
    hold(connection, minutes=5)
    assert isinstance(refused(lambda: book(connection, LATER)), SlotUnavailableError)
    after = NOW + timedelta(minutes=5)
    assert set(reasons(connection, LATER, now=after).values()) == {None}
    hold(connection, minutes=5, now=after)
    later = after + timedelta(minutes=5)
    with pytest.raises(psycopg.Error) as caught:
        book(connection, LATER, now=later)
    assert caught.value.sqlstate == "FS426", "the day is not full, only the hold is in the way"
    with pytest.raises(psycopg.Error) as caught:
        reschedule(connection, other_day, LATER, now=later)
    assert caught.value.sqlstate == "FS426"
    holds.expire(connection, now=later)
    reschedule(connection, other_day, LATER, now=later)
    check_invariants(connection)


def test_explaining_knows_no_expired_holds(connection: Connection) -> None:
    """Who was held is free at the instant of the expiry, sweep or no sweep."""
    add_team(connection, 1)
    hold(connection, minutes=5)
    assert reasons(connection) == {"coach-01": "held"}
    assert reasons(connection, now=NOW + timedelta(minutes=5)) == {"coach-01": None}
    check_invariants(connection)


def test_a_hold_ends_at_its_start(connection: Connection) -> None:
    """It is no longer than the time until what it holds begins."""
    add_team(connection, 1)
    held = hold(connection, minutes=15, now=NINE - timedelta(minutes=5))
    assert datetime.fromisoformat(held.answer["expires_at"]) == NINE


def test_what_is_held_must_be_to_come(connection: Connection) -> None:
    """A hold that outlives its start, as there were before, is refused as booking in the past is."""
    add_team(connection, 1)
    held = hold(connection, minutes=15, now=NINE - timedelta(minutes=5))
    connection.execute("UPDATE coach_appointments SET expires_at = %s", (NINE + timedelta(minutes=10),))
    said = refused(lambda: book(connection, now=NINE, held=held))
    assert isinstance(said, ValidationError)
    assert said.details == (("body.start_time", "in_the_past"),)
    book(connection, now=NINE - SECOND, held=held)
    check_invariants(connection)


def test_what_is_held_must_be_offered(connection: Connection) -> None:
    """On a calendar that was shut meanwhile a hold is refused as booking is."""
    add_team(connection, 1)
    held = hold(connection)
    set_calendar(connection, active=False)
    assert isinstance(refused(lambda: book(connection, held=held)), SlotUnavailableError)
    set_calendar(connection, active=True)
    book(connection, held=held)
    check_invariants(connection)


def test_a_hold_is_given_back(connection: Connection) -> None:
    """Releasing frees the time and the credits; a second time there is nothing to release."""
    add_team(connection, 2)
    held = hold(connection)
    release_hold(connection, held)
    assert set(credits_of(connection).values()) == {0}
    check_invariants(connection)
    assert isinstance(refused(lambda: release_hold(connection, held)), NotFoundError)


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
    check_invariants(connection)


def test_a_hold_is_only_for_what_it_holds(connection: Connection) -> None:
    """Another start than the held one is refused."""
    add_team(connection, 1)
    held = hold(connection)
    said = refused(lambda: book(connection, NINE + 4 * QUARTER, held=held))
    assert isinstance(said, ValidationError)


def test_a_hold_is_no_appointment(connection: Connection) -> None:
    """It cannot be read, listed or cancelled as one."""
    add_team(connection, 1)
    hold_id = UUID(hold(connection).answer["hold_id"])
    with pytest.raises(NotFoundError):
        appointments.get(connection, tenant_id=TENANT, appointment_id=hold_id)
    page = appointments.list_page(
        connection, tenant_id=TENANT, where=appointments.Filter(), after=None, limit=10
    )
    assert page == []
    assert isinstance(refused(lambda: cancel(connection, hold_id)), NotFoundError)
