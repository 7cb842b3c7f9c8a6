"""Outbox: what is published after a commit, what the sweep publishes later, and the attempts' results."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from fairslot.messages.attempts import Attempt
from fairslot.platform import connect_links
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings
from fairslot.webhooks import calendar_events

_SQL = queries("outbox")
# The most messages that are sent in one transaction.
SWEEP = 100
LOOKUP_INTERVAL = timedelta(days=1)


class Made(NamedTuple):
    """How many events were told of, and the messages of their deliveries."""

    events: int
    messages: list[dict[str, Any]]


class Recorded(NamedTuple):
    """What follows from an attempt: `messages` to publish and the coach whose calendar it changed.

    `changed`: whether there is a change to tell of. `outdated`: the receipt handle of the message that asked
    for the attempt, if it must be deleted.
    """

    messages: list[dict[str, Any]]
    changed: bool
    coach_id: str | None
    outdated: str | None


type Send = Callable[[Sequence[str]], None]


def make_deliveries(connection: Connection, *, limit: int) -> Made:
    """Make the deliveries of the oldest events that have none, durably; several processes share the work."""
    made = _make_deliveries(connection, limit=limit, alone=False)
    return made or Made(0, [])


def _make_deliveries(connection: Connection, *, limit: int, alone: bool) -> Made | None:
    row = connection.execute(_SQL["make_deliveries"], {"limit": limit, "alone": alone}).fetchone()
    return None if row is None or row["events"] is None else Made(**row)


def publish(connection: Connection, *, messages: Sequence[dict[str, Any]], send: Send, now: datetime) -> bool:
    """Send the messages of committed deliveries, then mark them as published.

    After a crash in between the sweep sends them again, which receivers recognize by the event's id. Returns
    whether there are events without deliveries.
    """
    if messages:
        send([json.dumps(message) for message in messages])
    values = {"deliveries": [message["delivery_id"] for message in messages], "now": now}
    row = connection.execute(_SQL["mark_published"], values).fetchone()
    return bool(row and row["has_more"])


def tell_all(
    connection: Connection, *, messages: Sequence[dict[str, Any]], send: Send, now: datetime, deadline: float
) -> None:
    """Publish messages, and tell of every event that has no deliveries, unless another process is doing that.

    Whoever finds another one at it leaves its events to that one, which looks again after it: so under load
    there are few large batches instead of many small ones. After `deadline` (monotonic clock) others may
    take over, and this process looks a last time.
    """
    is_last = False
    while True:
        is_last = is_last or time.monotonic() >= deadline
        made = _make_deliveries(connection, limit=SWEEP, alone=not is_last)
        if made is None and not messages:
            return
        told = [*messages, *(made.messages if made else ())]
        has_more = publish(connection, messages=told, send=send, now=now)
        if made is None or is_last or not has_more:
            return
        messages = ()
        is_last = made.events == 0  # the rest is in other hands, or came while this one looked


def tell(connection: Connection, *, send: Send, now: datetime, limit: int = SWEEP) -> Made:
    """Make deliveries as `make_deliveries` does and publish them.

    What is made and then not published, for whatever reason, the sweep sends.
    """
    made = make_deliveries(connection, limit=limit)
    if made.messages:
        publish(connection, messages=made.messages, send=send, now=now)
    return made


def sweep(connection: Connection, *, send: Send, now: datetime, limit: int = SWEEP) -> int:
    """Send deliveries that are not on the queue, or overdue there; return how many.

    They are claimed by state under row locks, not in the order of ids, so that none that commits late is
    missed. The mark is committed only after the queue has taken the messages.
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
                _SQL["mark_sent"], {"deliveries": [row["delivery_id"] for row in rows], "now": now}
            )
    return len(rows)


def sweep_all(connection: Connection, *, send: Send, now: datetime, deadline: float) -> int:
    """Tell and sweep until nothing is left or `deadline` (monotonic clock) has passed.

    Deliveries to disabled endpoints are ended first, and those made that coaches' calendars are due. Returns
    how many messages were sent.
    """
    before = now - timedelta(seconds=settings().redeliver_after_seconds)
    connection.execute(_SQL["end_disabled"], {"now": now, "overdue_before": before})
    made = tell(connection, send=send, now=now)
    sent = len(made.messages)
    while made.events == SWEEP and time.monotonic() < deadline:
        made = tell(connection, send=send, now=now)
        sent += len(made.messages)
    sent += _send_calendar_events(connection, send=send, now=now, deadline=deadline)
    while True:
        swept = sweep(connection, send=send, now=now, limit=SWEEP)
        sent += swept
        if swept < SWEEP or time.monotonic() >= deadline:
            return sent


def _send_calendar_events(connection: Connection, *, send: Send, now: datetime, deadline: float) -> int:
    sent, made = 0, SWEEP
    while made == SWEEP and (time.monotonic() < deadline or not sent):
        messages = calendar_events.send_due(connection, limit=SWEEP)
        if messages:
            publish(connection, messages=messages, send=send, now=now)
        made = len(messages)
        sent += made
    return sent


def look_for_blocks(connection: Connection, *, now: datetime) -> list[dict[str, Any]]:
    """Write lookups for unconfirmed blocks that are no longer needed; return the messages.

    A partner without a list is asked again after LOOKUP_INTERVAL, as it may have one by then.
    """
    values = {
        "now": now,
        "looked_before": now - LOOKUP_INTERVAL,
        "overdue_before": now - timedelta(seconds=settings().redeliver_after_seconds),
        "limit": SWEEP,
    }
    row = connection.execute(_SQL["look_for_blocks"], values).fetchone()
    messages: list[dict[str, Any]] = row["messages"] if row else []
    return messages


def unconfirmed_blocks(connection: Connection, *, now: datetime) -> int:
    """Return how many current or future blocks may be in coaches' calendars under an id that is lost."""
    row = connection.execute(_SQL["unconfirmed_blocks"], {"now": now}).fetchone()
    return int(row["n"]) if row else 0


def emit_stale(connection: Connection, *, now: datetime) -> None:
    """Write an event for each external calendar that has become stale.

    One failed reading is no event: the last good one must be older than `STALE_AFTER_SECONDS`. There is one
    event until the calendar is read again.
    """
    before = now - timedelta(seconds=settings().stale_after_seconds)
    connection.execute(_SQL["emit_stale"], {"before": before, "now": now})


def waiting(connection: Connection, *, now: datetime) -> int:
    """Return how many deliveries and events should be on the queue and are not."""
    before = now - timedelta(seconds=settings().outbox_grace_seconds)
    row = connection.execute(_SQL["waiting"], {"unpublished_before": before}).fetchone()
    return int(row["n"]) if row else 0


def _answer(attempt: Attempt) -> dict[str, str | None]:
    """Return what is kept of an answer, with the link to connect a calendar again that it ends."""
    answer = dict[str, str | None](attempt.answer)
    source_id, generation = answer.get("source_id"), answer.get("source_generation")
    if "ended" in answer and source_id and generation:
        answer["reconnect_url"] = connect_links.reconnect_url(
            source_id=UUID(source_id), generation=int(generation)
        )
    return answer


def record(connection: Connection, *, attempt: Attempt) -> Recorded:
    """Record one attempt at a delivery, or that it was held back; return what follows."""
    values = {
        **asdict(attempt),
        # A message that cannot be deleted must go on: a replacement would be a second one.
        "revision": attempt.revision if attempt.receipt_handle else None,
        "answer": Jsonb(_answer(attempt)),
        "warn_after": timedelta(days=settings().endpoint_warning_days),
        "disable_after": timedelta(days=settings().endpoint_disable_days),
    }
    row = connection.execute(_SQL["record_attempt"], values).fetchone()
    nothing = {"messages": [], "changed": False, "sync": None, "drop": False}
    done: dict[str, Any] = row["done"] if row else nothing
    return Recorded(
        messages=done["messages"],
        changed=done["changed"],
        coach_id=done["sync"],
        outdated=attempt.receipt_handle if done["drop"] else None,
    )
