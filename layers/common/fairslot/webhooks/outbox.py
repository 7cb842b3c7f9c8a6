"""From the outbox to the queue: at once after the commit, and by a sweep for what did not get there."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from fairslot.messages.attempts import Attempt
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("outbox")
# Messages that are handed to the queue inside one transaction.
SWEEP = 100
LOOK_AGAIN = timedelta(days=1)


class Recorded(NamedTuple):
    """What follows from an attempt.

    The messages to publish, the coach whose calendar changed by it, if any, and the receipt handle of the
    message that asked for it, if that is to be taken off the queue.
    """

    messages: list[dict[str, Any]]
    coach_id: str | None
    dropped: str | None


type Send = Callable[[Sequence[str]], None]


def publish(connection: Connection, *, messages: Sequence[dict[str, Any]], send: Send, now: datetime) -> None:
    """Send messages of a change that is committed, then note that they are on the queue.

    Dying between the two steps means that the sweep sends them again, which receivers tell by the event's id.
    """
    if not messages:
        return
    send([json.dumps(message) for message in messages])
    connection.execute(
        _SQL["mark_published"], {"deliveries": [message["delivery_id"] for message in messages], "now": now}
    )


def sweep(connection: Connection, *, send: Send, now: datetime, limit: int = SWEEP) -> int:
    """Send what is committed and not on the queue, and what the queue seems to have lost; return how many.

    Deliveries are claimed by their state under row locks, never by an id's order, so one that commits late is
    not passed over; the note is only committed after the queue has taken the messages.
    """
    values = {
        "now": now,
        "unpublished_before": now - timedelta(seconds=settings().outbox_grace_seconds),
        "overdue_before": now - timedelta(seconds=settings().redeliver_after_seconds),
        "limit": limit,
    }
    with connection.transaction():
        rows = connection.execute(_SQL["claim"], values).fetchall()
        if rows:
            send([json.dumps(row["message"]) for row in rows])
            connection.execute(
                _SQL["note_sent"], {"deliveries": [row["delivery_id"] for row in rows], "now": now}
            )
    return len(rows)


def sweep_all(connection: Connection, *, send: Send, now: datetime, deadline: float) -> int:
    """Sweep until nothing is left or `deadline`, of the monotonic clock, has passed; say how many were sent.

    What waits for endpoints that are turned off is given up first.
    """
    before = now - timedelta(seconds=settings().redeliver_after_seconds)
    connection.execute(_SQL["give_up"], {"now": now, "overdue_before": before})
    sent = 0
    while True:
        done = sweep(connection, send=send, now=now, limit=SWEEP)
        sent += done
        if done < SWEEP or time.monotonic() >= deadline:
            return sent


def look_for_blocks(connection: Connection, *, now: datetime) -> list[dict[str, Any]]:
    """Have blocks looked for that nobody wants and whose making was never confirmed; return the messages.

    A partner without a list is asked again after LOOK_AGAIN, as it may have one by then.
    """
    values = {"now": now, "looked_before": now - LOOK_AGAIN, "limit": SWEEP}
    row = connection.execute(_SQL["look_for_blocks"], values).fetchone()
    messages: list[dict[str, Any]] = row["messages"] if row else []
    return messages


def unconfirmed_blocks(connection: Connection, *, now: datetime) -> int:
    """Return how many blocks may be in coaches' calendars, now or later, without our knowing the id."""
    row = connection.execute(_SQL["unconfirmed_blocks"], {"now": now}).fetchone()
    return int(row["n"]) if row else 0


def tell_stale(connection: Connection, *, now: datetime) -> list[dict[str, Any]]:
    """Write an event for each external calendar that has become stale; return the messages for the queue.

    A reading that fails once is no event: the calendar's knowledge has to be older than
    `STALE_AFTER_SECONDS`, and is told of once until it is read again.
    """
    before = now - timedelta(seconds=settings().stale_after_seconds)
    row = connection.execute(_SQL["tell_stale"], {"before": before, "now": now}).fetchone()
    messages: list[dict[str, Any]] = row["messages"] if row else []
    return messages


def waiting(connection: Connection, *, now: datetime) -> int:
    """Return how many deliveries should be on the queue and are not."""
    before = now - timedelta(seconds=settings().outbox_grace_seconds)
    row = connection.execute(_SQL["waiting"], {"unpublished_before": before}).fetchone()
    return int(row["n"]) if row else 0


def record(connection: Connection, *, attempt: Attempt) -> Recorded:
    """Record one attempt at a delivery, or that it is held back; return what follows from it."""
    values = {
        **asdict(attempt),
        # A message that cannot be taken off goes on: another one in its place would be one more.
        "revision": attempt.revision if attempt.receipt_handle else None,
        "answer": Jsonb(dict(attempt.answer)),
        "warn_after": timedelta(days=settings().endpoint_warning_days),
        "disable_after": timedelta(days=settings().endpoint_disable_days),
    }
    row = connection.execute(_SQL["record_attempt"], values).fetchone()
    done = row["done"] if row else {"messages": [], "sync": None, "drop": False}
    return Recorded(done["messages"], done["sync"], attempt.receipt_handle if done["drop"] else None)
