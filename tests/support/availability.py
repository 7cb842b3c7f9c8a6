"""What a calendar lists, and why its coaches can or cannot be booked."""

from datetime import datetime, timedelta

from fairslot.booking import decisions
from fairslot.coach_time import bookable_starts
from fairslot.coach_time.bookable_starts import Page, Window
from fairslot.domain.slots import instant_of
from fairslot.platform.db import Connection
from tests.support.clock import NINE, NOW
from tests.support.team import TENANT


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
) -> Page:
    """List a calendar's bookable starts of so many days, or those of every calendar."""
    team = bookable_starts.team(connection, tenant_id=TENANT, calendar_id=calendar_id, now=now, clock=now)
    end = start + timedelta(days=days)
    window = Window(start=start, end=end, limit=limit, after=after, with_coaches=with_coaches)
    return bookable_starts.list_starts(connection, team=team, window=window, now=now)


def listed_starts(connection: Connection, *, start: datetime, end: datetime, now: datetime) -> set[datetime]:
    """Return the starts that the calendar lists in a window."""
    page = list_page(connection, start=start, days=(end - start) / timedelta(days=1), now=now)
    return {instant_of(one.slot) for one in page.starts}


def explain(
    connection: Connection, start: datetime = NINE, *, calendar_id: str = "cal", now: datetime = NOW
) -> list[decisions.Explained]:
    """Return what is said of each coach at a start."""
    return decisions.explain(connection, tenant_id=TENANT, calendar_id=calendar_id, start_time=start, now=now)


def reasons(
    connection: Connection, start: datetime = NINE, *, calendar_id: str = "cal", now: datetime = NOW
) -> dict[str, str | None]:
    """Return why each coach cannot be booked at a start; None for who can."""
    return {one.coach_id: one.reason for one in explain(connection, start, calendar_id=calendar_id, now=now)}
