"""Bookings in coaches' own calendars, and coaches' own events in what can be booked, by a whole stack."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from local.processes import free_port
from tests.support.demo_calendars import DemoCalendar, Span, demo_calendars
from tests.support.stack import CALM, Stack, book, start, starts, stop, wait_until

KINDS = ("google", "microsoft", "caldav")
# A start is as far from the next one as is needed for none of them to touch another.
APART = 8
SECONDS = 15
# A reading for a change comes ten seconds after the one before, at the earliest.
READ_SECONDS = 30


@dataclass(frozen=True)
class Demo:
    """A stack, its database, its coaches' calendars, and the times of each that are not used yet."""

    stack: Stack
    database: psycopg.Connection[Any]
    calendars: dict[str, DemoCalendar]
    times: dict[str, Iterator[str]]

    def state(self, appointment_id: str) -> list[str]:
        """Return what an appointment says of its events."""
        answer = self.stack.api.get(f"/api/appointments/{appointment_id}").json()
        return [one["state"] for one in answer["calendar_events"]]

    def is_offered(self, calendar: DemoCalendar, start_time: str) -> bool:
        """Tell whether a start can be booked."""
        return start_time in {one["start_time"] for one in starts(self.stack, calendar.calendar_id)}

    def source(self, calendar: DemoCalendar) -> Any:
        """Return until when changes are told of, and when the last good reading began."""
        return self.database.execute(
            "SELECT pushed_until, synced_at FROM calendar_sources WHERE source_id = %s", [calendar.source_id]
        ).fetchall()[0]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A stack with all three, whose schedules come soon; every calendar is read."""
    queues = str(free_port())
    variables = CALM | {
        "CALENDARS": ",".join(KINDS),
        "QUEUES_AT": queues,
        "QUEUES_THROUGH": queues,
        **{f"{kind.upper()}_PORT": str(free_port()) for kind in KINDS},
        **{f"{kind.upper()}_FAILURE_RATE": "0" for kind in KINDS},
        **{f"{kind.upper()}_LATENCY_MS": "0-20" for kind in KINDS},
    }
    stack = start(tmp_path_factory.mktemp("writes") / "data", variables, "tests.support.stack_behind")
    try:
        calendars, times = demo_calendars(stack), {}
        for kind, calendar in calendars.items():
            wait_until(partial(_is_read, stack, calendar), 60, f"{kind} is read")
            # Not the first, which may begin any moment.
            offered = starts(stack, calendar.calendar_id)[APART::APART]
            times[kind] = iter([one["start_time"] for one in offered])
        with psycopg.connect(stack.state["database_url"], autocommit=True) as database:
            yield Demo(stack, database, calendars, times)
    finally:
        stop(stack)


@pytest.mark.parametrize("kind", KINDS)
def test_a_booking_stands_once_and_moves_and_goes(demo: Demo, kind: str) -> None:
    """In the coach's calendar within seconds, as the appointment says."""
    calendar, (first, second) = demo.calendars[kind], (next(demo.times[kind]) for _ in range(2))
    answer = book(demo.stack, first, calendar.calendar_id)
    assert answer.status_code == 201, answer.text
    booked = answer.json()
    appointment = booked["appointment_id"]
    wait_until(lambda: demo.state(appointment) == ["confirmed"], SECONDS, "it is written")
    assert calendar.spans(appointment) == [_span(first)]

    change = f"/api/appointments/{appointment}"
    assert demo.stack.api.post(f"{change}/reschedule", json={"start_time": second}).status_code == 200
    wait_until(lambda: calendar.spans(appointment) == [_span(second)], SECONDS, "it is moved")
    wait_until(lambda: demo.state(appointment) == ["confirmed"], SECONDS, "that is known")

    assert demo.stack.api.post(f"{change}/cancel").status_code == 200
    wait_until(lambda: calendar.spans(appointment) == [], SECONDS, "it is removed")
    wait_until(lambda: demo.state(appointment) == [], SECONDS, "that is known")


@pytest.mark.parametrize("kind", ["google", "microsoft"])
def test_what_a_coach_puts_is_told_and_read(demo: Demo, kind: str) -> None:
    """The provider posts to the stack's own address, and the time is not offered any more."""
    calendar, at = demo.calendars[kind], next(demo.times[kind])
    wait_until(lambda: demo.source(calendar)[0] is not None, READ_SECONDS, "there is a channel")
    assert demo.is_offered(calendar, at)
    calendar.put(*_span(at))
    wait_until(lambda: not demo.is_offered(calendar, at), READ_SECONDS, "the time is taken")


def test_what_a_coach_puts_is_polled_and_read(demo: Demo) -> None:
    """Where the provider tells nobody, once the schedule asks."""
    calendar, at = demo.calendars["caldav"], next(demo.times["caldav"])
    before = demo.source(calendar)[1]
    assert demo.is_offered(calendar, at)
    calendar.put(*_span(at))
    # The next reading is minutes away.
    demo.database.execute(
        "UPDATE calendar_sources SET next_at = 'epoch' WHERE source_id = %s", [calendar.source_id]
    )
    wait_until(lambda: not demo.is_offered(calendar, at), READ_SECONDS, "the time is taken")
    assert demo.source(calendar)[1] > before


def _is_read(stack: Stack, calendar: DemoCalendar) -> bool:
    return bool(starts(stack, calendar.calendar_id))


def _span(start_time: str) -> Span:
    begins = datetime.fromisoformat(start_time)
    return begins, begins + timedelta(minutes=30)
