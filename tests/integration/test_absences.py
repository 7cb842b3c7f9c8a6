"""When a coach says not to be there, no reading of a calendar says otherwise."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from fairslot.coach_time import inbound
from fairslot.coach_time.days import delete_old_days, extend_days
from fairslot.platform.db import Connection
from tests.support.bookings import book, hold
from tests.support.clock import DAY, HOUR, MINUTE, NINE, NOW
from tests.support.endpoints import add_endpoint
from tests.support.fixtures import Connect
from tests.support.inbound_events import process_event, receive_event
from tests.support.invariants import check_invariants
from tests.support.race import wait_until, waiting
from tests.support.readings import store_reading
from tests.support.tables import count
from tests.support.team import ALWAYS, add_calendar, add_coach, close_days, set_calendar, set_coach


def tell(connection: Connection, kind: str, **body: Any) -> list[inbound.Consequence]:
    """Take an event in and act on it."""
    return process_event(connection, receive_event(connection, kind, **body))


def outcome(connection: Connection) -> str | None:
    """Return what came of the one event."""
    row = connection.execute("SELECT outcome FROM inbound_events").fetchone()
    return row["outcome"] if row else None


def read_free(connection: Connection, minutes: int) -> None:
    """Store a reading of ana's calendar that knows of nothing."""
    store_reading(connection, NOW + minutes * MINUTE)


def allowed(connection: Connection, at: datetime) -> bool:
    """Tell whether ana's calendar allows the slot at an instant."""
    row = connection.execute(
        "SELECT external FROM coach_slot_list WHERE coach_id = 'ana' AND start_time = %s", (at,)
    ).fetchone()
    assert row is not None, f"there is no such day: {at}"
    return bool(row["external"])


def edges(connection: Connection) -> list[bool]:
    """Tell what is allowed right before nine, from then on, right before twelve and from then on."""
    quarter = HOUR / 4
    return [
        allowed(connection, at) for at in (NINE - quarter, NINE, NINE + 3 * HOUR - quarter, NINE + 3 * HOUR)
    ]


OPEN, SHUT = [True] * 4, [True, False, False, True]


@pytest.fixture(params=["none", "calendar_api", "icalendar"])
def kind(request: pytest.FixtureRequest, connection: Connection) -> str:
    """Ana, alone on a calendar, whose own calendar is of each kind and, where there is one, was read."""
    found: str = request.param
    add_coach(connection, "ana", working_hours=ALWAYS, max_per_day=100)
    set_coach(connection, calendar_kind=found, calendar_url="https://x.test/")
    add_calendar(connection, "cal", ["ana"])
    extend_days(connection, now=NOW)
    if found != "none":
        read_free(connection, 0)
    return found


@pytest.fixture
def ana(connection: Connection) -> None:
    """Ana, alone on a calendar and always at work, who has no calendar elsewhere; the CRM is told."""
    add_coach(connection, "ana", working_hours=ALWAYS, max_per_day=100)
    add_calendar(connection, "cal", ["ana"])
    add_endpoint(connection, "crm", "appointment.*")
    extend_days(connection, now=NOW)


def test_it_outlives_every_reading(connection: Connection, kind: str) -> None:
    """However often a calendar is read that knows nothing of it, the time stays shut, and no other does."""
    assert edges(connection) == OPEN
    tell(connection, "coach.unavailable")
    assert edges(connection) == SHUT
    for minutes in (1, 2):
        if kind != "none":
            read_free(connection, minutes)
        extend_days(connection, now=NOW)
        assert edges(connection) == SHUT


def test_days_that_come_later_know_of_it(connection: Connection, kind: str) -> None:
    """An absence beyond the horizon shuts the days when they come."""
    far = NINE + 65 * DAY
    times = {"start_time": (far - DAY).isoformat(), "end_time": (far + HOUR).isoformat()}
    tell(connection, "coach.unavailable", **times)
    extend_days(connection, now=NOW + 10 * DAY)
    if kind != "none":
        store_reading(connection, NOW + 10 * DAY, now=NOW + 10 * DAY)
    looked_at = [far - DAY - HOUR, far - DAY, far, far + HOUR]
    assert [allowed(connection, one) for one in looked_at] == [True, False, False, True]


def test_days_that_are_cut_anew_know_of_it(connection: Connection, ana: None) -> None:
    """Where a day was missing, it comes with what is known of it."""
    tell(connection, "coach.unavailable")
    connection.execute("DELETE FROM coach_slots WHERE local_date = '2026-03-03'")
    extend_days(connection, now=NOW)
    assert edges(connection) == SHUT


def test_it_is_forgotten_when_days_are(connection: Connection, ana: None) -> None:
    """Once it is over for as long as days are kept it goes, and not before."""
    tell(connection, "coach.unavailable")
    left = []
    for days in (7, 8):
        delete_old_days(connection, now=NINE + days * DAY)
        row = connection.execute("SELECT count(*) AS n FROM coach_absences").fetchone()
        left.append(row and row["n"])
    assert left == [1, 0]


def test_the_coach_may_be_back_sooner(connection: Connection, kind: str) -> None:
    """The part that is given back is open again, by the next reading where there is one; the rest is not."""
    tell(connection, "coach.unavailable")
    ten = {"start_time": (NINE + HOUR).isoformat(), "end_time": (NINE + 2 * HOUR).isoformat()}
    steps = tell(connection, "coach.available", key="back", **ten)
    assert [fetch.coach_id for fetch in steps[-1].fetches] == ([] if kind == "none" else ["ana"])
    if kind != "none":
        read_free(connection, 1)
    hours = [allowed(connection, NINE + number * HOUR) for number in range(4)]
    assert hours == [False, True, False, True]
    tell(connection, "coach.available", key="all")
    if kind != "none":
        read_free(connection, 2)
    assert edges(connection) == OPEN
    assert connection.execute("SELECT FROM coach_absences").fetchall() == []


def test_of_two_absences_one_may_end(connection: Connection, ana: None) -> None:
    """Time that was never given back stays shut, and time that was never shut changes nothing."""
    tell(connection, "coach.unavailable")
    tell(connection, "coach.unavailable", key="day after", start_time=(NINE + DAY).isoformat(),
         end_time=(NINE + DAY + HOUR).isoformat())  # fmt: skip
    before = (NINE - 2 * HOUR).isoformat()
    tell(connection, "coach.available", key="back", start_time=before)
    assert edges(connection) == OPEN
    assert not allowed(connection, NINE + DAY)
    check_invariants(connection)


def test_what_was_shut_before_absences_were_kept_can_be_given_back(connection: Connection, ana: None) -> None:
    """Without a calendar elsewhere nobody but the coach can say that the time is free."""
    close_days(connection, local_date="2026-03-03")
    tell(connection, "coach.available")
    assert edges(connection) == [False, True, True, False]


def test_a_reading_that_is_being_stored_knows_of_it(
    connection: Connection, connect: Connect, kind: str
) -> None:
    """Who stores while an absence is being written waits for it and respects it."""
    if kind == "none":
        return
    event_id = receive_event(connection)
    storing = connect()
    with ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            process_event(connection, event_id, most=1)
            stored = pool.submit(read_free, storing, 5)
            wait_until(lambda: stored.done() or waiting(connect(), [storing]) == 1)
        stored.result()
    assert edges(connection) == SHUT


def test_a_long_absence_is_worked_off_in_portions(connection: Connection, ana: None) -> None:
    """No transaction acts on more than twenty appointments, and together they act on each once."""
    made = [book(connection, NINE + number * HOUR / 2) for number in range(50)]
    tell(connection, "coach.unavailable", end_time=(NINE + 2 * DAY).isoformat())
    sizes = [
        row["n"]
        for row in connection.execute(
            "SELECT count(*) AS n FROM changes WHERE type = 'appointment.conflict' GROUP BY at"
        )
    ]
    assert (sum(sizes), max(sizes) <= 20) == (50, True)
    assert outcome(connection) == "kept 50"
    assert count(connection, "coach_appointments", "conflict AND version = 2") == len(made)
    check_invariants(connection)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_crash_between_two_portions_loses_nothing(connection: Connection, ana: None, steps: int) -> None:
    """The event stays open, the time is shut at once, and whoever goes on acts on the rest alone."""
    set_calendar(connection, conflict_policy="cancel")
    for number in range(45):
        book(connection, NINE + number * HOUR / 2)
    event_id = receive_event(connection, end_time=(NINE + DAY).isoformat())
    process_event(connection, event_id, most=steps)
    assert outcome(connection) is None
    assert not allowed(connection, NINE + DAY - HOUR / 4)
    assert inbound.left_over(connection, before=NOW + HOUR) == [event_id]
    process_event(connection, event_id)
    assert outcome(connection) == "cancelled 45"
    assert count(connection, "changes", "type = 'appointment.cancelled'") == 45
    assert process_event(connection, event_id) == [inbound.Consequence()]
    check_invariants(connection)


def test_a_hold_that_is_confirmed_meanwhile_is_given_up_too(connection: Connection, ana: None) -> None:
    """What becomes an appointment between two steps is acted on as one."""
    held = hold(connection)
    event_id = receive_event(connection)
    process_event(connection, event_id, most=1)
    connection.execute(
        "UPDATE coach_appointments SET status = 'scheduled', expires_at = NULL, held_by = NULL,"
        " contact_name = 'Zoe', contact_email = 'zoe@example.com' WHERE appointment_id = %s",
        (held.answer["hold_id"],),
    )
    process_event(connection, event_id)
    assert outcome(connection) == "kept 1"
