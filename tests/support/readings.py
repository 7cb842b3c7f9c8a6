"""What coaches' own calendars say: readings, and absences that arrive as events."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from fairslot.coach_time import absences, sync
from fairslot.coach_time.days import horizon_slots
from fairslot.domain.slots import hex_of, slot_of, span
from fairslot.messages.readings import Reading
from fairslot.platform.db import Connection
from tests.support.clock import NEW_YORK, NOW
from tests.support.team import TENANT, set_coach

type Span = tuple[datetime, datetime]


def store_reading(
    connection: Connection,
    began: datetime,
    *busy: Span,
    coach_id: str = "ana",
    zone: ZoneInfo = NEW_YORK,
    now: datetime = NOW,
    **more: Any,
) -> bool:
    """Store a reading of a coach's calendar that began at an instant and found these busy times.

    It covers the window that is read at `now`; `more` are further members of the message. Returns whether the
    coach's slots may have changed.
    """
    return store_message(connection, _message(began, busy, coach_id, zone, now) | more)


def reading_of(began: datetime, *busy: Span, coach_id: str = "ana", zone: ZoneInfo = NEW_YORK) -> str:
    """Return the body of such a message, as the last release sends it too."""
    return json.dumps({"requested_at": began.isoformat(), **_message(began, busy, coach_id, zone, NOW)})


def _message(
    began: datetime, busy: Sequence[Span], coach_id: str, zone: ZoneInfo, now: datetime
) -> dict[str, Any]:
    first, end_slot = horizon_slots(zone, now)
    width = end_slot - first
    free = (1 << width) - 1
    for start, end in busy:
        free &= ~span(slot_of(start) - first, slot_of(end) - slot_of(start), width)
    known = {"coach_id": coach_id, "ok": True, "fetched_at": began.isoformat(), "first_slot": first}
    return known | {"slot_count": width, "free": hex_of(free, width)}


def store_message(connection: Connection, message: dict[str, Any]) -> bool:
    """Store a reading, given as a message of FetchedQueue; `requested_at` may be left out."""
    body = {"requested_at": message["fetched_at"], **message}
    return sync.store(connection, Reading.from_json(json.dumps(body)))


def connect_calendars(connection: Connection) -> None:
    """Give every coach a calendar at the calendar API that was read just now."""
    set_coach(connection, calendar_kind="calendar_api")
    were_read(connection, datetime.now(UTC))


def were_read(connection: Connection, at: datetime, *, asked: datetime | None = None) -> None:
    """Have all sources been read at an instant, and the days that are stored say what is free."""
    connection.execute(
        "UPDATE calendar_sources"
        " SET synced_at = %(at)s, first_requested_at = %(asked)s, requested_at = %(asked)s",
        {"at": at, "asked": asked or at},
    )
    connection.execute(
        "INSERT INTO source_answers (source_id, first_slot, free)"
        " SELECT source_id, min(first_slot),"
        " repeat('1', max(first_slot + slot_count) - min(first_slot))::varbit"
        " FROM calendar_sources JOIN coach_slots USING (coach_id) GROUP BY source_id"
    )
    connection.execute(
        "SELECT engine.refresh_sync(coach_id) FROM (SELECT DISTINCT coach_id FROM calendar_sources) AS one"
    )


def begin_absence(connection: Connection, coach_id: str, start: datetime, end: datetime) -> None:
    """Have a coach report an absence."""
    absences.begin_absence(
        connection, tenant_id=TENANT, coach_id=coach_id, start=start, end=end, event_id=uuid4()
    )
