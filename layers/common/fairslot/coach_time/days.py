"""The stored days of coaches: a row a local day, from today to the horizon, in the coach's time zone."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from itertools import batched
from typing import Any
from zoneinfo import ZoneInfo

from psycopg.errors import ExclusionViolation

from fairslot.coach_time.absences import delete_old_absences
from fairslot.coach_time.read_model import fold_all_changes
from fairslot.domain.slots import (
    date_of,
    day_of,
    days_between,
    days_text,
    slice_of,
    slot_of,
    working_bits,
)
from fairslot.messages.readings import FreeSlots
from fairslot.platform import db
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("days")
_WIDTH = 104  # of a day's column of bits
# The most coaches who get the same days in one statement, which must end within its time.
_AT_ONCE = 100


def horizon_slots(zone: ZoneInfo, now: datetime) -> tuple[int, int]:
    """Return the slots [first, end) of a zone's days from today to the horizon."""
    today = now.astimezone(zone).date()
    first, _ = day_of(zone, today)
    last, count = day_of(zone, today + timedelta(days=settings().horizon_days))
    return first, last + count


def has_coach(connection: Connection, *, tenant_id: str, coach_id: str) -> bool:
    """Return whether the tenant has this coach."""
    row = connection.execute(_SQL["has_coach"], {"tenant": tenant_id, "coach": coach_id}).fetchone()
    return bool(row and row["n"])


def store_free_time(connection: Connection, *, coach_id: str, fetched_at: datetime, free: FreeSlots) -> bool:
    """Store what a coach's calendar leaves free, and how many of its events could not be read.

    Our own blocks are not busy time, absences stay closed, and an older reading never overwrites a younger
    one. Returns whether the coach is active; otherwise nothing is stored.
    """
    coach = connection.execute(_SQL["coaches"], {"coaches": [coach_id], "tenant": None}).fetchone()
    if coach is None:
        return False
    first, count = free.window.first_slot, free.window.slot_count
    columns = _columns(coach, first, count, free.bits)
    values = {"coach": coach_id, "fetched_at": fetched_at, "unreadable": free.unreadable, **columns}
    try:
        connection.execute(_SQL["store"], values)
    except ExclusionViolation:  # the stored days are those of another zone
        _follow_zones(connection, [coach], first)
        connection.execute(_SQL["store"], values)
    return True


def extend_days(
    connection: Connection,
    *,
    now: datetime,
    tenant_id: str | None = None,
    coach_ids: Sequence[str] | None = None,
) -> int:
    """Give active coaches the days of their zone up to the horizon; return how many coaches.

    These are all of them, each in a transaction of its own, or the tenant's of `coach_ids`. Days that are
    stored get the hours and the maximum of now.
    """
    values = {"coaches": None if coach_ids is None else list(coach_ids), "tenant": tenant_id}
    coaches = connection.execute(_SQL["coaches"], values).fetchall()
    _follow_zones(connection, coaches, slot_of(now))
    for alike in _alike(coaches):
        first, end = horizon_slots(ZoneInfo(alike[0]["time_zone"]), now)
        columns = _columns(alike[0], first, end - first, _unread(alike[0], end - first))
        # Without a transaction around it, days must not stay locked while other coaches get theirs.
        at_once = 1 if coach_ids is None else _AT_ONCE
        for some in batched((coach["coach_id"] for coach in alike), at_once, strict=False):
            connection.execute(_SQL["extend"], {"coaches": [*some], **columns})
    if coach_ids is None:  # within a change its own changes cannot be folded yet
        fold_all_changes(connection, most=len(coaches))
    return len(coaches)


def _alike(coaches: Sequence[dict[str, Any]]) -> Collection[list[dict[str, Any]]]:
    """Return the coaches in groups whose days are made of the same."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for coach in coaches:
        groups.setdefault(coach["made_of"], []).append(coach)
    return groups.values()


def delete_old_days(connection: Connection, *, now: datetime) -> int:
    """Delete days and absences that were over `keep_slots_days` ago; return how many days."""
    before = slot_of(now - timedelta(days=settings().keep_slots_days))
    delete_old_absences(connection, before=before)
    return db.number(connection, _SQL["delete_old"], {"before": before})


def _follow_zones(connection: Connection, coaches: Sequence[dict[str, Any]], first: int) -> None:
    """Replace the days from slot `first` on of those coaches whose stored days are not those of their zone.

    That happens when a coach moves, when a new edition of the zones moves the clocks, and when days are
    missing in between. Coaches without any days are left out: extend_days gives them theirs.
    """
    values = {"coaches": [coach["coach_id"] for coach in coaches], "first": first}
    stored = {row["coach_id"]: row["days"] for row in connection.execute(_SQL["stored"], values)}
    for coach in coaches:
        days = stored.get(coach["coach_id"])
        if days:
            begin, count, _ = map(int, days.rpartition(",")[2].split("/"))
            if days != days_text(ZoneInfo(coach["time_zone"]), first, begin + count):
                _replace(connection, coach, first, begin + count)


def _replace(connection: Connection, coach: dict[str, Any], first: int, end: int) -> None:
    """Replace a coach's stored days by those of their zone that have a slot in [first, end)."""
    zone = ZoneInfo(coach["time_zone"])
    start, _ = day_of(zone, date_of(zone, first))
    over = sum(day_of(zone, date_of(zone, end - 1)))
    columns = _columns(coach, start, over - start, _unread(coach, over - start))
    values = {"coach": coach["coach_id"], "from": start}
    connection.execute(_SQL["replace"], {**values, **columns})


def _unread(coach: dict[str, Any], count: int) -> int:
    """Return the bits of slots that no reading covers: free only without an external calendar."""
    return (1 << count) - 1 if coach["calendar_kind"] == "none" else 0


def _columns(coach: dict[str, Any], first: int, width: int, free: int) -> dict[str, Any]:
    """Return the columns of a coach's whole days within `width` slots from `first`, free as the bits say.

    They are arrays as Postgres writes them: the driver takes longer to adapt lists than the database to
    store the days.
    """
    zone = ZoneInfo(coach["time_zone"])
    rows: list[tuple[int, int, date, str, str]] = []
    blocked = set(coach["blocked_dates"])
    overrides = {date.fromisoformat(one["date"]): one["hours"] for one in coach["overrides"]}
    for day in days_between(zone, first, first + width):
        begin, count = day_of(zone, day)
        if begin < first or begin + count > first + width:
            continue
        hours = 0 if day in blocked else working_bits(coach["working_hours"], day, zone, overrides)
        external = slice_of(free, width, begin - first, count)
        rows.append((begin, count, day, _bits(hours, count), _bits(external, count)))
    names = ("first_slots", "slot_counts", "dates", "working", "external")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    arrays = {name: f"{{{','.join(map(str, column))}}}" for name, column in zip(names, columns, strict=True)}
    return {"max_per_day": coach["max_per_day"], "made_of": coach["made_of"], **arrays}


def _bits(bits: int, count: int) -> str:
    """Write the bits of a day as Postgres reads a bit(104)."""
    return format(bits << (_WIDTH - count), f"0{_WIDTH}b")
