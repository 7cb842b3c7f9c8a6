"""What is kept of teams answers as the database does, whatever changed since, and whatever Valkey says."""

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
from fairslot.domain.slots import instant_of
from fairslot.platform.db import Connection
from tests.support.availability import Listed, list_page, reasons
from tests.support.bookings import book, cancel, hold, reschedule
from tests.support.clock import HOUR, MINUTE, NOW, QUARTER
from tests.support.fixtures import Environment
from tests.support.invariants import check_invariants
from tests.support.readings import begin_absence, store_message, store_reading
from tests.support.tables import clear_tables
from tests.support.team import (
    ALWAYS,
    add_calendar,
    add_coach,
    set_attributes,
    set_calendar,
    set_coach,
    set_days,
    set_member,
)

ZONES = ["America/New_York", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham"]
COACHES = ["ana", "ben", "cy"]
REQUIREMENTS = ["language:de", "language:en", "tier:2"]
ATTRIBUTES: list[dict[str, Any]] = [
    {},
    {"language": "de"},
    {"language": ["de", "en"], "tier": 2},
    {"tier": 2},
]


@pytest.fixture
def cache(cache: Redis, environment: Environment) -> Redis:
    """An empty cache in use; days are made for four days ahead."""
    environment(HORIZON_DAYS="4")
    return cache


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
        if data.draw(st.booleans()):
            set_coach(connection, coach_id, **own_rules(data), **limits(data))
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
        "on_unverified": data.draw(st.sampled_from(["allow", "block"])),
    }


def own_rules(data: st.DataObject) -> dict[str, Any]:
    """Draw the buffers and the notice of a coach, or of a coach in the calendar."""
    return {
        "buffer_before": data.draw(st.sampled_from([0, 15, 240])),
        "buffer_after": data.draw(st.sampled_from([0, 30, 240])),
        "min_notice_minutes": data.draw(st.sampled_from([0, 7, 20, 600])),
    }


def limits(data: st.DataObject) -> dict[str, Any]:
    """Draw the limits of a coach on weeks and months."""
    return {
        "max_per_week": data.draw(st.sampled_from([None, 0, 1, 2])),
        "max_per_month": data.draw(st.sampled_from([None, 1, 2])),
        "max_minutes_per_week": data.draw(st.sampled_from([None, 0, 30, 90])),
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
        requires = self.data.draw(st.sampled_from([[], [], ["language:de"]]))
        made = book(self.connection, self.start(), calendar_id=calendar_id, now=self.now, requires=requires)
        self.booked.append(made)

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

    def do_limit(self) -> None:
        """Change a coach's limit on weeks or months."""
        name, value = self.data.draw(st.sampled_from(sorted(limits(self.data).items(), key=str)))
        set_coach(self.connection, self.coach(), **{name: value})

    def do_own_rule(self) -> None:
        """Change a buffer or the notice of a coach, or of a coach in the calendar."""
        name, value = self.data.draw(st.sampled_from(sorted(own_rules(self.data).items())))
        if self.data.draw(st.booleans()):
            set_coach(self.connection, self.coach(), **{name: value})
        else:
            set_member(self.connection, "cal", self.coach(), **{name: value})

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

    def do_set_attributes(self) -> None:
        """Let a coach learn or forget something."""
        set_attributes(self.connection, self.coach(), **self.data.draw(st.sampled_from(ATTRIBUTES)))

    def do_require(self) -> None:
        """Let the calendar require something else, or nothing."""
        required = st.sampled_from([[], [], ["language:de"], ["language:de", "tier:2"]])
        set_calendar(self.connection, "cal", requires=self.data.draw(required))

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


def check_explained(
    connection: Connection, page: Listed, start: datetime, now: datetime, requires: list[str]
) -> None:
    """Assert that a start is listed with exactly the coaches who are explained as free."""
    why = reasons(connection, start, now=now, requires=requires)
    free = tuple(coach_id for coach_id, reason in why.items() if reason is None)
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
        requires = data.draw(st.lists(st.sampled_from(REQUIREMENTS), max_size=2))
        query: dict[str, Any] = {
            "start": start,
            "days": days,
            "now": now,
            "with_coaches": True,
            "requires": requires,
        }
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
            check_explained(connection, fresh, first, now, requires)
        check_invariants(connection, lowered=True)
