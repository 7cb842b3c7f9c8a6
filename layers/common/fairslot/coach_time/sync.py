"""Which external calendars are read when, and what is stored of a reading.

This side has the database and no internet. A function with internet and no database does the reading, and
queues lie between the two.
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fairslot.coach_time.days import horizon_slots, store_free_time
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import Reading
from fairslot.platform import time_limit
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("sync")
_POLL_SECONDS = 0.05
# The least time between two reads of one calendar that are requested because something changed.
_PAUSE = timedelta(seconds=10)
_LAST_SECOND = 1.0  # kept for reading the page itself


def due(connection: Connection, *, now: datetime) -> list[FetchRequest]:
    """Claim the coaches whose calendar was not requested within the sync interval."""
    before = now - timedelta(seconds=settings().sync_interval_seconds)
    return _fetches(connection.execute(_SQL["due"], {"now": now, "before": before}).fetchall(), now)


def request(
    connection: Connection, *, tenant_id: str | None, coach_ids: Sequence[str], now: datetime
) -> list[FetchRequest]:
    """Request the calendars of these coaches of a tenant, None: of any, each at most once in ten seconds.

    A request within those ten seconds is delayed until they are over: events come by the hundred while
    somebody tidies up a calendar.
    """
    values = {"now": now, "tenant": tenant_id, "coaches": list(coach_ids), "pause": _PAUSE}
    return _fetches(connection.execute(_SQL["request"], values).fetchall(), now)


def await_first(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_ids: Sequence[str],
    send: Callable[[list[FetchRequest]], None],
    now: datetime,
) -> None:
    """Request the calendars of coaches that were never read, and wait a limited time for the readings.

    The first caller sends the requests; everybody waits at most `first_sync_wait_seconds` from then on, so a
    calendar that never answers costs one wait. The last second of the time limit is never waited away.
    """
    values = {"tenant": tenant_id, "calendars": list(calendar_ids), "now": now}
    fresh = connection.execute(_SQL["claim_first"], values).fetchall()
    if fresh:
        send(_fetches(fresh, now))
    limit = settings().first_sync_wait_seconds
    end = time.monotonic() + min(limit, time_limit.left() - _LAST_SECOND)
    while time.monotonic() < end:
        row = connection.execute(_SQL["pending_first"], values).fetchone()
        if row is None or not row["pending"] or now - row["since"] > timedelta(seconds=limit):
            return
        time.sleep(_POLL_SECONDS)


def store(connection: Connection, reading: Reading) -> bool:
    """Store the outcome of a reading; return whether the coach's slots may have changed.

    A failed reading is noted and leaves the slots alone. Events that could not be read count as busy already:
    they are noted and are no failure.
    """
    if reading.free is None:
        values = {"coach": reading.coach_id, "fetched_at": reading.fetched_at, "error": reading.error}
        connection.execute(_SQL["failed"], values)
        return False
    return store_free_time(
        connection, coach_id=reading.coach_id, fetched_at=reading.fetched_at, free=reading.free
    )


def _fetches(rows: Sequence[dict[str, Any]], now: datetime) -> list[FetchRequest]:
    fetches = []
    for row in rows:
        first, end = horizon_slots(ZoneInfo(row["time_zone"]), now)
        at = row.get("requested_at", now)
        fetches.append(
            FetchRequest(
                coach_id=row["coach_id"],
                kind=row["calendar_kind"],
                url=row["calendar_url"],
                time_zone=row["time_zone"],
                first_slot=first,
                slot_count=end - first,
                requested_at=at.isoformat(),
                delay_seconds=math.ceil((at - now).total_seconds()),
            )
        )
    return fetches
