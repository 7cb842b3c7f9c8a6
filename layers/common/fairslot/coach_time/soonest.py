"""The earliest bookable starts over several calendars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice

from fairslot.coach_time.bookable_starts import Page, Starts, Window, list_starts
from fairslot.coach_time.kept_teams import KeptTeams
from fairslot.platform.db import Connection

# How many days are looked at: more only where there is too little in fewer.
_DAYS = (3, 12, 60, 366)
_ALL = 10**9


@dataclass(frozen=True, kw_only=True)
class Soonest:
    """The earliest starts by calendar, each of those that have any; together at most as many as asked for.

    How fresh it is is said as of a Page.
    """

    calendars: Sequence[Starts]
    synced_at: datetime | None
    stale: bool
    unread: Sequence[str]


def soonest(
    connection: Connection,
    *,
    tenant_id: str,
    calendar_ids: Sequence[str] | None,
    requires: Sequence[str],
    limit: int,
    now: datetime,
    clock: datetime | None = None,
    kept: KeptTeams | None = None,
) -> Soonest:
    """Return the `limit` earliest starts of these calendars of the tenant; None: of all that are active.

    At the same instant calendars are ordered by id. What is read is in proportion to how far ahead the starts
    are. Otherwise as list_starts.

    Raises:
        NotFoundError: the tenant has no such calendar.

    """
    asked: Sequence[str | None] = calendar_ids if calendar_ids is not None else [None]
    for days in _DAYS:
        end = now + timedelta(days=days)
        pages = [
            list_starts(
                connection,
                tenant_id=tenant_id,
                calendar_id=calendar_id,
                window=Window(start=now, end=end, limit=_ALL),
                now=now,
                clock=clock,
                kept=kept,
                requires=requires,
            )
            for calendar_id in asked
        ]
        calendars = [one for page in pages for one in page.calendars]
        if sum(page.total for page in pages) >= limit or all(one.closes_at <= end for one in calendars):
            break
    return _first(pages, calendars, limit)


def _first(pages: Sequence[Page], calendars: Sequence[Starts], limit: int) -> Soonest:
    in_order = merge(*([(slot, one.calendar_id) for slot in one.slots] for one in calendars))
    found = [calendar_id for _, calendar_id in islice(in_order, limit)]
    shown = [one.part(0, found.count(one.calendar_id)) for one in calendars]
    return Soonest(
        calendars=[one for one in shown if one.slots],
        synced_at=min((page.synced_at for page in pages if page.synced_at), default=None),
        stale=any(page.stale for page in pages),
        unread=[calendar_id for page in pages for calendar_id in page.unread],
    )
