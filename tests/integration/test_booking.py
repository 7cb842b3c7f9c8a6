"""Booking and cancelling against a real Postgres."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import psycopg
import pytest

from fairslot.coach_time.days import extend_days
from fairslot.domain.errors import (
    IdempotencyKeyReusedError,
    NotFoundError,
    SlotUnavailableError,
    ValidationError,
)
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection, translate
from tests.support.bookings import appointment_of, book, cancel
from tests.support.clock import HALF, HOUR, MINUTE, NINE, NOW, QUARTER
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants
from tests.support.race import Outcome, at_once, patiently, refused
from tests.support.tables import count, one_row
from tests.support.team import ALWAYS, add_calendar, add_coach, add_team


def race(works: list[Callable[[], ChangeResult]]) -> list[Outcome]:
    """Start all pieces of work at the same moment and return what came of each."""
    return at_once([partial(patiently, work) for work in works])


def test_a_booking_is_whole(connection: Connection) -> None:
    """A booking writes the appointment, its decision and its event, and takes the time."""
    add_team(connection, 3)
    done = book(connection)
    assert (appointment_of(done).status, appointment_of(done).version) == ("scheduled", 1)
    assert appointment_of(done).end_time - appointment_of(done).start_time == HALF
    decision = one_row(connection, "SELECT * FROM distribution_log")
    assert decision["chosen"] == appointment_of(done).coach_id
    assert sum(one["delta"] for one in decision["candidates"]) == 0
    assert sum(one["share"] for one in decision["candidates"]) == 1_000_000
    check_invariants(connection)


@pytest.mark.parametrize("free", [1, 2, 5, 8])
def test_exactly_as_many_as_are_free(connection: Connection, connect: Connect, free: int) -> None:
    """With K coaches free and 12 requests at once, K succeed and the others are told that nobody is free."""
    add_team(connection, free)
    clients = [connect() for _ in range(12)]
    for round_ in range(6):
        start = NINE + round_ * timedelta(minutes=45)
        done = race([lambda client=client, start=start: book(client, start) for client in clients])  # type: ignore[misc]
        booked = [one for one in done if isinstance(one, ChangeResult)]
        assert len(booked) == free
        assert len({appointment_of(one).coach_id for one in booked}) == free
        assert all(isinstance(one, SlotUnavailableError) for one in done if not isinstance(one, ChangeResult))
    check_invariants(connection)


def test_an_earlier_overlapping_start_never_gets_a_booked_coach(connection: Connection) -> None:
    """Half an hour that begins a quarter earlier runs into the booked half hour."""
    add_team(connection, 1)
    book(connection, NINE + QUARTER)
    for start in (NINE, NINE + QUARTER, NINE + 2 * QUARTER):
        assert isinstance(refused(lambda start=start: book(connection, start)), SlotUnavailableError)  # type: ignore[misc]
    book(connection, NINE + 3 * QUARTER)
    check_invariants(connection)


def test_the_constraint_stands_behind_the_locks(connection: Connection) -> None:
    """Postgres itself refuses two overlapping scheduled appointments of a coach."""
    add_team(connection, 1)
    book(connection)
    with pytest.raises(psycopg.errors.ExclusionViolation) as caught:
        connection.execute(
            "INSERT INTO coach_appointments (tenant_id, calendar_id, coach_id, start_time, end_time, takes,"
            " contact_name, contact_email) SELECT tenant_id, calendar_id, coach_id, start_time, end_time,"
            " takes, contact_name, contact_email FROM coach_appointments"
        )
    assert isinstance(translate(caught.value), SlotUnavailableError)


def test_random_intervals_on_shared_coaches_never_overlap(connection: Connection, connect: Connect) -> None:
    """Calendars of different lengths that share coaches race over one morning without a deadlock."""
    coaches = add_team(connection, 4)
    add_calendar(connection, "long", coaches[:3], duration=60)
    add_calendar(connection, "short", coaches[1:], duration=15)
    calendars = ("cal", "long", "short")
    clients = [connect() for _ in range(16)]
    done: list[Outcome] = []
    for round_ in range(8):
        done += race(
            [
                lambda client=client, n=n, round_=round_: book(  # type: ignore[misc]
                    client, NINE + (n * 7 + round_ * 3) % 16 * QUARTER, calendar_id=calendars[n % 3]
                )
                for n, client in enumerate(clients)
            ]
        )
    assert Counter(type(one) for one in done).keys() <= {ChangeResult, SlotUnavailableError}
    assert sum(isinstance(one, ChangeResult) for one in done) > 20
    check_invariants(connection)


def test_the_daily_maximum_holds_in_the_coachs_zone(connection: Connection, connect: Connect) -> None:
    """Requests on both sides of midnight UTC race for the last place of one local day."""
    add_coach(connection, "sydney", time_zone="Australia/Sydney", max_per_day=2, working_hours=ALWAYS)
    add_calendar(connection, "cal", ["sydney"], duration=15)
    extend_days(connection, now=NOW)
    midnight_utc = datetime.fromisoformat("2026-03-04T00:00:00Z")  # 11:00 in Sydney
    starts = [midnight_utc + n * QUARTER for n in range(-6, 6)]
    done = race([lambda start=start: book(connect(), start) for start in starts])  # type: ignore[misc]
    assert sum(isinstance(one, ChangeResult) for one in done) == 2
    next_local_day = datetime.fromisoformat("2026-03-04T13:00:00Z")
    assert isinstance(patiently(lambda: book(connection, next_local_day)), ChangeResult)
    check_invariants(connection)


def test_an_appointment_may_cross_local_midnight(connection: Connection) -> None:
    """It takes time of two rows and counts on the day on which it starts."""
    add_coach(connection, "owl", working_hours=ALWAYS)
    add_calendar(connection, "cal", ["owl"], duration=60)
    extend_days(connection, now=NOW)
    before_midnight = datetime.fromisoformat("2026-03-04T23:30:00-05:00")
    book(connection, before_midnight)
    days = connection.execute("SELECT local_date::text FROM coach_slots WHERE booked = 1").fetchall()
    assert [day["local_date"] for day in days] == ["2026-03-04"]
    check_invariants(connection)
    assert isinstance(
        refused(lambda: book(connection, before_midnight + timedelta(minutes=45))), SlotUnavailableError
    )
    book(connection, before_midnight + HOUR)
    check_invariants(connection)


def test_two_midnights_race_without_deadlock(connection: Connection, connect: Connect) -> None:
    """Appointments over two rows each lock them in one order."""
    for coach_id in ("owl", "bat"):
        add_coach(connection, coach_id, working_hours=ALWAYS)
    for calendar_id in ("one", "two"):
        add_calendar(connection, calendar_id, ["owl", "bat"], duration=60)
    extend_days(connection, now=NOW)
    midnight = datetime.fromisoformat("2026-03-05T00:00:00-05:00")
    clients = [connect() for _ in range(8)]
    for round_ in range(5):
        start = midnight + timedelta(days=round_, minutes=-30)
        done = race(
            [
                lambda client=client, n=n, start=start: book(  # type: ignore[misc]
                    client, start + n % 4 * QUARTER, calendar_id=("one", "two")[n % 2]
                )
                for n, client in enumerate(clients)
            ]
        )
        assert sum(isinstance(one, ChangeResult) for one in done) == 2
    check_invariants(connection)


def test_buffers_keep_others_away_and_need_no_working_hours(connection: Connection) -> None:
    """A buffer may lie before the working day, but not on another appointment."""
    add_team(connection, 1, buffer_before=30, buffer_after=15)
    book(connection, NINE)
    for quarters in (2, 3, 4):
        start = NINE + quarters * QUARTER
        assert isinstance(refused(lambda start=start: book(connection, start)), SlotUnavailableError)  # type: ignore[misc]
    book(connection, NINE + 5 * QUARTER)
    check_invariants(connection)


@pytest.mark.parametrize(
    ("start", "kind"),
    [(NINE + MINUTE, "off_grid"), (NOW - HOUR, "in_the_past")],
)
def test_a_start_that_cannot_be_meant(connection: Connection, start: datetime, kind: str) -> None:
    """A start off the grid or in the past says so and changes nothing."""
    add_team(connection, 1)
    said = refused(lambda: book(connection, start))
    assert isinstance(said, ValidationError)
    assert said.details == (("body.start_time", kind),)
    assert connection.execute("SELECT FROM coach_appointments").rowcount == 0


def test_notice_and_horizon(connection: Connection) -> None:
    """A calendar takes nothing before its notice and nothing beyond its horizon."""
    add_team(connection, 1, min_notice_minutes=24 * 60 + 180, horizon_days=3)
    assert isinstance(refused(lambda: book(connection, NINE)), SlotUnavailableError)
    book(connection, NINE + HOUR)
    assert isinstance(refused(lambda: book(connection, NINE + timedelta(days=3))), SlotUnavailableError)


def test_another_tenants_calendar_is_not_there(connection: Connection) -> None:
    """A tenant cannot book what another owns."""
    add_team(connection, 1)
    assert isinstance(refused(lambda: book(connection, tenant_id="other")), NotFoundError)


def test_cancelling_frees_the_time_and_returns_the_credit(connection: Connection) -> None:
    """After a customer cancels, credits are exactly what they were and the time can be booked again."""
    add_team(connection, 3)
    book(connection)
    credit = "SELECT coach_id, credit FROM coach_credits ORDER BY coach_id"
    before = connection.execute(credit).fetchall()
    done = book(connection)
    assert connection.execute(credit).fetchall() != before
    cancelled = cancel(connection, done)
    assert (appointment_of(cancelled).status, appointment_of(cancelled).version) == ("cancelled", 2)
    assert connection.execute(credit).fetchall() == before
    check_invariants(connection)
    assert appointment_of(book(connection)).coach_id == appointment_of(done).coach_id
    check_invariants(connection)


def test_a_coach_who_cancels_keeps_it_on_the_account(connection: Connection) -> None:
    """There is no refund when the coach cancels."""
    add_team(connection, 2)
    done = book(connection)
    cancel(connection, done, by="coach")
    assert count(connection, "distribution_log", "step = 'reversed'") == 0
    check_invariants(connection)


def test_one_effect_a_key(connection: Connection, connect: Connect) -> None:
    """The same key twenty times at once books one appointment, which all of them are told of."""
    add_team(connection, 5)
    key = Key(value="k", fingerprint=b"f" * 32)
    clients = [connect() for _ in range(20)]

    done = race([lambda client=client: book(client, key=key) for client in clients])  # type: ignore[misc]
    assert all(isinstance(one, ChangeResult) for one in done)
    assert len({one.answer["appointment_id"] for one in done if isinstance(one, ChangeResult)}) == 1
    assert sum(not one.replayed for one in done if isinstance(one, ChangeResult)) == 1
    check_invariants(connection)


def test_a_key_with_the_last_coach_gone_is_still_answered(connection: Connection) -> None:
    """A repeat is a replay even when nobody is free any more."""
    add_team(connection, 1)
    key = Key(value="k", fingerprint=b"f" * 32)
    first = book(connection, key=key)
    again = book(connection, key=key)
    assert again.replayed
    assert again.answer == first.answer


def test_a_key_with_another_request_is_refused(connection: Connection) -> None:
    """The same key with another fingerprint is an error."""
    add_team(connection, 2)
    book(connection, key=Key(value="k", fingerprint=b"f" * 32))
    said = refused(lambda: book(connection, key=Key(value="k", fingerprint=b"g" * 32)))
    assert isinstance(said, IdempotencyKeyReusedError)


def test_a_refusal_is_not_remembered(connection: Connection) -> None:
    """After a 409 the same key books when the time is free again."""
    add_team(connection, 1)
    taken = book(connection)
    key = Key(value="k", fingerprint=b"f" * 32)
    assert isinstance(refused(lambda: book(connection, key=key)), SlotUnavailableError)
    cancel(connection, taken)
    assert not book(connection, key=key).replayed


def test_an_expired_key_is_free_again(connection: Connection) -> None:
    """After its 24 hours a key books again."""
    add_team(connection, 2)
    key = Key(value="k", fingerprint=b"f" * 32)
    first = book(connection, key=key)
    later = book(connection, key=key, now=NOW + timedelta(hours=24))
    assert not later.replayed
    assert later.answer["appointment_id"] != first.answer["appointment_id"]
