"""Ana, whose own calendar holds a block for each appointment, and what it reports of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fairslot.coach_time.days import extend_days
from fairslot.domain.idempotency import ChangeResult
from fairslot.platform.db import Connection
from fairslot.webhooks import deliveries, outbox
from tests.support.attempts import Message, block_of, record_attempt
from tests.support.availability import reasons
from tests.support.bookings import book
from tests.support.clock import MINUTE, NINE, NOW
from tests.support.endpoints import add_endpoint
from tests.support.readings import store_reading
from tests.support.team import ALWAYS, add_calendar, add_coach


def add_ana(connection: Connection) -> None:
    """Add Ana, alone on a calendar of half hours; her own calendar is at the calendar API and was read."""
    add_coach(connection, "ana", kind="calendar_api", working_hours=ALWAYS, max_per_day=99)
    add_calendar(connection, "cal", ["ana"])
    add_endpoint(connection, "calendar_api", "appointment.*")
    add_endpoint(connection, "crm", "appointment.conflict")
    extend_days(connection, now=NOW)
    store_reading(connection, NOW)


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

    `block` is the id of the block made; `listed` is the block that the calendar lists at that time, "" where
    it lists none there.
    """
    answer: dict[str, Any] = (
        {"found_block_id": listed} if listed else {"absent": "true"} if listed == "" else {}
    )
    return record_attempt(
        connection,
        message,
        error,
        at=at,
        outcome=outcome,
        attempt=message.get("attempts", 0) + 1,
        latency_ms=round(seconds * 1000),
        answer={"block_id": block} if block else answer,
        status_code=None,
        round=message["round"],
    )


def refuse(
    connection: Connection, message: Message, at: datetime, listed: str | None = None
) -> list[Message]:
    """Record that the calendar refused a block because the time is blocked; return what follows."""
    return record(connection, message, "failed", at=at, error="already_blocked", listed=listed)


def blocked(connection: Connection, start: datetime = NINE) -> ChangeResult:
    """Book a time and have it blocked."""
    made = book(connection, start)
    assert record(connection, block_of(made), block="b-1") == []
    return made


def unavailable_reason(connection: Connection, start: datetime) -> str | None:
    """Return why Ana cannot be booked at a start."""
    return reasons(connection, start)["ana"]


def published(connection: Connection, change: ChangeResult) -> Message:
    """Put a change's messages on the queue; return the one that asks for its block."""
    outbox.publish(connection, messages=change.messages, send=lambda _: None, now=NOW)
    return block_of(change)


def dead_lettered(connection: Connection, block: Message, now: datetime = NOW + MINUTE) -> None:
    """Have a block's message end as a dead letter without a result."""
    dead_letter = (UUID(block["delivery_id"]), block["round"])
    assert deliveries.mark_dead_letters_failed(connection, rounds=[dead_letter], now=now) == 1
