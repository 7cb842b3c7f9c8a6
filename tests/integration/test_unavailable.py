"""A coach who becomes unavailable gives up the appointments of that time, as each calendar says."""

from functools import partial
from typing import Any

import pytest

from fairslot.domain.errors import HoldExpiredError
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.bookings import appointment_now, appointment_of, book, cancel, hold
from tests.support.clock import HOUR, MINUTE, NINE, NOW
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Connect
from tests.support.inbound_events import event_outcome, process_event, receive_event
from tests.support.invariants import check_invariants
from tests.support.race import at_once, attempt, refused
from tests.support.team import add_calendar, add_team, set_calendar

LATER = NOW + MINUTE


def tell(
    connection: Connection, coach_id: str, *, key: str = "k", **body: Any
) -> tuple[str | None, list[dict[str, Any]]]:
    """Have a coach report an absence from nine to twelve unless told; return outcome and messages."""
    event_id = receive_event(connection, coach_id=coach_id, key=key, now=LATER, **body)
    process_event(connection, event_id, now=LATER)
    messages = outbox.make_deliveries(connection, limit=1000).messages
    return event_outcome(connection, event_id), messages


@pytest.fixture
def team(connection: Connection) -> list[str]:
    """Two coaches, and the CRM which is told."""
    coaches = add_team(connection, 2)
    add_endpoint(connection, "crm", "appointment.*")
    return coaches


def policy(connection: Connection, name: str) -> None:
    """Set the conflict policy of the calendar."""
    set_calendar(connection, conflict_policy=name)


def test_kept_appointments_are_marked(connection: Connection, team: list[str]) -> None:
    """By default an appointment stays with its coach, is marked once, and its subscribers are told."""
    made = book(connection)
    outcome, messages = tell(connection, appointment_of(made).coach_id)
    assert outcome == "kept 1"
    assert [one["type"] for one in messages] == ["appointment.conflict"]
    found = appointment_now(connection, made)
    assert (found.status, found.conflict, found.version) == ("scheduled", True, 2)
    assert tell(connection, found.coach_id, key="again") == ("kept 1", [])
    check_invariants(connection)


def test_reassigned_appointments_go_to_whoevers_turn_it_is(connection: Connection, team: list[str]) -> None:
    """The other coach takes over; where nobody can, the appointment is marked."""
    policy(connection, "reassign")
    first, second = book(connection), book(connection)
    third = book(connection, NINE + HOUR)
    lost = appointment_of(third).coach_id
    (own,) = [one for one in (first, second) if appointment_of(one).coach_id == lost]
    outcome, messages = tell(connection, lost, reason="ill")
    assert outcome == "kept 1, reassigned 1"
    assert sorted(one["type"] for one in messages) == ["appointment.conflict", "appointment.reassigned"]
    moved = appointment_now(connection, third)
    assert (moved.coach_id != lost, moved.status, moved.conflict) == (True, "scheduled", False)
    assert (appointment_now(connection, own).coach_id, appointment_now(connection, own).conflict) == (
        lost,
        True,
    )
    check_invariants(connection)


def test_cancelled_appointments_are_the_coachs_doing(connection: Connection, team: list[str]) -> None:
    """The coach keeps the booking on the account, and the time stays shut."""
    policy(connection, "cancel")
    made = book(connection)
    outcome, messages = tell(connection, appointment_of(made).coach_id)
    assert (outcome, [one["type"] for one in messages]) == ("cancelled 1", ["appointment.cancelled"])
    row = connection.execute("SELECT cancelled_by FROM coach_appointments").fetchone()
    assert row == {"cancelled_by": "coach"}
    assert appointment_of(book(connection)).coach_id != appointment_of(made).coach_id
    check_invariants(connection)


def test_only_that_time_is_given_up(connection: Connection, team: list[str]) -> None:
    """Appointments that end before or begin after it stay, as do those of other coaches and what is over."""
    policy(connection, "cancel")
    before, inside, after = (book(connection, NINE + hours * HOUR) for hours in (0, 2, 4))
    gone = cancel(connection, book(connection, NINE + 2 * HOUR))
    for coach_id in team:
        tell(
            connection,
            coach_id,
            key=coach_id,
            start_time=(NINE + HOUR / 2).isoformat(),
            end_time=(NINE + 4 * HOUR).isoformat(),
        )
    assert [appointment_now(connection, one).status for one in (before, inside, after, gone)] == [
        *("scheduled", "cancelled", "scheduled", "cancelled")
    ]
    check_invariants(connection)


def test_what_is_held_is_let_go(connection: Connection, team: list[str]) -> None:
    """A hold on a coach who is not there could not be kept; its customer is told to choose again."""
    held = hold(connection)
    assert tell(connection, held.answer["coach_id"]) == ("sync", [])
    assert isinstance(refused(lambda: book(connection, now=LATER, held=held)), HoldExpiredError)
    check_invariants(connection)


def test_giving_up_and_booking_at_once_neither_lock_up_nor_double_book(
    connection: Connection, connect: Connect
) -> None:
    """Coaches of two calendars leave while others book them: no deadlock, nothing is left behind."""
    coaches = add_team(connection, 4)
    add_calendar(connection, "other", coaches)
    policy(connection, "reassign")
    for round_ in range(6):
        start = NINE + round_ * HOUR
        for calendar_id in ("cal", "other"):
            book(connection, start, calendar_id=calendar_id)
        works: list[partial[Any]] = []
        for coach_id in coaches[:2]:
            times = {"start_time": start.isoformat(), "end_time": (start + HOUR).isoformat()}
            works.append(partial(tell, connect(), coach_id, key=f"{coach_id}-{round_}", **times))
        for calendar_id in ("cal", "other", "cal", "other"):
            booking = partial(book, connect(), start, calendar_id=calendar_id)
            works.append(partial(attempt, booking))
        at_once(works)
        check_invariants(connection)
        found = connection.execute(
            "SELECT count(*) AS n FROM coach_appointments WHERE status = 'scheduled' AND start_time = %s"
            "   AND NOT conflict AND coach_id = ANY (%s)",
            (start, coaches[:2]),
        ).fetchone()
        assert found == {"n": 0}


def test_the_same_event_eight_times_at_once_acts_once(
    connection: Connection, team: list[str], connect: Connect
) -> None:
    """Whoever comes first acts; the others find it done or being done, and one cancellation stands."""
    policy(connection, "cancel")
    made = book(connection)
    lost = appointment_of(made).coach_id
    told = at_once([partial(tell, connect(), lost) for _ in range(8)])
    assert sorted(len(messages) for _, messages in told) == [0] * 7 + [1]
    row = connection.execute("SELECT count(*) AS n, max(outcome) AS outcome FROM inbound_events").fetchone()
    assert row == {"n": 1, "outcome": "cancelled 1"}
    assert appointment_now(connection, made).version == 2
    check_invariants(connection)
