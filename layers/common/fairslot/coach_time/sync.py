"""Which external calendars are read when, and what is stored of a reading.

This side has the database and no internet. A function with internet and no database does the reading, and
queues lie between the two.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fairslot.coach_time.days import horizon_slots, store_free_time
from fairslot.domain.slots import bits_of_hex
from fairslot.platform import deadline
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("sync")
_POLL_SECONDS = 0.05
# The least time between two reads of one calendar that are requested because something changed.
_PAUSE = timedelta(seconds=10)
_LAST_SECOND = 1.0  # kept for reading the page itself


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """A request to read one coach's calendar, as the fetches queue carries it.

    `requested_at` is the earliest time to read it, `delay_seconds` how far ahead that is.
    """

    coach_id: str
    kind: str
    url: str | None
    time_zone: str
    first_slot: int
    slot_count: int
    requested_at: str
    delay_seconds: int = 0

    def to_json(self) -> str:
        """Write the message's body, without the delay: the queue applies it."""
        body = asdict(self)
        del body["delay_seconds"]
        return json.dumps(body)


def due(connection: Connection, *, now: datetime) -> list[Fetch]:
    """Claim the coaches whose calendar was not requested within the sync interval."""
    before = now - timedelta(seconds=settings().sync_interval_seconds)
    return _fetches(connection.execute(_SQL["due"], {"now": now, "before": before}).fetchall(), now)


def request(connection: Connection, *, coach_ids: Sequence[str], now: datetime) -> list[Fetch]:
    """Request the calendars of these coaches, each at most once in ten seconds.

    A request within those ten seconds is delayed until they are over: events come by the hundred while
    somebody tidies up a calendar.
    """
    values = {"now": now, "coaches": list(coach_ids), "pause": _PAUSE}
    return _fetches(connection.execute(_SQL["request"], values).fetchall(), now)


def await_first(
    connection: Connection,
    *,
    calendar_ids: Sequence[str],
    send: Callable[[list[Fetch]], None],
    now: datetime,
) -> None:
    """Request the calendars of coaches that were never read, and wait a limited time for the readings.

    The first caller sends the requests; everybody waits at most `first_sync_wait_seconds` from then on, so a
    calendar that never answers costs one wait. The last second of the time limit is never waited away.
    """
    values = {"calendars": list(calendar_ids), "now": now}
    fresh = connection.execute(_SQL["claim_first"], values).fetchall()
    if fresh:
        send(_fetches(fresh, now))
    limit = settings().first_sync_wait_seconds
    end = time.monotonic() + min(limit, deadline.left() - _LAST_SECOND)
    while time.monotonic() < end:
        row = connection.execute(_SQL["pending_first"], values).fetchone()
        if row is None or not row["pending"] or now - row["since"] > timedelta(seconds=limit):
            return
        time.sleep(_POLL_SECONDS)


def store(connection: Connection, result: dict[str, Any]) -> bool:
    """Store the outcome of a reading; return whether the coach's slots may have changed.

    `result` is a message of the fetched queue. A failed reading is noted and leaves the slots alone. Events
    that could not be read count as busy already: they are noted and are no failure.
    """
    values = {"coach": result["coach_id"], "fetched_at": datetime.fromisoformat(result["fetched_at"])}
    if not result["ok"]:
        connection.execute(_SQL["failed"], {**values, "error": result["error"]})
        return False
    first, count = result["first_slot"], result["slot_count"]
    is_stored = store_free_time(
        connection,
        coach_id=values["coach"],
        fetched_at=values["fetched_at"],
        first=first,
        count=count,
        free=bits_of_hex(result["free"], count),
    )
    if is_stored:
        connection.execute(_SQL["note_unreadable"], {**values, "unreadable": result.get("unreadable", 0)})
    return is_stored


def _fetches(rows: Sequence[dict[str, Any]], now: datetime) -> list[Fetch]:
    fetches = []
    for row in rows:
        first, end = horizon_slots(ZoneInfo(row["time_zone"]), now)
        at = row.get("requested_at", now)
        fetches.append(
            Fetch(
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
