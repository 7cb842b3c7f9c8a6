"""Which external calendars are read when, and what is kept of them.

This side has the database and no way out; the reading is done by a function that has it the other way
round, and queues lie between.
"""

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg.errors import ExclusionViolation

from fairslot.domain.slots import (
    WALL_SLOTS,
    cut,
    cut_text,
    date_of,
    day_of,
    days_between,
    slot_of,
    working_bits,
)
from fairslot.messages.fetches import FetchRequest
from fairslot.messages.readings import Reading
from fairslot.platform import time_limit
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("coaches")
_WIDTH = 104
_POLL_SECONDS = 0.05
# Between two reads of one calendar that are asked for because something changed.
_PAUSE = timedelta(seconds=10)
_LAST_SECOND = 1.0  # in which the page itself is read
_LOOK_AHEAD_DAYS = 400  # a calendar's horizon has at most 366


def due(connection: Connection, *, now: datetime) -> list[FetchRequest]:
    """Claim the coaches whose calendar was not asked for within the sync interval."""
    before = now - timedelta(seconds=settings().sync_interval_seconds)
    return _fetches(connection.execute(_SQL["due"], {"now": now, "before": before}).fetchall(), now)


def request(connection: Connection, *, coach_ids: Sequence[str], now: datetime) -> list[FetchRequest]:
    """Ask for the calendars of these coaches, each at most once in ten seconds.

    What changes meanwhile is read when they are over: events come by the hundred while somebody tidies up.
    """
    values = {"now": now, "coaches": list(coach_ids), "pause": _PAUSE}
    return _fetches(connection.execute(_SQL["request"], values).fetchall(), now)


def await_first(
    connection: Connection,
    *,
    calendar_ids: Sequence[str],
    send: Callable[[list[FetchRequest]], None],
    now: datetime,
) -> None:
    """Have coaches that were never synced read once, and wait a bounded time for them.

    Whoever asks first sends the requests; everybody waits at most `first_sync_wait_seconds` from then on, so
    a calendar that never answers costs one wait and no more. Nobody waits into the last second of their time.
    """
    values = {"calendars": list(calendar_ids), "now": now}
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
    """Keep the outcome of a reading; return whether the coach's slots may have changed.

    A failed reading leaves the slots alone and is only noted. Our own blocks are not busy time, and absences
    that were told of stand whatever a calendar says. Events that could not be read are noted and no failure:
    they are busy already.
    """
    values = {"coach": reading.coach_id, "fetched_at": reading.fetched_at}
    coach = connection.execute(_SQL["hours"], {"coaches": [reading.coach_id]}).fetchone()
    if coach is None:
        return False
    if reading.free is None:
        connection.execute(_SQL["failed"], {**values, "error": reading.error})
        return False
    first, count = reading.free.window.first_slot, reading.free.window.slot_count
    days = {**values, **_days(coach, first, count, reading.free.bits)}
    try:
        connection.execute(_SQL["store"], days)
    except ExclusionViolation:  # by days of another zone
        _fit(connection, [coach], first)
        connection.execute(_SQL["store"], days)
    connection.execute(_SQL["note_unreadable"], {**values, "unreadable": reading.free.unreadable})
    return True


def extend(connection: Connection, *, now: datetime) -> int:
    """Give every active coach the days of their zone up to the horizon; return for how many coaches."""
    coaches = connection.execute(_SQL["hours"], {"coaches": None}).fetchall()
    _fit(connection, coaches, slot_of(now))
    for coach in coaches:
        first, end = window(ZoneInfo(coach["time_zone"]), now)
        free = (1 << end - first) - 1 if coach["calendar_kind"] == "none" else 0
        days = _days(coach, first, end - first, free)
        values = {"coach": coach["coach_id"], "time_zone": coach["time_zone"]}
        connection.execute(_SQL["extend"], {**values, **days})
    return len(coaches)


def zones_apart(connection: Connection, *, now: datetime) -> list[str]:
    """Return the zones of calendars that the database counts otherwise than we do in the days to come.

    Its zones are its own and say what a calendar's blocked dates and daily maximum mean; coaches' days are
    cut by ours. One that either side does not know is apart too.
    """
    apart = []
    for row in connection.execute(_SQL["calendar_zones"]).fetchall():
        try:
            zone = ZoneInfo(row["time_zone"])
        except (OSError, ValueError, KeyError):
            apart.append(row["time_zone"])
            continue
        today = slot_of(now)
        days = days_between(zone, today, today + _LOOK_AHEAD_DAYS * WALL_SLOTS)
        firsts = [day_of(zone, day)[0] for day in days]
        values = {"time_zone": zone.key, "dates": days, "first_slots": firsts}
        if not row["known"] or connection.execute(_SQL["days_apart"], values).fetchall():
            apart.append(zone.key)
    return apart


def forget(connection: Connection, *, now: datetime) -> tuple[int, int]:
    """Delete days and absences long over and expired idempotency keys; return how many days and keys."""
    before = slot_of(now - timedelta(days=settings().keep_slots_days))
    connection.execute(_SQL["forget_absences"], {"before": before})
    days = connection.execute(_SQL["forget_days"], {"before": before}).rowcount
    return days, connection.execute(_SQL["forget_keys"], {"now": now}).rowcount


def begin_absence(
    connection: Connection, *, coach_id: str, start: datetime, end: datetime, event_id: UUID
) -> None:
    """Shut every slot that [start, end) touches, whatever the coach's calendar says, until it is over."""
    values = {"coach": coach_id, "from": start, "to": end, "event": event_id}
    connection.execute(_SQL["begin_absence"], values)


def end_absence(connection: Connection, *, coach_id: str, start: datetime, end: datetime) -> None:
    """End what a coach's absences have of [start, end); a calendar elsewhere is to be read again then."""
    connection.execute(_SQL["end_absence"], {"coach": coach_id, "from": start, "to": end})


def owns(connection: Connection, *, tenant_id: str, coach_id: str) -> bool:
    """Tell whether the tenant has this coach."""
    row = connection.execute(_SQL["owned"], {"tenant": tenant_id, "coach": coach_id}).fetchone()
    return bool(row and row["n"])


def window(zone: ZoneInfo, now: datetime) -> tuple[int, int]:
    """Return the slots [first, end) of a coach's days from today to the horizon."""
    today = now.astimezone(zone).date()
    first, _ = day_of(zone, today)
    last, count = day_of(zone, today + timedelta(days=settings().horizon_days))
    return first, last + count


def _fetches(rows: Sequence[dict[str, Any]], now: datetime) -> list[FetchRequest]:
    fetches = []
    for row in rows:
        first, end = window(ZoneInfo(row["time_zone"]), now)
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


def _fit(connection: Connection, coaches: Sequence[dict[str, Any]], first: int) -> None:
    """Cut the days from a slot on anew of those coaches whose days are not those of their zone.

    So it is when the coach has moved, when a new edition of the zones has moved the clocks, and when days are
    missing in between. A coach without days gets them elsewhere.
    """
    asked = {"coaches": [coach["coach_id"] for coach in coaches], "first": first}
    found = {row["coach_id"]: row["days"] for row in connection.execute(_SQL["days"], asked)}
    for coach in coaches:
        days = found.get(coach["coach_id"])
        if days:
            begin, count, _ = map(int, days.rpartition(",")[2].split("/"))
            if days != cut_text(ZoneInfo(coach["time_zone"]), first, begin + count):
                _recut(connection, coach, first, begin + count)


def _recut(connection: Connection, coach: dict[str, Any], first: int, over: int) -> None:
    """Give a coach the days of their zone that have a slot in [first, over) instead of those there are.

    A slot that no day had is free only where no external calendar has a say.
    """
    zone = ZoneInfo(coach["time_zone"])
    start, _ = day_of(zone, date_of(zone, first))
    end = sum(day_of(zone, date_of(zone, over - 1)))
    free = (1 << end - start) - 1 if coach["calendar_kind"] == "none" else 0
    values = {"coach": coach["coach_id"], "time_zone": coach["time_zone"], "from": start}
    connection.execute(_SQL["recut"], {**values, **_days(coach, start, end - start, free)})


def _days(coach: dict[str, Any], first: int, width: int, free: int) -> dict[str, Any]:
    """Return the columns of a coach's whole days within `width` slots from `first`, free as the bits say.

    They are arrays as Postgres writes them: over lists the driver takes longer than the database over days.
    """
    zone = ZoneInfo(coach["time_zone"])
    columns: dict[str, list[Any]] = {
        "first_slots": [],
        "slot_counts": [],
        "dates": [],
        "working": [],
        "external": [],
    }
    blocked = set(coach["blocked_dates"])
    for day in days_between(zone, first, first + width):
        begin, count = day_of(zone, day)
        if begin < first or begin + count > first + width:
            continue
        hours = 0 if day in blocked else working_bits(coach["working_hours"], day, zone)
        columns["first_slots"].append(begin)
        columns["slot_counts"].append(count)
        columns["dates"].append(day)
        columns["working"].append(_bits(hours, count))
        columns["external"].append(_bits(cut(free, width, begin - first, count), count))
    arrays = {name: f"{{{','.join(map(str, column))}}}" for name, column in columns.items()}
    return {"max_per_day": coach["max_per_day"], **arrays}


def _bits(bits: int, count: int) -> str:
    """Write the bits of a day as Postgres reads a bit(104)."""
    return format(bits << (_WIDTH - count), f"0{_WIDTH}b")
