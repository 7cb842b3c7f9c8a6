"""Retention: settled events are deleted after `KEEP_EVENTS_DAYS`, as they hold customer data."""

import time
from datetime import datetime, timedelta
from uuid import UUID

from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

# Rows per statement, each of which is a transaction of its own.
PORTION = 1_000

_SQL = queries("retention")


def delete_settled(connection: Connection, *, now: datetime, deadline: float) -> dict[str, int]:
    """Delete events and deliveries settled longer ago than that; return how many rows of each kind.

    Pending ones stay, however old, and so do the decision that was made with an event and the audit's entry:
    `decided` counts the rows of which nothing else is left. Ends early when `deadline` (monotonic clock) has
    passed; the next run goes on.
    """
    before = now - timedelta(days=settings().keep_events_days)
    # Ids begin with the milliseconds (UUID version 7), so the primary key finds what is old.
    values = {"before": before, "first": UUID(int=int(before.timestamp() * 1000) << 80), "portion": PORTION}
    deleted = {}
    for kind in ("deliveries", "events", "decided", "inbound", "calendar_events"):
        deleted[kind], rows = 0, PORTION
        while rows == PORTION and (time.monotonic() < deadline or not deleted[kind]):
            rows = db.number(connection, _SQL[kind], values)
            deleted[kind] += rows
    return deleted
