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
from fairslot.messages.notifications import SourceChanged
from fairslot.messages.readings import Reading
from fairslot.platform import connect_links, time_limit
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings
from fairslot.webhooks import calendar_events

_SQL = queries("sync")
_POLL_SECONDS = 0.05
# The least time between two reads of one calendar that are requested because something changed.
_PAUSE = timedelta(seconds=10)
# After this many failures in a row of a provider's sources its breaker opens, for this long at first.
_MOST_FAILURES = 5
_PROVIDER_PAUSE = timedelta(seconds=60)
# Ten thousand that are all due in one statement would not be claimed within its time on a busy database.
MOST_AT_ONCE = 1_000
_LAST_SECOND = 1.0  # kept for reading the page itself


def due(connection: Connection, *, now: datetime) -> list[FetchRequest]:
    """Claim the sources that are due: each once in an interval, at a moment of its own.

    A source that failed is due as engine.retry_after() says. While the breaker of a provider is open, one of
    its sources is tried at a time.
    """
    values = {
        "now": now,
        "pause": _PROVIDER_PAUSE,
        "interval": _interval(),
        "told_interval": 2 * _interval(),
        "most": MOST_AT_ONCE,
    }
    fetches: list[FetchRequest] = []
    while rows := connection.execute(_SQL["due"], values).fetchall():
        fetches += _fetches(rows, now)
    return fetches


def request(
    connection: Connection, *, tenant_id: str | None, coach_ids: Sequence[str], now: datetime
) -> list[FetchRequest]:
    """Request the calendars of these coaches of a tenant, None: of any, each at most once in ten seconds.

    A request within those ten seconds is delayed until they are over: events come by the hundred while
    somebody tidies up a calendar.
    """
    values = {"now": now, "tenant": tenant_id, "coaches": list(coach_ids), "pause": _PAUSE}
    return _fetches(connection.execute(_SQL["request"], values).fetchall(), now)


def notified(connection: Connection, told: SourceChanged, *, now: datetime) -> list[FetchRequest]:
    """Do what a provider's notification asks for; return the request to read the source, if there is one.

    It is the same as `request`, for one source: at most one reading in ten seconds. What is told by a channel
    that was replaced, or of a source that is gone, asks for nothing.
    """
    values = {
        "source": told.source_id,
        "generation": told.generation,
        "task": told.task,
        "now": now,
        "pause": _PAUSE,
    }
    return _fetches(connection.execute(_SQL["notified"], values).fetchall(), now)


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
    values = {"tenant": tenant_id, "calendars": list(calendar_ids), "interval": _interval(), "now": now}
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


def store(connection: Connection, reading: Reading, *, now: datetime | None = None) -> bool:
    """Store the outcome of a reading; return whether the coach's slots may have changed.

    A failed reading is noted and leaves the slots alone. Events that could not be read count as busy already:
    they are noted and are no failure. Then our own events are compared with what is to be there, and the
    provider is noted, each in a transaction of its own: the provider's row is everybody's.
    """
    changed = False
    values = {
        "coach": reading.coach_id,
        "source": reading.source_id,
        "generation": reading.generation,
        "fetched_at": reading.fetched_at,
        "error": reading.error,
        "after": reading.after,
        "ended": reading.ended,
        "most": _MOST_FAILURES,
        "pause": _PROVIDER_PAUSE,
        "longest": _interval(),
        "interval": _interval(),
        "now": now or reading.fetched_at,
    }
    if reading.free is not None:
        changed = store_free_time(connection, reading, reading.free)
        if reading.source_id is not None:
            calendar_events.compare(
                connection,
                source_id=reading.source_id,
                generation=reading.generation,
                fetched_at=reading.fetched_at,
                free=reading.free,
            )
    else:
        connection.execute(_SQL["failed"], {**values, "reconnect_url": _reconnect_url(reading)})
    if reading.credentials is not None:
        connection.execute(_SQL["renew"], {**values, "credentials": reading.credentials})
    if reading.source_id is not None:
        connection.execute(_SQL["note_provider"], values)
    return changed


def _reconnect_url(reading: Reading) -> str | None:
    """Return the link by which what a reading has disconnected is connected again."""
    if reading.ended != "disconnected" or reading.source_id is None or reading.generation is None:
        return None
    return connect_links.reconnect_url(source_id=reading.source_id, generation=reading.generation)


def _interval() -> timedelta:
    return timedelta(seconds=settings().sync_interval_seconds)


def _fetches(rows: Sequence[dict[str, Any]], now: datetime) -> list[FetchRequest]:
    fetches = []
    for row in rows:
        first, end = horizon_slots(ZoneInfo(row["time_zone"]), now)
        at = row["requested_at"]
        fetches.append(
            FetchRequest(
                coach_id=row["coach_id"],
                kind=row["kind"],
                url=row["url"],
                time_zone=row["time_zone"],
                source_id=row["source_id"],
                generation=row["generation"],
                calendar_ref=row["calendar_ref"],
                credentials=row["credentials"],
                first_slot=first,
                slot_count=end - first,
                requested_at=at.isoformat(),
                delay_seconds=math.ceil((at - now).total_seconds()),
            )
        )
    return fetches
