"""What a calendar lists, and why its coaches can or cannot be booked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fairslot.booking import decisions
from fairslot.coach_time import bookable_starts
from fairslot.coach_time.bookable_starts import Window
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.domain.slots import instant_of
from fairslot.platform.db import Connection
from tests.support.clock import NINE, NOW
from tests.support.team import TENANT


@dataclass(frozen=True, kw_only=True)
class Start:
    """A bookable start: slot numbers [slot, end), how many coaches could take it, and who."""

    calendar_id: str
    slot: int
    end: int
    available_coaches: int
    coach_ids: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A page, start by start."""

    starts: list[Start]
    total: int
    synced_at: datetime | None
    stale: bool
    next_after: tuple[str, int] | None


def list_page(
    connection: Connection,
    calendar_id: str | None = "cal",
    *,
    start: datetime = NOW,
    days: float = 7,
    now: datetime = NOW,
    limit: int = 6000,
    after: tuple[str, int] | None = None,
    with_coaches: bool = False,
    kept: KeptTeams | None = None,
    requires: Sequence[str] = (),
) -> Listed:
    """List a calendar's bookable starts of so many days, or those of every calendar."""
    page = bookable_starts.list_starts(
        connection,
        tenant_id=TENANT,
        calendar_id=calendar_id,
        window=Window(start=start, end=start + timedelta(days=days), limit=limit, after=after),
        now=now,
        clock=now,
        kept=kept,
        requires=requires,
    )
    return Listed(
        starts=[start for one in page.calendars for start in _each(one, with_coaches=with_coaches)],
        total=page.total,
        synced_at=page.synced_at,
        stale=page.stale,
        next_after=page.next_after,
    )


def _each(starts: bookable_starts.Starts, *, with_coaches: bool) -> Iterator[Start]:
    free_coaches = starts.free_coaches() if with_coaches and starts.slots else None
    for slot, count in zip(starts.slots, starts.counts, strict=True):
        yield Start(
            calendar_id=starts.calendar_id,
            slot=slot,
            end=slot + starts.duration,
            available_coaches=count,
            coach_ids=tuple(free_coaches(slot)) if free_coaches else None,
        )


def listed_starts(connection: Connection, *, start: datetime, end: datetime, now: datetime) -> set[datetime]:
    """Return the starts that the calendar lists in a window."""
    page = list_page(connection, start=start, days=(end - start) / timedelta(days=1), now=now)
    return {instant_of(one.slot) for one in page.starts}


def explain(
    connection: Connection,
    start: datetime = NINE,
    *,
    calendar_id: str = "cal",
    now: datetime = NOW,
    requires: Sequence[str] = (),
) -> list[decisions.Explained]:
    """Return what is said of each coach at a start."""
    return decisions.explain(
        connection,
        tenant_id=TENANT,
        calendar_id=calendar_id,
        start_time=start,
        now=now,
        requires=requires,
    )


def reasons(connection: Connection, start: datetime = NINE, **more: Any) -> dict[str, str | None]:
    """Return why each coach cannot be booked at a start, as `explain` takes it; None for who can."""
    return {one.coach_id: one.reason for one in explain(connection, start, **more)}
