"""What calendars and partners tell us: kept first, then acted on, once for each key."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from fairslot.booking import appointments
from fairslot.coach_time import sync
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.domain.errors import IdempotencyKeyReusedError, IllegalTransitionError, NotFoundError
from fairslot.domain.idempotency import NO_KEY, Key
from fairslot.messages.fetches import FetchRequest
from fairslot.platform import db
from fairslot.platform.db import Connection, translate
from fairslot.platform.queries import queries
from fairslot.webhooks.publishing import publish

_SQL = queries("inbound")
# How many appointments are acted on in one transaction: it holds their calendars, some milliseconds for each.
PORTION = 10
_COACH_EVENTS = {"coach.unavailable", "coach.available", "coach.calendar_changed"}
_COUNTED = ("cancelled", "kept", "reassigned")


@dataclass(frozen=True, kw_only=True)
class Received:
    """An event as it is kept; `fresh` is false for one that had come before."""

    event_id: UUID
    fresh: bool


@dataclass(frozen=True, kw_only=True)
class Consequence:
    """What must be sent because of an event: messages of the outbox and calendars to read.

    `more`: that was a portion, and the event is to be acted on again.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    fetches: list[FetchRequest] = field(default_factory=list)
    more: bool = False


# An outcome, None while there is more to do; what follows; how far the event has come.
type _Step = tuple[str | None, Consequence, dict[str, Any]]


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
    """Act on a kept event, or on the next portion of it, unless that is done or being done by another.

    What is done and the note of it are one transaction, so that anybody can go on where another died.
    """
    with connection.transaction():
        row = connection.execute(_SQL["claim"], {"event": event_id}).fetchone()
        if row is None:
            return Consequence()
        outcome, consequence, progress = _act(connection, row, now)
        values = {"event": event_id, "outcome": outcome, "progress": Jsonb(progress), "now": now}
        connection.execute(_SQL["note_progress" if consequence.more else "processed"], values)
    return consequence


def left_over(connection: Connection, *, before: datetime) -> list[UUID]:
    """Return the events that were kept before an instant and never acted on."""
    return [row["event_id"] for row in connection.execute(_SQL["left_over"], {"before": before})]


def _act(connection: Connection, event: dict[str, Any], now: datetime) -> _Step:
    if event["type"] == "appointment.cancelled":
        return *_cancel(connection, event, now), {}
    if event["type"] not in _COACH_EVENTS:
        return "noted", Consequence(), {}
    coach_id, (start, end) = event["body"]["coach_id"], _times(event["body"])
    if not sync.owns(connection, tenant_id=event["tenant_id"], coach_id=coach_id):
        return "not_found", Consequence(), {}
    outcome = "sync"
    if start and end and event["type"] == "coach.unavailable":
        if event["progress"] is None:
            # First of all nothing new gets in; what is there follows.
            event_id = event["event_id"]
            sync.begin_absence(connection, coach_id=coach_id, start=start, end=end, event_id=event_id)
            return None, Consequence(more=True), {"after": None}
        step = _release_next(connection, event, now)
        if step[1].more:
            return step
        outcome = _counts(event["progress"])
    elif start and end and event["type"] == "coach.available":
        sync.end_absence(connection, coach_id=coach_id, start=start, end=end)
    return outcome, Consequence(fetches=sync.request(connection, coach_ids=[coach_id], now=now)), {}


def _times(body: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    start, end = (body.get(name) for name in ("start_time", "end_time"))
    return start and datetime.fromisoformat(start), end and datetime.fromisoformat(end)


def _release_next(connection: Connection, event: dict[str, Any], now: datetime) -> _Step:
    """Do with the next appointments of a coach who is not there what their calendars' policies say."""
    body, progress = event["body"], event["progress"]
    start, end = _times(body)
    values = {
        "tenant": event["tenant_id"],
        "coach": body["coach_id"],
        "from": start,
        "to": end,
        "after": progress["after"],
        "most": PORTION,
        "reason": body.get("reason"),
        "now": now,
    }
    row = connection.execute(_SQL["release_next_appointments"], values).fetchone()
    done: dict[str, Any] = row["done"] if row else {"after": None, "messages": []}
    counts = {name: progress.get(name, 0) + done.get(name, 0) for name in _COUNTED}
    consequence = Consequence(messages=done["messages"], more=done["after"] is not None)
    return None, consequence, {"after": done["after"], **counts}


def _counts(progress: dict[str, Any]) -> str:
    return ", ".join(f"{name} {progress[name]}" for name in _COUNTED if progress.get(name)) or "sync"


def _cancel(connection: Connection, event: dict[str, Any], now: datetime) -> tuple[str, Consequence]:
    try:
        with connection.transaction():
            done = appointments.cancel(
                connection,
                tenant_id=event["tenant_id"],
                appointment_id=UUID(event["body"]["appointment_id"]),
                by="system",
                reason=event["body"].get("reason"),
                key=NO_KEY,
                now=now,
            )
    except psycopg.DatabaseError as error:
        said = translate(error)
        if isinstance(said, NotFoundError | IllegalTransitionError):
            return said.code.lower(), Consequence()
        raise
    return "cancelled", Consequence(messages=done.messages)


def act_on(event_id: UUID, *, now: datetime) -> None:
    """Act on an inbound event, portion by portion, and send what follows from each."""
    more = True
    while more:
        done = db.run(lambda connection: process(connection, event_id=event_id, now=now))
        publish(done.messages)
        send_fetches(done.fetches)
        more = done.more
