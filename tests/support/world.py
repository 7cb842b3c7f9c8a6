"""Small worlds for tests: a demo team at a fixed instant, and the checks that must hold in every world."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb

from fairslot.booking import appointments, holds
from fairslot.coach_time.absences import begin_absence
from fairslot.coach_time.days import extend_days
from fairslot.domain.idempotency import ChangeResult, Key
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from tools.replay import replay

TENANT = "default"
NEW_YORK = ZoneInfo("America/New_York")  # where coaches are unless told
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday; New York changes its clocks on the 8th
NINE = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)  # 09:00 in New York on the next day
NO_KEY = Key(value=None, fingerprint=b"")
EVERY_DAY = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
ALWAYS = {day: [["00:00", "24:00"]] for day in EVERY_DAY}

_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Coach:
    """A coach to be made."""

    coach_id: str
    score: float = 0.7
    time_zone: str = "America/New_York"
    max_per_day: int = 10
    working_hours: Mapping[str, Any] | None = None
    kind: str = "none"
    tenant_id: str = TENANT


def add_coach(connection: Connection, coach: Coach) -> None:
    """Make a coach; the days come with `extend_days`."""
    connection.execute(
        queries("admin")["add_coach"],
        {
            "coach": coach.coach_id,
            "tenant": coach.tenant_id,
            "name": coach.coach_id.title(),
            "time_zone": coach.time_zone,
            "score": coach.score,
            "max_per_day": coach.max_per_day,
            "working_hours": Jsonb(coach.working_hours or EVERY_DAY),
            "kind": coach.kind,
            "url": None,
        },
    )


def add_calendar(
    connection: Connection,
    calendar_id: str,
    coaches: list[str],
    *,
    duration: int = 30,
    tenant_id: str = TENANT,
    **columns: Any,
) -> None:
    """Make a calendar and its team; `columns` are set on its row."""
    statements = queries("admin")
    values = {
        "calendar": calendar_id,
        "tenant": tenant_id,
        "name": calendar_id.title(),
        "duration": duration,
        "interval": 15,
    }
    connection.execute(statements["add_calendar"], values)
    for column, value in columns.items():
        connection.execute(
            f"UPDATE calendars SET {column} = %s WHERE calendar_id = %s".encode(), (value, calendar_id)
        )
    connection.execute(statements["join_team"], {"calendar": calendar_id, "coaches": coaches})
    connection.execute(statements["refresh_weights"], {"calendar": calendar_id})


def add_team(connection: Connection, size: int, *, calendar_id: str = "cal", **calendar: Any) -> list[str]:
    """Make a calendar held by `size` coaches of our own hours, and their days."""
    coaches = [f"coach-{number:02}" for number in range(1, size + 1)]
    for coach_id in coaches:
        add_coach(connection, Coach(coach_id=coach_id))
    add_calendar(connection, calendar_id, coaches, **calendar)
    extend_days(connection, now=NOW)
    return coaches


def add_endpoint(connection: Connection, kind: str, *types: str) -> None:
    """Make a partner that is told of events."""
    connection.execute(
        queries("admin")["add_endpoint"], {"tenant": TENANT, "kind": kind, "types": list(types)}
    )


def book(
    connection: Connection,
    start: datetime = NINE,
    *,
    calendar_id: str = "cal",
    key: Key = NO_KEY,
    now: datetime = NOW,
    tenant_id: str = TENANT,
) -> ChangeResult:
    """Book for a new customer."""
    name = f"Customer {next(_numbers)}"
    return appointments.book(
        connection,
        tenant_id=tenant_id,
        calendar_id=calendar_id,
        start_time=start,
        contact=appointments.Contact(name=name, email="customer@example.com"),
        metadata={},
        key=key,
        now=now,
    )


def appointment_of(change: ChangeResult) -> appointments.Booked:
    """Return the appointment as it was right after a change."""
    return appointments.Booked.from_json(change.answer)


def cancel(
    connection: Connection,
    change: ChangeResult,
    *,
    by: appointments.Canceller = "customer",
    now: datetime = NOW + timedelta(minutes=1),
) -> ChangeResult:
    """Cancel what was booked."""
    return appointments.cancel(
        connection,
        tenant_id=TENANT,
        appointment_id=appointment_of(change).appointment_id,
        by=by,
        reason=None,
        key=NO_KEY,
        now=now,
    )


def hold(
    connection: Connection,
    *,
    minutes: int = 5,
    now: Any = NOW,
    client: str = "client",
    start: datetime = NINE,
) -> ChangeResult:
    """Hold a start."""
    return holds.hold(
        connection,
        tenant_id=TENANT,
        client_id=client,
        calendar_id="cal",
        start_time=start,
        minutes=minutes,
        key=NO_KEY,
        now=now,
    )


def reschedule(
    connection: Connection,
    change: ChangeResult,
    start: Any,
    *,
    any_coach: bool = False,
    now: Any = NOW,
) -> ChangeResult:
    """Move what was booked."""
    return appointments.reschedule(
        connection,
        tenant_id=TENANT,
        appointment_id=appointment_of(change).appointment_id,
        start_time=start,
        any_coach=any_coach,
        key=NO_KEY,
        now=now,
    )


def shut(connection: Connection, coach_id: str, start: datetime, end: datetime) -> None:
    """Have a coach say not to be there for a time."""
    begin_absence(connection, coach_id=coach_id, start=start, end=end, event_id=uuid4())


def credits_of(connection: Connection) -> dict[str, int]:
    """Return every coach's credit."""
    rows = connection.execute("SELECT coach_id, credit FROM coach_calendars")
    return {row["coach_id"]: row["credit"] for row in rows}


def check(connection: Connection) -> None:
    """Assert what must hold whatever happened: no overlap, bits and counters agree, credits sum to 0."""
    assert _all(connection, _OVERLAPS) == []
    assert _all(connection, _BITS) == []
    assert _all(connection, _COUNTERS) == []
    assert _all(connection, _CREDITS) == []
    assert _all(connection, _LOG) == []
    assert _all(connection, _EVENTS) == []


def check_records(connection: Connection) -> None:
    """Assert that every calendar's decisions replay, to the credits of now."""
    with connection.transaction():
        for calendar in _all(connection, b"SELECT calendar_id FROM calendars"):
            replay(connection, calendar["calendar_id"])


def _all(connection: Connection, statement: bytes) -> list[dict[str, Any]]:
    return connection.execute(statement).fetchall()


_OVERLAPS = b"""
    SELECT one.appointment_id, other.appointment_id AS other
      FROM coach_appointments AS one JOIN coach_appointments AS other
        ON one.coach_id = other.coach_id AND one.appointment_id < other.appointment_id
       AND one.takes && other.takes
     WHERE one.status <> 'cancelled' AND other.status <> 'cancelled'"""

_BITS = b"""
    SELECT slot.coach_id, slot.start_time, slot.taken
      FROM coach_slot_list AS slot
     WHERE slot.taken <> EXISTS (
        SELECT FROM coach_appointments AS a
         WHERE a.coach_id = slot.coach_id AND a.status <> 'cancelled'
           AND a.takes && tstzrange(slot.start_time, slot.end_time))"""

_COUNTERS = b"""
    SELECT day.coach_id, day.local_date, day.booked
      FROM coach_slots AS day
     WHERE day.booked > day.max_per_day OR day.booked <> (
        SELECT count(*) FROM coach_appointments AS a
         WHERE a.coach_id = day.coach_id AND a.status <> 'cancelled'
           AND engine.slot_of(a.start_time) >= day.first_slot
           AND engine.slot_of(a.start_time) < day.first_slot + day.slot_count)"""

_CREDITS = b"SELECT calendar_id FROM coach_calendars GROUP BY calendar_id HAVING sum(credit) <> 0"

_LOG = b"""
    SELECT member.calendar_id, member.coach_id, member.credit
      FROM coach_calendars AS member
     WHERE member.credit <> coalesce((
        SELECT sum((one ->> 'delta')::bigint)
          FROM distribution_log AS log CROSS JOIN LATERAL jsonb_array_elements(log.candidates) AS one
         WHERE log.calendar_id = member.calendar_id AND one ->> 'coach_id' = member.coach_id), 0)"""

_EVENTS = b"""
    SELECT a.appointment_id FROM coach_appointments AS a
     WHERE a.status <> 'held' AND a.version <> (SELECT count(*) FROM webhook_events AS event
                          WHERE event.appointment_id = a.appointment_id)"""
