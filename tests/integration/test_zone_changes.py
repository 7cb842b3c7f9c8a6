"""A coach's days are those of one zone, whichever it was before."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.resources import files
from itertools import cycle
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fairslot.coach_time.days import extend_days
from fairslot.domain.slots import days_text, slot_of
from fairslot.platform.db import Connection
from tests.support.availability import listed_starts
from tests.support.bookings import appointment_of, book, cancel, hold
from tests.support.clock import DAY, HALF, NOW
from tests.support.fixtures import Connect
from tests.support.invariants import check_invariants
from tests.support.race import Outcome, at_once, attempt, booked, wait_until, waiting
from tests.support.readings import Span, store_reading
from tests.support.tables import clear_tables, one_row
from tests.support.team import ALWAYS, add_calendar, add_coach, set_coach

if TYPE_CHECKING:
    from fairslot.domain.idempotency import ChangeResult

ZONES = sorted(available_timezones())

zones = st.sampled_from(ZONES)
halves = st.integers(1, 190)  # half hours from now: some lie beyond the horizon of four days
steps = st.one_of(
    st.tuples(st.just("move"), zones),
    st.tuples(st.just("read"), zones),
    st.tuples(st.just("book"), halves),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.integers(1, 20)),
)


@pytest.fixture
def horizon(environment: Callable[..., None]) -> None:
    """Days are made for a short time ahead."""
    environment(HORIZON_DAYS="4")


def add_movers(connection: Connection, count: int = 1, zone: str = "UTC", kind: str = "none") -> None:
    """Make a calendar of coaches who work at all hours, and their days."""
    clear_tables(connection)
    coaches = [f"coach-{n}" for n in range(count)]
    for coach_id in coaches:
        add_coach(connection, coach_id, time_zone=zone, working_hours=ALWAYS, max_per_day=99, kind=kind)
    add_calendar(connection, "cal", coaches)
    extend_days(connection, now=NOW)


def move(connection: Connection, zone: str) -> None:
    """Change the coaches' zone; their days follow with the maintenance."""
    set_coach(connection, time_zone=zone)


def read(connection: Connection, now: datetime = NOW, *busy: Span) -> None:
    """Keep a reading of coach-0's calendar."""
    row = one_row(connection, "SELECT time_zone FROM coaches WHERE coach_id = 'coach-0'")
    zone = ZoneInfo(row["time_zone"])
    store_reading(connection, now, *busy, coach_id="coach-0", zone=zone, now=now)


def listed(connection: Connection, now: datetime = NOW) -> set[datetime]:
    """Return the starts that are offered in the next six days."""
    return listed_starts(connection, start=now, end=now + timedelta(days=6), now=now)


def check_days(connection: Connection, now: datetime) -> None:
    """Assert that every coach's days from today on are those of the zone, one after another."""
    rows = connection.execute(
        "SELECT coach.time_zone, string_agg(first_slot || '/' || slot_count || '/'"
        "       || local_date - '1970-01-01'::date, ',' ORDER BY first_slot) AS days, max(first_slot) AS last"
        "  FROM coaches AS coach JOIN coach_slots USING (coach_id)"
        " WHERE first_slot + slot_count > %s GROUP BY coach_id",
        (slot_of(now),),
    ).fetchall()
    assert rows
    for row in rows:
        assert row["days"] == days_text(ZoneInfo(row["time_zone"]), slot_of(now), row["last"] + 1)
    check_invariants(connection)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(steps, max_size=14))
@example(moves=[("book", 12), ("move", "Pacific/Kiritimati"), ("move", "Pacific/Pago_Pago")])
@example(moves=[("move", "Pacific/Apia"), ("wait", 12), ("wait", 12), ("move", "UTC")])
@example(moves=[("move", "Antarctica/Troll"), ("book", 40), ("read", "Asia/Kathmandu"), ("cancel", 0)])
def test_days_follow_the_coach(
    connection: Connection, horizon: None, moves: list[tuple[str, str | int]]
) -> None:
    """Wherever a coach moves, the days are the zone's, the bits the appointments', and offers are kept."""
    add_movers(connection)
    now = NOW
    done: list[ChangeResult] = []
    for step, what in moves:
        if isinstance(what, str):
            move(connection, what)
            if step == "read":
                read(connection, now)
            extend_days(connection, now=now)
            check_days(connection, now)
        elif step == "wait":
            now += timedelta(hours=what)
            extend_days(connection, now=now)
        elif step == "cancel" and done:
            cancel(connection, done.pop(what % len(done)))
        elif step == "book":
            start = NOW + what * HALF
            offered = start in listed(connection, now)
            got = booked([attempt(partial(book, connection, start, now=now))])
            assert bool(got) == offered
            done += got
    extend_days(connection, now=now)
    check_days(connection, now)


def test_the_calendar_keeps_its_say(connection: Connection, horizon: None) -> None:
    """After a move the busy hours are busy, the free ones free, and what no day had waits for a reading."""
    add_movers(connection, zone="Asia/Tokyo", kind="calendar_api")
    busy = (NOW + timedelta(hours=40), NOW + timedelta(hours=50))
    read(connection, NOW, busy)
    hold(connection)
    before = listed(connection)
    move(connection, "America/Los_Angeles")
    extend_days(connection, now=NOW)
    assert listed(connection) == before
    check_days(connection, NOW)


def test_the_clocks_move(
    connection: Connection, environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new edition of the zones cuts the days anew, and what was booked stays booked."""
    environment(HORIZON_DAYS="60")
    now = datetime(2026, 12, 1, 18, tzinfo=UTC)
    with (files("tzdata") / "zoneinfo/America/Chicago").open("rb") as chicago:
        winnipeg = ZoneInfo.from_file(chicago, key="America/Winnipeg")
    monkeypatch.setattr("fairslot.coach_time.days.ZoneInfo", lambda _: winnipeg)
    add_movers(connection, zone="America/Winnipeg")
    extend_days(connection, now=now)
    done = book(connection, now + timedelta(days=30), now=now)
    monkeypatch.undo()
    environment(HORIZON_DAYS="60")
    extend_days(connection, now=now)
    check_days(connection, now)
    assert appointment_of(done).start_time not in listed(connection, now + timedelta(days=29))


def test_moving_while_customers_book(connection: Connection, connect: Connect, horizon: None) -> None:
    """Days that are cut anew under load lose no booking and are no reason for a refusal."""
    add_movers(connection, count=3)
    clients, mover = [connect() for _ in range(6)], connect()
    moving = cycle(["Asia/Tokyo", "America/Los_Angeles", "Europe/London", "Asia/Kathmandu"])

    def customer(client: Connection, number: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for n in range(12):
            outcomes.append(attempt(partial(book, client, NOW + (2 + n * 6 + number) * HALF)))
            if n % 3 == 0:
                cancel(client, booked(outcomes)[-1])
        return outcomes

    def coaches() -> list[Outcome]:
        for _ in range(20):
            move(mover, next(moving))
            extend_days(mover, now=NOW)
        return []

    works: list[Callable[[], list[Outcome]]] = [
        partial(customer, client, n) for n, client in enumerate(clients)
    ]
    outcomes = [one for each in at_once([*works, coaches]) for one in each]
    assert len(booked(outcomes)) == len(outcomes) == 6 * 12
    check_days(connection, NOW)


@pytest.mark.parametrize("has_left", [False, True])
def test_a_move_waits_for_a_booking_in_hand(
    connection: Connection, connect: Connect, horizon: None, *, has_left: bool
) -> None:
    """Days are cut with every calendar locked in which the coach is booked, those of former teams too."""
    add_movers(connection, count=2)
    done = [book(connection, NOW + n * DAY) for n in (1, 2)]
    done = [one for one in done if appointment_of(one).coach_id == "coach-0"]
    if has_left:
        connection.execute("SELECT engine.leave_team('cal', 'coach-0', NULL)")
    customer, mover = connect(), connect()

    def change() -> None:
        with customer.transaction():
            customer.execute("SELECT engine.lock_calendar(calendar_id) FROM calendars")
            cut.set()
            wait_until(lambda: waiting(connection, [mover]) == 1)
            cancel(customer, done[0])

    def coach() -> None:
        cut.wait(30)
        move(mover, "Asia/Tokyo")
        extend_days(mover, now=NOW)

    cut = threading.Event()
    at_once([change, coach])
    check_days(connection, NOW)


def test_what_is_of_another_zone_does_not_get_in(connection: Connection, horizon: None) -> None:
    """Days that were worked out before the coach moved are refused by the table itself."""
    add_movers(connection)
    with pytest.raises(psycopg.errors.ExclusionViolation):
        connection.execute(
            "INSERT INTO coach_slots (coach_id, first_slot, slot_count, local_date, working, max_per_day)"
            " SELECT coach_id, first_slot + 4, slot_count, local_date, working, max_per_day FROM coach_slots"
        )
