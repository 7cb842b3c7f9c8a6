"""Events of calendars about a coach's time: received, and processed step by step."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fairslot.coach_time import inbound
from fairslot.domain.idempotency import Key, fingerprint
from fairslot.platform.db import Connection
from tests.support.clock import HOUR, NINE, NOW
from tests.support.tables import one_row
from tests.support.team import TENANT


def receive_event(
    connection: Connection,
    kind: str = "coach.unavailable",
    *,
    coach_id: str = "ana",
    key: str = "k",
    now: datetime = NOW,
    **body: Any,
) -> UUID:
    """Receive an event about a coach's time, nine to twelve unless `body` says another; return its id."""
    times = {"start_time": NINE.isoformat(), "end_time": (NINE + 3 * HOUR).isoformat()}
    event = {"event_type": kind, "coach_id": coach_id, **times, **body}
    received = inbound.receive(
        connection,
        tenant_id=TENANT,
        key=Key(value=key, fingerprint=fingerprint("event", event)),
        kind=kind,
        body=event,
        now=now,
    )
    return received.event_id


def process_event(
    connection: Connection, event_id: UUID, *, most: int = 1000, now: datetime = NOW
) -> list[inbound.Consequence]:
    """Process an event in so many steps at most; return what came of each."""
    done: list[inbound.Consequence] = []
    while len(done) < most and (not done or done[-1].more):
        done.append(inbound.process(connection, event_id=event_id, now=now))
    return done


def event_outcome(connection: Connection, event_id: UUID) -> str | None:
    """Return what came of an event; None while it is not processed."""
    row = one_row(connection, "SELECT outcome FROM inbound_events WHERE event_id = %s", (event_id,))
    outcome: str | None = row["outcome"]
    return outcome
