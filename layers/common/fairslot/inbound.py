"""What calendars and partners tell us: kept first, then acted on, once for each key."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from fairslot import bookings, sync
from fairslot.db import Connection, translate
from fairslot.errors import IdempotencyKeyReusedError, IllegalTransitionError, NotFoundError
from fairslot.idempotency import Key
from fairslot.queries import queries

_SQL = queries("inbound")


@dataclass(frozen=True, kw_only=True)
class Received:
    """An event as it is kept; `fresh` is false for one that had come before."""

    event_id: UUID
    fresh: bool


@dataclass(frozen=True, kw_only=True)
class Consequence:
    """What must be sent because of an event: messages of the outbox and calendars to read."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    fetches: list[sync.Fetch] = field(default_factory=list)


def receive(
    connection: Connection, *, tenant_id: str, key: Key, kind: str, body: dict[str, Any], now: datetime
) -> Received:
    """Keep an event before anything is done about it.

    Raises:
        IdempotencyKeyReusedError: the key came with another event.

    """
    values = {
        "tenant": tenant_id,
        "key": key.value,
        "fingerprint": key.fingerprint,
        "type": kind,
        "body": Jsonb(body),
        "now": now,
    }
    row = connection.execute(_SQL["receive"], values).fetchone()
    if row is not None:
        return Received(event_id=row["event_id"], fresh=True)
    known = connection.execute(_SQL["known"], values).fetchone()
    if known is None:
        raise NotFoundError
    if bytes(known["fingerprint"]) != key.fingerprint:
        raise IdempotencyKeyReusedError
    return Received(event_id=known["event_id"], fresh=False)


def process(connection: Connection, *, event_id: UUID, now: datetime) -> Consequence:
    """Act on a kept event, unless that is done or being done by another; both happen in one transaction."""
    with connection.transaction():
        row = connection.execute(_SQL["claim"], {"event": event_id}).fetchone()
        if row is None:
            return Consequence()
        outcome, consequence = _act(connection, row, now)
        connection.execute(_SQL["processed"], {"event": event_id, "outcome": outcome, "now": now})
    return consequence


def left_over(connection: Connection, *, before: datetime) -> list[UUID]:
    """Return the events that were kept before an instant and never acted on."""
    return [row["event_id"] for row in connection.execute(_SQL["left_over"], {"before": before})]


def _act(connection: Connection, event: dict[str, Any], now: datetime) -> tuple[str, Consequence]:
    body = event["body"]
    match event["type"]:
        case "appointment.cancelled":
            return _cancel(connection, event, now)
        case "coach.calendar_changed" | "coach.unavailable":
            coach_id = body["coach_id"]
            if not sync.owns(connection, tenant_id=event["tenant_id"], coach_id=coach_id):
                return "not_found", Consequence()
            outcome: str = "sync"
            messages: list[dict[str, Any]] = []
            if event["type"] == "coach.unavailable" and body.get("start_time") and body.get("end_time"):
                outcome, messages = _give_up(connection, event, now)
            fetches = sync.request(connection, coach_ids=[coach_id], now=now)
            return outcome, Consequence(messages=messages, fetches=fetches)
        case _:
            return "noted", Consequence()


def _give_up(
    connection: Connection, event: dict[str, Any], now: datetime
) -> tuple[str, list[dict[str, Any]]]:
    """Shut a coach's time and do with each appointment in it what its calendar's policy says."""
    body = event["body"]
    values = {
        "tenant": event["tenant_id"],
        "coach": body["coach_id"],
        "from": datetime.fromisoformat(body["start_time"]),
        "to": datetime.fromisoformat(body["end_time"]),
        "reason": body.get("reason"),
        "now": now,
    }
    row = connection.execute(_SQL["give_up_time"], values).fetchone()
    done = row["done"] if row else {}
    messages: list[dict[str, Any]] = done.pop("messages")
    counts = [f"{name} {number}" for name, number in done.items() if number]
    return ", ".join(sorted(counts)) or "sync", messages


def _cancel(connection: Connection, event: dict[str, Any], now: datetime) -> tuple[str, Consequence]:
    try:
        with connection.transaction():
            done = bookings.cancel(
                connection,
                tenant_id=event["tenant_id"],
                appointment_id=UUID(event["body"]["appointment_id"]),
                by="system",
                reason=event["body"].get("reason"),
                key=Key(value=None, fingerprint=b""),
                now=now,
            )
    except psycopg.DatabaseError as error:
        said = translate(error)
        if isinstance(said, NotFoundError | IllegalTransitionError):
            return said.code.lower(), Consequence()
        raise
    return "cancelled", Consequence(messages=done.messages)
