"""A coach whose own calendar holds blocks of ours, and what its readings and results say."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fairslot.booking import appointments, decisions
from fairslot.coach_time import sync
from fairslot.coach_time.days import extend_days, horizon_slots
from fairslot.domain.idempotency import ChangeResult
from fairslot.domain.slots import hex_of, slot_of, span
from fairslot.messages.deliveries import Attempt
from fairslot.platform.db import Connection
from fairslot.webhooks import outbox
from tests.support.world import (
    ALWAYS,
    NEW_YORK,
    NINE,
    NOW,
    TENANT,
    Coach,
    add_calendar,
    add_coach,
    add_endpoint,
    appointment_of,
    book,
)

MINUTE = timedelta(minutes=1)
QUARTER, HALF, HOUR = 15 * MINUTE, 30 * MINUTE, 60 * MINUTE
SECOND = timedelta(seconds=1)

type Span = tuple[datetime, datetime]
type Message = dict[str, Any]


def add_ana(connection: Connection) -> None:
    """Ana, alone on a calendar of half hours, whose own calendar is behind the calendar API and was read."""
    add_coach(connection, Coach(coach_id="ana", kind="calendar_api", working_hours=ALWAYS, max_per_day=99))
    add_calendar(connection, "cal", ["ana"])
    add_endpoint(connection, "calendar_api", "appointment.*")
    add_endpoint(connection, "crm", "appointment.conflict")
    extend_days(connection, now=NOW)
    read(connection, NOW)


def read(connection: Connection, began: datetime, *busy: Span) -> None:
    """Store a reading of ana's calendar that began at an instant and has these busy times."""
    first, end_slot = horizon_slots(NEW_YORK, NOW)
    width = end_slot - first
    free = (1 << width) - 1
    for start, end in busy:
        free &= ~span(slot_of(start) - first, slot_of(end) - slot_of(start), width)
    told = {"coach_id": "ana", "ok": True, "fetched_at": began.isoformat(), "first_slot": first}
    sync.store(connection, told | {"slot_count": width, "free": hex_of(free, width)})


def record(
    connection: Connection,
    message: Message,
    outcome: str = "delivered",
    *,
    at: datetime = NOW + MINUTE,
    seconds: float = 0.5,
    block: str | None = None,
    error: str | None = None,
    listed: str | None = None,
) -> list[Message]:
    """Record an attempt that began at an instant and was answered so much later; return what follows.

    `listed` is the block that the calendar lists at that time, "" where it lists none there.
    """
    found = {"found_block_id": listed} if listed else {"absent": "true"} if listed == "" else {}
    done = Attempt(
        delivery_id=UUID(message["delivery_id"]),
        event_id=UUID(message["event_id"]),
        kind=message["kind"],
        type=message["type"],
        attempt=message.get("attempts", 0) + 1,
        at=at,
        outcome=outcome,  # type: ignore[arg-type]
        latency_ms=round(seconds * 1000),
        error=error,
        answer={"block_id": block} if block else found,
        round=message["round"],
    )
    return outbox.record(connection, attempt=done)[0]


def refuse(
    connection: Connection, message: Message, at: datetime, listed: str | None = None
) -> list[Message]:
    """Record that the calendar refused a block because the time is blocked; return what follows."""
    return record(connection, message, "failed", at=at, error="already_blocked", listed=listed)


def sweep(connection: Connection, now: datetime) -> list[Message]:
    """Send what the queue seems to have lost; return the messages."""
    sent: list[str] = []
    outbox.sweep(connection, send=sent.extend, now=now)
    return [json.loads(one) for one in sent]


def actions(messages: Sequence[Message], action: str) -> list[Message]:
    """Return the messages that ask the calendar for something."""
    return [one for one in messages if one["data"].get("action") == action]


def blocked(connection: Connection, start: datetime = NINE) -> ChangeResult:
    """Book a time and have it blocked."""
    made = book(connection, start)
    [block] = actions(made.messages, "block")
    assert record(connection, block, block="b-1") == []
    return made


def reason(connection: Connection, start: datetime) -> str | None:
    """Return what explain says of ana."""
    [one] = decisions.explain(connection, tenant_id=TENANT, calendar_id="cal", start_time=start, now=NOW)
    return one.reason


def shown(connection: Connection, made: ChangeResult) -> appointments.Appointment:
    """Return an appointment as it is now."""
    return appointments.get(connection, tenant_id=TENANT, appointment_id=appointment_of(made).appointment_id)


def state(connection: Connection, message: Message) -> tuple[str, str | None]:
    """Return a delivery's status and reason."""
    row = connection.execute(
        "SELECT status, reason FROM webhook_deliveries WHERE delivery_id = %s", (message["delivery_id"],)
    ).fetchone()
    assert row is not None
    return row["status"], row["reason"]
