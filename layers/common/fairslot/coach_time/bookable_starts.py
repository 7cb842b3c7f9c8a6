"""The bookable starts of calendars, from the stored days alone: day_admits() for all slots at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import compress

from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.coach_time.team_part import TeamPart
from fairslot.coach_time.team_reading import CalendarTime, Question, active, current
from fairslot.coach_time.team_time import TeamTime
from fairslot.domain.slots import slot_from
from fairslot.platform.db import Connection
from fairslot.platform.settings import settings


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which starts to list: those in [start, end), after a (calendar, slot), at most `limit`."""

    start: datetime
    end: datetime
    limit: int
    after: tuple[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Starts:
    """Bookable starts of one calendar: slots in order, and how many coaches could take each.

    They are as at `now`. An appointment takes `duration` slots. `who` are the coaches of the team who may be
    booked, all of whom meet what the calendar `requires`. From `closes_at` on nothing can be booked yet.
    """

    team: TeamTime
    who: TeamTime | TeamPart
    requires: Sequence[str]
    closes_at: datetime
    now: datetime
    duration: int
    slots: Sequence[int]
    counts: Sequence[int]

    @property
    def calendar_id(self) -> str:
        """The calendar's id."""
        return self.team.calendar_id

    @property
    def unverified(self) -> frozenset[int]:
        """Who of the team may not be booked now as their calendars were not read lately, by their numbers."""
        return self.who.unverified if isinstance(self.who, TeamPart) else frozenset()

    @property
    def free_coaches(self) -> Callable[[], Callable[[int], list[str]]]:
        """What makes the function from a slot to the coaches who are free; it is work for a large team."""
        return lambda: self.who.free_coaches(self.now)

    def part(self, begin: int, end: int) -> "Starts":
        """Return some of the starts, by their places."""
        return replace(self, slots=self.slots[begin:end], counts=self.counts[begin:end])


@dataclass(frozen=True, kw_only=True)
class Page:
    """Bookable starts by calendar, how many there are in all, and how fresh the readings behind them are.

    `unread` has the calendars with a coach whose external calendar was never read.
    """

    calendars: Sequence[Starts]
    total: int
    synced_at: datetime | None
    stale: bool
    next_after: tuple[str, int] | None
    unread: Sequence[str]


def list_starts(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_id: str | None,
    window: Window,
    now: datetime,
    clock: datetime | None = None,
    kept: KeptTeams | None = None,
    requires: Sequence[str] = (),
    seen: Sequence[str] | None = None,
) -> Page:
    """Return the bookable starts of the tenant's calendars, or of one of them, in the window.

    Without a calendar they are those of all that the caller may see: `seen`, sorted; None: the tenant's.
    Coaches have to meet what the calendar requires, and `requires` (name:value). Expired holds are cleared
    first; they expire by `clock`, without it by the database's clock. One calendar is answered from what is
    `kept` and what changed since, as exactly as without.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """
    question = Question(
        tenant_id=tenant_id,
        calendar_id=calendar_id,
        start=window.start,
        end=window.end,
        now=now,
        clock=clock,
        requires=tuple(requires),
    )
    if calendar_id is None and seen is not None:
        times = [one for each in seen for one in active(connection, replace(question, calendar_id=each))]
    else:
        times = current(connection, question, kept)
    return _page(times, window, now)


def _page(times: Sequence[CalendarTime], window: Window, now: datetime) -> Page:
    """Return what the window shows of calendars, with how fresh it is."""
    found = [_starts(one, window, now) for one in times]
    total = sum(len(one.slots) for one in found)
    shown, more = _cut(found, window)
    oldest = min((one for time in times if (one := time.who.oldest_reading) is not None), default=None)
    last = next((one for one in reversed(shown) if one.slots), None)
    unread = [time.team.calendar_id for time in times if time.who.has_unread]
    return Page(
        calendars=shown,
        total=total,
        synced_at=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
        stale=bool(unread)
        or any(time.who.is_failing for time in times)
        or (oldest is not None and datetime.fromtimestamp(oldest, UTC) < _stale_before(now)),
        next_after=(last.calendar_id, last.slots[-1]) if more and last else None,
        unread=unread,
    )


def _stale_before(now: datetime) -> datetime:
    return now - timedelta(seconds=settings().stale_after_seconds)


def _starts(time: CalendarTime, window: Window, now: datetime) -> Starts:
    """Return the starts of one calendar that the window and the calendar's own rules allow."""
    team = time.team
    first = slot_from(max(window.start, time.opens_at, now + timedelta(microseconds=1)))
    end = min(slot_from(min(window.end, time.closes_at)), team.window.end)
    first += -first % time.interval
    starts = range(first, max(first, end), time.interval)
    counts = time.who.counts_at(starts, now)
    for begin, over in time.closed:
        counts = [0 if begin <= slot < over else n for slot, n in zip(starts, counts, strict=True)]
    slots = list(compress(starts, counts))
    return Starts(
        team=team,
        who=time.who,
        requires=time.requires,
        closes_at=time.closes_at,
        now=now,
        duration=time.duration,
        slots=slots,
        counts=list(filter(None, counts)),
    )


def _cut(found: Sequence[Starts], window: Window) -> tuple[list[Starts], bool]:
    """Return what a page shows, at most `limit` starts after the position, and whether there are more."""
    shown, left = list[Starts](), window.limit
    for one in found:
        slots = one.slots
        if window.after is not None:
            slots = [slot for slot in slots if (one.calendar_id, slot) > window.after]
        offset = len(one.slots) - len(slots)
        if len(slots) > left:
            shown.append(one.part(offset, offset + left))
            return shown, True
        shown.append(one if offset == 0 else one.part(offset, len(one.slots)))
        left -= len(slots)
    return shown, False
