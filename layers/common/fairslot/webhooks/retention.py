"""Events that are settled are kept for a time and then forgotten: they name customers, and serve nobody."""

import time
from datetime import datetime, timedelta
from uuid import UUID

from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

# Rows that one statement deletes, each in a transaction of its own.
PORTION = 1_000

_SQL = queries("forgetting")


def delete_settled(connection: Connection, *, now: datetime, deadline: float) -> dict[str, int]:
    """Delete what was settled before the time that events are kept for; return how many rows of each kind.

    What is pending stays, however old. Ends early when `deadline`, of the monotonic clock, has passed: the
    next time goes on.
    """
    before = now - timedelta(days=settings().keep_events_days)
    # Ids begin with the milliseconds (UUID version 7), so the primary key finds what is old.
    values = {"before": before, "first": UUID(int=int(before.timestamp() * 1000) << 80), "portion": PORTION}
    deleted = {}
    for kind in ("deliveries", "events", "inbound"):
        deleted[kind], done = 0, PORTION
        while done == PORTION and (time.monotonic() < deadline or not deleted[kind]):
            done = connection.execute(_SQL[kind], values).rowcount
            deleted[kind] += done
    return deleted
