"""Attempts at deliveries as the dispatcher reports them, and what follows from each."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from fairslot.domain.idempotency import NO_KEY, ChangeResult
from fairslot.messages.attempts import Attempt
from fairslot.platform.db import Connection
from fairslot.webhooks import deliveries, outbox
from tests.support.clock import HOUR, NOW
from tests.support.tables import one_row
from tests.support.team import TENANT

type Message = dict[str, Any]


def attempt_of(message: Message, error: str | None = None, *, at: datetime = NOW, **more: Any) -> Attempt:
    """Return an attempt at a delivery, failed where an `error` is given."""
    values = {
        "attempt": 1,
        "outcome": "delivered" if error is None else "failed",
        "latency_ms": 7,
        "status_code": 200 if error is None else None,
        "error": error,
        "answer": {},
        "round": message.get("round", 1),
        **more,
    }
    return Attempt(
        delivery_id=UUID(message["delivery_id"]),
        event_id=UUID(message["event_id"]),
        kind=message["kind"],
        type=message["type"],
        at=at,
        **values,
    )


def record_attempt(
    connection: Connection,
    message: Message,
    error: str | None = None,
    *,
    at: datetime = NOW,
    **more: Any,
) -> list[Message]:
    """Record an attempt as `attempt_of` makes it; return the messages that follow, those of changes first."""
    made = attempt_of(message, error, at=at, **more)
    recorded = outbox.record(connection, attempt=Attempt.from_json(made.to_json()))
    told = outbox.make_deliveries(connection, limit=1000)
    assert told.events or not recorded.changed
    messages = [*told.messages, *recorded.messages]
    assert json.loads(json.dumps(messages)) == messages
    return messages


def replay_delivery(connection: Connection, message: Message, now: datetime = NOW + HOUR) -> Message:
    """Begin another round of a delivery, as a person or a redrive does; return its message."""
    done = deliveries.replay(
        connection, tenant_id=TENANT, delivery_id=UUID(message["delivery_id"]), key=NO_KEY, now=now
    )
    [sent] = done.messages
    assert sent["round"] == message.get("round", 1) + 1
    return sent


def sweep(connection: Connection, now: datetime) -> list[Message]:
    """Publish again what the queue seems to have lost; return the messages."""
    sent: list[str] = []
    outbox.sweep(connection, send=sent.extend, now=now)
    return [json.loads(one) for one in sent]


def actions(messages: Sequence[Message], action: str) -> list[Message]:
    """Return the messages that ask the calendar for an action."""
    return [one for one in messages if one["data"].get("action") == action]


def block_of(change: ChangeResult) -> Message:
    """Return the message that asks for a change's block."""
    [block] = actions(change.messages, "block")
    return block


def release_of(change: ChangeResult) -> Message:
    """Return the message that asks for the release of a change's block."""
    [release] = actions(change.messages, "release")
    return release


def delivery_state(connection: Connection, message: Message) -> tuple[str, str | None]:
    """Return a delivery's status and reason."""
    row = one_row(
        connection,
        "SELECT status, reason FROM webhook_deliveries WHERE delivery_id = %s",
        (message["delivery_id"],),
    )
    return row["status"], row["reason"]
