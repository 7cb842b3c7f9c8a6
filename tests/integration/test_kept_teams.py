"""What is kept of teams answers as the database does, whatever changed since, and whatever Valkey says."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from fairslot.booking import holds
from fairslot.coach_time.days import delete_old_days, extend_days
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.coach_time.read_model import fold_changes
from fairslot.domain.errors import NotFoundError
from fairslot.domain.slots import instant_of
from fairslot.platform.db import Connection
from local.valkey import EmbeddedValkey
from tests.support.availability import Listed, list_page, reasons
from tests.support.bookings import book, cancel, hold, reschedule
from tests.support.clock import HOUR, MINUTE, NINE, NOW, QUARTER
from tests.support.fixtures import Connect, Environment
from tests.support.invariants import check_invariants
from tests.support.readings import begin_absence, store_message, store_reading
from tests.support.tables import clear_tables
from tests.support.team import ALWAYS, add_calendar, add_coach, add_team, set_calendar, set_coach, set_days

ZONES = ["America/New_York", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham"]
COACHES = ["ana", "ben", "cy"]


@pytest.fixture
def cache(environment: Environment, valkey: EmbeddedValkey) -> Iterator[Redis]:
    """An empty Valkey that is in use."""
    with Redis.from_url(valkey.url) as client:
        client.flushall()
        environment(REDIS_URL=valkey.url, HORIZON_DAYS="4")
        yield client


def add_world(connection: Connection, data: st.DataObject) -> None:
    """Make three coaches of different zones, one of them with an external calendar, and a calendar."""
    clear_tables(connection)
    for number, coach_id in enumerate(COACHES):
        add_coach(
            connection,
            coach_id,
            time_zone=data.draw(st.sampled_from(ZONES)),
            working_hours=ALWAYS,
            max_per_day=data.draw(st.integers(0, 3)),
            kind="calendar_api" if number == 2 else "none",
        )
    add_calendar(connection, "cal", COACHES[: data.draw(st.integers(1, 3))], **rules(data))
    add_calendar(connection, "also", ["ana"], duration=15)
    extend_days(connection, now=NOW)


def rules(data: st.DataObject) -> dict[str, Any]:
    """Draw the rules of a calendar; the duration is the row's own."""
    return {
        "slot_duration": data.draw(st.sampled_from([15, 30, 45, 60, 720])),
        "slot_interval": data.draw(st.sampled_from([15, 30, 45, 60])),
        "buffer_before": data.draw(st.sampled_from([0, 0, 15, 240])),
        "buffer_after": data.draw(st.sampled_from([0, 0, 30, 240])),
        "min_notice_minutes": data.draw(st.sampled_from([0, 7, 600])),
        "horizon_days": data.draw(st.sampled_from([1, 2, 60])),
        "max_per_day": data.draw(st.sampled_from([None, None, 0, 1, 2])),
        "blocked_dates": data.draw(st.sampled_from([[], [], ["2026-03-03"]])),
        "time_zone": data.draw(st.sampled_from(ZONES)),
    }


class World:
    """A database in which something changes, and what time it is."""

    def __init__(self, connection: Connection, data: st.DataObject) -> None:
        self.connection, self.data, self.now = connection, data, NOW
        self.booked: list[Any] = []

    def change(self) -> None:
        """Change something."""
        names = [name for name in dir(self) if name.startswith("do_")]
        try:
            with self.connection.transaction():
                getattr(self, self.data.draw(st.sampled_from(names)))()
        except psycopg.Error as error:
            assert error.sqlstate in {
                "FS400",
                "FS404",
                "FS409",
                "FS410",
                "FS411",
                "FS412",
                "FS426",
                "23P01",
            }, error
        if self.data.draw(st.integers(0, 5)) == 0:
            fold_changes(self.connection)

    def start(self) -> datetime:
        """Draw a start."""
        return NOW + self.data.draw(st.integers(1, 250)) * QUARTER

    def coach(self) -> str:
        """Draw a coach."""
        return self.data.draw(st.sampled_from(COACHES))

    def do_book(self) -> None:
        """Book through one of the calendars that share a coach."""
        calendar_id = self.data.draw(st.sampled_from(["cal", "also"]))
        self.booked.append(book(self.connection, self.start(), calendar_id=calendar_id, now=self.now))

    def do_hold(self) -> None:
        """Hold a time."""
        hold(self.connection, start=self.start(), now=self.now, minutes=self.data.draw(st.integers(1, 15)))

    def do_cancel(self) -> None:
        """Cancel what was booked last."""
        if self.booked:
            cancel(self.connection, self.booked.pop(), now=self.now)

    def do_reschedule(self) -> None:
        """Move what was booked last."""
        if self.booked:
            reschedule(self.connection, self.booked[-1], self.start(), now=self.now)

    def do_wait(self) -> None:
        """Let time pass, now and then for longer than anything is kept, and days go by."""
        self.now += self.data.draw(st.sampled_from([1, 3, 14, 20, 1500])) * MINUTE

    def do_expire(self) -> None:
        """Clear the expired holds."""
        holds.expire(self.connection, now=self.now)

    def do_maintain(self) -> None:
        """Add days and delete old ones, which are those of yesterday here."""
        extend_days(self.connection, now=self.now)
        delete_old_days(self.connection, now=self.now + timedelta(days=7))

    def do_be_away(self) -> None:
        """Begin an absence."""
        start = self.start()
        begin_absence(self.connection, self.coach(), start, start + self.data.draw(st.integers(1, 30)) * HOUR)

    def do_read(self) -> None:
        """Read the external calendar, or fail to."""
        if self.data.draw(st.booleans()):
            start = self.start()
            store_reading(self.connection, self.now, (start, start + HOUR), coach_id="cy", now=self.now)
        else:
            failed = {"coach_id": "cy", "fetched_at": self.now.isoformat(), "ok": False, "error": "timeout"}
            store_message(self.connection, failed)

    def do_move(self) -> None:
        """Move a coach to another zone; the days follow."""
        set_coach(self.connection, self.coach(), time_zone=self.data.draw(st.sampled_from(ZONES)))
        extend_days(self.connection, now=self.now)

    def do_set_maximum(self) -> None:
        """Change how much a coach takes on a day."""
        set_days(self.connection, self.coach(), max_per_day=self.data.draw(st.integers(0, 3)))

    def do_set_active(self) -> None:
        """Let a coach pause or come back."""
        set_coach(self.connection, self.coach(), active=self.data.draw(st.booleans()))

    def do_set_kind(self) -> None:
        """Change where a coach's calendar is."""
        set_coach(
            self.connection,
            self.coach(),
            calendar_kind=self.data.draw(st.sampled_from(["none", "calendar_api"])),
        )

    def do_join(self) -> None:
        """Let a coach join."""
        self.connection.execute("SELECT engine.join_team('cal', %s, 1)", (self.coach(),))

    def do_leave(self) -> None:
        """Let a coach leave."""
        self.connection.execute("SELECT engine.leave_team('cal', %s, %s)", (self.coach(), self.now))

    def do_rule(self) -> None:
        """Change one rule of the calendar."""
        name, value = self.data.draw(st.sampled_from(sorted(rules(self.data).items(), key=str)))
        set_calendar(self.connection, "cal", **{name: value})


def check_explained(connection: Connection, page: Listed, start: datetime, now: datetime) -> None:
    """Assert that a start is listed with exactly the coaches who are explained as free."""
    free = tuple(
        coach_id for coach_id, reason in reasons(connection, start, now=now).items() if reason is None
    )
    listed = {instant_of(one.slot): one.coach_ids for one in page.starts}
    assert listed.get(start, ()) == free, start


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_kept_is_exact(connection: Connection, cache: Redis, data: st.DataObject) -> None:
    """After any change: what is kept, in the process or in Valkey, lists what booking says."""
    add_world(connection, data)
    world, kept = World(connection, data), KeptTeams()
    for _ in range(data.draw(st.integers(1, 8))):
        for _ in range(data.draw(st.integers(0, 3))):
            world.change()
        now, days = world.now, data.draw(st.sampled_from([1, 3, 60]))
        start = data.draw(st.sampled_from([now, now, now - HOUR, now + timedelta(days=2)]))
        query: dict[str, Any] = {"start": start, "days": days, "now": now, "with_coaches": True}
        fresh = list_page(connection, **query)
        assert list_page(connection, **query, kept=kept) == fresh
        assert list_page(connection, **query, kept=KeptTeams()) == fresh
        both = [one for one in list_page(connection, None, **query).starts if one.calendar_id == "cal"]
        assert both == fresh.starts
        interval = connection.execute(
            "SELECT slot_interval AS n FROM calendars WHERE calendar_id = 'cal'"
        ).fetchone()
        grid = timedelta(minutes=interval["n"] if interval else 15)
        first = instant_of(0) + ((now - instant_of(0)) // grid + data.draw(st.integers(0, 100))) * grid
        if start <= first < start + timedelta(days=days):
            check_explained(connection, fresh, first, now)
        check_invariants(connection, lowered=True)


def read_again(connection: Connection, *, fails: bool = False) -> None:
    """Read the calendar of the first coach, with nothing new in it."""
    message = {"coach_id": "coach-01", "fetched_at": (NOW - MINUTE).isoformat()}
    if fails:
        store_message(connection, {**message, "ok": False, "error": "timeout"})
    else:
        store_reading(connection, NOW - MINUTE, coach_id="coach-01")


def move_away(connection: Connection) -> None:
    """Let a coach move to another zone."""
    set_coach(connection, "coach-01", time_zone="Asia/Kathmandu")
    extend_days(connection, now=NOW)


CHANGES: dict[str, Callable[[Connection], Any]] = {
    "booking": book,
    "holding": hold,
    "a full day": lambda connection: set_days(connection, "coach-01", max_per_day=0),
    "a reading": read_again,
    "a reading that fails": lambda connection: read_again(connection, fails=True),
    "another zone": move_away,
    "days that are deleted": lambda connection: connection.execute(
        "DELETE FROM coach_slots WHERE local_date > '2026-03-04'"
    ),
    "a day that is deleted": lambda connection: connection.execute(
        "DELETE FROM coach_slots WHERE local_date = '2026-03-04'"
    ),
    "an inactive coach": lambda connection: set_coach(connection, "coach-01", active=False),
    "a calendar elsewhere": lambda connection: set_coach(
        connection, "coach-02", calendar_kind="calendar_api"
    ),
    "joining": lambda connection: connection.execute("SELECT engine.join_team('cal', 'more', 1)"),
    "leaving": lambda connection: connection.execute(
        "SELECT engine.leave_team('cal', 'coach-01', %s)", (NOW,)
    ),
    "a longer appointment": lambda connection: set_calendar(connection, slot_duration=60),
    "a buffer": lambda connection: set_calendar(connection, buffer_after=60),
    "a grid": lambda connection: set_calendar(connection, slot_interval=45),
    "notice": lambda connection: set_calendar(connection, min_notice_minutes=1500),
    "a horizon": lambda connection: set_calendar(connection, horizon_days=1),
    "a blocked date": lambda connection: set_calendar(connection, blocked_dates=["2026-03-03"]),
    "a maximum": lambda connection: set_calendar(connection, max_per_day=0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_taken_over(
    connection: Connection, environment: Environment, change: Callable[[Connection], Any]
) -> None:
    """It makes another page, and what is kept gives that."""
    add_coach(connection, "more")
    add_team(connection, 2)
    set_coach(connection, "coach-01", calendar_kind="calendar_api")
    store_reading(connection, NOW - 2 * MINUTE, coach_id="coach-01")
    book(connection, NINE + HOUR)
    kept = KeptTeams()
    before = list_page(connection, with_coaches=True, kept=kept)
    change(connection)
    after = list_page(connection, with_coaches=True)
    assert after != before
    assert list_page(connection, with_coaches=True, kept=kept) == after
    fold_changes(connection)
    assert list_page(connection, with_coaches=True) == after


def test_a_first_reading_is_taken_over(connection: Connection, environment: Environment) -> None:
    """Until it is there, a coach is not listed, whatever the days say."""
    add_team(connection, 2)
    set_coach(connection, "coach-01", calendar_kind="calendar_api")
    kept = KeptTeams()
    first = list_page(connection, with_coaches=True, kept=kept)
    book(connection)
    assert first.stale
    assert {one.coach_ids for one in list_page(connection, with_coaches=True, kept=kept).starts} == {
        ("coach-02",)
    }
    read_again(connection)
    page = list_page(connection, with_coaches=True, kept=kept)
    assert not page.stale
    assert page == list_page(connection, with_coaches=True)
    assert {one.coach_ids for one in page.starts} > {("coach-01", "coach-02")}


def test_a_hold_that_expires_is_listed_again(connection: Connection, environment: Environment) -> None:
    """At the moment at which it does, also in what is kept."""
    add_team(connection, 1)
    kept = KeptTeams()
    whole = list_page(connection, kept=kept)
    hold(connection, minutes=5)
    assert list_page(connection, kept=kept, now=NOW + 4 * MINUTE).total < whole.total
    assert list_page(connection, kept=kept, now=NOW + 5 * MINUTE).starts[:30] == whole.starts[:30]


def test_a_calendar_that_is_gone_is_not_there(connection: Connection, environment: Environment) -> None:
    """Kept or not."""
    add_team(connection, 1)
    kept = KeptTeams()
    list_page(connection, kept=kept)
    set_calendar(connection, active=False)
    with pytest.raises(NotFoundError):
        list_page(connection, kept=kept)
    set_calendar(connection, active=True)
    assert list_page(connection, kept=kept) == list_page(connection)


@pytest.mark.parametrize("is_kept", [False, True], ids=["not kept", "kept"])
def test_a_buffer_that_comes_between_two_statements(
    connection: Connection,
    connect: Connect,
    environment: Environment,
    is_kept: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The team was read without what buffers need, and its rules with them."""
    kept = KeptTeams() if is_kept else None
    add_team(connection, 2)
    book(connection, NINE + HOUR)
    other = connect()

    class Slow:
        """A connection on which another session is quicker between two statements, once."""

        def execute(self, query: bytes, *values: Any, **how: Any) -> Any:
            if b"engine.team_changes(" in query:
                set_calendar(other, buffer_after=60)
            return connection.execute(query, *values, **how)

    expected = list_page(Slow(), with_coaches=True, kept=kept)  # type: ignore[arg-type]
    assert expected == list_page(connection, with_coaches=True)
    assert expected == list_page(connection, with_coaches=True, kept=kept)
    assert expected.total > 0
