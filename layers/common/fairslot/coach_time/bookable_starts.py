"""The bookable starts of calendars, calculated from the stored days alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from fairslot.booking import holds
from fairslot.domain.errors import NotFoundError
from fairslot.domain.slots import SLOT_SECONDS, WALL_SLOTS, instant_of, runs, slice_of, slot_from, span
from fairslot.platform.db import Connection
from fairslot.platform.queries import queries
from fairslot.platform.settings import settings

_SQL = queries("bookable_starts")
_MINUTES = SLOT_SECONDS // 60
_QUARTERS = [f"T{quarter // 4:02}:{quarter % 4 * 15:02}:00Z" for quarter in range(WALL_SLOTS)]


@dataclass(frozen=True, kw_only=True)
class Start:
    """A bookable start: slot numbers [slot, end) and how many coaches could take it."""

    calendar_id: str
    slot: int
    end: int
    available_coaches: int
    coach_ids: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Page:
    """Bookable starts, by calendar and time, and how fresh the readings behind them are."""

    starts: Sequence[Start]
    total: int
    synced_at: datetime | None
    stale: bool
    next_after: tuple[str, int] | None


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which starts to list: those in [start, end), after a (calendar, slot), at most `limit`."""

    start: datetime
    end: datetime
    limit: int
    after: tuple[str, int] | None = None
    with_coaches: bool = False


@dataclass(frozen=True, kw_only=True)
class Team:
    """A tenant's calendars and their active coaches."""

    calendars: Sequence[Mapping[str, Any]]
    members: Sequence[Mapping[str, Any]]

    @property
    def has_unread(self) -> bool:
        """Whether a coach's external calendar has never been read."""
        return any(member["external"] and member["synced_at"] is None for member in self.members)

    @property
    def calendar_ids(self) -> list[str]:
        """The calendars' ids."""
        return [calendar["calendar_id"] for calendar in self.calendars]


def team(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str | None,
    now: datetime,
    clock: datetime | None = None,
) -> Team:
    """Return the tenant's calendars, or one of them, with their coaches, after clearing expired holds.

    Holds expire by `clock`, without it by the database's clock.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """
    values = {"tenant": tenant_id, "calendar": calendar_id, "now": now, "clock": clock}
    calendars = connection.execute(_SQL["calendars"], values).fetchall()
    if calendars and calendars[0]["has_expired_holds"]:
        holds.expire(connection, now=clock)
    if calendar_id is not None and not calendars:
        raise NotFoundError("There is no such calendar.")
    ids = [calendar["calendar_id"] for calendar in calendars]
    return Team(calendars=calendars, members=connection.execute(_SQL["teams"], {"calendars": ids}).fetchall())


def list_starts(connection: Connection, *, team: Team, window: Window, now: datetime) -> Page:
    """Return the bookable starts of the team's calendars in the window."""
    days = _days(connection, team, window, now)
    starts: list[Start] = []
    for calendar in team.calendars:
        coaches = [
            (member["coach_id"], days[member["coach_id"]])
            for member in team.members
            if member["calendar_id"] == calendar["calendar_id"] and member["coach_id"] in days
        ]
        starts += _starts(calendar, coaches, window, now, _closed(connection, calendar, window, now))
    total = len(starts)
    if window.after is not None:
        starts = [start for start in starts if (start.calendar_id, start.slot) > window.after]
    page = starts[: window.limit]
    more = len(starts) > len(page)
    external = [member for member in team.members if member["external"]]
    oldest = now - timedelta(seconds=settings().stale_after_seconds)
    read = [member["synced_at"] for member in external if member["synced_at"] is not None]
    return Page(
        starts=page,
        total=total,
        synced_at=min(read, default=None),
        stale=any(
            member["synced_at"] is None or member["failures"] or member["synced_at"] < oldest
            for member in external
        ),
        next_after=(page[-1].calendar_id, page[-1].slot) if more else None,
    )


def _days(connection: Connection, team: Team, window: Window, now: datetime) -> dict[str, Mapping[str, Any]]:
    """Read the coaches' days, without coaches whose external calendar was never read."""
    known = sorted({m["coach_id"] for m in team.members if not m["external"] or m["synced_at"] is not None})
    reach = max((_reach(calendar) for calendar in team.calendars), default=0)
    values = {
        "coaches": known,
        "first": slot_from(max(window.start, now)) - reach,
        "end": slot_from(window.end) + reach,
        "buffers": any(calendar["buffer_before"] or calendar["buffer_after"] for calendar in team.calendars),
    }
    return {row["coach_id"]: row for row in connection.execute(_SQL["days"], values)}


def _closed(
    connection: Connection, calendar: Mapping[str, Any], window: Window, now: datetime
) -> list[tuple[int, int]]:
    """Return the slots [first, end) of the days on which nothing of the calendar may start."""
    if not calendar["has_closed_days"]:
        return []
    values = {"calendar": calendar["calendar_id"], "start": window.start, "end": window.end, "now": now}
    return [
        (slot_from(row["starts"]), slot_from(row["ends"]))
        for row in connection.execute(_SQL["closed_days"], values)
    ]


def _reach(calendar: Mapping[str, Any]) -> int:
    """Return how far from its start an appointment of the calendar can reach, in slots."""
    return int(calendar["slot_duration"] + calendar["buffer_before"] + calendar["buffer_after"]) // _MINUTES


def _starts(
    calendar: Mapping[str, Any],
    coaches: Sequence[tuple[str, Mapping[str, Any]]],
    window: Window,
    now: datetime,
    closed: Sequence[tuple[int, int]],
) -> list[Start]:
    """Return the starts of one calendar: day_admits() of the database, for all slots at once."""
    count, before, after = (
        calendar[name] // _MINUTES for name in ("slot_duration", "buffer_before", "buffer_after")
    )
    first = slot_from(max(window.start, calendar["opens_at"], now + timedelta(microseconds=1)))
    end = slot_from(min(window.end, calendar["closes_at"]))
    width = end - first
    if width <= 0 or not coaches:
        return []
    grid = _grid(first, width, calendar["slot_interval"] // _MINUTES)
    for begin, over in closed:
        grid &= ~span(begin - first, over - begin, width)
    by_coach: list[tuple[str, int]] = []
    for coach_id, days in coaches:
        free = runs(_stretch(days, "free", first, width + count), count) >> count
        if before or after:
            whole = before + count + after
            free &= runs(_stretch(days, "open", first - before, width + whole), whole) >> whole
        bits = free & grid & ~_full(days, first, width)
        if bits:
            by_coach.append((coach_id, bits))
    return [
        Start(
            calendar_id=calendar["calendar_id"],
            slot=first + offset,
            end=first + offset + count,
            available_coaches=coaches_free,
            coach_ids=tuple(coach for coach, bits in by_coach if bits >> width - 1 - offset & 1)
            if window.with_coaches
            else None,
        )
        for offset, coaches_free in enumerate(_sums([bits for _, bits in by_coach], width))
        if coaches_free
    ]


def _stretch(days: Mapping[str, Any], column: str, first: int, length: int) -> int:
    """Return `length` slots of a coach from slot `first`."""
    text = days[column]
    return slice_of(int(text, 2), len(text), first - days["first_slot"], length)


def _full(days: Mapping[str, Any], first: int, width: int) -> int:
    """Return the slots of the days on which a coach has reached the daily maximum."""
    bits = 0
    for begin, length in days["full"] or ():
        bits |= span(begin - first, length, width)
    return bits


def _grid(first: int, width: int, stride: int) -> int:
    """Return the slots of the window that stand on a grid of every `stride` slots since the epoch."""
    if stride == 1:
        return (1 << width) - 1
    bits = 0
    for offset in range(-first % stride, width, stride):
        bits |= 1 << (width - 1 - offset)
    return bits


def _sums(rows: Sequence[int], width: int) -> list[int]:
    """Add rows of `width` slots column by column."""
    planes: list[int] = []  # plane k has bit k of each column's sum
    for row in rows:
        carry = row
        for k, plane in enumerate(planes):
            planes[k], carry = plane ^ carry, plane & carry
            if not carry:
                break
        if carry:
            planes.append(carry)
    digits = [format(plane, f"0{width}b") for plane in reversed(planes)]
    return [int("".join(column), 2) for column in zip(*digits, strict=True)]


def instant_text(slot: int) -> str:
    """Write a slot's instant as the API does."""
    day, quarter = divmod(slot, WALL_SLOTS)
    return _date_text(day) + _QUARTERS[quarter]


@lru_cache(maxsize=1_000)
def _date_text(day: int) -> str:
    return instant_of(day * WALL_SLOTS).date().isoformat()


def local_text(slot: int, zone: ZoneInfo) -> str:
    """Write a slot's instant as the clocks of a zone show it, with the offset."""
    return instant_of(slot).astimezone(zone).isoformat()
