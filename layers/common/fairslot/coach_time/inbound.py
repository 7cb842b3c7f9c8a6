"""Inbound events of calendars and partners: stored first, then processed, once for each key."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from fairslot.booking import appointments
from fairslot.coach_time import sync
from fairslot.coach_time.absences import begin_absence, end_absence
from fairslot.coach_time.days import has_coach
from fairslot.coach_time.fetch_requests import send_fetches
from fairslot.domain.errors import IdempotencyKeyReusedError, IllegalTransitionError, NotFoundError
from fairslot.domain.idempotency import NO_KEY, Key
from fairslot.messages.fetches import FetchRequest
from fairslot.platform import after_answer, audit, db
from fairslot.platform.audit import Entry
from fairslot.platform.db import Connection, translate
from fairslot.platform.queries import queries
from fairslot.webhooks.publishing import publish

_SQL = queries("inbound")
# Appointments a transaction changes at most: it locks their calendars, for some milliseconds each.
PORTION = 10
_COACH_EVENTS = {"coach.unavailable", "coach.available", "coach.calendar_changed"}
_COUNTED = ("cancelled", "kept", "reassigned")


@dataclass(frozen=True, kw_only=True)
class Received:
    """A stored event; `fresh` is false for one that was received before."""

    event_id: UUID
    fresh: bool


@dataclass(frozen=True, kw_only=True)
class Consequence:
    """What must be done because of an event: the calendars to read.

    `more`: that was a portion, and the event must be processed again.
    """

    fetches: list[FetchRequest] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class _Step:
    """What one transaction did about an event; without an `outcome`, `progress` says where to go on."""

    outcome: str | None = None
    consequence: Consequence = field(default_factory=Consequence)
    progress: dict[str, Any] = field(default_factory=dict)


def receive(
    connection: Connection, *, tenant_id: str, key: Key, kind: str, body: dict[str, Any], now: datetime
) -> Received:
    """Store an event before anything is done about it.

    Raises:
        IdempotencyKeyReusedError: the key was used for another event.

    """
    values = {
        "tenant": tenant_id,
        "key": key.value,
        "fingerprint": key.fingerprint,
        "type": kind,
        "body": Jsonb(body),
        "origin": audit.origin(key),
        "now": now,
    }
    row = _store(connection, values, tenant_id, key)
    if row is not None:
        return Received(event_id=row["event_id"], fresh=True)
    known = connection.execute(_SQL["known"], values).fetchone()
    if known is None:
        raise NotFoundError
    if bytes(known["fingerprint"]) != key.fingerprint:
        raise IdempotencyKeyReusedError
    return Received(event_id=known["event_id"], fresh=False)


def _store(connection: Connection, values: dict[str, Any], tenant_id: str, key: Key) -> dict[str, Any] | None:
    """Store an event, with its entry in the audit, unless its key is known."""
    with connection.transaction():
        row = connection.execute(_SQL["receive"], values).fetchone()
        if row is not None and key.origin is not None:
            entry = Entry(
                resource="calendar_event",
                resource_id=str(row["event_id"]),
                action="received",
                after={"event_type": values["type"]},
            )
            audit.act_for(connection, key)
            audit.write(connection, tenant_id=tenant_id, entries=[entry], now=values["now"])
    return row


def process(connection: Connection, *, event_id: UUID, now: datetime) -> Consequence:
    """Process a stored event, or the next portion of it, unless that is done or somebody else is doing it.

    The changes and the progress are one transaction, so that another process can go on after a crash.
    """
    with connection.transaction():
        row = connection.execute(_SQL["claim"], {"event": event_id}).fetchone()
        if row is None:
            return Consequence()
        audit.act_for(connection, replace(NO_KEY, origin=row["origin"]))
        step = _act(connection, row, now)
        values = {"event": event_id, "outcome": step.outcome, "progress": Jsonb(step.progress), "now": now}
        connection.execute(_SQL["note_progress" if step.outcome is None else "processed"], values)
    return step.consequence


def left_over(connection: Connection, *, before: datetime) -> list[UUID]:
    """Return the events that were received before an instant and never processed."""
    return [row["event_id"] for row in connection.execute(_SQL["left_over"], {"before": before})]


def _act(connection: Connection, event: dict[str, Any], now: datetime) -> _Step:
    if event["type"] == "appointment.cancelled":
        return _cancel(connection, event, now)
    if event["type"] not in _COACH_EVENTS:
        return _Step(outcome="noted")
    tenant_id, coach_id, (start, end) = event["tenant_id"], event["body"]["coach_id"], _times(event["body"])
    own = {"tenant_id": tenant_id, "coach_id": coach_id}
    if not has_coach(connection, **own):
        return _Step(outcome="not_found")
    outcome = "sync"
    if start and end and event["type"] == "coach.unavailable":
        if event["progress"] is None:
            # The time is closed in a transaction of its own, so that nothing new is booked meanwhile.
            event_id = event["event_id"]
            begin_absence(connection, **own, start=start, end=end, event_id=event_id)
            return _Step(consequence=Consequence(more=True), progress={"after": None})
        step = _release_next(connection, event, now)
        if step.consequence.more:
            return step
        outcome = _counts(event["progress"])
    elif start and end and event["type"] == "coach.available":
        end_absence(connection, **own, start=start, end=end)
    fetches = sync.request(connection, tenant_id=tenant_id, coach_ids=[coach_id], now=now)
    return _Step(outcome=outcome, consequence=Consequence(fetches=fetches))


def _times(body: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    start, end = (body.get(name) for name in ("start_time", "end_time"))
    return start and datetime.fromisoformat(start), end and datetime.fromisoformat(end)


def _release_next(connection: Connection, event: dict[str, Any], now: datetime) -> _Step:
    """Keep, reassign or cancel the absent coach's next appointments, as their calendars' policies say."""
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
    done: dict[str, Any] = row["done"] if row else {"after": None}
    counts = {name: progress.get(name, 0) + done.get(name, 0) for name in _COUNTED}
    more = Consequence(more=done["after"] is not None)
    return _Step(consequence=more, progress={"after": done["after"], **counts})


def _counts(progress: dict[str, Any]) -> str:
    return ", ".join(f"{name} {progress[name]}" for name in _COUNTED if progress.get(name)) or "sync"


def _cancel(connection: Connection, event: dict[str, Any], now: datetime) -> _Step:
    try:
        with connection.transaction():
            appointments.cancel(
                connection,
                tenant_id=event["tenant_id"],
                appointment_id=UUID(event["body"]["appointment_id"]),
                by="system",
                reason=event["body"].get("reason"),
                key=NO_KEY,
                now=now,
            )
    except psycopg.DatabaseError as error:
        meant = translate(error)
        if isinstance(meant, NotFoundError | IllegalTransitionError):
            return _Step(outcome=meant.code.lower())
        raise
    return _Step(outcome="cancelled")


def act_on(event_id: UUID, *, now: datetime) -> None:
    """Process an inbound event, portion by portion, and send what follows from each."""
    more = True
    while more:
        done = db.run(lambda connection: process(connection, event_id=event_id, now=now))
        after_answer.run(publish)
        after_answer.run(partial(send_fetches, done.fetches))
        more = done.more
